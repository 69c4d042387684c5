//! What a run found, in one structure that text, JSON and HTML show.

pub mod html;
pub mod json;
mod svg;
pub mod text;

use crate::cpu::CpuTime;
use crate::engine::Load;
use crate::measure::{Delays, Received, Sent};
use crate::mix::Mix;
use crate::self_check::OwnLoad;
use core::time::Duration;
use serde::Serialize;

/// Loss a relay may have and still pass: 0.01 %.
pub const LOSS_PERCENT_MAX: f64 = 0.01;

/// What other processes may use of the relay's core: more would be a tenth of what it is said to
/// take.
const OTHERS_PERCENT_MAX: f64 = 10.0;

/// Everything one call of the program found.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// What was asked: `media` or `capacity`.
    pub kind: &'static str,
    /// On what it ran.
    pub setup: Setup,
    /// What a search found.
    pub headline: Option<Headline>,
    /// One run, or the steps of a search in their sequence.
    pub steps: Vec<Step>,
    /// What is to be known before a figure is believed.
    pub warnings: Vec<String>,
}

/// On what a run ran.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Setup {
    /// This program and its version.
    pub program: &'static str,
    /// Where the calls come from.
    pub calls_from: String,
    /// Legs of each call.
    pub legs_per_call: usize,
    /// What each leg sends.
    pub mix: Mix,
    /// What it was drawn from.
    pub seed: u64,
    /// The kernel.
    pub kernel: String,
    /// Cores of the machine.
    pub cores: usize,
    /// What the relay's processor time is read from.
    pub relay_cpu_from: String,
    /// The delay 99.9 % of the packets may have, in milliseconds, if a bound was set.
    pub p999_ms: Option<f64>,
}

/// The highest load that passed.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct Headline {
    /// Calls.
    pub calls: u64,
    /// Their legs.
    pub legs: u64,
    /// Packets a second the relay received.
    pub received_per_s: f64,
    /// Packets a second it delivered.
    pub delivered_per_s: f64,
    /// Bits a second it delivered, UDP payload.
    pub delivered_bit_per_s: f64,
    /// Its processor time for each delivered packet, in nanoseconds, if it could be read.
    pub cpu_ns_per_packet: Option<f64>,
    /// The delay of 99.9 % of the packets, in microseconds.
    pub p999_us: f64,
    /// The relay may carry more: the search ended at its maximum, or at a limit of our own.
    pub at_least: bool,
}

/// One load for some time.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Step {
    /// Calls that sent.
    pub calls: u64,
    /// Their legs.
    pub legs: u64,
    /// How long, in seconds.
    pub seconds: f64,
    /// All of it together.
    pub totals: Totals,
    /// Delays from when packets were due to when they were received.
    pub delays: Percentiles,
    /// Delays from when they were handed to the kernel.
    pub delays_from_send: Percentiles,
    /// The relay's processor, if it could be read.
    pub relay_cpu: Option<RelayLoad>,
    /// What generator and sink saw of themselves.
    pub own: OwnLoad,
    /// Interval by interval, by when packets were due.
    pub intervals: Vec<Row>,
    /// What was our own limit or our own doing, with its evidence.
    pub limits: Vec<String>,
    /// Why the load did not pass; empty if it did.
    pub failures: Vec<String>,
}

/// Packets and bytes.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Totals {
    /// Packets sent to the relay.
    pub sent: u64,
    /// Bytes of them, UDP payload.
    pub sent_bytes: u64,
    /// System calls they took.
    pub trains: u64,
    /// Packets that were to arrive.
    pub expected: u64,
    /// Packets that arrived, authentic and once.
    pub received: u64,
    /// Bytes of them, UDP payload.
    pub received_bytes: u64,
    /// Packets that did not arrive.
    pub lost: u64,
    /// The same in percent of those expected.
    pub loss_percent: f64,
    /// Packets behind a later one of their stream.
    pub reordered: u64,
    /// Packets that came twice.
    pub duplicates: u64,
    /// Packets that were not authentic, which must be none.
    pub refused: u64,
    /// Packets of the run before, which counted them as lost: they were that late.
    pub stale: u64,
}

