//! Missed calls: who is told of which, and when they are forgotten.

use super::*;
use crate::missed::Asker;
use kakehashi_wire::terminal::{MissedCall, MissedCalls};

/// Accounts 1, 2 and 3 of tenant 1 in the sessions of their numbers, account 2 in session 4 too;
/// account 2 of tenant 2 in session 5. Nothing unread.
fn people() -> World {
    let mut world = World::new(1);
    for (session, tenant, account) in [(1, 1, 1), (2, 1, 2), (3, 1, 3), (4, 1, 2), (5, 2, 2)] {
        world.sign_in(session, tenant, account, 10 + session);
    }
    world.now.wall.0 = 1_000_000;
    world.told.clear();
    world
}

/// The last list a session was told since it was last asked, as `login times`.
fn list(world: &mut World, session: u64) -> Option<Vec<String>> {
    let mut lists = world.take(session).into_iter().filter_map(|message| match message {
        ToTerminal::MissedCalls(MissedCalls { calls }) => Some(calls),
        _ => None,
    });
    let short = |calls: Vec<_>| {
        let of = |call: MissedCall| format!("{} {}", call.login, call.calls);
        calls.into_iter().map(of).collect()
    };
    lists.next_back().map(short)
}

fn seen(world: &mut World, session: u64, seen_until_ms: u64) {
    let request = world.request();
    world.ask(session, Request::Missed(Missed { request, seen_until_ms }));
}

fn minutes(world: &mut World, minutes: u64) {
    world.now.wall.0 += minutes * 60_000;
}

fn one(text: &str) -> Option<Vec<String>> {
    Some(vec![text.to_owned()])
}

#[test]
fn what_nobody_answers_is_missed_on_all_devices() {
    let mut world = people();
    world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(46));
    assert_eq!((list(&mut world, 2), list(&mut world, 4)), (one("login-1 1"), one("login-1 1")));
    minutes(&mut world, 1);
    let call = world.invite(1, 2).unwrap();
    let request = world.request();
    world.ask(1, Request::Cancel(Cancel { request, call }));
    assert_eq!(list(&mut world, 4), one("login-1 2"));
    minutes(&mut world, 1);
    world.invite(3, 2).unwrap();
    world.input(Input::Gone(SessionId(3)));
    let both = vec!["login-3 1".to_owned(), "login-1 2".to_owned()];
    assert_eq!(list(&mut world, 2), Some(both));
    assert!(list(&mut world, 1).is_none() && list(&mut world, 5).is_none());
    world.assert_clean();
}

#[test]
fn what_was_declined_or_taken_is_not_missed() {
    let mut world = people();
    let call = world.invite(1, 3).unwrap();
    let request = world.request();
    world.ask(3, Request::Reject(Reject { request, call }));
    assert_eq!(list(&mut world, 3), None);
    let call = world.invite(1, 3).unwrap();
    world.accept(3, call);
    world.hang_up(1, call);
    assert_eq!((list(&mut world, 3), list(&mut world, 1)), (None, None));
    world.assert_clean();
}

#[test]
fn who_was_not_there_or_busy_hears_of_it() {
    let mut world = people();
    world.input(Input::Gone(SessionId(3)));
    assert_eq!(world.invite(1, 3), Err(Refusal::NotAvailable));
    assert_eq!(world.invite(1, 99), Err(Refusal::NotAvailable), "an account nobody signed in to");
    world.sign_in(6, 1, 3, 13);
    assert_eq!(list(&mut world, 6), one("login-1 1"));
    let call = world.invite(2, 3).unwrap();
    world.accept(6, call);
    world.told.clear();
    minutes(&mut world, 1);
    assert_eq!(world.invite(1, 3), Err(Refusal::InAnotherCall));
    assert_eq!(list(&mut world, 6), one("login-1 2"));
    // Whoever cannot call for what it does itself leaves nothing, and nobody misses his own call.
    minutes(&mut world, 1);
    assert_eq!(world.invite(2, 1), Err(Refusal::InAnotherCall));
    assert_eq!(world.invite(1, 1), Err(Refusal::CallsItself));
    assert_eq!(list(&mut world, 1), None);
}

