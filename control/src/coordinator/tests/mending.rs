//! Calls get another relay while they go on.

use super::*;
use crate::capacity::{
    HANDOVER, KEEP_PATIENCE, LEGS_TIMEOUT, LINK_PATIENCE, MEND_RETRY, ROUND_KEPT, SAVE_RETRY,
};
use crate::policy::{Protection, TenantLimits};
use kakehashi_wire::id::Epoch;
use kakehashi_wire::media::{RelayPath, RelayRole};
use kakehashi_wire::terminal::PathsChanged;

fn call_over(relays: u32, isolation: Isolation) -> (World, CallId, CallReady) {
    let mut world = World::with(relays, isolation);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = world.ready(1).unwrap();
    world.told.clear();
    (world, call, ready)
}

fn relays(paths: &[RelayPath]) -> Vec<u32> {
    paths.iter().map(|path| path.relay.0).collect()
}

fn changed(world: &mut World, session: u64) -> Vec<PathsChanged> {
    let told = world.take(session).into_iter();
    told.filter_map(|message| match message {
        ToTerminal::PathsChanged(changed) => Some(changed),
        _ => None,
    })
    .collect()
}

/// A tick beyond what a lost link is given.
const PATIENCE: Duration = LINK_PATIENCE.saturating_add(Duration::from_millis(1));

#[test]
fn a_relay_that_stays_away_is_replaced_and_the_one_that_lives_comes_first() {
    for isolation in [Isolation::None, Isolation::PerLeg] {
        let (mut world, call, ready) = call_over(3, isolation);
        let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
        let third = 6 - lost - lives;
        world.link_down(lost);
        world.wait(LINK_PATIENCE - Duration::from_millis(1));
        assert!(world.heard(1).is_empty(), "it may be back soon");
        world.wait(HANDOVER);
        for session in [1, 2] {
            let told = changed(&mut world, session);
            let [told] = told.as_slice() else { panic!("told {} times", told.len()) };
            assert_eq!((told.call, told.round, told.hitless), (call, ready.round, false));
            assert_eq!(relays(&told.paths), [lives, third]);
            let roles: Vec<_> = told.paths.iter().map(|path| path.role).collect();
            assert_eq!(roles, [RelayRole::Primary, RelayRole::Standby]);
            let install = &world.relay(third).held[&told.paths[1].leg.0];
            let sealed = isolation == Isolation::PerLeg;
            let epoch = Epoch { incarnation: Incarnation(1), generation: install.generation };
            let downlink = told.paths[1].downlink.as_ref();
            assert_eq!(downlink.map(|it| it.epoch), sealed.then_some(epoch));
            let before = ready.paths.iter().filter_map(|path| path.downlink.as_ref());
            let mut secrets = before.map(|it| it.secret.clone());
            assert!(downlink.is_none_or(|it| secrets.all(|secret| secret != it.secret)));
        }
        assert_eq!(world.relay(third).held.len(), 2);
        // Who comes back late is told what is so by now, with the same keys.
        world.input(Input::Lost(SessionId(1)));
        world.resume(5, (1, 1, 11), 1);
        let again = world.ready(5).unwrap();
        assert_eq!((relays(&again.paths), again.round), (vec![lives, third], ready.round));
        assert!(again.key == ready.key);
        // The lost one connects again: it is to hold nothing of the call.
        world.link_up(lost);
        world.wait(PATIENCE);
        assert!(world.relay(lost).held.is_empty());
        assert!(changed(&mut world, 2).is_empty());
        world.hang_up(2, call);
        world.assert_clean();
    }
}

