//! Requests: repetitions out of the cache, key frames, congestion feedback; and that nobody can ask
//! for what is not meant for him.

use super::verdict::Verdict;
use crate::capacity::{KEY_FRAME_PAUSE_MS, REPAIR_BYTES, REPAIR_STEPS_MAX, REPAIRS_PER_REQUEST};
use crate::testing::{Effect, Phone, World};
use kakehashi_wire::feedback::{IntraRequest, NackEntry, PacketMetric};
use kakehashi_wire::id::Generation;
use kakehashi_wire::relay::{Order, Outcome, SubscribeLeg, Subscription};
use kakehashi_wire::rtcp::{RtcpView, RtcpWriter};
use kakehashi_wire::rtp::Ssrc;
use std::net::SocketAddr;

/// First sequence number of every phone.
const FIRST: u16 = 100;

/// Sends what `fill` writes as an SRTCP packet of a phone.
fn tell(world: &mut World, phone: &mut Phone, fill: impl FnOnce(&mut RtcpWriter<'_>)) -> Effect {
    let mut plain = Vec::new();
    fill(&mut RtcpWriter::new(&mut plain));
    let packet = phone.rtcp_of(&plain);
    world.send(phone.address, &packet)
}

fn nack(world: &mut World, phone: &mut Phone, media: Ssrc, numbers: &[u16]) -> Effect {
    let from = phone.ssrc;
    tell(world, phone, |out| out.nack(from, media, NackEntry::pack(numbers.iter().copied())))
}

/// Sends the next packet of a stream; the packet, and what left for it.
fn media(world: &mut World, phone: &mut Phone, stream: usize, bytes: usize) -> (Vec<u8>, Effect) {
    let packet = phone.rtp_of(stream, &vec![0x5a; bytes]);
    let effect = world.send(phone.address, &packet);
    assert_eq!(effect.verdict, Verdict::Forwarded);
    (packet, effect)
}

fn for_address(effect: &Effect, to: SocketAddr) -> Vec<Vec<u8>> {
    effect.answers.iter().filter(|(at, _)| *at == to).map(|(_, bytes)| bytes.clone()).collect()
}

#[test]
fn a_request_is_met_with_the_very_bytes_in_both_lanes() {
    let mut phones =
        [Phone::new(1, 1).with_streams(2), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let mut world = World::that_keeps(&phones);
    let (mut sent, mut sealed) = (Vec::new(), Vec::new());
    for n in 0..50 {
        // Another stream between them: its packets are not taken for these.
        media(&mut world, &mut phones[0], 0, 60);
        let (packet, effect) = media(&mut world, &mut phones[0], 1, 800 + n);
        sent.push(packet);
        sealed.extend(for_address(&effect, phones[2].address));
    }
    let stream = phones[0].ssrc_of(1);
    for asked in [&[3_u16][..], &[49, 0, 17], &[5, 5, 5], &[20, 21, 22, 23, 24, 25]] {
        let numbers: Vec<_> = asked.iter().map(|n| FIRST + n).collect();
        for (asker, first_time) in [(1, &sent), (2, &sealed)] {
            let repairs = world.counter("repairs");
            let effect = nack(&mut world, &mut phones[asker], stream, &numbers);
            assert_eq!(effect.verdict, Verdict::Repaired);
            assert!(effect.hops.is_empty(), "the sender is not asked");
            let mut got = for_address(&effect, phones[asker].address);
            assert_eq!(got.len(), effect.answers.len(), "nobody else gets it");
            got.sort();
            let mut wanted: Vec<_> =
                asked.iter().map(|n| first_time[usize::from(*n)].clone()).collect();
            wanted.sort();
            wanted.dedup();
            assert_eq!(got, wanted);
            assert_eq!(world.counter("repairs"), repairs + wanted.len() as u64);
        }
    }
}

#[test]
fn only_members_who_receive_the_stream_get_it_again() {
    let mut phones = [
        Phone::new(1, 1),
        Phone::new(1, 2),
        Phone::new(1, 3),
        Phone::new(2, 4),
        Phone::new(2, 5).sealed(),
    ];
    let mut world = World::that_keeps(&phones);
    let streams = vec![];
    let order = SubscribeLeg { leg: phones[2].leg, generation: Generation(2), streams };
    assert_eq!(world.apply(Order::Subscribe(order)), Outcome::Applied);
    let stream = phones[0].ssrc;
    media(&mut world, &mut phones[0], 0, 500);
    for stranger in [2, 3, 4, 0] {
        let effect = nack(&mut world, &mut phones[stranger], stream, &[FIRST]);
        assert!(effect.is_silent(), "phone {stranger}: {effect:?}");
        for ask in [0, 1] {
            let from = phones[stranger].ssrc;
            let effect = tell(&mut world, &mut phones[stranger], |out| match ask {
                0 => out.picture_loss(from, stream),
                _ => out.congestion(from, 1, |blocks| {
                    assert!(blocks.add(stream, FIRST, [PacketMetric::MISSING]));
                }),
            });
            assert!(effect.is_silent(), "phone {stranger}: {effect:?}");
        }
    }
    assert_eq!(world.counter("repairs"), 0);
    assert_eq!(nack(&mut world, &mut phones[1], stream, &[FIRST]).answers.len(), 1);
    let unknown = nack(&mut world, &mut phones[1], Ssrc(1), &[FIRST]);
    assert!(unknown.is_silent());
}

#[test]
fn what_was_overwritten_is_asked_of_the_sender() {
    let mut phones = [Phone::new(1, 1).with_streams(2), Phone::new(1, 2), Phone::new(1, 3)];
    let mut world = World::that_keeps(&phones);
    let (first, _) = media(&mut world, &mut phones[0], 0, 100);
    let stream = phones[0].ssrc;
    let effect = nack(&mut world, &mut phones[1], stream, &[FIRST]);
    assert_eq!(for_address(&effect, phones[1].address), [first]);
    for _ in 0..REPAIR_BYTES / 1_400 + 10 {
        media(&mut world, &mut phones[0], 1, 1_400);
    }
    let (second, _) = media(&mut world, &mut phones[0], 0, 100);
    let effect = nack(&mut world, &mut phones[1], stream, &[FIRST, FIRST + 1]);
    assert_eq!(for_address(&effect, phones[1].address), [second], "what is there");
    assert_eq!((effect.verdict, effect.hops), (Verdict::Forwarded, vec![phones[0].address]));
    // What has never come is asked of the sender as well.
    let effect = nack(&mut world, &mut phones[1], stream, &[FIRST + 2]);
    assert_eq!((effect.verdict, effect.hops), (Verdict::Forwarded, vec![phones[0].address]));
}

#[test]
fn repetitions_spend_the_askers_tokens_and_nobody_elses() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3)];
    phones[1].rate_kbps = 8;
    let mut world = World::that_keeps(&phones);
    let sent: Vec<_> = (0..60).map(|_| media(&mut world, &mut phones[0], 0, 1_472).0).collect();
    let (numbers, stream): (Vec<_>, _) = ((0..60).map(|n| FIRST + n).collect(), phones[0].ssrc);
    // 65,536 bytes in the bucket, less the request itself.
    let effect = nack(&mut world, &mut phones[1], stream, &numbers);
    let fits = 65_536 / sent[0].len();
    assert!(fits < 60 && effect.answers.len() <= fits && effect.answers.len() + 1 >= fits);
    assert_eq!(effect.verdict, Verdict::Repaired, "the sender has no part in it");
    assert_eq!(world.counter("repairs_over_rate"), 60 - effect.answers.len() as u64);
    // Another member has all of it, and the asker's media are bounded by what is left.
    assert_eq!(nack(&mut world, &mut phones[2], stream, &numbers).answers.len(), 60);
    let packet = phones[1].rtp_of(0, &[1; 1_472]);
    assert_eq!(world.send(phones[1].address, &packet).verdict, Verdict::OverRate);
    let (_, effect) = media(&mut world, &mut phones[0], 0, 1_472);
    assert_eq!(effect.hops.len(), 2);
}

