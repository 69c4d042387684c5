//! What a flood at its media port does to calls that the relay past the kernel carries.

use crate::contest::Run;
use crate::flood::Flood;
use crate::measure::{Highest, as_f64, highest, loss, median};
use crate::medium::Pair;
use crate::subject::{Kind, Subject};
use crate::workload::VOICE;
use anyhow::{Context, Result, bail};
use core::net::SocketAddr;

/// Packets a second of calls: 400 ways of voice, a packet every 20 ms.
const CALLS_RATE: f64 = 20_000.0;

/// The flood, in packets of the highest rate that the relay forwards without loss.
const TIMES: f64 = 3.0;

/// One turn of calls and flood together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FloodTurn {
    /// Packets of calls sent.
    pub sent: u64,
    /// Those of them that came through.
    pub delivered: u64,
    /// Garbage a second, as the generator sent it.
    pub rate: f64,
    /// The share of all packets sent that the relay's device took off its queue: the rest found it
    /// full, as it is when a NIC is not served.
    pub taken: f64,
}

/// Calls of the relay past the kernel in a flood.
#[derive(Clone, PartialEq, Debug)]
pub struct Flooded {
    /// What the relay forwards without one.
    pub capacity: Highest,
    /// Garbage a second that was wanted.
    pub wanted: f64,
    /// Which relay.
    pub kind: Kind,
    /// One for each round.
    pub turns: Vec<FloodTurn>,
}

impl Flooded {
    /// Share of the calls' packets that were lost: the median of the rounds.
    pub fn loss(&self) -> f64 {
        median(self.turns.iter().map(|turn| loss(turn.delivered, turn.sent)))
    }

    /// The same without what the device's queue lost, which is calls and garbage alike: the relay's
    /// own part.
    pub fn loss_behind_the_queue(&self) -> f64 {
        let kept = |turn: &FloodTurn| as_f64(turn.delivered) / (as_f64(turn.sent) * turn.taken);
        median(self.turns.iter().map(|turn| (1.0 - kept(turn)).max(0.0)))
    }

    /// Garbage a second that was sent: the median of the rounds.
    pub fn reached(&self) -> f64 {
        median(self.turns.iter().map(|turn| turn.rate))
    }

    /// The share taken off the queue: the median of the rounds.
    pub fn taken(&self) -> f64 {
        median(self.turns.iter().map(|turn| turn.taken))
    }
}

/// Finds the relay's highest rate, and floods it with three times as much while it carries calls.
/// To be called on the load's side.
///
/// # Errors
/// If it does not start or forward, or counts do not add up.
pub fn measure(kind: Kind, run: &Run<'_>) -> Result<Flooded> {
    let with = run.with;
    let way = with.link.frame_way(Pair::PastKernel).context("a flood takes a device of its own")?;
    let mut subject = Subject::start(kind, VOICE, with)?;
    let capacity = highest(&mut subject, run.effort)?;
    let Some(SocketAddr::V4(to)) = subject.traffic.first_destination() else {
        bail!("the relay's address is not of IPv4")
    };
    let wanted = capacity.rate * TIMES;
    let mut turns = Vec::new();
    for _ in 0..run.effort.rounds {
        let mut flood = Flood::new(way, &VOICE, to, wanted)?;
        let before = with.link.received(Pair::PastKernel)?;
        let outcome = subject.traffic.run_beside(CALLS_RATE, run.effort.turn, Some(&mut flood))?;
        let received = with.link.received(Pair::PastKernel)? - before;
        turns.push(FloodTurn {
            sent: outcome.sent,
            delivered: outcome.delivered,
            rate: as_f64(flood.sent) / outcome.sending.as_secs_f64(),
            taken: as_f64(received) / as_f64(flood.sent + outcome.sent),
        });
    }
    Ok(Flooded { kind, capacity, wanted, turns })
}
