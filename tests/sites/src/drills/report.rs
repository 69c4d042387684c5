//! What drills showed: as a table, and as JSON.

use crate::voices::Effect;
use core::time::Duration;
use kakehashi_loadgen::suspend::percentile_ms;
use serde::Serialize;

/// One drill.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub(crate) struct DrillReport {
    /// Its name.
    pub(crate) drill: String,
    /// How often it happened.
    pub(crate) runs: usize,
    /// Calls that went on meanwhile.
    pub(crate) calls: usize,
    /// The longest silence beyond the normal interval at any listener, of half of the runs at most.
    pub gap_p50_ms: f64,
    /// The same, of 99 % of the runs.
    pub gap_p99_ms: f64,
    /// The same, of all runs.
    pub(crate) gap_max_ms: f64,
    /// Packets that never came, of all runs and listeners.
    pub(crate) packets_lost: u64,
    /// Calls that were over, or in which somebody was heard no more.
    pub(crate) calls_lost: u64,
    /// Sessions that lost their connection.
    pub(crate) sessions_away: usize,
    /// From the fault until such a session had its connection again, of 99 % of them at most.
    pub signalling_p99_ms: f64,
}

impl DrillReport {
    /// The report of a drill's runs.
    pub(crate) fn of(drill: &str, calls: usize, effects: &[Effect]) -> Self {
        let sorted = |mut times: Vec<Duration>| {
            times.sort_unstable();
            times
        };
        let gaps = sorted(effects.iter().map(Effect::longest).collect());
        let back = sorted(effects.iter().flat_map(|effect| effect.back.clone()).collect());
        Self {
            drill: drill.to_owned(),
            runs: effects.len(),
            calls,
            gap_p50_ms: percentile_ms(&gaps, 50),
            gap_p99_ms: percentile_ms(&gaps, 99),
            gap_max_ms: percentile_ms(&gaps, 100),
            packets_lost: effects.iter().map(|effect| effect.lost).sum(),
            calls_lost: effects.iter().map(|effect| effect.calls_lost).sum(),
            sessions_away: back.len(),
            signalling_p99_ms: percentile_ms(&back, 99),
        }
    }
}

/// A table for people.
pub(crate) fn table(reports: &[DrillReport]) -> String {
    let head = format!(
        "{:<14}{:>6}{:>7}{:>10}{:>10}{:>10}{:>9}{:>8}{:>7}{:>12}",
        "drill",
        "runs",
        "calls",
        "gap p50",
        "gap p99",
        "gap max",
        "packets",
        "calls",
        "away",
        "back p99",
    );
    let rows = reports.iter().map(|it| {
        format!(
            "{:<14}{:>6}{:>7}{:>7.0} ms{:>7.0} ms{:>7.0} ms{:>9}{:>8}{:>7}{:>9.0} ms",
            it.drill,
            it.runs,
            it.calls,
            it.gap_p50_ms,
            it.gap_p99_ms,
            it.gap_max_ms,
            it.packets_lost,
            it.calls_lost,
            it.sessions_away,
            it.signalling_p99_ms,
        )
    });
    let units = format!("{:>56}{:>8}", "lost", "lost");
    std::iter::once(head).chain([units]).chain(rows).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_run_counts_with_its_worst_listener() {
        let ms = Duration::from_millis;
        let effect = |gap| Effect {
            gaps: vec![ms(1), ms(gap)],
            lost: 3,
            calls_lost: 0,
            back: vec![ms(900)],
        };
        let report = DrillReport::of("relay-kill", 20, &[effect(150), effect(250), effect(200)]);
        let gaps = [report.gap_p50_ms, report.gap_p99_ms, report.gap_max_ms];
        assert_eq!(gaps.map(f64::round), [200.0, 250.0, 250.0]);
        assert_eq!((report.packets_lost, report.sessions_away), (9, 3));
        assert!(table(&[report]).contains("relay-kill"));
    }
}
