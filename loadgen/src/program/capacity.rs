//! `kakehashi-loadgen capacity`: the highest load that passes.

use super::common::{CpuArgs, MixArgs, ReportArgs};
use super::load::Session;
use super::place::PlaceArgs;
use crate::report::{Report, Step};
use crate::search::{Next, Search};
use anyhow::{Context, Result};
use core::time::Duration;
use std::process::ExitCode;

/// What to search.
#[derive(clap::Args)]
pub(super) struct CapacityArgs {
    /// The delay from due to received that 99.9 % of the packets of a step may have, in
    /// milliseconds.
    #[arg(long, value_name = "MS", default_value_t = 10.0)]
    p999_ms: f64,
    /// Calls of the first step.
    #[arg(long, value_name = "CALLS", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(1..))]
    calls_from: u64,
    /// Calls at which the search ends. Through control each needs two sign-ins.
    #[arg(long, value_name = "CALLS", default_value_t = 1_000,
          value_parser = clap::value_parser!(u64).range(1..=50_000))]
    calls_max: u64,
    /// Length of a step in seconds.
    #[arg(long, value_name = "SECONDS", default_value_t = 4,
          value_parser = clap::value_parser!(u64).range(1..=3_600))]
    step_seconds: u64,
    /// The search ends when the load that passed and the one that failed are this close, in
    /// percent.
    #[arg(long, value_name = "PERCENT", default_value_t = 5)]
    gap_percent: u64,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    mix: MixArgs,
    #[command(flatten)]
    cpu: CpuArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Searches and reports.
pub(super) async fn run(args: CapacityArgs) -> Result<ExitCode> {
    let calls_max = usize::try_from(args.calls_max).context("fewer calls are enough")?;
    let bound = Some(args.p999_ms);
    let mut session = Session::open(&args.place, &args.mix, &args.cpu, calls_max, bound)?;
    let most = args.calls_max.min(session.calls_max() as u64);
    let mut search = Search::new(args.calls_from, most, args.gap_percent);
    let searched = steps(&args, &mut session, &mut search).await;
    let mut report = session.close("capacity").await;
    searched?;
    conclude(&mut report, search.next());
    args.report.give(&report)?;
    Ok(if report.headline.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn steps(args: &CapacityArgs, session: &mut Session, search: &mut Search) -> Result<()> {
    let duration = Duration::from_secs(args.step_seconds);
    while let Next::Try(calls) = search.next() {
        let calls = usize::try_from(calls).context("fewer calls are enough")?;
        let step = session.run(&args.cpu, calls, duration, true).await?;
        if !args.report.quiet {
            eprintln!("{}", line(step));
        }
        search.tell(step.failures.is_empty());
    }
    Ok(())
}

/// How a step went, while the search goes on.
fn line(step: &Step) -> String {
    let verdict = match (&step.failures[..], &step.limits[..]) {
        ([], _) => String::from("passed"),
        (failures, []) => failures.join("; "),
        (failures, limits) => {
            format!("{}; at our own limit: {}", failures.join("; "), limits.join("; "))
        }
    };
    format!(
        "{} calls, {} legs, {:.0} packets/s delivered, p99.9 {:.0} us: {verdict}",
        step.calls,
        step.legs,
        step.delivered_per_s(),
        step.delays.p999_us
    )
}

/// The headline of a search that is over, and what is to be known before it is believed.
fn conclude(report: &mut Report, end: Next) {
    let Next::Done { highest: Some(highest), failed_above } = end else {
        report.warnings.push(String::from("no load passed"));
        return;
    };
    let passed = |step: &&Step| step.calls == highest && step.failures.is_empty();
    let ourselves = |step: &&Step| step.calls > highest && !step.limits.is_empty();
    let failed = report.steps.iter().filter(|step| step.calls > highest);
    let nearest = failed.min_by_key(|step| step.calls).filter(ourselves);
    let at_least = !failed_above || nearest.is_some();
    if !failed_above {
        report.warnings.push(String::from(
            "the highest load tried passed: raise --calls-max to find what the relay carries",
        ));
    }
    if let Some(step) = nearest {
        report.warnings.push(format!(
            "this is what the load generator could do, not what the relay carries: with {} calls \
             {}",
            step.calls,
            step.limits.join("; ")
        ));
    }
    if report.setup.relay_cpu_from == "nothing" {
        report.warnings.push(String::from("the relay's CPU was not read: see --relay-pid"));
    }
    report.headline = report.steps.iter().find(passed).map(|step| step.headline(at_least));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::LOSS_PERCENT_MAX;
    use crate::report::tests::{report, step};

    /// A step with so many calls.
    fn tried(calls: u64, passed: bool) -> Step {
        let mut step = step(100, 100);
        (step.calls, step.legs) = (calls, 2 * calls);
        if !passed {
            step.failures.push(format!("more than {LOSS_PERCENT_MAX} % lost"));
        }
        step
    }

    #[test]
    fn a_search_that_ends_at_the_relay_gives_its_capacity() {
        let mut report = report(vec![tried(4, true), tried(8, false), tried(6, true)]);
        conclude(&mut report, Next::Done { highest: Some(6), failed_above: true });
        let headline = report.headline.unwrap();
        assert_eq!((headline.calls, headline.legs, headline.at_least), (6, 12, false));
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
    }

    #[test]
    fn a_search_that_ends_at_ourselves_says_so() {
        let mut own = tried(8, false);
        own.limits.push(String::from("the sink used 99 % of a core"));
        let mut ended = report(vec![tried(4, true), own]);
        conclude(&mut ended, Next::Done { highest: Some(4), failed_above: true });
        assert!(ended.headline.unwrap().at_least);
        assert!(ended.warnings[0].contains("99 %"), "{:?}", ended.warnings);

        let mut ended = report(vec![tried(4, true)]);
        conclude(&mut ended, Next::Done { highest: Some(4), failed_above: false });
        assert!(ended.headline.unwrap().at_least && ended.warnings[0].contains("--calls-max"));

        let mut ended = report(vec![tried(1, false)]);
        conclude(&mut ended, Next::Done { highest: None, failed_above: true });
        assert!(ended.headline.is_none() && !ended.warnings.is_empty());
    }
}
