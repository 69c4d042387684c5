//! Being away and missed calls, over real connections and a real store.

use crate::common::relay::Relay;
use crate::common::terminal::Terminal;
use crate::common::{PASSWORD, Platform};
use kakehashi_wire::terminal::{
    CallEnd, HangUp, Missed, MissedCall, PresenceState, Refusal, SetAway, ToTerminal, WatchPresence,
};

async fn missed(terminal: &mut Terminal) -> Vec<MissedCall> {
    match terminal.hear_any().await {
        Some(ToTerminal::MissedCalls(missed)) => missed.calls,
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

async fn presence(terminal: &mut Terminal) -> Vec<(String, PresenceState)> {
    match terminal.hear().await {
        Some(ToTerminal::Presence(list)) => {
            list.entries.into_iter().map(|entry| (entry.login, entry.state)).collect()
        }
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

#[tokio::test]
async fn a_missed_call_waits_for_its_account_over_a_restart_until_the_two_have_talked() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    assert_eq!(a.invite("b").await, Err(Refusal::NotAvailable));
    assert_eq!(a.invite("z").await, Err(Refusal::NoSuchLogin), "another tenant's account");
    let Platform { node, folder } = platform;
    node.stop().await;

    let platform = Platform::start_in(folder).await;
    let _relay = Relay::start(&platform, 1).await;
    let mut b = platform.terminal("shop", "b").await;
    let calls = missed(&mut b).await;
    assert_eq!((calls[0].login.as_str(), calls[0].calls, calls.len()), ("a", 1, 1));
    let mut z = platform.terminal("bank", "z").await;
    let request = z.request();
    z.say(Missed { request, seen_until_ms: u64::MAX }).await;
    z.done(request).await;
    assert!(missed(&mut z).await.is_empty(), "nobody called there");

    // Calls back.
    let mut a = platform.terminal("shop", "a").await;
    let call = b.invite("a").await.unwrap();
    assert_eq!(a.incoming().await, call);
    a.accept(call).await;
    a.ready().await;
    let mut heard = vec![b.hear_any().await, b.hear_any().await];
    heard.retain(
        |message| matches!(message, Some(ToTerminal::MissedCalls(it)) if it.calls.is_empty()),
    );
    assert_eq!(heard.len(), 1, "there is nobody to call back any more");
    let request = a.request();
    a.say(HangUp { request, call }).await;
    a.done(request).await;
    assert_eq!(b.call_ended().await, CallEnd::HungUp);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_missed_call_that_was_seen_is_gone_on_every_device() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    assert_eq!(a.invite("b").await, Err(Refusal::NotAvailable));
    let mut b = platform.terminal("shop", "b").await;
    let at_ms = missed(&mut b).await[0].at_ms;
    let mut other = Terminal::open(platform.connect().await).await;
    other.sign_in("shop", "b", PASSWORD, 999).await.unwrap();
    assert_eq!(missed(&mut other).await.len(), 1);
    for (seen_until_ms, left) in [(0, 1), (at_ms - 1, 1), (at_ms, 0), (at_ms, 0)] {
        let request = b.request();
        b.say(Missed { request, seen_until_ms }).await;
        b.done(request).await;
        assert_eq!(missed(&mut b).await.len(), left);
    }
    assert!(missed(&mut other).await.is_empty());
    platform.node.stop().await;
}

#[tokio::test]
async fn away_is_said_to_the_own_tenant_only_and_nobody_is_away_before_a_sign_in() {
    let platform = Platform::start().await;
    let mut stranger = Terminal::open(platform.connect().await).await;
    let request = stranger.request();
    stranger.say(SetAway { request, away: true }).await;
    assert_eq!(stranger.refused(request).await, Refusal::NotSignedIn);
    let request = stranger.request();
    stranger.say(Missed { request, seen_until_ms: 0 }).await;
    assert_eq!(stranger.refused(request).await, Refusal::NotSignedIn);

    let mut a = platform.terminal("shop", "a").await;
    let mut z = platform.terminal("bank", "z").await;
    for watcher in [&mut a, &mut z] {
        let request = watcher.request();
        watcher.say(WatchPresence { request }).await;
        watcher.done(request).await;
        presence(watcher).await;
    }
    let mut b = platform.terminal("shop", "b").await;
    assert_eq!(presence(&mut a).await, [("b".to_owned(), PresenceState::Waiting)]);
    for (away, state) in [(true, PresenceState::Away), (false, PresenceState::Waiting)] {
        let request = b.request();
        b.say(SetAway { request, away }).await;
        b.done(request).await;
        assert_eq!(presence(&mut a).await, [("b".to_owned(), state)]);
    }
    assert!(crate::is_silent(&mut z).await);
    platform.node.stop().await;
}
