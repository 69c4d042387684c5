//! A leg's key and the replay state of each of its streams.

use kakehashi_srtp::{Provider, Scratch, SessionKeys, SrtpError, StreamOpener};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
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

/// What a leg may send, and what of it has been received.
pub struct Streams {
    /// Kept to tell whether a newer order brings another key.
    master: MasterKey,
    keys: SessionKeys,
    openers: [Option<StreamOpener>; STREAMS_PER_LEG_MAX],
}

impl Streams {
    /// Streams from their beginning; SSRCs beyond [`STREAMS_PER_LEG_MAX`] are left out.
    pub(super) fn new(provider: Provider, master: MasterKey, ssrcs: &[Ssrc]) -> Self {
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        for (place, ssrc) in openers.iter_mut().zip(ssrcs) {
            *place = Some(StreamOpener::new(*ssrc));
        }
        Self { keys: SessionKeys::derive(provider, &master), master, openers }
    }

    /// The streams of a newer order. Under the same key a stream goes on where it was, or packets
    /// received before would be accepted again; under another key all begin anew.
    pub(super) fn replace(&mut self, provider: Provider, master: MasterKey, ssrcs: &[Ssrc]) {
        if self.master != master {
            *self = Self::new(provider, master, ssrcs);
            return;
        }
        let mut openers = [const { None }; STREAMS_PER_LEG_MAX];
        for (place, ssrc) in openers.iter_mut().zip(ssrcs) {
            let known = self.openers.iter().flatten().find(|opener| opener.ssrc() == *ssrc);
            *place = Some(known.cloned().unwrap_or_else(|| StreamOpener::new(*ssrc)));
        }
        self.openers = openers;
    }

    /// The SSRCs, each with its position.
    pub(super) fn ssrcs(&self) -> impl Iterator<Item = (StreamIndex, Ssrc)> + '_ {
        let places = (0_u8..).map(StreamIndex).zip(&self.openers);
        places.filter_map(|(place, opener)| Some((place, opener.as_ref()?.ssrc())))
    }

    /// Checks that `packet` is authentic and new, and remembers it; it is not decrypted.
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
