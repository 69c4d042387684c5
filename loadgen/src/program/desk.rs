//! `kakehashi-loadgen desk`: many stores, one desk, and how fast calls begin.

use super::common::PlatformArgs;
use crate::at_once::at_once;
use crate::clock::Clock;
use crate::desk::{Floor, Totals, concierge, store};
use crate::signed_in::SignedIn;
use crate::suspend::percentile_ms;
use anyhow::{Context, Result, ensure};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use kakehashi_terminal::Settings;
use serde::Serialize;
use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::{MissedTickBehavior, interval};

/// Sign-ins at the same time: control has few threads for passwords.
const SIGN_INS_AT_ONCE: usize = 8;

/// Terminals from one loopback address: control lets 256 connections in from each.
const TERMINALS_PER_ADDRESS: usize = 200;

/// How often it is said how far this is.
const SAY_EVERY: usize = 100;

/// What to measure.
#[derive(clap::Args)]
pub(super) struct DeskArgs {
    /// Stores that call.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u16).range(1..=5_000))]
    stores: u16,
    /// Concierges at the desk.
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u16).range(1..=200))]
    concierges: u16,
    /// How long stores call.
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// Calls that begin each second.
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rate: u32,
    /// How long both sides of an answered call speak, in milliseconds.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u64).range(100..))]
    talk_ms: u64,
    /// How long a store waits for an answer, in seconds.
    #[arg(long, default_value_t = 20)]
    patience: u64,
    /// What 99 % of the set-ups may take, in milliseconds.
    #[arg(long, default_value_t = 150.0)]
    p99_ms: f64,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What came of it, as `--json` writes it.
#[derive(Serialize)]
struct Report {
    stores: u16,
    concierges: u16,
    seconds: u64,
    calls_per_second: u32,
    sign_ins_per_second: f64,
    setup_p50_ms: f64,
    setup_p99_ms: f64,
    setup_max_ms: f64,
    answered: u64,
    abandoned: u64,
    /// Why, each reason with how often.
    abandoned_because: BTreeMap<String, u64>,
    /// Calls that could not begin, since every store was in one.
    not_begun: u64,
    media_packets: u64,
    media_loss: f64,
    presence_messages: u64,
}

/// Lets them call, and reports.
pub(super) async fn run(args: DeskArgs) -> Result<ExitCode> {
    let (stores, concierges) = (usize::from(args.stores), usize::from(args.concierges));
    let settings = accounts(&args, stores + concierges).await?;
    let clock = Clock::start();
    let mut sessions = sign_in(&args, settings).await?;
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let pace = sessions.len() as f64 / clock.now().as_secs_f64();
    let talk = Duration::from_millis(args.talk_ms);
    let floor = Floor::new(DESK.to_owned(), talk, Duration::from_secs(args.patience));
    let floor = Arc::new(floor);
    let (end, over) = watch::channel(false);
    let mut tasks = JoinSet::new();
    for session in sessions.drain(..concierges) {
        tasks.spawn(concierge(session, Arc::clone(&floor), over.clone()));
    }
    let (free, mut frees) = mpsc::channel(stores);
    let mut turns = Vec::new();
    for (number, session) in sessions.into_iter().enumerate() {
        let (turn, taken) = mpsc::channel(1);
        tasks.spawn(store(session, Arc::clone(&floor), taken, (free.clone(), number)));
        turns.push(turn);
        free.send(number).await.context("it is open")?;
    }
    let mut ticks = interval(Duration::from_secs(1) / args.rate);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let (mut begun, mut not_begun) = (0, 0);
    for tick in 0..u64::from(args.rate) * args.seconds {
        ticks.tick().await;
        match frees.try_recv() {
            Ok(number) => {
                begun += 1;
                turns[number].try_send(()).context("a store's session ended")?;
            }
            Err(_) => not_begun += 1,
        }
        if !args.platform.quiet && tick % (u64::from(args.rate) * 10) == 0 {
            eprintln!("{begun} calls");
        }
    }
    // Every store comes back, or a task fails.
    drop((turns, free));
    while frees.recv().await.is_some() {}
    end.send(true).context("concierges listen")?;
    while let Some(task) = tasks.join_next().await {
        task.context("a terminal's task ended early")??;
    }
    conclude(&args, &report(&args, floor.totals(), pace, not_begun))
}

