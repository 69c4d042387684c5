//! Who is compared with whom, at what rate, and what the relay may cost at most.

use crate::flooded::{self, Flooded};
use crate::measure::{Effort, Highest, Measured, Turn, compare, highest, median, ratio};
use crate::medium::Medium;
use crate::subject::{Kind, Starter, Subject};
use crate::workload::{FAN_OUT, VIDEO, VIDEO_SEALED, VOICE, Workload};
use anyhow::{Context, Result};

/// Packets a second at which all are compared as well: what the slowest peer copes with, rtpengine,
/// which takes up to 15 µs for one.
const COMMON_RATE: f64 = 60_000.0;

/// Share of a highest rate at which costs are compared: a busy core that does not overflow. With
/// the floor it is the lower of both highest rates, with a peer each one's own.
const BUSY_SHARE: f64 = 0.7;

/// The same for delays, of the lower of both.
const DELAY_SHARE: f64 = 0.5;

/// A quantity of two subjects.
#[derive(Clone, PartialEq, Debug)]
pub struct Comparison {
    /// Name in files, as `voice_pass_vs_floor`.
    pub name: String,
    /// The highest ratio that is good enough, if there is a target.
    pub target: Option<f64>,
    /// What is compared.
    pub quantity: Quantity,
    /// The relay.
    pub relay: Measured,
    /// What it is compared with.
    pub other: Measured,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Quantity {
    /// CPU time of a delivered packet.
    Cost,
    /// A quantile of the time from send to receipt.
    Delay(f64),
}

impl Quantity {
    fn of(self, turn: &Turn) -> f64 {
        match self {
            Self::Cost => turn.nanos_per_packet(),
            Self::Delay(quantile) => {
                crate::measure::as_f64(turn.outcome.delay.value_at_quantile(quantile))
            }
        }
    }

    /// The median of a side, and its unit.
    pub fn shown(self, side: &Measured) -> (f64, &'static str) {
        let value = median(side.turns.iter().map(|turn| self.of(turn)));
        match self {
            Self::Cost => (value, "ns"),
            Self::Delay(_) => (value / 1e3, "µs"),
        }
    }
}

impl Comparison {
    /// The relay's quantity over the other's: the median of the rounds.
    pub fn ratio(&self) -> f64 {
        ratio(&self.relay, &self.other, |turn| self.quantity.of(turn))
    }

    /// Whether the target is met, if there is one.
    pub fn is_met(&self) -> Option<bool> {
        self.target.map(|target| self.ratio() <= target)
    }
}

/// Everything measured over one medium.
#[derive(Clone, PartialEq, Debug)]
pub struct Results {
    /// Over what.
    pub medium: Medium,
    /// All comparisons.
    pub comparisons: Vec<Comparison>,
    /// The highest rates, each with its workload.
    pub highest: Vec<(Workload, Highest)>,
    /// What floods did, if there were any.
    pub flooded: Vec<Flooded>,
}

impl Results {
    /// Nothing yet.
    pub fn new(medium: Medium) -> Self {
        Self { medium, comparisons: Vec::new(), highest: Vec::new(), flooded: Vec::new() }
    }
}

/// How a run is made.
pub struct Run<'a> {
    /// How subjects are started.
    pub with: Starter<'a>,
    /// How much is measured.
    pub effort: Effort,
    /// How the names begin of what is measured.
    pub only: &'a str,
}

/// A row of comparisons: one workload, one floor, and what the relay may cost.
struct Row {
    name: &'static str,
    floor_name: &'static str,
    workload: Workload,
    floor: Kind,
    floor_target: f64,
    /// Peers that do the same work, and what the relay may cost of them.
    peers: &'static [(Kind, &'static str, f64)],
    with_delay: bool,
}

