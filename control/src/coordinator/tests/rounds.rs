//! Calls whose members change while they go on: conference, transfer, and calls that become one.

use super::*;
use crate::capacity::{CALL_MEMBERS_MAX, LEGS_TIMEOUT, ROUND_KEPT};
use crate::policy::TenantPolicy;
use crate::records::PartyRole;
use crate::sessions::Whom;
use crate::store::Revision;
use kakehashi_wire::media::Sender;
use kakehashi_wire::terminal::MemberPhase;

/// Accounts 1 to `accounts` in sessions of the same numbers, over `relays`, and nothing unread.
fn signed_in(relays: u32, accounts: u64, isolation: Isolation) -> World {
    let mut world = World::with(relays, isolation);
    for account in 1..=accounts {
        world.sign_in(account, 1, account, 10 + account);
    }
    world.told.clear();
    world
}

/// The same with a call of 1 and 2, and what both were told of its first round.
fn two_of(accounts: u64, isolation: Isolation) -> (World, CallId, [CallReady; 2]) {
    let mut world = signed_in(2, accounts, isolation);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = [world.ready(1).unwrap(), world.ready(2).unwrap()];
    world.told.clear();
    (world, call, ready)
}

fn add(world: &mut World, session: u64, call: CallId, account: u64, then_leave: bool) {
    let (request, login) = (world.request(), format!("login-{account}"));
    let ask = AddMember { request, call, login, then_leave };
    world.ask(session, Request::AddMember(ask, Some(called(account))));
}

fn merge(world: &mut World, session: u64, call: CallId, with: CallId, then_leave: bool) {
    let request = world.request();
    world.ask(session, Request::Merge(Merge { request, call, with, then_leave }));
}

fn hold(world: &mut World, session: u64, call: CallId) {
    let request = world.request();
    world.ask(session, Request::Hold(Hold { request, call, on: true }));
}

fn reject(world: &mut World, session: u64, call: CallId) {
    let request = world.request();
    world.ask(session, Request::Reject(Reject { request, call }));
}

fn logins(senders: &[Sender]) -> Vec<(u8, &str)> {
    senders.iter().map(|sender| (sender.member.0, sender.login.as_str())).collect()
}

fn failed(world: &mut World, session: u64) -> Option<(String, CallEnd)> {
    world.take(session).into_iter().find_map(|message| match message {
        ToTerminal::AddFailed(it) => Some((it.login, it.reason)),
        _ => None,
    })
}

fn legs(world: &World) -> usize {
    world.relays.values().map(|relay| relay.held.len()).sum()
}

#[test]
fn a_third_comes_and_all_have_a_new_round_of_which_nothing_was_before() {
    for isolation in [Isolation::None, Isolation::PerLeg] {
        let (mut world, call, before) = two_of(3, isolation);
        add(&mut world, 1, call, 3, false);
        assert_eq!(world.heard(1), ["Done", "Members"]);
        assert_eq!(
            (world.heard(2), world.heard(3)),
            (vec!["Members".into()], vec!["Incoming login-1".into()])
        );
        world.accept(3, call);
        let told = world.take(3);
        let short: Vec<_> = told.iter().map(short).collect();
        assert_eq!(short, ["Done", "Members", "Members", "CallReady"]);
        let Some(ToTerminal::CallReady(third)) = told.into_iter().last() else { unreachable!() };
        let (first, second) = (world.ready(1).unwrap(), world.ready(2).unwrap());
        assert_eq!(logins(&first.senders), [(1, "login-2"), (2, "login-3")]);
        assert_eq!(logins(&second.senders), [(0, "login-1"), (2, "login-3")]);
        assert_eq!(logins(&third.senders), [(0, "login-1"), (1, "login-2")]);
        assert_eq!([&first, &second, &third].map(|ready| ready.round), [1; 3]);
        assert_eq!(before[0].round, 0);
        // Keys, sources and legs are all new.
        for (old, new) in before.iter().zip([&first, &second]) {
            assert!(old.key != new.key && old.streams[0].ssrc != new.streams[0].ssrc);
            assert!(old.paths.iter().all(|old| new.paths.iter().all(|new| new.leg != old.leg)));
        }
        // The old legs stay a moment, under a number of their own: no packet of the old round
        // comes to a leg of the new one.
        assert_eq!(legs(&world), 2 * (2 + 3));
        let held = world.relay(1).held.values();
        let rounds: BTreeSet<_> = held.map(|leg| leg.call.0).collect();
        assert_eq!(rounds.len(), 2);
        assert!(!rounds.contains(&call.0));
        world.wait(ROUND_KEPT);
        assert_eq!(legs(&world), 2 * 3);
        // One leaves, and the others go on in a third round.
        world.told.clear();
        world.hang_up(1, call);
        assert_eq!(world.heard(1), ["Done", "CallEnded HungUp"]);
        let second = world.ready(2).unwrap();
        assert_eq!((second.round, logins(&second.senders)), (2, vec![(2, "login-3")]));
        assert!(world.ready(3).is_some());
        world.hang_up(1, call);
        assert_eq!(world.heard(1), ["Refused NoSuchCall"]);
        world.hang_up(3, call);
        assert_eq!(world.heard(2), ["CallEnded HungUp"]);
        let parties = &world.disk[&call].members;
        let roles: Vec<_> = parties.iter().map(|party| party.role).collect();
        assert_eq!(roles, [PartyRole::Caller, PartyRole::Callee, PartyRole::Added]);
        assert!(parties.iter().all(|party| party.joined.is_some() && party.left.is_some()));
        world.assert_clean();
    }
}

