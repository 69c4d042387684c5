//! The seal lane: what a leg receives opens with its own keys alone and is what was sent, in the
//! numbers it was told.

use super::verdict::Verdict;
use crate::legs::Identity;
use crate::testing::{Ear, IDENTITY, LIFETIME_MS, Phone, World, content};
use kakehashi_srtp::{PacketIndex, Provider, SessionKeys, SrtpError};
use kakehashi_wire::feedback::{ArrivalOffset, IntraRequest, NackEntry, PacketMetric};
use kakehashi_wire::id::{Generation, Incarnation, RelayId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    LegStream, Order, Outcome, RemoveLeg, RenewLeg, SubscribeLeg, Subscription,
};
use kakehashi_wire::rtcp::{ReportBlock, RtcpPacket, RtcpView, RtcpWriter, SenderInfo};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::IcePassword;
use std::net::SocketAddr;

/// The one datagram that the relay wrote for an address.
fn only(effect: &crate::testing::Effect, to: SocketAddr) -> Vec<u8> {
    let mut found = effect.answers.iter().filter(|(at, _)| *at == to);
    let (_, bytes) = found.next().unwrap_or_else(|| panic!("nothing for {to}: {effect:?}"));
    assert!(found.next().is_none(), "twice for {to}");
    bytes.clone()
}

fn subscribe(phone: &Phone, generation: u64, streams: &[(Ssrc, Ssrc)]) -> Order {
    let stream =
        |(source, shown_as): &(Ssrc, Ssrc)| Subscription { source: *source, shown_as: *shown_as };
    let streams = streams.iter().map(stream).collect();
    Order::Subscribe(SubscribeLeg { leg: phone.leg, generation: Generation(generation), streams })
}

/// A packet with everything a header may have: marker, contributors, an extension.
fn rich(phone: &Phone, stream: usize) -> Vec<u8> {
    let mut plain = phone.plain(stream, &[]);
    plain[0] |= 0x10 | 0x02;
    plain[1] |= 0x80;
    plain.extend_from_slice(&[1, 2, 3, 4, 5, 6, 7, 8]);
    plain.extend_from_slice(&[0xbe, 0xde, 0, 1, 0x51, 9, 9, 0]);
    plain.extend_from_slice(b"a payload of some length");
    plain
}

#[test]
fn members_of_both_lanes_hear_the_same_each_in_its_own_way() {
    let mut phones = [
        Phone::new(1, 1),
        Phone::new(1, 2).sealed(),
        Phone::new(1, 3),
        Phone::new(1, 4).sealed(),
        Phone::new(2, 5).sealed(),
    ];
    let mut world = World::with(&phones);
    let mut ears: Vec<_> = phones
        .iter()
        .map(|it| {
            if matches!(it.lane, kakehashi_wire::relay::LegLane::Pass) {
                None
            } else {
                Some(it.ear())
            }
        })
        .collect();
    for round in 0..30 {
        for from in 0..4 {
            let plain = rich(&phones[from], 0);
            let packet = phones[from].seal(0, &plain);
            let effect = world.send(phones[from].address, &packet);
            assert_eq!(effect.verdict, Verdict::Forwarded);
            assert_eq!(effect.hops.len() + effect.answers.len(), 3, "{from} in round {round}");
            for to in (0..4).filter(|to| *to != from) {
                let Some(ear) = &mut ears[to] else {
                    assert!(effect.hops.contains(&phones[to].address));
                    continue;
                };
                let bytes = only(&effect, phones[to].address);
                assert_ne!(bytes, packet);
                let heard = ear.hear(&bytes).unwrap();
                assert_eq!(heard.ssrc, phones[from].ssrc, "not renamed unless told");
                assert_eq!(heard.plain, plain, "payload, time, marker, extension, contributors");
            }
        }
    }
}

