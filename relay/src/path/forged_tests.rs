//! Attacks on the path: whatever is not authentic leaves no trace but a counter.

use super::verdict::Verdict;
use crate::testing::{Phone, World, address};
use kakehashi_wire::relay::{Order, Outcome};
use kakehashi_wire::stun::{StunMessage, TransactionId};
use proptest::prelude::*;
use std::net::SocketAddr;

/// Two phones in a call, one in another, all with an address; the first has sent something.
fn world() -> ([Phone; 3], World) {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(2, 3)];
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
    (phones, world)
}

/// Sends from each of `sources` and requires silence and an unchanged table.
fn refused(world: &mut World, sources: &[SocketAddr], bytes: &[u8]) -> Verdict {
    let before = world.legs.snapshot();
    let mut verdict = None;
    for source in sources {
        let effect = world.send(*source, bytes);
        assert!(effect.is_silent(), "{effect:?}");
        assert!(world.legs.snapshot() == before, "{:?} changed the table", effect.verdict);
        verdict = verdict.or(Some(effect.verdict));
    }
    verdict.unwrap()
}

#[test]
fn every_flipped_bit_and_every_cut_of_a_real_packet_is_refused() {
    let (mut phones, mut world) = world();
    let here = [phones[0].address];
    for real in [phones[0].rtp(), phones[0].rtcp(), phones[0].check()] {
        // RFC 8489 14.5: a fingerprint that is turned into an attribute behind the integrity is
        // ignored like any other there, so the two bytes of its type are covered by nothing.
        let is_stun = real[0] < 4;
        let ignored = real.len() - 8..real.len() - 6;
        for bit in (0..real.len() * 8).filter(|bit| !is_stun || !ignored.contains(&(bit / 8))) {
            let mut flipped = real.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            refused(&mut world, &here, &flipped);
        }
        for length in 0..real.len() {
            refused(&mut world, &here, &real[..length]);
        }
        let longer = [&real[..], &[0]].concat();
        refused(&mut world, &here, &longer);
        // Undamaged it is accepted: the refusals above were for the damage.
        assert!(!world.send(here[0], &real).is_silent());
    }
}

#[test]
fn media_from_any_other_address_is_refused_and_never_moves_the_leg() {
    let (mut phones, mut world) = world();
    let elsewhere = [address(1, 1), address(2, 0), phones[2].address];
    for real in [phones[0].rtp(), phones[0].rtcp()] {
        assert_eq!(refused(&mut world, &elsewhere, &real), Verdict::WrongAddress);
        assert_eq!(world.send(phones[0].address, &real).verdict, Verdict::Forwarded);
        assert_eq!(refused(&mut world, &elsewhere, &real), Verdict::WrongAddress);
        assert_eq!(refused(&mut world, &[phones[0].address], &real), Verdict::Replayed);
    }
}

#[test]
fn another_key_and_another_legs_key_do_not_pass() {
    let (phones, mut world) = world();
    let here = phones[0].address;
    for n in [2, 3, 99] {
        let mut thief = Phone::new(1, n);
        // Past what the victim's replay window has seen: the tag has to refuse it.
        let _ = thief.rtp();
        let (own_ssrc, victim) = (thief.ssrc.0.to_be_bytes(), phones[0].ssrc.0.to_be_bytes());
        let (mut rtp, mut rtcp) = (thief.rtp(), thief.rtcp());
        assert_eq!((&rtp[8..12], &rtcp[4..8]), (&own_ssrc[..], &own_ssrc[..]));
        rtp[8..12].copy_from_slice(&victim);
        rtcp[4..8].copy_from_slice(&victim);
        assert_eq!(refused(&mut world, &[here], &rtp), Verdict::Forged);
        assert_eq!(refused(&mut world, &[here], &rtcp), Verdict::Forged);
        let fragment = phones[0].leg.fragment();
        for key in [thief.relay_password.as_bytes(), phones[0].terminal_password.as_bytes()] {
            let check = StunMessage::check(TransactionId([1; 12]), &fragment, &fragment, 1, key);
            let verdict = refused(&mut world, &[here, address(9, 9)], check.bytes());
            assert_eq!(verdict, Verdict::StunBadIntegrity);
        }
    }
}

#[test]
fn a_flood_of_forgeries_does_not_hurt_the_call() {
    let (mut phones, mut world) = world();
    for round in 0..200_u32 {
        let real = phones[0].rtp();
        for noise in 0..20_u8 {
            let mut forged = real.clone();
            // High sequence numbers, as if to push the replay window ahead.
            forged[2..4].copy_from_slice(&(round as u16 * 300 + u16::from(noise)).to_be_bytes());
            forged[20] ^= noise + 1;
            assert!(world.send(phones[0].address, &forged).is_silent());
        }
        assert_eq!(world.send(phones[0].address, &real).verdict, Verdict::Forwarded);
    }
}

