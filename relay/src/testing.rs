//! What the tests of the pure parts share: phones that seal and answer, and a table to send at.

use crate::legs::{Identity, LegTable};
use crate::path::batch::{Memory, Outgoing, Received, Slot};
use crate::path::forward;
use crate::path::verdict::{PathCounters, Verdict};
use crate::tick::Tick;
use kakehashi_srtp::{
    PacketIndex, Provider, RtcpIndex, RtcpPrivacy, SealerPosition, SessionKeys, StreamSealer,
    seal_rtp_at,
};
use kakehashi_wire::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{InstallLeg, LegLane, LegStream, Order, Outcome, SealLane};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunMessage, StunView, TransactionId};
use std::net::SocketAddr;

mod batch;
mod ear;
pub(crate) mod namespaces;

pub(crate) use batch::Departure;
pub(crate) use ear::{Ear, content};

/// Lifetime of the legs here.
pub(crate) const LIFETIME_MS: u32 = 60_000;

/// An address of phone `n`: its `place` counts the networks it has been in.
pub(crate) fn address(n: u16, place: u16) -> SocketAddr {
    SocketAddr::from(([198, 51, 100, n as u8], 40_000 + place))
}

/// A stream that begins.
pub(crate) fn stream(ssrc: Ssrc) -> LegStream {
    LegStream { ssrc, rollover: 0 }
}

/// A terminal, reduced to what its relay sees of it.
pub(crate) struct Phone {
    pub(crate) leg: LegId,
    pub(crate) call: CallId,
    pub(crate) ssrc: Ssrc,
    pub(crate) master: MasterKey,
    pub(crate) relay_password: IcePassword,
    pub(crate) terminal_password: IcePassword,
    pub(crate) address: SocketAddr,
    /// How it receives.
    pub(crate) lane: LegLane,
    /// What it may send; 0 is no limit.
    pub(crate) rate_kbps: u32,
    keys: SessionKeys,
    sealers: Vec<StreamSealer>,
    rollover: u32,
}

impl Phone {
    /// Phone `n` of a call, at its first address.
    pub(crate) fn new(call: u64, n: u16) -> Self {
        let master = master_key(n);
        let ssrc = Ssrc(0x1000_0000 + u32::from(n));
        Self {
            leg: LegId(0xabc0_0000 + u64::from(n)),
            call: CallId(call),
            ssrc,
            relay_password: IcePassword::from_random([n as u8; 24]),
            terminal_password: IcePassword::from_random([n as u8 ^ 0x2a; 24]),
            address: address(n, 0),
            lane: LegLane::Pass,
            rate_kbps: 0,
            keys: SessionKeys::derive(Provider::AesGcm, &master),
            sealers: vec![StreamSealer::new(ssrc, 100)],
            rollover: 0,
            master,
        }
    }

    /// It sends `count` streams.
    pub(crate) fn with_streams(mut self, count: u32) -> Self {
        let ssrc = |n: u32| Ssrc(self.ssrc.0 + (n << 16));
        self.sealers = (0..count).map(|n| StreamSealer::new(ssrc(n), 100)).collect();
        self
    }

    /// It is in the seal lane.
    pub(crate) fn sealed(mut self) -> Self {
        let secret = DownlinkSecret::from_random([self.ssrc.0 as u8 ^ 0x5a; 32]);
        self.lane = LegLane::Seal(SealLane { suite: Suite::AeadAes128Gcm, secret });
        self
    }

    /// The SSRC of one of its streams.
    pub(crate) fn ssrc_of(&self, stream: usize) -> Ssrc {
        self.sealers[stream].ssrc()
    }

    /// It gets another key, under which its streams begin anew.
    pub(crate) fn rekey(&mut self, n: u16) {
        self.master = master_key(n);
        self.keys = SessionKeys::derive(Provider::AesGcm, &self.master);
        for sealer in &mut self.sealers {
            *sealer = StreamSealer::new(sealer.ssrc(), 100);
        }
    }

    /// A packet of a stream at an index used before, `back` behind the next one: what no honest
    /// phone seals.
    pub(crate) fn fork(&self, stream: usize, back: u64, payload: &[u8]) -> Option<Vec<u8>> {
        let next = self.sealers[stream].position()?.rtp.value();
        let index = PacketIndex::from_value(next.checked_sub(back)?)?;
        let mut plain = self.plain(stream, payload);
        plain[2..4].copy_from_slice(&index.sequence().to_be_bytes());
        let mut packet = [&plain[..], &[0; 16]].concat();
        seal_rtp_at(&self.keys, index, &mut packet, plain.len()).unwrap();
        Some(packet)
    }

