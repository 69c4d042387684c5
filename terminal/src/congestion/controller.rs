//! The rate that the way to one receiver carries: the algorithm of [`congestion`](super). Pure.

use super::RateLimits;
use crate::clock::Moment;
use core::time::Duration;
use std::collections::VecDeque;

/// A queue this long is congestion if it does not shrink.
const QUEUE_LONG: i64 = 50_000;

/// While the queue is shorter than this the rate may grow.
const QUEUE_SHORT: i64 = 25_000;

/// A queue shrinks if a report shows this much less: the resolution of arrival times is 1 ms.
const QUEUE_STEP: i64 = 2_000;

/// Time from one cut to the next: two reports after the first packets sent slower have come.
const CUT_INTERVAL: Duration = Duration::from_millis(300);

/// Cuts without effect after which the delay counts as the way's own.
const FUTILE_CUTS: u32 = 4;

/// The least delay is that of this and the last interval.
const BASE_INTERVAL: Duration = Duration::from_secs(10);

/// Time over which losses are counted, and packets there must be in it.
const LOSS_WINDOW: Duration = Duration::from_secs(1);
const LOSS_PACKETS_LEAST: usize = 20;

/// Losses, in 1/1000, that stop growth and that cut the rate.
const LOSS_HOLDS: usize = 20;
const LOSS_CUTS: usize = 100;

/// Time over which arrived bytes are counted, and how long it must be at least, in microseconds.
const ARRIVED_WINDOW: i64 = 600_000;
const ARRIVED_LEAST: i64 = 150_000;

/// Growth a second, in 1/1000: before the first cut, and then.
const GROWTH_FIRST: u64 = 500;
const GROWTH: u64 = 80;
/// Growth a second at least, in bits a second.
const GROWTH_LEAST: u64 = 16_000;

/// Longest time between reports that growth counts.
const REPORT_MOST: Duration = Duration::from_millis(250);

/// A packet that came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sample {
    /// When it left, by this terminal's clock.
    pub sent: Moment,
    /// When it came, in microseconds of the receiver's clock.
    pub arrived_us: i64,
    /// Bytes of the datagram.
    pub bytes: usize,
}

impl Sample {
    /// One-way delay in microseconds, and a constant that nobody knows.
    fn delay(&self) -> i64 {
        self.arrived_us - i64::try_from(self.sent.micros()).unwrap_or(i64::MAX)
    }
}

/// Finds the rate that the way to one receiver carries.
#[derive(Debug)]
pub struct Controller {
    limits: RateLimits,
    rate: u64,
    base: BaseDelay,
    /// Smoothed, in microseconds.
    queue: i64,
    arrived: VecDeque<(i64, usize)>,
    judged: VecDeque<(Moment, usize, usize)>,
    reported: Moment,
    cut: Option<Cut>,
}

/// The last cut.
#[derive(Clone, Copy, Debug)]
struct Cut {
    at: Moment,
    queue: i64,
    futile: u32,
}

impl Controller {
    /// Begins at `now` with the start rate.
    pub fn new(limits: RateLimits, now: Moment) -> Self {
        Self {
            limits,
            rate: limits.start,
            base: BaseDelay::default(),
            queue: 0,
            arrived: VecDeque::new(),
            judged: VecDeque::new(),
            reported: now,
            cut: None,
        }
    }

    /// The rate in bits a second.
    pub fn rate(&self) -> u64 {
        self.rate
    }

    /// The queue on the way in microseconds, smoothed.
    pub fn queue_us(&self) -> i64 {
        self.queue
    }

    /// When the rate was cut last.
    pub fn last_cut(&self) -> Option<Moment> {
        self.cut.map(|cut| cut.at)
    }

    /// Goes on from `rate` if that is less: nobody knows what happened meanwhile.
    pub fn hold_to(&mut self, rate: u64) {
        self.rate = self.rate.min(rate).max(self.limits.floor);
    }

    /// Takes in a report: what came, how many are lost, and whether frames wait to be sent.
    pub fn report(&mut self, now: Moment, samples: &[Sample], lost: usize, hungry: bool) {
        let before = self.queue;
        let Some(delay) = samples.iter().map(Sample::delay).min() else {
            return self.losses_only(now, lost);
        };
        let queue = delay - self.base.update(delay, now);
        self.queue = (before + queue) / 2;
        let shrinks = queue + QUEUE_STEP <= before;
        self.arrived.extend(samples.iter().map(|sample| (sample.arrived_us, sample.bytes)));
        let loss = self.lost_of_thousand(now, lost, samples.len());
        if self.queue > QUEUE_LONG && !shrinks {
            self.cut_for_queue(now, delay);
        } else if loss > LOSS_CUTS {
            self.cut_for_loss(now, loss);
        } else if self.queue < QUEUE_SHORT && loss < LOSS_HOLDS {
            self.grow(now, hungry);
        }
        self.reported = now;
    }

