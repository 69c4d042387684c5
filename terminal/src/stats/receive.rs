//! Receiver statistics of one SSRC (RFC 3550 A.1, A.3, A.8) and round-trip time (6.4.1).
//!
//! **Headers and arrival times in, numbers out.** Only for packets that were authenticated: there
//! is no probation of new sources, and a jump of less than 2^15 sequence numbers counts as loss
//! instead of a restarted sender (both differ from A.1, which has to live with forgeries).

use crate::capacity::DUPLICATE_WINDOW_PACKETS;
use crate::clock::Moment;
use crate::packets::counter::SequenceCounter;
use core::time::Duration;
use kakehashi_wire::rtp::RtpHeader;

/// What a packet was.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Arrival {
    /// The one after the highest so far, or the first.
    InOrder,
    /// Beyond the next; so many before it have not come yet.
    Ahead {
        /// Sequence numbers jumped over.
        missing: u64,
    },
    /// From before the highest, for the first time.
    Reordered,
    /// Seen before.
    Duplicate,
    /// So old that nobody knows; not counted as received.
    TooOld,
}

/// The numbers of a stream since its start.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct ReceiveSummary {
    /// Different packets received.
    pub received: u64,
    /// Packets that should have come, from the first to the highest sequence number seen.
    pub expected: u64,
    /// Expected less received.
    pub lost: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came after one with a higher sequence number.
    pub reordered: u64,
    /// Payload bytes of the different packets.
    pub payload_bytes: u64,
    /// Interarrival jitter.
    pub jitter: Duration,
}

/// What a receiver report block says (RFC 3550 6.4.1), apart from the sender-report times.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ReceptionReport {
    /// Lost since the report before, in 1/256 of expected.
    pub fraction_lost: u8,
    /// Lost since the start, held to 24 bits signed.
    pub cumulative_lost: i32,
    /// Highest sequence number, with the cycles above its 16 bits.
    pub extended_highest: u32,
    /// Interarrival jitter in clock units.
    pub jitter: u32,
}

/// Highest cumulative loss 24 bits signed can say.
const CUMULATIVE_LOST_MAX: u64 = 0x7f_ffff;
const WORDS: usize = DUPLICATE_WINDOW_PACKETS / 64;

/// Measures one incoming stream.
#[derive(Debug)]
pub struct ReceiveStats {
    clock_hz: u32,
    counter: SequenceCounter,
    range: Option<Range>,
    seen: [u64; WORDS],
    received: u64,
    duplicates: u64,
    reordered: u64,
    payload_bytes: u64,
    jitter: Jitter,
    reported: Reported,
    /// Numbers within the range that were not to come, and the last of them that lie together.
    passed_over: u64,
    last_passed: core::ops::Range<u64>,
}

/// Lowest and highest extended sequence number so far.
#[derive(Clone, Copy, Debug)]
struct Range {
    first: u64,
    highest: u64,
}

/// Totals at the report before.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    expected: u64,
    received: u64,
}

impl ReceiveStats {
    /// Statistics of a stream whose timestamps tick at `clock_hz`.
    pub fn new(clock_hz: u32) -> Self {
        Self {
            clock_hz,
            counter: SequenceCounter::default(),
            range: None,
            seen: [0; WORDS],
            received: 0,
            duplicates: 0,
            reordered: 0,
            payload_bytes: 0,
            jitter: Jitter::default(),
            reported: Reported::default(),
            passed_over: 0,
            last_passed: 0..0,
        }
    }

    /// Counts a packet that came at `arrival`.
    pub fn packet(&mut self, header: &RtpHeader, payload_bytes: usize, arrival: Moment) -> Arrival {
        let sequence = self.counter.extend(header.sequence);
        let kind = self.place(sequence);
        match kind {
            Arrival::Duplicate => self.duplicates += 1,
            Arrival::TooOld => {}
            Arrival::InOrder | Arrival::Ahead { .. } | Arrival::Reordered => {
                self.received += 1;
                self.reordered += u64::from(kind == Arrival::Reordered);
                self.payload_bytes += payload_bytes as u64;
                self.jitter.packet(clock_units(arrival, self.clock_hz), header.timestamp);
            }
        }
        kind
    }

    /// So many numbers behind the highest are not to come: nobody sent them here.
    pub fn pass_over(&mut self, by: u64) {
        let Some(range) = &mut self.range else { return };
        let from = range.highest + 1;
        range.highest = range.highest.saturating_add(by);
        let to = range.highest;
        self.counter.advance(by);
        self.passed_over += by;
        self.last_passed = from..to + 1;
        self.forget(from, to);
    }

    /// The numbers so far.
    pub fn summary(&self) -> ReceiveSummary {
        let expected = self.expected();
        ReceiveSummary {
            received: self.received,
            expected,
            // Never negative: no sequence number is received twice.
            lost: expected.saturating_sub(self.received),
            duplicates: self.duplicates,
            reordered: self.reordered,
            payload_bytes: self.payload_bytes,
            jitter: self.jitter.duration(self.clock_hz),
        }
    }

