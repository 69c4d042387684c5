//! Honest terminals while strangers rage: how long they take to sign in, and what a running call
//! loses.

use crate::clock::Clock;
use crate::leg::LegClient;
use crate::signed_in::{LiveCall, SignedIn};
use crate::suspend::exchange;
use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_terminal::Settings;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::time::{Instant, interval_at};

/// Voice: a packet every 20 ms.
const MEDIA_INTERVAL: Duration = Duration::from_millis(20);

/// Makes the device of these settings known to its account.
///
/// # Errors
/// If it cannot sign in.
pub async fn get_known(settings: &Settings) -> Result<()> {
    sign_in_and_out(settings.clone()).await
}

async fn sign_in_and_out(settings: Settings) -> Result<()> {
    let mut signed_in = SignedIn::start(settings).await?;
    leave(&mut signed_in).await
}

async fn leave(signed_in: &mut SignedIn) -> Result<()> {
    signed_in.terminal.sign_out().await?;
    while signed_in.events.next().await.is_some() {}
    Ok(())
}

/// What came of sign-ins.
#[derive(Default)]
pub struct SignIns {
    /// How long each took, with all its attempts.
    pub times: Vec<Duration>,
    /// Attempts that had to be repeated: control was busy, or there was no connection.
    pub repeated: u64,
    /// Sign-ins that came to nothing.
    pub failed: u64,
}

/// Signs in again and again, `every` so often and first after `wait`, until `over`.
///
/// # Errors
/// If a session cannot be left.
pub async fn keep_signing_in(
    settings: Settings,
    (wait, every): (Duration, Duration),
    over: Arc<AtomicBool>,
) -> Result<SignIns> {
    let clock = Clock::start();
    let mut done = SignIns::default();
    let mut ticks = interval_at(Instant::now() + wait, every);
    while !over.load(Ordering::Relaxed) {
        ticks.tick().await;
        let begun = clock.now();
        match SignedIn::start_counting(settings.clone()).await {
            Ok((mut signed_in, again)) => {
                done.times.push(clock.now() - begun);
                done.repeated += again;
                leave(&mut signed_in).await?;
            }
            Err(_) => done.failed += 1,
        }
    }
    Ok(done)
}

/// What a call's media did while it was watched.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Watched {
    /// Packets both sides sent.
    pub sent: u64,
    /// Packets both sides received.
    pub received: u64,
    /// The longest time in which one side received nothing.
    pub gap: Duration,
}

/// Both legs of `call`, bound.
///
/// # Errors
/// If there are no sockets, or the relay does not answer.
pub fn legs_of(call: &LiveCall) -> Result<[LegClient; 2]> {
    let mut legs = [LegClient::new(&call.caller.ready)?, LegClient::new(&call.callee.ready)?];
    for leg in &mut legs {
        leg.bind()?;
    }
    Ok(legs)
}

/// Lets both `legs` of a call send voice until `over`, and counts what arrives. Gives them back.
///
/// # Errors
/// If no media flows, or a socket fails.
pub fn watch(legs: [LegClient; 2], over: &AtomicBool) -> Result<(Watched, [LegClient; 2])> {
    let clock = Clock::start();
    std::thread::scope(|threads| {
        let legs =
            legs.map(|leg| threads.spawn(move || exchange(leg, clock, MEDIA_INTERVAL, over)));
        let [first, second] = legs.map(|leg| leg.join().expect("the leg's thread does not panic"));
        let sides = [first?, second?];
        let mut watched = Watched::default();
        for side in &sides {
            watched.sent += side.sent;
            watched.received += side.arrivals.len() as u64;
            watched.gap = watched.gap.max(longest_gap(&side.arrivals)?);
        }
        Ok((watched, sides.map(|side| side.leg)))
    })
}

fn longest_gap(arrivals: &[Duration]) -> Result<Duration> {
    let gaps = arrivals.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
    match gaps.max() {
        Some(gap) => Ok(gap),
        None => bail!("no media flowed"),
    }
}

/// Bytes of memory that process `pid` holds.
///
/// # Errors
/// If there is no such process.
pub fn resident_bytes(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let status = std::fs::read_to_string(&path).with_context(|| format!("no process {pid}"))?;
    resident(&status).with_context(|| format!("{path} is odd"))
}

fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t  123456 kB\nThreads:\t1\n"), Some(126_418_944));
        assert_eq!(resident("Name:\tx\n"), None);
        assert!(resident_bytes(std::process::id()).unwrap() > 1 << 20);
    }

    #[test]
    fn a_gap_is_between_two_arrivals() {
        let at = |ms: &[u64]| ms.iter().map(|ms| Duration::from_millis(*ms)).collect::<Vec<_>>();
        assert_eq!(longest_gap(&at(&[10, 30, 90, 110])).unwrap(), Duration::from_millis(60));
        assert!(longest_gap(&at(&[10])).is_err());
    }
}
