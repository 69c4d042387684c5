//! A leg's key and the replay state of each of its streams.

use super::downlink::{Births, StreamLife};
use super::repair::Record;
use crate::capacity::KEY_FRAME_PAUSE_MS;
use crate::tick::Tick;
use core::mem::offset_of;
use core::ops::Range;
use kakehashi_srtp::{
    AuthKeys, Authenticator, Opened, OpenedRtcp, PacketIndex, Provider, RtcpKeys, Scratch,
    SessionKeys, SrtpError, StreamOpener, reopen_rtp,
};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::relay::LegStream;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::MasterKey;

/// Position of a stream in its leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamIndex(u8);

impl StreamIndex {
    /// The stream at `position`; there are [`STREAMS_PER_LEG_MAX`] at most.
    pub(super) const fn new(position: u8) -> Self {
        Self(position)
    }

    /// The position as a number.
    pub fn number(self) -> u8 {
        self.0
    }

    pub(super) fn index(self) -> usize {
        usize::from(self.0)
    }
}

/// A stream of which this relay has heard nothing: it may begin, or have run for hours elsewhere
/// before the relay got its leg (a restart, a resync, a standby). The order tells a lower bound of
/// its rollover counter, from where its packets are tried with the first
/// [`JOINING_CANDIDATES`](kakehashi_srtp::capacity::JOINING_CANDIDATES) values. A packet of a
/// fresh stream fits the first one and costs one tag check; a forged one costs all of them, but
/// only until the first authentic packet, and only from the leg's address or while the leg has
/// none.
const fn unheard(stream: LegStream) -> StreamOpener {
    StreamOpener::joining(stream.ssrc, stream.rollover)
}

/// Bytes of the keys that a packet needs with AES-128, the usual suite.
const AUTH_BYTES: usize = 6 * 64;

/// What a leg may send, and what of it has been received.
#[repr(C)]
pub struct Streams {
    /// All that a packet of the pass lane needs.
    auth: AuthKeys,
    openers: [Option<StreamOpener>; STREAMS_PER_LEG_MAX],
    /// Of each stream, where its last packet is kept.
    kept: [Record; STREAMS_PER_LEG_MAX],
    /// Of each stream, up to when no key frame is asked for.
    key_frames: [Tick; STREAMS_PER_LEG_MAX],
    /// Of each stream, the rollover counter last reported.
    reported: [u32; STREAMS_PER_LEG_MAX],
    rtcp: RtcpKeys,
    /// Opens packets: only there if someone of the call is in the seal lane.
    full: Option<Box<SessionKeys>>,
    /// Kept to tell whether a newer order brings another key.
    master: MasterKey,
    /// Of each stream, the life of its replay window.
    lives: [StreamLife; STREAMS_PER_LEG_MAX],
}

impl Streams {
    /// Streams of which nothing has been heard; those beyond [`STREAMS_PER_LEG_MAX`] are left out.
    pub(super) fn new(
        provider: Provider,
        master: MasterKey,
        streams: &[LegStream],
        births: &mut Births,
    ) -> Self {
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        for (place, stream) in openers.iter_mut().zip(streams) {
            *place = Some(unheard(*stream));
        }
        Self {
            auth: AuthKeys::derive(Authenticator::beside(provider), &master),
            openers,
            kept: Default::default(),
            key_frames: Default::default(),
            reported: [0; STREAMS_PER_LEG_MAX],
            rtcp: RtcpKeys::derive(&master),
            full: None,
            master,
            lives: [(); STREAMS_PER_LEG_MAX].map(|()| births.next()),
        }
    }

    /// The streams of a newer order. Under the same key a stream goes on where it was, or packets
    /// received before would be accepted again; under another key all begin anew.
    pub(super) fn replace(
        &mut self,
        provider: Provider,
        master: MasterKey,
        streams: &[LegStream],
        births: &mut Births,
    ) {
        if self.master != master {
            *self = Self::new(provider, master, streams, births);
            return;
        }
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        let mut lives = [StreamLife::default(); STREAMS_PER_LEG_MAX];
        for ((place, life), stream) in openers.iter_mut().zip(&mut lives).zip(streams) {
            let known = self.openers.iter().zip(&self.lives);
            let known = known.filter_map(|(opener, life)| Some((opener.as_ref()?, *life)));
            let known = known.into_iter().find(|(opener, _)| opener.ssrc() == stream.ssrc);
            let (opener, lived) = match known {
                Some((opener, life)) => (opener.clone(), life),
                None => (unheard(*stream), births.next()),
            };
            (*place, *life) = (Some(opener), lived);
        }
        self.openers = openers;
        self.lives = lives;
        self.kept = Default::default();
        self.key_frames = Default::default();
        self.reported = [0; STREAMS_PER_LEG_MAX];
    }