#[test]
fn one_request_is_met_with_a_bounded_number_of_packets() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let mut world = World::that_keeps(&phones);
    for _ in 0..200 {
        media(&mut world, &mut phones[0], 0, 100);
    }
    let numbers: Vec<_> = (0..200).map(|n| FIRST + n).collect();
    let stream = phones[0].ssrc;
    for asker in [1, 2] {
        let effect = nack(&mut world, &mut phones[asker], stream, &numbers);
        assert_eq!(effect.answers.len(), REPAIRS_PER_REQUEST);
        // The same in many small requests of one datagram.
        let from = phones[asker].ssrc;
        let effect = tell(&mut world, &mut phones[asker], |out| {
            for n in &numbers[..100] {
                out.nack(from, stream, [NackEntry { first: *n, next: 0 }]);
            }
        });
        assert_eq!(effect.answers.len(), REPAIRS_PER_REQUEST);
    }
}

#[test]
fn a_renamed_leg_asks_in_its_own_numbers_and_gets_the_bytes_of_the_first_time() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let (mut world, mut ear) = (World::that_keeps(&phones), phones[2].ear());
    let name = Ssrc(0x0066_0066);
    let mut got = Vec::new();
    for (generation, source) in [(2, 0), (3, 1)] {
        let streams = vec![Subscription { source: phones[source].ssrc, shown_as: name }];
        let (leg, generation) = (phones[2].leg, Generation(generation));
        let order = Order::Subscribe(SubscribeLeg { leg, generation, streams });
        assert_eq!(world.apply(order), Outcome::Applied);
        for _ in 0..30 {
            let (_, effect) = media(&mut world, &mut phones[source], 0, 300);
            let bytes = for_address(&effect, phones[2].address).remove(0);
            let heard = ear.hear(&bytes).unwrap();
            got.push((heard.index.sequence(), bytes));
        }
    }
    for (sequence, bytes) in &got[30..] {
        let effect = nack(&mut world, &mut phones[2], name, &[*sequence]);
        assert_eq!(effect.answers, [(phones[2].address, bytes.clone())]);
    }
    // Numbers of the source before: those packets can no more be told of, and are no others.
    for (sequence, _) in &got[..30] {
        let effect = nack(&mut world, &mut phones[2], name, &[*sequence]);
        assert!(effect.answers.is_empty(), "{sequence}");
    }
}

