//! Calls that go on and ask a desk for one more.

use super::desks::{SECOND, desk, office};
use super::*;
use crate::desks::{Desk, Overflow, RingOrder};
use crate::records::PartyRole;
use crate::sessions::Whom;

impl World {
    fn ask_desk(&mut self, session: u64, call: CallId, desk: &str, then_leave: bool) {
        let (request, desk) = (self.request(), desk.to_owned());
        self.ask(session, Request::AddDesk(AddDesk { request, call, desk, then_leave }));
    }

    fn presence(&self, account: u64) -> PresenceState {
        let account = AccountKey { tenant: TenantId(1), account: AccountId(account) };
        self.core.presences.state(account)
    }

    /// How it was said that nobody comes.
    fn ask_failed(&mut self, session: u64) -> Option<(String, CallEnd)> {
        self.take(session).into_iter().find_map(|message| match message {
            ToTerminal::AddDeskFailed(it) => Some((it.desk, it.reason)),
            _ => None,
        })
    }
}

/// The office with a call of caller 1 and caller 2, of which nothing is unread.
fn in_a_call(order: RingOrder) -> (World, CallId) {
    let mut world = office(order);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.told.clear();
    (world, call)
}

#[test]
fn whoever_is_free_comes_and_is_left_alone_afterwards() {
    let (mut world, call) = in_a_call(RingOrder::LongestIdle);
    world.ask_desk(2, call, "Reception", false);
    assert_eq!(world.heard(2), ["Done", "QueueNews 1", "QueueNews 0"]);
    assert_eq!(world.heard(11), ["Incoming login-2 reception"]);
    assert!(world.heard(12).is_empty() && world.heard(1).is_empty());
    assert_eq!(world.presence(11), PresenceState::Ringing);
    world.accept(11, call);
    assert_eq!(world.ready(11).unwrap().senders.len(), 2);
    assert!(world.ready(1).is_some() && world.ready(2).is_some());
    assert_eq!(world.presence(11), PresenceState::InCall);
    let party = &world.disk[&call].members[2];
    assert_eq!((party.account, party.role), (AccountId(11), PartyRole::Added));
    world.hang_up(11, call);
    assert_eq!(world.presence(11), PresenceState::WrapUp);
    // The call may ask again, and goes on whatever comes of it.
    world.told.clear();
    world.ask_desk(1, call, "reception", false);
    assert_eq!(world.heard(12), ["Incoming login-1 reception"]);
    world.hang_up(1, call);
    assert_eq!(world.heard(12), ["CallEnded HungUp"]);
    assert_eq!(world.presence(12), PresenceState::Waiting);
    world.assert_clean();
}

#[test]
fn a_call_is_handed_on_to_whoever_is_free() {
    let (mut world, call) = in_a_call(RingOrder::RingAll);
    world.ask_desk(2, call, "reception", true);
    for agent in [11, 12, 13] {
        assert_eq!(world.heard(agent), ["Incoming login-2 reception"]);
    }
    world.reject(11, call);
    assert_eq!(world.heard(11), ["Done", "CallEnded Rejected"]);
    world.accept(12, call);
    assert_eq!(world.heard(13), ["Taken"]);
    assert!(world.heard(2).contains(&"CallEnded Transferred".to_owned()));
    assert_eq!(world.ready(1).unwrap().senders[0].login, "login-12");
    world.hang_up(1, call);
    assert_eq!(world.presence(12), PresenceState::WrapUp);
    world.assert_clean();
}

