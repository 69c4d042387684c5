//! Keys and streams together, as a terminal needs them: one session for what it sends, one for
//! each member of the call that it hears.

use kakehashi_wire::rtp::Ssrc;

use crate::capacity::STREAMS_PER_LEG_MAX;
use crate::error::SrtpError;
use crate::keys::{Scratch, SessionKeys};
use crate::opener::{Opened, OpenedRtcp, StreamOpener};
use crate::rtcp::{self, RtcpLayout, RtcpPrivacy};
use crate::rtp::RtpLayout;
use crate::sealer::StreamSealer;

/// Protects all streams that one terminal sends under its one key.
pub struct SendingSession {
    keys: SessionKeys,
    streams: Vec<StreamSealer>,
}

impl SendingSession {
    /// A session without streams. `keys` come from a master key that nobody else seals with.
    pub fn new(keys: SessionKeys) -> Self {
        Self { keys, streams: Vec::with_capacity(STREAMS_PER_LEG_MAX) }
    }

    /// Adds a stream. There is no way to remove one: its SSRC must not start again under this key.
    ///
    /// # Errors
    /// [`SrtpError::SsrcTaken`], [`SrtpError::TooManyStreams`].
    pub fn add(&mut self, stream: StreamSealer) -> Result<(), SrtpError> {
        let taken = self.streams.iter().any(|other| other.ssrc() == stream.ssrc());
        admit(taken, self.streams.len())?;
        self.streams.push(stream);
        Ok(())
    }

    /// The stream with this SSRC, for its next sequence number.
    pub fn stream(&self, ssrc: Ssrc) -> Option<&StreamSealer> {
        self.streams.iter().find(|stream| stream.ssrc() == ssrc)
    }

    /// Protects an RTP packet: see [`StreamSealer::protect_rtp`].
    ///
    /// # Errors
    /// [`SrtpError::UnknownSsrc`], or as there.
    pub fn protect_rtp(
        &mut self,
        buffer: &mut [u8],
        plain_bytes: usize,
    ) -> Result<usize, SrtpError> {
        let ssrc = RtpLayout::plain(buffer, plain_bytes)?.ssrc;
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc() == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        stream.protect_rtp(&self.keys, buffer, plain_bytes)
    }

    /// Encrypts an RTCP packet: see [`StreamSealer::protect_rtcp`].
    ///
    /// # Errors
    /// [`SrtpError::UnknownSsrc`], or as there.
    pub fn protect_rtcp(
        &mut self,
        buffer: &mut [u8],
        plain_bytes: usize,
    ) -> Result<usize, SrtpError> {
        let ssrc = rtcp::sealable(buffer, plain_bytes)?;
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc() == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        stream.protect_rtcp(&self.keys, buffer, plain_bytes, RtcpPrivacy::Encrypted)
    }
}

/// Opens all streams of one sender under that sender's one key.
pub struct ReceivingSession {
    keys: SessionKeys,
    streams: Vec<StreamOpener>,
    scratch: Scratch,
}

impl ReceivingSession {
    /// A session without streams.
    pub fn new(keys: SessionKeys) -> Self {
        let streams = Vec::with_capacity(STREAMS_PER_LEG_MAX);
        Self { keys, streams, scratch: Scratch::new() }
    }

    /// Adds a stream. There is no way to remove one: its old packets would be new again.
    ///
    /// # Errors
    /// [`SrtpError::SsrcTaken`], [`SrtpError::TooManyStreams`].
    pub fn add(&mut self, stream: StreamOpener) -> Result<(), SrtpError> {
        let taken = self.streams.iter().any(|other| other.ssrc() == stream.ssrc());
        admit(taken, self.streams.len())?;
        self.streams.push(stream);
        Ok(())
    }

    /// The stream with this SSRC, for its position.
    pub fn stream(&self, ssrc: Ssrc) -> Option<&StreamOpener> {
        self.streams.iter().find(|stream| stream.ssrc() == ssrc)
    }

    /// Opens an RTP packet: see [`StreamOpener::unprotect_rtp`].
    ///
    /// # Errors
    /// [`SrtpError::UnknownSsrc`], or as there.
    pub fn unprotect_rtp(&mut self, packet: &mut [u8]) -> Result<Opened, SrtpError> {
        let ssrc = RtpLayout::protected(packet)?.ssrc;
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc() == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        stream.unprotect_rtp(&self.keys, packet, &mut self.scratch)
    }

    /// Opens an RTCP packet: see [`StreamOpener::unprotect_rtcp`].
    ///
    /// # Errors
    /// [`SrtpError::UnknownSsrc`], or as there.
    pub fn unprotect_rtcp(&mut self, packet: &mut [u8]) -> Result<OpenedRtcp, SrtpError> {
        let ssrc = RtcpLayout::protected(packet)?.ssrc;
        let stream = self.streams.iter_mut().find(|stream| stream.ssrc() == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        stream.unprotect_rtcp(&self.keys, packet, &mut self.scratch)
    }
}

fn admit(taken: bool, streams: usize) -> Result<(), SrtpError> {
    match (taken, streams < STREAMS_PER_LEG_MAX) {
        (true, _) => Err(SrtpError::SsrcTaken),
        (false, false) => Err(SrtpError::TooManyStreams),
        (false, true) => Ok(()),
    }
}
