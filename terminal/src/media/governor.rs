//! Keeps what a terminal sends within what its receivers say the network carries. Pure.

use super::gate::{Admission, Gate};
use crate::clock::Moment;
use crate::congestion::{RateControl, RateLimits};
use crate::packets;
use core::time::Duration;
use kakehashi_wire::feedback::CongestionFeedback;
use kakehashi_wire::media::{StreamKind, StreamPlan};
use kakehashi_wire::rtp::RtpView;

/// Video leaves this much faster than voice leaves room for, in percent, so that a picture is not
/// late by a whole interval; the gate keeps the mean.
const PACE: u64 = 110;

/// The share of the target, in percent, that video gets however much voice there is.
const VIDEO_LEAST: u64 = 25;

/// Time over which the rate of voice is measured.
const VOICE_INTERVAL: Duration = Duration::from_millis(500);

/// A new target is told if it differs this much, in 1/1000, from what was told.
const WORTH_TELLING: u64 = 50;

/// The rate, and who may send within it.
#[derive(Debug)]
pub(super) struct Governor {
    plans: Vec<StreamPlan>,
    control: RateControl,
    gate: Gate,
    /// For each stream: timestamp of the plain frame that passes, and whether it leaves.
    passing: Vec<Option<(u32, Admission)>>,
    voice: Voice,
    told: u64,
}

/// The rate of all audio streams.
#[derive(Debug)]
struct Voice {
    since: Moment,
    bytes: u64,
    bits_per_second: u64,
}

impl Voice {
    fn sent(&mut self, bytes: usize, now: Moment) {
        let span = now.since(self.since);
        if span >= VOICE_INTERVAL {
            let micros = u64::try_from(span.as_micros()).unwrap_or(u64::MAX);
            self.bits_per_second = self.bytes * 8_000_000 / micros;
            (self.since, self.bytes) = (now, 0);
        }
        self.bytes += bytes as u64;
    }
}

impl Governor {
    /// For these streams and so many receivers, with the usual limits.
    pub(super) fn new(plans: &[StreamPlan], receivers: usize, now: Moment) -> Self {
        let limits = RateLimits::default();
        let streams = plans.iter().map(|plan| plan.ssrc);
        Self {
            control: RateControl::new(streams, receivers, limits, now),
            gate: Gate::new(plans.len(), now),
            passing: vec![None; plans.len()],
            plans: plans.to_vec(),
            voice: Voice { since: now, bytes: 0, bits_per_second: 0 },
            told: limits.start,
        }
    }

    /// Other limits, before anything was sent.
    pub(super) fn set_limits(&mut self, limits: RateLimits, now: Moment) {
        self.control.set_limits(limits, now);
        self.told = limits.start;
    }

    /// Whether a frame of this stream leaves.
    pub(super) fn admits(&mut self, stream: usize, key: bool, now: Moment) -> Admission {
        let Some(plan) = self.plans.get(stream) else { return Admission::HeldBack };
        self.gate.admits(stream, plan.kind, key, self.limit(now), now)
    }

    /// A stream was left out for a while: the next frame of it that leaves is a key frame.
    pub(super) fn break_off(&mut self, stream: usize) {
        self.gate.break_off(stream);
        if let Some(passing) = self.passing.get_mut(stream) {
            *passing = None;
        }
    }

    /// Whether a plain packet leaves: with its frame, which is known by its timestamp.
    pub(super) fn admits_packet(
        &mut self,
        stream: usize,
        packet: &RtpView<'_>,
        now: Moment,
    ) -> Admission {
        let timestamp = packet.header().timestamp;
        match self.passing.get(stream) {
            None => return Admission::HeldBack,
            Some(&Some((of, admission))) if of == timestamp => return admission,
            Some(_) => {}
        }
        let codec = self.plans[stream].codec;
        let admission = self.admits(stream, packets::starts_key(codec, packet.payload()), now);
        self.passing[stream] = Some((timestamp, admission));
        admission
    }

    /// At how many bits a second the packets of a frame of this stream leave; `None` for at once.
    pub(super) fn pace(&self, stream: usize, now: Moment) -> Option<u64> {
        let target = self.limit(now).filter(|_| !self.is_audio(stream))?;
        let room = target.saturating_sub(self.voice.bits_per_second);
        Some(room.max(target * VIDEO_LEAST / 100) * PACE / 100)
    }

    /// Notes a sealed packet that leaves at `due`.
    pub(super) fn sent(&mut self, stream: usize, sealed: &[u8], due: Moment, now: Moment) {
        self.gate.fill(sealed.len(), self.limit(now), now);
        if self.is_audio(stream) {
            self.voice.sent(sealed.len(), now);
        }
        if let Ok(view) = RtpView::parse(sealed) {
            self.control.sent(stream, view.header().sequence, sealed.len(), due);
        }
    }

    /// Takes in what member number `from` reports.
    pub(super) fn feedback(&mut self, from: usize, feedback: &CongestionFeedback<'_>, now: Moment) {
        self.control.feedback(from, feedback, self.gate.is_hungry(now), now);
    }

    /// Takes in that a receiver misses so many of 256 packets.
    pub(super) fn reception(&mut self, fraction_lost: u8, now: Moment) {
        self.control.reception(fraction_lost, now);
    }

    /// The target rate in bits a second, if the encoders are to be told of it.
    pub(super) fn tick(&mut self, now: Moment) -> Option<u64> {
        self.control.tick(now);
        let target = self.control.target();
        let worth = target.abs_diff(self.told) * 1_000 >= self.told * WORTH_TELLING;
        worth.then(|| {
            self.told = target;
            target
        })
    }

    /// The target rate in bits a second.
    pub(super) fn target(&self) -> u64 {
        self.control.target()
    }

    fn is_audio(&self, stream: usize) -> bool {
        self.plans.get(stream).is_some_and(|plan| plan.kind == StreamKind::Audio)
    }

    fn limit(&self, now: Moment) -> Option<u64> {
        self.control.is_limited(now).then(|| self.control.target())
    }
}
