//! How long media goes on after its sender was suspended, measured where it arrives.

use crate::clock::Clock;
use crate::leg::{Arrival, LegClient};
use crate::signed_in::{LiveCall, Side};
use anyhow::{Context, Result, ensure};
use core::net::{IpAddr, Ipv4Addr};
use core::time::Duration;
use kakehashi_terminal::TerminalError;
use kakehashi_wire::terminal::{CallEnd, SessionEnd};
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::ScopedJoinHandle;

/// How long media flows before the command.
const BEFORE: Duration = Duration::from_millis(200);

/// What arrives later than this after the acknowledgement is late.
pub const LATE: Duration = Duration::from_millis(500);

/// In the last moments before the command, packets must have arrived: a call that was silent
/// anyway proves nothing.
const FLOWING: Duration = Duration::from_millis(100);

/// Payload of a packet in bytes: voice.
const PAYLOAD_BYTES: usize = 160;

/// The shortest wait of a socket; the kernel takes 0 for ever.
const WAIT_MIN: Duration = Duration::from_millis(1);

/// How a suspension is watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Watch {
    /// Where both sides send from.
    pub local: IpAddr,
    /// Packets each side sends a second.
    pub packets_per_second: u32,
    /// How long both go on sending and listening after the command.
    pub after: Duration,
}

impl Default for Watch {
    fn default() -> Self {
        let local = Ipv4Addr::LOCALHOST.into();
        Self { local, packets_per_second: 200, after: Duration::from_secs(1) }
    }
}

/// One suspension.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Run {
    /// From the acknowledged command to the last packet that either side received; 0 if none came
    /// after it.
    pub stop: Duration,
    /// From the command to that packet.
    pub asked: Duration,
    /// Packets that came more than [`LATE`] after the acknowledgement.
    pub late: u64,
    /// Packets both sides received in all.
    pub received: u64,
}

/// All of them, as `--json` writes it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// Suspensions.
    pub runs: u64,
    /// Calls that went on at the same time.
    pub calls: u64,
    /// Packets each side of each call sent a second.
    pub packets_per_second: u32,
    /// From the acknowledged command to the last packet at a receiver, of half of the runs at most.
    pub stop_p50_ms: f64,
    /// The same, of 99 % of the runs.
    pub stop_p99_ms: f64,
    /// The same, of all.
    pub stop_max_ms: f64,
    /// From the command, before it is acknowledged, of half of the runs at most.
    pub asked_p50_ms: f64,
    /// The same, of 99 % of the runs.
    pub asked_p99_ms: f64,
    /// The same, of all.
    pub asked_max_ms: f64,
    /// Packets that came later than 500 ms after the acknowledgement, which must be none.
    pub late_packets: u64,
    /// Packets received in all.
    pub packets_received: u64,
}

impl Report {
    /// The report of at least one run.
    pub fn of(runs: &[Run], calls: u64, packets_per_second: u32) -> Self {
        let sorted = |time: fn(&Run) -> Duration| {
            let mut times: Vec<Duration> = runs.iter().map(time).collect();
            times.sort_unstable();
            times
        };
        let (stop, asked) = (sorted(|run| run.stop), sorted(|run| run.asked));
        Self {
            runs: runs.len() as u64,
            calls,
            packets_per_second,
            stop_p50_ms: percentile_ms(&stop, 50),
            stop_p99_ms: percentile_ms(&stop, 99),
            stop_max_ms: percentile_ms(&stop, 100),
            asked_p50_ms: percentile_ms(&asked, 50),
            asked_p99_ms: percentile_ms(&asked, 99),
            asked_max_ms: percentile_ms(&asked, 100),
            late_packets: runs.iter().map(|run| run.late).sum(),
            packets_received: runs.iter().map(|run| run.received).sum(),
        }
    }
}

/// The least of `sorted` that so many percent do not exceed, in milliseconds.
pub fn percentile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(rank).map_or(0.0, |time| time.as_secs_f64() * 1e3)
}

/// Lets both sides of `call` send over all its relays, as terminals do that care for nothing they
/// are told; has the caller suspended, and counts what still arrives. The call and the caller's
/// session are over then.
///
/// # Errors
/// If no media flowed, the command fails, or a socket does.
pub fn run(call: &LiveCall, suspend: impl FnOnce() -> Result<()>, watch: Watch) -> Result<Run> {
    let clock = Clock::start();
    let over = AtomicBool::new(false);
    let interval = Duration::from_secs(1) / watch.packets_per_second.max(1);
    let sides = [legs(&call.caller, watch.local)?, legs(&call.callee, watch.local)?];
    std::thread::scope(|threads| {
        let over = &over;
        let exchanging = |leg| threads.spawn(move || exchange(leg, clock, interval, over));
        let sides = sides.map(|legs| legs.into_iter().map(&exchanging).collect::<Vec<_>>());
        // At no fixed time between two packets.
        let phase = interval.mul_f64(rand::random::<f64>());
        clock.wait_until(clock.now() + BEFORE + phase);
        let asked = clock.now();
        let done = suspend();
        let acknowledged = clock.now();
        clock.wait_until(acknowledged + if done.is_ok() { watch.after } else { Duration::ZERO });
        over.store(true, Ordering::Release);
        let [to_caller, to_callee] = sides.map(|legs| {
            let leg = |leg: ScopedJoinHandle<'_, Result<Exchanged>>| {
                Ok(leg.join().expect("the leg's thread does not panic")?.arrivals)
            };
            let arrivals = legs.into_iter().map(leg).collect::<Result<Vec<_>>>();
            arrivals.map(|arrivals| arrivals.concat())
        });
        done?;
        judge(&[to_caller?, to_callee?], asked, acknowledged)
    })
}

