//! Somebody is suspended, in whatever they are doing.

use super::*;
use crate::admin::MediaEnd;
use crate::capacity::REMOVAL_PATIENCE;
use crate::clock::UnixMs;
use crate::sessions::Whom;

/// Two accounts of tenant 1 in sessions 1 and 2, one of tenant 2 in session 3; nothing unread.
fn three(relays: u32) -> World {
    let mut world = World::new(relays);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.sign_in(3, 2, 3, 13);
    world.told.clear();
    world
}

fn account(tenant: u64, account: u64) -> AccountKey {
    AccountKey { tenant: TenantId(tenant), account: AccountId(account) }
}

impl World {
    /// Suspends; the epochs in which sign-ins are let in from here on are the next ones.
    pub(super) fn suspend(&mut self, whom: Whom) {
        self.revoke(whom, SessionEnd::Suspended);
    }

    fn revoke(&mut self, whom: Whom, why: SessionEnd) {
        let epoch = self.epochs.account + 1;
        self.epochs = Epochs { tenant: epoch, account: epoch, devices: epoch };
        self.input(Input::Revoked(Revocation { whom, epoch, why }));
    }
}

/// Which of `outputs` are batches of nothing but removals.
fn removals(outputs: &[Output]) -> Vec<usize> {
    let removes = |output: &Output| match output {
        Output::Link(ToLink::Say(_, ToRelay::Orders(batch))) => {
            batch.orders.iter().all(|order| matches!(order, Order::Remove(_)))
        }
        _ => false,
    };
    (0..outputs.len()).filter(|nth| removes(&outputs[*nth])).collect()
}

#[test]
fn a_call_ends_in_every_state_for_whichever_member_is_suspended() {
    for suspended in [1, 2] {
        for state in [State::Ringing, State::Preparing, State::Connected] {
            let mut world = three(2);
            let call = world.invite(1, 2).unwrap();
            if state != State::Ringing {
                world.relays_are.answer = state == State::Connected;
                world.accept(2, call);
            }
            assert_eq!(world.core.calls.get(call).unwrap().state(), state);
            world.told.clear();
            world.suspend(Whom::Account(account(1, suspended)));
            let other = 3 - suspended;
            assert_eq!(world.heard(suspended), ["CallEnded Suspended"], "{state:?}");
            assert_eq!(world.heard(other), ["CallEnded PeerLost"], "{state:?}");
            assert_eq!(world.ended[&SessionId(suspended)], SessionEnd::Suspended);
            assert_eq!(world.ended.len(), 1);
            assert_eq!(world.disk[&call].reason, Some(CallEnd::Suspended));
            world.assert_clean();
            assert_eq!(world.core.doing(account(1, suspended)), PresenceState::Offline);
            assert_eq!(world.core.doing(account(1, other)), PresenceState::Waiting);
        }
    }
}

#[test]
fn the_record_says_if_it_was_another_role_or_password_that_ended_the_call() {
    for why in [SessionEnd::RoleChanged, SessionEnd::PasswordChanged] {
        for state in [State::Ringing, State::Preparing, State::Connected] {
            let mut world = three(2);
            let call = world.invite(1, 2).unwrap();
            if state != State::Ringing {
                world.relays_are.answer = state == State::Connected;
                world.accept(2, call);
            }
            world.told.clear();
            world.revoke(Whom::Account(account(1, 2)), why);
            assert_eq!(world.heard(2), ["CallEnded RightsChanged"], "{state:?}");
            assert_eq!(world.heard(1), ["CallEnded PeerLost"], "no business of others: {state:?}");
            assert_eq!(world.ended[&SessionId(2)], why);
            assert_eq!(world.disk[&call].reason, Some(CallEnd::RightsChanged));
            world.assert_clean();
        }
    }
}

#[test]
fn a_call_that_nobody_has_heard_of_is_withdrawn() {
    for suspended in [1, 2] {
        let mut world = three(1);
        let request = world.request();
        let invite = Request::Invite(request, Some(called(2)), vec![AUDIO]);
        // Its record is on the way to the disk.
        world.core.handle(Input::Asked(SessionId(1), invite), world.now);
        world.suspend(Whom::Account(account(1, suspended)));
        let refused = vec![String::from("Refused NotAvailable")];
        let expected = [(1, refused), (2, Vec::new())]
            .map(|(session, heard)| if session == suspended { Vec::new() } else { heard });
        assert_eq!([world.heard(1), world.heard(2)], expected);
        assert_eq!(world.ended.len(), 1);
        world.assert_clean();
        assert!(world.disk.is_empty());
    }
}