#[test]
fn a_relay_that_is_back_soon_and_one_that_nobody_can_replace_change_nothing() {
    let (mut world, call, ready) = call_over(3, Isolation::None);
    let lost = ready.paths[0].relay.0;
    world.restart(lost);
    world.wait(2 * PATIENCE);
    assert!(world.heard(1).is_empty());
    world.hang_up(1, call);
    world.assert_clean();

    let (mut world, call, ready) = call_over(2, Isolation::None);
    let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
    world.link_down(lost);
    world.wait(2 * PATIENCE);
    assert!(world.heard(1).is_empty());
    // As soon as there is another, it is taken.
    world.link_up(3);
    world.wait(PATIENCE);
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [lives, 3]);
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn nobody_hears_of_another_relay_before_the_store_does() {
    let (mut world, call, ready) = call_over(3, Isolation::PerLeg);
    let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
    let third = 6 - lost - lives;
    world.disk_full = true;
    world.link_down(lost);
    world.wait(PATIENCE);
    assert_eq!(world.relay(third).held.len(), 2);
    assert!(world.heard(1).is_empty() && world.heard(2).is_empty());
    world.disk_full = false;
    world.wait(SAVE_RETRY);
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [lives, third]);
    assert_eq!(relays(&changed(&mut world, 2)[0].paths), [lives, third]);
    // What was lost is back, and what is there now is drained: it is used until others know.
    world.wait(ROUND_KEPT);
    world.link_up(lost);
    world.wait(HANDOVER);
    world.disk_full = true;
    drain(&mut world, lives, true);
    world.wait(HANDOVER + ROUND_KEPT);
    assert_eq!(world.heard(1), Vec::<String>::new());
    assert_eq!(world.relay(lives).held.len(), 2);
    world.disk_full = false;
    world.wait(SAVE_RETRY);
    let paths = relays(&changed(&mut world, 1).pop().unwrap().paths);
    assert!(!paths.contains(&lives), "{paths:?}");
    assert_eq!(world.relay(lives).held.len(), 2, "their time to leave it begins now");
    world.wait(ROUND_KEPT);
    assert!(world.relay(lives).held.is_empty());
    drain(&mut world, lives, false);
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn a_store_that_takes_nothing_keeps_nobody_without_a_standby() {
    let (mut world, call, ready) = call_over(3, Isolation::None);
    let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
    world.disk_full = true;
    world.link_down(lost);
    world.wait(LINK_PATIENCE + KEEP_PATIENCE - Duration::from_millis(1));
    assert!(world.heard(1).is_empty());
    world.wait(Duration::from_millis(2));
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [lives, 6 - lost - lives]);
    world.disk_full = false;
    world.wait(SAVE_RETRY);
    assert!(world.heard(1).is_empty(), "once is enough");
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn whoever_takes_a_call_up_knows_each_relay_that_its_members_were_told_of() {
    for stored in [false, true] {
        let (mut world, call, ready) = call_over(3, Isolation::PerLeg);
        let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
        let third = 6 - lost - lives;
        world.disk_full = !stored;
        world.link_down(lost);
        world.wait(PATIENCE);
        let known = changed(&mut world, 1).pop().map_or([lost, lives], |_| [lives, third]);
        assert_eq!(known == [lives, third], stored);
        world.disk_full = false;
        world.take_over(false, &[]);
        world.resume(5, (1, 1, 11), 1);
        world.resume(6, (1, 2, 12), 2);
        assert_eq!(relays(&world.ready(5).unwrap().paths), known);
        assert_eq!(world.relay(lives).held.len(), 2);
        world.wait(LEGS_TIMEOUT + PATIENCE);
        assert_eq!(world.relay(third).held.len(), 2);
        world.hang_up(5, call);
        world.assert_clean();
    }
}

