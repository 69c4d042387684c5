//! `kakehashi-loadgen media`: one load for some time.

use super::common::{CpuArgs, MixArgs, ReportArgs};
use super::load::Session;
use super::place::PlaceArgs;
use anyhow::{Result, ensure};
use core::time::Duration;
use std::process::ExitCode;

/// How much, for how long.
#[derive(clap::Args)]
pub(super) struct MediaArgs {
    /// Legs, in whole calls.
    #[arg(long, default_value_t = 20)]
    legs: usize,
    /// How long to send, in seconds.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=86_400))]
    seconds: u64,
    /// Also fails if 0.1 % of the packets take longer than this, in milliseconds.
    #[arg(long, value_name = "MS")]
    p999_ms: Option<f64>,
    #[command(flatten)]
    place: PlaceArgs,
    #[command(flatten)]
    mix: MixArgs,
    #[command(flatten)]
    cpu: CpuArgs,
    #[command(flatten)]
    report: ReportArgs,
}

/// Drives it and reports.
pub(super) async fn run(args: MediaArgs) -> Result<ExitCode> {
    let calls = args.legs / args.place.calls_of.max(1);
    ensure!(
        calls > 0 && calls * args.place.calls_of == args.legs,
        "--legs {} are no whole calls of {} legs (--calls-of)",
        args.legs,
        args.place.calls_of
    );
    let mut session = Session::open(&args.place, &args.mix, &args.cpu, calls, args.p999_ms)?;
    ensure!(
        calls <= session.calls_max(),
        "there are accounts for {} calls, {calls} are asked for",
        session.calls_max()
    );
    let duration = Duration::from_secs(args.seconds);
    let driven = session.run(&args.cpu, calls, duration, args.report.quiet).await.map(|_| ());
    let mut report = session.close("media").await;
    driven?;
    let limits: Vec<String> = report.steps.iter().flat_map(|step| step.limits.clone()).collect();
    report.warnings.extend(limits);
    args.report.give(&report)?;
    let passed = report.steps.iter().all(|step| step.failures.is_empty());
    Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