    fn losses_only(&mut self, now: Moment, lost: usize) {
        let loss = self.lost_of_thousand(now, lost, 0);
        if loss > LOSS_CUTS {
            self.cut_for_loss(now, loss);
        }
        self.reported = now;
    }

    /// Bits a second that arrived lately; `None` until enough came.
    fn arrived_rate(&mut self) -> Option<u64> {
        let newest = self.arrived.iter().map(|(at, _)| *at).max()?;
        self.arrived.retain(|(at, _)| newest - at <= ARRIVED_WINDOW);
        let oldest = self.arrived.iter().map(|(at, _)| *at).min()?;
        let span =
            u64::try_from(newest - oldest).ok().filter(|_| newest - oldest >= ARRIVED_LEAST)?;
        // What came at the very first moment was sent before the span began.
        let bytes: usize =
            self.arrived.iter().filter(|(at, _)| *at > oldest).map(|(_, bytes)| bytes).sum();
        Some(bytes as u64 * 8_000_000 / span)
    }

    fn lost_of_thousand(&mut self, now: Moment, lost: usize, came: usize) -> usize {
        self.judged.push_back((now, lost, lost + came));
        self.judged.retain(|(at, ..)| now.since(*at) <= LOSS_WINDOW);
        let lost: usize = self.judged.iter().map(|(_, lost, _)| lost).sum();
        let all: usize = self.judged.iter().map(|(.., all)| all).sum();
        if all < LOSS_PACKETS_LEAST { 0 } else { lost * 1_000 / all }
    }

    fn may_cut(&self, now: Moment) -> bool {
        self.cut.is_none_or(|cut| now.since(cut.at) >= CUT_INTERVAL)
    }

    fn cut_for_queue(&mut self, now: Moment, delay: i64) {
        if !self.may_cut(now) {
            return;
        }
        let futile = match self.cut {
            Some(cut)
                if now.since(cut.at) < CUT_INTERVAL * 4 && self.queue * 10 > cut.queue * 9 =>
            {
                cut.futile + 1
            }
            _ => 0,
        };
        if futile >= FUTILE_CUTS {
            self.base = BaseDelay::default();
            self.base.update(delay, now);
            self.queue = 0;
            self.cut = Some(Cut { at: now, queue: 0, futile: 0 });
            return;
        }
        let arrived = self.arrived_rate().unwrap_or(self.rate);
        self.rate = (self.rate.min(arrived) * 85 / 100).max(self.limits.floor);
        self.cut = Some(Cut { at: now, queue: self.queue, futile });
    }

    fn cut_for_loss(&mut self, now: Moment, loss: usize) {
        if self.may_cut(now) {
            let kept = 1_000 - loss.min(1_000) as u64 / 2;
            self.rate = (self.rate * kept / 1_000).max(self.limits.floor);
            // Counted anew: what was lost before the cut says nothing about the new rate.
            self.judged.clear();
            self.cut = Some(Cut { at: now, queue: self.queue, futile: 0 });
        }
    }

    fn grow(&mut self, now: Moment, hungry: bool) {
        let enough = self.arrived_rate().map_or(self.rate, |arrived| arrived * 2 + GROWTH_LEAST);
        if !hungry && self.rate >= enough {
            return;
        }
        let micros = u64::try_from(now.since(self.reported).min(REPORT_MOST).as_micros());
        let share = if self.cut.is_none() { GROWTH_FIRST } else { GROWTH };
        let a_second = (self.rate * share / 1_000).max(GROWTH_LEAST);
        let more = a_second * micros.unwrap_or(0) / 1_000_000;
        self.rate = (self.rate + more).min(self.limits.ceiling);
    }
}

/// The least delay of the last two intervals.
#[derive(Clone, Copy, Debug, Default)]
struct BaseDelay {
    since: Moment,
    current: Option<i64>,
    last: Option<i64>,
}

impl BaseDelay {
    fn update(&mut self, delay: i64, now: Moment) -> i64 {
        if now.since(self.since) >= BASE_INTERVAL {
            (self.since, self.last, self.current) = (now, self.current, None);
        }
        let current = self.current.map_or(delay, |current| current.min(delay));
        self.current = Some(current);
        self.last.map_or(current, |last| last.min(current))
    }
}