#[test]
fn nobody_elses_key_opens_what_a_sealed_leg_receives() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2).sealed(), Phone::new(1, 3).sealed()];
    let mut world = World::with(&phones);
    let packet = phones[0].rtp();
    let effect = world.send(phones[0].address, &packet);
    let bytes = only(&effect, phones[1].address);
    let other_relay = Identity { relay: RelayId(2), ..IDENTITY };
    let other_life = Identity { incarnation: Incarnation(78), ..IDENTITY };
    let senders = SessionKeys::derive(Provider::AesGcm, &phones[0].master);
    let uplink = SessionKeys::derive(Provider::AesGcm, &phones[1].master);
    for keys in [
        phones[2].downlink_keys(IDENTITY, 1),
        phones[1].downlink_keys(IDENTITY, 2),
        phones[1].downlink_keys(other_relay, 1),
        phones[1].downlink_keys(other_life, 1),
        senders,
        uplink,
    ] {
        assert_eq!(Ear::new(keys).hear(&bytes).unwrap_err(), SrtpError::Forged);
    }
    assert_eq!(phones[1].ear().hear(&bytes).unwrap().index, PacketIndex::new(0, 100));
    assert_ne!(only(&effect, phones[2].address), bytes);
}

#[test]
fn a_stream_keeps_its_name_and_its_numbers_go_on_while_control_changes_its_source() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let (mut world, mut ear) = (World::with(&phones), phones[2].ear());
    let [first, second, name] = [phones[0].ssrc, phones[1].ssrc, Ssrc(0x0077_0077)];
    let mut generation = 1;
    let mut highest = None;
    for (source, silent) in [(0, 1), (1, 0), (0, 1), (1, 0)] {
        generation += 1;
        let order = subscribe(&phones[2], generation, &[([first, second][source], name)]);
        assert_eq!(world.apply(order), Outcome::Applied);
        for _ in 0..20 {
            let unwanted = phones[silent].rtp();
            let effect = world.send(phones[silent].address, &unwanted);
            assert!(effect.answers.is_empty(), "not subscribed");
            let plain = rich(&phones[source], 0);
            let packet = phones[source].seal(0, &plain);
            let effect = world.send(phones[source].address, &packet);
            let heard = ear.hear(&only(&effect, phones[2].address)).unwrap();
            assert_eq!((heard.ssrc, heard.content()), (name, content(&plain)));
            let next = highest.map_or_else(|| heard.index.value(), |it: u64| it + 1);
            assert_eq!(heard.index.value(), next, "no gap and no number twice");
            highest = Some(next);
        }
    }
    assert_eq!(world.apply(subscribe(&phones[2], 9, &[])), Outcome::Applied);
    for from in [0, 1] {
        let packet = phones[from].rtp();
        assert!(world.send(phones[from].address, &packet).answers.is_empty());
    }
}

/// A switch of sources in the middle of reordered packets: what belongs to before is left out.
#[test]
fn late_packets_of_a_source_that_is_not_shown_any_more_never_arrive() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let (mut world, mut ear) = (World::with(&phones), phones[2].ear());
    let [first, second, name] = [phones[0].ssrc, phones[1].ssrc, Ssrc(0x0077_0077)];
    world.apply(subscribe(&phones[2], 2, &[(first, name)]));
    let (early, late) = (phones[0].rtp(), phones[0].rtp());
    let (before, after) = (phones[1].rtp(), phones[1].rtp());
    let effect = world.send(phones[0].address, &late);
    let last = ear.hear(&only(&effect, phones[2].address)).unwrap().index.value();
    world.apply(subscribe(&phones[2], 3, &[(second, name)]));
    let effect = world.send(phones[1].address, &after);
    assert_eq!(ear.hear(&only(&effect, phones[2].address)).unwrap().index.value(), last + 1);
    assert!(world.send(phones[0].address, &early).answers.is_empty());
    let not_shown = world.counter("hops_not_shown");
    assert!(world.send(phones[1].address, &before).answers.is_empty());
    assert_eq!(world.counter("hops_not_shown"), not_shown + 1);
}