/// Delays in microseconds.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Percentiles {
    /// Half of the packets.
    pub p50_us: f64,
    /// 90 %.
    pub p90_us: f64,
    /// 99 %.
    pub p99_us: f64,
    /// 99.9 %.
    pub p999_us: f64,
    /// 99.99 %.
    pub p9999_us: f64,
    /// All of them.
    pub max_us: f64,
}

/// The relay's processor.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct RelayLoad {
    /// Part of one core, in percent.
    pub percent: f64,
    /// Part of its core that other processes used, in percent; that is in the figures too.
    pub others_percent: f64,
    /// Nanoseconds for each delivered packet.
    pub ns_per_packet: f64,
}

/// One interval.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct Row {
    /// Its beginning, in seconds from that of the run.
    pub from_s: f64,
    /// Its length in seconds.
    pub seconds: f64,
    /// Packets due in it that were to arrive.
    pub expected: u64,
    /// Those that arrived.
    pub received: u64,
    /// Their delays.
    pub delays: Percentiles,
    /// The relay's processor in percent of a core, if it could be read.
    pub relay_cpu_percent: Option<f64>,
}

/// What a run left behind, before it is put into figures.
pub struct Run<'a> {
    /// What was put on.
    pub load: &'a Load,
    /// Legs of each call.
    pub legs_per_call: usize,
    /// What the generator saw.
    pub sent: &'a Sent,
    /// What the sink saw.
    pub received: &'a Received,
    /// The relay's processor time at the beginning and after each interval, with when it was read.
    pub cpu: &'a [(Duration, CpuTime)],
    /// Datagrams dropped at our sockets, and at the relay's.
    pub drops: (u64, u64),
    /// The delay 99.9 % of the packets may have.
    pub bound: Option<Duration>,
}

impl Percentiles {
    fn of(delays: &Delays) -> Self {
        Self {
            p50_us: delays.micros_at(0.5),
            p90_us: delays.micros_at(0.9),
            p99_us: delays.micros_at(0.99),
            p999_us: delays.micros_at(0.999),
            p9999_us: delays.micros_at(0.9999),
            max_us: delays.micros_max(),
        }
    }
}

impl Step {
    /// Puts a run into figures.
    pub fn of(run: &Run<'_>) -> Self {
        let mut all = Delays::default();
        for interval in &run.received.intervals {
            all.add(&interval.delays);
        }
        let totals = Totals::of(run.sent, run.received);
        let seconds = run.load.duration.as_secs_f64();
        let percent = |cpu: Duration| 100.0 * cpu.as_secs_f64() / seconds.max(1e-9);
        let own = OwnLoad {
            generator_cpu_percent: percent(run.sent.cpu),
            sink_cpu_percent: percent(run.received.cpu),
            lateness_p99_us: run.sent.lateness.micros_at(0.99),
            lateness_p999_us: run.sent.lateness.micros_at(0.999),
            lateness_max_us: run.sent.lateness.micros_max(),
            socket_drops: run.drops.0,
            relay_socket_drops: run.drops.1,
            held_up: run.sent.held_up,
        };
        let mut step = Self {
            calls: run.load.members.div_ceil(run.legs_per_call.max(1)) as u64,
            legs: run.load.members as u64,
            seconds,
            totals,
            delays: Percentiles::of(&all),
            delays_from_send: Percentiles::of(&run.received.from_send),
            relay_cpu: relay_load(run.cpu, totals.received),
            own,
            intervals: rows(run),
            limits: own.limits(run.bound),
            failures: Vec::new(),
        };
        step.limits.extend(
            step.relay_cpu.filter(|cpu| cpu.others_percent > OTHERS_PERCENT_MAX).map(|cpu| {
                format!(
                    "the relay's core was not its own: other processes used {:.0} % of it, which \
                     stands in its CPU; keep them away",
                    cpu.others_percent
                )
            }),
        );
        step.failures = step.judge(run.bound);
        step
    }

