//! What was sent when, until receivers have said what became of it. Pure.

use super::Sample;
use crate::capacity::HISTORY_PACKETS_MAX;
use crate::clock::Moment;
use crate::packets::counter::SequenceCounter;
use kakehashi_wire::feedback::{ArrivalOffset, CongestionBlock, PacketMetric};
use kakehashi_wire::rtp::Ssrc;
use std::collections::BTreeMap;

/// Packets behind a missing one that must have come before it counts as lost (as TCP has it).
const REORDERING: u64 = 3;

/// The packets sent of one stream.
#[derive(Debug)]
pub struct History {
    ssrc: Ssrc,
    counter: SequenceCounter,
    sent: BTreeMap<u64, Sent>,
}

#[derive(Clone, Copy, Debug)]
struct Sent {
    at: Moment,
    bytes: usize,
}

/// One receiver's place in a history: what lies before it has been judged.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Judged(u64);

/// Turns the 32-bit times of one receiver's reports into microseconds that never wrap.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReporterClock {
    last: Option<(u32, i64)>,
}

impl ReporterClock {
    /// Microseconds of a report timestamp (1/65536 s), counted from the first one.
    pub fn micros(&mut self, timestamp: u32) -> i64 {
        let (last, units) = *self.last.get_or_insert((timestamp, 0));
        let units = units + i64::from(timestamp.wrapping_sub(last).cast_signed());
        self.last = Some((timestamp, units));
        units * 1_000_000 / 65_536
    }
}

impl History {
    /// Of a stream of which nothing was sent.
    pub fn new(ssrc: Ssrc) -> Self {
        Self { ssrc, counter: SequenceCounter::default(), sent: BTreeMap::new() }
    }

    /// Whose history it is.
    pub fn ssrc(&self) -> Ssrc {
        self.ssrc
    }

    /// Notes a packet that leaves at `at`.
    pub fn sent(&mut self, sequence: u16, bytes: usize, at: Moment) {
        self.sent.insert(self.counter.extend(sequence), Sent { at, bytes });
        if self.sent.len() > HISTORY_PACKETS_MAX {
            self.sent.pop_first();
        }
    }

    /// What a receiver that had judged up to `judged` says now: adds a sample for each packet that
    /// came, and gives how many are lost. `reported` is the report's time in microseconds. Each
    /// packet is judged once; what a lost report was about never is.
    pub fn judge(
        &self,
        judged: &mut Judged,
        block: &CongestionBlock<'_>,
        reported: i64,
        samples: &mut Vec<Sample>,
    ) -> usize {
        let mut counter = self.counter;
        let first = counter.extend(block.first);
        let numbered = || (first..).zip(block.metrics());
        let came = |(_, metric): &(u64, PacketMetric)| metric.arrival().is_some();
        let Some((highest, _)) = numbered().filter(came).last() else { return 0 };
        let (mut lost, before) = (0, judged.0);
        for (sequence, metric) in numbered().skip_while(|&(sequence, _)| sequence < before) {
            match (metric.arrival(), self.sent.get(&sequence)) {
                (None, _) if sequence + REORDERING > highest => break,
                // Nobody can say a thing about what was never sent.
                (_, None) => {}
                (None, Some(_)) => lost += 1,
                (Some(ArrivalOffset::Before(units)), Some(sent)) => {
                    let before = i64::from(units) * 1_000_000 / 1_024;
                    let arrived_us = reported - before;
                    samples.push(Sample { sent: sent.at, arrived_us, bytes: sent.bytes });
                }
                (Some(_), Some(_)) => {}
            }
            judged.0 = sequence + 1;
        }
        lost
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::rtcp::{RtcpPacket, RtcpView, RtcpWriter};

    const SSRC: Ssrc = Ssrc(7);

    /// Judges a report about `first` and what follows: `#` came, `.` did not.
    fn judge(history: &History, judged: &mut Judged, first: u16, pattern: &str) -> (usize, usize) {
        let metrics: Vec<_> = pattern
            .bytes()
            .map(|mark| match mark {
                b'#' => PacketMetric::arrived(0, ArrivalOffset::Before(0)),
                _ => PacketMetric::MISSING,
            })
            .collect();
        let mut out = Vec::new();
        RtcpWriter::new(&mut out).congestion(Ssrc(1), 0, |blocks| {
            assert!(blocks.add(SSRC, first, metrics));
        });
        let view = RtcpView::parse(&out).unwrap();
        let Some(RtcpPacket::Congestion(feedback)) = view.packets().next() else { panic!() };
        let mut samples = Vec::new();
        let block = feedback.blocks().next().unwrap();
        let lost = history.judge(judged, &block, 1_000, &mut samples);
        (samples.len(), lost)
    }

    #[test]
    fn every_packet_is_judged_once_and_late_is_not_lost() {
        let mut history = History::new(SSRC);
        (0..30_u16).for_each(|at| history.sent(65_530_u16.wrapping_add(at), 100, Moment::ZERO));
        let mut judged = Judged::default();
        assert_eq!(judge(&history, &mut judged, 65_530, "##.#"), (2, 0));
        assert_eq!(judge(&history, &mut judged, 65_530, "######"), (4, 0));
        assert_eq!(judge(&history, &mut judged, 65_532, "####.####"), (4, 1));
        assert_eq!(judge(&history, &mut judged, 65_532, "#########"), (0, 0));
        let mut other = Judged::default();
        assert_eq!(judge(&history, &mut other, 65_530, "####"), (4, 0));
    }

    #[test]
    fn what_was_never_sent_says_nothing() {
        let mut history = History::new(SSRC);
        (0..10).for_each(|sequence| history.sent(sequence, 100, Moment::ZERO));
        let mut judged = Judged::default();
        assert_eq!(judge(&history, &mut judged, 1_000, &"#".repeat(90)), (0, 0));
        assert_eq!(judge(&history, &mut Judged::default(), 5, ".........."), (0, 0));
        for sequence in 0..10_000 {
            history.sent(sequence, 100, Moment::ZERO);
        }
        assert_eq!(history.sent.len(), HISTORY_PACKETS_MAX);
    }

    #[test]
    fn a_reporters_clock_goes_on_over_its_wrap() {
        let mut clock = ReporterClock::default();
        assert_eq!(clock.micros(0xffff_0000), 0);
        assert_eq!(clock.micros(0), 1_000_000);
        assert_eq!(clock.micros(0xffff_8000), 500_000);
    }
}