#[test]
fn a_pass_lane_leg_subscribes_but_gets_no_other_names() {
    let mut phones = [Phone::new(1, 1).with_streams(2), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let [audio, video] = [0, 1].map(|n| phones[0].ssrc_of(n));
    let renamed = subscribe(&phones[1], 2, &[(audio, Ssrc(5))]);
    assert_eq!(world.apply(renamed), Outcome::BadOrder);
    for (wanted, hears) in [(vec![audio], [1, 0]), (vec![], [0, 0]), (vec![video, audio], [1, 1])] {
        let list: Vec<_> = wanted.iter().map(|ssrc| (*ssrc, *ssrc)).collect();
        let generation = world.counters.received() + 2;
        assert_eq!(world.apply(subscribe(&phones[1], generation, &list)), Outcome::Applied);
        for (stream, hops) in [0, 1].into_iter().zip(hears) {
            let packet = phones[0].rtp_of(stream, b"any payload");
            assert_eq!(world.send(phones[0].address, &packet).hops.len(), hops);
        }
    }
}

/// Two streams under shifted numbers: `shift` is what the receiver's numbers are ahead.
fn shifted() -> ([Phone; 3], World, Ear, Ssrc, u16) {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let (mut world, mut ear) = (World::with(&phones), phones[2].ear());
    let [first, second, name] = [phones[0].ssrc, phones[1].ssrc, Ssrc(0x0077_0077)];
    world.apply(subscribe(&phones[2], 2, &[(first, name)]));
    for _ in 0..40 {
        let packet = phones[0].rtp();
        let effect = world.send(phones[0].address, &packet);
        ear.hear(&only(&effect, phones[2].address)).unwrap();
    }
    world.apply(subscribe(&phones[2], 3, &[(second, name)]));
    let packet = phones[1].rtp();
    let effect = world.send(phones[1].address, &packet);
    let heard = ear.hear(&only(&effect, phones[2].address)).unwrap();
    let shift = heard.index.sequence() - 100;
    assert_eq!(shift, 40);
    (phones, world, ear, name, shift)
}

fn block(ssrc: Ssrc, highest_sequence: u32) -> ReportBlock {
    ReportBlock {
        ssrc,
        fraction_lost: 3,
        cumulative_lost: 5,
        highest_sequence,
        jitter: 7,
        last_report: 11,
        delay: 13,
    }
}

#[test]
fn reports_are_translated_into_the_receivers_numbers_and_back() {
    let (mut phones, mut world, mut ear, name, shift) = shifted();
    let info = SenderInfo { ntp: 1 << 40, rtp_timestamp: 2, packets: 3, bytes: 4 };
    // From the sender: its stream has the receiver's name, the receiver's own stream its own.
    let mut plain = Vec::new();
    let about_receiver = block(phones[2].ssrc, 500);
    RtcpWriter::new(&mut plain).sender_report(phones[1].ssrc, info, &[about_receiver]);
    let packet = phones[1].rtcp_of(&plain);
    let effect = world.send(phones[1].address, &packet);
    assert_eq!(effect.hops, [phones[0].address], "as it came");
    let (_, got) = ear.hear_rtcp(&only(&effect, phones[2].address)).unwrap();
    let mut wanted = Vec::new();
    RtcpWriter::new(&mut wanted).sender_report(name, info, &[about_receiver]);
    assert_eq!(got, wanted);
    // From the receiver: it speaks of the name, and in its numbers. A pass lane member gets what it
    // wrote, since nobody may change it.
    let mut plain = Vec::new();
    let highest = 100 + u32::from(shift);
    RtcpWriter::new(&mut plain).receiver_report(phones[2].ssrc, &[block(name, highest)]);
    let packet = phones[2].rtcp_of(&plain);
    let effect = world.send(phones[2].address, &packet);
    assert_eq!(effect.hops.len(), 2);
}

/// Both ends in the seal lane, each with other numbers: what one says of the other's stream
/// arrives in the other's own.
#[test]
fn feedback_in_the_receivers_numbers_arrives_in_the_senders() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2).sealed(), Phone::new(1, 3).sealed()];
    let (mut world, mut ear, mut sender) = (World::with(&phones), phones[2].ear(), phones[1].ear());
    let name = Ssrc(0x0077_0077);
    world.apply(subscribe(&phones[2], 2, &[(phones[0].ssrc, name)]));
    for _ in 0..40 {
        let packet = phones[0].rtp();
        let effect = world.send(phones[0].address, &packet);
        ear.hear(&only(&effect, phones[2].address)).unwrap();
    }
    world.apply(subscribe(&phones[2], 3, &[(phones[1].ssrc, name)]));
    let packet = phones[1].rtp();
    let effect = world.send(phones[1].address, &packet);
    let shown = ear.hear(&only(&effect, phones[2].address)).unwrap().index.sequence();
    let (from, source) = (phones[2].ssrc, phones[1].ssrc);
    let mut ask = |fill: &dyn Fn(&mut RtcpWriter<'_>)| {
        let mut plain = Vec::new();
        fill(&mut RtcpWriter::new(&mut plain));
        let packet = phones[2].rtcp_of(&plain);
        let effect = world.send(phones[2].address, &packet);
        assert!(effect.hops.is_empty() && effect.answers.len() == 1, "to the sender alone");
        sender.hear_rtcp(&only(&effect, phones[1].address)).unwrap().1
    };
    // Not in the cache: the sender is asked, by its own numbers.
    let got = ask(&|out| out.nack(from, name, [NackEntry { first: shown + 7, next: 5 }]));
    let mut wanted = Vec::new();
    RtcpWriter::new(&mut wanted).nack(from, source, [NackEntry { first: 107, next: 5 }]);
    assert_eq!(got, wanted);
    let got = ask(&|out| out.full_intra(from, [IntraRequest { media: name, command: 4 }]));
    let mut wanted = Vec::new();
    let request = IntraRequest { media: source, command: 4 };
    RtcpWriter::new(&mut wanted).full_intra(from, [request]);
    assert_eq!(got, wanted);
    let metrics = [PacketMetric::arrived(1, ArrivalOffset::Before(9)), PacketMetric::MISSING];
    let got = ask(&|out| {
        out.congestion(from, 99, |blocks| assert!(blocks.add(name, shown, metrics)));
    });
    let RtcpPacket::Congestion(feedback) = RtcpView::parse(&got).unwrap().packets().next().unwrap()
    else {
        panic!("{got:?}")
    };
    let block = feedback.blocks().next().unwrap();
    assert_eq!((block.media, block.first, feedback.timestamp), (source, 100, 99));
    assert_eq!(block.metrics().collect::<Vec<_>>(), metrics);
}

