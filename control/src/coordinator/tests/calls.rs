//! Calls as their members live them.

use super::*;
use crate::clock::UnixMs;
use kakehashi_wire::relay::ShardLoad;
use kakehashi_wire::terminal::WayToRelay;

/// Two accounts of tenant 1 in sessions 1 and 2, relays as given, and nothing unread.
fn two(relays: u32) -> World {
    let mut world = World::new(relays);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.told.clear();
    world
}

#[test]
fn a_call_from_invitation_to_hang_up() {
    let mut world = two(2);
    world.relays_are.answer = false;
    let call = world.invite(1, 2).unwrap();
    assert_eq!(world.heard(2), ["Incoming login-1"]);
    world.accept(2, call);
    assert_eq!(world.heard(2), ["Done"]);
    assert!(world.heard(1).is_empty(), "nobody sends before the relays are ready");
    world.answer_relay(1);
    assert!(world.heard(1).is_empty(), "the standby is not ready yet");
    world.answer_relay(2);
    let (a, b) = (world.ready(1).unwrap(), world.ready(2).unwrap());
    assert_eq!((a.paths.len(), b.paths.len()), (2, 2));
    assert!(a.senders[0].key.as_ref() == Some(&b.key) && b.senders[0].key.as_ref() == Some(&a.key));
    assert_eq!(world.disk[&call].state, RecordState::Active);
    world.relays_are.answer = true;
    world.hang_up(1, call);
    assert_eq!(world.heard(1), ["Done", "CallEnded HungUp"]);
    assert_eq!(world.heard(2), ["CallEnded HungUp"]);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::HungUp));
    world.assert_clean();
}

#[test]
fn a_slow_standby_is_not_waited_for_and_a_dead_primary_is_left_behind() {
    let mut world = two(2);
    world.relays_are.answer = false;
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.answer_relay(1);
    world.wait(Duration::from_millis(499));
    assert!(world.ready(1).is_none());
    world.wait(Duration::from_millis(2));
    let paths: Vec<_> = world.ready(1).unwrap().paths.iter().map(|p| p.relay.0).collect();
    assert_eq!(paths, [1, 2], "the standby may still come");
    world.relays_are.answer = true;
    world.answer_relay(2);
    world.hang_up(1, call);
    world.assert_clean();

    let mut world = two(2);
    world.relays_are.answer = false;
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.answer_relay(2);
    world.link_down(1);
    let ready = world.ready(2).unwrap();
    assert_eq!(ready.paths.iter().map(|p| p.relay.0).collect::<Vec<_>>(), [2]);
    world.hang_up(2, call);
    world.assert_clean();
}

#[test]
fn a_standby_that_refuses_is_left_out() {
    let mut world = two(2);
    for relay in world.relays.values_mut().skip(1) {
        relay.refuses = Some(Outcome::NoRoom);
    }
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    assert_eq!(world.ready(1).unwrap().paths.len(), 1);
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn relays_that_refuse_or_never_answer_end_the_call() {
    let mut world = two(1);
    world.relays.values_mut().for_each(|relay| relay.refuses = Some(Outcome::NoRoom));
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    assert_eq!(world.heard(2), ["Incoming login-1", "Done", "CallEnded NoRelay"]);
    assert_eq!(world.heard(1), ["CallEnded NoRelay"]);
    world.assert_clean();

    let mut world = two(1);
    world.relays_are.answer = false;
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.wait(Duration::from_secs(4));
    assert_eq!(world.heard(1), ["CallEnded NoRelay"]);
    world.assert_clean();
    assert_eq!(two(0).invite(1, 2), Err(Refusal::NoRelay));
}

#[test]
fn a_call_that_is_not_taken() {
    let mut world = two(1);
    let call = world.invite(1, 2).unwrap();
    let request = world.request();
    world.ask(2, Request::Reject(Reject { request, call }));
    assert_eq!(world.heard(2), ["Incoming login-1", "Done", "CallEnded Rejected"]);
    assert_eq!(world.heard(1), ["CallEnded Rejected"]);

    let call = world.invite(1, 2).unwrap();
    let request = world.request();
    world.ask(1, Request::Cancel(Cancel { request, call }));
    assert_eq!(world.heard(1), ["Done", "CallEnded Cancelled"]);
    assert_eq!(world.heard(2), ["Incoming login-1", "CallEnded Cancelled"]);

    world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(44));
    assert!(world.heard(1).is_empty());
    world.wait(Duration::from_secs(1));
    assert_eq!(world.heard(1), ["CallEnded NoAnswer"]);
    assert_eq!(world.heard(2), ["Incoming login-1", "CallEnded NoAnswer"]);
    world.assert_clean();
}