#[test]
fn the_relays_are_told_before_anything_is_written_or_said() {
    let mut world = three(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let whom = Whom::Account(account(1, 1));
    let revocation = Revocation { whom, epoch: 2, why: SessionEnd::Suspended };
    let outputs = world.core.handle(Input::Revoked(revocation), world.now);
    assert_eq!(removals(&outputs), [0, 1], "one batch for each relay");
    assert!(matches!(outputs[2], Output::Write(Write::Put(_))));
    assert!(outputs[3..].iter().any(|output| matches!(output, Output::End(..))));
}

impl World {
    /// What became of the media of the one who was suspended.
    fn media_end(&mut self) -> Option<MediaEnd> {
        let mut removed = std::mem::take(&mut self.noted.removed);
        assert!(removed.len() <= 1);
        removed.pop().map(|(_, end)| end)
    }

    fn pass(&mut self, time: Duration) {
        self.now.since_start += time;
        self.now.wall.0 += u64::try_from(time.as_millis()).unwrap();
    }
}

#[test]
fn relays_say_when_the_media_of_who_was_suspended_ended() {
    let mut world = three(2);
    world.pass(Duration::from_secs(100));
    world.suspend(Whom::Account(account(1, 2)));
    assert_eq!(world.media_end().map(|end| end.legs), Some(0), "in no call");

    world.sign_in(4, 1, 2, 12);
    let call = world.invite(1, 2).unwrap();
    world.accept(4, call);
    let ordered = world.now.wall;
    world.relays_are.answer = false;
    world.suspend(Whom::Account(account(1, 1)));
    assert_eq!(world.media_end(), None, "no relay has answered");
    world.pass(Duration::from_millis(20));
    world.relays_are.answer = true;
    world.input(Input::Tick);
    let end = world.media_end().unwrap();
    let (last, legs) = (UnixMs(ordered.0 + 20 - u64::from(SILENT_MS)), 2);
    assert_eq!((end.ordered, end.ended, end.legs), (ordered, Some(last), legs));
    assert_eq!((end.confirmed, end.silent), (vec![RelayId(1), RelayId(2)], Vec::new()));
    world.assert_clean();
}

#[test]
fn relays_that_do_not_say_so_are_named_after_a_while() {
    let mut world = three(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.link_cut(1);
    world.suspend(Whom::Account(account(1, 2)));
    let end = world.media_end().unwrap();
    assert_eq!((end.confirmed, end.silent), (vec![RelayId(2)], vec![RelayId(1)]), "one is away");

    let mut world = three(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.relays_are.answer = false;
    world.suspend(Whom::Account(account(1, 2)));
    let until = world.now.since_start + REMOVAL_PATIENCE;
    assert!(world.core.next_deadline().is_some_and(|at| at <= until));
    world.pass(REMOVAL_PATIENCE);
    world.input(Input::Tick);
    let end = world.media_end().unwrap();
    assert_eq!((end.legs, end.ended, end.silent), (1, None, vec![RelayId(1)]));
    world.assert_clean();
    assert_eq!(world.media_end(), None, "told once");
}

#[test]
fn removals_do_not_wait_for_a_relay_that_is_behind() {
    let mut world = three(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.relays_are.answer = false;
    // Other calls fill what a relay may leave unanswered.
    for pair in 0..200 {
        let (from, to) = (100 + 2 * pair, 101 + 2 * pair);
        world.sign_in(from, 2, from, 1);
        world.sign_in(to, 2, to, 1);
        let call = world.invite(from, to).unwrap();
        world.accept(to, call);
    }
    let behind = world.relay(1).unanswered.len();
    world.suspend(Whom::Account(account(1, 1)));
    let told = &world.relay(1).unanswered;
    assert_eq!(told.len(), behind + 1);
    assert!(told[behind].iter().all(|order| matches!(order, Order::Remove(_))));
}

#[test]
fn a_device_a_tenant_and_nobody() {
    let mut world = three(1);
    world.suspend(Whom::Device(account(1, 1), DeviceId(99)));
    world.suspend(Whom::Account(account(1, 9)));
    world.suspend(Whom::Account(account(2, 1)));
    assert!(world.ended.is_empty(), "nobody of these is there");
    world.suspend(Whom::Device(account(1, 1), DeviceId(11)));
    assert_eq!(world.ended.keys().map(|id| id.0).collect::<Vec<_>>(), [1]);

    let mut world = three(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.told.clear();
    world.suspend(Whom::Tenant(TenantId(1)));
    assert_eq!(world.heard(1), ["CallEnded Suspended"]);
    assert_eq!(world.heard(2), ["CallEnded Suspended"]);
    assert_eq!(world.ended.keys().map(|id| id.0).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(world.core.session_rows().len(), 1, "another tenant goes on");
    world.assert_clean();
}

#[test]
fn a_suspended_device_leaves_a_call_to_the_others_that_ring() {
    let mut world = three(1);
    world.sign_in(4, 1, 2, 14);
    world.sign_in(5, 1, 2, 15);
    world.told.clear();
    let callee = account(1, 2);
    let call = world.invite(1, 2).unwrap();
    world.suspend(Whom::Device(callee, DeviceId(12)));
    assert_eq!(world.heard(2), ["Incoming login-1", "CallEnded Suspended"]);
    assert_eq!(world.heard(4), ["Incoming login-1"]);
    assert!(world.heard(1).is_empty(), "others still ring");
    // The call is one device's, which the others' rights do not touch.
    world.accept(4, call);
    world.told.clear();
    world.suspend(Whom::Device(callee, DeviceId(15)));
    assert!([1, 4, 5].iter().all(|session| world.heard(*session).is_empty()));
    world.suspend(Whom::Device(callee, DeviceId(14)));
    assert_eq!(world.heard(4), ["CallEnded Suspended"]);
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::Suspended));
    world.assert_clean();
}

#[test]
fn a_suspended_account_stops_ringing_on_all_devices() {
    let mut world = three(1);
    world.sign_in(4, 1, 2, 14);
    world.told.clear();
    let call = world.invite(1, 2).unwrap();
    world.suspend(Whom::Account(account(1, 2)));
    for session in [2, 4] {
        assert_eq!(world.heard(session), ["Incoming login-1", "CallEnded Suspended"]);
    }
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::Suspended));
    world.assert_clean();
}

#[test]
fn a_sign_in_that_was_checked_before_does_not_get_in_after() {
    for whom in [
        Whom::Account(account(1, 1)),
        Whom::Device(account(1, 1), DeviceId(11)),
        Whom::Tenant(TenantId(1)),
    ] {
        let mut world = three(1);
        let before = world.epochs;
        world.suspend(whom);
        let after = std::mem::replace(&mut world.epochs, before);
        world.sign_in(4, 1, 1, 11);
        let refused = Rejection { reason: Refusal::BadCredentials, retry_after_ms: 0 };
        assert_eq!(world.verdicts[&SessionId(4)], Err(refused), "{whom:?}");
        let request = world.request();
        world.ask(4, Request::Watch(request, Vec::new()));
        assert!(world.heard(4).is_empty(), "there is no such session");
        // Checked after it was active again.
        world.epochs = after;
        world.sign_in(5, 1, 1, 11);
        assert_eq!(world.verdicts[&SessionId(5)], Ok(()), "{whom:?}");
    }
}

#[test]
fn a_relay_that_was_away_drops_the_legs_when_it_is_back() {
    let mut world = three(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let cut = world.link_cut(1);
    assert_eq!(cut.held.len(), 2, "it goes on without control");
    world.suspend(Whom::Account(account(1, 2)));
    assert!(world.relay(2).held.is_empty());
    world.link_up_with(1, cut);
    assert!(world.relay(1).held.is_empty());
    world.assert_clean();
}

#[test]
fn a_call_that_an_operator_ends_is_over_for_both_in_every_state() {
    for state in [State::Ringing, State::Preparing, State::Connected] {
        let mut world = three(2);
        let call = world.invite(1, 2).unwrap();
        if state != State::Ringing {
            world.relays_are.answer = state == State::Connected;
            world.accept(2, call);
        }
        assert_eq!(world.core.calls.get(call).unwrap().state(), state);
        assert!(world.core.goes_on(None, call) && world.core.goes_on(Some(TenantId(1)), call));
        assert!(!world.core.goes_on(Some(TenantId(2)), call), "no tenant sees another's");
        world.told.clear();
        let outputs = world.core.handle(Input::EndCall(call), world.now);
        let record = outputs.iter().position(|output| matches!(output, Output::Write(_))).unwrap();
        assert!(removals(&outputs).iter().all(|removal| *removal < record), "{state:?}");
        assert_eq!(removals(&outputs).is_empty(), state == State::Ringing, "{state:?}");
        for output in outputs {
            if let Some(input) = world.carry(output) {
                world.input(input);
            }
        }
        world.relays_are.answer = true;
        world.input(Input::Tick);
        for session in [1, 2] {
            assert_eq!(world.heard(session), ["CallEnded EndedByOperator"], "{state:?}");
        }
        assert_eq!(world.disk[&call].reason, Some(CallEnd::EndedByOperator));
        world.assert_clean();
        assert!(!world.core.goes_on(None, call));
        assert!(world.core.handle(Input::EndCall(call), world.now).is_empty(), "a second time");
    }
}
