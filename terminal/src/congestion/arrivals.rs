//! When the packets of one received stream came, for the next report. Pure.

use crate::capacity::FEEDBACK_METRICS_MAX;
use crate::clock::Moment;
use crate::packets::counter::SequenceCounter;
use kakehashi_wire::feedback::{ArrivalOffset, PacketMetric};
use std::collections::BTreeMap;

/// Numbers a report repeats of the one before it: those that were missing may only have been late.
const OVERLAP: u64 = 16;

/// The arrivals of one stream that were not reported yet.
#[derive(Debug, Default)]
pub struct ArrivalLog {
    counter: SequenceCounter,
    /// The first packet, ever or behind what was passed over: nothing before it is reported
    /// missing.
    first: Option<u64>,
    /// Behind the highest reported.
    next: u64,
    arrivals: BTreeMap<u64, Moment>,
    fresh: bool,
}

impl ArrivalLog {
    /// Notes a packet that came for the first time.
    pub fn arrived(&mut self, sequence: u16, now: Moment) {
        let sequence = self.counter.extend(sequence);
        self.first.get_or_insert(sequence);
        if sequence < self.next.saturating_sub(OVERLAP) {
            return;
        }
        self.arrivals.insert(sequence, now);
        self.fresh = true;
        while self.arrivals.len() > FEEDBACK_METRICS_MAX {
            self.arrivals.pop_first();
        }
    }

    /// So many numbers behind the highest are not to come: they are not reported missing.
    pub fn pass_over(&mut self, by: u64) {
        self.counter.advance(by);
        self.first = None;
        self.arrivals.clear();
    }

    /// Whether something came since the last report.
    pub fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// What to report at `now`: a number, and a metric for it and each that follows. `None` if
    /// nothing came.
    pub fn report(&mut self, now: Moment) -> Option<(u16, Vec<PacketMetric>)> {
        let (&highest, _) = self.arrivals.last_key_value().filter(|_| self.fresh)?;
        let begin = self
            .first?
            .max(self.next.saturating_sub(OVERLAP))
            .max((highest + 1).saturating_sub(FEEDBACK_METRICS_MAX as u64));
        let metric = |sequence| match self.arrivals.get(&sequence) {
            Some(&at) => PacketMetric::arrived(0, offset(at, now)),
            None => PacketMetric::MISSING,
        };
        let metrics = (begin..=highest).map(metric).collect();
        self.next = highest + 1;
        self.arrivals = self.arrivals.split_off(&self.next.saturating_sub(OVERLAP));
        self.fresh = false;
        let begin = u16::try_from(begin & 0xffff).expect("masked to 16 bits");
        Some((begin, metrics))
    }
}

fn offset(at: Moment, now: Moment) -> ArrivalOffset {
    let micros = u64::try_from(now.since(at).as_micros()).unwrap_or(u64::MAX);
    let units = micros.saturating_mul(ArrivalOffset::UNITS_PER_SECOND) / 1_000_000;
    u16::try_from(units).map_or(ArrivalOffset::Longer, ArrivalOffset::Before)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    fn pattern(metrics: &[PacketMetric]) -> String {
        let mark = |metric: &PacketMetric| if metric.arrival().is_some() { '#' } else { '.' };
        metrics.iter().map(mark).collect()
    }

    #[test]
    fn a_report_says_when_what_came_and_repeats_the_end_of_the_last() {
        let mut log = ArrivalLog::default();
        assert_eq!(log.report(ms(0)), None);
        for (sequence, at) in [(0xffff, 0), (0, 10), (3, 500)] {
            log.arrived(sequence, ms(at));
        }
        let (first, metrics) = log.report(ms(1_000)).unwrap();
        assert_eq!((first, pattern(&metrics).as_str()), (0xffff, "##..#"));
        assert_eq!(metrics[4].arrival(), Some(ArrivalOffset::Before(512)));
        assert_eq!(log.report(ms(1_001)), None, "nothing came");
        log.arrived(1, ms(1_002));
        let (first, metrics) = log.report(ms(1_060)).unwrap();
        assert_eq!((first, pattern(&metrics).as_str()), (0xffff, "###.#"));
        (4..40).for_each(|sequence| log.arrived(sequence, ms(1_100)));
        log.report(ms(1_110)).unwrap();
        log.arrived(40, ms(1_120));
        let (first, metrics) = log.report(ms(1_130)).unwrap();
        assert_eq!((first, metrics.len()), (24, 17));
    }

    #[test]
    fn after_an_outage_the_newest_are_reported() {
        let mut log = ArrivalLog::default();
        log.arrived(1, ms(0));
        log.arrived(30_000, ms(9_000));
        let (first, metrics) = log.report(ms(20_000)).unwrap();
        assert_eq!(metrics.len(), FEEDBACK_METRICS_MAX);
        assert_eq!(usize::from(first) + metrics.len(), 30_001);
        assert_eq!(metrics.last().unwrap().arrival(), Some(ArrivalOffset::Longer));
    }
}