#[test]
fn it_stands_in_the_queue_by_when_it_came_and_overflows() {
    let (mut world, call) = in_a_call(RingOrder::LongestIdle);
    let overflow = Some(Overflow { desk: "second".into(), after_s: 30 });
    let first = Desk { overflow, wrap_up_s: 0, wait_max_s: 100, ..desk("first", &[11]) };
    world.set_desks(1, 2, vec![first, Desk { wait_max_s: 100, ..desk("second", &[12]) }]);
    let busy = [(3, 11), (4, 12)].map(|(caller, agent)| {
        let call = world.invite(caller, agent).unwrap();
        world.accept(agent, call);
        (caller, call)
    });
    world.told.clear();
    world.ask_desk(1, call, "first", false);
    assert_eq!(world.heard(1), ["Done", "QueueNews 1"]);
    world.hang_up(busy[0].0, busy[0].1);
    // A call that comes later is served later.
    let later = world.call_desk(3, "first").unwrap();
    assert_eq!(world.heard(11), ["CallEnded HungUp", "Incoming login-1 first"]);
    world.reject(11, call);
    world.wait(SECOND);
    assert_eq!(world.heard(3).last().unwrap(), "Queued 2");
    world.wait(4 * SECOND);
    assert_eq!(world.heard(11).last().unwrap(), "Incoming login-1 first");
    world.wait(20 * SECOND);
    world.wait(5 * SECOND);
    assert_eq!(world.heard(1).last().unwrap(), "QueueNews 1 overflow");
    world.hang_up(busy[1].0, busy[1].1);
    assert_eq!(world.heard(12), ["CallEnded HungUp", "Incoming login-1 first"]);
    world.accept(12, call);
    assert!(world.ready(12).is_some());
    world.hang_up(3, later);
    world.hang_up(1, call);
    world.hang_up(12, call);
    world.assert_clean();
}

