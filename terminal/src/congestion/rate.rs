//! One target rate out of what all receivers report. Pure.

use super::RateLimits;
use super::controller::{Controller, Sample};
use super::history::{History, Judged, ReporterClock};
use crate::clock::Moment;
use core::time::Duration;
use kakehashi_wire::feedback::CongestionFeedback;
use kakehashi_wire::rtp::Ssrc;

/// How long a receiver's last report counts.
const FRESH: Duration = Duration::from_secs(2);

/// While none is fresh, how often the rate falls, to how much of it in percent.
const DECAY_INTERVAL: Duration = Duration::from_millis(500);
const DECAY: u64 = 80;

/// Lost packets, of 256, up to which a report without arrival times says that all is well, and how
/// long it counts: such reports come about every second, every five in a large call.
const WELL_LOST: u8 = 5;
const WELL: Duration = Duration::from_secs(6);

/// How long after a cut the rate counts as limited by the network.
const LIMITED: Duration = Duration::from_secs(60);

/// What was sent, what receivers said of it, and the rate that follows.
#[derive(Debug)]
pub struct RateControl {
    limits: RateLimits,
    streams: Vec<History>,
    receivers: Vec<Receiver>,
    target: u64,
    /// When something was sent last.
    sent: Option<Moment>,
    decayed: Moment,
    received_well: Option<Moment>,
    fell: Option<Moment>,
}

#[derive(Debug)]
struct Receiver {
    controller: Controller,
    clock: ReporterClock,
    judged: Vec<Judged>,
    heard: Option<Moment>,
}

impl Receiver {
    fn is_fresh(&self, now: Moment) -> bool {
        self.heard.is_some_and(|heard| now.since(heard) < FRESH)
    }
}

impl RateControl {
    /// For these streams and so many receivers.
    pub fn new(
        streams: impl Iterator<Item = Ssrc>,
        receivers: usize,
        limits: RateLimits,
        now: Moment,
    ) -> Self {
        let streams: Vec<_> = streams.map(History::new).collect();
        let receiver = || Receiver {
            controller: Controller::new(limits, now),
            clock: ReporterClock::default(),
            judged: vec![Judged::default(); streams.len()],
            heard: None,
        };
        Self {
            receivers: (0..receivers).map(|_| receiver()).collect(),
            streams,
            target: limits.start,
            limits,
            sent: None,
            decayed: now,
            received_well: None,
            fell: None,
        }
    }

    /// Begins anew with other limits.
    pub fn set_limits(&mut self, limits: RateLimits, now: Moment) {
        let streams = self.streams.iter().map(History::ssrc);
        *self = Self::new(streams, self.receivers.len(), limits, now);
    }

    /// Notes a datagram of stream number `stream` that leaves at `at`.
    pub fn sent(&mut self, stream: usize, sequence: u16, bytes: usize, at: Moment) {
        if let Some(history) = self.streams.get_mut(stream) {
            history.sent(sequence, bytes, at);
            // Nobody is to answer while nothing is sent.
            if self.sent.is_none_or(|sent| at.since(sent) >= FRESH) {
                self.decayed = at.plus(FRESH);
            }
            self.sent = Some(at);
        }
    }

    /// Takes in what receiver number `receiver` reports; `hungry` if frames wait to be sent.
    pub fn feedback(
        &mut self,
        receiver: usize,
        feedback: &CongestionFeedback<'_>,
        hungry: bool,
        now: Moment,
    ) {
        let Some(of) = self.receivers.get_mut(receiver) else { return };
        let (mut samples, mut lost, mut ours): (Vec<Sample>, _, _) = (Vec::new(), 0, false);
        let reported = of.clock.micros(feedback.timestamp);
        for block in feedback.blocks() {
            let found = self.streams.iter().position(|history| history.ssrc() == block.media);
            let Some(at) = found else { continue };
            ours = true;
            lost += self.streams[at].judge(&mut of.judged[at], &block, reported, &mut samples);
        }
        if !ours {
            return;
        }
        if !of.is_fresh(now) {
            of.controller.hold_to(self.target);
        }
        of.heard = Some(now);
        of.controller.report(now, &samples, lost, hungry);
        self.decide(now);
    }

    /// Takes in that a receiver misses so many of 256 packets (RFC 3550 6.4.1). Receivers that do
    /// not report arrival times say no more than that; while they miss little, the rate stays.
    pub fn reception(&mut self, fraction_lost: u8, now: Moment) {
        if fraction_lost <= WELL_LOST {
            self.received_well = Some(now);
        }
    }

    /// Lets the rate fall while nobody reports. To be called at least twice a second.
    pub fn tick(&mut self, now: Moment) {
        let sending = self.sent.is_some_and(|sent| now.since(sent) < FRESH);
        if !sending || self.receivers.iter().any(|receiver| receiver.is_fresh(now)) {
            self.decide(now);
            return;
        }
        let well = self.received_well.is_some_and(|at| now.since(at) < WELL);
        if !well && self.target > self.limits.safe && now >= self.decayed.plus(DECAY_INTERVAL) {
            self.target = (self.target * DECAY / 100).max(self.limits.safe);
            self.decayed = now;
            self.fell = Some(now);
        }
    }

    /// The slowest of the receivers that report.
    fn decide(&mut self, now: Moment) {
        let fresh = self.receivers.iter().filter(|receiver| receiver.is_fresh(now));
        let slowest = fresh.min_by_key(|receiver| receiver.controller.rate());
        if let Some(slowest) = slowest {
            self.target = slowest.controller.rate();
            self.fell = self.fell.max(slowest.controller.last_cut());
            self.decayed = now;
        }
    }

    /// Bits a second that all streams together may send.
    pub fn target(&self) -> u64 {
        self.target
    }

    /// Whether the network, not the application, sets the rate: it was cut lately.
    pub fn is_limited(&self, now: Moment) -> bool {
        self.fell.is_some_and(|fell| now.since(fell) < LIMITED)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The target after 20 s in which a receiver reports nothing but losses, once a second.
    fn target_after(fraction_lost: u8) -> u64 {
        let limits = RateLimits::default();
        let mut control = RateControl::new([Ssrc(1)].into_iter(), 1, limits, Moment::ZERO);
        for at in 0..200_u16 {
            let now = Moment::from_micros(u64::from(at) * 100_000);
            control.sent(0, at, 1_000, now);
            if at % 10 == 0 {
                control.reception(fraction_lost, now);
            }
            control.tick(now);
        }
        control.target()
    }

    #[test]
    fn who_reports_no_arrival_times_is_believed_to_receive_well() {
        let limits = RateLimits::default();
        assert_eq!(target_after(2), limits.start);
        assert_eq!(target_after(30), limits.safe);
    }
}