#[test]
fn a_leavers_legs_go_at_once_whatever_the_round() {
    let (mut world, call, before) = two_of(3, Isolation::None);
    add(&mut world, 2, call, 3, false);
    world.accept(3, call);
    world.told.clear();
    world.relays_are.answer = false;
    world.suspend(Whom::Account(AccountKey { tenant: TenantId(1), account: AccountId(1) }));
    for relay in [1, 2] {
        world.answer_relay(relay);
        let leg = before[0].paths[relay as usize - 1].leg.0;
        assert!(!world.relay(relay).held.contains_key(&leg), "of the round before, too");
    }
    assert_eq!(world.heard(1).last().unwrap(), "CallEnded Suspended");
    world.relays_are.answer = true;
    world.input(Input::Tick);
    assert_eq!(logins(&world.ready(2).unwrap().senders), [(2, "login-3")]);
    world.hang_up(2, call);
    world.assert_clean();
}

#[test]
fn a_transfer_without_asking() {
    let (mut world, call, _) = two_of(4, Isolation::None);
    add(&mut world, 1, call, 3, true);
    world.told.clear();
    reject(&mut world, 3, call);
    assert_eq!(world.heard(3), ["Done", "CallEnded Rejected"]);
    assert_eq!(failed(&mut world, 1), Some(("login-3".into(), CallEnd::Rejected)));
    assert_eq!(world.heard(2), ["Members"], "the call goes on");
    add(&mut world, 1, call, 3, true);
    world.wait(Duration::from_secs(45));
    assert_eq!(world.heard(3), ["Incoming login-1", "CallEnded NoAnswer"]);
    assert_eq!(failed(&mut world, 1), Some(("login-3".into(), CallEnd::NoAnswer)));
    add(&mut world, 1, call, 3, true);
    world.told.clear();
    world.accept(3, call);
    let heard = world.heard(1);
    assert!(heard.contains(&"CallEnded Transferred".into()), "{heard:?}");
    assert!(!heard.contains(&"CallReady".into()));
    assert_eq!(logins(&world.ready(2).unwrap().senders), [(4, "login-3")]);
    assert!(world.ready(3).is_some());
    // Whoever handed the call on is free.
    world.told.clear();
    let other = world.invite(1, 4).unwrap();
    world.hang_up(1, other);
    world.hang_up(2, call);
    assert_eq!(world.heard(3), ["CallEnded HungUp"]);
    world.assert_clean();
}

#[test]
fn two_calls_become_one() {
    for then_leave in [false, true] {
        let (mut world, first, _) = two_of(3, Isolation::None);
        hold(&mut world, 1, first);
        let second = world.invite(1, 3).unwrap();
        world.accept(3, second);
        world.told.clear();
        merge(&mut world, 1, first, second, then_leave);
        let heard = world.heard(1);
        assert_eq!(heard[..2], ["Done", "Members"]);
        assert_eq!(heard.contains(&"CallEnded Transferred".into()), then_leave);
        assert!(heard.contains(&"Merged".into()));
        let third = world.take(3);
        let merged = third.iter().find_map(|message| match message {
            ToTerminal::Merged(it) => Some((it.call, it.into)),
            _ => None,
        });
        assert_eq!(merged, Some((second, first)));
        let Some(ToTerminal::CallReady(third)) = third.into_iter().last() else { unreachable!() };
        assert_eq!(third.call, first);
        assert_eq!(third.senders.len(), if then_leave { 1 } else { 2 });
        assert!(world.ready(2).is_some());
        assert_eq!(world.disk[&second].reason, Some(CallEnd::Transferred));
        // The other call is no more.
        world.hang_up(3, second);
        assert_eq!(world.heard(3), ["Refused NoSuchCall"]);
        world.wait(ROUND_KEPT);
        assert_eq!(legs(&world), if then_leave { 4 } else { 6 });
        world.hang_up(3, first);
        if !then_leave {
            world.hang_up(2, first);
        }
        world.assert_clean();
    }
}

