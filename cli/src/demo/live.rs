//! The view of the call while it goes on: one line a second and side, drawn over on a terminal.

use super::side::Side;
use serde_json::Value;
use std::io::{IsTerminal, Write, stdout};

/// Width of the progress bar.
const BAR: usize = 20;

/// Draws the call.
pub(super) struct LiveView {
    seconds: u32,
    drawn_over: bool,
    lines: usize,
}

impl LiveView {
    /// A view of a call that lasts `seconds`.
    pub(super) fn new(seconds: u32) -> Self {
        Self { seconds, drawn_over: stdout().is_terminal(), lines: 0 }
    }

    /// Shows where both sides stand.
    pub(super) fn show(&mut self, store: &Side, concierge: &Side) {
        let Some(media) = &store.progress else { return };
        let elapsed = media["seconds"].as_f64().unwrap_or_default();
        let mut text = vec![bar(elapsed, self.seconds)];
        text.extend([store, concierge].into_iter().filter_map(line));
        let mut out = stdout().lock();
        if self.drawn_over && self.lines > 0 {
            // Up by as many lines as were drawn, then clear to the end of the screen.
            let _ = write!(out, "\x1b[{}A\x1b[J", self.lines);
        }
        for line in &text {
            let _ = writeln!(out, "{line}");
        }
        let _ = out.flush();
        self.lines = text.len();
    }

    /// Leaves the view behind.
    pub(super) fn finish(&self) {
        println!();
    }
}

fn bar(elapsed: f64, seconds: u32) -> String {
    let total = f64::from(seconds).max(1.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "clamped to the bar's width"
    )]
    let full = ((elapsed / total).clamp(0.0, 1.0) * BAR as f64) as usize;
    let shown = elapsed.min(total);
    format!("[{}{}] {shown:4.1} of {seconds} s", "#".repeat(full), ".".repeat(BAR - full))
}

/// What one side sends and misses.
fn line(side: &Side) -> Option<String> {
    let media = side.progress.as_ref()?;
    let sum = |streams: &Value, field: &str| -> u64 {
        let streams = streams.as_array().into_iter().flatten();
        streams.filter_map(|stream| stream[field].as_u64()).sum()
    };
    let kilobits = |streams: &Value| sum(streams, "bits_per_second") / 1000;
    let round_trip = media["round_trip_us"]
        .as_f64()
        .map_or_else(|| String::from("   -"), |us| format!("{:4.1}", us / 1000.0));
    Some(format!(
        "  {:<12} up {:>4} kbit/s {:>6} packets   down {:>4} kbit/s {:>6} packets   \
         lost {}   round trip {round_trip} ms",
        side.role.login,
        kilobits(&media["sent"]),
        sum(&media["sent"], "packets"),
        kilobits(&media["received"]),
        sum(&media["received"], "packets"),
        sum(&media["received"], "lost"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bar_never_overflows() {
        assert_eq!(bar(0.0, 10), "[....................]  0.0 of 10 s");
        assert_eq!(bar(5.0, 10), "[##########..........]  5.0 of 10 s");
        assert_eq!(bar(99.0, 10), "[####################] 10.0 of 10 s");
    }
}
