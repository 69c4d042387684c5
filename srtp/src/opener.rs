//! The receiving side of one SSRC: which packets are authentic and new.
//!
//! **Only an authentic packet changes anything**: the replay window and the rollover counter move
//! after the tag has verified (RFC 3711 3.3.2), or one forged packet with a high sequence number
//! would mute the stream.

use kakehashi_wire::rtp::Ssrc;

use crate::aead::Forged;
use crate::auth::AuthKeys;
use crate::capacity::STREAMS_PER_LEG_MAX;
use crate::error::SrtpError;
use crate::index::{Beginning, Candidates, PacketIndex, RtcpIndex};
use crate::keys::{RtcpKeys, Scratch, SessionKeys};
use crate::replay::{Freshness, RtcpWindow, RtpWindow};
use crate::rtcp::{self, RtcpLayout};
use crate::rtp::{self, RtpLayout};

/// Replay windows and rollover counter of one SSRC that we receive, what each packet needs first.
#[derive(Clone, PartialEq, Eq, Debug)]
#[repr(C)]
pub struct StreamOpener {
    ssrc: Ssrc,
    beginning: Beginning,
    /// Any number of packets may have been lost since the last authentic one.
    after_outage: bool,
    rtp: RtpWindow,
    rtcp: RtcpWindow,
}

/// The highest authentic indices of a stream: enough for another place to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamPosition {
    /// Of RTP; `None` before the first packet.
    pub rtp: Option<PacketIndex>,
    /// Of RTCP; `None` before the first packet.
    pub rtcp: Option<RtcpIndex>,
}

/// An RTP packet that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Opened {
    /// Its index: the sequence number that never wraps.
    pub index: PacketIndex,
    /// Bytes of the plain packet, header included.
    pub bytes: usize,
}

/// An RTCP packet that was opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OpenedRtcp {
    /// Its index.
    pub index: RtcpIndex,
    /// Bytes of the plain packet, header included.
    pub bytes: usize,
}

// A leg of the pass lane, keys and streams, stays below two kibibytes.
const _: () = assert!(
    size_of::<AuthKeys>()
        + size_of::<RtcpKeys>()
        + STREAMS_PER_LEG_MAX * size_of::<Option<StreamOpener>>()
        <= 2_048
);

// Hot state of the relay, one for each stream: thousands must stay in the second-level cache.
const _: () = assert!(size_of::<StreamOpener>() <= 3 * 64);

impl StreamOpener {
    /// A stream received from its beginning.
    pub const fn new(ssrc: Ssrc) -> Self {
        Self::beginning(ssrc, Beginning::FRESH)
    }

    /// A stream that has run for a while and has wrapped at least `rollover_at_least` times. The
    /// first packets are tried with a bounded number of rollover counters from there upwards.
    pub const fn joining(ssrc: Ssrc, rollover_at_least: u32) -> Self {
        Self::beginning(ssrc, Beginning::joining(rollover_at_least))
    }

    /// A stream that was received elsewhere up to `position`. What is not newer is refused,
    /// since it may have been accepted there.
    pub fn resume(ssrc: Ssrc, position: StreamPosition) -> Self {
        let rtp = position.rtp.map(PacketIndex::value);
        let rtcp = position.rtcp.map(|index| u64::from(index.value()));
        Self {
            rtp: rtp.map_or(RtpWindow::new(), RtpWindow::resume),
            rtcp: rtcp.map_or(RtcpWindow::new(), RtcpWindow::resume),
            ..Self::new(ssrc)
        }
    }

    const fn beginning(ssrc: Ssrc, beginning: Beginning) -> Self {
        let (rtp, rtcp) = (RtpWindow::new(), RtcpWindow::new());
        Self { ssrc, beginning, after_outage: false, rtp, rtcp }
    }

    /// The SSRC of this stream.
    pub const fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// The highest authentic indices so far.
    pub fn position(&self) -> StreamPosition {
        StreamPosition { rtp: self.highest_rtp(), rtcp: self.highest_rtcp() }
    }

    /// Says that the stream was cut off for long. Until its next authentic packet it is searched
    /// for like a stream that is joined late; the replay window stays as it is.
    ///
    /// Without it a stream is followed over a gap of up to 98,303 packets: more than a minute of
    /// the fastest video.
    pub const fn resume_after_outage(&mut self) {
        self.after_outage = true;
    }

    /// Checks that `packet` is authentic and new, and remembers it. The packet keeps its bytes,
    /// and no plain text leaves this crate.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then.
    pub fn authenticate_rtp(
        &mut self,
        keys: &AuthKeys,
        packet: &[u8],
        scratch: &mut Scratch,
    ) -> Result<PacketIndex, SrtpError> {
        let layout = self.own_rtp(packet)?;
        let index = self
            .find_rtp(layout.sequence, |index| rtp::verify(keys, layout, index, packet, scratch))?;
        self.commit_rtp(index);
        Ok(index)
    }