#[test]
fn a_late_joiner_hears_a_stream_that_has_wrapped_in_both_lanes() {
    for rollover in [1, 3, 40] {
        let sender = Phone::new(1, 1).having_wrapped(rollover + 2).known_to_have_wrapped(rollover);
        let mut phones = [sender, Phone::new(1, 2), Phone::new(1, 3).sealed()];
        let mut world = World::with(&phones);
        let mut ear = phones[2].ear().joining(rollover);
        for n in 0..5 {
            let plain = phones[0].plain(0, b"hours later");
            let packet = phones[0].seal(0, &plain);
            let effect = world.send(phones[0].address, &packet);
            assert_eq!(effect.hops, [phones[1].address]);
            let heard = ear.hear(&only(&effect, phones[2].address)).unwrap();
            assert_eq!(
                (heard.index, &heard.plain),
                (PacketIndex::new(rollover + 2, 100 + n), &plain)
            );
        }
    }
}

#[test]
fn a_rollover_that_one_relay_reports_lets_another_hear_the_stream() {
    for seal in [false, true] {
        let receiver = |seal: bool| if seal { Phone::new(1, 2).sealed() } else { Phone::new(1, 2) };
        let mut phones = [Phone::new(1, 1).having_wrapped(14), receiver(seal)];
        let mut world = World::with(&phones);
        let old = phones[0].rtp();
        assert_eq!(world.send(phones[0].address, &old).verdict, Verdict::Forwarded);
        let mut reports = Vec::new();
        let mut take = |stream| {
            reports.push(stream);
            true
        };
        world.legs.sweep(world.now, &mut take);
        world.legs.sweep(world.now, &mut take);
        let wrapped = LegStream { ssrc: phones[0].ssrc, rollover: 14 };
        assert_eq!(reports, [wrapped], "once");
        // Refused reports come again.
        let [first, second] = phones;
        phones = [first.having_wrapped(15), second];
        let (_lost, packet) = (phones[0].rtp(), phones[0].rtp());
        assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
        let mut offered = 0;
        let mut refuse = |_| {
            offered += 1;
            false
        };
        world.legs.sweep(world.now, &mut refuse);
        world.legs.sweep(world.now, &mut refuse);
        assert_eq!(offered, 2);
        // A relay that was told nothing hears it as long as 15 wraps are in reach, not from 16 on.
        let [first, second] = phones;
        phones = [first.having_wrapped(29).known_to_have_wrapped(14), second];
        let mut standby = World::with(&phones);
        assert_eq!(standby.send(phones[0].address, &old).verdict, Verdict::Forwarded);
        let mut standby = World::with(&phones);
        let packet = phones[0].rtp();
        assert_eq!(standby.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
        let replay = standby.send(phones[0].address, &old);
        assert!(replay.is_silent(), "{replay:?}");
        // What is from before the bound is refused even as the first packet.
        let [first, second] = phones;
        phones = [first.known_to_have_wrapped(15), second];
        let mut bounded = World::with(&phones);
        let replay = bounded.send(phones[0].address, &old);
        assert!(replay.is_silent() && replay.verdict == Verdict::Forged, "{replay:?}");
        let packet = phones[0].rtp();
        assert_eq!(bounded.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
    }
}

#[test]
fn a_leg_that_is_installed_anew_is_sealed_for_under_new_keys_only() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2).sealed()];
    let mut world = World::with(&phones);
    let mut last = Vec::new();
    for generation in 1..5_u64 {
        // Each differs from the one before, or the leg's life would go on.
        phones[1].relay_password = IcePassword::from_random([100 + generation as u8; 24]);
        let again = Order::Install(phones[1].install(generation));
        if generation > 1 {
            assert_eq!(world.apply(again.clone()), Outcome::Applied);
        }
        assert_eq!(world.apply(again), Outcome::Unchanged);
        let packet = phones[0].rtp();
        let effect = world.send(phones[0].address, &packet);
        let bytes = only(&effect, phones[1].address);
        for other in 1..5 {
            let mut ear = Ear::new(phones[1].downlink_keys(IDENTITY, other));
            assert_eq!(ear.hear(&bytes).is_ok(), other == generation);
        }
        last = bytes;
    }
    let (leg, generation) = (phones[1].leg, Generation(9));
    assert_eq!(world.apply(Order::Remove(RemoveLeg { leg, generation })), Outcome::Applied);
    let packet = phones[0].rtp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::NoReceiver);
    assert!(!last.is_empty());
}