/// A leg that paused a stream lacks packets ahead of what it was shown: their places may be given
/// to another source, so they are not sealed until the stream itself has gone past them.
#[test]
fn packets_ahead_of_what_a_leg_was_shown_are_not_sealed_for_it() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let (mut world, mut ear) = (World::that_keeps(&phones), phones[2].ear());
    let (name, leg) = (Ssrc(0x0066_0066), phones[2].leg);
    let show = |world: &mut World, generation: u64, source: Option<Ssrc>| {
        let streams = source.map(|source| Subscription { source, shown_as: name });
        let (generation, streams) = (Generation(generation), streams.into_iter().collect());
        let order = Order::Subscribe(SubscribeLeg { leg, generation, streams });
        assert_eq!(world.apply(order), Outcome::Applied);
    };
    let first = phones[0].ssrc;
    show(&mut world, 2, Some(first));
    media(&mut world, &mut phones[0], 0, 100);
    show(&mut world, 3, None);
    media(&mut world, &mut phones[0], 0, 100);
    show(&mut world, 4, Some(first));
    let effect = nack(&mut world, &mut phones[2], name, &[FIRST + 1]);
    assert!(effect.answers.is_empty(), "{effect:?}");
    media(&mut world, &mut phones[0], 0, 100);
    let effect = nack(&mut world, &mut phones[2], name, &[FIRST + 1]);
    let heard = ear.hear(&for_address(&effect, phones[2].address)[0]).unwrap();
    assert_eq!((heard.ssrc, heard.index.sequence()), (name, FIRST + 1));
}

#[test]
fn a_request_looks_back_a_bounded_number_of_packets() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::that_keeps(&phones);
    let steps = REPAIR_STEPS_MAX as u16;
    for _ in 0..=steps {
        media(&mut world, &mut phones[0], 0, 10);
    }
    let stream = phones[0].ssrc;
    let effect = nack(&mut world, &mut phones[1], stream, &[FIRST]);
    assert_eq!((effect.answers.len(), effect.hops.len()), (0, 1), "asked of the sender");
    let effect = nack(&mut world, &mut phones[1], stream, &[FIRST + 1, FIRST + steps]);
    assert_eq!((effect.answers.len(), effect.hops.len()), (2, 0));
}