    /// Whether these are the streams of an order, under the key it has.
    pub(super) fn are(&self, master: &MasterKey, streams: &[LegStream]) -> bool {
        let same = self.ssrcs().map(|(_, ssrc)| ssrc).eq(streams.iter().map(|it| it.ssrc));
        same && self.master == *master
    }

    /// Reports from now on again how often the streams have wrapped.
    pub(super) fn report_again(&mut self) {
        self.reported = [0; STREAMS_PER_LEG_MAX];
    }

    /// Where in this lies what an SRTP packet of a stream needs.
    pub(super) fn of_a_packet(stream: StreamIndex) -> [Range<usize>; 2] {
        let auth = offset_of!(Self, auth);
        let bytes = size_of::<Option<StreamOpener>>();
        let opener = offset_of!(Self, openers) + stream.index() * bytes;
        [auth..auth + AUTH_BYTES, opener..opener + bytes]
    }

    /// Makes sure that packets can be opened, not only checked.
    pub(super) fn be_openable(&mut self, provider: Provider) {
        let derive = || Box::new(SessionKeys::derive(provider, &self.master));
        self.full.get_or_insert_with(derive);
    }

    /// The SSRC of a stream.
    pub(super) fn ssrc(&self, stream: StreamIndex) -> Option<Ssrc> {
        Some(self.openers.get(stream.index())?.as_ref()?.ssrc())
    }

    /// Where the last packet of a stream is kept.
    pub(super) fn last_kept(&mut self, stream: StreamIndex) -> &mut Record {
        &mut self.kept[stream.index() % STREAMS_PER_LEG_MAX]
    }

    /// Whether a key frame may be asked for now; if so, not again for a while.
    pub(super) fn ask_for_key_frame(&mut self, stream: StreamIndex, now: Tick) -> bool {
        let next = &mut self.key_frames[stream.index() % STREAMS_PER_LEG_MAX];
        let may = *next <= now;
        if may {
            *next = now.after_ms(KEY_FRAME_PAUSE_MS);
        }
        may
    }

    /// The streams whose rollover counter is higher than was last reported, as far as `report`
    /// takes them.
    pub(super) fn report_rollovers(&mut self, report: &mut impl FnMut(LegStream) -> bool) {
        for (opener, reported) in self.openers.iter().flatten().zip(&mut self.reported) {
            let rollover = opener.position().rtp.map_or(0, PacketIndex::rollover);
            if rollover > *reported && report(LegStream { ssrc: opener.ssrc(), rollover }) {
                *reported = rollover;
            }
        }
    }

    /// The SSRCs, each with its position.
    pub(super) fn ssrcs(&self) -> impl Iterator<Item = (StreamIndex, Ssrc)> + '_ {
        let places = (0_u8..).map(StreamIndex).zip(&self.openers);
        places.filter_map(|(place, opener)| Some((place, opener.as_ref()?.ssrc())))
    }

    /// The life of a stream's replay window.
    pub(super) fn life(&self, stream: StreamIndex) -> StreamLife {
        self.lives[stream.index() % STREAMS_PER_LEG_MAX]
    }

    /// Checks that an SRTP packet is authentic and new, and remembers it. The packet keeps its
    /// bytes.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then. So with all below.
    pub(super) fn authenticate(
        &mut self,
        stream: StreamIndex,
        packet: &[u8],
        scratch: &mut Scratch,
    ) -> Result<PacketIndex, SrtpError> {
        opener(&mut self.openers, stream)?.authenticate_rtp(&self.auth, packet, scratch)
    }

    /// The same, and writes the plain packet to `out`.
    pub(super) fn open(
        &mut self,
        stream: StreamIndex,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<Opened, SrtpError> {
        let keys = self.full.as_deref().ok_or(SrtpError::UnknownSsrc)?;
        opener(&mut self.openers, stream)?.unprotect_rtp_into(keys, packet, out)
    }

    /// The same for an SRTCP packet.
    pub(super) fn open_rtcp(
        &mut self,
        stream: StreamIndex,
        packet: &[u8],
        out: &mut [u8],
    ) -> Result<OpenedRtcp, SrtpError> {
        opener(&mut self.openers, stream)?.unprotect_rtcp_into(&self.rtcp, packet, out)
    }

    /// Writes the plain text of a packet that was accepted at `index` to `out`; gives its length.
    pub(super) fn reopen(
        &self,
        packet: &[u8],
        index: PacketIndex,
        out: &mut [u8],
    ) -> Result<usize, SrtpError> {
        let keys = self.full.as_deref().ok_or(SrtpError::UnknownSsrc)?;
        reopen_rtp(keys, packet, index, out)
    }

    #[cfg(test)]
    pub(super) fn openers(&self) -> &[Option<StreamOpener>] {
        &self.openers
    }
}

fn opener(
    openers: &mut [Option<StreamOpener>],
    stream: StreamIndex,
) -> Result<&mut StreamOpener, SrtpError> {
    openers.get_mut(stream.index()).and_then(Option::as_mut).ok_or(SrtpError::UnknownSsrc)
}
