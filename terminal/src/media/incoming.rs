//! The streams of the other members: open, count, put in order, join to frames. Pure.

use super::summary::{ReceivedStream, codec_name, kind_name};
use super::{Arrival, MediaError, StreamId, rate::Rate};
use crate::clock::Moment;
use crate::packets::Depacketiser;
use crate::packets::reorder::{Patience, ReorderBuffer};
use crate::stats::receive::ReceiveStats;
use core::time::Duration;
use kakehashi_srtp::{Provider, ReceivingSession, SessionKeys, SrtpError, StreamOpener};
use kakehashi_wire::media::{Sender, StreamPlan};
use kakehashi_wire::rtcp::{ReportBlock, SenderInfo};
use kakehashi_wire::rtp::{RtpView, Ssrc};
use std::collections::VecDeque;

/// One other member.
pub(super) struct Member {
    login: String,
    session: ReceivingSession,
    streams: Vec<Stream>,
    heard: bool,
    left: bool,
}

struct Stream {
    id: StreamId,
    plan: StreamPlan,
    // Changed by every authentic packet.
    stats: ReceiveStats,
    reorder: ReorderBuffer,
    depacketiser: Depacketiser,
    lowest: Option<u16>,
    rate: Rate,
    duplicates: u64,
    // By the sender's last report.
    sender_report: Option<(SenderInfo, Moment)>,
}

impl Member {
    pub(super) fn new(sender: &Sender, first_id: usize) -> Result<Self, MediaError> {
        let key = sender.key.as_ref().ok_or(MediaError::NoKey)?;
        let keys = SessionKeys::derive(Provider::AwsLcRs, key);
        let mut session = ReceivingSession::new(keys);
        let mut streams = Vec::with_capacity(sender.streams.len());
        for (at, &plan) in sender.streams.iter().enumerate() {
            session.add(StreamOpener::new(plan.ssrc))?;
            streams.push(Stream {
                id: StreamId(first_id + at),
                plan,
                stats: ReceiveStats::new(plan.codec.clock_hz()),
                reorder: ReorderBuffer::new(Some(plan.first_sequence), Patience::default()),
                depacketiser: Depacketiser::new(plan.codec),
                lowest: None,
                rate: Rate::default(),
                duplicates: 0,
                sender_report: None,
            });
        }
        Ok(Self { login: sender.login.clone(), session, streams, heard: false, left: false })
    }

    pub(super) fn sends(&self, ssrc: Ssrc) -> bool {
        self.streams.iter().any(|stream| stream.plan.ssrc == ssrc)
    }

    /// Whether anything authentic came from it, or nothing can.
    pub(super) fn is_there(&self) -> bool {
        self.heard || self.streams.is_empty()
    }

    /// Whether it said goodbye.
    pub(super) fn said_goodbye(&self) -> bool {
        self.left
    }

    /// Whether it said goodbye, or cannot.
    pub(super) fn has_left(&self) -> bool {
        self.left || self.streams.is_empty()
    }

    pub(super) fn leaves(&mut self) {
        self.left = true;
    }

    /// Login and plans of its streams.
    pub(super) fn plans(&self) -> impl Iterator<Item = (StreamId, &str, StreamPlan)> {
        self.streams.iter().map(|stream| (stream.id, self.login.as_str(), stream.plan))
    }