const ROWS: [Row; 4] = [
    Row {
        name: "voice_pass",
        floor_name: "floor",
        workload: VOICE,
        floor: Kind::FloorSingles,
        floor_target: 1.15,
        peers: &[(Kind::Rtpengine, "rtpengine", 0.38), (Kind::Coturn, "coturn", 0.75)],
        with_delay: true,
    },
    Row {
        name: "train_pass",
        floor_name: "floor",
        workload: VIDEO,
        floor: Kind::FloorTrains,
        floor_target: 1.20,
        peers: &[(Kind::Rtpengine, "rtpengine", 0.10), (Kind::Coturn, "coturn", 0.20)],
        with_delay: true,
    },
    Row {
        name: "train_seal",
        floor_name: "floor",
        workload: VIDEO_SEALED,
        floor: Kind::FloorTrains,
        floor_target: 1.45,
        peers: &[],
        with_delay: false,
    },
    Row {
        name: "fanout20_pass",
        floor_name: "gso_send",
        workload: FAN_OUT,
        floor: Kind::FloorTrains,
        floor_target: 1.10,
        peers: &[],
        with_delay: false,
    },
];

/// The quantiles of the delay, with what the relay may take of the floor's.
const DELAYS: [(&str, f64, f64); 3] = [("p50", 0.5, 1.2), ("p99", 0.99, 1.2), ("p999", 0.999, 2.0)];

/// Measures everything over one medium. To be called on the load's side of it.
///
/// # Errors
/// If a subject does not start or forward, or counts do not add up.
pub fn run(run: &Run<'_>, medium: Medium) -> Result<Results> {
    let mut results = Results::new(medium);
    for row in ROWS.iter().filter(|row| row.name.starts_with(run.only)) {
        eprintln!("{}: {}", medium.name(), row.workload.name);
        measure_row(run, row, &mut results)
            .with_context(|| format!("{} over {}", row.workload.name, medium.name()))?;
    }
    Ok(results)
}

fn measure_row(run: &Run<'_>, row: &Row, results: &mut Results) -> Result<()> {
    let start = |kind| Subject::start(kind, row.workload, run.with);
    let mut floor = start(row.floor)?;
    let mut relay = start(Kind::Relay)?;
    let rates = [highest(&mut floor, run.effort)?, highest(&mut relay, run.effort)?];
    results.highest.extend(rates.map(|rate| (row.workload, rate)));
    if !row.peers.is_empty() {
        against_peers(run, row, (&mut relay, rates[1].rate), &mut floor, results)?;
    }
    let lower = rates[0].rate.min(rates[1].rate);
    against_the_floor(run, row, lower, (&mut relay, &mut floor), results)
}

/// Each at the share of its own highest rate that it would be run at; then all at one rate.
fn against_peers(
    run: &Run<'_>,
    row: &Row,
    (relay, relays_highest): (&mut Subject, f64),
    floor: &mut Subject,
    results: &mut Results,
) -> Result<()> {
    let mut peers = Vec::new();
    for (kind, ..) in row.peers {
        let mut peer = Subject::start(*kind, row.workload, run.with)?;
        let highest = highest(&mut peer, run.effort)?;
        results.highest.push((row.workload, highest));
        peers.push((peer, highest.rate));
    }
    let mut sides = vec![(&mut *relay, relays_highest * BUSY_SHARE)];
    sides.extend(peers.iter_mut().map(|(peer, highest)| (peer, *highest * BUSY_SHARE)));
    let names = row.peers.iter().map(|(_, name, target)| (*name, Some(*target)));
    costs(run, row.name, names, "", &mut sides, results)?;

    let mut sides = vec![(relay, COMMON_RATE), (floor, COMMON_RATE)];
    sides.extend(peers.iter_mut().map(|(peer, _)| (peer, COMMON_RATE)));
    let names = row.peers.iter().map(|(_, name, _)| *name);
    let names = [row.floor_name].into_iter().chain(names).map(|name| (name, None));
    costs(run, row.name, names, "_at_common_rate", &mut sides, results)
}

