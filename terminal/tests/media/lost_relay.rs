//! What a relay that dies takes with it, in virtual time: two engines, and two relays that are
//! nothing but a way.

use crate::relay::{path, relay_password};
use crate::sides::{call_over, leg, role};
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::media::summary::{Drops, Phase};
use kakehashi_terminal::media::{Arrival, Engine, Transmit};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::LegId;
use kakehashi_wire::media::{Codec, StreamKind};
use kakehashi_wire::stun::{StunMessage, StunView};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

/// From a terminal to a relay, and from there to a terminal.
const WAY_MS: u64 = 10;

const FRAME_MS: u64 = 20;

fn address(relay: usize) -> SocketAddr {
    SocketAddr::from(([192, 0, 2, 1 + relay as u8], 4000))
}

fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

/// Two terminals, and what is under way to them.
struct World {
    ends: [Engine; 2],
    under_way: BTreeMap<(u64, u64), (usize, SocketAddr, Vec<u8>)>,
    sent: u64,
    /// When the first relay dies.
    dies: u64,
    /// Of each end: which frame came when.
    heard: [Vec<(u64, u64)>; 2],
}

impl World {
    fn new(dies: u64) -> Self {
        let ready = call_over(&[(StreamKind::Audio, Codec::Opus)], false, |own| {
            let path = |relay| path(leg(own, relay), role(relay), address(relay), None);
            [0, 1].map(path).into()
        });
        let ends = ready.map(|ready| {
            let mut number = 0;
            let random = move || {
                number += 1;
                number
            };
            Engine::new(&ready, Moment::ZERO, Duration::ZERO, Box::new(random)).unwrap()
        });
        let heard = [Vec::new(), Vec::new()];
        Self { ends, under_way: BTreeMap::new(), sent: 0, dies, heard }
    }

    /// What a relay makes of a datagram.
    fn relayed(&mut self, from: usize, Transmit { to, bytes }: Transmit, now: u64) {
        if to == address(0) && now + WAY_MS >= self.dies {
            return;
        }
        let (end, bytes) = if DatagramKind::of(&bytes) == DatagramKind::Stun {
            let view = StunView::parse(&bytes).unwrap();
            let LegId(leg) = LegId::from_fragment(view.fragments().unwrap().0).unwrap();
            let key = relay_password(leg);
            let source = SocketAddr::from(([192, 0, 2, 9], 9));
            let success = StunMessage::success(view.transaction(), source, key.as_bytes());
            (from, success.bytes().to_vec())
        } else {
            (1 - from, bytes)
        };
        self.sent += 1;
        self.under_way.insert((now + 2 * WAY_MS, self.sent), (end, to, bytes));
    }

    fn run(&mut self, until: u64) {
        for now in 0..until {
            while let Some(due) = self.under_way.first_entry().filter(|due| due.key().0 <= now) {
                let (end, from, mut bytes) = due.remove();
                self.ends[end].handle_datagram(from, &mut bytes, at(now));
            }
            for end in 0..2 {
                let engine = &mut self.ends[end];
                if now % FRAME_MS == 7 * end as u64 {
                    let number = now / FRAME_MS;
                    let frame = [&[0xfc][..], &number.to_be_bytes()].concat();
                    engine.send_frame(0, &frame, (number * 960) as u32, at(now)).unwrap();
                }
                if engine.next_deadline().is_some_and(|due| due <= at(now)) {
                    engine.handle_timeout(at(now));
                }
                while let Some(arrival) = engine.poll_arrival() {
                    if let Arrival::Frame { frame, .. } = arrival {
                        let number = u64::from_be_bytes(frame.data[1..].try_into().unwrap());
                        self.heard[end].push((now, number));
                    }
                }
                while let Some(transmit) = self.ends[end].poll_transmit() {
                    self.relayed(end, transmit, now);
                }
            }
        }
    }
}

#[test]
fn what_was_said_into_the_silence_is_said_again_and_the_silence_ends_with_it() {
    // The relay dies at any moment between two frames.
    for moment in 0..FRAME_MS {
        let mut world = World::new(3_000 + moment);
        world.run(5_000);
        for (end, heard) in world.heard.iter().enumerate() {
            assert_eq!(world.ends[end].phase(), Phase::Flowing);
            let numbers: Vec<u64> = heard.iter().map(|(_, number)| *number).collect();
            let whole: Vec<u64> = (numbers[0]..numbers[0] + numbers.len() as u64).collect();
            assert_eq!(numbers, whole, "every frame once, in order; the relay died at {moment}");
            let silence = heard.windows(2).map(|pair| pair[1].0 - pair[0].0).max().unwrap();
            // What raises doubt, of that side that has it first, and what lies between the last
            // frames of either side.
            assert!((FRAME_MS..=150 + 2 * FRAME_MS).contains(&silence), "{silence} ms, {moment}");
            // Copies that came over both relays, and nothing else.
            let drops = world.ends[end].drops();
            assert_eq!(Drops { replayed: 0, ..drops }, Drops::default());
        }
    }
}
