//! Calls to desks.

use super::*;
use crate::accounts::DeskList;
use crate::desks::{Agent, Desk, Overflow, RingOrder};
use crate::sessions::Whom;
use crate::store::Revision;

pub(super) const SECOND: Duration = Duration::from_secs(1);

pub(super) fn desk(name: &str, agents: &[u64]) -> Desk {
    let agent = |account: &u64| Agent { account: AccountId(*account), login: String::new() };
    Desk { agents: agents.iter().map(agent).collect(), ..Desk::new(name.into()) }
}

impl World {
    pub(super) fn set_desks(&mut self, tenant: u64, revision: u64, desks: Vec<Desk>) {
        let list = DeskList { revision: Revision(revision), desks };
        self.desks.insert(TenantId(tenant), list.clone());
        self.input(Input::Desks(TenantId(tenant), list));
    }

    pub(super) fn call_desk(&mut self, session: u64, desk: &str) -> Result<CallId, Refusal> {
        let request = self.request();
        let desk = desk.to_owned();
        self.ask(session, Request::InviteDesk(InviteDesk { request, desk, streams: vec![AUDIO] }));
        let told = self.told.get_mut(&SessionId(session)).unwrap();
        let answer = told.iter().find_map(|message| match message {
            ToTerminal::Queued(it) if it.request == request => Some(Ok(it.call)),
            ToTerminal::Refused(it) if it.request == request => Some(Err(it.reason)),
            _ => None,
        });
        told.retain(|message| !matches!(message, ToTerminal::Refused(_)));
        answer.expect("an invitation is answered")
    }

    pub(super) fn reject(&mut self, session: u64, call: CallId) {
        let request = self.request();
        self.ask(session, Request::Reject(Reject { request, call }));
    }

    pub(super) fn end_wrap_up(&mut self, session: u64) {
        let request = self.request();
        self.ask(session, Request::EndWrapUp(EndWrapUp { request }));
    }
}

/// Callers in sessions 1 to 4, agents in sessions 11 to 13: accounts of the same numbers. A desk
/// with all agents. Nothing unread.
pub(super) fn office(order: RingOrder) -> World {
    let mut world = World::new(2);
    let wrap_up_s = 10;
    let desk = Desk { order, wrap_up_s, ..desk("reception", &[11, 12, 13]) };
    world.set_desks(1, 1, vec![desk]);
    for account in [1, 2, 3, 4, 11, 12, 13] {
        world.sign_in(account, 1, account, account);
    }
    world.told.clear();
    world
}

#[test]
fn a_call_rings_at_the_agent_idle_for_longest_and_goes_on_like_any_other() {
    let mut world = office(RingOrder::LongestIdle);
    let call = world.call_desk(1, "Reception").unwrap();
    assert_eq!(world.heard(1), ["Queued 1", "QueueNews 0"]);
    assert_eq!(world.heard(11), ["Incoming login-1 reception"]);
    assert!(world.heard(12).is_empty());
    world.wait(2 * SECOND);
    world.accept(11, call);
    assert!(world.ready(11).is_some() && world.ready(1).is_some());
    world.now.wall.0 += 5_000;
    world.hang_up(1, call);
    assert_eq!(world.heard(11), ["CallEnded HungUp"]);
    let record = &world.disk[&call];
    let part = record.desk.clone().unwrap();
    assert_eq!((part.called.as_str(), part.last.as_str()), ("reception", "reception"));
    assert_eq!(part.waited_ms, 2_000);
    assert_eq!(record.members[1].account, AccountId(11));
    assert!(record.members[1].joined.is_some());
    // The next one is the next agent's, and the first is left alone.
    let next = world.call_desk(2, "reception").unwrap();
    assert_eq!(world.heard(12), ["Incoming login-2 reception"]);
    world.hang_up(2, next);
    assert_eq!(world.heard(12), ["CallEnded HungUp"]);
    world.assert_clean();
}