#[test]
fn a_round_that_the_relays_refuse_leaves_the_call_as_it_was() {
    let (mut world, call, _) = two_of(3, Isolation::None);
    let refuse = |world: &mut World, outcome| {
        world.relays.values_mut().for_each(|relay| relay.refuses = outcome);
    };
    refuse(&mut world, Some(Outcome::NoRoom));
    add(&mut world, 1, call, 3, true);
    world.accept(3, call);
    assert_eq!(failed(&mut world, 1), Some(("login-3".into(), CallEnd::NoRelay)));
    assert_eq!(world.heard(3).last().unwrap(), "CallEnded NoRelay");
    assert!(world.ready(2).is_none());
    assert_eq!(legs(&world), 4);
    // And two calls stay two, the one on hold as before.
    refuse(&mut world, None);
    hold(&mut world, 1, call);
    let second = world.invite(1, 3).unwrap();
    world.accept(3, second);
    world.told.clear();
    refuse(&mut world, Some(Outcome::NoRoom));
    merge(&mut world, 1, call, second, false);
    assert_eq!(failed(&mut world, 1), Some(("login-3".into(), CallEnd::NoRelay)));
    assert!(world.heard(3).is_empty(), "it was never told");
    let account = AccountKey { tenant: TenantId(1), account: AccountId(1) };
    assert_eq!(world.core.calls.active_of(account).map(|call| call.id()), Some(second));
    assert_eq!(world.core.calls.all_of(account).count(), 2);
    world.hang_up(3, second);
    assert_eq!(world.heard(3), ["Done", "CallEnded HungUp"]);
    // Relays that never answer come to the same.
    refuse(&mut world, None);
    world.relays_are.answer = false;
    let request = world.request();
    world.ask(1, Request::Hold(Hold { request, call, on: false }));
    add(&mut world, 1, call, 3, false);
    world.accept(3, call);
    world.told.clear();
    world.wait(LEGS_TIMEOUT);
    assert_eq!(failed(&mut world, 1), Some(("login-3".into(), CallEnd::NoRelay)));
    world.relays_are.answer = true;
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn of_changes_at_the_same_time_the_last_counts() {
    let (mut world, call, _) = two_of(4, Isolation::None);
    add(&mut world, 1, call, 3, false);
    add(&mut world, 2, call, 4, false);
    world.relays_are.answer = false;
    world.told.clear();
    world.accept(3, call);
    world.accept(4, call);
    world.hang_up(1, call);
    assert!((1..=4).all(|session| world.ready(session).is_none()));
    world.relays_are.answer = true;
    world.input(Input::Tick);
    let second = world.ready(2).unwrap();
    // Rounds that never were in force have no number.
    assert_eq!((second.round, logins(&second.senders)), (1, vec![(2, "login-3"), (3, "login-4")]));
    world.wait(ROUND_KEPT);
    assert_eq!(legs(&world), 2 * 3);
    // Who comes and goes before the relays are ready leaves the call as it is.
    world.told.clear();
    add(&mut world, 2, call, 1, false);
    world.relays_are.answer = false;
    world.accept(1, call);
    world.hang_up(1, call);
    world.relays_are.answer = true;
    world.input(Input::Tick);
    assert!(world.ready(3).is_none());
    assert_eq!(failed(&mut world, 2), Some(("login-1".into(), CallEnd::HungUp)));
    assert_eq!(legs(&world), 2 * 3);
    world.hang_up(3, call);
    world.hang_up(4, call);
    world.assert_clean();
}

#[test]
fn who_may_come_and_who_may_bring() {
    let most = CALL_MEMBERS_MAX as u64;
    let (mut world, call, _) = two_of(most + 2, Isolation::None);
    world.sign_in(50, 2, 50, 50);
    let refused = |world: &mut World, session, account| {
        add(world, session, call, account, false);
        world.heard(session).pop().unwrap()
    };
    assert_eq!(refused(&mut world, 3, 4), "Refused NoSuchCall");
    assert_eq!(refused(&mut world, 50, 3), "Refused NoSuchCall", "of another tenant");
    assert_eq!(refused(&mut world, 1, 1), "Refused CallsItself");
    assert_eq!(refused(&mut world, 1, 2), "Refused InAnotherCall");
    assert_eq!(refused(&mut world, 1, 99), "Refused NotAvailable");
    let request = world.request();
    let ask = AddMember { request, call, login: "nobody".into(), then_leave: false };
    world.ask(1, Request::AddMember(ask, None));
    assert_eq!(world.heard(1), ["Refused NoSuchLogin"]);
    for account in 3..=most {
        add(&mut world, 1, call, account, false);
        // Who only rings brings nobody.
        assert_eq!(refused(&mut world, account, most + 1), "Refused TooLate");
        world.accept(account, call);
        world.accept(account, call);
        assert_eq!(world.heard(account).pop().unwrap(), "Refused TooLate", "it is in");
    }
    world.told.clear();
    assert_eq!(refused(&mut world, 2, most + 1), "Refused CallFull");
    world.wait(ROUND_KEPT);
    for account in (3..=most).rev() {
        world.hang_up(account, call);
    }
    // Two calls that are one already, or are somebody else's.
    world.told.clear();
    merge(&mut world, 1, call, call, false);
    merge(&mut world, 1, call, CallId(1), false);
    merge(&mut world, 3, call, call, false);
    assert_eq!(world.heard(1), ["Refused BadRequest", "Refused NoSuchCall"]);
    assert_eq!(world.heard(3), ["Refused NoSuchCall"]);
    let ringing = world.invite(3, 4).unwrap();
    add(&mut world, 3, ringing, 5, false);
    assert_eq!(world.heard(3), ["Refused TooLate"]);
    world.hang_up(3, ringing);
    world.hang_up(1, call);
    world.assert_clean();
}

fn listen(world: &mut World, session: u64, call: CallId) -> Vec<String> {
    let request = world.request();
    world.ask(session, Request::Listen(Listen { request, call, streams: vec![AUDIO] }));
    world.heard(session)
}

#[test]
fn who_listens_receives_all_is_seen_by_all_and_heard_by_none() {
    let (mut world, call, _) = two_of(4, Isolation::None);
    world.sign_in(50, 2, 50, 50);
    for session in [3, 50] {
        assert_eq!(listen(&mut world, session, call).last().unwrap(), "Refused NotAllowed");
    }
    world.role = Role::Supervisor;
    world.sign_in(3, 1, 3, 13);
    world.sign_in(51, 2, 51, 51);
    assert_eq!(listen(&mut world, 3, call).last().unwrap(), "Refused NotAllowed", "as is usual");
    let mut policy = TenantPolicy::default();
    policy.rules.listening = true;
    for tenant in [1, 2] {
        world.input(Input::Tenant(TenantId(tenant), Box::new(policy.clone()), Revision(1)));
    }
    world.told.clear();
    assert_eq!(listen(&mut world, 4, call), ["Refused NotAllowed"], "no supervisor");
    assert_eq!(listen(&mut world, 51, call), ["Refused NoSuchCall"], "of another tenant");
    assert_eq!(listen(&mut world, 3, CallId(1)), ["Refused NoSuchCall"]);
    assert_eq!(listen(&mut world, 1, call), ["Refused NotAllowed"]);
    let request = world.request();
    world.ask(3, Request::Listen(Listen { request, call, streams: Vec::new() }));
    assert_eq!(world.heard(3), ["Refused BadRequest"]);
    let request = world.request();
    world.ask(3, Request::Listen(Listen { request, call, streams: vec![AUDIO] }));
    let third = world.ready(3).unwrap();
    assert_eq!(logins(&third.senders), [(0, "login-1"), (1, "login-2")]);
    let seen = world.take(1);
    let phases = seen.iter().rev().find_map(|message| match message {
        ToTerminal::Members(it) => Some(it.members.iter().map(|it| it.phase).collect::<Vec<_>>()),
        _ => None,
    });
    assert_eq!(phases.unwrap(), [MemberPhase::In, MemberPhase::In, MemberPhase::Listening]);
    let Some(ToTerminal::CallReady(first)) = seen.into_iter().last() else { unreachable!() };
    assert_eq!(logins(&first.senders), [(1, "login-2")], "nothing of who listens");
    // The relays forward nothing of it, whatever it sends.
    let second = world.ready(2).unwrap();
    for path in &first.paths {
        let receives = &world.relay(path.relay.0).receives[&path.leg.0];
        let sources: Vec<_> = receives.iter().map(|it| it.source).collect();
        assert_eq!(sources, [second.streams[0].ssrc]);
    }
    // It brings nobody, holds nothing, and keeps no call alive.
    world.told.clear();
    add(&mut world, 3, call, 4, false);
    hold(&mut world, 3, call);
    assert_eq!(world.heard(3), ["Refused NotAllowed", "Refused NotAllowed"]);
    assert_eq!(listen(&mut world, 3, call), ["Refused InAnotherCall"]);
    world.hang_up(3, call);
    assert!(world.ready(1).is_some(), "another round without it");
    assert!(!listen(&mut world, 3, call).contains(&"Refused InAnotherCall".into()));
    world.told.clear();
    world.hang_up(1, call);
    assert_eq!(world.heard(3), ["CallEnded HungUp"]);
    assert_eq!(world.disk[&call].members[2].role, PartyRole::Listener);
    world.assert_clean();
}
