//! Calls whose relays seal for each leg.

use super::*;
use kakehashi_wire::id::Epoch;
use kakehashi_wire::media::RelayPath;
use kakehashi_wire::relay::LegLane;
use kakehashi_wire::secret::DownlinkSecret;
use kakehashi_wire::terminal::PathRenewed;

fn two(relays: u32) -> World {
    let mut world = World::with(relays, Isolation::PerLeg);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.told.clear();
    world
}

fn epoch(path: &RelayPath) -> Epoch {
    path.downlink.as_ref().unwrap().epoch
}

fn secret(path: &RelayPath) -> &DownlinkSecret {
    &path.downlink.as_ref().unwrap().secret
}

/// The life a leg has at the relay it lives on.
fn life_at(world: &World, path: &RelayPath) -> Epoch {
    let install = &world.relay(path.relay.0).held[&path.leg.0];
    Epoch { incarnation: Incarnation(world.life), generation: install.generation }
}

fn renewed(world: &mut World, session: u64) -> Vec<PathRenewed> {
    let told = world.take(session).into_iter();
    told.filter_map(|message| match message {
        ToTerminal::PathRenewed(renewed) => Some(renewed),
        _ => None,
    })
    .collect()
}

#[test]
fn each_leg_has_its_own_secret_and_nobody_has_anothers_key() {
    let mut world = two(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = [world.ready(1).unwrap(), world.ready(2).unwrap()];
    let paths: Vec<_> = ready.iter().flat_map(|ready| &ready.paths).collect();
    assert_eq!(paths.len(), 4);
    for (nth, path) in paths.iter().enumerate() {
        assert!(paths[..nth].iter().all(|other| secret(other) != secret(path)));
        assert_eq!(epoch(path), life_at(&world, path));
        let install = &world.relay(path.relay.0).held[&path.leg.0];
        let LegLane::Seal(lane) = &install.lane else { panic!("a leg in the pass lane") };
        assert!(lane.secret == *secret(path));
        assert_eq!(lane.suite, path.downlink.as_ref().unwrap().suite);
        assert_eq!(install.rate_kbps, 8_000);
    }
    assert!(ready[0].key != ready[1].key);
    for ready in &ready {
        assert!(ready.senders.iter().all(|sender| sender.key.is_none()));
    }
}

#[test]
fn without_isolation_nothing_is_sealed() {
    let mut world = World::new(2);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = world.ready(1).unwrap();
    assert!(ready.paths.iter().all(|path| path.downlink.is_none()));
    assert!(ready.senders.iter().all(|sender| sender.key.is_some()));
    let mut installed = world.relays.values().flat_map(|relay| relay.held.values());
    assert!(installed.all(|leg| leg.lane == LegLane::Pass && leg.rate_kbps == 8_000));
    world.told.clear();
    world.restart(1);
    assert!(world.heard(1).is_empty() && world.heard(2).is_empty());
}

#[test]
fn a_relay_that_starts_again_or_forgot_a_leg_begins_a_life_its_member_is_told_of() {
    let mut world = two(2);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = [world.ready(1).unwrap(), world.ready(2).unwrap()];
    let mut seen: BTreeSet<_> = BTreeSet::new();
    for round in 0..3 {
        // Its process starts again, or it connects again and has lost its legs.
        if round == 2 {
            world.link_down(1);
            world.link_up(1);
        } else {
            world.restart(1);
        }
        for (session, ready) in [(1, &ready[0]), (2, &ready[1])] {
            let path = &ready.paths[0];
            let epoch = life_at(&world, path);
            assert_eq!(renewed(&mut world, session), [PathRenewed { call, leg: path.leg, epoch }]);
            assert!(seen.insert((epoch.incarnation, epoch.generation)), "a life began twice");
        }
    }
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn a_relay_that_only_lost_its_link_goes_on_sealing_as_before() {
    let mut world = two(1);
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.told.clear();
    let link = LinkId(1);
    let held = std::mem::take(&mut world.relays.get_mut(&link).unwrap().held);
    world.relays_are.answer = false;
    world.link_down(1);
    world.link_up(1);
    world.relays.get_mut(&link).unwrap().held = held;
    world.answer_relay(1);
    assert!(world.heard(1).is_empty() && world.heard(2).is_empty());
}

#[test]
fn the_life_of_a_late_standby_is_told_when_it_is_known() {
    let mut world = two(2);
    world.relays_are.answer = false;
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    world.answer_relay(1);
    world.wait(Duration::from_millis(501));
    let ready = world.ready(1).unwrap();
    assert_eq!(epoch(&ready.paths[0]), life_at(&world, &ready.paths[0]));
    assert_eq!(epoch(&ready.paths[1]), Epoch::NONE);
    world.answer_relay(2);
    let standby = &ready.paths[1];
    let expected = PathRenewed { call, leg: standby.leg, epoch: life_at(&world, standby) };
    assert_eq!(renewed(&mut world, 1), [expected]);
    assert_eq!(renewed(&mut world, 2).len(), 1);
    world.relays_are.answer = true;
    world.hang_up(1, call);
    world.assert_clean();
}
