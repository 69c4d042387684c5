//! Accounts with several calls, and calls that cross.

use super::*;
use crate::capacity::CALLS_PER_ACCOUNT_MAX;

/// Accounts 1 to `accounts` in sessions of the same numbers, and nothing unread.
fn signed_in(accounts: u64) -> World {
    let mut world = World::new(1);
    for account in 1..=accounts {
        world.sign_in(account, 1, account, 10 + account);
    }
    world.told.clear();
    world
}

fn connected(world: &mut World, from: u64, to: u64) -> CallId {
    let call = world.invite(from, to).unwrap();
    world.accept(to, call);
    world.told.clear();
    call
}

fn hold(world: &mut World, session: u64, call: CallId, on: bool) -> Vec<String> {
    let request = world.request();
    world.ask(session, Request::Hold(Hold { request, call, on }));
    world.heard(session)
}

fn ask_invite(world: &mut World, session: u64, account: u64) {
    let request = world.request();
    world.ask(session, Request::Invite(request, Some(called(account)), vec![AUDIO]));
}

#[test]
fn who_holds_its_call_may_have_another_and_speaks_in_one_at_a_time() {
    let mut world = signed_in(4);
    let first = connected(&mut world, 1, 2);
    assert_eq!(world.invite(1, 3), Err(Refusal::InAnotherCall));
    assert_eq!(hold(&mut world, 1, first, true), ["Done", "Members"]);
    let second = connected(&mut world, 1, 3);
    assert_eq!(hold(&mut world, 1, first, false), ["Refused InAnotherCall"]);
    assert_eq!(hold(&mut world, 1, first, true), ["Done"], "as it was");
    assert_eq!(hold(&mut world, 1, second, false), ["Done"], "as it was");
    // The other side of a call on hold is in that call.
    assert_eq!(world.invite(4, 2), Err(Refusal::InAnotherCall));
    assert_eq!(hold(&mut world, 1, second, true), ["Done", "Members"]);
    // Who holds all its calls can be called, and while that rings takes none back.
    let third = world.invite(4, 1).unwrap();
    assert_eq!(hold(&mut world, 1, first, false), ["Incoming login-4", "Refused InAnotherCall"]);
    let request = world.request();
    world.ask(1, Request::Reject(Reject { request, call: third }));
    assert_eq!(
        hold(&mut world, 1, first, false),
        ["Done", "CallEnded Rejected", "Done", "Members"]
    );
    world.told.clear();
    world.input(Input::Gone(SessionId(1)));
    assert_eq!(
        (world.heard(2), world.heard(3)),
        (vec!["CallEnded PeerLost".into()], vec!["CallEnded PeerLost".into()])
    );
    world.assert_clean();
}

#[test]
fn an_account_has_so_many_calls() {
    let most = CALLS_PER_ACCOUNT_MAX as u64;
    let mut world = signed_in(most + 2);
    for other in 2..2 + most {
        let call = connected(&mut world, 1, other);
        hold(&mut world, 1, call, true);
    }
    assert_eq!(world.invite(1, most + 2), Err(Refusal::TooManyCalls));
    assert_eq!(world.invite(most + 2, 1), Err(Refusal::InAnotherCall));
    let whom = AccountKey { tenant: TenantId(1), account: AccountId(1) };
    world.suspend(crate::sessions::Whom::Account(whom));
    let ended = world.heard(1);
    assert_eq!(ended.iter().filter(|it| *it == "CallEnded Suspended").count(), most as usize);
    for other in 2..2 + most {
        assert!(world.heard(other).contains(&"CallEnded PeerLost".into()));
    }
    world.assert_clean();
}

#[test]
fn of_two_that_call_each_other_the_second_takes_the_firsts_call() {
    let mut world = signed_in(3);
    let call = world.invite(1, 2).unwrap();
    ask_invite(&mut world, 2, 1);
    let heard = world.take(2);
    let answer = heard.iter().find_map(|message| match message {
        ToTerminal::Ringing(it) => Some(it.call),
        _ => None,
    });
    assert_eq!(answer, Some(call));
    let short: Vec<_> = heard.iter().map(short).collect();
    assert_eq!(short, ["Incoming login-1", "Ringing", "CallReady"]);
    assert_eq!(world.heard(1), ["CallReady"]);
    ask_invite(&mut world, 2, 1);
    ask_invite(&mut world, 1, 2);
    assert_eq!(world.heard(2), ["Refused InAnotherCall"]);
    assert_eq!(world.heard(1), ["Refused InAnotherCall"]);
    // It thinks that the call is its own.
    let request = world.request();
    world.ask(2, Request::Cancel(Cancel { request, call }));
    assert_eq!(world.heard(2), ["Done", "CallEnded HungUp"]);
    world.assert_clean();
}

#[test]
fn calls_that_cross_before_either_rings_meet_when_the_first_does() {
    let mut world = signed_in(2);
    world.sign_in(3, 1, 2, 30);
    world.told.clear();
    let invite = |world: &mut World, session, account| {
        let request = world.request();
        let asked = Request::Invite(request, Some(called(account)), vec![AUDIO]);
        let input = Input::Asked(SessionId(session), asked);
        (request, world.core.handle(input, world.now))
    };
    let (_, first) = invite(&mut world, 1, 2);
    let writes = first.iter().filter(|out| matches!(out, Output::Write(_))).count();
    assert_eq!(writes, 1);
    let (_, second) = invite(&mut world, 2, 1);
    assert!(second.is_empty(), "it waits for the first");
    let (_, third) = invite(&mut world, 3, 1);
    let refused = |out: &Output| matches!(out, Output::Say(_, ToTerminal::Refused(_)));
    assert!(third.iter().all(refused) && third.len() == 1, "another of its devices did that");
    let call = world.core.calls.iter().next().unwrap().id();
    world.input(Input::Written(call));
    assert_eq!(world.heard(2), ["Incoming login-1", "Ringing", "CallReady"]);
    assert_eq!(world.heard(1), ["Ringing", "CallReady"]);
    assert_eq!(world.heard(3), ["Incoming login-1", "Taken"]);
    world.hang_up(1, call);
    world.assert_clean();

    // And if the first never rings, the second is refused as well.
    let (_, first) = invite(&mut world, 1, 2);
    invite(&mut world, 2, 1);
    let write = first.into_iter().find_map(|out| match out {
        Output::Write(write) => Some(write),
        _ => None,
    });
    world.told.clear();
    world.input(Input::WriteFailed(write.unwrap()));
    assert_eq!(world.heard(1), ["Refused StoreUnavailable"]);
    assert_eq!(world.heard(2), ["Refused StoreUnavailable"]);
    world.assert_clean();
}
