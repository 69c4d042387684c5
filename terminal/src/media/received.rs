//! One received stream: count, put in order, ask for what is missing, join to frames. Pure.

use super::rate::Rate;
use super::repair::{Pictures, Repair};
use super::summary::{ReceivedStream, codec_name, kind_name};
use super::{Arrival, StreamId};
use crate::capacity::{DUPLICATE_WINDOW_PACKETS, JOINED_LATE_PACKETS};
use crate::clock::Moment;
use crate::congestion::arrivals::ArrivalLog;
use crate::packets::Depacketiser;
use crate::packets::reorder::{Ordered, Patience, ReorderBuffer};
use crate::stats::receive::{self, ReceiveStats};
use core::time::Duration;
use kakehashi_srtp::{PacketIndex, SrtpError};
use kakehashi_wire::feedback::{CongestionBlocks, NackEntry};
use kakehashi_wire::media::{StreamKind, StreamPlan};
use kakehashi_wire::rtcp::{ReportBlock, RtcpWriter, SenderInfo};
use kakehashi_wire::rtp::{RtpHeader, RtpView, Ssrc};
use std::collections::VecDeque;

pub(super) struct Stream {
    id: StreamId,
    plan: StreamPlan,
    // Changed by every authentic packet.
    stats: ReceiveStats,
    arrivals: ArrivalLog,
    reorder: ReorderBuffer,
    repair: Repair,
    pictures: Pictures,
    depacketiser: Depacketiser,
    begun: Begun,
    due: Due,
    highest: u64,
    rate: Rate,
    duplicates: u64,
    came: Option<Moment>,
    longest_silence: Duration,
    // By the sender's last report.
    sender_report: Option<(SenderInfo, Moment)>,
}

/// From where on the stream was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Begun {
    /// Not yet.
    Unheard,
    /// From its beginning; the lowest number so far.
    AtFirst { lowest: u16 },
    /// It had run for a while.
    Late,
}

/// Whether its packets are to come to this terminal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Due {
    /// They are, and always were.
    Always,
    /// They are not: what comes is still under way, or comes again sooner than control's word.
    Not,
    /// They are again, and the next one may lie far ahead of the last.
    Next,
    /// They are again.
    Again,
}

impl Stream {
    pub(super) fn new(id: StreamId, plan: StreamPlan) -> Self {
        let first = Some(plan.first_sequence);
        Self {
            id,
            plan,
            stats: ReceiveStats::new(plan.codec.clock_hz()),
            arrivals: ArrivalLog::default(),
            reorder: ReorderBuffer::new(first, Patience::of(plan.kind)),
            repair: Repair::new(first),
            pictures: Pictures::default(),
            depacketiser: Depacketiser::new(plan.codec),
            begun: Begun::Unheard,
            due: Due::Always,
            highest: 0,
            rate: Rate::default(),
            duplicates: 0,
            came: None,
            longest_silence: Duration::ZERO,
            sender_report: None,
        }
    }

    pub(super) fn id(&self) -> StreamId {
        self.id
    }

    pub(super) fn plan(&self) -> StreamPlan {
        self.plan
    }

    /// The same as it would be planned for whoever joins now.
    pub(super) fn plan_now(&self) -> StreamPlan {
        let rollover = u32::try_from(self.highest >> 16).unwrap_or(u32::MAX);
        StreamPlan { rollover: rollover.max(self.plan.rollover), ..self.plan }
    }

    /// Counts a packet that came before.
    pub(super) fn came_again(&mut self) {
        self.duplicates += 1;
    }

    /// Takes the authentic packet of this index, unless it came over another path before.
    pub(super) fn take(
        &mut self,
        view: &RtpView<'_>,
        index: PacketIndex,
        now: Moment,
        out: &mut VecDeque<Arrival>,
    ) -> Result<(), SrtpError> {
        let (header, payload) = (view.header(), view.payload());
        // A path that stood still may bring what is so old that its number reads as a new one.
        if self.highest.saturating_sub(index.value()) >= DUPLICATE_WINDOW_PACKETS as u64 {
            return Err(SrtpError::TooOld);
        }
        if let Some(ahead) = index.value().checked_sub(self.highest + 1) {
            self.pass_over(ahead, out);
            self.highest = index.value();
        }
        self.begin(header.sequence);
        match self.stats.packet(&header, payload.len(), now) {
            receive::Arrival::Duplicate => {
                self.came_again();
                return Err(SrtpError::Replayed);
            }
            receive::Arrival::TooOld => return Err(SrtpError::TooOld),
            _ => {}
        }
        let silence = self.came.replace(now).map_or(Duration::ZERO, |before| now.since(before));
        self.longest_silence = self.longest_silence.max(silence);
        out.push_back(Arrival::Packet { stream: self.id, bytes: view.bytes().to_vec() });
        self.arrivals.arrived(header.sequence, now);
        self.repair.arrived(header.sequence, now);
        self.reorder.push(header, payload.to_vec(), now);
        self.release(now, out);
        Ok(())
    }

    /// Notes where the stream begins for this terminal. Who joins late misses nothing of what was
    /// before.
    fn begin(&mut self, sequence: u16) {
        let ahead = sequence.wrapping_sub(self.plan.first_sequence);
        match &mut self.begun {
            Begun::Unheard
                if self.plan.rollover > 0
                    || self.due != Due::Always
                    || ahead > JOINED_LATE_PACKETS =>
            {
                self.begun = Begun::Late;
                self.reorder = ReorderBuffer::new(None, Patience::of(self.plan.kind));
                self.repair = Repair::new(None);
            }
            Begun::Unheard => self.begun = Begun::AtFirst { lowest: sequence },
            Begun::AtFirst { lowest } if sequence.wrapping_sub(*lowest) >= 1 << 15 => {
                *lowest = sequence;
            }
            _ => {}
        }
    }

