//! A terminal moves to another address in the middle of a call: the connection goes on, and nobody
//! notices.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::signed_in;
use kakehashi_terminal::{Event, Events, Settings, Timing};
use kakehashi_tests::platform::Platform;
use kakehashi_tests::talk::Talk;
use kakehashi_tests::way::Way;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{CallEnd, MemberPhase};
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);
const MOVES: usize = 3;

/// A connection that did not move would be lost before the test ends.
const TIMING: Timing = Timing {
    dial: Duration::from_secs(5),
    reply: Duration::from_secs(10),
    retry_least: Duration::from_millis(100),
    retry_most: Duration::from_millis(200),
    keep_alive: Duration::from_millis(300),
    idle: Duration::from_secs(2),
    resume: Duration::from_secs(3),
    busy_ping: Duration::from_millis(250),
    busy_silence: Duration::from_secs(1),
};

/// Hears everything up to the end of `call`, and that nobody was away meanwhile.
async fn undisturbed_until_the_end(events: &mut Events, call: CallId) {
    loop {
        match timeout(SOON, events.next()).await.unwrap().unwrap() {
            Event::Reconnecting { why, .. } => panic!("it reconnects: {why}"),
            Event::Resumed | Event::SignedIn(_) => panic!("another connection"),
            Event::Members(now) => {
                let away = |phase| phase == MemberPhase::Reconnecting;
                assert!(!now.members.iter().any(|member| away(member.phase)), "{now:?}");
            }
            Event::Ended { call: ended, reason } if ended == call => {
                return assert_eq!(reason, CallEnd::HungUp);
            }
            Event::Ended { .. } | Event::Lost { .. } | Event::SessionEnded { .. } => {
                panic!("more ended than the call")
            }
            _ => {}
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_terminal_that_moves_to_another_address_keeps_its_connection_and_its_call() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let way = Way::to(&platform.control());
    let moving =
        Settings { control: vec![way.address()], timing: TIMING, ..platform.settings(&store) };
    let call = signed_in::call(moving, platform.settings(&concierge)).await.unwrap();
    let (from, to) = Talk::legs(&call);
    let talk = Talk::start(from, to);
    talk.goes_on().await;
    let sessions = platform.run_well(&["sessions", "--json"]);

    for _ in 0..MOVES {
        way.move_to_another_port();
        assert_eq!(way.came(), 0);
        call.caller.terminal.watch_presence().await.unwrap();
        assert!(way.came() > 0, "control answers where the terminal is now");
        tokio::time::sleep(TIMING.idle).await;
        talk.goes_on().await;
    }
    assert_eq!(platform.run_well(&["sessions", "--json"]), sessions);

    let pieces = talk.end();
    assert!(pieces.len() > MOVES, "{pieces:?}");
    for piece in pieces {
        assert!(piece.sent > 20 && piece.lost() == 0 && piece.refused == 0, "{piece:?}");
    }
    let (mut caller, mut callee) = (call.caller, call.callee);
    let id = caller.ready.call;
    caller.terminal.hang_up(id).await.unwrap();
    undisturbed_until_the_end(&mut caller.events, id).await;
    undisturbed_until_the_end(&mut callee.events, id).await;
    let audit = platform.run_well(&["audit", "list"]);
    assert_eq!(audit.matches(" sign_in ").count(), 2, "{audit}");
    assert_eq!(audit.matches(" resume ").count(), 0, "{audit}");
}
