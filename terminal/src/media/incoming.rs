//! The other members: open what they send, and hand it to its stream. Pure.

use super::downlink::{Downlink, opener};
use super::manners::Manners;
use super::received::Stream;
use super::summary::ReceivedStream;
use super::{Arrival, MediaError, StreamId};
use crate::clock::Moment;
use core::time::Duration;
use kakehashi_srtp::{Provider, ReceivingSession, SessionKeys, SrtpError};
use kakehashi_wire::feedback::CongestionBlocks;
use kakehashi_wire::id::MemberId;
use kakehashi_wire::media::{Sender, StreamKind, StreamPlan};
use kakehashi_wire::rtcp::{ReportBlock, RtcpWriter, SenderInfo};
use kakehashi_wire::rtp::{RtpView, Ssrc};
use kakehashi_wire::terminal::Layer;
use std::collections::VecDeque;

/// One other member.
pub(super) struct Member {
    number: MemberId,
    login: String,
    /// Opens its packets in the pass lane; in the seal lane each path's downlink does.
    session: Option<ReceivingSession>,
    streams: Vec<Stream>,
    heard: bool,
    left: bool,
}

impl Member {
    pub(super) fn new(sender: &Sender, first_id: usize) -> Result<Self, MediaError> {
        let keys = sender.key.as_ref().map(|key| SessionKeys::derive(Provider::AwsLcRs, key));
        let mut session = keys.map(ReceivingSession::new);
        let mut streams = Vec::with_capacity(sender.streams.len());
        for (at, &plan) in sender.streams.iter().enumerate() {
            if let Some(session) = &mut session {
                session.add(opener(&plan))?;
            }
            streams.push(Stream::new(StreamId(first_id + at), plan));
        }
        let (number, login) = (sender.member, sender.login.clone());
        Ok(Self { number, login, session, streams, heard: false, left: false })
    }

    /// Its number in the call.
    pub(super) fn number(&self) -> MemberId {
        self.number
    }

    /// Its login ID.
    pub(super) fn login(&self) -> &str {
        &self.login
    }

    /// Takes in which of its streams are to come. Its first camera is the large one, others are
    /// small.
    pub(super) fn expect(&mut self, manners: &Manners) {
        let is_camera = |stream: &Stream| stream.plan().kind == StreamKind::Camera;
        let cameras = self.streams.iter().filter(|stream| is_camera(stream)).count();
        let mut layers = core::iter::once(Layer::High).chain(core::iter::repeat(Layer::Low));
        for stream in &mut self.streams {
            let layer = if is_camera(stream) { layers.next() } else { None };
            let layer = layer.filter(|_| cameras > 1);
            stream.expect(manners.brings(self.number, stream.plan().kind, layer));
        }
    }

    pub(super) fn sends(&self, ssrc: Ssrc) -> bool {
        self.streams.iter().any(|stream| stream.plan().ssrc == ssrc)
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
        self.streams.iter().map(|stream| (stream.id(), self.login.as_str(), stream.plan()))
    }

    /// Plans of its streams, with the rollover counters of now.
    pub(super) fn plans_now(&self) -> impl Iterator<Item = StreamPlan> {
        self.streams.iter().map(Stream::plan_now)
    }

    /// Opens an RTP packet of `ssrc` that came over a path with this downlink, and queues what it
    /// brings.
    pub(super) fn rtp(
        &mut self,
        ssrc: Ssrc,
        packet: &mut [u8],
        downlink: Option<&mut Downlink>,
        now: Moment,
        out: &mut VecDeque<Arrival>,
    ) -> Result<(), SrtpError> {
        let opened = match (&mut self.session, downlink) {
            (Some(session), _) => session.unprotect_rtp(packet),
            (None, Some(downlink)) => downlink.unprotect_rtp(ssrc, packet),
            (None, None) => Err(SrtpError::UnknownSsrc),
        };
        let stream = self.streams.iter_mut().find(|stream| stream.plan().ssrc == ssrc);
        let stream = stream.ok_or(SrtpError::UnknownSsrc)?;
        if opened == Err(SrtpError::Replayed) {
            stream.came_again();
        }
        let opened = opened?;
        self.heard = true;
        let view = RtpView::parse(&packet[..opened.bytes]).map_err(|_| SrtpError::NotRtp)?;
        stream.take(&view, opened.index, now, out)
    }

    /// Opens an RTCP packet of `ssrc` in place; gives the bytes of the plain compound.
    pub(super) fn rtcp(
        &mut self,
        ssrc: Ssrc,
        packet: &mut [u8],
        downlink: Option<&mut Downlink>,
    ) -> Result<usize, SrtpError> {
        let opened = match (&mut self.session, downlink) {
            (Some(session), _) => session.unprotect_rtcp(packet),
            (None, Some(downlink)) => downlink.unprotect_rtcp(ssrc, packet),
            (None, None) => Err(SrtpError::UnknownSsrc),
        };
        let bytes = opened?.bytes;
        self.heard = true;
        Ok(bytes)
    }

    /// Takes in what the sender of `ssrc` reports about it.
    pub(super) fn sender_reported(&mut self, ssrc: Ssrc, info: SenderInfo, now: Moment) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.plan().ssrc == ssrc) {
            stream.sender_reported(info, now);
        }
    }

    /// A report block for each stream that brought something (RFC 3550 6.4.1).
    pub(super) fn report(&mut self, now: Moment, blocks: &mut Vec<ReportBlock>) {
        blocks.extend(self.streams.iter_mut().filter_map(|stream| stream.report(now)));
    }

    /// Writes, in `asker`'s name, what it is to be asked for at `now`.
    pub(super) fn ask(
        &mut self,
        asker: Ssrc,
        writer: &mut RtcpWriter<'_>,
        now: Moment,
        round_trip: Duration,
    ) {
        for stream in &mut self.streams {
            stream.ask(asker, writer, now, round_trip);
        }
    }

    /// Whether packets came that were not reported yet.
    pub(super) fn has_news(&self) -> bool {
        self.streams.iter().any(Stream::has_news)
    }

    /// Reports when packets came since the last time.
    pub(super) fn report_arrivals(&mut self, now: Moment, blocks: &mut CongestionBlocks<'_>) {
        for stream in &mut self.streams {
            stream.report_arrivals(now, blocks);
        }
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
            stream.drain(out);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        self.streams.iter().filter_map(Stream::next_deadline).min()
    }

    pub(super) fn measure_rates(&mut self, since: Duration) {
        for stream in &mut self.streams {
            stream.measure_rate(since);
        }
    }

    pub(super) fn summary(&self, complete: bool) -> impl Iterator<Item = ReceivedStream> {
        self.streams.iter().map(move |stream| stream.summary(&self.login, complete))
    }
}