    /// Takes in whether its packets are to come from now on.
    pub(super) fn expect(&mut self, comes: bool) {
        self.due = match (comes, self.due) {
            (false, _) => Due::Not,
            (true, Due::Not) => Due::Next,
            (true, due) => due,
        };
    }

    /// A packet came that lies so many numbers `ahead` of the next. If those were not to come here,
    /// they are not missing, and nobody asks for them.
    fn pass_over(&mut self, ahead: u64, out: &mut VecDeque<Arrival>) {
        let was = self.due;
        if was == Due::Next {
            self.due = Due::Again;
        }
        let is_silence = matches!(was, Due::Not | Due::Next);
        if ahead == 0 || !is_silence || self.begun == Begun::Unheard {
            return;
        }
        self.drain(out);
        self.stats.pass_over(ahead);
        self.arrivals.pass_over(ahead);
        self.reorder.pass_over(ahead);
        self.repair.pass_over(ahead);
        if self.plan.kind != StreamKind::Audio {
            self.pictures.broken();
        }
    }

    pub(super) fn release(&mut self, now: Moment, out: &mut VecDeque<Arrival>) {
        while let Some(packet) = self.reorder.pop(now) {
            self.join(&packet, out);
        }
    }

    /// Releases everything: nothing more will come.
    pub(super) fn drain(&mut self, out: &mut VecDeque<Arrival>) {
        while let Some(packet) = self.reorder.drain() {
            self.join(&packet, out);
        }
    }

    fn join(&mut self, packet: &Ordered, out: &mut VecDeque<Arrival>) {
        self.repair.give_up_before(packet.sequence);
        let header: &RtpHeader = &packet.header;
        let video = self.plan.kind != StreamKind::Audio;
        if video && packet.gap_before {
            self.pictures.broken();
        }
        if let Some(frame) = self.depacketiser.push(header, &packet.payload) {
            if video {
                self.pictures.frame(frame.key);
            }
            out.push_back(Arrival::Frame { stream: self.id, frame });
        }
    }

    /// Writes, in `asker`'s name, what is to be asked for at `now`.
    pub(super) fn ask(
        &mut self,
        asker: Ssrc,
        writer: &mut RtcpWriter<'_>,
        now: Moment,
        round_trip: Duration,
    ) {
        let missing = self.repair.ask(now, round_trip);
        writer.nack(asker, self.plan.ssrc, NackEntry::pack(missing));
        if self.pictures.ask(now) {
            writer.picture_loss(asker, self.plan.ssrc);
        }
    }

    /// Whether packets came that were not reported yet.
    pub(super) fn has_news(&self) -> bool {
        self.arrivals.is_fresh()
    }

    /// Reports when packets came since the last time.
    pub(super) fn report_arrivals(&mut self, now: Moment, blocks: &mut CongestionBlocks<'_>) {
        if let Some((first, metrics)) = self.arrivals.report(now) {
            // All streams of a member fit; the assertion is in `capacity.rs`.
            blocks.add(self.plan.ssrc, first, metrics);
        }
    }

    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let deadlines = [
            self.reorder.next_deadline(),
            self.repair.next_deadline(),
            self.pictures.next_deadline(),
        ];
        deadlines.into_iter().flatten().min()
    }

    pub(super) fn measure_rate(&mut self, since: Duration) {
        self.rate.measure(self.stats.summary().payload_bytes, since);
    }

    pub(super) fn sender_reported(&mut self, info: SenderInfo, now: Moment) {
        self.sender_report = Some((info, now));
    }

    pub(super) fn report(&mut self, now: Moment) -> Option<ReportBlock> {
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
    /// against the plan and the sender's count, which also has what was not to come here.
    fn lost(&self, complete: bool) -> u64 {
        let summary = self.stats.summary();
        let before = match self.begun {
            Begun::Late => return summary.lost,
            Begun::Unheard => 0,
            Begun::AtFirst { lowest } => {
                let missed = lowest.wrapping_sub(self.plan.first_sequence);
                if missed < 1 << 15 { u64::from(missed) } else { 0 }
            }
        };
        let counted = summary.lost + before;
        match self.sender_report {
            Some((info, _)) if complete && self.due == Due::Always => {
                counted.max(u64::from(info.packets).saturating_sub(summary.received))
            }
            _ => counted,
        }
    }

    pub(super) fn summary(&self, login: &str, complete: bool) -> ReceivedStream {
        let summary = self.stats.summary();
        let frames = self.depacketiser.counters();
        let repair = self.repair.counters();
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
            asked: repair.asked,
            repaired: repair.repaired,
            given_up: repair.given_up,
            concealed: self.reorder.counters().given_up,
            key_frames_asked: self.pictures.asked(),
            duplicates: self.duplicates,
            reordered: summary.reordered,
            jitter_us: u64::try_from(summary.jitter.as_micros()).unwrap_or(u64::MAX),
            longest_silence_us: u64::try_from(self.longest_silence.as_micros()).unwrap_or(u64::MAX),
        }
    }
}

#[cfg(test)]
#[path = "received_tests.rs"]
mod tests;