/// A side's legs at all relays of its call, bound.
fn legs(side: &Side, local: IpAddr) -> Result<Vec<LegClient>> {
    let leg = |path| {
        let mut leg = LegClient::over(&side.ready, path, local)?;
        leg.bind().map(|()| leg)
    };
    side.ready.paths.iter().map(leg).collect()
}

/// What the arrivals at both sides say.
fn judge(arrivals: &[Vec<Duration>; 2], asked: Duration, acknowledged: Duration) -> Result<Run> {
    let lately = asked.saturating_sub(FLOWING)..=asked;
    let flowed = |side: &Vec<Duration>| side.iter().any(|at| lately.contains(at));
    ensure!(arrivals.iter().all(flowed), "no media flowed before the suspension");
    let all = || arrivals.iter().flatten().copied();
    let last = all().max().unwrap_or_default();
    Ok(Run {
        stop: last.saturating_sub(acknowledged),
        asked: last.saturating_sub(asked),
        late: all().filter(|at| *at > acknowledged + LATE).count() as u64,
        received: all().count() as u64,
    })
}

/// What one side of a call sent, and when it received something.
pub(crate) struct Exchanged {
    /// Its leg again.
    pub(crate) leg: LegClient,
    /// Packets it sent.
    pub(crate) sent: u64,
    /// When media of the other side arrived.
    pub(crate) arrivals: Vec<Duration>,
}

/// Sends on schedule and notes when media of the other side arrives, until `over`.
pub(crate) fn exchange(
    leg: LegClient,
    clock: Clock,
    interval: Duration,
    over: &AtomicBool,
) -> Result<Exchanged> {
    let mut exchanged = Exchanged { leg, sent: 0, arrivals: Vec::new() };
    let mut due = clock.now();
    while !over.load(Ordering::Acquire) {
        if clock.now() >= due {
            exchanged.leg.send(0, PAYLOAD_BYTES)?;
            exchanged.sent += 1;
            due += interval;
        }
        exchanged.leg.wait_at_most(due.saturating_sub(clock.now()).max(WAIT_MIN))?;
        if let Some(Arrival::Media { .. }) = exchanged.leg.receive()? {
            exchanged.arrivals.push(clock.now());
        }
    }
    Ok(exchanged)
}

/// Sees to it that both sides were told what they should be; gives the called side back.
///
/// # Errors
/// If they were told something else.
pub async fn farewells(call: LiveCall) -> Result<crate::signed_in::SignedIn> {
    let why = call.caller.session_ended().await?;
    let suspended =
        matches!(why, Some(TerminalError::SessionEnded { reason: SessionEnd::Suspended }));
    ensure!(suspended, "the suspended terminal was told {why:?}");
    let (callee, reason) = call.callee.ended().await.context("the called side")?;
    ensure!(reason == CallEnd::PeerLost, "the other side was told {reason:?}");
    Ok(callee)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn the_last_arrival_at_either_side_counts() {
        let sides = [vec![ms(950), ms(1_004)], vec![ms(960), ms(1_700)]];
        let run = judge(&sides, ms(1_000), ms(1_010)).unwrap();
        assert_eq!((run.stop, run.asked), (ms(690), ms(700)));
        assert_eq!((run.late, run.received), (1, 4));
        let sides = [vec![ms(950)], vec![ms(960)]];
        let run = judge(&sides, ms(1_000), ms(1_010)).unwrap();
        assert_eq!((run.stop, run.asked, run.late), (ms(0), ms(0), 0));
    }

    #[test]
    fn a_call_that_was_silent_anyway_proves_nothing() {
        let sides = [vec![ms(950)], vec![ms(800)]];
        assert!(judge(&sides, ms(1_000), ms(1_010)).is_err());
    }

    #[test]
    fn percentiles_are_of_runs() {
        let run = |stop| Run { stop: ms(stop), asked: ms(stop + 1), late: 0, received: 2 };
        let runs: Vec<Run> = (1..=200).map(run).collect();
        let report = Report::of(&runs, 10, 200);
        let stops = [report.stop_p50_ms, report.stop_p99_ms, report.stop_max_ms];
        assert_eq!(stops.map(|ms| ms.round() as u64), [100, 198, 200]);
        assert_eq!((report.asked_max_ms.round() as u64, report.packets_received), (201, 400));
    }
}
