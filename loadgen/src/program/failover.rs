//! `kakehashi-loadgen failover`: relays die under calls, and how long nobody hears anything.

use super::common::PlatformArgs;
use crate::accounts::Roster;
use crate::failover::{Death, Run, run as run_once};
use crate::signed_in::SignedIn;
use crate::suspend::percentile_ms;
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use serde::Serialize;
use std::process::ExitCode;
use tokio::time::{Instant, sleep};

/// How long it is waited before it is looked: longer than control takes to notice that a relay is
/// silent (3 s unless it is told otherwise). A run that begins earlier has both relays die.
const NOTICED_AFTER: Duration = Duration::from_secs(5);

/// How long the platform may take to have all its relays again.
const WHOLE_WITHIN: Duration = Duration::from_secs(60);

/// How often it is looked whether it has.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// What to measure.
#[derive(clap::Args)]
pub(super) struct FailoverArgs {
    /// How often a relay dies.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    runs: u32,
    /// Calls that go on each time, with a voice on either side.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=100))]
    calls: u16,
    /// How it dies.
    #[arg(long, value_enum, default_value_t = Death::Kill)]
    death: Death,
    /// Gives the tenant hitless protection; without this, it gets standard protection.
    #[arg(long)]
    hitless: bool,
    /// What 99 % of the gaps may be, in milliseconds.
    #[arg(long, default_value_t = 300.0)]
    p99_ms: f64,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What came of it, as `--json` writes it.
#[derive(Serialize)]
struct Report {
    runs: u32,
    calls: u64,
    hitless: bool,
    /// Streams that were sent over the relay that died.
    streams_hit: usize,
    gap_p50_ms: f64,
    gap_p99_ms: f64,
    gap_max_ms: f64,
    packets: u64,
    packets_lost: u64,
    calls_lost: u64,
}

/// Lets relays die, and reports.
pub(super) async fn run(args: FailoverArgs) -> Result<ExitCode> {
    let mut roster = args.platform.roster()?;
    let mut pairs = Vec::new();
    for pair in 0..usize::from(args.calls) {
        let caller = SignedIn::start(roster.settings(2 * pair).await?).await?;
        let callee = SignedIn::start(roster.settings(2 * pair + 1).await?).await?;
        pairs.push((caller, callee));
    }
    let protection = if args.hitless { "hitless" } else { "standard" };
    let setting = format!("limits.protection={protection}");
    let set =
        || roster.operate(&["tenant", "policy", &args.platform.made.tenant, "--set", &setting]);
    tokio::task::block_in_place(set)?;
    let relays = connected(&roster)?;
    ensure!(relays >= 2, "the platform needs two relays, and has {relays}");
    let mut all = Run::default();
    for nth in 1..=args.runs {
        let (run, back) = run_once(pairs, args.death).await?;
        pairs = back;
        if !args.platform.quiet {
            let mut gaps = run.gaps.clone();
            gaps.sort_unstable();
            let (p50, most) = (percentile_ms(&gaps, 50), percentile_ms(&gaps, 100));
            let (lost, ended) = (run.packets_lost, run.calls_lost);
            eprintln!(
                "run {nth}: gap {p50:.0} to {most:.0} ms, lost {lost} packets, {ended} calls"
            );
        }
        all.gaps.extend(run.gaps);
        all.packets += run.packets;
        all.packets_lost += run.packets_lost;
        all.calls_lost += run.calls_lost;
        whole(&roster, relays).await?;
    }
    for (caller, callee) in pairs {
        caller.terminal.sign_out().await?;
        callee.terminal.sign_out().await?;
    }
    conclude(&args, all)
}

/// Waits until as many relays as before are connected.
async fn whole(roster: &Roster, relays: usize) -> Result<()> {
    sleep(NOTICED_AFTER).await;
    let begun = Instant::now();
    while connected(roster)? < relays {
        ensure!(begun.elapsed() < WHOLE_WITHIN, "the relay is not back within {WHOLE_WITHIN:?}");
        sleep(LOOK_EVERY).await;
    }
    Ok(())
}

/// How many relays control hears from.
fn connected(roster: &Roster) -> Result<usize> {
    let rows = tokio::task::block_in_place(|| roster.operate(&["relays", "--json"]))?;
    let mut count = 0;
    for row in rows.lines() {
        let row: serde_json::Value = serde_json::from_str(row).context("relays in JSON")?;
        count += usize::from(row["connected"] == true);
    }
    Ok(count)
}

fn conclude(args: &FailoverArgs, mut all: Run) -> Result<ExitCode> {
    all.gaps.sort_unstable();
    let ms = |percent| percentile_ms(&all.gaps, percent);
    let report = Report {
        runs: args.runs,
        calls: u64::from(args.runs) * u64::from(args.calls),
        hitless: args.hitless,
        streams_hit: all.gaps.len(),
        gap_p50_ms: ms(50),
        gap_p99_ms: ms(99),
        gap_max_ms: ms(100),
        packets: all.packets,
        packets_lost: all.packets_lost,
        calls_lost: all.calls_lost,
    };
    println!(
        "{} runs of {} calls, {} streams over the relay that died\n\
         gap:   p50 {:.0} ms, p99 {:.0} ms, max {:.0} ms\n\
         lost:  {} of {} packets, {} calls",
        report.runs,
        args.calls,
        report.streams_hit,
        report.gap_p50_ms,
        report.gap_p99_ms,
        report.gap_max_ms,
        report.packets_lost,
        report.packets,
        report.calls_lost,
    );
    args.platform.write(&report)?;
    ensure!(report.streams_hit > 0, "no stream was sent over the relay that died");
    let whole = !args.hitless || report.packets_lost == 0;
    let good = report.gap_p99_ms <= args.p99_ms && whole && report.calls_lost == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
