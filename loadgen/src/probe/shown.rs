//! What whoever asks is shown: the last round as metrics, and the last rounds as JSON at `/status`.

use super::metrics;
use super::record::Round;
use core::fmt;
use kakehashi_metrics::{Figures, Json, Page, Shown};
use std::sync::Arc;
use tokio::sync::watch;

/// What is there to show.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Last {
    /// The last round; none before the first.
    pub round: Option<Round>,
    /// The last rounds as JSON.
    pub status: String,
}

/// Shows what `last` holds, whenever somebody asks.
pub fn shown(last: &watch::Receiver<Arc<Last>>) -> Shown {
    Shown::from(Told(last.clone())).beside("/status", Told(last.clone()))
}

#[derive(Debug)]
struct Told(watch::Receiver<Arc<Last>>);

impl Json for Told {
    fn json(&self) -> String {
        self.0.borrow().status.clone()
    }
}

impl Figures for Told {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        let last = Arc::clone(&self.0.borrow());
        last.round.as_ref().map_or(Ok(()), |round| metrics::write(round, page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_metrics::Format;

    #[test]
    fn nothing_is_shown_before_the_first_round_and_then_the_last() {
        let (show, last) = watch::channel(Arc::<Last>::default());
        let shown = shown(&last);
        let text = || Format::OpenMetrics.text(&shown).unwrap();
        assert_eq!(text(), "# EOF\n");
        let round = Round { began_unix_s: 7, ..Round::default() };
        show.send_replace(Arc::new(Last { round: Some(round), status: "{}".into() }));
        let last_run = "kakehashi_probe_last_run_timestamp_seconds 7.0\n";
        assert!(text().contains(last_run), "{}", text());
        assert_eq!(Told(last).json(), "{}");
    }
}
