//! Authentic packets through a relay at a steady rate, counted and opened on the other side.

use crate::clock::Clock;
use crate::leg::{Arrival, LegClient};
use anyhow::Result;
use core::time::Duration;
use hdrhistogram::Histogram;
use serde::Serialize;
use std::sync::atomic::{AtomicBool, Ordering};

/// How much to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rate {
    /// Packets in a burst: as many as a video frame has, or 1 for voice.
    pub burst: u32,
    /// Time from one burst to the next.
    pub interval: Duration,
    /// Payload of each packet in bytes.
    pub payload_bytes: usize,
}

/// What became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Report {
    /// Packets sent.
    pub sent: u64,
    /// Packets that arrived, authentic and once.
    pub received: u64,
    /// Packets that arrived and were not, which must be none.
    pub refused: u64,
    /// From the first to the last packet sent, in milliseconds.
    pub elapsed_ms: u64,
    /// Half of the packets took at most so long from when they were due to when they were opened,
    /// in microseconds: a sender that is late counts against the result.
    pub delay_p50_us: u64,
    /// The same for 99 % of the packets.
    pub delay_p99_us: u64,
    /// The same for 99.9 % of the packets.
    pub delay_p999_us: u64,
}

/// Longest delay that is told apart.
const DELAY_US_MAX: u64 = 10_000_000;

impl Report {
    /// Packets that did not arrive.
    pub fn lost(&self) -> u64 {
        self.sent.saturating_sub(self.received)
    }
}

/// Sends from `from` to `to` for `duration`, on an absolute schedule: a late burst does not delay
/// the ones behind it.
///
/// # Errors
/// If a socket fails.
pub fn run(
    from: &mut LegClient,
    to: &mut LegClient,
    rate: Rate,
    duration: Duration,
) -> Result<Report> {
    let done = AtomicBool::new(false);
    let clock = Clock::start();
    to.wait_at_most(Duration::from_millis(200))?;
    std::thread::scope(|threads| {
        let sink = threads.spawn(|| count(to, clock, &done));
        let sent = send(from, clock, rate, duration);
        done.store(true, Ordering::Release);
        let (delays, refused) = sink.join().expect("the counting thread does not panic")?;
        let (sent, elapsed) = sent?;
        let elapsed_ms = u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX);
        Ok(Report {
            sent,
            received: delays.len(),
            refused,
            elapsed_ms,
            delay_p50_us: delays.value_at_quantile(0.5),
            delay_p99_us: delays.value_at_quantile(0.99),
            delay_p999_us: delays.value_at_quantile(0.999),
        })
    })
}

fn send(
    from: &mut LegClient,
    clock: Clock,
    rate: Rate,
    duration: Duration,
) -> Result<(u64, Duration)> {
    let begin = clock.now();
    let mut due = begin;
    let mut sent = 0;
    while due < begin + duration {
        let stamp = micros(due);
        clock.wait_until(due);
        for _ in 0..rate.burst {
            from.send(stamp, rate.payload_bytes)?;
            sent += 1;
        }
        due += rate.interval;
    }
    Ok((sent, clock.now() - begin))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// Counts arrivals until the sender is done and the line has been silent for one wait.
fn count(to: &mut LegClient, clock: Clock, done: &AtomicBool) -> Result<(Histogram<u64>, u64)> {
    let mut delays = Histogram::new_with_bounds(1, DELAY_US_MAX, 3).expect("bounds are in order");
    let mut refused = 0;
    loop {
        let finished = done.load(Ordering::Acquire);
        match to.receive()? {
            Some(Arrival::Media { stamp }) => {
                delays.saturating_record(micros(clock.now()).saturating_sub(stamp));
            }
            Some(Arrival::Refused) => refused += 1,
            Some(Arrival::Stun) => {}
            None if finished => return Ok((delays, refused)),
            None => {}
        }
    }
}