#[test]
fn nobody_comes_and_the_call_goes_on() {
    let (mut world, call) = in_a_call(RingOrder::LongestIdle);
    let only = Desk { wait_max_s: 60, ring_s: 20, ..desk("reception", &[11]) };
    let name = || "reception".to_owned();
    world.set_desks(1, 2, vec![only]);
    world.ask_desk(1, call, "reception", false);
    world.wait(20 * SECOND);
    assert_eq!(world.heard(11), ["Incoming login-1 reception", "CallEnded NoAnswer"]);
    world.wait(41 * SECOND);
    assert_eq!(world.ask_failed(1), Some((name(), CallEnd::NobodyAtDesk)));
    assert_ne!(world.presence(11), PresenceState::Ringing);
    // Who asked may think better of it.
    world.wait(60 * SECOND);
    world.told.clear();
    world.ask_desk(1, call, "reception", false);
    world.ask_desk(2, call, "", false);
    assert_eq!(world.heard(11), ["Incoming login-1 reception", "CallEnded Cancelled"]);
    assert_eq!(world.ask_failed(1), Some((name(), CallEnd::Cancelled)));
    world.ask_desk(2, call, "", false);
    assert_eq!(world.heard(2), ["Done", "Refused TooLate"]);
    // The desk is removed while it rings.
    world.ask_desk(1, call, "reception", false);
    world.set_desks(1, 3, Vec::new());
    assert_eq!(world.ask_failed(1), Some((name(), CallEnd::NobodyAtDesk)));
    assert_eq!(world.core.calls.get(call).unwrap().state(), State::Connected);
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn what_cannot_be_asked_is_refused_and_changes_nothing() {
    let (mut world, call) = in_a_call(RingOrder::LongestIdle);
    let small = Desk { queue_max: 1, ..desk("small", &[11]) };
    world.set_desks(1, 2, vec![small, desk("own", &[1, 2]), desk("empty", &[])]);
    world.set_desks(2, 1, vec![desk("elsewhere", &[11])]);
    world.sign_in(31, 2, 31, 31);
    world.told.clear();
    for (session, name, reason) in [
        (1, "nowhere", "NoSuchLogin"),
        (1, "elsewhere", "NoSuchLogin"),
        (1, "sm\nall", "NoSuchLogin"),
        (1, "empty", "NotAvailable"),
        (1, "own", "NotAvailable"),
        (3, "small", "NoSuchCall"),
        (31, "elsewhere", "NoSuchCall"),
    ] {
        world.ask_desk(session, call, name, false);
        assert_eq!(world.heard(session), [format!("Refused {reason}")], "{name:?}");
    }
    let direct = world.invite(4, 11).unwrap();
    world.ask_desk(4, direct, "small", false);
    assert_eq!(world.heard(4).last().unwrap(), "Refused TooLate", "nobody has answered");
    let waiting = world.call_desk(3, "small").unwrap();
    world.ask_desk(1, call, "small", false);
    assert_eq!(world.heard(1), ["Refused QueueFull"]);
    world.hang_up(3, waiting);
    world.ask_desk(1, call, "small", false);
    world.ask_desk(2, call, "small", false);
    assert_eq!(world.heard(2), ["Refused TooLate"], "one desk at a time");
    // Two calls of which one waits for somebody do not become one.
    world.hang_up(4, direct);
    world.reject(11, call);
    let (request, on) = (world.request(), true);
    world.ask(1, Request::Hold(Hold { request, call, on }));
    let other = world.invite(1, 3).unwrap();
    world.accept(3, other);
    world.told.clear();
    let (request, then_leave) = (world.request(), false);
    world.ask(1, Request::Merge(Merge { request, call: other, with: call, then_leave }));
    assert_eq!(world.heard(1), ["Refused TooLate"]);
    world.hang_up(1, other);
    world.hang_up(2, call);
    world.assert_clean();
}

#[test]
fn an_agent_that_is_lost_or_suspended_gives_way_and_one_that_comes_back_rings_on() {
    let (mut world, call) = in_a_call(RingOrder::LongestIdle);
    world.ask_desk(2, call, "reception", false);
    world.input(Input::Lost(SessionId(11)));
    world.told.clear();
    world.resume(21, (1, 11, 11), 11);
    assert_eq!(world.heard(21), ["Resumed", "Incoming login-2 reception"]);
    // Another device of its rings, too.
    world.sign_in(22, 1, 11, 22);
    assert_eq!(world.heard(22), ["SignedIn", "Incoming login-2 reception"]);
    world.suspend(Whom::Account(AccountKey { tenant: TenantId(1), account: AccountId(11) }));
    assert_eq!(world.heard(12), ["Incoming login-2 reception"]);
    world.input(Input::Gone(SessionId(12)));
    assert_eq!(world.heard(13), ["Incoming login-2 reception"]);
    // Who asked comes back and hears of the place again.
    world.input(Input::Lost(SessionId(2)));
    world.resume(23, (1, 2, 2), 2);
    assert_eq!(world.heard(23).last().unwrap(), "QueueNews 0");
    world.accept(13, call);
    assert!(world.ready(13).is_some());
    world.hang_up(1, call);
    world.hang_up(23, call);
    world.assert_clean();
}

#[test]
fn an_agent_whose_call_became_part_of_another_is_left_alone_when_it_leaves() {
    for then_leave in [true, false] {
        let mut world = office(RingOrder::LongestIdle);
        let at_desk = world.call_desk(1, "reception").unwrap();
        world.accept(11, at_desk);
        let (request, on) = (world.request(), true);
        world.ask(11, Request::Hold(Hold { request, call: at_desk, on }));
        let other = world.invite(11, 2).unwrap();
        world.accept(2, other);
        let request = world.request();
        let merge = Merge { request, call: other, with: at_desk, then_leave };
        world.ask(11, Request::Merge(merge));
        if !then_leave {
            assert_eq!(world.presence(11), PresenceState::InCall);
            world.hang_up(11, other);
        }
        assert_eq!(world.presence(11), PresenceState::WrapUp);
        assert!(world.core.calls.get(other).is_some_and(|call| call.is_alive()));
        world.hang_up(1, other);
        world.assert_clean();
    }
}

#[test]
fn who_waits_at_a_desk_and_comes_back_hears_its_place_again() {
    let mut world = office(RingOrder::LongestIdle);
    world.set_desks(1, 2, vec![Desk { wrap_up_s: 0, ..desk("reception", &[11]) }]);
    let first = world.call_desk(2, "reception").unwrap();
    let call = world.call_desk(1, "reception").unwrap();
    world.input(Input::Lost(SessionId(1)));
    world.resume(21, (1, 1, 1), 1);
    assert_eq!(world.heard(21), ["Resumed", "Members", "QueueNews 2"]);
    world.hang_up(2, first);
    world.hang_up(21, call);
    world.assert_clean();
}
