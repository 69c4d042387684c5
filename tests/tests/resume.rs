//! A terminal loses its connection to control in the middle of a call.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::signed_in::{self, LiveCall, SignedIn};
use kakehashi_terminal::{Event, Events, Settings, Timing};
use kakehashi_tests::platform::{NOTICES_SOON, Platform, TENANT};
use kakehashi_tests::talk::Talk;
use kakehashi_tests::way::Way;
use kakehashi_wire::terminal::{CallEnd, MemberPhase};
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// Longer than a session is kept without a connection.
const SOON: Duration = Duration::from_secs(90);

/// A call whose caller reaches control over the way.
async fn call_over_a_way(platform: &Platform) -> (LiveCall, Way) {
    let (store, concierge) = platform.add_pair();
    let way = Way::to(&platform.control());
    let cut = Settings {
        control: vec![way.address()],
        timing: NOTICES_SOON,
        ..platform.settings(&store)
    };
    let call = signed_in::call(cut, platform.settings(&concierge)).await;
    (call.unwrap(), way)
}

/// The next event that `wanted` makes something of.
async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        let event = timeout(SOON, events.next()).await.unwrap().unwrap();
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

/// Waits until the one who called is in this phase for the one who hears `events`.
async fn sees(events: &mut Events, phase: MemberPhase) {
    until(events, |event| match event {
        Event::Members(now) => {
            let caller = now.members.iter().find(|member| member.login == "store-1").unwrap();
            (caller.phase == phase).then_some(())
        }
        Event::Ended { reason, .. } => panic!("the call ended: {reason:?}"),
        _ => None,
    })
    .await;
}

async fn end_of_call(events: &mut Events) -> CallEnd {
    until(events, |event| match event {
        Event::Ended { reason, .. } => Some(reason),
        _ => None,
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_goes_on_while_a_terminal_reconnects_and_no_password_is_asked_for() {
    let platform = Platform::start(1);
    let (call, way) = call_over_a_way(&platform).await;
    let (from, to) = Talk::legs(&call);
    let talk = Talk::start(from, to);
    talk.goes_on().await;
    let (mut caller, mut callee) = (call.caller, call.callee);

    way.cut(true);
    sees(&mut callee.events, MemberPhase::Reconnecting).await;
    talk.goes_on().await;
    way.cut(false);
    until(&mut caller.events, |event| match event {
        Event::Resumed => Some(()),
        Event::SignedIn(_) => panic!("it began a new session"),
        Event::Ended { .. } | Event::Lost { .. } => panic!("the call is over"),
        _ => None,
    })
    .await;
    sees(&mut callee.events, MemberPhase::In).await;
    talk.goes_on().await;

    let pieces = talk.end();
    assert!(pieces.len() > 3, "{pieces:?}");
    for piece in pieces {
        assert!(piece.sent > 20 && piece.lost() == 0 && piece.refused == 0, "{piece:?}");
    }
    caller.terminal.hang_up(caller.ready.call).await.unwrap();
    for events in [&mut caller.events, &mut callee.events] {
        assert_eq!(end_of_call(events).await, CallEnd::HungUp);
    }
    let audit = platform.run_well(&["audit", "list"]);
    assert_eq!(audit.matches(" sign_in ").count(), 2, "{audit}");
    assert_eq!(audit.matches(" resume ").count(), 1, "{audit}");
}

/// What a terminal has by default: a connection that nothing is heard of for so long is lost.
const IDLE: Duration = Duration::from_secs(15);

#[tokio::test(flavor = "multi_thread")]
async fn a_network_that_falls_silent_is_noticed_in_its_time_and_one_that_is_only_quiet_is_not() {
    let platform = Platform::start(1);
    assert_eq!(Timing::default().idle, IDLE);
    let (store, concierge) = platform.add_pair();
    let quiet = platform.add_account(TENANT, "quiet-1");
    let over = |account, way: &Way| Settings {
        control: vec![way.address()],
        ..platform.settings(account)
    };
    let (way, quiet_way) = (Way::to(&platform.control()), Way::to(&platform.control()));
    let mut quiet = SignedIn::start(over(&quiet, &quiet_way)).await.unwrap();
    let call = signed_in::call(over(&store, &way), platform.settings(&concierge)).await.unwrap();
    let (mut caller, mut callee) = (call.caller, call.callee);
    let heard = quiet_way.came();

    let cut = Instant::now();
    way.cut(true);
    sees(&mut callee.events, MemberPhase::Reconnecting).await;
    // In a call a terminal says something all the time, and control had heard of it just before.
    let noticed = cut.elapsed();
    println!("noticed after {noticed:?}");
    assert!(noticed > IDLE - Duration::from_secs(3), "{noticed:?}");
    way.cut(false);
    until(&mut caller.events, |event| matches!(event, Event::Resumed).then_some(())).await;
    sees(&mut callee.events, MemberPhase::In).await;

    // Nobody has said anything to the other for longer than that, and it is still connected.
    assert!(quiet_way.came() >= heard + 2, "no keep-alives");
    let said = timeout(Duration::from_millis(1), quiet.events.next()).await;
    assert!(said.is_err(), "its connection did not go on");
    caller.terminal.hang_up(caller.ready.call).await.unwrap();
    let audit = platform.run_well(&["audit", "list"]);
    assert_eq!(audit.matches(" resume ").count(), 1, "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_ends_when_a_terminal_stays_away_longer_than_the_grace() {
    let platform = Platform::start(1);
    let (call, way) = call_over_a_way(&platform).await;
    let (mut caller, mut callee) = (call.caller, call.callee);
    let id = caller.ready.call;

    way.cut(true);
    sees(&mut callee.events, MemberPhase::Reconnecting).await;
    assert_eq!(end_of_call(&mut callee.events).await, CallEnd::PeerLost);
    way.cut(false);
    let (mut is_back, mut is_over) = (false, false);
    until(&mut caller.events, |event| {
        match event {
            Event::Resumed => is_back = true,
            Event::SignedIn(_) => panic!("its token is good for a new session"),
            Event::Ended { call, .. } | Event::Lost { call } => is_over |= call == id,
            _ => {}
        }
        (is_back && is_over).then_some(())
    })
    .await;
    assert_eq!(platform.run_well(&["sessions"]).lines().count(), 3, "a heading and both");
}
