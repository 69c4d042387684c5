//! `kakehashi-loadgen suspend`: how long media goes on after its sender was suspended.

use super::common::PlatformArgs;
use crate::operator::Operators;
use crate::signed_in::{SignedIn, between, voice_and_camera};
use crate::suspend::{LATE, Report, Run, Watch, farewells, run as suspend_one};
use anyhow::{Context, Result, anyhow, ensure};
use kakehashi_terminal::Settings;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::task::{JoinSet, spawn_blocking};

/// What to measure.
#[derive(clap::Args)]
pub(super) struct SuspendArgs {
    /// Suspensions.
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=100_000))]
    runs: u64,
    /// Calls that go on at the same time, each with two threads of this program.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=100))]
    calls: u64,
    /// Packets each side of a call sends a second: how finely the end is seen.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=1_000))]
    packets_per_second: u32,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What all pairs of terminals share.
struct Shared {
    operators: Operators,
    tenant: String,
    packets_per_second: u32,
    runs: u64,
    begun: AtomicU64,
    done: AtomicU64,
    quiet: bool,
}

/// Suspends again and again, and reports.
pub(super) async fn run(args: SuspendArgs) -> Result<ExitCode> {
    let mut roster = args.platform.roster()?;
    let shared = Arc::new(Shared {
        operators: Operators::start(&args.platform.made.kakehashi()?, &args.platform.made.data)?,
        tenant: args.platform.made.tenant.clone(),
        packets_per_second: args.packets_per_second,
        runs: args.runs,
        begun: AtomicU64::new(0),
        done: AtomicU64::new(0),
        quiet: args.platform.quiet,
    });
    let calls = usize::try_from(args.calls.min(args.runs)).context("fewer calls are enough")?;
    let mut pairs = JoinSet::new();
    for pair in 0..calls {
        let caller = roster.settings(2 * pair).await?;
        let callee = roster.settings(2 * pair + 1).await?;
        let shared = Arc::clone(&shared);
        pairs.spawn(async move {
            let done = keep_suspending(&caller, callee, &shared).await;
            done.with_context(|| format!("the call of {}", caller.login))
        });
    }
    let mut runs = Vec::new();
    while let Some(pair) = pairs.join_next().await {
        runs.extend(pair.context("a pair's task ended early")??);
    }
    ensure!(!runs.is_empty(), "no call was measured");
    conclude(&args, &Report::of(&runs, calls as u64, args.packets_per_second))
}

/// Calls, suspends the caller, activates it, and so on until enough was done.
async fn keep_suspending(
    caller: &Settings,
    callee: Settings,
    shared: &Arc<Shared>,
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    let mut callee = SignedIn::start(callee).await?;
    while shared.begun.fetch_add(1, Ordering::Relaxed) < shared.runs {
        let signed_in = SignedIn::start(caller.clone()).await?;
        let call = between(signed_in, callee, voice_and_camera()).await?;
        let (with, login) = (Arc::clone(shared), caller.login.clone());
        let measured = spawn_blocking(move || {
            let who = (with.tenant.as_str(), login.as_str());
            let packets_per_second = with.packets_per_second;
            let watch = Watch { packets_per_second, ..Watch::default() };
            let run = suspend_one(&call, || with.operators.suspend(who.0, who.1), watch)?;
            Ok::<_, anyhow::Error>((run, call))
        });
        let (run, call) = measured.await.map_err(|_| anyhow!("the call's thread panicked"))??;
        runs.push(run);
        callee = farewells(call).await?;
        let (with, login) = (Arc::clone(shared), caller.login.clone());
        let active = spawn_blocking(move || with.operators.reactivate(&with.tenant, &login));
        active.await.map_err(|_| anyhow!("the command's thread panicked"))??;
        let done = shared.done.fetch_add(1, Ordering::Relaxed) + 1;
        if !shared.quiet && done.is_multiple_of(25) {
            eprintln!("{done} of {} suspensions", shared.runs);
        }
    }
    callee.terminal.sign_out().await?;
    Ok(runs)
}

fn conclude(args: &SuspendArgs, report: &Report) -> Result<ExitCode> {
    println!(
        "{} suspensions in {} live calls, {} packets received\n\
         last packet after the acknowledgement: p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n\
         last packet after the command:         p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n\
         later than {} ms: {}",
        report.runs,
        report.calls,
        report.packets_received,
        report.stop_p50_ms,
        report.stop_p99_ms,
        report.stop_max_ms,
        report.asked_p50_ms,
        report.asked_p99_ms,
        report.asked_max_ms,
        LATE.as_millis(),
        report.late_packets
    );
    args.platform.write(report)?;
    Ok(if report.late_packets == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