/// A member seals two contents under one index of its own key. Its replay window is there to refuse
/// the second; where the window began anew, the relay gives it another index.
#[test]
fn a_sender_that_breaks_the_rules_of_its_key_makes_the_relay_break_none() {
    for way in ["the leg is dropped", "the stream is left out", "the key changes and returns"] {
        let sender = Phone::new(1, 1).with_streams(2);
        let mut phones = [sender, Phone::new(1, 2).sealed()];
        let (mut world, mut ear) = (World::with(&phones), phones[1].ear());
        let mut places = std::collections::BTreeSet::new();
        for round in 0..4_u64 {
            let packet = match round {
                0 => phones[0].rtp_of(1, b"the first content"),
                _ => phones[0].fork(1, 1, &[round as u8; 17]).unwrap(),
            };
            let effect = world.send(phones[0].address, &packet);
            let heard = ear.hear(&only(&effect, phones[1].address)).unwrap();
            assert!(places.insert(heard.index.value()), "{way}: {:?} again", heard.index);
            let again = phones[0].fork(1, 1, b"another content!!").unwrap();
            assert_eq!(world.send(phones[0].address, &again).verdict, Verdict::Replayed);
            let install = |generation: u64| phones[0].install(2 * round + generation);
            let mut between = install(2);
            match way {
                "the leg is dropped" => {
                    let (leg, generation) = (between.leg, between.generation);
                    world.apply(Order::Remove(RemoveLeg { leg, generation }));
                }
                "the stream is left out" => {
                    between.streams.pop();
                    assert_eq!(world.apply(Order::Install(between)), Outcome::Applied);
                }
                _ => {
                    between.key = crate::testing::master_key(200);
                    assert_eq!(world.apply(Order::Install(between)), Outcome::Applied);
                }
            }
            assert_eq!(world.apply(Order::Install(install(3))), Outcome::Applied);
        }
    }
}