#[test]
fn who_is_left_alone_is_offered_nothing_until_that_ends() {
    let mut world = office(RingOrder::LongestIdle);
    world.set_desks(1, 2, vec![Desk { wrap_up_s: 10, ..desk("reception", &[11]) }]);
    let presence = |world: &World| {
        let account = AccountKey { tenant: TenantId(1), account: AccountId(11) };
        world.core.presences.state(account)
    };
    for ends_itself in [true, false] {
        let call = world.call_desk(1, "reception").unwrap();
        world.accept(11, call);
        world.hang_up(11, call);
        world.told.clear();
        assert_eq!(presence(&world), PresenceState::WrapUp);
        let next = world.call_desk(2, "reception").unwrap();
        assert!(world.heard(11).is_empty());
        // By name it can be called all the same.
        let direct = world.invite(3, 11).unwrap();
        world.hang_up(3, direct);
        world.told.remove(&SessionId(11));
        if ends_itself {
            world.end_wrap_up(11);
            assert_eq!(world.heard(11), ["Done", "Incoming login-2 reception"]);
        } else {
            world.wait(9 * SECOND);
            assert!(world.heard(11).is_empty());
            world.wait(SECOND);
            assert_eq!(world.heard(11), ["Incoming login-2 reception"]);
        }
        world.end_wrap_up(11);
        world.end_wrap_up(1);
        assert_eq!(world.heard(11), ["Refused TooLate"]);
        world.hang_up(2, next);
        assert_eq!(presence(&world), PresenceState::Waiting, "who only rang has no wrap-up");
    }
    world.assert_clean();
}

#[test]
fn whoever_waits_is_told_of_the_place_and_served_in_order() {
    let mut world = office(RingOrder::LongestIdle);
    world.set_desks(1, 2, vec![Desk { wrap_up_s: 0, ..desk("reception", &[11]) }]);
    let calls = [1, 2, 3].map(|session| world.call_desk(session, "reception").unwrap());
    assert_eq!(world.heard(2), ["Queued 2"]);
    assert_eq!(world.heard(3), ["Queued 3"]);
    world.accept(11, calls[0]);
    assert_eq!(world.heard(2), ["QueueNews 1"]);
    world.hang_up(11, calls[0]);
    world.wait(SECOND);
    assert_eq!(world.heard(2), ["QueueNews 0"]);
    assert!(world.heard(3).len() <= 2, "once a second at most");
    world.wait(SECOND);
    world.told.clear();
    // The one before gives up: the next is served.
    world.hang_up(2, calls[1]);
    assert_eq!(world.heard(11), ["CallEnded HungUp", "Incoming login-3 reception"]);
    world.input(Input::Gone(SessionId(3)));
    assert_eq!(world.heard(11), ["CallEnded PeerLost"]);
    assert_eq!(world.disk[&calls[2]].reason, Some(CallEnd::PeerLost));
    assert_eq!(world.disk[&calls[1]].desk.as_ref().unwrap().waited_ms, 2_000);
    world.assert_clean();
}

