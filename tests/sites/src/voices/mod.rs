//! Calls in which both sides speak, and what their listeners notice of what is done to the
//! platform: real terminals, with the library that applications use.

mod side;
mod speech;

use side::{Side, SignedIn};
use speech::{Noticed, noticed};

use crate::clock::now;
use crate::network::Network;
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_terminal::Settings;
use std::time::Instant;
use tokio::runtime::{Builder, Runtime};

/// A call of two.
pub(crate) struct Call {
    sides: [Side; 2],
}

/// Calls that go on at the same time, from terminals of one network to those of another.
pub(crate) struct Calls {
    callers: Runtime,
    callees: Runtime,
    calls: Vec<Call>,
}

/// What the sides of all calls noticed of one fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// The longest silence of each listener.
    pub(crate) gaps: Vec<Duration>,
    /// Packets that never came, of all listeners.
    pub(crate) lost: u64,
    /// Calls that are over, or in which somebody was heard no more.
    pub(crate) calls_lost: u64,
    /// How long after the fault each session that lost its connection had it back.
    pub(crate) back: Vec<Duration>,
}

impl Effect {
    /// The longest silence of all listeners.
    pub(crate) fn longest(&self) -> Duration {
        self.gaps.iter().copied().max().unwrap_or_default()
    }
}

impl Calls {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.calls.len()
    }

    /// None yet; terminals will be in these networks.
    ///
    /// # Errors
    /// If nothing can run there.
    pub(crate) fn between([callers, callees]: &[Network; 2]) -> Result<Self> {
        let (callers, callees) = (runtime(callers)?, runtime(callees)?);
        Ok(Self { callers, callees, calls: Vec::new() })
    }

    /// Sets up one more.
    ///
    /// # Errors
    /// If it does not come about.
    pub(crate) fn add(&mut self, caller: Settings, callee: Settings) -> Result<()> {
        let login = callee.login.clone();
        let failed = || format!("the call to {login} did not come about");
        let callee = self.callees.spawn(SignedIn::start(callee));
        let callee = self.callees.block_on(callee)??;
        let callee = self.callees.spawn(callee.answer());
        let called = login.clone();
        let caller =
            self.callers.spawn(async move { SignedIn::start(caller).await?.call(&called).await });
        let caller = self.callers.block_on(caller)?.with_context(failed)?;
        let callee = self.callees.block_on(callee)?.with_context(failed)?;
        self.calls.push(Call { sides: [caller, callee] });
        Ok(())
    }

    fn sides(&self) -> impl Iterator<Item = &Side> {
        self.calls.iter().flat_map(|call| &call.sides)
    }

    /// Whether everybody has been heard within the last `within`.
    pub(crate) fn all_heard(&self, within: Duration) -> bool {
        let lately = |side: &Side| side.book.last().is_some_and(|at| at.elapsed() < within);
        self.sides().all(lately)
    }

    /// Whether every session has its connection.
    pub(crate) fn all_connected(&self) -> bool {
        self.sides().all(|side| side.diary().away_since.is_none())
    }

    /// Forgets what was heard and gone through.
    pub(crate) fn turn_page(&self) {
        for side in self.sides() {
            side.book.take();
            side.turn_page();
        }
    }

    /// What all sides noticed since the page was turned, of a fault at `fault`.
    pub(crate) fn effect(&self, fault: Instant) -> Effect {
        let until = now();
        let mut effect = Effect::default();
        for call in &self.calls {
            let mut over = false;
            for side in &call.sides {
                let diary = side.diary();
                over |= diary.over.is_some();
                effect.back.extend(diary.back_at.map(|at| at.saturating_duration_since(fault)));
                match noticed(&side.book.take(), until) {
                    Some(Noticed { gap, lost }) => {
                        effect.gaps.push(gap);
                        effect.lost += lost;
                    }
                    None => over = true,
                }
            }
            effect.calls_lost += u64::from(over);
        }
        effect
    }

    /// Why calls are over, one sentence each.
    pub(crate) fn why_over(&self) -> Vec<String> {
        self.sides().filter_map(|side| side.diary().over).collect()
    }

    /// Hangs everything up.
    pub(crate) fn end(self) {
        let Self { callers, callees, calls } = self;
        for call in calls {
            let [caller, callee] = call.sides;
            let caller = callers.spawn(caller.end());
            let callee = callees.spawn(callee.end());
            // Whoever cannot say goodbye is missed by control.
            let _gone = callers.block_on(caller);
            let _gone = callees.block_on(callee);
        }
    }
}

/// A runtime whose threads, and so the sockets they open, are in `network`.
fn runtime(network: &Network) -> Result<Runtime> {
    let built =
        network.inside(|| Builder::new_multi_thread().worker_threads(1).enable_all().build());
    built?.with_context(|| format!("nothing can run in {}", network.name()))
}
