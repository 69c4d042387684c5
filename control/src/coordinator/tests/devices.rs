//! Accounts with several devices.

use super::*;

/// Account 1 in session 1; account 2 on three devices, in sessions 2, 3 and 4. Nothing unread.
fn three_devices() -> World {
    let mut world = World::new(1);
    world.sign_in(1, 1, 1, 11);
    for session in 2..=4 {
        world.sign_in(session, 1, 2, 10 + session);
    }
    world.told.clear();
    world
}

fn reject(world: &mut World, session: u64, call: CallId) {
    let request = world.request();
    world.ask(session, Request::Reject(Reject { request, call }));
}

#[test]
fn all_ring_the_first_has_the_call_and_the_others_are_told() {
    let mut world = three_devices();
    let call = world.invite(1, 2).unwrap();
    for session in 2..=4 {
        assert_eq!(world.heard(session), ["Incoming login-1"]);
    }
    world.accept(3, call);
    assert!(world.ready(3).is_some() && world.ready(1).is_some());
    assert_eq!((world.heard(2), world.heard(4)), (vec!["Taken".into()], vec!["Taken".into()]));
    // Who is late is told so, as often as it asks, and may do nothing else to the call.
    for session in [2, 2, 4] {
        world.accept(session, call);
        reject(&mut world, session, call);
        world.hang_up(session, call);
        let late = ["Refused TooLate", "Refused TooLate", "Refused NoSuchCall"];
        assert_eq!(world.heard(session), late);
    }
    // The call is the other device's: these may come and go.
    world.input(Input::Gone(SessionId(2)));
    world.sign_in(5, 1, 2, 14);
    assert_eq!(world.heard(5), ["SignedIn"]);
    assert_eq!(world.invite(5, 1), Err(Refusal::InAnotherCall));
    assert!(world.heard(1).is_empty());
    world.hang_up(3, call);
    assert_eq!(world.heard(3), ["Done", "CallEnded HungUp"]);
    assert_eq!(world.heard(1), ["CallEnded HungUp"]);
    assert!(world.heard(4).is_empty() && world.heard(5).is_empty());
    world.assert_clean();
}

#[test]
fn a_call_is_declined_when_the_last_device_has() {
    let mut world = three_devices();
    let call = world.invite(1, 2).unwrap();
    reject(&mut world, 2, call);
    assert_eq!(world.heard(2), ["Incoming login-1", "Done"]);
    // Declined is declined.
    reject(&mut world, 2, call);
    world.accept(2, call);
    assert_eq!(world.heard(2), ["Refused TooLate", "Refused TooLate"]);
    world.input(Input::Gone(SessionId(3)));
    assert!(world.heard(1).is_empty(), "one still rings");
    reject(&mut world, 4, call);
    assert_eq!(world.heard(4), ["Incoming login-1", "Done", "CallEnded Rejected"]);
    assert_eq!(world.heard(1), ["CallEnded Rejected"]);
    assert!(world.heard(2).is_empty());
    world.assert_clean();
}

#[test]
fn a_call_is_lost_with_the_last_device_that_rings() {
    let mut world = three_devices();
    world.invite(1, 2).unwrap();
    for session in [2, 4] {
        world.input(Input::Gone(SessionId(session)));
        assert!(world.heard(1).is_empty());
    }
    world.ask(3, Request::SignOut);
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    world.assert_clean();
}

#[test]
fn a_cancelled_call_stops_ringing_everywhere() {
    let mut world = three_devices();
    let call = world.invite(1, 2).unwrap();
    let request = world.request();
    world.ask(1, Request::Cancel(Cancel { request, call }));
    for session in 2..=4 {
        assert_eq!(world.heard(session), ["Incoming login-1", "CallEnded Cancelled"]);
    }
    world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(45));
    for session in 2..=4 {
        assert_eq!(world.heard(session), ["Incoming login-1", "CallEnded NoAnswer"]);
    }
    world.assert_clean();
}

#[test]
fn a_device_that_comes_while_it_rings_rings_too() {
    let mut world = three_devices();
    let call = world.invite(1, 2).unwrap();
    world.sign_in(5, 1, 2, 99);
    assert_eq!(world.heard(5), ["SignedIn", "Incoming login-1"]);
    // A device that signs in again rings in its new session.
    world.sign_in(6, 1, 2, 99);
    assert_eq!(world.heard(6), ["SignedIn", "Incoming login-1"]);
    world.sign_in(7, 1, 3, 99);
    assert_eq!(world.heard(7), ["SignedIn"], "of another account");
    world.accept(6, call);
    assert!(world.ready(6).is_some());
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn an_account_has_so_many_devices_and_the_callers_others_hear_nothing() {
    let mut world = three_devices();
    let most = crate::capacity::SESSIONS_PER_ACCOUNT_MAX as u64;
    for session in 2..=most {
        world.sign_in(10 + session, 1, 1, 30 + session);
        assert_eq!(world.verdicts[&SessionId(10 + session)], Ok(()));
    }
    world.sign_in(50, 1, 1, 50);
    let rejection = world.verdicts[&SessionId(50)].unwrap_err();
    assert_eq!(rejection.reason, Refusal::SignedInElsewhere);
    assert!(rejection.retry_after_ms > 0);
    world.told.clear();
    let call = world.invite(1, 2).unwrap();
    world.accept(12, call);
    world.hang_up(12, call);
    assert_eq!(world.heard(12), ["Refused NoSuchCall", "Refused NoSuchCall"]);
    world.input(Input::Gone(SessionId(12)));
    world.accept(2, call);
    assert!(world.ready(1).is_some());
    world.input(Input::Gone(SessionId(1)));
    assert!(world.heard(2).contains(&"CallEnded PeerLost".to_owned()));
    world.assert_clean();
}

#[test]
fn a_changed_password_ends_the_sessions_of_all_the_accounts_devices() {
    let mut world = three_devices();
    world.invite(1, 2).unwrap();
    let request = world.request();
    let account = AccountKey { tenant: TenantId(1), account: AccountId(2) };
    let revocation = Revocation::of_password(account, world.epochs.account + 1);
    world.ask(3, Request::PasswordChanged(request, revocation));
    assert_eq!(world.heard(3), ["Incoming login-1", "Done", "CallEnded RightsChanged"]);
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    let ended = [2, 3, 4].map(|session| (SessionId(session), SessionEnd::PasswordChanged));
    assert_eq!(world.ended, BTreeMap::from(ended));
    assert!(world.disk.values().all(|record| record.reason == Some(CallEnd::RightsChanged)));
    world.assert_clean();
    // What was checked against the old password and arrives only now does not count.
    world.sign_in(5, 1, 2, 14);
    let rejection = world.verdicts[&SessionId(5)].unwrap_err();
    assert_eq!(rejection.reason, Refusal::BadCredentials);
    world.epochs.account += 1;
    world.sign_in(6, 1, 2, 14);
    assert_eq!(world.verdicts[&SessionId(6)], Ok(()));
}
