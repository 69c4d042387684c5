//! A whole node over real QUIC, TLS and disk, with hand-written terminals and relays.

#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    unreachable_pub,
    missing_docs,
    reason = "tests may fail by panicking, and nobody else uses their helpers"
)]

mod absence;
mod api;
mod audit;
mod cell;
mod common;
mod console;
mod crowd;
mod desks;
mod full;
mod garbage;
mod guessing;
mod hostile;
mod matrix;
#[path = "../shared/namespace.rs"]
mod namespace;
mod operator;
mod passwords;
mod policy;
mod process;
mod resume;
mod roles;
mod rules;
mod suspension;
mod take_over;

use common::relay::Relay;
use common::terminal::{AUDIO, Terminal};
use common::{PASSWORD, Platform, close_code, settings, within};
use kakehashi_control::config::Config;
use kakehashi_control::gate::CloseCode;
use kakehashi_control::node::Node;
use kakehashi_control::policy::Isolation;
use kakehashi_wire::id::{CallId, RelayId};
use kakehashi_wire::relay::LegLane;
use kakehashi_wire::terminal::{
    CallEnd, Cancel, HangUp, PathRenewed, PresenceState, Refusal, Reject, ReportQuality,
    SessionEnd, SignOut, ToTerminal, WatchPresence,
};
use std::time::Duration;

fn is_silent(terminal: &mut Terminal) -> impl Future<Output = bool> + '_ {
    let wait = Duration::from_millis(300);
    async move { tokio::time::timeout(wait, terminal.hear()).await.is_err() }
}

