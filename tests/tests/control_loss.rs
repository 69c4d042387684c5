//! Control is killed in the middle of calls and started again: they go on.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::signed_in;
use kakehashi_terminal::{Event, Events, Settings, Terminal};
use kakehashi_tests::platform::{NOTICES_SOON, Platform};
use kakehashi_tests::talk::Talk;
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::CallEnd;
use std::process::Command;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(60);

const VOICE: StreamOffer = StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus };

/// The next event that `wanted` makes something of.
async fn until<T>(events: &mut Events, mut wanted: impl FnMut(Event) -> Option<T>) -> T {
    loop {
        let event = timeout(SOON, events.next()).await.unwrap().unwrap();
        if let Event::Lost { .. } = event {
            panic!("a call was lost");
        }
        if let Some(found) = wanted(event) {
            return found;
        }
    }
}

async fn resumed(events: &mut Events) {
    until(events, |event| match event {
        Event::Resumed => Some(()),
        Event::SignedIn(_) => panic!("it began a new session"),
        Event::Ended { reason, .. } => panic!("a call ended: {reason:?}"),
        _ => None,
    })
    .await;
}

async fn end_of(events: &mut Events) -> (CallId, CallEnd) {
    until(events, |event| match event {
        Event::Ended { call, reason } => Some((call, reason)),
        _ => None,
    })
    .await
}

/// Waits until both relays have found the node again: they take its silence for a loss after 3 s.
async fn relays_are_back(platform: &Platform) {
    let connected = || {
        let rows = platform.run_well(&["relays", "--json"]);
        rows.matches("\"connected\":true").count()
    };
    let wait = async {
        while connected() < 2 {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    timeout(SOON, wait).await.expect("relays find the node");
}

fn kill(pid: u32) {
    assert!(Command::new("kill").args(["-KILL", &pid.to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn calls_and_their_media_go_on_when_control_is_killed_and_ringing_rings_on() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let settings = |of| Settings { timing: NOTICES_SOON, ..platform.settings(of) };
    let call = signed_in::call(settings(&store), settings(&concierge)).await.unwrap();
    let (from, to) = Talk::legs(&call);
    let talk = Talk::start(from, to);
    talk.goes_on().await;
    let (mut caller, mut callee) = (call.caller, call.callee);

    let control = platform.control_process();
    kill(control);
    resumed(&mut caller.events).await;
    resumed(&mut callee.events).await;
    assert_ne!(platform.control_process(), control);
    talk.goes_on().await;
    let pieces = talk.end();
    assert!(pieces.len() > 3, "{pieces:?}");
    for piece in pieces {
        assert!(piece.sent > 20 && piece.lost() == 0 && piece.refused == 0, "{piece:?}");
    }
    let id = caller.ready.call;
    caller.terminal.hang_up(id).await.unwrap();
    for events in [&mut caller.events, &mut callee.events] {
        assert_eq!(end_of(events).await, (id, CallEnd::HungUp));
    }

    relays_are_back(&platform).await;
    let call = caller.terminal.invite("concierge-1", vec![VOICE]).await.unwrap();
    until(&mut callee.events, |event| matches!(event, Event::Incoming(_)).then_some(())).await;
    kill(platform.control_process());
    resumed(&mut caller.events).await;
    resumed(&mut callee.events).await;
    let terminal: &Terminal = &callee.terminal;
    relays_are_back(&platform).await;
    terminal.accept(call, vec![VOICE]).await.unwrap();
    for events in [&mut caller.events, &mut callee.events] {
        until(events, |event| matches!(event, Event::Ready(_)).then_some(())).await;
    }
    callee.terminal.hang_up(call).await.unwrap();
    assert_eq!(end_of(&mut caller.events).await, (call, CallEnd::HungUp));
}
