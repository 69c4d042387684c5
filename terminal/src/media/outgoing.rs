//! The streams this terminal sends: packetise, number, seal, count. Pure.

use super::summary::{SentStream, codec_name, kind_name};
use super::{MediaError, rate::Rate};
use crate::capacity::KEY_FRAME_INTERVAL;
use crate::clock::{Moment, NtpTime};
use crate::packets::{PacketiseError, Packetiser};
use core::time::Duration;
use kakehashi_srtp::{
    Provider, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, SendingSession, SessionKeys, SrtpError,
    StreamSealer,
};
use kakehashi_wire::feedback::{CongestionFeedback, PacketMetric};
use kakehashi_wire::limits::DATAGRAM_BYTES_MAX;
use kakehashi_wire::media::{StreamKind, StreamPlan};
use kakehashi_wire::rtcp::{ReportBlock, RtcpWriter, SenderInfo};
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader, RtpView, Ssrc};
use kakehashi_wire::secret::MasterKey;

/// All streams this terminal sends, under its one key.
pub(super) struct Outgoing {
    session: SendingSession,
    streams: Vec<Stream>,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
}

struct Stream {
    plan: StreamPlan,
    packetiser: Packetiser,
    // Of plain RTP that is passed through: numbers of its own are replaced by ours.
    sequence: PassedSequence,
    // Counted with every packet.
    frames: u64,
    packets: u64,
    bytes: u64,
    rate: Rate,
    last: Option<(u32, Moment)>,
    // By the receiver's last report.
    peer_lost: Option<i32>,
    peer_jitter: Option<u32>,
    // By receivers that lost pictures.
    key_frame_wanted: Option<Moment>,
    key_frames_wanted: u64,
    // While the network carries too little.
    held_back: u64,
}

/// Maps a source's own sequence numbers onto the plan's, keeping gaps and order visible.
#[derive(Clone, Copy)]
struct PassedSequence {
    first: u16,
    offset: Option<u16>,
}

impl PassedSequence {
    fn map(&mut self, theirs: u16) -> u16 {
        let first = self.first;
        theirs.wrapping_add(*self.offset.get_or_insert_with(|| first.wrapping_sub(theirs)))
    }

    /// Closes the gap of a packet that is not sent: nobody is to ask for it.
    fn skip(&mut self) {
        self.offset = self.offset.map(|offset| offset.wrapping_sub(1));
    }
}

impl Outgoing {
    pub(super) fn new(
        key: &MasterKey,
        plans: &[StreamPlan],
        mut random: impl FnMut() -> u32,
    ) -> Result<Self, MediaError> {
        let mut session = SendingSession::new(SessionKeys::derive(Provider::AwsLcRs, key));
        let mut streams = Vec::with_capacity(plans.len());
        for &plan in plans {
            session.add(StreamSealer::new(plan.ssrc, plan.first_sequence))?;
            let picture = u16::try_from(random() & 0x7fff).expect("masked to 15 bits");
            streams.push(Stream {
                plan,
                packetiser: Packetiser::new(plan.codec, plan.ssrc, plan.first_sequence, picture),
                sequence: PassedSequence { first: plan.first_sequence, offset: None },
                frames: 0,
                packets: 0,
                bytes: 0,
                rate: Rate::default(),
                last: None,
                peer_lost: None,
                peer_jitter: None,
                key_frame_wanted: None,
                key_frames_wanted: 0,
                held_back: 0,
            });
        }
        Ok(Self { session, streams, buffer: Box::new([0; DATAGRAM_BYTES_MAX]) })
    }

    /// The SSRC whose key RTCP is sealed under; none if nothing is sent.
    pub(super) fn first_ssrc(&self) -> Option<Ssrc> {
        self.streams.first().map(|stream| stream.plan.ssrc)
    }

    pub(super) fn plan(&self, stream: usize) -> Option<StreamPlan> {
        self.streams.get(stream).map(|stream| stream.plan)
    }