    /// Why this load does not pass.
    fn judge(&self, bound: Option<Duration>) -> Vec<String> {
        let mut failures = Vec::new();
        if self.totals.loss_percent > LOSS_PERCENT_MAX {
            failures.push(format!(
                "{} of {} packets lost ({:.3} %), {} dropped at the relay's full socket",
                self.totals.lost,
                self.totals.expected,
                self.totals.loss_percent,
                self.own.relay_socket_drops
            ));
        }
        if self.totals.refused > 0 {
            failures.push(format!("{} packets were not authentic", self.totals.refused));
        }
        if self.totals.expected == 0 {
            failures.push(String::from("nothing was sent"));
        }
        let bound_us = bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64() * 1e6);
        if self.delays.p999_us > bound_us {
            failures.push(format!(
                "0.1 % of the packets took more than {:.0} us, {:.0} are allowed",
                self.delays.p999_us, bound_us
            ));
        }
        failures
    }

    /// Packets a second that were to be delivered.
    pub fn expected_per_s(&self) -> f64 {
        self.totals.expected as f64 / self.seconds.max(1e-9)
    }

    /// Packets a second that were delivered.
    pub fn delivered_per_s(&self) -> f64 {
        self.totals.received as f64 / self.seconds.max(1e-9)
    }

    /// Bits a second that were delivered, UDP payload.
    pub fn delivered_bit_per_s(&self) -> f64 {
        8.0 * self.totals.received_bytes as f64 / self.seconds.max(1e-9)
    }

    /// This step as what a search found.
    pub fn headline(&self, at_least: bool) -> Headline {
        Headline {
            calls: self.calls,
            legs: self.legs,
            received_per_s: self.totals.sent as f64 / self.seconds.max(1e-9),
            delivered_per_s: self.delivered_per_s(),
            delivered_bit_per_s: self.delivered_bit_per_s(),
            cpu_ns_per_packet: self.relay_cpu.map(|cpu| cpu.ns_per_packet),
            p999_us: self.delays.p999_us,
            at_least,
        }
    }
}

impl Totals {
    fn of(sent: &Sent, received: &Received) -> Self {
        let mut totals = Self {
            reordered: received.odd.reordered,
            duplicates: received.odd.duplicates,
            refused: received.odd.refused,
            stale: received.odd.stale,
            ..Self::default()
        };
        for interval in &sent.intervals {
            totals.sent += interval.packets;
            totals.sent_bytes += interval.bytes;
            totals.trains += interval.trains;
            totals.expected += interval.expected;
        }
        for interval in &received.intervals {
            totals.received += interval.packets;
            totals.received_bytes += interval.bytes;
        }
        totals.lost = totals.expected.saturating_sub(totals.received);
        totals.loss_percent = 100.0 * totals.lost as f64 / (totals.expected as f64).max(1.0);
        totals
    }
}

/// The relay's processor from the first reading to the last.
fn relay_load(cpu: &[(Duration, CpuTime)], delivered: u64) -> Option<RelayLoad> {
    let ((begin, first), (end, last)) = (cpu.first()?, cpu.last()?);
    let used = last.since(first);
    let wall = end.saturating_sub(*begin).as_secs_f64();
    Some(RelayLoad {
        percent: 100.0 * used.as_secs_f64() / wall.max(1e-9),
        others_percent: 100.0 * last.others_since(first).as_secs_f64() / wall.max(1e-9),
        ns_per_packet: used.as_secs_f64() * 1e9 / (delivered as f64).max(1.0),
    })
}

