//! Randomness as a value that is handed in, so that tests can choose it.

use std::sync::Arc;

type Fill = dyn Fn(&mut [u8]) + Send + Sync;

/// A source of unpredictable bytes. Cheap to clone.
#[derive(Clone)]
pub struct Entropy(Arc<Fill>);

impl Entropy {
    /// The operating system's source.
    ///
    /// # Panics
    /// When the operating system gives no randomness; nothing safe can be done without it.
    pub fn system() -> Self {
        Self::from_fn(|out| {
            aws_lc_rs::rand::fill(out).expect("the operating system gives randomness");
        })
    }

    /// A source that fills buffers with `fill`: for tests and simulations.
    pub fn from_fn(fill: impl Fn(&mut [u8]) + Send + Sync + 'static) -> Self {
        Self(Arc::new(fill))
    }

    /// Fills `out`.
    pub fn fill(&self, out: &mut [u8]) {
        (self.0)(out);
    }

    /// `N` random bytes.
    pub fn bytes<const N: usize>(&self) -> [u8; N] {
        let mut out = [0; N];
        self.fill(&mut out);
        out
    }

    /// A random number other than 0, so that 0 can mean "none".
    pub fn nonzero(&self) -> u64 {
        loop {
            let drawn = u64::from_le_bytes(self.bytes());
            if drawn != 0 {
                return drawn;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU8, Ordering};

    #[test]
    fn zero_is_never_drawn() {
        let calls = AtomicU8::new(0);
        let entropy = Entropy::from_fn(move |out| out.fill(calls.fetch_add(1, Ordering::Relaxed)));
        assert_eq!(entropy.nonzero(), 0x0101_0101_0101_0101);
    }

    #[test]
    fn the_system_gives_different_bytes_each_time() {
        let entropy = Entropy::system();
        assert_ne!(entropy.bytes::<32>(), entropy.bytes::<32>());
    }
}
