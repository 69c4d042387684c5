//! `kakehashi-loadgen storm`: strangers sign in without end; who else gets in, and how fast.

use super::common::PlatformArgs;
use crate::cpu::socket_drops;
use crate::honest::{SignIns, Watched, get_known, keep_signing_in, legs_of, resident_bytes, watch};
use crate::leg::LegClient;
use crate::signed_in::call;
use crate::storm::{Counts, Storm, Strangers, read};
use crate::suspend::percentile_ms;
use anyhow::{Context, Result, anyhow, ensure};
use core::time::Duration;
use kakehashi_terminal::Settings;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::{JoinSet, spawn_blocking};

/// How often control's memory is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// How often each honest account signs in.
const HONEST_EVERY: Duration = Duration::from_secs(1);

/// It is said how far this is after so many looks.
const SAY_EVERY: u128 = 25;

/// How long the call is watched before the storm.
const BEFORE: Duration = Duration::from_secs(3);

/// What to measure.
#[derive(clap::Args)]
pub(super) struct StormArgs {
    /// How long strangers rage.
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    seconds: u64,
    /// From how many loopback addresses.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=4_096))]
    addresses: u16,
    /// Connections they hold at the same time.
    #[arg(long, default_value_t = 2_000, value_parser = clap::value_parser!(u64).range(1..=20_000))]
    connections: u64,
    /// Honest accounts that sign in beside them, once a second each, from devices they know.
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    honest: u64,
    /// What 99 % of the honest sign-ins may take, in milliseconds.
    #[arg(long, default_value_t = 1_000.0)]
    p99_ms: f64,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What came of it, as `--json` writes it.
#[derive(Serialize)]
struct Report {
    seconds: u64,
    addresses: u16,
    connections: u64,
    stranger_connections: u64,
    stranger_sign_ins: u64,
    stranger_sign_ins_per_second: f64,
    stranger_wrong: u64,
    stranger_busy: u64,
    stranger_turned_away: u64,
    honest_sign_ins: u64,
    honest_failed: u64,
    honest_repeated: u64,
    honest_p50_ms: f64,
    honest_p99_ms: f64,
    honest_max_ms: f64,
    control_before_bytes: u64,
    control_most_bytes: u64,
    /// Datagrams that did not fit into the queue of control's socket.
    control_socket_drops: u64,
    media_sent: u64,
    media_received: u64,
    media_gap_before_ms: f64,
    media_gap_ms: f64,
}

/// What was seen of control.
struct Control {
    /// Bytes of memory before.
    before: u64,
    /// And at most.
    most: u64,
    drops: u64,
}

/// Lets them rage, and reports.
pub(super) async fn run(args: StormArgs) -> Result<ExitCode> {
    let control = args.platform.control.read()?;
    let pid = args.platform.control.process()?;
    let mut roster = args.platform.roster()?;
    let pair = (roster.settings(0).await?, roster.settings(1).await?);
    let mut honest = Vec::new();
    for number in 0..usize::try_from(args.honest)? {
        let settings = roster.settings(number + 2).await?;
        get_known(&settings).await?;
        honest.push(settings);
    }
    let call = call(pair.0, pair.1).await?;
    let legs = tokio::task::block_in_place(|| legs_of(&call))?;
    let (quiet, legs, ()) = watch_while(legs, tokio::time::sleep(BEFORE)).await?;

    let logins = honest.iter().map(|settings| settings.login.clone()).collect();
    let (tenant, addresses) = (args.platform.made.tenant.clone(), args.addresses);
    let connections = usize::try_from(args.connections)?;
    let port = args.platform.control.port()?;
    let (before, drops) = (resident_bytes(pid)?, socket_drops(&[port]));
    let storm = Storm::start(Strangers { control, tenant, logins, addresses, connections })?;
    let during = during(honest, (pid, args.platform.quiet), Duration::from_secs(args.seconds));
    let (media, _legs, during) = watch_while(legs, during).await?;
    let (honest, most) = during?;
    let strangers = storm.stop()?;
    let drops = socket_drops(&[port]).saturating_sub(drops);
    let control = Control { before, most, drops };
    let report = report(&args, &strangers, honest, [quiet, media], control);
    conclude(&args, &report)
}

/// Watches the call's media until `work` is done.
async fn watch_while<T>(
    legs: [LegClient; 2],
    work: impl Future<Output = T>,
) -> Result<(Watched, [LegClient; 2], T)> {
    let over = Arc::new(AtomicBool::new(false));
    let ends = Arc::clone(&over);
    let watching = spawn_blocking(move || watch(legs, &ends));
    let done = work.await;
    over.store(true, Ordering::Release);
    let watched = watching.await.map_err(|_| anyhow!("the call's thread panicked"))?;
    let (watched, legs) = watched?;
    Ok((watched, legs, done))
}

/// Honest sign-ins and control's memory for so long.
async fn during(
    honest: Vec<Settings>,
    (pid, quiet): (u32, bool),
    time: Duration,
) -> Result<(SignIns, u64)> {
    let over = Arc::new(AtomicBool::new(false));
    let mut tasks = JoinSet::new();
    // They have nothing to do with each other: at one moment they would wait for each other.
    let apart = HONEST_EVERY / u32::try_from(honest.len().max(1))?;
    for (settings, nth) in honest.into_iter().zip(0..) {
        let when = (apart * nth, HONEST_EVERY);
        tasks.spawn(keep_signing_in(settings, when, Arc::clone(&over)));
    }
    let mut most = 0;
    let looks = time.as_millis().div_ceil(LOOK_EVERY.as_millis());
    for nth in 1..=looks {
        tokio::time::sleep(LOOK_EVERY).await;
        most = most.max(resident_bytes(pid).context("control is gone")?);
        if !quiet && nth.is_multiple_of(SAY_EVERY) {
            eprintln!("{nth} of {looks} looks: control holds {} MiB at most", most >> 20);
        }
    }
    over.store(true, Ordering::Relaxed);
    let mut all = SignIns::default();
    while let Some(task) = tasks.join_next().await {
        let SignIns { times, repeated, failed } =
            task.context("an honest terminal's task ended early")??;
        all.times.extend(times);
        all.repeated += repeated;
        all.failed += failed;
    }
    ensure!(!all.times.is_empty(), "no honest terminal got in");
    all.times.sort_unstable();
    Ok((all, most))
}

fn report(
    args: &StormArgs,
    strangers: &Counts,
    honest: SignIns,
    [quiet, media]: [Watched; 2],
    control: Control,
) -> Report {
    let SignIns { times, repeated, failed } = honest;
    let ms = |time: Duration| time.as_secs_f64() * 1e3;
    #[expect(clippy::cast_precision_loss, reason = "a rate for a person")]
    let per_second = strangers.answered() as f64 / args.seconds as f64;
    Report {
        seconds: args.seconds,
        addresses: args.addresses,
        connections: args.connections,
        stranger_connections: read(&strangers.connected),
        stranger_sign_ins: strangers.answered(),
        stranger_sign_ins_per_second: per_second,
        stranger_wrong: read(&strangers.wrong),
        stranger_busy: read(&strangers.busy),
        stranger_turned_away: read(&strangers.turned_away),
        honest_sign_ins: times.len() as u64,
        honest_failed: failed,
        honest_repeated: repeated,
        honest_p50_ms: percentile_ms(&times, 50),
        honest_p99_ms: percentile_ms(&times, 99),
        honest_max_ms: percentile_ms(&times, 100),
        control_before_bytes: control.before,
        control_most_bytes: control.most,
        control_socket_drops: control.drops,
        media_sent: media.sent,
        media_received: media.received,
        media_gap_before_ms: ms(quiet.gap),
        media_gap_ms: ms(media.gap),
    }
}

fn conclude(args: &StormArgs, report: &Report) -> Result<ExitCode> {
    const MIB: u64 = 1 << 20;
    println!(
        "{} s of strangers from {} addresses, {} connections at a time\n\
         strangers: {} sign-ins ({:.0}/s) over {} connections; {} wrong, {} busy; {} connections \
         turned away\n\
         honest:    {} sign-ins, {} failed, {} attempts repeated; \
         p50 {:.1} ms, p99 {:.1} ms, max {:.1} ms\n\
         control:   {} MiB before, {} MiB at most, {} datagrams dropped at its socket\n\
         a call:    {} of {} packets, longest gap {:.1} ms (before: {:.1} ms)",
        report.seconds,
        report.addresses,
        report.connections,
        report.stranger_sign_ins,
        report.stranger_sign_ins_per_second,
        report.stranger_connections,
        report.stranger_wrong,
        report.stranger_busy,
        report.stranger_turned_away,
        report.honest_sign_ins,
        report.honest_failed,
        report.honest_repeated,
        report.honest_p50_ms,
        report.honest_p99_ms,
        report.honest_max_ms,
        report.control_before_bytes / MIB,
        report.control_most_bytes / MIB,
        report.control_socket_drops,
        report.media_received,
        report.media_sent,
        report.media_gap_ms,
        report.media_gap_before_ms,
    );
    args.platform.write(report)?;
    // The last packets may be under way when the watch ends.
    let lost = report.media_sent.saturating_sub(report.media_received + 4);
    let good = report.honest_failed == 0 && report.honest_p99_ms <= args.p99_ms && lost == 0;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
