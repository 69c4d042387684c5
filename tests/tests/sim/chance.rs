//! Everything a seed decides: one generator, drawn from in the sequence of events.

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::sync::{Arc, Mutex, PoisonError};

use kakehashi_control::entropy::Entropy;
use rand::Rng;

/// A millisecond in the simulator's time.
pub(crate) const MS: u64 = 1_000;

/// A second.
pub(crate) const SECOND: u64 = 1_000 * MS;

/// The generator of one run.
pub(crate) struct Chance(StdRng);

impl Chance {
    /// What `seed` makes of this part of a run.
    pub(crate) fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// A number below `limit`, which is not 0.
    pub(crate) fn below(&mut self, limit: usize) -> usize {
        self.0.random_range(0..limit)
    }

    /// A time from `least` to below `most`.
    pub(crate) fn time(&mut self, least: u64, most: u64) -> u64 {
        self.0.random_range(least..most)
    }

    /// `true` once in so many times.
    pub(crate) fn one_in(&mut self, times: u32) -> bool {
        self.0.random_ratio(1, times)
    }

    /// `true` with this probability.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.0.random_bool(probability)
    }

    /// 64 random bits.
    pub(crate) fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// A source of its own, for whoever keeps one.
    pub(crate) fn source(&mut self) -> Box<dyn FnMut() -> u64 + Send> {
        let mut source = StdRng::seed_from_u64(self.bits());
        Box::new(move || source.next_u64())
    }

    /// The same as entropy of control.
    pub(crate) fn entropy(&mut self) -> Entropy {
        entropy(self.bits())
    }
}

/// Entropy that is the same for the same seed.
pub(crate) fn entropy(seed: u64) -> Entropy {
    let source = Arc::new(Mutex::new(StdRng::seed_from_u64(seed)));
    Entropy::from_fn(move |out| {
        source.lock().unwrap_or_else(PoisonError::into_inner).fill_bytes(out);
    })
}
