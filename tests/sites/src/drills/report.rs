//! What drills showed: as a table for people, and as JSON.

use super::Drill;
use super::writers::Writes;
use crate::nic::Packets;
use crate::voices::Effect;
use core::fmt::Write;
use core::time::Duration;
use kakehashi_loadgen::suspend::percentile_ms;
use serde::Serialize;

/// What came of one run of a drill.
#[derive(Clone, Debug, Default)]
pub(crate) struct Outcome {
    /// What listeners and sessions noticed.
    pub(crate) effect: Effect,
    /// From each acknowledged suspension to the last packet.
    pub(crate) stops: Vec<Duration>,
    /// From the return of the store until a call came about.
    pub(crate) normal_again: Option<Duration>,
    /// Requests that were refused with a reason and a time.
    pub(crate) refused: u64,
    /// Requests that should have been, or should have been done, and were not.
    pub(crate) unclear: u64,
    /// What the relays moved, if they had to go past the kernel.
    pub(crate) past_kernel: Option<Packets>,
}

/// One drill.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub(crate) struct DrillReport {
    /// Its name.
    pub(crate) drill: &'static str,
    /// How often it happened.
    pub(crate) runs: usize,
    /// Calls that went on meanwhile.
    pub(crate) calls: usize,
    /// The longest silence beyond the normal interval at any listener, of half of the runs at most.
    pub(crate) gap_p50_ms: f64,
    /// The same, of 99 % of the runs.
    pub(crate) gap_p99_ms: f64,
    /// The same, of all runs.
    pub(crate) gap_max_ms: f64,
    /// The same, of each run in its turn.
    pub(crate) gaps_ms: Vec<f64>,
    /// Packets that never came, of all runs and listeners.
    pub(crate) packets_lost: u64,
    /// The most that one listener missed in one run.
    pub(crate) packets_lost_of_a_stream: u64,
    /// Calls that were over, or in which somebody was heard no more.
    pub(crate) calls_lost: u64,
    /// Sessions that lost their connection.
    pub(crate) sessions_away: usize,
    /// From the fault until such a session had its connection again, of 99 % of them at most; if
    /// parts are started again one after the other, how long it was away.
    pub(crate) signalling_p99_ms: f64,
    /// Changes by operators that were acknowledged meanwhile.
    pub(crate) writes_acknowledged: u64,
    /// Of these, those that were not so in the end.
    pub(crate) writes_lost: u64,
    /// Requests that were refused with a reason and a time to try again, as they should be.
    pub(crate) refused_clearly: u64,
    /// Requests that should have been done, or refused so, and were not.
    pub(crate) unclear: u64,
    /// From the return of the store until a call came about, the longest.
    pub(crate) normal_again_max_ms: f64,
    /// Suspensions, of all runs.
    pub(crate) suspensions: usize,
    /// From an acknowledged suspension to the last packet, of half of them at most.
    pub(crate) stop_p50_ms: f64,
    /// The same, of 99 % of them.
    pub(crate) stop_p99_ms: f64,
    /// The same, of all.
    pub(crate) stop_max_ms: f64,
    /// What the relays moved, if they had to go past the kernel.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) past_kernel: Option<Packets>,
}

impl DrillReport {
    /// The report of a drill's runs.
    pub(crate) fn of(
        drill: &'static str,
        calls: usize,
        outcomes: &[Outcome],
        writes: Writes,
    ) -> Self {
        let effects = || outcomes.iter().map(|outcome| &outcome.effect);
        let in_turn: Vec<Duration> = effects().map(Effect::longest).collect();
        let gaps = sorted(in_turn.clone());
        let back = sorted(effects().flat_map(|effect| effect.back.clone()).collect());
        let stops = sorted(outcomes.iter().flat_map(|outcome| outcome.stops.clone()).collect());
        let normal = sorted(outcomes.iter().filter_map(|outcome| outcome.normal_again).collect());
        Self {
            drill,
            runs: outcomes.len(),
            calls,
            gap_p50_ms: percentile_ms(&gaps, 50),
            gap_p99_ms: percentile_ms(&gaps, 99),
            gap_max_ms: percentile_ms(&gaps, 100),
            gaps_ms: in_turn.iter().map(|gap| gap.as_secs_f64() * 1e3).collect(),
            packets_lost: effects().map(|effect| effect.lost).sum(),
            packets_lost_of_a_stream: effects().map(|it| it.lost_most).max().unwrap_or(0),
            calls_lost: effects().map(|effect| effect.calls_lost).sum(),
            sessions_away: back.len(),
            signalling_p99_ms: percentile_ms(&back, 99),
            writes_acknowledged: writes.acknowledged,
            writes_lost: writes.lost,
            refused_clearly: outcomes.iter().map(|outcome| outcome.refused).sum(),
            unclear: outcomes.iter().map(|outcome| outcome.unclear).sum(),
            normal_again_max_ms: percentile_ms(&normal, 100),
            suspensions: stops.len(),
            stop_p50_ms: percentile_ms(&stops, 50),
            stop_p99_ms: percentile_ms(&stops, 99),
            stop_max_ms: percentile_ms(&stops, 100),
            past_kernel: outcomes.iter().filter_map(|it| it.past_kernel).reduce(Packets::and),
        }
    }
}

