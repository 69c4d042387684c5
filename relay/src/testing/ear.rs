//! What a phone makes of the packets it receives.

use super::{IDENTITY, Phone};
use crate::legs::Identity;
use kakehashi_srtp::{
    PacketIndex, Provider, RtcpIndex, Scratch, SessionKeys, SrtpError, StreamOpener,
};
use kakehashi_wire::id::{Epoch, Generation};
use kakehashi_wire::relay::LegLane;
use kakehashi_wire::rtp::{RtpView, Ssrc};
use std::collections::BTreeMap;

/// Opens packets sealed under one key, whatever their SSRC.
pub(crate) struct Ear {
    keys: SessionKeys,
    streams: BTreeMap<Ssrc, StreamOpener>,
    rollover: u32,
    scratch: Scratch,
}

/// An SRTP packet in plain text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    pub(crate) ssrc: Ssrc,
    pub(crate) index: PacketIndex,
    pub(crate) plain: Vec<u8>,
}

impl Heard {
    /// All that a relay may not change: the packet but for SSRC and sequence number.
    pub(crate) fn content(&self) -> Vec<u8> {
        content(&self.plain)
    }
}

/// A plain RTP packet but for SSRC and sequence number.
pub(crate) fn content(plain: &[u8]) -> Vec<u8> {
    [&plain[..2], &plain[4..8], &plain[12..]].concat()
}

impl Ear {
    /// Hears what is sealed with `keys`.
    pub(crate) fn new(keys: SessionKeys) -> Self {
        Self { keys, streams: BTreeMap::new(), rollover: 0, scratch: Scratch::new() }
    }

    /// Looks for rollover counters from here upwards.
    pub(crate) fn joining(mut self, rollover: u32) -> Self {
        self.rollover = rollover;
        self
    }

    /// Opens an SRTP packet.
    pub(crate) fn hear(&mut self, packet: &[u8]) -> Result<Heard, SrtpError> {
        let ssrc = RtpView::parse(packet).unwrap().header().ssrc;
        let mut plain = packet.to_vec();
        let stream = self.streams.entry(ssrc);
        let stream = stream.or_insert_with(|| StreamOpener::joining(ssrc, self.rollover));
        let opened = stream.unprotect_rtp(&self.keys, &mut plain, &mut self.scratch)?;
        plain.truncate(opened.bytes);
        Ok(Heard { ssrc, index: opened.index, plain })
    }

    /// Opens an SRTCP packet; gives its index and plain text.
    pub(crate) fn hear_rtcp(&mut self, packet: &[u8]) -> Result<(RtcpIndex, Vec<u8>), SrtpError> {
        let ssrc = Ssrc(u32::from_be_bytes(*packet[4..].first_chunk().unwrap()));
        let mut plain = packet.to_vec();
        let stream = self.streams.entry(ssrc).or_insert_with(|| StreamOpener::new(ssrc));
        let opened = stream.unprotect_rtcp(&self.keys, &mut plain, &mut self.scratch)?;
        plain.truncate(opened.bytes);
        Ok((opened.index, plain))
    }
}

impl Phone {
    /// The keys of what a relay seals for it after an order of `generation`.
    pub(crate) fn downlink_keys(&self, identity: Identity, generation: u64) -> SessionKeys {
        let LegLane::Seal(lane) = &self.lane else { panic!("in the pass lane") };
        let epoch = Epoch { incarnation: identity.incarnation, generation: Generation(generation) };
        let (suite, relay) = (lane.suite, identity.relay);
        SessionKeys::downlink(Provider::AesGcm, suite, &lane.secret, relay, epoch)
    }

    /// Hears what is sealed for it after its first installation.
    pub(crate) fn ear(&self) -> Ear {
        Ear::new(self.downlink_keys(IDENTITY, 1))
    }
}