#[test]
fn who_is_busy_away_or_elsewhere_is_not_rung() {
    let mut world = two(1);
    world.sign_in(3, 1, 3, 13);
    world.sign_in(9, 2, 9, 19);
    let call = world.invite(1, 2).unwrap();
    assert_eq!(world.invite(3, 2), Err(Refusal::InAnotherCall));
    assert_eq!(world.invite(1, 3), Err(Refusal::InAnotherCall));
    assert_eq!(world.invite(3, 4), Err(Refusal::NotAvailable));
    assert_eq!(world.invite(3, 3), Err(Refusal::CallsItself));
    let request = world.request();
    world.ask(3, Request::Invite(request, None, vec![AUDIO]));
    assert_eq!(world.heard(3), ["Refused NoSuchLogin"]);
    // Another tenant's session names the same call: there is none.
    for session in [3, 9] {
        world.take(session);
        world.hang_up(session, call);
        world.accept(session, call);
        let nothing = ["Refused NoSuchCall", "Refused NoSuchCall"];
        assert_eq!(world.heard(session), nothing);
    }
    world.accept(1, call);
    assert_eq!(world.heard(1), ["Refused BadRequest"], "nobody takes their own call");
}

#[test]
fn a_session_is_replaced_by_its_device() {
    let mut world = two(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.told.clear();
    world.sign_in(4, 1, 1, 11);
    assert_eq!(world.ended[&SessionId(1)], SessionEnd::Replaced);
    assert_eq!(world.heard(2), ["CallEnded PeerLost"]);
    assert_eq!(world.heard(4), ["SignedIn"]);
    // The old connection is gone a little later, and takes nothing with it.
    world.input(Input::Gone(SessionId(1)));
    world.told.clear();
    assert!(world.invite(4, 2).is_ok());
}

#[test]
fn watchers_see_a_list_and_then_every_change_of_their_tenant() {
    let mut world = two(1);
    let known = |account| KnownAccount {
        account: AccountId(account),
        login: format!("login-{account}"),
        display: String::new(),
    };
    let request = world.request();
    world.ask(1, Request::Watch(request, vec![known(1), known(2), known(3)]));
    let list = "Presence login-1=Waiting login-2=Waiting login-3=Offline";
    assert_eq!(world.heard(1), ["Done", list]);
    world.sign_in(9, 2, 9, 19);
    assert!(world.heard(1).is_empty(), "another tenant does not exist");
    world.sign_in(3, 1, 3, 13);
    assert_eq!(world.heard(1), ["Presence login-3=Waiting"]);
    let call = world.invite(3, 2).unwrap();
    assert_eq!(world.heard(1), ["Presence login-3=Ringing", "Presence login-2=Ringing"]);
    world.accept(2, call);
    assert_eq!(world.heard(1), ["Presence login-3=InCall", "Presence login-2=InCall"]);
    world.input(Input::Gone(SessionId(2)));
    assert_eq!(world.heard(1), ["Presence login-3=Waiting", "Presence login-2=Offline"]);
    world.ask(3, Request::SignOut);
    assert_eq!(world.heard(1), ["Presence login-3=Offline"]);
    assert_eq!(world.ended[&SessionId(3)], SessionEnd::SignedOut);
}

#[test]
fn a_node_that_stops_says_so_and_leaves_its_calls_to_the_next() {
    let mut world = two(1);
    let call = world.invite(1, 2).unwrap();
    world.input(Input::Stop);
    assert!(world.heard(1).is_empty());
    assert_eq!(world.disk[&call].state, RecordState::Ringing);
    assert_eq!(world.ended.len(), 2);
    assert!(world.ended.values().all(|end| *end == SessionEnd::NodeStopping));
}

#[test]
fn quality_is_kept_with_the_record() {
    let mut world = two(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let report = ReportQuality {
        call,
        packets_sent: 10,
        packets_received: 9,
        packets_lost: 1,
        jitter_us: 5,
        round_trip_us: 7,
        packets_concealed: 5,
        ways: Vec::new(),
    };
    world.ask(2, Request::Report(report));
    let rows = world.core.call_rows();
    let [heard] = &rows[0].quality[..] else { panic!("one has reported") };
    let sample = heard.samples[0];
    assert_eq!((&heard.login[..], sample.received, sample.lost), ("login-2", 9, 1));
    world.now.wall = UnixMs(9000);
    world.hang_up(2, call);
    let [caller, callee] = &world.disk[&call].members[..] else { panic!("two members") };
    assert_eq!(callee.quality.unwrap().packets_received, 9);
    assert_eq!(caller.quality, None);
    for member in [caller, callee] {
        assert_eq!((member.joined, member.left), (Some(UnixMs(0)), Some(UnixMs(9000))));
    }
    let call = world.invite(1, 2).unwrap();
    world.hang_up(1, call);
    let joined: Vec<_> = world.disk[&call].members.iter().map(|member| member.joined).collect();
    assert_eq!(joined, [None, None], "nobody was in it");
}

#[test]
fn long_calls_keep_their_legs() {
    let mut world = two(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.wait(Duration::from_secs(5 * 3600));
    for relay in world.relays.values() {
        assert_eq!(relay.held.len(), 2);
    }
    // A relay that comes back has what it should have, whatever it forgot.
    world.link_down(1);
    world.wait(Duration::from_secs(60));
    world.link_up(1);
    assert!(world.relays.values().all(|relay| relay.held.len() == 2));
    world.hang_up(1, call);
    world.assert_clean();
}

/// The relay's shard reports what it holds and has sent.
fn beat(world: &mut World, relay: u32, legs: u32, packets_sent: u64) {
    beat_with(world, relay, (legs, packets_sent), 0);
}

/// The same, and says how much processor time it has used.
fn beat_with(world: &mut World, relay: u32, (legs, packets_sent): (u32, u64), cpu_us: u64) {
    let load = ShardLoad { legs, packets_received: 0, packets_sent, bytes_sent: 0, cpu_us };
    let beat = RelayHeartbeat { beat: 1, term: TERM, shards: vec![load] };
    world.input(Input::LinkSaid(LinkId(relay.into()), beat.into()));
}

#[test]
fn a_relay_that_obeys_another_node_is_told_of_and_its_calls_go_on_where_they_can() {
    let mut world = two(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let outdated = Outdated { refused: TERM, newest: Term(TERM.0 + 1) };
    for _ in 0..2 {
        world.input(Input::LinkSaid(LinkId(1), outdated.into()));
    }
    assert_eq!(
        world.noted.newer_terms,
        [Term(TERM.0 + 1)],
        "said once: it is not listened to any more"
    );
    let held = world.relays[&LinkId(1)].held.len();
    world.hang_up(1, call);
    assert_eq!(world.relays[&LinkId(1)].held.len(), held, "another orders there");
    assert!(world.relays[&LinkId(2)].held.is_empty());
    assert_eq!(placed(&mut world, 3, 4), [2]);
}

/// The relays a new call gets, primary first. It stays.
fn placed(world: &mut World, caller: u64, callee: u64) -> Vec<u32> {
    for account in [caller, callee] {
        world.sign_in(account, 1, account, account);
    }
    let call = world.invite(caller, callee).unwrap();
    world.accept(callee, call);
    world.ready(caller).unwrap().paths.iter().map(|path| path.relay.0).collect()
}

#[test]
fn heartbeats_tell_the_load() {
    let mut world = two(2);
    beat(&mut world, 1, 900, 0);
    assert_eq!(placed(&mut world, 1, 2), [2, 1]);
}

#[test]
fn a_relay_with_few_but_heavy_calls_is_avoided_while_that_is_known() {
    let mut world = two(2);
    beat(&mut world, 1, 2, 7_000_000);
    beat(&mut world, 2, 100, 5_000_000);
    assert_eq!(placed(&mut world, 1, 2), [1, 2], "what was sent before is no load now");
    world.wait(Duration::from_millis(200));
    beat(&mut world, 1, 2, 7_020_000);
    beat(&mut world, 2, 100, 5_000_100);
    assert_eq!(placed(&mut world, 3, 4), [2, 1]);
    // Neither reports anything new: after a while only their legs count.
    world.wait(Duration::from_secs(4));
    assert_eq!(placed(&mut world, 5, 6), [2, 1]);
    world.wait(Duration::from_secs(2));
    assert_eq!(placed(&mut world, 7, 8), [1, 2]);
}

#[test]
fn new_calls_go_to_a_relay_that_is_added_under_load() {
    let mut world = two(2);
    let beats = |world: &mut World, seconds: u64| {
        // A core each at a third, 20 legs that cost 1,000 packets a second each.
        let cpu_us = seconds * 330_000;
        (1..=2).for_each(|relay| beat_with(world, relay, (20, seconds * 20_000), cpu_us));
    };
    beats(&mut world, 1);
    world.wait(Duration::from_secs(1));
    beats(&mut world, 2);
    assert_eq!(placed(&mut world, 1, 2), [1, 2]);
    world.link_up(3);
    for nth in 0..10 {
        world.wait(Duration::from_millis(100));
        let relays = placed(&mut world, 10 + 2 * nth, 11 + 2 * nth);
        assert_eq!(relays[0], 3, "call {nth}");
        assert_ne!(relays[1], 3);
    }
}

#[test]
fn a_relay_that_stands_by_for_much_is_kept_free_for_it() {
    let mut world = two(2);
    for nth in 0..3 {
        assert_eq!(placed(&mut world, 10 + 2 * nth, 11 + 2 * nth), [1, 2]);
    }
    world.link_up(3);
    for seconds in 1..=2 {
        world.wait(Duration::from_secs(1));
        beat_with(&mut world, 1, (6, seconds * 60_000), seconds * 700_000);
        beat_with(&mut world, 2, (6, seconds * 20_000), seconds * 300_000);
        beat_with(&mut world, 3, (6, seconds * 26_000), seconds * 400_000);
    }
    // Relay 2 has the least to do, but could not do it for the calls of relay 1 as well.
    assert_eq!(placed(&mut world, 1, 2), [3, 1]);
}

/// A member of a call says how far its relays are.
fn measures(world: &mut World, session: u64, call: CallId, round_trip_us: fn(u32) -> u32) {
    let paths = world.ready(session).map(|ready| ready.paths).unwrap_or_default();
    let way = |relay: RelayId| WayToRelay { relay, round_trip_us: round_trip_us(relay.0) };
    let ways = paths.iter().map(|path| way(path.relay)).collect();
    let report = ReportQuality {
        call,
        packets_sent: 1,
        packets_received: 1,
        packets_lost: 0,
        jitter_us: 0,
        round_trip_us: 0,
        packets_concealed: 0,
        ways,
    };
    world.ask(session, Request::Report(report));
}

#[test]
fn calls_go_over_the_sites_that_their_members_are_near_to() {
    let mut world = World::new(0);
    world.sites = [(1, "east"), (2, "west"), (3, "west"), (4, "north")].into();
    (1..=4).for_each(|relay| world.link_up(relay));
    for account in 1..=4 {
        world.sign_in(account, 1, account, account);
    }
    // Accounts 1 and 2 are in the west, and two calls tell it: over relays 1 and 2, then 2 and 4.
    let west = |relay| if matches!(relay, 2 | 3) { 8_000 } else { 70_000 };
    for other in [3, 4] {
        let call = world.invite(1, 2).unwrap();
        world.accept(2, call);
        measures(&mut world, 1, call, west);
        measures(&mut world, 2, call, west);
        // Whoever is in no call of these relays says nothing.
        measures(&mut world, other, call, |_| 1);
        world.hang_up(1, call);
    }
    let relays = |world: &mut World, caller: u64, callee: u64| -> (CallId, Vec<u32>) {
        let call = world.invite(caller, callee).unwrap();
        world.accept(callee, call);
        let ready = world.ready(caller).unwrap();
        (call, ready.paths.iter().map(|path| path.relay.0).collect())
    };
    let (call, at) = relays(&mut world, 1, 2);
    assert!(matches!(at[0], 2 | 3) && matches!(at[1], 1 | 4), "{at:?}");
    // With the primary lost the other relay of the west comes in, although another is as free.
    world.link_down(at[0]);
    world.wait(Duration::from_secs(2));
    let media = world.core.calls.get(call).unwrap().rounds().current().unwrap();
    let seats: Vec<_> = media.in_use().map(|place| place.seat.relay.0).collect();
    assert!(seats.contains(&(5 - at[0])), "{seats:?}");
    // Of others nothing is known.
    world.restart(at[0]);
    assert_eq!(relays(&mut world, 3, 4).1.len(), 2);
}
