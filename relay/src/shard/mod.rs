//! A shard: one pinned thread with its own executor, ring, socket and legs. It shares nothing but
//! its mailbox and the figures it publishes.
//!
//! This folder is the only place that names glommio.

mod clock;
mod counters;
mod pace;
mod spawn;
#[cfg(test)]
mod tests;

pub(crate) use clock::Clock;
pub(crate) use counters::{board, counted};
pub use spawn::ShardError;
pub(crate) use spawn::{Plan, ShardThread, spawn};

use crate::capacity::SWEEPS_PER_HOUSEKEEPING;
use crate::host::Admission;
use crate::io::{PacketIo, Patience};
use crate::legs::LegTable;
use crate::orders::desk::Desk;
use crate::orders::report::Published;
use crate::path::batch::Outgoing;
use crate::path::forward;
use crate::path::verdict::PathCounters;
use clock::Moment;
use core::time::Duration;
use pace::{Every, Found, Load, Pace};
use rand::Rng;
use rand::rngs::StdRng;
use std::io;
use std::sync::Arc;

/// How often a shard publishes its figures and sweeps for ended legs, also while it waits.
pub(crate) const HOUSEKEEPING: Duration = Duration::from_millis(250);

/// A shard's state.
pub(crate) struct Shard<Io> {
    io: Io,
    desk: Desk,
    legs: LegTable,
    outgoing: Outgoing,
    path: PathCounters,
    random: StdRng,
    clock: Clock,
    published: Arc<Published>,
    /// Who is to know where terminals are seen.
    admission: Option<Arc<Admission>>,
}

impl<Io: PacketIo> Shard<Io> {
    /// A shard with no legs yet.
    pub(crate) fn new(
        io: Io,
        desk: Desk,
        legs: LegTable,
        train_packets_max: u16,
        clock: Clock,
        published: Arc<Published>,
    ) -> Self {
        Self {
            io,
            desk,
            legs,
            outgoing: Outgoing::new(train_packets_max),
            path: PathCounters::default(),
            random: rand::make_rng(),
            clock,
            published,
            admission: None,
        }
    }

    /// The same; `admission` hears where the terminals of its legs are seen.
    pub(crate) fn admitting(self, admission: Option<Arc<Admission>>) -> Self {
        Self { admission, ..self }
    }

    /// Works until `stopped` says so, which is asked at least every [`TICK`].
    pub(crate) fn run(mut self, stopped: impl Fn() -> bool) -> io::Result<()> {
        let mut now = self.clock.now();
        let mut last_work = now;
        let mut housekeeping = Every::new(HOUSEKEEPING, now);
        let (mut load, mut pace) = (Load::Light, Pace::Hot);
        while !stopped() {
            let patience = match pace {
                Pace::Hot | Pace::Wait => Patience::None,
                Pace::Linger => Patience::Linger,
            };
            if pace == Pace::Wait {
                self.io.wait()?;
            }
            let packets = self.io.receive(patience);
            now = self.clock.now();
            let found = match self.turn(packets, now) {
                0 => Found::Nothing,
                _ if self.io.has_work() => Found::More,
                _ => Found::Work,
            };
            if found != Found::Nothing {
                load = Load::of(now.since(last_work));
                last_work = now;
            }
            if housekeeping.due(now) {
                self.keep_house(now);
            }
            pace = Pace::after(found, load);
        }
        self.keep_house(now);
        Ok(())
    }

    /// The rest of a turn: the `packets` received leave, then a few orders are carried out. Returns
    /// how much there was to do.
    fn turn(&mut self, packets: usize, now: Moment) -> usize {
        let mut taken = 0;
        while taken < packets {
            taken += forward(
                &mut self.legs,
                self.io.packets(taken),
                now.tick(),
                &mut || self.random.next_u64(),
                &mut self.path,
                &mut self.outgoing,
            );
            self.io.send(&self.outgoing);
            self.outgoing.clear();
        }
        let orders = self.desk.turn(&mut self.legs, now.tick());
        if orders > 0 {
            self.tell_guests();
        }
        packets + orders
    }

    fn tell_guests(&mut self) {
        let guests = self.legs.guests();
        if let Some(admission) = &self.admission {
            admission.note(guests);
        }
    }

    fn keep_house(&mut self, now: Moment) {
        for _ in 0..SWEEPS_PER_HOUSEKEEPING {
            self.legs.sweep(now.tick(), |stream| self.published.tell_wrapped(stream));
        }
        self.tell_guests();
        self.io.refresh_counters();
        let used = (self.legs.len(), clock::thread_time());
        counters::publish(&self.published, used, self.io.counters(), &self.path);
    }
}