    /// Whether somebody says that packets of these streams came.
    pub(super) fn some_came(&self, feedback: &CongestionFeedback<'_>) -> bool {
        let ours = |media| self.streams.iter().any(|stream| stream.plan.ssrc == media);
        let came = |metric: PacketMetric| metric.arrival().is_some();
        feedback.blocks().any(|block| ours(block.media) && block.metrics().any(came))
    }

    /// Hands each sealed packet of a frame to `out`.
    pub(super) fn frame(
        &mut self,
        stream: usize,
        data: &[u8],
        timestamp: u32,
        now: Moment,
        mut out: impl FnMut(&[u8]),
    ) -> Result<(), PacketiseError> {
        let Self { session, streams, buffer } = self;
        let Some(stream) = streams.get_mut(stream) else { return Ok(()) };
        let (mut packets, mut bytes) = (0, 0);
        stream.packetiser.packetise(data, timestamp, |header, payload| {
            // Sizes and numbers come from the packetiser, so sealing can only fail when the
            // key's 2^48 packets are spent: 60,000 years of video.
            if let Ok(sealed) = seal(session, &mut buffer[..], header, payload) {
                out(sealed);
                packets += 1;
                bytes += payload.len() as u64;
            }
        })?;
        stream.frames += 1;
        stream.count(packets, bytes, timestamp, now);
        Ok(())
    }

    /// Hands a plain RTP packet, numbered anew and sealed, to `out`. Extensions and contributors
    /// are left behind: nobody negotiated them.
    pub(super) fn passed(
        &mut self,
        stream: usize,
        packet: &RtpView<'_>,
        now: Moment,
        mut out: impl FnMut(&[u8]),
    ) -> Result<(), SrtpError> {
        let Self { session, streams, buffer } = self;
        let stream = streams.get_mut(stream).ok_or(SrtpError::UnknownSsrc)?;
        let theirs = packet.header();
        let header = RtpHeader {
            marker: theirs.marker,
            payload_type: stream.plan.codec.payload_type(),
            sequence: stream.sequence.map(theirs.sequence),
            timestamp: theirs.timestamp,
            ssrc: stream.plan.ssrc,
        };
        out(seal(session, &mut buffer[..], header, packet.payload())?);
        stream.frames += u64::from(theirs.marker);
        stream.count(1, packet.payload().len() as u64, theirs.timestamp, now);
        Ok(())
    }

