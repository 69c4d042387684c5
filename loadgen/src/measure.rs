//! What is counted and timed, each packet in the interval in which it was due.

use core::time::Duration;
use hdrhistogram::Histogram;

/// Longest delay told apart: 10 s in nanoseconds.
const NANOS_MAX: u64 = 10_000_000_000;

/// Significant digits of a delay.
const DIGITS: u8 = 3;

/// Delays in nanoseconds.
#[derive(Clone, Debug)]
pub struct Delays(Histogram<u64>);

impl Default for Delays {
    fn default() -> Self {
        Self(Histogram::new_with_bounds(1, NANOS_MAX, DIGITS).expect("invariant: bounds in order"))
    }
}

impl Delays {
    /// Takes one in; what is longer than 10 s counts as 10 s.
    pub fn record(&mut self, delay: Duration) {
        self.0.saturating_record(nanos(delay));
    }

    /// Takes all of another in.
    pub fn add(&mut self, other: &Self) {
        // Same bounds on both sides: it cannot fail.
        let _ = self.0.add(&other.0);
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.0.len()
    }

    /// The delay that a part `quantile` of all does not exceed, in microseconds.
    pub fn micros_at(&self, quantile: f64) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.value_at_quantile(quantile) as f64 / 1_000.0 }
    }

    /// The longest, in microseconds.
    pub fn micros_max(&self) -> f64 {
        if self.0.is_empty() { 0.0 } else { self.0.max() as f64 / 1_000.0 }
    }
}

/// A time in nanoseconds, as it is stamped into packets.
pub fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

/// Length of the intervals of a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Intervals {
    length: Duration,
    count: usize,
}

impl Intervals {
    /// Intervals of `length` that cover `duration`.
    pub fn covering(duration: Duration, length: Duration) -> Self {
        let length = length.max(Duration::from_millis(1));
        let count = duration.as_nanos().div_ceil(length.as_nanos()).max(1);
        Self { length, count: usize::try_from(count).unwrap_or(1) }
    }

    /// How many.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long each is.
    pub fn length(&self) -> Duration {
        self.length
    }

    /// The one that `due` lies in; what is behind the last counts to the last.
    pub fn at(&self, due: Duration) -> usize {
        let at = due.as_nanos() / self.length.as_nanos();
        usize::try_from(at).unwrap_or(usize::MAX).min(self.count - 1)
    }
}

/// What was sent in an interval.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct SentInterval {
    /// Packets.
    pub packets: u64,
    /// The copies of them that are to arrive: one for each other member of the call.
    pub expected: u64,
    /// Bytes, UDP payload.
    pub bytes: u64,
    /// System calls they took.
    pub trains: u64,
}

/// What the generator saw of itself and of its work.
#[derive(Clone, Debug)]
pub struct Sent {
    /// Interval by interval.
    pub intervals: Vec<SentInterval>,
    /// How late bursts were handed to the kernel.
    pub lateness: Delays,
    /// Trains that the kernel's full queue held up.
    pub held_up: u64,
    /// Processor time of the generator's thread.
    pub cpu: Duration,
}

/// What arrived of what was due in an interval.
#[derive(Clone, Debug, Default)]
pub struct ReceivedInterval {
    /// Packets, authentic and once.
    pub packets: u64,
    /// Bytes, UDP payload.
    pub bytes: u64,
    /// From when a packet was due to when it was received.
    pub delays: Delays,
}

/// Packets that should not be there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Oddities {
    /// Authentic, but behind a later one of its stream.
    pub reordered: u64,
    /// Authentic, but the second time.
    pub duplicates: u64,
    /// Not authentic, or of no stream that this receiver hears.
    pub refused: u64,
    /// Authentic, but of the run before: it took longer than that waited.
    pub stale: u64,
}

/// What the sink saw.
#[derive(Clone, Debug)]
pub struct Received {
    /// Interval by interval.
    pub intervals: Vec<ReceivedInterval>,
    /// From when a packet was handed to the kernel to when it was received.
    pub from_send: Delays,
    /// What should not be there.
    pub odd: Oddities,
    /// Processor time of the sink's thread.
    pub cpu: Duration,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_time_has_its_interval() {
        let ms = Duration::from_millis;
        let intervals = Intervals::covering(ms(2_500), ms(1_000));
        assert_eq!(intervals.count(), 3);
        let places = [0, 999, 1_000, 2_499, 9_999].map(|at| intervals.at(ms(at)));
        assert_eq!(places, [0, 0, 1, 2, 2]);
        assert_eq!(Intervals::covering(Duration::ZERO, Duration::ZERO).count(), 1);
    }

    #[test]
    fn delays_keep_three_digits_and_add_up() {
        let mut delays = Delays::default();
        assert_eq!((delays.micros_at(0.5), delays.micros_max(), delays.count()), (0.0, 0.0, 0));
        for us in 1..=1_000 {
            delays.record(Duration::from_micros(us));
        }
        let mut sum = Delays::default();
        sum.add(&delays);
        sum.record(Duration::from_secs(60));
        assert_eq!(sum.count(), 1_001);
        assert!((delays.micros_at(0.5) - 500.0).abs() < 1.0);
        assert!((delays.micros_at(0.999) - 999.0).abs() < 2.0);
        assert!((sum.micros_max() - 10_000_000.0).abs() < 10_000.0);
    }
}
