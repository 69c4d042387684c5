//! How fast a session is listened to: a burst, then a steady rate.

use crate::capacity::{REQUESTS_BURST_MAX, REQUESTS_PER_SECOND};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What one request uses up.
const STEP: Duration = Duration::from_millis(1000 / REQUESTS_PER_SECOND as u64);

/// The pace of one session, or of one connection to the API.
pub(crate) struct Pace {
    /// When everything it used up is there again.
    full_at: Instant,
}

impl Pace {
    /// A pace with its whole burst.
    pub(crate) fn new() -> Self {
        Self { full_at: Instant::now() }
    }

    /// Waits until one more request may be read.
    pub(crate) async fn wait(&mut self) {
        let now = Instant::now();
        self.full_at = self.full_at.max(now) + STEP;
        let used = self.full_at - now;
        sleep_until(now + used.saturating_sub(STEP * REQUESTS_BURST_MAX)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_burst_passes_and_then_one_a_step() {
        let begun = Instant::now();
        let mut pace = Pace::new();
        for _ in 0..REQUESTS_BURST_MAX + 10 {
            pace.wait().await;
        }
        assert!(begun.elapsed() >= STEP * 9, "{:?}", begun.elapsed());
    }
}