    /// Opens an RTP packet and queues what it brings.
    pub(super) fn rtp(
        &mut self,
        ssrc: Ssrc,
        packet: &mut [u8],
        now: Moment,
        out: &mut VecDeque<Arrival>,
    ) -> Result<(), SrtpError> {
        let opened = self.session.unprotect_rtp(packet);
        let stream = self.streams.iter_mut().find(|stream| stream.plan.ssrc == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        if opened == Err(SrtpError::Replayed) {
            stream.duplicates += 1;
        }
        let plain = &packet[..opened?.bytes];
        self.heard = true;
        let view = RtpView::parse(plain).map_err(|_| SrtpError::NotRtp)?;
        stream.take(&view, now, out);
        Ok(())
    }

    /// Opens an RTCP packet in place; gives the bytes of the plain compound.
    pub(super) fn rtcp(&mut self, packet: &mut [u8]) -> Result<usize, SrtpError> {
        let opened = self.session.unprotect_rtcp(packet)?;
        self.heard = true;
        Ok(opened.bytes)
    }

    /// Takes in what the sender of `ssrc` reports about it.
    pub(super) fn sender_reported(&mut self, ssrc: Ssrc, info: SenderInfo, now: Moment) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.plan.ssrc == ssrc) {
            stream.sender_report = Some((info, now));
        }
    }

    /// A report block for each stream that brought something (RFC 3550 6.4.1).
    pub(super) fn report(&mut self, now: Moment, blocks: &mut Vec<ReportBlock>) {
        blocks.extend(self.streams.iter_mut().filter_map(|stream| stream.report(now)));
    }

    /// Releases what waited long enough for a missing packet.
    pub(super) fn release(&mut self, now: Moment, out: &mut VecDeque<Arrival>) {
        for stream in &mut self.streams {
            stream.release(now, out);
        }
    }

    /// Releases everything: nothing more will come.
    pub(super) fn drain(&mut self, out: &mut VecDeque<Arrival>) {
        for stream in &mut self.streams {
            while let Some(packet) = stream.reorder.drain() {
                stream.join(packet.header, &packet.payload, out);
            }
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.streams.iter().filter_map(|stream| stream.reorder.next_deadline()).min()
    }

    pub(super) fn measure_rates(&mut self, since: Duration) {
        for stream in &mut self.streams {
            stream.rate.measure(stream.stats.summary().payload_bytes, since);
        }
    }

    pub(super) fn summary(&self, complete: bool) -> impl Iterator<Item = ReceivedStream> {
        self.streams.iter().map(move |stream| stream.summary(&self.login, complete))
    }
}

impl Stream {
    fn take(&mut self, view: &RtpView<'_>, now: Moment, out: &mut VecDeque<Arrival>) {
        let (header, payload) = (view.header(), view.payload());
        self.stats.packet(&header, payload.len(), now);
        let lowest = *self.lowest.get_or_insert(header.sequence);
        if header.sequence.wrapping_sub(lowest) >= 1 << 15 {
            self.lowest = Some(header.sequence);
        }
        out.push_back(Arrival::Packet { stream: self.id, bytes: view.bytes().to_vec() });
        self.reorder.push(header, payload.to_vec(), now);
        self.release(now, out);
    }

    fn release(&mut self, now: Moment, out: &mut VecDeque<Arrival>) {
        while let Some(packet) = self.reorder.pop(now) {
            self.join(packet.header, &packet.payload, out);
        }
    }

    fn join(
        &mut self,
        header: kakehashi_wire::rtp::RtpHeader,
        payload: &[u8],
        out: &mut VecDeque<Arrival>,
    ) {
        if let Some(frame) = self.depacketiser.push(&header, payload) {
            out.push_back(Arrival::Frame { stream: self.id, frame });
        }
    }

    fn report(&mut self, now: Moment) -> Option<ReportBlock> {
        let report = self.stats.report()?;
        let (last_report, delay) = self.sender_report.map_or((0, 0), |(info, at)| {
            let held = now.since(at).as_micros() * 65_536 / 1_000_000;
            (info.short_ntp(), u32::try_from(held).unwrap_or(u32::MAX))
        });
        Some(ReportBlock {
            ssrc: self.plan.ssrc,
            fraction_lost: report.fraction_lost,
            cumulative_lost: report.cumulative_lost,
            highest_sequence: report.extended_highest,
            jitter: report.jitter,
            last_report,
            delay,
        })
    }

    /// Losses before the first and, if the stream is `complete`, behind the last packet show only
    /// against the plan and the sender's count.
    fn lost(&self, complete: bool) -> u64 {
        let summary = self.stats.summary();
        let before = self.lowest.map_or(0, |lowest| {
            let missed = lowest.wrapping_sub(self.plan.first_sequence);
            if missed < 1 << 15 { u64::from(missed) } else { 0 }
        });
        let counted = summary.lost + before;
        match self.sender_report {
            Some((info, _)) if complete => {
                counted.max(u64::from(info.packets).saturating_sub(summary.received))
            }
            _ => counted,
        }
    }

    fn summary(&self, login: &str, complete: bool) -> ReceivedStream {
        let summary = self.stats.summary();
        let frames = self.depacketiser.counters();
        ReceivedStream {
            from: login.to_owned(),
            kind: kind_name(self.plan.kind),
            codec: codec_name(self.plan.codec),
            ssrc: self.plan.ssrc.to_string(),
            frames: frames.frames,
            frames_incomplete: frames.incomplete,
            packets: summary.received,
            bytes: summary.payload_bytes,
            bits_per_second: self.rate.bits_per_second(),
            lost: self.lost(complete),
            duplicates: self.duplicates,
            reordered: summary.reordered,
            jitter_us: u64::try_from(summary.jitter.as_micros()).unwrap_or(u64::MAX),
        }
    }
}
