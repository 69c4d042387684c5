//! A relay's table of legs, and phones to send at it: what the benches of the path share.

use kakehashi_relay::legs::{Identity, LegTable};
use kakehashi_relay::path::batch::{Outgoing, Received, Slot};
use kakehashi_relay::path::forward;
use kakehashi_relay::path::verdict::{PathCounters, Verdict};
use kakehashi_relay::tick::Tick;
use kakehashi_srtp::{Provider, RTP_OVERHEAD_BYTES, SessionKeys, StreamSealer};
use kakehashi_wire::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{InstallLeg, LegLane, LegStream, Order, Outcome, SealLane};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunMessage, TransactionId};
use std::net::{Ipv4Addr, SocketAddr};

/// Packets a train has here, and the most that leave in one send.
pub const TRAIN: usize = 8;

/// The time of everything here.
const NOW: Tick = Tick(1_000_000);

/// The suite of every key.
const SUITE: Suite = Suite::AeadAes128Gcm;

/// A datagram on its way to the relay.
pub type Datagram = (SocketAddr, Vec<u8>);

/// A table whose legs have all said where they are, and what a turn needs beside it.
pub struct Table {
    legs: LegTable,
    counters: PathCounters,
    out: Outgoing,
    provider: Provider,
}

impl Table {
    /// `legs` legs in calls of `call_legs`, which receive in the pass lane, or sealed anew.
    ///
    /// # Panics
    /// If the table does not take them.
    pub fn new(legs: u32, call_legs: u32, is_sealed: bool, provider: Provider) -> Self {
        let identity = Identity { relay: RelayId(1), incarnation: Incarnation(1) };
        let room = usize::try_from(legs).expect("invariant: tables are far below 2^32 legs");
        let train = u16::try_from(TRAIN).expect("invariant: trains are short");
        let mut table = Self {
            legs: LegTable::new(room, provider, identity),
            counters: PathCounters::default(),
            out: Outgoing::new(train),
            provider,
        };
        for leg in 0..legs {
            let outcome = table.legs.apply(install(leg, call_legs, is_sealed), NOW).outcome;
            assert_eq!(outcome, Outcome::Applied, "leg {leg}");
            table.turn(&[(address(leg), check(leg))]);
        }
        assert_eq!(table.counted(Verdict::Answered), u64::from(legs));
        table
    }

    /// Takes datagrams to their verdicts; gives how many hops left, and forgets them.
    pub fn turn(&mut self, datagrams: &[Datagram]) -> usize {
        let mut random = || 7;
        let (mut taken, mut hops) = (0, 0);
        while taken < datagrams.len() {
            let received = datagrams[taken..].iter().map(|(source, bytes)| Received {
                slot: Slot(0),
                start: 0,
                source: *source,
                bytes,
            });
            let (legs, counters) = (&mut self.legs, &mut self.counters);
            taken += forward(legs, received, NOW, &mut random, counters, &mut self.out);
            hops += self.out.hops().len();
            self.out.clear();
        }
        hops
    }

    /// Datagrams that came to this verdict so far.
    pub fn counted(&self, verdict: Verdict) -> u64 {
        self.counters.of(verdict)
    }

    /// The table itself, to look legs up in.
    pub fn legs(&self) -> &LegTable {
        &self.legs
    }

    /// What a leg of this table sends.
    pub fn phone(&self, leg: u32) -> Phone {
        let keys = SessionKeys::derive(self.provider, &master(leg));
        Phone { leg, keys, sealer: StreamSealer::new(stream_of(leg), 1) }
    }
}

/// A sender.
pub struct Phone {
    leg: u32,
    keys: SessionKeys,
    sealer: StreamSealer,
}

impl Phone {
    /// Its next `count` packets of `bytes` bytes each, tag included.
    ///
    /// # Panics
    /// If `bytes` hold no packet, or the key is used up.
    pub fn packets(&mut self, count: usize, bytes: usize) -> Vec<Datagram> {
        (0..count).map(|_| self.packet(bytes)).collect()
    }

    fn packet(&mut self, bytes: usize) -> Datagram {
        let sequence = self.sealer.next_sequence().expect("invariant: benches end before the key");
        let (marker, payload_type, timestamp) = (false, 111, u32::from(sequence));
        let ssrc = self.sealer.ssrc();
        let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc }.to_bytes();
        let mut packet = vec![0x55; bytes];
        packet[..header.len()].copy_from_slice(&header);
        let sealed = self.sealer.protect_rtp(&self.keys, &mut packet, bytes - RTP_OVERHEAD_BYTES);
        assert_eq!(sealed, Ok(bytes));
        (address(self.leg), packet)
    }
}

/// The stream of a leg: spread over all numbers, as control draws them.
pub fn stream_of(leg: u32) -> Ssrc {
    Ssrc((leg + 1).wrapping_mul(0x9e37_79b1))
}

/// The number of a leg.
pub fn number_of(leg: u32) -> LegId {
    LegId(u64::from(leg + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15))
}

/// Where a leg sends from.
fn address(leg: u32) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + leg), 40_000))
}

fn master(leg: u32) -> MasterKey {
    let mut key = [7; 32];
    key[..4].copy_from_slice(&leg.to_be_bytes());
    MasterKey::new(SUITE, &key, &[9; 12])
}

fn password() -> IcePassword {
    IcePassword::from_random([1; 24])
}

fn check(leg: u32) -> Vec<u8> {
    let fragment = number_of(leg).fragment();
    let transaction = TransactionId([3; 12]);
    let check = StunMessage::check(transaction, &fragment, &fragment, 1, password().as_bytes());
    check.bytes().to_vec()
}

fn install(leg: u32, call_legs: u32, is_sealed: bool) -> Order {
    let secret = DownlinkSecret::from_random([5; 32]);
    let lane =
        if is_sealed { LegLane::Seal(SealLane { suite: SUITE, secret }) } else { LegLane::Pass };
    Order::Install(InstallLeg {
        leg: number_of(leg),
        call: CallId(u64::from(leg / call_legs)),
        trace: TraceId(u64::from(leg / call_legs)),
        generation: Generation(1),
        shard: ShardIndex(0),
        key: master(leg),
        relay_password: password(),
        terminal_password: password(),
        streams: vec![LegStream { ssrc: stream_of(leg), rollover: 0 }],
        lane,
        receives: None,
        rate_kbps: 0,
        lifetime_ms: 60_000,
        seen_at: Host::UNKNOWN,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_train_leaves_once_for_each_receiver() {
        for is_sealed in [false, true] {
            let mut table = Table::new(8, 4, is_sealed, Provider::AwsLcRs);
            let packets = table.phone(5).packets(TRAIN, 1_200);
            let hops = table.turn(&packets);
            assert_eq!(table.counted(Verdict::Forwarded), 8);
            assert!(hops >= 3, "{hops}");
        }
    }
}
