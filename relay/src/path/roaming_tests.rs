//! How a leg gets its address, keeps it, and moves.

use super::verdict::Verdict;
use crate::capacity::{CHALLENGE_MS, MOVE_PAUSE_MS};
use crate::testing::{Phone, World, address};
use kakehashi_wire::relay::{Order, Outcome};
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};

fn world() -> ([Phone; 2], World) {
    let phones = [1, 2].map(|n| Phone::new(1, n));
    let world = World::with(&phones);
    (phones, world)
}

/// Asks for a move to `place`; returns the challenge.
fn challenged(world: &mut World, phone: &Phone, place: u16) -> Vec<u8> {
    let source = address(1, place);
    let effect = world.send(source, &phone.check());
    assert_eq!(effect.verdict, Verdict::Challenged);
    let [(destination, challenge)] = &effect.answers[..] else { panic!("{effect:?}") };
    assert_eq!(*destination, source);
    challenge.clone()
}

/// Where the other phone's media goes.
fn target(world: &mut World, other: &mut Phone) -> Vec<std::net::SocketAddr> {
    let packet = other.rtp();
    world.send(other.address, &packet).hops
}

#[test]
fn the_first_binding_latches_and_every_later_one_is_consent() {
    let phone = Phone::new(1, 1);
    let mut world = World::new(2);
    assert_eq!(world.apply(Order::Install(phone.install(1))), Outcome::Applied);
    for _ in 0..3 {
        let effect = world.send(phone.address, &phone.check());
        assert_eq!((effect.verdict, effect.answers.len()), (Verdict::Answered, 1));
        let view = StunView::parse(&effect.answers[0].1).unwrap();
        assert_eq!((view.kind(), view.mapped()), (StunKind::Success, Some(phone.address)));
        assert_eq!(view.transaction(), TransactionId([9; 12]));
        assert!(view.is_keyed_by(phone.relay_password.as_bytes()));
    }
}

#[test]
fn a_leg_moves_when_the_new_address_has_answered_and_not_before() {
    let (mut phones, mut world) = world();
    let (old, new) = (address(1, 0), address(1, 1));
    let challenge = challenged(&mut world, &phones[0], 1);
    let view = StunView::parse(&challenge).unwrap();
    let fragment = phones[0].leg.fragment();
    assert_eq!(view.fragments(), Some((&fragment[..], &fragment[..])));
    assert_eq!(target(&mut world, &mut phones[1]), [old]);
    let packet = phones[0].rtp();
    assert_eq!(world.send(new, &packet).verdict, Verdict::WrongAddress);
    assert_eq!(world.send(old, &packet).verdict, Verdict::Forwarded);

    let proof = phones[0].proof(&challenge, new);
    assert_eq!(world.send(new, &proof).verdict, Verdict::Moved);
    assert_eq!(target(&mut world, &mut phones[1]), [new]);
    let packet = phones[0].rtp();
    assert_eq!(world.send(old, &packet).verdict, Verdict::WrongAddress);
    assert_eq!(world.send(new, &packet).verdict, Verdict::Forwarded);
    assert_eq!(world.send(new, &phones[0].check()).verdict, Verdict::Answered);
    assert_eq!(world.send(new, &proof).verdict, Verdict::StunUnexpected, "once");
}

#[test]
fn a_lost_challenge_is_sent_again_with_the_same_transaction() {
    let (phones, mut world) = world();
    let first = challenged(&mut world, &phones[0], 1);
    assert_eq!(challenged(&mut world, &phones[0], 1), first);
}

#[test]
fn only_the_right_answer_from_the_right_address_in_time_moves_a_leg() {
    let (mut phones, mut world) = world();
    let (old, new) = (address(1, 0), address(1, 1));
    let challenge = challenged(&mut world, &phones[0], 1);
    let right = phones[0].proof(&challenge, new);
    let transaction = StunView::parse(&challenge).unwrap().transaction();
    let before = world.legs.snapshot();

    let wrong_key = StunMessage::success(transaction, new, phones[0].relay_password.as_bytes());
    assert_eq!(world.send(new, wrong_key.bytes()).verdict, Verdict::StunBadIntegrity);
    let mut other = transaction;
    other.0[11] ^= 1;
    let key = phones[0].terminal_password.as_bytes();
    let other = StunMessage::success(other, new, key);
    assert_eq!(world.send(new, other.bytes()).verdict, Verdict::StunUnexpected);
    for elsewhere in [old, address(1, 2), phones[1].address] {
        assert_eq!(world.send(elsewhere, &right).verdict, Verdict::StunUnexpected);
    }
    // The relay's own challenge, sent back at it, is a request with the wrong key.
    assert_eq!(world.send(new, &challenge).verdict, Verdict::StunBadIntegrity);
    assert_eq!(world.legs.snapshot(), before);
    world.now = world.now.after_ms(CHALLENGE_MS);
    assert_eq!(world.send(new, &right).verdict, Verdict::StunUnexpected, "too late");
    assert_eq!(target(&mut world, &mut phones[1]), [old]);
}

#[test]
fn one_challenge_at_a_time_and_one_move_a_second() {
    let (phones, mut world) = world();
    let challenge = challenged(&mut world, &phones[0], 1);
    let effect = world.send(address(1, 2), &phones[0].check());
    assert_eq!(effect.verdict, Verdict::ChallengePending);
    assert!(effect.is_silent());
    let proof = phones[0].proof(&challenge, address(1, 1));
    assert_eq!(world.send(address(1, 1), &proof).verdict, Verdict::Moved);

    world.now = world.now.after_ms(MOVE_PAUSE_MS - 1);
    let effect = world.send(address(1, 2), &phones[0].check());
    assert_eq!((effect.verdict, effect.is_silent()), (Verdict::MoveTooSoon, true));
    world.now = world.now.after_ms(1);
    challenged(&mut world, &phones[0], 2);
}

#[test]
fn a_copied_check_or_packet_redirects_nothing_however_often_it_is_tried() {
    let (mut phones, mut world) = world();
    let check = phones[0].check();
    for round in 0..1_000_u16 {
        world.now = world.now.after_ms(50);
        let thief = address(66, round % 5);
        world.send(thief, &check);
        let packet = phones[0].rtp();
        assert!(world.send(thief, &packet).is_silent());
        assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
        assert_eq!(target(&mut world, &mut phones[1]), [phones[0].address]);
    }
    assert_eq!(world.counters.of(Verdict::Moved), 0);
}

#[test]
fn even_the_shortest_request_is_longer_than_what_answers_it() {
    let phone = Phone::new(1, 1);
    let mut world = World::new(2);
    assert_eq!(world.apply(Order::Install(phone.install(1))), Outcome::Applied);
    // A challenge is the shortest authentic request there is; here one of the terminal's.
    let (fragment, key) = (phone.leg.fragment(), phone.relay_password.as_bytes());
    let shortest = StunMessage::challenge(TransactionId([4; 12]), &fragment, &fragment, key);
    for (source, wanted) in [
        ("[2001:db8::1]:65535", Verdict::Answered),
        ("[2001:db8::2]:65535", Verdict::Challenged),
        ("203.0.113.1:9", Verdict::ChallengePending),
    ] {
        // `send` checks the lengths.
        assert_eq!(world.send(source.parse().unwrap(), shortest.bytes()).verdict, wanted);
    }
}
