//! Packet indices: rollover counter and sequence number as one number (RFC 3711 3.3.1).

use core::fmt;

use crate::capacity::{FOLLOWING_CANDIDATES, FRESH_CANDIDATES, JOINING_CANDIDATES};

/// The 48-bit index of an SRTP packet: 2^16 x rollover counter + sequence number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct PacketIndex(u64);

impl PacketIndex {
    /// The last index there is; no key seals a packet behind it (RFC 3711 9.2).
    pub const MAX: Self = Self((1 << 48) - 1);

    /// The index of packet `sequence` after `rollover` wraps.
    pub const fn new(rollover: u32, sequence: u16) -> Self {
        Self((rollover as u64) << 16 | sequence as u64)
    }

    /// The index with this value, or `None` if it has more than 48 bits.
    pub const fn from_value(value: u64) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The index as a number.
    pub const fn value(self) -> u64 {
        self.0
    }

    /// How often the sequence number has wrapped.
    pub fn rollover(self) -> u32 {
        u32::try_from(self.0 >> 16).expect("invariant: an index has 48 bits")
    }

    /// The sequence number in the packet.
    pub fn sequence(self) -> u16 {
        u16::try_from(self.0 & 0xffff).expect("invariant: masked to 16 bits")
    }
}

impl fmt::Display for PacketIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}", self.rollover(), self.sequence())
    }
}

/// The 31-bit index of an SRTCP packet, sent in its trailer (RFC 3711 3.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct RtcpIndex(u32);

impl RtcpIndex {
    /// The last index there is; no key seals a packet behind it (RFC 3711 9.2).
    pub const MAX: Self = Self((1 << 31) - 1);

    /// The index with this value, or `None` if it has more than 31 bits.
    pub const fn from_value(value: u32) -> Option<Self> {
        if value <= Self::MAX.0 { Some(Self(value)) } else { None }
    }

    /// The low 31 bits of a trailer word.
    pub(crate) const fn from_word(word: u32) -> Self {
        Self(word & Self::MAX.0)
    }

    /// The index as a number.
    pub const fn value(self) -> u32 {
        self.0
    }
}

/// Rollover counters a stream may have before its first authentic packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Beginning {
    first: u32,
    count: u8,
}

impl Beginning {
    /// The stream begins with us.
    pub(crate) const FRESH: Self = Self { first: 0, count: FRESH_CANDIDATES };

    /// The stream has wrapped at least `at_least` times.
    pub(crate) const fn joining(at_least: u32) -> Self {
        Self { first: at_least, count: JOINING_CANDIDATES }
    }
}

/// The indices a received sequence number may stand for, the likeliest first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Candidates {
    sequence: u16,
    next: Option<u32>,
    left: u8,
}

impl Candidates {
    /// Candidates for `sequence` of a stream of which nothing is known but its beginning.
    pub(crate) const fn first(beginning: Beginning, sequence: u16) -> Self {
        Self { sequence, next: Some(beginning.first), left: beginning.count }
    }

    /// Candidates for `sequence` when `highest` is the highest authentic index so far, and, if
    /// `after_outage`, any number of packets may have been lost since.
    pub(crate) fn following(highest: PacketIndex, after_outage: bool, sequence: u16) -> Self {
        let left = if after_outage { JOINING_CANDIDATES } else { FOLLOWING_CANDIDATES };
        Self { sequence, next: Some(guess_rollover(highest, sequence)), left }
    }
}

impl Iterator for Candidates {
    type Item = PacketIndex;

    fn next(&mut self) -> Option<PacketIndex> {
        self.left = self.left.checked_sub(1)?;
        let rollover = self.next?;
        self.next = rollover.checked_add(1);
        Some(PacketIndex::new(rollover, self.sequence))
    }
}

/// RFC 3711 3.3.1 with the appendix A pseudo-code: the rollover counter that brings `sequence`
/// closest to `highest`. Before index 0 and behind the last index there is nothing, so the guess
/// stays inside.
fn guess_rollover(highest: PacketIndex, sequence: u16) -> u32 {
    const HALF: u16 = 1 << 15;
    let (rollover, last) = (highest.rollover(), highest.sequence());
    if last < HALF {
        let far_ahead = sequence.saturating_sub(last) > HALF;
        if far_ahead { rollover.saturating_sub(1) } else { rollover }
    } else {
        let wrapped = last - HALF > sequence;
        if wrapped { rollover.saturating_add(1) } else { rollover }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guess(rollover: u32, last: u16, sequence: u16) -> u32 {
        guess_rollover(PacketIndex::new(rollover, last), sequence)
    }

    #[test]
    fn the_guess_is_the_nearest_index() {
        for (rollover, last) in [(7, 0), (7, 1), (7, 32767), (7, 32768), (7, 32769), (7, 65535)] {
            let highest = PacketIndex::new(rollover, last).value();
            for sequence in 0..=u16::MAX {
                let got = PacketIndex::new(guess(rollover, last, sequence), sequence).value();
                assert!(got.abs_diff(highest) <= 1 << 15, "{last} {sequence}");
            }
        }
    }

    #[test]
    fn the_guess_never_leaves_48_bits() {
        assert_eq!(guess(0, 2, 40_000), 0);
        assert_eq!(guess(u32::MAX, 65_535, 0), u32::MAX);
    }

    #[test]
    fn candidates_are_ascending_and_bounded() {
        let all = |found: Candidates| -> Vec<u32> { found.map(PacketIndex::rollover).collect() };
        let first = |beginning| all(Candidates::first(beginning, 9));
        assert_eq!(first(Beginning::FRESH), [0, 1]);
        assert_eq!(first(Beginning::joining(3)), (3..19).collect::<Vec<_>>());
        assert_eq!(first(Beginning::joining(u32::MAX)), [u32::MAX]);
        let following =
            |last, outage| all(Candidates::following(PacketIndex::new(4, last), outage, 9));
        assert_eq!(following(65_000, false), [5, 6]);
        assert_eq!(following(10, false), [4, 5]);
        assert_eq!(following(10, true), (4..20).collect::<Vec<_>>());
    }

    #[test]
    fn an_index_splits_into_its_parts() {
        let index = PacketIndex::new(u32::MAX, u16::MAX);
        assert_eq!(index, PacketIndex::MAX);
        assert_eq!((index.rollover(), index.sequence()), (u32::MAX, u16::MAX));
        assert_eq!(PacketIndex::from_value(1 << 48), None);
        assert_eq!(RtcpIndex::from_value(1 << 31), None);
    }
}
