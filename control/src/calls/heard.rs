//! How the media of a call has arrived at a member lately, as it reports it. Pure.
//!
//! A report counts from the beginning of the call; what operators look at is what was between one
//! and the next. Another core begins anew.

use crate::capacity::{QUALITY_SAMPLE_MIN, QUALITY_SAMPLES_MAX};
use crate::clock::{Now, UnixMs};
use kakehashi_wire::terminal::ReportQuality;
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::time::Duration;

/// What arrived since the sample before, of which the first is since the call began.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct QualitySample {
    /// When it was reported.
    pub at: UnixMs,
    /// Packets that arrived.
    pub received: u32,
    /// Packets that did not.
    pub lost: u32,
    /// Packets of voice that were not there in time: what was heard instead was made up.
    pub concealed: u32,
    /// Interarrival jitter in microseconds, the worst stream's.
    pub jitter_us: u32,
    /// Round trip to the other member in microseconds; 0 if unknown.
    pub round_trip_us: u32,
}

/// The newest samples of one member.
#[derive(Default)]
pub struct Heard {
    samples: VecDeque<QualitySample>,
    /// When the last one was taken, and what was counted by then.
    last: Option<(Duration, Counts)>,
}

/// What a report counts.
#[derive(Clone, Copy, Default)]
struct Counts {
    received: u64,
    lost: u64,
    concealed: u64,
}

impl Heard {
    /// Takes a sample, unless it is too early for one: the next one has it all then.
    pub fn note(&mut self, report: &ReportQuality, now: Now) {
        let counts = Counts {
            received: report.packets_received,
            lost: report.packets_lost,
            concealed: report.packets_concealed,
        };
        let before = match self.last {
            Some((at, _)) if now.since_start < at + QUALITY_SAMPLE_MIN => return,
            // A terminal that began anew counts from 0 again.
            Some((_, before)) if before.received <= counts.received => before,
            _ => Counts::default(),
        };
        let since =
            |now: u64, before: u64| u32::try_from(now.saturating_sub(before)).unwrap_or(u32::MAX);
        self.last = Some((now.since_start, counts));
        if self.samples.len() >= QUALITY_SAMPLES_MAX {
            self.samples.pop_front();
        }
        self.samples.push_back(QualitySample {
            at: now.wall,
            received: since(counts.received, before.received),
            // What was late has come after all.
            lost: since(counts.lost, before.lost),
            concealed: since(counts.concealed, before.concealed),
            jitter_us: report.jitter_us,
            round_trip_us: report.round_trip_us,
        });
    }

    /// The newest `most` samples, the oldest of them first.
    pub fn newest(&self, most: usize) -> Vec<QualitySample> {
        let older = self.samples.len().saturating_sub(most);
        self.samples.iter().skip(older).copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::CallId;

    fn report(received: u64, lost: u64, concealed: u64) -> ReportQuality {
        ReportQuality {
            call: CallId(1),
            packets_sent: 9,
            packets_received: received,
            packets_lost: lost,
            jitter_us: 5,
            round_trip_us: 7,
            packets_concealed: concealed,
            ways: Vec::new(),
        }
    }

    fn at(ms: u64) -> Now {
        Now { since_start: Duration::from_millis(ms), wall: UnixMs(1_000_000 + ms) }
    }

    fn counts(heard: &Heard) -> Vec<(u32, u32, u32)> {
        let samples = heard.newest(usize::MAX).into_iter();
        samples.map(|it| (it.received, it.lost, it.concealed)).collect()
    }

    #[test]
    fn a_sample_is_what_came_since_the_one_before() {
        let mut heard = Heard::default();
        heard.note(&report(100, 2, 1), at(0));
        heard.note(&report(110, 2, 1), at(500));
        heard.note(&report(350, 7, 1), at(5_000));
        heard.note(&report(600, 6, 4), at(10_000));
        heard.note(&report(30, 1, 1), at(15_000));
        let expected = [(100, 2, 1), (250, 5, 0), (250, 0, 3), (30, 1, 1)];
        assert_eq!(counts(&heard), expected, "too early, late packets, and counting from 0 again");
        let newest = heard.newest(1);
        assert_eq!((newest[0].at, newest[0].jitter_us), (at(15_000).wall, 5));
        assert!(heard.newest(0).is_empty());
    }

    #[test]
    fn the_oldest_go_and_reports_without_end_take_no_more_room() {
        let mut heard = Heard::default();
        for nth in 0..10_000_u64 {
            heard.note(&report(nth, 0, 0), at(nth * 100));
        }
        let samples = heard.newest(usize::MAX);
        assert_eq!(samples.len(), QUALITY_SAMPLES_MAX);
        assert!(samples.iter().all(|sample| sample.received == 10), "ten a second");
        assert_eq!(samples.last().map(|it| it.at), Some(at(999_000).wall));
    }
}
