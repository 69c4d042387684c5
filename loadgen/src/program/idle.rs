//! `kakehashi-loadgen idle`: terminals that only wait, as many as a node takes, and what each
//! costs it.

use super::common::PlatformArgs;
use crate::accounts::Roster;
use crate::at_once::at_once;
use crate::bare::{BareTerminal, Doors, Line, Names};
use crate::clock::Clock;
use crate::cpu::process_time;
use crate::honest::resident_bytes;
use anyhow::Result;
use core::time::Duration;
use kakehashi_terminal::Timing;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::time::sleep;

/// Terminals of one account: as many as may be signed in.
const DEVICES: usize = 8;

/// Terminals from one loopback address: control lets 256 connections in from each, and asks for a
/// proof of the address from half of them on.
const TERMINALS_PER_ADDRESS: usize = 120;

/// Sign-ins at the same time: one hashes, one is on its way. What waits for its hash counts with
/// the tenant as a guess for so long, and more at once would be taken for guessing after some
/// minutes.
const SIGN_INS_AT_ONCE: usize = 2;

/// Resumptions at the same time.
const RESUMPTIONS_AT_ONCE: usize = 200;

/// How often it is said how far this is.
const SAY_EVERY: usize = 1_000;

/// Between two phases: for control to be done with what was.
const SETTLE: Duration = Duration::from_secs(2);

/// What to measure.
#[derive(clap::Args)]
pub(super) struct IdleArgs {
    /// Terminals, eight to an account.
    #[arg(long, default_value_t = 20_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..=20_000))]
    terminals: u64,
    /// How long they wait.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Memory that control may hold, in MiB.
    #[arg(long, default_value_t = 2_048)]
    memory_mib: u64,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What came of it, as `--json` writes it.
#[derive(Serialize)]
struct Report {
    terminals: u64,
    seconds: u64,
    sign_in_s: f64,
    /// How long it took until all were there again after every connection was lost.
    resume_s: f64,
    /// Terminals whose connection stands at the end.
    connected: u64,
    control_before_bytes: u64,
    control_signed_in_bytes: u64,
    control_resumed_bytes: u64,
    control_idle_bytes: u64,
    bytes_per_terminal: u64,
    /// Of one core, while they wait.
    control_idle_cpu_percent: f64,
}

/// Terminals, and the connection each waits on.
struct Waiting {
    terminals: Vec<BareTerminal>,
    lines: Vec<Line>,
}

/// How a terminal gets in.
#[derive(Clone, Copy)]
enum Coming {
    ByPassword,
    ByToken,
}

/// Lets them wait, and reports.
pub(super) async fn run(args: IdleArgs) -> Result<ExitCode> {
    let control = args.platform.control.read()?;
    let pid = args.platform.control.process()?;
    let count = usize::try_from(args.terminals)?;
    let addresses = u16::try_from(count.div_ceil(TERMINALS_PER_ADDRESS))?;
    let doors = Doors::open(&control, addresses, Some(Timing::default().keep_alive))?;
    let doors = Arc::new(doors);
    let mut roster = args.platform.roster()?;
    let terminals = terminals(&args, &mut roster, count).await?;

    let before = resident_bytes(pid)?;
    let clock = Clock::start();
    let waiting = come(&args, terminals, &doors, Coming::ByPassword).await?;
    let sign_in_s = clock.now().as_secs_f64();
    sleep(SETTLE).await;
    let signed_in = resident_bytes(pid)?;

    let Waiting { terminals, lines } = waiting;
    drop(lines);
    let clock = Clock::start();
    let waiting = come(&args, terminals, &doors, Coming::ByToken).await?;
    let resume_s = clock.now().as_secs_f64();
    sleep(SETTLE).await;
    let resumed = resident_bytes(pid)?;

    let used = process_time(pid)?;
    sleep(Duration::from_secs(args.seconds)).await;
    let used = process_time(pid)?.saturating_sub(used);
    let idle = resident_bytes(pid)?;
    let connected = waiting.lines.iter().filter(|line| line.stands()).count();
    doors.close();
    let most = signed_in.max(resumed).max(idle);
    #[expect(clippy::cast_precision_loss, reason = "a part for a person")]
    let control_idle_cpu_percent = 100.0 * used.as_secs_f64() / args.seconds as f64;
    let report = Report {
        terminals: args.terminals,
        seconds: args.seconds,
        sign_in_s,
        resume_s,
        connected: connected as u64,
        control_before_bytes: before,
        control_signed_in_bytes: signed_in,
        control_resumed_bytes: resumed,
        control_idle_bytes: idle,
        bytes_per_terminal: most.saturating_sub(before) / args.terminals,
        control_idle_cpu_percent,
    };
    conclude(&args, &report, most)
}

async fn terminals(
    args: &IdleArgs,
    roster: &mut Roster,
    count: usize,
) -> Result<Vec<BareTerminal>> {
    let mut terminals = Vec::with_capacity(count);
    for account in 0..count.div_ceil(DEVICES) {
        let names = Names::from(&roster.settings(account).await?);
        for _ in terminals.len()..count.min((account + 1) * DEVICES) {
            terminals.push(BareTerminal::new(names.clone())?);
        }
        let made = account + 1;
        if !args.platform.quiet && made.is_multiple_of(SAY_EVERY / 10) {
            eprintln!("{made} of {} accounts are there", count.div_ceil(DEVICES));
        }
    }
    Ok(terminals)
}

/// Lets all of them come in, a few at the same time.
async fn come(
    args: &IdleArgs,
    terminals: Vec<BareTerminal>,
    doors: &Arc<Doors>,
    by: Coming,
) -> Result<Waiting> {
    let (most, what) = match by {
        Coming::ByPassword => (SIGN_INS_AT_ONCE, "signed in"),
        Coming::ByToken => (RESUMPTIONS_AT_ONCE, "there again"),
    };
    let jobs = terminals.into_iter().enumerate().map(|(nth, mut terminal)| {
        let doors = Arc::clone(doors);
        async move {
            let line = match by {
                Coming::ByPassword => terminal.sign_in(&doors, nth).await?,
                Coming::ByToken => terminal.resume(&doors, nth).await?,
            };
            Ok((terminal, line))
        }
    });
    let there = at_once(most, jobs, say(args, what)).await?;
    let (terminals, lines) = there.into_iter().unzip();
    Ok(Waiting { terminals, lines })
}

/// Says now and then how many are done.
fn say(args: &IdleArgs, what: &'static str) -> impl FnMut(usize) {
    let (quiet, all) = (args.platform.quiet, args.terminals);
    move |done| {
        if !quiet && done.is_multiple_of(SAY_EVERY) {
            eprintln!("{done} of {all} are {what}");
        }
    }
}

fn conclude(args: &IdleArgs, report: &Report, most: u64) -> Result<ExitCode> {
    const MIB: u64 = 1 << 20;
    println!(
        "{} terminals: signed in within {:.0} s, all back by token within {:.1} s\n\
         control: {} MiB before, {} MiB signed in, {} MiB resumed, {} MiB after {} s of waiting\n\
         each:    {} bytes\n\
         idle:    {:.1} % of a core, {} of {} connected",
        report.terminals,
        report.sign_in_s,
        report.resume_s,
        report.control_before_bytes / MIB,
        report.control_signed_in_bytes / MIB,
        report.control_resumed_bytes / MIB,
        report.control_idle_bytes / MIB,
        report.seconds,
        report.bytes_per_terminal,
        report.control_idle_cpu_percent,
        report.connected,
        report.terminals,
    );
    args.platform.write(report)?;
    let good = report.connected == report.terminals && most <= args.memory_mib * MIB;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
