//! Files of orders for a relay without control, drawn from a seed: who knows the seed knows every
//! key, so that the load needs nothing else.

use crate::member::{Member, MemberStream};
use crate::mix::Source;
use anyhow::{Context, Result, ensure};
use kakehashi_wire::id::{
    CallId, Epoch, Generation, Incarnation, LegId, RelayId, ShardIndex, Term, TraceId,
};
use kakehashi_wire::limits::{LEGS_PER_CALL_MAX, ORDERS_PER_BATCH_MAX, SHARDS_PER_RELAY_MAX};
use kakehashi_wire::media::{Host, SealedDownlink};
use kakehashi_wire::relay::{InstallLeg, LegLane, LegStream, Order, Orders, SealLane, ToRelay};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::net::SocketAddr;

/// A day: longer than any measurement.
const LIFETIME_MS: u32 = 24 * 3_600 * 1_000;

/// What every leg is protected with, both ways.
const SUITE: Suite = Suite::AeadAes128Gcm;

/// The one order of each leg; with the relay's number and life it makes the key of the seal lane.
const GENERATION: Generation = Generation(1);

/// The number of a relay unless its settings say otherwise, and its life with a file of orders.
const RELAY: RelayId = RelayId(1);
const INCARNATION: Incarnation = Incarnation(0);

/// Every leg may send all of these; the mix decides which ones do.
const SOURCES: [Source; 3] = [Source::Voice, Source::Camera, Source::Screen];

/// Legs for a relay that is driven without control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Direct {
    /// How many.
    pub legs: usize,
    /// Legs of each call; the last call may have fewer.
    pub legs_per_call: usize,
    /// Shards the calls are spread over, in turn.
    pub shards: u16,
    /// What the keys are drawn from.
    pub seed: u64,
    /// How legs receive what the others send.
    pub lane: Lane,
    /// The address they all send from, for a relay that lets in no others.
    pub seen_at: Host,
}

/// How legs receive what the others send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Lane {
    /// The senders' own bytes: the relay authenticates once.
    Pass,
    /// Sealed anew for each receiver.
    Seal,
}

impl Direct {
    /// Refuses what no relay would carry out.
    ///
    /// # Errors
    /// If a number is out of its range.
    pub fn check(&self) -> Result<()> {
        ensure!(
            (2..=LEGS_PER_CALL_MAX).contains(&self.legs_per_call),
            "a call has 2 to {LEGS_PER_CALL_MAX} legs, not {}",
            self.legs_per_call
        );
        ensure!(self.legs >= 2, "two legs are the least that can speak to each other");
        ensure!(
            self.legs <= usize::try_from(u32::MAX / 4).unwrap_or(usize::MAX),
            "more legs than there are SSRCs"
        );
        ensure!(
            (1..=SHARDS_PER_RELAY_MAX).contains(&usize::from(self.shards)),
            "a relay has 1 to {SHARDS_PER_RELAY_MAX} shards, not {}",
            self.shards
        );
        Ok(())
    }

    /// The orders that install all legs, encoded one batch behind the other.
    ///
    /// # Errors
    /// If a message cannot be encoded.
    pub fn file(&self) -> Result<Vec<u8>> {
        self.check()?;
        let legs: Vec<usize> = (0..self.legs).collect();
        let mut bytes = Vec::new();
        for batch in legs.chunks(ORDERS_PER_BATCH_MAX) {
            let orders = batch.iter().map(|&leg| Order::Install(self.install(leg))).collect();
            let message = ToRelay::from(Orders { term: Term::ALONE, orders }).encode();
            bytes.extend(message.context("the orders cannot be encoded")?);
        }
        Ok(bytes)
    }

    /// The members those legs make, at the relay whose shard 0 listens at `relay`.
    pub fn members(&self, relay: SocketAddr) -> Vec<Member> {
        let member = |number| {
            let install = self.install(number);
            let shard = install.shard.0;
            let streams = SOURCES.into_iter().zip(&install.streams);
            let downlink = match install.lane {
                LegLane::Pass => None,
                LegLane::Seal(SealLane { suite, secret }) => {
                    let epoch = Epoch { incarnation: INCARNATION, generation: GENERATION };
                    Some((RELAY, SealedDownlink { suite, secret, epoch }))
                }
            };
            Member {
                call: number / self.legs_per_call,
                relay: SocketAddr::new(relay.ip(), relay.port().saturating_add(shard)),
                leg: install.leg,
                relay_password: install.relay_password,
                key: install.key,
                downlink,
                streams: streams
                    .map(|(source, stream)| MemberStream {
                        source,
                        ssrc: stream.ssrc,
                        first_sequence: 1,
                    })
                    .collect(),
            }
        };
        (0..self.legs).map(member).collect()
    }