/// The desk's name.
const DESK: &str = "load";

/// All accounts, concierges first, and the desk.
async fn accounts(args: &DeskArgs, count: usize) -> Result<Vec<Settings>> {
    let mut roster = args.platform.roster()?;
    let local = args.platform.control.control.starts_with("127.");
    let mut all = Vec::with_capacity(count);
    for number in 0..count {
        let mut settings = roster.settings(number).await?;
        if local {
            let host = u8::try_from(number / TERMINALS_PER_ADDRESS + 1)?;
            settings.source = Some(IpAddr::V4(Ipv4Addr::new(127, 0, 1, host)));
        }
        all.push(settings);
        if !args.platform.quiet && (number + 1).is_multiple_of(SAY_EVERY) {
            eprintln!("{} of {count} accounts are there", number + 1);
        }
    }
    let agents = all.iter().take(usize::from(args.concierges));
    let agents: Vec<String> = agents.map(|settings| settings.login.clone()).collect();
    tokio::task::block_in_place(|| roster.desk(DESK, &agents))?;
    Ok(all)
}

/// Signs all of them in, in their order.
async fn sign_in(args: &DeskArgs, settings: Vec<Settings>) -> Result<Vec<SignedIn>> {
    let count = settings.len();
    let say = |there: usize| {
        if !args.platform.quiet && there.is_multiple_of(SAY_EVERY) {
            eprintln!("{there} of {count} are signed in");
        }
    };
    at_once(SIGN_INS_AT_ONCE, settings.into_iter().map(SignedIn::start), say).await
}

fn report(args: &DeskArgs, mut totals: Totals, sign_ins: f64, not_begun: u64) -> Report {
    totals.setups.sort_unstable();
    let ms = |percent| percentile_ms(&totals.setups, percent);
    let sent = totals.received + totals.lost;
    #[expect(clippy::cast_precision_loss, reason = "a ratio for a person")]
    let media_loss = if sent == 0 { 1.0 } else { totals.lost as f64 / sent as f64 };
    Report {
        stores: args.stores,
        concierges: args.concierges,
        seconds: args.seconds,
        calls_per_second: args.rate,
        sign_ins_per_second: sign_ins,
        setup_p50_ms: ms(50),
        setup_p99_ms: ms(99),
        setup_max_ms: ms(100),
        answered: totals.setups.len() as u64,
        abandoned: totals.abandoned,
        abandoned_because: totals.reasons,
        not_begun,
        media_packets: totals.received,
        media_loss,
        presence_messages: totals.presence,
    }
}

fn conclude(args: &DeskArgs, report: &Report) -> Result<ExitCode> {
    println!(
        "{} stores, {} concierges, {} calls/s for {} s\n\
         sign-ins: {:.0}/s\n\
         set-up:   p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n\
         calls:    {} answered, {} abandoned, {} not begun\n\
         voice:    {} packets received, {:.4} % lost\n\
         presence: {} messages to concierges",
        report.stores,
        report.concierges,
        report.calls_per_second,
        report.seconds,
        report.sign_ins_per_second,
        report.setup_p50_ms,
        report.setup_p99_ms,
        report.setup_max_ms,
        report.answered,
        report.abandoned,
        report.not_begun,
        report.media_packets,
        report.media_loss * 100.0,
        report.presence_messages,
    );
    for (why, calls) in &report.abandoned_because {
        println!("          {calls} abandoned: {why}");
    }
    args.platform.write(report)?;
    ensure!(report.answered > 0, "no call was answered");
    let good = report.setup_p99_ms <= args.p99_ms && report.media_loss <= 0.001;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