#[test]
fn who_calls_back_and_is_answered_has_nothing_more_to_do() {
    let mut world = people();
    world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(46));
    world.told.clear();
    let call = world.invite(4, 1).unwrap();
    assert_eq!(list(&mut world, 2), None, "it only rings yet");
    world.accept(1, call);
    assert_eq!(list(&mut world, 2), Some(Vec::new()));
    world.sign_in(6, 1, 2, 99);
    assert_eq!(list(&mut world, 6), None);
}

#[test]
fn what_was_seen_is_forgotten_and_nothing_else_is() {
    let mut world = people();
    world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(46));
    let first = world.now.wall.0;
    minutes(&mut world, 1);
    world.invite(3, 2).unwrap();
    world.wait(Duration::from_secs(46));
    world.told.clear();
    seen(&mut world, 2, 0);
    assert_eq!(list(&mut world, 2).map(|list| list.len()), Some(2));
    assert_eq!(list(&mut world, 4), None, "nothing has changed");
    seen(&mut world, 2, first);
    assert_eq!((list(&mut world, 2), list(&mut world, 4)), (one("login-3 1"), one("login-3 1")));
    seen(&mut world, 5, u64::MAX);
    assert_eq!(list(&mut world, 5), Some(Vec::new()), "another tenant's account has none");
    seen(&mut world, 2, u64::MAX);
    seen(&mut world, 2, u64::MAX);
    assert_eq!(list(&mut world, 4), Some(Vec::new()));
    let names: Vec<_> = world.take(2).iter().map(ToTerminal::name).collect();
    assert_eq!(names, ["Done", "MissedCalls", "Done", "MissedCalls"]);
}

#[test]
fn a_store_that_does_not_answer_is_said() {
    let mut world = people();
    let account = AccountKey { tenant: TenantId(1), account: AccountId(2) };
    let asker = Asker::Request(SessionId(2), RequestId(77));
    let deed = Deed { account, change: None, asker };
    world.input(Input::Missed(News { deed: deed.clone(), missed: None, is_change: false }));
    assert_eq!(world.heard(2), ["Refused StoreUnavailable"]);
    world.input(Input::Gone(SessionId(2)));
    world.input(Input::Missed(News { deed, missed: None, is_change: false }));
    assert!(world.heard(2).is_empty(), "who is gone is told nothing");
}

#[test]
fn who_was_to_be_brought_in_and_did_not_answer_has_missed_it() {
    let mut world = people();
    world.sign_in(6, 1, 6, 16);
    let call = world.invite(1, 3).unwrap();
    world.accept(3, call);
    let add = |world: &mut World, account: u64| {
        let (request, login) = (world.request(), format!("login-{account}"));
        let ask = AddMember { request, call, login, then_leave: false };
        world.ask(3, Request::AddMember(ask, Some(called(account))));
    };
    add(&mut world, 2);
    world.wait(Duration::from_secs(46));
    assert_eq!((list(&mut world, 2), list(&mut world, 4)), (one("login-3 1"), one("login-3 1")));
    // Declined, and then taken: the two have talked.
    minutes(&mut world, 1);
    add(&mut world, 2);
    for session in [2, 4] {
        let request = world.request();
        world.ask(session, Request::Reject(Reject { request, call }));
    }
    assert_eq!(list(&mut world, 2), None);
    add(&mut world, 2);
    world.accept(2, call);
    assert_eq!(list(&mut world, 4), Some(Vec::new()));
    // The call ends while one rings; another is in a call of its own, a third is not there.
    add(&mut world, 6);
    world.hang_up(2, call);
    world.hang_up(1, call);
    assert_eq!(list(&mut world, 6), one("login-3 1"));
    let call_of_two = world.invite(6, 2).unwrap();
    world.accept(2, call_of_two);
    let talking = world.invite(1, 3).unwrap();
    world.accept(3, talking);
    let ask = |world: &mut World, account: u64| {
        let (request, login) = (world.request(), format!("login-{account}"));
        let ask = AddMember { request, call: talking, login, then_leave: false };
        world.ask(3, Request::AddMember(ask, Some(called(account))));
    };
    ask(&mut world, 2);
    assert_eq!(list(&mut world, 2), one("login-3 1"));
    ask(&mut world, 1);
    assert_eq!(list(&mut world, 1), None, "it is in the call already");
    world.hang_up(1, talking);
    world.hang_up(2, call_of_two);
    world.assert_clean();
}