    /// The numbers of a report block; begins the interval of the next. `None` before any packet.
    pub fn report(&mut self) -> Option<ReceptionReport> {
        let range = self.range?;
        let (expected, received) = (self.expected(), self.received);
        // RFC 3550 A.3
        let expected_since = expected - self.reported.expected;
        let lost_since = expected_since.saturating_sub(received - self.reported.received);
        self.reported = Reported { expected, received };
        let fraction = (lost_since << 8).checked_div(expected_since).unwrap_or(0);
        let lost = expected.saturating_sub(received).min(CUMULATIVE_LOST_MAX);
        Some(ReceptionReport {
            fraction_lost: u8::try_from(fraction).unwrap_or(u8::MAX),
            cumulative_lost: i32::try_from(lost).expect("24 bits fit in 31"),
            extended_highest: low_word(range.highest - SequenceCounter::START),
            jitter: self.jitter.units(),
        })
    }

    fn expected(&self) -> u64 {
        self.range.map_or(0, |range| range.highest - range.first + 1 - self.passed_over)
    }

    /// Finds a packet's place and marks it as seen.
    fn place(&mut self, sequence: u64) -> Arrival {
        let Some(range) = &mut self.range else {
            self.range = Some(Range { first: sequence, highest: sequence });
            self.mark(sequence);
            return Arrival::InOrder;
        };
        if sequence > range.highest {
            let missing = sequence - range.highest - 1;
            let from = range.highest + 1;
            range.highest = sequence;
            self.forget(from, sequence);
            self.mark(sequence);
            return if missing == 0 { Arrival::InOrder } else { Arrival::Ahead { missing } };
        }
        if range.highest - sequence >= DUPLICATE_WINDOW_PACKETS as u64 {
            return Arrival::TooOld;
        }
        let (word, bit) = slot(sequence);
        if self.seen[word] & bit != 0 {
            return Arrival::Duplicate;
        }
        // One from before the first packet that came: the stream began earlier than thought.
        range.first = range.first.min(sequence);
        // One of those that were passed over came all the same.
        self.passed_over -= u64::from(self.last_passed.contains(&sequence));
        self.mark(sequence);
        Arrival::Reordered
    }

    fn mark(&mut self, sequence: u64) {
        let (word, bit) = slot(sequence);
        self.seen[word] |= bit;
    }

    /// Clears the slots of `from..=to`, which hold packets of a window ago.
    fn forget(&mut self, from: u64, to: u64) {
        if to - from >= DUPLICATE_WINDOW_PACKETS as u64 {
            self.seen = [0; WORDS];
            return;
        }
        for sequence in from..=to {
            let (word, bit) = slot(sequence);
            self.seen[word] &= !bit;
        }
    }
}

/// Word and bit of a sequence number in the window.
fn slot(sequence: u64) -> (usize, u64) {
    let at = sequence % DUPLICATE_WINDOW_PACKETS as u64;
    (usize::try_from(at / 64).expect("below the window"), 1 << (at % 64))
}

/// The low 32 bits.
fn low_word(value: u64) -> u32 {
    u32::try_from(value & 0xffff_ffff).expect("32 bits fit")
}

/// A time in clock units, wrapping as RTP timestamps do.
fn clock_units(time: Moment, clock_hz: u32) -> u32 {
    let units = u128::from(time.micros()) * u128::from(clock_hz) / 1_000_000;
    u32::try_from(units & 0xffff_ffff).expect("32 bits fit")
}

/// Interarrival jitter (RFC 3550 A.8), held as sixteen times its value.
#[derive(Clone, Copy, Debug, Default)]
struct Jitter {
    transit: Option<u32>,
    sixteenfold: u64,
}

impl Jitter {
    fn packet(&mut self, arrival: u32, timestamp: u32) {
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(before) = self.transit.replace(transit) {
            let ahead = transit.wrapping_sub(before);
            let difference = u64::from(ahead.min(ahead.wrapping_neg()));
            self.sixteenfold = self.sixteenfold + difference - (self.sixteenfold + 8) / 16;
        }
    }

    fn units(self) -> u32 {
        u32::try_from(self.sixteenfold / 16).unwrap_or(u32::MAX)
    }

    fn duration(self, clock_hz: u32) -> Duration {
        let micros = self.sixteenfold * 1_000_000 / 16 / u64::from(clock_hz.max(1));
        Duration::from_micros(micros)
    }
}

/// Round-trip time from a report block (RFC 3550 6.4.1), all in 1/65,536 s: when the report came
/// (middle of the NTP time), the time of our sender report it answers, and how long its sender held
/// it. `None` if it answers none, or if its numbers are impossible.
pub fn round_trip(
    now_middle: u32,
    last_sender_report: u32,
    delay_since_last: u32,
) -> Option<Duration> {
    if last_sender_report == 0 {
        return None;
    }
    let units = now_middle.wrapping_sub(last_sender_report).wrapping_sub(delay_since_last);
    // A negative time: the peer states a longer delay than has passed.
    if units >= 0x8000_0000 {
        return None;
    }
    Some(Duration::from_micros(u64::from(units) * 1_000_000 / 65_536))
}

#[cfg(test)]
mod tests;
