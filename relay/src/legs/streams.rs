//! A leg's key and the replay state of each of its streams.

use kakehashi_srtp::{Provider, Scratch, SessionKeys, SrtpError, StreamOpener};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::relay::LegStream;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::MasterKey;

/// Position of a stream in its leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamIndex(u8);

/// Which of a stream's two packet sequences a packet belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lane {
    /// SRTP.
    Rtp,
    /// SRTCP.
    Rtcp,
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

/// What a leg may send, and what of it has been received.
pub struct Streams {
    /// Kept to tell whether a newer order brings another key.
    master: MasterKey,
    keys: SessionKeys,
    openers: [Option<StreamOpener>; STREAMS_PER_LEG_MAX],
}

impl Streams {
    /// Streams of which nothing has been heard; SSRCs beyond [`STREAMS_PER_LEG_MAX`] are left out.
    pub(super) fn new(provider: Provider, master: MasterKey, streams: &[LegStream]) -> Self {
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        for (place, stream) in openers.iter_mut().zip(streams) {
            *place = Some(unheard(*stream));
        }
        Self { keys: SessionKeys::derive(provider, &master), master, openers }
    }

    /// The streams of a newer order. Under the same key a stream goes on where it was, or packets
    /// received before would be accepted again; under another key all begin anew.
    pub(super) fn replace(&mut self, provider: Provider, master: MasterKey, streams: &[LegStream]) {
        if self.master != master {
            *self = Self::new(provider, master, streams);
            return;
        }
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        for (place, stream) in openers.iter_mut().zip(streams) {
            let known = self.openers.iter().flatten().find(|opener| opener.ssrc() == stream.ssrc);
            *place = Some(known.cloned().unwrap_or_else(|| unheard(*stream)));
        }
        self.openers = openers;
    }

    /// The SSRCs, each with its position.
    pub(super) fn ssrcs(&self) -> impl Iterator<Item = (StreamIndex, Ssrc)> + '_ {
        let places = (0_u8..).map(StreamIndex).zip(&self.openers);
        places.filter_map(|(place, opener)| Some((place, opener.as_ref()?.ssrc())))
    }

    /// Checks that `packet` is authentic and new, and remembers it. The packet keeps its bytes.
    ///
    /// # Errors
    /// See [`SrtpError`]; nothing has changed then.
    pub(super) fn authenticate(
        &mut self,
        stream: StreamIndex,
        lane: Lane,
        packet: &[u8],
        scratch: &mut Scratch,
    ) -> Result<(), SrtpError> {
        let opener = self.openers.get_mut(usize::from(stream.0)).and_then(Option::as_mut);
        let opener = opener.ok_or(SrtpError::UnknownSsrc)?;
        match lane {
            Lane::Rtp => opener.authenticate_rtp(&self.keys, packet, scratch).map(drop),
            Lane::Rtcp => opener.authenticate_rtcp(&self.keys, packet, scratch).map(drop),
        }
    }

    #[cfg(test)]
    pub(super) fn openers(&self) -> &[Option<StreamOpener>] {
        &self.openers
    }
}
