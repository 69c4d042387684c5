//! Drills: something happens to the sites again and again while calls go on, and what the calls'
//! listeners notice is measured.

mod accounts;
mod clock_jump;
mod exercise;
mod fault;
mod heading;
mod plot;
mod promise;
mod quorum;
mod report;
mod suspension;
mod upgrade;
mod writers;

pub(crate) use exercise::Exercise;
pub(crate) use heading::heading;
pub(crate) use plot::plot;
pub(crate) use report::{DrillReport, table};

use crate::configs::LEG_LIFETIME;
use core::time::Duration;
use fault::{Fault, Victim};
use promise::{Measure, Promise};

/// One drill of the list.
pub(crate) struct Drill {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What happens.
    course: Course,
    /// Whether its calls are sent over two relays all the time.
    hitless: bool,
    /// How often, when the figures are to count.
    pub(crate) runs: u32,
    /// How often in a short version.
    pub(crate) runs_quick: u32,
    /// What it must show.
    promises: &'static [Promise],
}

/// How a drill goes.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Course {
    /// Something breaks and is mended when it has been watched for so long.
    Fault(Fault, Duration),
    /// Every process of a site is started again, one after the other.
    RestartAll,
    /// Every process of all sites is, as an operator upgrades them.
    RollingUpgrade,
    /// More than half of the store's members stop for a time.
    QuorumLost,
    /// The wall clock of a node jumps, and comes back.
    ClockJump,
    /// An account is suspended at one site while its call's relays are at others.
    Suspension {
        /// Whether one of those sites is cut off from the other sites, and not from terminals.
        partition: bool,
    },
}

/// What is started again is down for so long.
const DOWN: Duration = Duration::from_millis(1_500);

/// What stands still or is cut off is so for so long: longer than everybody's patience.
const AWAY: Duration = Duration::from_secs(4);

/// Lost packets are watched for so long.
const LOSSY: Duration = Duration::from_secs(5);

/// The longest a suspended leg may be heard when its relay cannot be told: until the leg ends, with
/// a second for what is on its way.
const PARTITIONED_MS: f64 = LEG_LIFETIME.as_millis() as f64 + 1_000.0;

const NO_CALL: Promise = Measure::CallsLost.most(0.0);
const NO_WRITE: Promise = Measure::WritesLost.most(0.0);
const NO_PACKET: Promise = Measure::PacketsLost.most(0.0);
const GAP_P50: Promise = Measure::GapP50.most(200.0);
const GAP_P99: Promise = Measure::GapP99.most(300.0);
const MOVES: &[Promise] = &[GAP_P50, GAP_P99, NO_CALL, NO_WRITE];
const UNTOUCHED: &[Promise] = &[NO_PACKET, NO_CALL, NO_WRITE];

impl Drill {
    const fn new(name: &'static str, course: Course, promises: &'static [Promise]) -> Self {
        Self { name, course, hitless: false, runs: 0, runs_quick: 0, promises }
    }

    const fn fault(
        name: &'static str,
        (fault, lasts): (Fault, Duration),
        promises: &'static [Promise],
    ) -> Self {
        Self::new(name, Course::Fault(fault, lasts), promises)
    }

    const fn hitless(self) -> Self {
        Self { hitless: true, ..self }
    }

    const fn runs(self, runs: u32, runs_quick: u32) -> Self {
        Self { runs, runs_quick, ..self }
    }
}

/// Every drill.
pub(crate) static DRILLS: [Drill; 15] = [
    Drill::fault("relay-kill", (Fault::Killed(Victim::Relay), DOWN), MOVES).runs(200, 5),
    Drill::fault("relay-freeze", (Fault::Frozen(Victim::Relay), AWAY), MOVES).runs(50, 3),
    Drill::fault(
        "site-cut",
        (Fault::SiteCut, AWAY),
        &[GAP_P50, GAP_P99, Measure::SignallingP99.most(3_000.0), NO_CALL, NO_WRITE],
    )
    .runs(50, 3),
    Drill::fault("one-way-cut", (Fault::OneWayCut, AWAY), MOVES).runs(50, 2),
    Drill::fault("loss", (Fault::Loss(0.05), LOSSY), &[NO_CALL, NO_WRITE]).runs(20, 1),
    Drill::fault(
        "node-kill",
        (Fault::Killed(Victim::Node), DOWN),
        &[NO_PACKET, Measure::SignallingP99.most(1_500.0), NO_CALL, NO_WRITE],
    )
    .runs(100, 3),
    Drill::fault("node-freeze", (Fault::Frozen(Victim::Node), AWAY), UNTOUCHED).runs(50, 2),
    Drill::fault("etcd-leader-kill", (Fault::Killed(Victim::StoreLeader), AWAY), UNTOUCHED)
        .runs(30, 2),
    Drill::new(
        "quorum-lost",
        Course::QuorumLost,
        &[
            NO_PACKET,
            Measure::Unclear.most(0.0),
            Measure::NormalAgain.most(10_000.0),
            NO_CALL,
            NO_WRITE,
        ],
    )
    .runs(5, 1),
    Drill::new("restart-all", Course::RestartAll, MOVES).runs(20, 1),
    Drill::new(
        "rolling-upgrade",
        Course::RollingUpgrade,
        &[Measure::PacketsOfAStream.most(1.0), NO_CALL, NO_WRITE],
    )
    .runs(10, 1),
    Drill::new(
        "suspension",
        Course::Suspension { partition: false },
        &[Measure::StopP99.most(2_000.0), NO_PACKET, NO_CALL, NO_WRITE],
    )
    .runs(60, 1),
    Drill::new(
        "suspension-partition",
        Course::Suspension { partition: true },
        &[Measure::StopMax.most(PARTITIONED_MS), NO_CALL, NO_WRITE],
    )
    .runs(5, 1),
    Drill::fault("relay-kill-hitless", (Fault::Killed(Victim::Relay), DOWN), UNTOUCHED)
        .hitless()
        .runs(200, 5),
    // The last: its nodes keep clocks that are not the machine's.
    Drill::new(
        "clock-jump",
        Course::ClockJump,
        &[NO_PACKET, Measure::Unclear.most(0.0), NO_CALL, NO_WRITE],
    )
    .runs(20, 1),
];