fn rows(run: &Run<'_>) -> Vec<Row> {
    let length = run.load.intervals.length();
    let rows = run.sent.intervals.iter().zip(&run.received.intervals).enumerate();
    rows.map(|(at, (sent, received))| {
        let begin = length.mul_f64(at as f64);
        let cpu = run.cpu.get(at..at + 2);
        Row {
            from_s: begin.as_secs_f64(),
            seconds: length.min(run.load.duration.saturating_sub(begin)).as_secs_f64(),
            expected: sent.expected,
            received: received.packets,
            delays: Percentiles::of(&received.delays),
            relay_cpu_percent: cpu.and_then(|pair| relay_load(pair, 1)).map(|load| load.percent),
        }
    })
    .collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::measure::{Intervals, Oddities, ReceivedInterval, SentInterval};

    pub(crate) const MIX: Mix = Mix {
        voice_percent: 100,
        camera_percent: 0,
        screen_percent: 0,
        silence_percent: 0,
        camera_kbps: 0,
        leave_after_s: 0,
    };

    /// A run of two seconds with two legs, in which `received` of `expected` packets arrived.
    pub(crate) fn step_with(expected: u64, received: u64, odd: Oddities) -> Step {
        let second = Duration::from_secs(1);
        let intervals = Intervals::covering(2 * second, second);
        let load = Load { members: 2, mix: MIX, seed: 1, run: 1, duration: 2 * second, intervals };
        let packets = expected / 2;
        let half = SentInterval { packets, expected: packets, bytes: 100 * packets, trains: 1 };
        let sent = Sent {
            intervals: vec![half; 2],
            lateness: Delays::default(),
            held_up: 0,
            cpu: second / 10,
        };
        let mut arrived = vec![ReceivedInterval::default(); 2];
        for at in 0..received {
            let interval = &mut arrived[usize::from(at >= packets)];
            interval.packets += 1;
            interval.bytes += 100;
            interval.delays.record(Duration::from_micros(50 + at));
        }
        let received =
            Received { intervals: arrived, from_send: Delays::default(), odd, cpu: second / 5 };
        let time = |ms| CpuTime { process: Duration::from_millis(ms), core: None };
        let cpu = [(Duration::ZERO, time(10)), (second, time(110)), (2 * second, time(410))];
        let bound = Some(Duration::from_millis(1));
        let (sent, received) = (&sent, &received);
        let drops = (0, 0);
        Step::of(&Run { load: &load, legs_per_call: 2, sent, received, cpu: &cpu, drops, bound })
    }

    pub(crate) fn step(expected: u64, received: u64) -> Step {
        step_with(expected, received, Oddities::default())
    }

    pub(crate) fn report(steps: Vec<Step>) -> Report {
        Report {
            kind: if steps.len() == 1 { "media" } else { "capacity" },
            setup: Setup {
                program: "kakehashi-loadgen",
                calls_from: String::from("orders"),
                legs_per_call: 2,
                mix: MIX,
                seed: 1,
                kernel: String::from("6.1"),
                cores: 2,
                relay_cpu_from: String::from("process 1"),
                p999_ms: None,
            },
            headline: None,
            steps,
            warnings: Vec::new(),
        }
    }

    #[test]
    fn a_run_is_put_into_figures() {
        let step = step(1_000, 1_000);
        assert_eq!((step.calls, step.legs, step.seconds), (1, 2, 2.0));
        assert_eq!((step.totals.sent, step.totals.received, step.totals.lost), (1_000, 1_000, 0));
        assert_eq!(step.delivered_per_s(), 500.0);
        assert_eq!(step.delivered_bit_per_s(), 400_000.0);
        // 400 ms of processor time in 2 s, for 1,000 packets.
        let cpu = step.relay_cpu.unwrap();
        assert!((cpu.percent - 20.0).abs() < 1e-6 && (cpu.ns_per_packet - 4e5).abs() < 1e-3);
        let percents = step.intervals.iter().map(|row| row.relay_cpu_percent.unwrap().round());
        assert_eq!(percents.collect::<Vec<_>>(), [10.0, 30.0]);
        assert!((step.own.generator_cpu_percent - 5.0).abs() < 1e-6);
        assert!((step.own.sink_cpu_percent - 10.0).abs() < 1e-6);
        assert_eq!((step.failures.len(), step.limits.len()), (1, 0), "p99.9 is over 1 ms");
        assert!(step.intervals[1].delays.p50_us > step.intervals[0].delays.p50_us);
    }

    #[test]
    fn what_does_not_pass_says_why() {
        assert!(step(100, 100).failures.is_empty());
        assert!(step(100, 99).failures[0].contains("1 of 100 packets lost"));
        assert!(step(0, 0).failures[0].contains("nothing was sent"));
        let odd = Oddities { refused: 2, ..Oddities::default() };
        assert!(step_with(100, 100, odd).failures[0].contains("2 packets were not authentic"));
        // 1 of 20,000 is 0.005 %.
        let one = step(20_000, 19_999);
        assert!(!one.failures.iter().any(|failure| failure.contains("lost")), "{one:?}");
    }
}