#[test]
fn an_agent_that_rejects_does_not_answer_or_is_gone_gives_way_to_the_next() {
    let mut world = office(RingOrder::LongestIdle);
    let call = world.call_desk(1, "reception").unwrap();
    world.told.clear();
    world.reject(11, call);
    assert_eq!(world.heard(11), ["Done", "CallEnded Rejected"]);
    assert_eq!(world.heard(12), ["Incoming login-1 reception"]);
    world.accept(11, call);
    world.reject(11, call);
    assert_eq!(world.heard(11), ["Refused NoSuchCall", "Refused NoSuchCall"]);
    world.wait(20 * SECOND);
    assert_eq!(world.heard(12), ["CallEnded NoAnswer"]);
    assert_eq!(world.heard(13), ["Incoming login-1 reception"]);
    world.input(Input::Gone(SessionId(13)));
    // The first one's pause is over by then.
    assert_eq!(world.heard(11), ["Incoming login-1 reception"]);
    world.suspend(Whom::Account(AccountKey { tenant: TenantId(1), account: AccountId(11) }));
    assert_eq!(world.heard(11), ["CallEnded Suspended"]);
    assert!(world.heard(12).is_empty(), "left alone after a call that was let pass");
    world.wait(10 * SECOND);
    assert_eq!(world.heard(12), ["Incoming login-1 reception"]);
    world.accept(12, call);
    assert!(world.ready(1).is_some());
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn an_agent_that_comes_back_rings_on_and_has_the_call() {
    let mut world = office(RingOrder::LongestIdle);
    let call = world.call_desk(1, "reception").unwrap();
    assert_eq!(world.heard(11), ["Incoming login-1 reception"]);
    world.input(Input::Lost(SessionId(11)));
    world.resume(21, (1, 11, 11), 11);
    assert_eq!(world.heard(21), ["Resumed", "Incoming login-1 reception"]);
    world.accept(21, call);
    assert!(world.ready(21).is_some() && world.ready(1).is_some());
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn all_ring_and_the_first_has_the_call() {
    let mut world = office(RingOrder::RingAll);
    // The second agent has two devices.
    world.sign_in(22, 1, 12, 22);
    world.told.clear();
    let call = world.call_desk(1, "reception").unwrap();
    for session in [11, 12, 22, 13] {
        assert_eq!(world.heard(session), ["Incoming login-1 reception"]);
    }
    // A device that comes rings too; one that declines is alone in that.
    world.sign_in(23, 1, 13, 23);
    assert_eq!(world.heard(23), ["SignedIn", "Incoming login-1 reception"]);
    world.reject(12, call);
    assert_eq!(world.heard(12), ["Done"]);
    world.reject(11, call);
    assert_eq!(world.heard(11), ["Done", "CallEnded Rejected"]);
    world.accept(22, call);
    assert!(world.ready(22).is_some() && world.ready(1).is_some());
    assert_eq!(world.heard(13), ["Taken"]);
    assert_eq!(world.heard(23), ["Taken"]);
    assert!(world.heard(12).is_empty());
    world.accept(13, call);
    world.hang_up(13, call);
    assert_eq!(world.heard(13), ["Refused NoSuchCall", "Refused NoSuchCall"]);
    // Who lost can have the next one at once.
    let next = world.call_desk(2, "reception").unwrap();
    assert_eq!(world.heard(13), ["Incoming login-2 reception"]);
    let request = world.request();
    world.ask(2, Request::Cancel(Cancel { request, call: next }));
    assert_eq!(world.heard(13), ["CallEnded Cancelled"]);
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn a_call_overflows_once_and_ends_where_nobody_comes() {
    let mut world = office(RingOrder::LongestIdle);
    let overflow = |to: &str| Some(Overflow { desk: to.into(), after_s: 30 });
    let first = Desk { overflow: overflow("second"), wait_max_s: 100, ..desk("first", &[11]) };
    let second = Desk { overflow: overflow("first"), wait_max_s: 100, ..desk("second", &[12]) };
    world.set_desks(1, 2, vec![first, second]);
    // Both agents are in calls of their own.
    let busy = [(3, 11), (4, 12)].map(|(caller, agent)| {
        let call = world.invite(caller, agent).unwrap();
        world.accept(agent, call);
        (caller, call)
    });
    world.told.clear();
    let call = world.call_desk(1, "first").unwrap();
    assert_eq!(world.heard(1), ["Queued 1"]);
    world.wait(30 * SECOND);
    assert_eq!(world.heard(1), ["QueueNews 1 overflow"]);
    world.wait(40 * SECOND);
    assert!(world.heard(1).is_empty(), "not back again");
    let (caller, other) = busy[1];
    world.hang_up(caller, other);
    assert_eq!(world.heard(12), ["CallEnded HungUp", "Incoming login-1 first"]);
    world.wait(20 * SECOND);
    assert_eq!(world.heard(12), ["CallEnded NoAnswer"]);
    world.wait(10 * SECOND);
    assert_eq!(world.heard(1).last().unwrap(), "CallEnded NobodyAtDesk");
    let part = world.disk[&call].desk.clone().unwrap();
    assert_eq!((part.called.as_str(), part.last.as_str()), ("first", "second"));
    assert_eq!(part.waited_ms, 100_000);
    world.hang_up(busy[0].0, busy[0].1);
    world.assert_clean();
}

#[test]
fn what_cannot_be_is_refused_and_changes_nothing() {
    let mut world = office(RingOrder::LongestIdle);
    world.set_desks(
        1,
        2,
        vec![
            Desk { queue_max: 1, ..desk("small", &[11]) },
            desk("empty", &[]),
            desk("deserted", &[99]),
        ],
    );
    world.set_desks(2, 1, vec![desk("elsewhere", &[11])]);
    world.sign_in(31, 2, 31, 31);
    world.told.clear();
    for (session, name, reason) in [
        (1, "nowhere", Refusal::NoSuchLogin),
        (1, "elsewhere", Refusal::NoSuchLogin),
        (31, "small", Refusal::NoSuchLogin),
        (1, "sm\nall", Refusal::NoSuchLogin),
        (1, "empty", Refusal::NotAvailable),
        (1, "deserted", Refusal::NotAvailable),
    ] {
        assert_eq!(world.call_desk(session, name), Err(reason), "{name:?}");
    }
    let direct = world.invite(2, 11).unwrap();
    let call = world.call_desk(1, "small").unwrap();
    assert_eq!(world.call_desk(3, "small"), Err(Refusal::QueueFull));
    assert_eq!(world.call_desk(1, "small"), Err(Refusal::InAnotherCall));
    let request = world.request();
    let streams = Vec::new();
    let desk = "small".to_owned();
    world.ask(4, Request::InviteDesk(InviteDesk { request, desk, streams }));
    assert_eq!(world.heard(4), ["Refused BadRequest"]);
    // Nobody may do anything to a call that waits but its caller.
    world.told.clear();
    for session in [11, 12, 31] {
        world.accept(session, call);
        world.reject(session, call);
        world.hang_up(session, call);
        assert_eq!(world.heard(session), ["Refused NoSuchCall"; 3]);
    }
    world.accept(1, call);
    assert_eq!(world.heard(1), ["Refused BadRequest"]);
    world.hang_up(2, direct);
    world.hang_up(1, call);
    world.hang_up(1, call);
    assert_eq!(world.heard(1).last().unwrap(), "Refused NoSuchCall");
    world.assert_clean();
}

#[test]
fn calls_at_a_desk_that_is_removed_end() {
    let mut world = office(RingOrder::LongestIdle);
    let ringing = world.call_desk(1, "reception").unwrap();
    world.set_desks(1, 2, vec![desk("other", &[12])]);
    assert_eq!(world.heard(11).last().unwrap(), "CallEnded NoAnswer");
    assert_eq!(world.disk[&ringing].state, RecordState::Ended);
    world.set_desks(1, 3, vec![desk("reception", &[11])]);
    world.told.clear();
    let direct = world.invite(2, 11).unwrap();
    let waiting = world.call_desk(1, "reception").unwrap();
    world.set_desks(1, 4, Vec::new());
    assert_eq!(world.heard(1).last().unwrap(), "CallEnded NobodyAtDesk");
    assert_eq!(world.disk[&waiting].reason, Some(CallEnd::NobodyAtDesk));
    world.hang_up(2, direct);
    world.assert_clean();
}

#[test]
fn a_call_whose_record_is_not_written_leaves_no_place_behind() {
    let mut world = office(RingOrder::LongestIdle);
    world.set_desks(1, 2, vec![Desk { queue_max: 1, ..desk("reception", &[11]) }]);
    world.disk_full = true;
    assert_eq!(world.call_desk(1, "reception"), Err(Refusal::StoreUnavailable));
    assert!(world.heard(11).is_empty());
    world.disk_full = false;
    world.wait(2 * SECOND);
    let call = world.call_desk(2, "reception").unwrap();
    assert_eq!(world.heard(11), ["Incoming login-2 reception"]);
    world.input(Input::EndCall(call));
    assert_eq!(world.disk[&call].reason, Some(CallEnd::EndedByOperator));
    world.assert_clean();
}

#[test]
fn an_agent_who_is_away_rings_at_no_desk() {
    let mut world = office(RingOrder::LongestIdle);
    let away = |world: &mut World, away| {
        let request = world.request();
        world.ask(11, Request::Away(SetAway { request, away }));
    };
    away(&mut world, true);
    let call = world.call_desk(1, "reception").unwrap();
    assert_eq!(world.heard(11), ["Done"]);
    assert_eq!(world.heard(12), ["Incoming login-1 reception"]);
    for session in [12, 13] {
        world.reject(session, call);
    }
    away(&mut world, false);
    assert_eq!(world.heard(11), ["Done", "Incoming login-1 reception"]);
    world.hang_up(1, call);
    world.assert_clean();
}