fn sorted(mut times: Vec<Duration>) -> Vec<Duration> {
    times.sort_unstable();
    times
}

/// A table for people: what was promised, beside what was measured.
pub(crate) fn table(reports: &[(&Drill, DrillReport)]) -> String {
    let mut out = format!(
        "{:<21}{:>5}{:>6}  {:<31}{:>10}{:>11}\n",
        "drill", "runs", "calls", "what", "promise", "measured"
    );
    let (mut promises, mut missed) = (0, 0);
    for (drill, report) in reports {
        let mut head = format!("{:<21}{:>5}{:>6}", drill.name, report.runs, report.calls);
        for verdict in drill.promises.iter().map(|promise| promise.against(report)) {
            let measure = verdict.promise.measure;
            let word = if verdict.is_met() { "met" } else { "MISSED" };
            promises += 1;
            missed += u32::from(!verdict.is_met());
            // A String takes everything.
            let _never = writeln!(
                out,
                "{head:<32}  {:<31}{:>10}{:>11}  {word}",
                measure.title(),
                measure.shown(verdict.promise.most),
                measure.shown(verdict.measured),
            );
            head.clear();
        }
        if let Some(moved) = report.past_kernel {
            let _never = writeln!(out, "{:<34}{moved}", "");
        }
    }
    let _never = writeln!(out, "{} of {promises} promises met", promises - missed);
    out
}

#[cfg(test)]
mod tests {
    use super::super::DRILLS;
    use super::*;

    fn outcome(gap: u64) -> Outcome {
        let ms = Duration::from_millis;
        let effect = Effect {
            gaps: vec![ms(1), ms(gap)],
            lost: 3,
            lost_most: gap / 50,
            calls_lost: 0,
            back: vec![ms(900)],
        };
        Outcome { effect, ..Outcome::default() }
    }

    #[test]
    fn a_run_counts_with_its_worst_listener() {
        let outcomes = [outcome(150), outcome(250), outcome(200)];
        let report = DrillReport::of("x", 20, &outcomes, Writes::default());
        let gaps = [report.gap_p50_ms, report.gap_p99_ms, report.gap_max_ms];
        assert_eq!(gaps.map(f64::round), [200.0, 250.0, 250.0]);
        assert_eq!((report.packets_lost, report.packets_lost_of_a_stream), (9, 5));
        assert_eq!((report.sessions_away, report.gaps_ms.len()), (3, 3));
    }

    #[test]
    fn the_table_says_which_promises_were_kept() {
        let drill = &DRILLS[0];
        let outcomes = [outcome(150), outcome(350)];
        let writes = Writes { acknowledged: 9, lost: 0 };
        let report = DrillReport::of(drill.name, 20, &outcomes, writes);
        let table = table(&[(drill, report)]);
        let row = |what| table.lines().find(|line| line.contains(what)).unwrap();
        assert!(row("gap p50").ends_with("met") && row("gap p50").starts_with("relay-kill"));
        assert!(row("gap p99").ends_with("300 ms     350 ms  MISSED"), "{table}");
        assert!(row("acknowledged writes lost").ends_with("0          0  met"), "{table}");
        assert!(table.ends_with("3 of 4 promises met\n"), "{table}");
    }
}