#[tokio::test]
async fn a_call_from_sign_in_to_record() {
    let platform = Platform::start().await;
    let relays = [Relay::start(&platform, 1).await, Relay::start(&platform, 2).await];
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    relays[0].answer(false);
    relays[1].answer(false);

    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    b.accept(call).await;
    relays[0].until_it_holds(2).await;
    assert!(is_silent(&mut a).await, "nobody sends before the relays have said so");
    relays[0].answer(true);
    relays[1].answer(true);
    let (ready_a, ready_b) = (a.ready().await, b.ready().await);
    assert!(ready_a.senders[0].key.as_ref() == Some(&ready_b.key));
    assert!(ready_b.senders[0].key.as_ref() == Some(&ready_a.key));
    assert_eq!(ready_a.senders[0].login, "b");
    // Relays know the round by a number of its own, both by the same.
    let round = relays[0].held()[0].call;
    for (path, nth) in ready_a.paths.iter().zip(0..) {
        let relay = &relays[path.relay.0 as usize - 1];
        let held = relay.held().into_iter().find(|leg| leg.leg == path.leg).unwrap();
        assert!(held.key == ready_a.key && held.call == round, "path {nth}");
        assert_eq!(held.streams.len(), 1);
        assert_eq!(held.streams[0].ssrc, ready_a.streams[0].ssrc);
        assert!(held.relay_password == path.relay_password);
    }

    let report = ReportQuality {
        call,
        packets_sent: 500,
        packets_received: 499,
        packets_lost: 1,
        jitter_us: 20,
        round_trip_us: 300,
        packets_concealed: 1,
        ways: Vec::new(),
    };
    a.say(report).await;
    let request = a.request();
    a.say(HangUp { request, call }).await;
    a.done(request).await;
    assert_eq!(a.call_ended().await, CallEnd::HungUp);
    assert_eq!(b.call_ended().await, CallEnd::HungUp);
    let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let records = platform.node.records.ended(tenant.id, 10).await.unwrap();
    assert_eq!(records.len(), 1, "the answer came after the record");
    assert_eq!(records[0].reason, Some(CallEnd::HungUp));
    assert_eq!(records[0].members[0].quality.unwrap().packets_received, 499);
    assert_eq!(records[0].members[0].quality.unwrap().packets_concealed, 1);
    assert!(records[0].members.iter().all(|member| member.device.is_some()));
    for relay in &relays {
        relay.until_it_holds(0).await;
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn a_sealed_call_gives_nobody_anothers_key_and_tells_of_new_lives() {
    let folder = tempfile::tempdir().unwrap();
    let per_leg = |config: &mut Config| config.calls.isolation = Isolation::PerLeg;
    let platform = Platform::start_with(folder, per_leg).await;
    let mut relays = [Relay::start(&platform, 1).await, Relay::start(&platform, 2).await];
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let ready = [a.ready().await, b.ready().await];
    for path in ready.iter().flat_map(|ready| &ready.paths) {
        let relay = &relays[path.relay.0 as usize - 1];
        let downlink = path.downlink.as_ref().unwrap();
        assert_eq!(downlink.epoch, relay.epoch(path.leg));
        let install = relay.held().into_iter().find(|leg| leg.leg == path.leg).unwrap();
        let LegLane::Seal(lane) = install.lane else { panic!("a leg in the pass lane") };
        assert!(lane.secret == downlink.secret && lane.suite == downlink.suite);
    }
    assert!(ready.iter().flat_map(|ready| &ready.senders).all(|sender| sender.key.is_none()));

    relays[0].die();
    relays[0] = Relay::start(&platform, 1).await;
    relays[0].until_it_holds(2).await;
    for (terminal, ready) in [(&mut a, &ready[0]), (&mut b, &ready[1])] {
        let leg = ready.paths.iter().find(|path| path.relay == RelayId(1)).unwrap().leg;
        let epoch = relays[0].epoch(leg);
        let heard = terminal.hear().await;
        let Some(ToTerminal::PathRenewed(renewed)) = heard else { panic!("another life") };
        assert_eq!(renewed, PathRenewed { call, leg, epoch });
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn sign_in_tells_nobody_what_was_wrong() {
    let platform = Platform::start().await;
    let wrong = [
        ("shop", "a", "wrong horse battery"),
        ("shop", "nobody", PASSWORD),
        ("nowhere", "a", PASSWORD),
        ("bank", "b", PASSWORD),
    ];
    let mut refusals = Vec::new();
    for (tenant, login, password) in wrong {
        let mut terminal = Terminal::open(platform.connect().await).await;
        refusals.push(terminal.sign_in(tenant, login, password, 1).await.err().unwrap());
    }
    assert_eq!(refusals[0].reason, Refusal::BadCredentials);
    assert!(refusals.iter().all(|refusal| *refusal == refusals[0]), "{refusals:?}");

    let mut terminal = Terminal::open(platform.connect().await).await;
    let request = terminal.request();
    terminal.say(WatchPresence { request }).await;
    assert_eq!(terminal.refused(request).await, Refusal::NotSignedIn);
    let good = terminal.sign_in("shop", "a", PASSWORD, 1).await.unwrap();
    assert_eq!(good.display, "Display a");

    let mut terminal = Terminal::open(platform.connect().await).await;
    for _ in 0..3 {
        terminal.sign_in("shop", "b", "guess", 1).await.err().unwrap();
    }
    assert_eq!(terminal.session_ended().await, SessionEnd::Protocol);
    assert_eq!(close_code(&terminal.connection).await, CloseCode::NoSignIn as u64);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_second_sign_in_replaces_its_own_device_only() {
    let platform = Platform::start().await;
    let mut first = platform.terminal("shop", "a").await;
    let mut other = Terminal::open(platform.connect().await).await;
    other.sign_in("shop", "a", PASSWORD, 999).await.unwrap();
    let mut second = platform.terminal("shop", "a").await;
    assert_eq!(first.session_ended().await, SessionEnd::Replaced);
    assert_eq!(close_code(&first.connection).await, CloseCode::Replaced as u64);
    for terminal in [&mut second, &mut other] {
        let request = terminal.request();
        terminal.say(SignOut { request }).await;
        assert_eq!(terminal.session_ended().await, SessionEnd::SignedOut);
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn all_devices_ring_and_the_first_has_the_call() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut other = Terminal::open(platform.connect().await).await;
    other.sign_in("shop", "b", PASSWORD, 999).await.unwrap();
    let call = a.invite("b").await.unwrap();
    assert_eq!((b.incoming().await, other.incoming().await), (call, call));
    other.accept(call).await;
    let Some(ToTerminal::Taken(taken)) = b.hear().await else { panic!("taken") };
    assert_eq!(taken.call, call);
    let request = b.request();
    b.say(Reject { request, call }).await;
    assert_eq!(b.refused(request).await, Refusal::TooLate);
    let (_, _) = (a.ready().await, other.ready().await);
    let request = other.request();
    other.say(HangUp { request, call }).await;
    other.done(request).await;
    assert_eq!(a.call_ended().await, CallEnd::HungUp);
    assert_eq!(other.call_ended().await, CallEnd::HungUp);
    assert!(is_silent(&mut b).await);
    platform.node.stop().await;
}

#[tokio::test]
async fn calls_that_are_not_taken() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("shop", "c").await;

    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    assert_eq!(c.invite("a").await, Err(Refusal::InAnotherCall));
    let request = b.request();
    b.say(Reject { request, call }).await;
    b.done(request).await;
    assert_eq!(a.call_ended().await, CallEnd::Rejected);
    assert_eq!(b.call_ended().await, CallEnd::Rejected);

    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    let request = a.request();
    a.say(Cancel { request, call }).await;
    a.done(request).await;
    assert_eq!(a.call_ended().await, CallEnd::Cancelled);
    assert_eq!(b.call_ended().await, CallEnd::Cancelled);

    a.invite("b").await.unwrap();
    b.incoming().await;
    assert_eq!(a.call_ended().await, CallEnd::NoAnswer);
    assert_eq!(b.call_ended().await, CallEnd::NoAnswer);

    a.invite("b").await.unwrap();
    b.incoming().await;
    a.connection.close(0_u32.into(), b"gone");
    assert_eq!(b.call_ended().await, CallEnd::PeerLost);
    assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable));
    assert_eq!(b.invite("b").await, Err(Refusal::CallsItself));
    platform.node.stop().await;
}

#[tokio::test]
async fn another_tenant_does_not_exist() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut z = platform.terminal("bank", "z").await;
    for login in ["z", "nobody", ""] {
        assert_eq!(a.invite(login).await, Err(Refusal::NoSuchLogin), "{login:?}");
    }
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    for unknown in [call, CallId(1)] {
        let request = z.request();
        z.say(HangUp { request, call: unknown }).await;
        assert_eq!(z.refused(request).await, Refusal::NoSuchCall);
    }
    let request = z.request();
    z.say(WatchPresence { request }).await;
    z.done(request).await;
    let Some(ToTerminal::Presence(list)) = z.hear().await else { panic!("a list") };
    let of_bank: Vec<_> = list.entries.iter().map(|e| (e.login.as_str(), e.state)).collect();
    assert_eq!(of_bank, [("a", PresenceState::Offline), ("z", PresenceState::Waiting)]);
    assert!(is_silent(&mut z).await);
    platform.node.stop().await;
}

#[tokio::test]
async fn relays_prove_which_they_are_and_silence_loses_them() {
    let platform = Platform::start().await;
    let (liar, _send, _recv) = Relay::greet(&platform.pki(), platform.node.relay_addr, 1, 2).await;
    assert_eq!(close_code(&liar).await, CloseCode::Relay as u64);

    let mut a = platform.terminal("shop", "a").await;
    let _b = platform.terminal("shop", "b").await;
    assert_eq!(a.invite("b").await, Err(Refusal::NoRelay));
    // Says hello and nothing more: lost after `lost_after_ms`.
    let (quiet, _send, _recv) = Relay::greet(&platform.pki(), platform.node.relay_addr, 3, 3).await;
    let relays = || platform.node.live();
    let connected = async {
        while !relays().relays().await.unwrap().iter().any(|row| row.connected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(connected).await;
    within(quiet.closed()).await;
    let lost = async {
        while relays().relays().await.unwrap().iter().any(|row| row.connected) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(lost).await;
    assert_eq!(a.invite("b").await, Err(Refusal::NoRelay));
    platform.node.stop().await;
}

#[tokio::test]
async fn a_stop_is_said_and_a_restart_remembers() {
    let platform = Platform::start().await;
    let relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let (_, _) = (a.ready().await, b.ready().await);
    let before = relay.held().iter().map(|leg| leg.generation).max().unwrap();
    let Platform { node, folder } = platform;
    let (stopped, ()) = tokio::join!(node.stop(), async {
        assert_eq!(a.session_ended().await, SessionEnd::NodeStopping);
        assert_eq!(close_code(&a.connection).await, CloseCode::NodeStopping as u64);
    });
    let () = stopped;

    let platform = Platform::start_in(folder).await;
    let relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let (_, _) = (a.ready().await, b.ready().await);
    assert!(relay.held().iter().all(|leg| leg.generation > before));
    let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let ended = platform.node.records.ended(tenant.id, 10).await.unwrap();
    assert_eq!(ended.len(), 1);
    assert_eq!(ended[0].reason, Some(CallEnd::PeerLost), "a sign-in begins anew");
    assert_eq!(platform.node.live().live_calls().await.unwrap().len(), 1);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let platform = Platform::start().await;
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.terminals.listen = platform.node.terminal_addr;
    let error = Node::start(config).await.err().unwrap().to_string();
    let port = platform.node.terminal_addr.port().to_string();
    assert!(error.contains(&port) && error.contains("in use"), "{error}");
    assert!(error.contains("terminals.listen"), "{error}");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_refused_offer_changes_nothing() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    for streams in [vec![], vec![AUDIO, AUDIO]] {
        let request = a.request();
        let login = "b".to_owned();
        a.say(kakehashi_wire::terminal::Invite { request, login, streams }).await;
        assert_eq!(a.refused(request).await, Refusal::BadRequest);
    }
    assert!(is_silent(&mut b).await);
    platform.node.stop().await;
}

/// Prints how long both halves of a set-up take; fails only if something waits for a timer.
#[tokio::test]
async fn calls_are_set_up_without_waiting() {
    let platform = Platform::start().await;
    let _relays = [Relay::start(&platform, 1).await, Relay::start(&platform, 2).await];
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut times = Vec::new();
    for _ in 0..25 {
        let begun = tokio::time::Instant::now();
        let call = a.invite("b").await.unwrap();
        b.incoming().await;
        let rung = begun.elapsed();
        b.accept(call).await;
        let (_, _) = (a.ready().await, b.ready().await);
        times.push((begun.elapsed(), rung));
        let request = a.request();
        a.say(HangUp { request, call }).await;
        a.done(request).await;
        let (_, _) = (a.call_ended().await, b.call_ended().await);
    }
    times.sort();
    let (median, slowest) = (times[times.len() / 2], times[times.len() - 1]);
    eprintln!("invite to ready, of it invite to ringing: {median:?}, slowest {slowest:?}");
    assert!(median.0 < Duration::from_millis(400), "{median:?}");
    platform.node.stop().await;
}