#[test]
fn whoever_comes_back_before_another_takes_its_place_stays() {
    let (mut world, call, ready) = call_over(3, Isolation::None);
    let [lost, lives] = relays(&ready.paths)[..] else { panic!("two relays") };
    let third = 6 - lost - lives;
    world.link_down(lost);
    world.relays_are.answer = false;
    world.wait(PATIENCE);
    world.link_up(lost);
    world.answer_relay(lost);
    world.answer_relay(third);
    world.relays_are.answer = true;
    world.wait(2 * HANDOVER);
    assert!(world.heard(1).is_empty());
    assert!(world.relay(third).held.is_empty());
    assert_eq!(world.core.call_rows()[0].relays, [lost, lives].map(RelayId));
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn a_call_that_never_had_a_standby_gets_one() {
    let (mut world, call, ready) = call_over(1, Isolation::PerLeg);
    assert_eq!(ready.paths.len(), 1);
    world.link_up(2);
    world.wait(Duration::ZERO);
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [1, 2]);
    assert_eq!(relays(&changed(&mut world, 2)[0].paths), [1, 2]);
    // The other one dies right afterwards: nobody is sent away from the one that is left.
    world.link_down(1);
    world.wait(4 * PATIENCE);
    assert!(world.heard(1).is_empty());
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn a_relay_that_has_no_room_is_not_told_of() {
    let (mut world, call, ready) = call_over(2, Isolation::None);
    let full = PlayedRelay { refuses: Some(Outcome::NoRoom), ..PlayedRelay::default() };
    world.link_up_with(3, full);
    world.link_down(ready.paths[1].relay.0);
    world.wait(2 * PATIENCE);
    assert!(world.heard(1).is_empty());
    assert!(world.relay(3).held.is_empty());
    // Once it has room, it is asked again.
    world.relays.get_mut(&LinkId(3)).unwrap().refuses = None;
    world.wait(MEND_RETRY);
    assert_eq!(changed(&mut world, 1)[0].paths[1].relay, RelayId(3));
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn whoever_leaves_meanwhile_leaves_every_relay() {
    let (mut world, call, ready) = call_over(3, Isolation::None);
    let [lost, _] = relays(&ready.paths)[..] else { panic!("two relays") };
    world.link_down(lost);
    world.relays_are.answer = false;
    world.wait(PATIENCE);
    world.hang_up(1, call);
    world.assert_clean();

    // And one that is about to be left.
    let (mut world, call, ready) = call_over(3, Isolation::None);
    let [lost, _] = relays(&ready.paths)[..] else { panic!("two relays") };
    world.link_down(lost);
    world.wait(PATIENCE);
    world.link_up(lost);
    world.wait(ROUND_KEPT / 2);
    world.hang_up(2, call);
    world.assert_clean();
}

fn drain(world: &mut World, relay: u32, on: bool) {
    world.input(Input::Drain(RelayId(relay), on));
}

#[test]
fn a_drained_relay_is_left_once_others_carry_its_calls() {
    for isolation in [Isolation::None, Isolation::PerLeg] {
        let (mut world, call, ready) = call_over(3, isolation);
        let [drained, stays] = relays(&ready.paths)[..] else { panic!("two relays") };
        let third = 6 - drained - stays;
        drain(&mut world, drained, true);
        // The other has been known for a moment only: whoever has not bound there yet does.
        world.wait(HANDOVER - Duration::from_millis(1));
        assert!(world.heard(2).is_empty());
        world.wait(Duration::from_millis(1));
        let told = changed(&mut world, 2);
        assert_eq!(told.len(), 1);
        assert_eq!(relays(&told[0].paths), [stays, third]);
        assert_eq!(world.relay(drained).held.len(), 2, "what is under way arrives");
        world.wait(ROUND_KEPT);
        assert!(world.relay(drained).held.is_empty());
        // New calls avoid it until it is back.
        world.hang_up(2, call);
        let call = world.invite(1, 2).unwrap();
        world.accept(2, call);
        let paths = relays(&world.ready(1).unwrap().paths);
        assert!(!paths.contains(&drained), "{paths:?}");
        world.hang_up(2, call);
        world.assert_clean();
    }
}

#[test]
fn a_drained_relay_is_left_although_nothing_replaces_it_but_not_for_nothing() {
    let (mut world, call, ready) = call_over(2, Isolation::None);
    let [drained, stays] = relays(&ready.paths)[..] else { panic!("two relays") };
    world.wait(HANDOVER);
    drain(&mut world, drained, true);
    world.wait(Duration::ZERO);
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [stays]);
    // Back in use, it is the standby again.
    world.wait(ROUND_KEPT);
    drain(&mut world, drained, false);
    world.wait(Duration::ZERO);
    assert_eq!(relays(&changed(&mut world, 1)[0].paths), [stays, drained]);
    world.hang_up(1, call);
    world.assert_clean();

    // The only one that there is goes on carrying its call until another is there and bound.
    let (mut world, call, _) = call_over(1, Isolation::None);
    drain(&mut world, 1, true);
    world.wait(3 * HANDOVER);
    assert!(world.heard(1).is_empty());
    world.link_up(2);
    world.wait(HANDOVER - Duration::from_millis(1));
    assert_eq!(relays(&changed(&mut world, 1).pop().unwrap().paths), [1, 2]);
    world.wait(HANDOVER + ROUND_KEPT);
    assert_eq!(relays(&changed(&mut world, 1).pop().unwrap().paths), [2]);
    assert!(world.relay(1).held.is_empty());
    world.hang_up(1, call);
    assert_eq!(world.invite(1, 2).err(), None);
    let call = world.core.calls.iter().next().unwrap().id();
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn hitless_is_held_with_two_relays_and_said_when_it_is_not() {
    for isolation in [Isolation::None, Isolation::PerLeg] {
        let mut world = World::with(1, isolation);
        let limits = TenantLimits { protection: Protection::Hitless, ..TenantLimits::default() };
        let policy = Box::new(TenantPolicy { limits, ..TenantPolicy::default() });
        world.input(Input::Tenant(TenantId(1), policy, Revision(1)));
        world.sign_in(1, 1, 1, 11);
        world.sign_in(2, 1, 2, 12);
        let call = world.invite(1, 2).unwrap();
        world.accept(2, call);
        assert!(!world.ready(1).unwrap().hitless);
        assert_eq!(world.unprotected, [call]);
        let protection = |world: &World| world.core.call_rows()[0].protection;
        assert_eq!(protection(&world), crate::calls::Protected::None);
        world.link_up(2);
        world.wait(Duration::ZERO);
        assert!(changed(&mut world, 1)[0].hitless);
        assert_eq!(protection(&world), crate::calls::Protected::Hitless);
        world.hang_up(1, call);
        let call = world.invite(1, 2).unwrap();
        world.accept(2, call);
        assert!(world.ready(1).unwrap().hitless);
        assert_eq!(world.unprotected.len(), 1);
        world.hang_up(1, call);
        world.assert_clean();
    }
}