#[test]
fn a_hundred_thousand_random_ssrcs_leave_the_tables_as_they_were() {
    let (mut phones, mut world) = world();
    let (real, before) = (phones[0].rtp(), world.legs.snapshot());
    let known = before.streams.clone();
    for n in 0..100_000_u32 {
        let ssrc = n.wrapping_mul(0x9e37_79b1) ^ 0x5555_5555;
        if known.contains_key(&kakehashi_wire::rtp::Ssrc(ssrc)) {
            continue;
        }
        let mut forged = real.clone();
        forged[8..12].copy_from_slice(&ssrc.to_be_bytes());
        assert_eq!(
            world.send(address(200, n as u16 % 20_000), &forged).verdict,
            Verdict::UnknownSsrc
        );
    }
    assert_eq!(world.legs.snapshot(), before);
}

#[test]
fn each_reason_is_told_apart() {
    let (phones, mut world) = world();
    let here = [phones[0].address];
    let fragment = phones[0].leg.fragment();
    let key = phones[0].relay_password.as_bytes();
    let unkeyed: Vec<u8> = {
        let check = StunMessage::check(TransactionId([1; 12]), &fragment, &fragment, 1, key);
        let mut bytes = check.bytes()[..60].to_vec();
        bytes[3] = 40;
        bytes
    };
    let stranger = StunMessage::check(TransactionId([1; 12]), &[b'0'; 16], &[b'0'; 16], 1, key);
    let mixed = StunMessage::check(TransactionId([1; 12]), &fragment, &[b'0'; 16], 1, key);
    let unasked = StunMessage::success(TransactionId([0; 12]), here[0], key);
    let nowhere = StunMessage::success(TransactionId([255; 12]), here[0], key);
    let mut indication = phones[0].check();
    indication[1] |= 0x10;
    let mut cut_header = [0x90; 40];
    cut_header[1] = 111;
    cut_header[14..16].copy_from_slice(&[255, 255]);
    for (bytes, wanted) in [
        (&[][..], Verdict::TooShort),
        (&[0x80; 19][..], Verdict::TooShort),
        (&[0x80; 27][..], Verdict::TooShort),
        (&[0xff; 40][..], Verdict::ForeignDatagram),
        (&[22; 40][..], Verdict::ForeignDatagram),
        (&[0x80; 2_000][..], Verdict::TooLong),
        (&[0x80; 40][..], Verdict::UnknownSsrc),
        (&cut_header[..], Verdict::RtpMalformed),
        (&[0; 40][..], Verdict::StunMalformed),
        (&indication[..], Verdict::StunUnsupported),
        (&unkeyed[..], Verdict::StunNoIntegrity),
        (stranger.bytes(), Verdict::StunUnknownLeg),
        (mixed.bytes(), Verdict::StunUnknownLeg),
        (nowhere.bytes(), Verdict::StunUnknownLeg),
        (unasked.bytes(), Verdict::StunUnexpected),
    ] {
        assert_eq!(refused(&mut world, &here, bytes), wanted);
    }
}

#[test]
fn an_unlatched_leg_is_not_latched_by_what_is_not_authentic() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::new(4);
    for phone in &phones {
        assert_eq!(world.apply(Order::Install(phone.install(1))), Outcome::Applied);
    }
    let real = phones[0].rtp();
    let mut forged = real.clone();
    forged[15] ^= 1;
    assert_eq!(refused(&mut world, &[address(9, 9)], &forged), Verdict::Forged);
    // Authentic media latches the sender, though nobody can receive it yet.
    assert_eq!(world.send(phones[0].address, &real).verdict, Verdict::NoReceiver);
    let next = phones[0].rtp();
    assert_eq!(refused(&mut world, &[address(9, 9)], &next), Verdict::WrongAddress);
}

/// Any datagram at all: the fuzz target of the path.
#[test]
fn any_datagram_has_one_verdict_and_none_changes_the_table() {
    let (phones, world) = world();
    let world = std::sync::Mutex::new(world);
    let here = phones[0].address;
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut world = world.lock().unwrap();
        refused(&mut world, &[here, address(9, 9)], bytes);
    });
}

proptest! {
    /// Noise behind a believable head: right SSRC, right packet type, right STUN header.
    #[test]
    fn noise_behind_a_believable_head_is_refused(
        kind in 0_u8..3, mut bytes in prop::collection::vec(any::<u8>(), 28..200), port in 0_u16..2,
    ) {
        let (mut phones, mut world) = world();
        let head = match kind {
            0 => phones[0].rtp(),
            1 => phones[0].rtcp(),
            _ => phones[0].check(),
        };
        let kept = [12, 8, 20][usize::from(kind)];
        bytes[..kept].copy_from_slice(&head[..kept]);
        if kind == 2 {
            bytes.truncate(bytes.len() / 4 * 4);
            bytes[3] = (bytes.len() - 20) as u8;
        }
        refused(&mut world, &[address(1, port)], &bytes);
    }
}