    /// Its stream has wrapped this often before anyone here hears it.
    pub(crate) fn having_wrapped(mut self, rollover: u32) -> Self {
        let rtp = PacketIndex::new(rollover, 100);
        let rtcp = RtcpIndex::from_value(1_000).unwrap();
        self.sealers[0] = StreamSealer::resume(self.ssrc, SealerPosition { rtp, rtcp });
        self
    }

    /// Whoever installs it has been told so.
    pub(crate) fn known_to_have_wrapped(mut self, rollover: u32) -> Self {
        self.rollover = rollover;
        self
    }

    pub(crate) fn install(&self, generation: u64) -> InstallLeg {
        InstallLeg {
            leg: self.leg,
            call: self.call,
            trace: TraceId(self.call.0),
            generation: Generation(generation),
            shard: ShardIndex(0),
            key: self.master.clone(),
            relay_password: self.relay_password.clone(),
            terminal_password: self.terminal_password.clone(),
            streams: self
                .sealers
                .iter()
                .map(|sealer| LegStream { ssrc: sealer.ssrc(), rollover: self.rollover })
                .collect(),
            lane: self.lane.clone(),
            receives: None,
            rate_kbps: self.rate_kbps,
            lifetime_ms: LIFETIME_MS,
            seen_at: Host::UNKNOWN,
        }
    }

    /// The next SRTP packet.
    pub(crate) fn rtp(&mut self) -> Vec<u8> {
        self.rtp_of(0, b"sixteen byte box")
    }

    /// The next SRTP packet of a stream.
    pub(crate) fn rtp_of(&mut self, stream: usize, payload: &[u8]) -> Vec<u8> {
        let plain = self.plain(stream, payload);
        self.seal(stream, &plain)
    }

    /// The next plain RTP packet of a stream; it must be sealed before another is made.
    pub(crate) fn plain(&self, stream: usize, payload: &[u8]) -> Vec<u8> {
        let sealer = &self.sealers[stream];
        let (sequence, ssrc) = (sealer.next_sequence().unwrap(), sealer.ssrc());
        let timestamp = u32::from(sequence) * 960;
        let header = RtpHeader { marker: false, payload_type: 111, sequence, timestamp, ssrc };
        [&header.to_bytes(), payload].concat()
    }

    /// Seals a plain RTP packet of a stream.
    pub(crate) fn seal(&mut self, stream: usize, plain: &[u8]) -> Vec<u8> {
        let mut packet = [plain, &[0; 16]].concat();
        let sealer = &mut self.sealers[stream];
        let length = sealer.protect_rtp(&self.keys, &mut packet, plain.len()).unwrap();
        packet.truncate(length);
        packet
    }

    /// The next SRTCP packet: an empty receiver report.
    pub(crate) fn rtcp(&mut self) -> Vec<u8> {
        let plain = [&[0x80, 201, 0, 1], &self.ssrc.0.to_be_bytes()[..]].concat();
        self.rtcp_of(&plain)
    }

    /// The next SRTCP packet, with this content; its sender is the first stream.
    pub(crate) fn rtcp_of(&mut self, plain: &[u8]) -> Vec<u8> {
        let mut packet = [plain, &[0; 20]].concat();
        let privacy = RtcpPrivacy::Encrypted;
        let sealer = &mut self.sealers[0];
        let length = sealer.protect_rtcp(&self.keys, &mut packet, plain.len(), privacy).unwrap();
        packet.truncate(length);
        packet
    }

    /// A connectivity check.
    pub(crate) fn check(&self) -> Vec<u8> {
        let fragment = self.leg.fragment();
        let key = self.relay_password.as_bytes();
        StunMessage::check(TransactionId([9; 12]), &fragment, &fragment, 7, key).bytes().to_vec()
    }

    /// The answer to the relay's challenge, sent from `source`.
    pub(crate) fn proof(&self, challenge: &[u8], source: SocketAddr) -> Vec<u8> {
        let view = StunView::parse(challenge).unwrap();
        assert!(view.is_keyed_by(self.terminal_password.as_bytes()));
        let key = self.terminal_password.as_bytes();
        StunMessage::success(view.transaction(), source, key).bytes().to_vec()
    }
}

