//! Log lines that strangers cause: counted, and written only so often.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// Lets one line through in a while, with the count of what happened since the last.
pub(crate) struct Seldom {
    every: Duration,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    said: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// One line in `every`; the first at once.
    pub(crate) fn new(every: Duration) -> Self {
        Self { every, state: Mutex::default() }
    }

    /// It happened. How often since the last line, if it is time for another.
    pub(crate) fn note(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.unsaid += 1;
        if state.said.is_some_and(|said| now.duration_since(said) < self.every) {
            return None;
        }
        state.said = Some(now);
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_one_line_in_a_while_and_all_of_it_is_counted() {
        let seldom = Seldom::new(Duration::from_secs(10));
        let begun = Instant::now();
        let at = |ms| seldom.note(begun + Duration::from_millis(ms));
        let lines: Vec<_> = (0..30_000).filter_map(at).collect();
        assert_eq!(lines, [1, 10_000, 10_000]);
        assert_eq!(at(30_000), Some(10_000));
    }
}