/// Compares what the first of `sides`, the relay, costs with what the others do, which have names
/// and targets.
fn costs(
    run: &Run<'_>,
    row: &str,
    others: impl Iterator<Item = (&'static str, Option<f64>)>,
    suffix: &str,
    sides: &mut [(&mut Subject, f64)],
    results: &mut Results,
) -> Result<()> {
    let mut measured = compare(sides, run.effort, run.with)?.into_iter();
    let of_relay = measured.next().context("the relay was measured")?;
    results.comparisons.extend(others.zip(measured).map(|((name, target), other)| Comparison {
        name: format!("{row}_vs_{name}{suffix}"),
        target,
        quantity: Quantity::Cost,
        relay: of_relay.clone(),
        other,
    }));
    Ok(())
}

/// What the relay past the kernel is compared with: row, workload, peers with their targets.
type PastKernel = (&'static str, Workload, &'static [(Kind, &'static str, Option<f64>)]);

const PAST_KERNEL: [PastKernel; 2] = [
    (
        "xdp_voice",
        VOICE,
        &[(Kind::Relay, "uring", Some(0.55)), (Kind::Rtpengine, "rtpengine", Some(0.20))],
    ),
    ("xdp_train", VIDEO, &[(Kind::Relay, "uring", None)]),
];

/// Measures the relay past the kernel beside the one through it, and rtpengine, over virtual
/// Ethernet served as a NIC is: each at the share of its own highest rate that it would be run at,
/// and all at one rate; then in a flood. To be called on the load's side.
///
/// # Errors
/// As for [`run`].
pub fn run_past_kernel(run: &Run<'_>) -> Result<Results> {
    let medium = Medium::Nic;
    let mut results = Results::new(medium);
    for (row, workload, others) in PAST_KERNEL.iter().filter(|row| row.0.starts_with(run.only)) {
        eprintln!("{}, past the kernel: {}", medium.name(), workload.name);
        let mut subjects = Vec::new();
        for kind in [Kind::RelayXdp].into_iter().chain(others.iter().map(|other| other.0)) {
            let mut subject = Subject::start(kind, *workload, run.with)?;
            let highest = highest(&mut subject, run.effort)?;
            results.highest.push((*workload, highest));
            subjects.push((subject, highest.rate * BUSY_SHARE));
        }
        let mut sides: Vec<_> = subjects.iter_mut().map(|(it, rate)| (it, *rate)).collect();
        let names = others.iter().map(|(_, name, target)| (*name, *target));
        costs(run, row, names, "", &mut sides, &mut results)?;
        let mut sides: Vec<_> = subjects.iter_mut().map(|(it, _)| (it, COMMON_RATE)).collect();
        let names = others.iter().map(|(_, name, _)| (*name, None));
        costs(run, row, names, "_at_common_rate", &mut sides, &mut results)?;
    }
    if "flood".starts_with(run.only) {
        for kind in [Kind::RelayXdp, Kind::RelayXdpShut] {
            eprintln!("{}, past the kernel: a flood at the {}", medium.name(), kind.name());
            results.flooded.push(flooded::measure(kind, run)?);
        }
    }
    Ok(results)
}

/// Costs and delays at shares of the lower of both highest rates.
fn against_the_floor(
    run: &Run<'_>,
    row: &Row,
    lower: f64,
    (relay, floor): (&mut Subject, &mut Subject),
    results: &mut Results,
) -> Result<()> {
    let rate = lower * BUSY_SHARE;
    let names = [(row.floor_name, Some(row.floor_target))].into_iter();
    let mut sides = [(&mut *relay, rate), (&mut *floor, rate)];
    costs(run, row.name, names, "", &mut sides, results)?;
    if row.with_delay {
        let rate = lower * DELAY_SHARE;
        let sides = compare(&mut [(relay, rate), (floor, rate)], run.effort, run.with)?;
        let [of_relay, of_floor]: [Measured; 2] =
            sides.try_into().ok().context("two subjects were measured")?;
        results.comparisons.extend(DELAYS.map(|(name, quantile, target)| Comparison {
            name: format!("{}_delay_{name}_vs_{}", row.name, row.floor_name),
            target: Some(target),
            quantity: Quantity::Delay(quantile),
            relay: of_relay.clone(),
            other: of_floor.clone(),
        }));
    }
    Ok(())
}
