//! A call on hold: its media stops at the relay, whatever its sender does, and comes again.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::leg::{Arrival, LegClient};
use kakehashi_tests::platform::Platform;
use std::time::Duration;

/// Packets a round sends.
const ROUND: usize = 10;

/// Rounds that an order may take to reach the relay.
const ROUNDS_MAX: usize = 100;

/// Sends a round and counts what arrives of it.
fn round(from: &mut LegClient, to: &mut LegClient) -> usize {
    for stamp in 0..ROUND {
        from.send(stamp as u64, 160).unwrap();
    }
    to.wait_at_most(Duration::from_millis(100)).unwrap();
    let mut arrived = 0;
    while let Some(arrival) = to.receive().unwrap() {
        assert!(!matches!(arrival, Arrival::Refused), "what arrives can be opened");
        arrived += usize::from(matches!(arrival, Arrival::Media { .. }));
    }
    arrived
}

/// Waits until rounds bring `arrived` packets, and sees that it stays so.
fn settles(from: &mut LegClient, to: &mut LegClient, arrived: usize, what: &str) {
    let settled = (0..ROUNDS_MAX).any(|_| round(from, to) == arrived);
    assert!(settled, "{what}: never {arrived} packets a round");
    for _ in 0..5 {
        assert_eq!(round(from, to), arrived, "{what}: it did not stay so");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn media_of_a_held_call_stops_at_the_receiver_and_comes_again() {
    let platform = Platform::start(1);
    let (call, mut from, mut to) = platform.bound_call().await;
    let id = call.caller.ready.call;
    settles(&mut from, &mut to, ROUND, "as it begins");
    let (caller, callee) = (&call.caller.terminal, &call.callee.terminal);
    for _ in 0..2 {
        callee.hold(id, true).await.unwrap();
        settles(&mut from, &mut to, 0, "the receiver holds");
        settles(&mut to, &mut from, 0, "who holds is not received");
        callee.hold(id, false).await.unwrap();
        settles(&mut from, &mut to, ROUND, "the receiver is back");
        settles(&mut to, &mut from, ROUND, "and is received");
    }
    caller.mute(id, true).await.unwrap();
    settles(&mut from, &mut to, 0, "the sender is muted");
    settles(&mut to, &mut from, ROUND, "who is muted hears");
    caller.mute(id, false).await.unwrap();
    settles(&mut from, &mut to, ROUND, "the sender is heard");
    call.end().await.unwrap();
}