    /// Opens `packet` in place if it is authentic and new, and remembers it.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then, not even in `packet`.
    pub fn unprotect_rtp(
        &mut self,
        keys: &SessionKeys,
        packet: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<Opened, SrtpError> {
        let layout = self.own_rtp(packet)?;
        let index = self.find_rtp(layout.sequence, |index| {
            rtp::open(keys.rtp(), layout, index, packet, scratch)
        })?;
        self.commit_rtp(index);
        Ok(Opened { index, bytes: layout.plain_bytes })
    }

    /// Opens `packet` into `out`, header included, if it is authentic and new, and remembers it.
    /// `packet` keeps its bytes.
    ///
    /// # Errors
    /// [`SrtpError::NoRoom`] if `out` is shorter than the plain packet, or see [`SrtpError`];
    /// nothing has changed then, but what is in `out` has no meaning.
    pub fn unprotect_rtp_into(
        &mut self,
        keys: &SessionKeys,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let layout = self.own_rtp(packet)?;
        let out = out.get_mut(..layout.plain_bytes).ok_or(SrtpError::NoRoom)?;
        let index = self.find_rtp(layout.sequence, |index| {
            rtp::open_into(keys.rtp(), layout, index, packet, out)
        })?;
        self.commit_rtp(index);
        Ok(Opened { index, bytes: layout.plain_bytes })
    }

    /// Checks that the RTCP `packet` is authentic and new, and remembers it.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then.
    pub fn authenticate_rtcp(
        &mut self,
        keys: &impl AsRef<RtcpKeys>,
        packet: &[u8],
        scratch: &mut Scratch,
    ) -> Result<RtcpIndex, SrtpError> {
        let layout = self.fresh_rtcp(packet)?;
        rtcp::verify(keys.as_ref(), layout, packet, scratch).map_err(|Forged| SrtpError::Forged)?;
        self.rtcp.commit(u64::from(layout.word.index.value()));
        Ok(layout.word.index)
    }

    /// Opens the RTCP `packet` in place if it is authentic and new, and remembers it.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then, not even in `packet`.
    pub fn unprotect_rtcp(
        &mut self,
        keys: &impl AsRef<RtcpKeys>,
        packet: &mut [u8],
        scratch: &mut Scratch,
    ) -> Result<OpenedRtcp, SrtpError> {
        let layout = self.fresh_rtcp(packet)?;
        rtcp::open(keys.as_ref(), layout, packet, scratch).map_err(|Forged| SrtpError::Forged)?;
        self.rtcp.commit(u64::from(layout.word.index.value()));
        Ok(OpenedRtcp { index: layout.word.index, bytes: layout.plain_bytes })
    }

    /// Opens the RTCP `packet` into `out`, header included, if it is authentic and new, and
    /// remembers it. `packet` keeps its bytes.
    ///
    /// # Errors
    /// As for [`unprotect_rtp_into`](Self::unprotect_rtp_into).
    pub fn unprotect_rtcp_into(
        &mut self,
        keys: &impl AsRef<RtcpKeys>,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<OpenedRtcp, SrtpError> {
        let layout = self.fresh_rtcp(packet)?;
        let out = out.get_mut(..layout.plain_bytes).ok_or(SrtpError::NoRoom)?;
        rtcp::open_into(keys.as_ref(), layout, packet, out).map_err(|Forged| SrtpError::Forged)?;
        self.rtcp.commit(u64::from(layout.word.index.value()));
        Ok(OpenedRtcp { index: layout.word.index, bytes: layout.plain_bytes })
    }

    fn own_rtp(&self, packet: &[u8]) -> Result<RtpLayout, SrtpError> {
        let layout = RtpLayout::protected(packet)?;
        if layout.ssrc == self.ssrc { Ok(layout) } else { Err(SrtpError::WrongSsrc) }
    }

    fn fresh_rtcp(&self, packet: &[u8]) -> Result<RtcpLayout, SrtpError> {
        let layout = RtcpLayout::protected(packet)?;
        if layout.ssrc != self.ssrc {
            return Err(SrtpError::WrongSsrc);
        }
        match self.rtcp.check(u64::from(layout.word.index.value())) {
            Freshness::Fresh => Ok(layout),
            Freshness::Duplicate => Err(SrtpError::Replayed),
            Freshness::TooOld => Err(SrtpError::TooOld),
        }
    }

    /// The first candidate that is new and that `check` proves. A duplicate ends the search at
    /// once: repeated packets are everyday traffic and must stay cheap.
    fn find_rtp(
        &self,
        sequence: u16,
        mut check: impl FnMut(PacketIndex) -> Result<(), Forged>,
    ) -> Result<PacketIndex, SrtpError> {
        let mut reason = SrtpError::Forged;
        let candidates = match self.highest_rtp() {
            Some(highest) => Candidates::following(highest, self.after_outage, sequence),
            None => Candidates::first(self.beginning, sequence),
        };
        for index in candidates {
            match self.rtp.check(index.value()) {
                Freshness::Duplicate => return Err(SrtpError::Replayed),
                Freshness::TooOld => reason = SrtpError::TooOld,
                Freshness::Fresh => {
                    if check(index).is_ok() {
                        return Ok(index);
                    }
                }
            }
        }
        Err(reason)
    }

    fn commit_rtp(&mut self, index: PacketIndex) {
        self.rtp.commit(index.value());
        self.after_outage = false;
    }

    fn highest_rtp(&self) -> Option<PacketIndex> {
        self.rtp.highest().and_then(PacketIndex::from_value)
    }

    fn highest_rtcp(&self) -> Option<RtcpIndex> {
        let highest = u32::try_from(self.rtcp.highest()?).ok()?;
        RtcpIndex::from_value(highest)
    }
}