pub(crate) fn master_key(n: u16) -> MasterKey {
    MasterKey::new(Suite::AeadAes128Gcm, &[n as u8; 32], &[n as u8; 12])
}

/// What became of one datagram.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Effect {
    pub(crate) verdict: Verdict,
    pub(crate) hops: Vec<SocketAddr>,
    pub(crate) answers: Vec<(SocketAddr, Vec<u8>)>,
}

impl Effect {
    /// Dropped without a trace.
    pub(crate) fn is_silent(&self) -> bool {
        self.hops.is_empty() && self.answers.is_empty()
    }
}

/// The life the tables here belong to.
pub(crate) const IDENTITY: Identity = Identity { relay: RelayId(1), incarnation: Incarnation(77) };

/// A shard without its kernel.
pub(crate) struct World {
    pub(crate) legs: LegTable,
    pub(crate) counters: PathCounters,
    pub(crate) now: Tick,
    drawn: u64,
}

impl World {
    pub(crate) fn new(legs_max: usize) -> Self {
        Self::living(legs_max, IDENTITY)
    }

    /// One whose relay lives this life.
    pub(crate) fn living(legs_max: usize, identity: Identity) -> Self {
        Self {
            legs: LegTable::new(legs_max, Provider::AesGcm, identity),
            counters: PathCounters::default(),
            now: Tick(1_000_000),
            drawn: 0,
        }
    }

    /// A world in which these phones are installed and have said where they are.
    pub(crate) fn with(phones: &[Phone]) -> Self {
        let mut world = Self::new(64);
        for phone in phones {
            assert_eq!(world.apply(Order::Install(phone.install(1))), Outcome::Applied);
            assert_eq!(world.send(phone.address, &phone.check()).verdict, Verdict::Answered);
        }
        world
    }

    /// The same, and someone of each call has asked for a repetition before.
    pub(crate) fn that_keeps(phones: &[Phone]) -> Self {
        let mut world = Self::with(phones);
        for phone in phones {
            let slot = world.legs.find(phone.leg).unwrap();
            world.legs.start_keeping(slot);
        }
        world
    }

    pub(crate) fn apply(&mut self, order: Order) -> Outcome {
        self.legs.apply(order, self.now).outcome
    }

    /// What a counter stands at.
    pub(crate) fn counter(&self, name: &str) -> u64 {
        counter(&self.counters, name)
    }

    /// Sends one datagram and checks what holds for every datagram.
    pub(crate) fn send(&mut self, source: SocketAddr, bytes: &[u8]) -> Effect {
        let (before, mut out) = (self.counters.clone(), Outgoing::new(16));
        let mut random = || {
            self.drawn += 1;
            self.drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15)
        };
        let received = Received { slot: Slot(3), start: 0, source, bytes };
        let batch = std::iter::once(received);
        forward(&mut self.legs, batch, self.now, &mut random, &mut self.counters, &mut out);
        let counted = Verdict::ALL.iter().filter(|v| self.counters.of(**v) == before.of(**v) + 1);
        let counted: Vec<_> = counted.collect();
        assert_eq!(counted.len(), 1, "one verdict each");
        assert_eq!(self.counters.verdicts(), self.counters.received());
        let repairs = self.counter("repairs") - counter(&before, "repairs");
        let left = out.hops().len() as u64 - repairs;
        let answered = matches!(counted[..], [Verdict::Answered | Verdict::Challenged]);
        assert_eq!(self.counters.hops(), before.hops() + if answered { 0 } else { left });
        let mut effect = Effect { verdict: *counted[0], hops: Vec::new(), answers: Vec::new() };
        for hop in out.hops() {
            for place in out.places(out.train(hop.train)) {
                let (start, end) = (place.start as usize, (place.start + place.bytes) as usize);
                match place.memory {
                    Memory::Batch(slot) => {
                        assert_eq!((slot, start, end), (Slot(3), 0, bytes.len()));
                        effect.hops.push(hop.destination);
                    }
                    Memory::Own => {
                        effect.answers.push((hop.destination, out.own()[start..end].to_vec()));
                    }
                }
            }
        }
        if matches!(effect.verdict, Verdict::Answered | Verdict::Challenged) {
            let answered: usize = effect.answers.iter().map(|(_, answer)| answer.len()).sum();
            assert!(answered <= bytes.len(), "{answered} bytes for {}", bytes.len());
        }
        effect
    }
}

fn counter(counters: &PathCounters, name: &str) -> u64 {
    counters.entries().find(|(known, _)| *known == name).unwrap().1
}
