//! A fast hash for numbers that control chose.
//!
//! Only leg numbers, call numbers and SSRCs that came with orders become keys of these maps; a peer
//! can ask for any key but insert none, so it cannot build collisions, and the keyed hash of the
//! standard library would only cost time.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

/// A map from a number that control chose.
pub(super) type NumberMap<K, V> = HashMap<K, V, BuildHasherDefault<NumberHasher>>;

/// Multiplies by an odd constant near 2^64 / golden ratio and folds the upper half down.
#[derive(Default)]
pub(super) struct NumberHasher(u64);

impl Hasher for NumberHasher {
    fn finish(&self) -> u64 {
        self.0 ^ self.0 >> 32
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u64(u64::from(*byte));
        }
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(u64::from(number));
    }

    fn write_u64(&mut self, number: u64) {
        self.0 = (self.0.rotate_left(23) ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}

/// A map that takes `entries` without growing, even when its deleted entries pile up: the standard
/// map re-uses their room in place only while it is at most half full.
pub(super) fn number_map<K, V>(entries: usize) -> NumberMap<K, V> {
    NumberMap::with_capacity_and_hasher(2 * entries, BuildHasherDefault::default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_numbers_spread_over_low_and_high_bits() {
        let hash = |number: u64| {
            let mut hasher = NumberHasher::default();
            hasher.write_u64(number);
            hasher.finish()
        };
        for shift in [0, 57] {
            let mut seen = [0_u32; 128];
            (0..12_800).for_each(|n| seen[(hash(n) >> shift & 127) as usize] += 1);
            assert!(seen.iter().all(|&count| (40..250).contains(&count)), "{shift}: {seen:?}");
        }
    }

    #[test]
    fn a_churned_map_does_not_grow() {
        let mut map = number_map::<u64, u64>(100);
        let room = map.capacity();
        for n in 0..100_000_u64 {
            map.insert(n, n);
            if n >= 100 {
                map.remove(&(n - 100));
            }
        }
        assert_eq!(map.capacity(), room);
    }
}