#[test]
fn a_key_frame_is_asked_for_once_in_a_pause_whoever_asks_and_however() {
    let mut phones =
        [Phone::new(1, 1).with_streams(2), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let mut world = World::that_keeps(&phones);
    let (first, second) = (phones[0].ssrc, phones[0].ssrc_of(1));
    let mut ask = |world: &mut World, phone: usize, streams: &[Ssrc], full: bool| {
        let from = phones[phone].ssrc;
        tell(world, &mut phones[phone], |out| {
            let requests = streams.iter().map(|media| IntraRequest { media: *media, command: 1 });
            if full {
                out.full_intra(from, requests);
            } else {
                streams.iter().for_each(|media| out.picture_loss(from, *media));
            }
        })
    };
    let passed = |effect: &Effect| effect.hops.len() + effect.answers.len();
    for full in [false, true] {
        for asker in [1, 2] {
            world.now = world.now.after_ms(KEY_FRAME_PAUSE_MS);
            assert_eq!(passed(&ask(&mut world, asker, &[first], full)), 1);
            for again in [1, 2] {
                let effect = ask(&mut world, again, &[first], !full);
                assert_eq!((effect.verdict, passed(&effect)), (Verdict::KeyFrameAsked, 0));
            }
            // Another stream has its own pause: the request for both goes through for its sake.
            let effect = ask(&mut world, asker, &[first, second], full);
            assert_eq!((effect.verdict, passed(&effect)), (Verdict::Forwarded, 1));
            let effect = ask(&mut world, asker, &[first, second], full);
            assert_eq!((effect.verdict, passed(&effect)), (Verdict::KeyFrameAsked, 0));
            world.now = world.now.after_ms(KEY_FRAME_PAUSE_MS - 1);
            assert_eq!(passed(&ask(&mut world, asker, &[first], full)), 0);
            world.now = world.now.after_ms(1);
            assert_eq!(passed(&ask(&mut world, asker, &[first], full)), 1);
        }
    }
}

#[test]
fn congestion_feedback_goes_to_the_senders_it_is_about() {
    let mut phones = [1, 2, 3, 4].map(|n| Phone::new(1, n));
    let mut world = World::that_keeps(&phones);
    for about in [&[0][..], &[1], &[0, 2], &[0, 1, 2]] {
        let (from, streams) = (phones[3].ssrc, about.iter().map(|n: &usize| phones[*n].ssrc));
        let streams: Vec<_> = streams.collect();
        let mut effect = tell(&mut world, &mut phones[3], |out| {
            out.congestion(from, 5, |blocks| {
                for media in &streams {
                    assert!(blocks.add(*media, FIRST, [PacketMetric::MISSING; 3]));
                }
            });
        });
        effect.hops.sort();
        let wanted: Vec<_> = about.iter().map(|n| phones[*n].address).collect();
        assert_eq!((effect.verdict, effect.hops), (Verdict::Forwarded, wanted));
    }
}

/// Authentic, so from a member; but what it says is nonsense.
#[test]
fn malformed_plain_text_is_counted_and_harmless() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3).sealed()];
    let mut world = World::that_keeps(&phones);
    let ssrc = phones[0].ssrc.0.to_be_bytes();
    let broken = [
        // Longer than the packet; a list that is none; padding without end; version 0 behind.
        [&[0x80, 201, 0, 200], &ssrc[..]].concat(),
        [&[0x81, 205, 0, 2], &ssrc[..], &[0, 0, 0, 1]].concat(),
        [&[0xa1, 205, 0, 3], &ssrc[..], &[0, 0, 0, 1], &[0, 0, 0, 255]].concat(),
        [&[0x80, 201, 0, 1], &ssrc[..], &[0, 201, 0, 1, 0, 0, 0, 0]].concat(),
        [&[0x8b, 205, 0, 4], &ssrc[..], &[0, 0, 0, 1, 0, 0, 255, 255, 0, 0, 0, 0]].concat(),
    ];
    for (n, plain) in broken.iter().enumerate() {
        let packet = phones[0].rtcp_of(plain);
        let effect = world.send(phones[0].address, &packet);
        assert!(effect.is_silent() && effect.verdict == Verdict::RtcpMalformed, "{n}: {effect:?}");
    }
    assert_eq!(world.counters.of(Verdict::RtcpMalformed), broken.len() as u64);
    let packet = phones[0].rtcp();
    assert_eq!(world.send(phones[0].address, &packet).verdict, Verdict::Forwarded);
}