    /// Counts a frame that does not leave.
    pub(super) fn hold_back(&mut self, stream: usize) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.held_back += 1;
        }
    }

    /// Leaves a plain packet out, the last of its frame if it `ends` one.
    pub(super) fn hold_back_packet(&mut self, stream: usize, ends: bool) {
        if let Some(stream) = self.streams.get_mut(stream) {
            stream.held_back += u64::from(ends);
            stream.sequence.skip();
        }
    }

    /// Seals an RTCP compound that `write` appends to a buffer.
    pub(super) fn rtcp(
        &mut self,
        plain: &mut Vec<u8>,
        mut out: impl FnMut(&[u8]),
    ) -> Result<(), SrtpError> {
        let bytes = plain.len();
        plain.resize(bytes + RTCP_OVERHEAD_BYTES, 0);
        let sealed = self.session.protect_rtcp(plain, bytes)?;
        out(&plain[..sealed]);
        Ok(())
    }

    /// Writes a report for each stream; the first carries `blocks` (RFC 3550 6.1, 6.4).
    pub(super) fn reports(
        &self,
        writer: &mut RtcpWriter<'_>,
        blocks: &[ReportBlock],
        now: Moment,
        ntp: NtpTime,
    ) {
        for (at, stream) in self.streams.iter().enumerate() {
            let blocks = if at == 0 { blocks } else { &[] };
            match stream.last {
                Some(last) => writer.sender_report(
                    stream.plan.ssrc,
                    stream.sender_info(last, now, ntp),
                    blocks,
                ),
                None if at == 0 => writer.receiver_report(stream.plan.ssrc, blocks),
                None => {}
            }
        }
    }

    /// Says that every stream ends.
    pub(super) fn byes(&self, writer: &mut RtcpWriter<'_>) {
        for stream in &self.streams {
            writer.bye(stream.plan.ssrc);
        }
    }

    /// Takes in what a receiver reports; `false` if it is about someone else's stream.
    pub(super) fn reported(&mut self, block: &ReportBlock) -> bool {
        let found = self.streams.iter_mut().find(|stream| stream.plan.ssrc == block.ssrc);
        let Some(stream) = found else { return false };
        stream.peer_lost = Some(block.cumulative_lost);
        stream.peer_jitter = Some(block.jitter);
        true
    }

    /// Takes in that a receiver needs a key frame of a stream; gives the stream if its source is
    /// to be told: it is ours, and was not told just now.
    pub(super) fn key_frame_wanted(&mut self, media: Ssrc, now: Moment) -> Option<usize> {
        let at = self.streams.iter().position(|stream| stream.plan.ssrc == media)?;
        let stream = &mut self.streams[at];
        let recent = |told: Moment| now.since(told) < KEY_FRAME_INTERVAL;
        if stream.plan.kind == StreamKind::Audio || stream.key_frame_wanted.is_some_and(recent) {
            return None;
        }
        stream.key_frame_wanted = Some(now);
        stream.key_frames_wanted += 1;
        Some(at)
    }

    pub(super) fn measure_rates(&mut self, since: Duration) {
        for stream in &mut self.streams {
            stream.rate.measure(stream.bytes, since);
        }
    }

    pub(super) fn summary(&self) -> Vec<SentStream> {
        self.streams.iter().map(Stream::summary).collect()
    }
}

impl Stream {
    fn count(&mut self, packets: u64, bytes: u64, timestamp: u32, now: Moment) {
        self.packets += packets;
        self.bytes += bytes;
        self.last = Some((timestamp, now));
    }

    /// RFC 3550 6.4.1: the RTP timestamp of the instant of the report, not of the last packet.
    fn sender_info(&self, last: (u32, Moment), now: Moment, ntp: NtpTime) -> SenderInfo {
        let (timestamp, sent) = last;
        let clock = u128::from(self.plan.codec.clock_hz());
        let since = now.since(sent).as_micros() * clock / 1_000_000;
        let low = |wide: u64| u32::try_from(wide & 0xffff_ffff).expect("masked to 32 bits");
        SenderInfo {
            ntp: ntp.0,
            rtp_timestamp: timestamp.wrapping_add(u32::try_from(since).unwrap_or(0)),
            packets: low(self.packets),
            bytes: low(self.bytes),
        }
    }

    fn summary(&self) -> SentStream {
        let clock = u64::from(self.plan.codec.clock_hz());
        SentStream {
            kind: kind_name(self.plan.kind),
            codec: codec_name(self.plan.codec),
            ssrc: self.plan.ssrc.to_string(),
            frames: self.frames,
            packets: self.packets,
            bytes: self.bytes,
            bits_per_second: self.rate.bits_per_second(),
            peer_lost: self.peer_lost,
            peer_jitter_us: self.peer_jitter.map(|units| u64::from(units) * 1_000_000 / clock),
            key_frames_wanted: self.key_frames_wanted,
            frames_held_back: self.held_back,
        }
    }
}

/// Writes and seals one packet in `buffer`.
fn seal<'b>(
    session: &mut SendingSession,
    buffer: &'b mut [u8],
    header: RtpHeader,
    payload: &[u8],
) -> Result<&'b [u8], SrtpError> {
    let bytes = FIXED_HEADER_BYTES + payload.len();
    if bytes + RTP_OVERHEAD_BYTES > buffer.len() {
        return Err(SrtpError::TooLong);
    }
    buffer[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
    buffer[FIXED_HEADER_BYTES..bytes].copy_from_slice(payload);
    let sealed = session.protect_rtp(buffer, bytes)?;
    Ok(&buffer[..sealed])
}
