//! What the integration tests share: keys, packets, and a seeded random generator.
#![allow(dead_code, reason = "each test file uses its part")]

use kakehashi_srtp::{
    AuthKeys, Authenticator, Provider, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, RtcpPrivacy,
    SessionKeys, StreamSealer,
};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use kakehashi_wire::secret::{MasterKey, Suite};

pub(crate) const SSRC: Ssrc = Ssrc(0x1234_5678);
pub(crate) const SUITES: [Suite; 2] = [Suite::AeadAes128Gcm, Suite::AeadAes256Gcm];

pub(crate) fn master(suite: Suite) -> MasterKey {
    let key = std::array::from_fn(|at| at as u8 ^ 0x5a);
    MasterKey::new(suite, &key, &std::array::from_fn(|at| at as u8 + 0xa0))
}

pub(crate) fn keys(provider: Provider, suite: Suite) -> SessionKeys {
    SessionKeys::derive(provider, &master(suite))
}

/// Keys of the same master key that only check, made for the authenticator beside `provider`.
pub(crate) fn auth(provider: Provider, suite: Suite) -> AuthKeys {
    AuthKeys::derive(Authenticator::beside(provider), &master(suite))
}

/// A plain RTP packet whose payload depends on its sequence number.
pub(crate) fn rtp(ssrc: Ssrc, sequence: u16, payload_bytes: usize) -> Vec<u8> {
    let timestamp = u32::from(sequence) * 960;
    let header = RtpHeader { marker: false, payload_type: 111, sequence, timestamp, ssrc };
    let payload = (0..payload_bytes).map(|at| at as u8 ^ sequence as u8);
    header.to_bytes().into_iter().chain(payload).collect()
}

/// A plain RTCP receiver report with `words` words behind the sender's SSRC.
pub(crate) fn rtcp(ssrc: Ssrc, words: u16) -> Vec<u8> {
    let mut packet = vec![0x80, 201];
    packet.extend((words + 1).to_be_bytes());
    packet.extend(ssrc.0.to_be_bytes());
    packet.extend((0..words * 4).map(|at| at as u8));
    packet
}

pub(crate) fn seal_rtp(keys: &SessionKeys, sealer: &mut StreamSealer, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + RTP_OVERHEAD_BYTES, 0);
    assert_eq!(sealer.protect_rtp(keys, &mut packet, plain.len()), Ok(packet.len()));
    packet
}

pub(crate) fn seal_rtcp(keys: &SessionKeys, sealer: &mut StreamSealer, plain: &[u8]) -> Vec<u8> {
    let mut packet = plain.to_vec();
    packet.resize(plain.len() + RTCP_OVERHEAD_BYTES, 0);
    let sealed = sealer.protect_rtcp(keys, &mut packet, plain.len(), RtcpPrivacy::Encrypted);
    assert_eq!(sealed, Ok(packet.len()));
    packet
}

/// SplitMix64: a few lines that give the same numbers everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}