    fn install(&self, number: usize) -> InstallLeg {
        let (call, number) = (number / self.legs_per_call, number as u64);
        let mut seed = [0x4b; 32];
        seed[..8].copy_from_slice(&self.seed.to_le_bytes());
        seed[8..16].copy_from_slice(&number.to_le_bytes());
        let mut random = StdRng::from_seed(seed);
        let ssrc = |at: usize| Ssrc(u32::try_from(number * 4 + at as u64 + 1).unwrap_or(u32::MAX));
        let shard = call as u64 % u64::from(self.shards.max(1));
        InstallLeg {
            leg: LegId(number + 1),
            call: CallId(call as u64 + 1),
            trace: TraceId(call as u64 + 1),
            generation: GENERATION,
            shard: ShardIndex(u16::try_from(shard).unwrap_or(0)),
            key: MasterKey::new(SUITE, &random.random(), &random.random()),
            relay_password: IcePassword::from_random(random.random()),
            terminal_password: IcePassword::from_random(random.random()),
            streams: (0..SOURCES.len())
                .map(|at| LegStream { ssrc: ssrc(at), rollover: 0 })
                .collect(),
            lane: match self.lane {
                Lane::Pass => LegLane::Pass,
                Lane::Seal => {
                    let secret = DownlinkSecret::from_random(random.random());
                    LegLane::Seal(SealLane { suite: SUITE, secret })
                }
            },
            receives: None,
            rate_kbps: 0,
            lifetime_ms: LIFETIME_MS,
            seen_at: self.seen_at,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::frame::Reader;
    use std::collections::HashSet;

    const DIRECT: Direct = Direct {
        legs: 100,
        legs_per_call: 3,
        shards: 2,
        seed: 9,
        lane: Lane::Seal,
        seen_at: Host::UNKNOWN,
    };

    fn orders(mut bytes: &[u8]) -> Vec<InstallLeg> {
        let (mut reader, mut orders) = (Reader::new(), Vec::new());
        while !bytes.is_empty() {
            let space = reader.space();
            let taken = space.len().min(bytes.len());
            space[..taken].copy_from_slice(&bytes[..taken]);
            bytes = &bytes[taken..];
            let Some(frame) = reader.filled(taken).unwrap() else { continue };
            match ToRelay::decode(frame.kind(), frame.body()) {
                Ok(ToRelay::Orders(batch)) => {
                    orders.extend(batch.orders.into_iter().map(|order| match order {
                        Order::Install(leg) => leg,
                        _ => panic!("only installs stand in it"),
                    }));
                }
                other => panic!("{:?}", other.err()),
            }
        }
        orders
    }

    #[test]
    fn the_file_and_the_members_agree() {
        let orders = orders(&DIRECT.file().unwrap());
        let members = DIRECT.members("127.0.0.1:40000".parse().unwrap());
        assert_eq!((orders.len(), members.len()), (100, 100));
        for (order, member) in orders.iter().zip(&members) {
            assert!(order.leg == member.leg && order.key == member.key);
            assert_eq!(order.call.0 as usize, member.call + 1);
            assert_eq!(member.relay.port(), 40_000 + order.shard.0);
            assert_eq!(order.shard.0 as usize, member.call % 2);
        }
        let ssrcs = members.iter().flat_map(|member| &member.streams).map(|stream| stream.ssrc);
        assert_eq!(ssrcs.collect::<HashSet<_>>().len(), 300);
    }

    #[test]
    fn a_seed_repeats_its_file_and_another_has_other_keys() {
        let file = DIRECT.file().unwrap();
        assert_eq!(file, DIRECT.file().unwrap());
        let other = Direct { seed: 10, ..DIRECT };
        assert!(orders(&file)[0].key != orders(&other.file().unwrap())[0].key);
    }

    #[test]
    fn what_no_relay_carries_out_is_refused() {
        for bad in [
            Direct { legs_per_call: 1, ..DIRECT },
            Direct { legs_per_call: 33, ..DIRECT },
            Direct { legs: 1, ..DIRECT },
            Direct { shards: 0, ..DIRECT },
            Direct { shards: 257, ..DIRECT },
        ] {
            assert!(bad.check().is_err() && bad.file().is_err(), "{bad:?}");
        }
    }
}
