//! What one relay seals for this terminal: keys and replay state of the seal lane. Pure.
//!
//! **Each path has its own keys and its own replay state; a stream has the same numbers on all of
//! them.** Which packet came over another path before is for the stream to know, not for this.

use core::fmt;
use kakehashi_srtp::{Opened, OpenedRtcp, Provider, Scratch, SessionKeys, SrtpError, StreamOpener};
use kakehashi_wire::id::{Epoch, LegId, RelayId};
use kakehashi_wire::media::{RelayPath, StreamPlan};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{DownlinkSecret, Suite};
use std::collections::BTreeMap;

/// The sealed downlink of one path.
pub(super) struct Downlink {
    leg: LegId,
    relay: RelayId,
    suite: Suite,
    secret: DownlinkSecret,
    keys: SessionKeys,
    openers: BTreeMap<Ssrc, StreamOpener>,
    scratch: Scratch,
}

impl fmt::Debug for Downlink {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_struct("Downlink").field("leg", &self.leg).finish_non_exhaustive()
    }
}

impl Downlink {
    /// The downlink of `path` with these streams; `None` in the pass lane.
    pub(super) fn new(path: &RelayPath, plans: impl Iterator<Item = StreamPlan>) -> Option<Self> {
        let sealed = path.downlink.as_ref()?;
        let (suite, secret) = (sealed.suite, sealed.secret.clone());
        let provider = Provider::AwsLcRs;
        Some(Self {
            leg: path.leg,
            relay: path.relay,
            keys: SessionKeys::downlink(provider, suite, &secret, path.relay, sealed.epoch),
            suite,
            secret,
            openers: plans.map(|plan| (plan.ssrc, opener(&plan))).collect(),
            scratch: Scratch::new(),
        })
    }

    /// Which leg of this terminal it is.
    pub(super) fn leg(&self) -> LegId {
        self.leg
    }

    /// The relay seals with another key from now on. Under a key that is new every packet is new;
    /// the rollover counter of each stream has not gone back.
    pub(super) fn renew(&mut self, epoch: Epoch) {
        let Self { suite, secret, relay, .. } = self;
        self.keys = SessionKeys::downlink(Provider::AwsLcRs, *suite, secret, *relay, epoch);
        for (&ssrc, opener) in &mut self.openers {
            let rollover = opener.position().rtp.map_or(0, |highest| highest.rollover());
            *opener = StreamOpener::joining(ssrc, rollover);
        }
    }

    /// Opens an RTP packet of `ssrc` in place.
    pub(super) fn unprotect_rtp(
        &mut self,
        ssrc: Ssrc,
        packet: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let opener = self.openers.get_mut(&ssrc).ok_or(SrtpError::UnknownSsrc)?;
        opener.unprotect_rtp(&self.keys, packet, &mut self.scratch)
    }

    /// Opens an RTCP packet of `ssrc` in place.
    pub(super) fn unprotect_rtcp(
        &mut self,
        ssrc: Ssrc,
        packet: &mut [u8],
    ) -> Result<OpenedRtcp, SrtpError> {
        let opener = self.openers.get_mut(&ssrc).ok_or(SrtpError::UnknownSsrc)?;
        opener.unprotect_rtcp(&self.keys, packet, &mut self.scratch)
    }
}

/// The replay state of a stream as control planned it: from its beginning, or joined late.
pub(super) fn opener(plan: &StreamPlan) -> StreamOpener {
    match plan.rollover {
        0 => StreamOpener::new(plan.ssrc),
        rollover => StreamOpener::joining(plan.ssrc, rollover),
    }
}