/// Makes a compound out of noise that often is one: headers fit, streams are known.
fn compound(noise: &[u8], ssrcs: &[Ssrc]) -> Vec<u8> {
    let mut plain = Vec::new();
    let known = |byte: u8| ssrcs[usize::from(byte) % ssrcs.len()].0.to_be_bytes();
    for part in noise.chunks(12).filter(|part| part.len() > 4) {
        let kind = [200, 201, 202, 203, 204, 205, 205, 206, 206, 207][usize::from(part[0]) % 10];
        let format = [1, 1, 4, 11, 15, part[1] & 0x1f][usize::from(part[1]) % 6];
        let mut body = [known(part[2]), known(part[3])].concat();
        body.extend_from_slice(&known(part[4]));
        part[4..].iter().for_each(|byte| body.extend_from_slice(&[*byte, part[2], part[0], *byte]));
        let words = (body.len() / 4) as u16;
        plain.extend_from_slice(&[0x80 | format | (part[1] & 0x20), kind]);
        plain.extend_from_slice(&words.to_be_bytes());
        plain.extend_from_slice(&body);
    }
    plain
}

/// Whatever a member says: nothing panics, nothing reaches another call, and what the relay seals
/// is a compound again.
#[test]
fn no_authentic_plain_text_panics_or_reaches_another_call() {
    bolero::check!().with_type::<(bool, u8, Vec<u8>)>().for_each(|(raw, from, noise)| {
        let mut phones = [
            Phone::new(1, 1),
            Phone::new(1, 2).sealed(),
            Phone::new(1, 3).sealed(),
            Phone::new(2, 4),
            Phone::new(2, 5).sealed(),
        ];
        let mut world = World::that_keeps(&phones);
        for phone in &mut phones {
            (0..20).for_each(|_| drop(media(&mut world, phone, 0, 50)));
        }
        let name = Ssrc(0x0066_0066);
        let streams = vec![Subscription { source: phones[0].ssrc, shown_as: name }];
        let (leg, generation) = (phones[1].leg, Generation(2));
        world.apply(Order::Subscribe(SubscribeLeg { leg, generation, streams }));
        media(&mut world, &mut phones[0], 0, 50);
        let from = usize::from(*from) % 3;
        let ssrcs: Vec<_> = phones.iter().map(|it| it.ssrc).chain([name, Ssrc(9)]).collect();
        let mut plain = if *raw { noise.clone() } else { compound(noise, &ssrcs) };
        plain.truncate(1_900);
        if plain.len() < 8 {
            plain = vec![0x80, 201, 0, 1, 0, 0, 0, 0];
        }
        plain[0] = plain[0] & 0x3f | 0x80;
        plain[1] = 192 | plain[1] & 0x1f;
        plain[4..8].copy_from_slice(&phones[from].ssrc.0.to_be_bytes());
        let packet = phones[from].rtcp_of(&plain);
        let effect = world.send(phones[from].address, &packet);
        let strangers = [phones[3].address, phones[4].address];
        for to in effect.hops.iter().chain(effect.answers.iter().map(|(to, _)| to)) {
            assert!(!strangers.contains(to), "{effect:?}");
        }
        for (to, bytes) in effect.answers.iter().filter(|(_, bytes)| (192..224).contains(&bytes[1]))
        {
            let receiver = phones.iter().find(|it| it.address == *to).unwrap();
            let (_, heard) = receiver.ear().hear_rtcp(bytes).unwrap();
            assert_eq!(heard.len(), plain.len());
            let parts = |bytes: &[u8]| RtcpView::parse(bytes).unwrap().packets().count();
            assert_eq!(parts(&heard), parts(&plain));
        }
        for phone in &mut phones {
            media(&mut world, phone, 0, 50);
        }
    });
}

/// Nothing is kept where nothing is lost: the first request of a call is the sender's to meet.
#[test]
fn the_first_request_of_a_call_has_its_packets_kept() {
    let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
    let mut world = World::with(&phones);
    let ssrc = phones[0].ssrc;
    for (number, verdict) in [(FIRST, Verdict::Forwarded), (FIRST + 1, Verdict::Repaired)] {
        media(&mut world, &mut phones[0], 0, 100);
        assert_eq!(nack(&mut world, &mut phones[1], ssrc, &[number]).verdict, verdict);
    }
}