/// An order that changes nothing about a stream lets it go on under its numbers.
#[test]
fn a_newer_order_for_the_sender_does_not_move_the_numbers_of_a_stream_that_stays() {
    let sender = Phone::new(1, 1).with_streams(2);
    let mut phones = [sender, Phone::new(1, 2).sealed()];
    let (mut world, mut ear) = (World::with(&phones), phones[1].ear());
    for generation in 2..6 {
        let (_lost, packet) = (phones[0].rtp(), phones[0].rtp());
        let effect = world.send(phones[0].address, &packet);
        let heard = ear.hear(&only(&effect, phones[1].address)).unwrap();
        assert_eq!(heard.index.sequence() as u64, 100 + 2 * (generation - 2) + 1);
        let mut order = phones[0].install(generation);
        order.streams.rotate_left(generation as usize % 2);
        assert_eq!(world.apply(Order::Install(order)), Outcome::Applied);
    }
}

#[test]
fn a_sealed_leg_receives_nothing_from_the_millisecond_its_time_is_over() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2).sealed()];
    let mut world = World::with(&phones);
    for (after_ms, receives) in [(u64::from(LIFETIME_MS) - 1, 1), (1, 0)] {
        world.now = world.now.after_ms(after_ms);
        let (leg, generation) = (phones[0].leg, Generation(1 + after_ms));
        let lifetime_ms = LIFETIME_MS;
        world.apply(Order::Renew(RenewLeg {
            leg,
            generation,
            lifetime_ms,
            seen_at: Host::UNKNOWN,
        }));
        for packet in [phones[0].rtp(), phones[0].rtcp()] {
            assert_eq!(world.send(phones[0].address, &packet).answers.len(), receives);
        }
    }
}

/// Nothing of a name has been sealed yet: requests about it reach its source all the same.
#[test]
fn a_key_frame_can_be_asked_for_before_the_first_packet_under_a_name() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2).sealed()];
    let mut world = World::with(&phones);
    let name = Ssrc(0x0077_0077);
    world.apply(subscribe(&phones[1], 2, &[(phones[0].ssrc, name)]));
    let mut plain = Vec::new();
    RtcpWriter::new(&mut plain).picture_loss(phones[1].ssrc, name);
    let packet = phones[1].rtcp_of(&plain);
    let effect = world.send(phones[1].address, &packet);
    assert_eq!((effect.verdict, effect.hops), (Verdict::Forwarded, vec![phones[0].address]));
    let mut plain = Vec::new();
    RtcpWriter::new(&mut plain).bye(phones[0].ssrc);
    let packet = phones[0].rtcp_of(&plain);
    let effect = world.send(phones[0].address, &packet);
    let (_, got) = phones[1].ear().hear_rtcp(&only(&effect, phones[1].address)).unwrap();
    let mut wanted = Vec::new();
    RtcpWriter::new(&mut wanted).bye(name);
    assert_eq!(got, wanted);
}
