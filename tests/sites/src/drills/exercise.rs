//! Calls that go on in a bed, and runs of drills under them.

use super::accounts::{Accounts, tenant_of};
use super::report::{DrillReport, Outcome};
use super::writers::Writers;
use super::{Course, Drill, clock_jump, quorum, suspension, upgrade};
use crate::bed::Bed;
use crate::clock::now;
use crate::nic::{Counted, Io, Packets};
use crate::voices::{Calls, Effect, Pair, Terminals};
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use kakehashi_tests::children::pause;
use rand::SeedableRng;
use rand::rngs::StdRng;
use std::time::Instant;

/// Before each run everybody has been heard so lately.
const CALM: Duration = Duration::from_millis(100);

/// How long calm may take to come back.
const CALM_WITHIN: Duration = Duration::from_secs(60);

/// How long calls are listened to before something happens.
const BEFORE: Duration = Duration::from_millis(300);

/// How long what is mended is watched at least.
const SETTLES: Duration = Duration::from_millis(500);

/// Calls that go on in a bed, ready for drills.
pub(crate) struct Exercise {
    /// Where.
    pub(super) bed: Bed,
    /// Who speaks all the time.
    pub(super) calls: Calls,
    /// Where everybody's terminals are.
    pub(super) terminals: Terminals,
    /// What decides to whom things happen.
    pub(super) dice: StdRng,
    /// How long the store is without a quorum.
    pub(super) quorum_lost_for: Duration,
    accounts: Accounts,
    wanted: u32,
    hitless: bool,
    /// Calls did not become well again, and are to be set up anew.
    spoiled: bool,
}

impl Exercise {
    /// In `bed`, with so many calls.
    ///
    /// # Errors
    /// If no terminal can run there.
    pub(crate) fn begin(bed: Bed, calls: u32, quorum_lost_for: Duration) -> Result<Self> {
        Ok(Self {
            terminals: Terminals::of(&bed.terminals()?)?,
            dice: StdRng::seed_from_u64(bed.plan().seed),
            bed,
            calls: Calls::default(),
            quorum_lost_for,
            accounts: Accounts::default(),
            wanted: calls,
            hitless: false,
            spoiled: false,
        })
    }

    /// Lets `drill` happen `runs` times.
    ///
    /// # Errors
    /// If the bed does not obey, or calm does not come back.
    pub(crate) fn run(&mut self, drill: &Drill, runs: u32) -> Result<DrillReport> {
        if drill.course == Course::ClockJump {
            clock_jump::prepare(self)?;
        }
        self.gather(drill.hitless)?;
        let writers = Writers::begin(&self.bed, drill.name)?;
        let (mut outcomes, begun) = (Vec::new(), now());
        for run in 1..=runs {
            self.gather(drill.hitless)?;
            let outcome = self.once(drill.course);
            let outcome = outcome.with_context(|| format!("run {run} of {}", drill.name))?;
            tell(drill, (run, runs), &outcome, begun);
            outcomes.push(outcome);
        }
        let writes = writers.end(&self.bed, drill.name)?;
        Ok(DrillReport::of(drill.name, self.calls.len(), &outcomes, writes))
    }

    fn once(&mut self, course: Course) -> Result<Outcome> {
        ensure!(self.until_calm()? == 0, "no calm: {}", self.calls.how_they_are());
        let counted = self.counted()?;
        self.calls.turn_page();
        pause(BEFORE);
        let fault = now();
        let mut outcome = match course {
            Course::Fault(fault, lasts) => {
                let harm = fault.harm(&self.bed, &self.calls, &mut self.dice)?;
                harm.inflict(&mut self.bed)?;
                pause(lasts);
                harm.mend(&mut self.bed)?;
                Outcome::default()
            }
            Course::RestartAll => upgrade::restart_all(self)?,
            Course::RollingUpgrade => upgrade::rolling(self)?,
            Course::QuorumLost => quorum::lost(self)?,
            Course::ClockJump => clock_jump::once(self)?,
            Course::Suspension { partition } => suspension::once(self, partition)?,
        };
        pause(SETTLES);
        let unwell = if self.calls.why_over().is_empty() { self.until_calm()? } else { 0 };
        if unwell > 0 {
            eprintln!("lost: calm did not come back: {}", self.calls.how_they_are());
            self.spoiled = true;
        }
        let is_one = !matches!(course, Course::RestartAll | Course::RollingUpgrade);
        outcome.effect = self.calls.effect(is_one.then_some(fault));
        for why in self.calls.why_over() {
            eprintln!("lost: {why}");
        }
        outcome.effect.calls_lost = outcome.effect.calls_lost.max(unwell);
        outcome.past_kernel = counted.map(|before| self.past_kernel_since(&before)).transpose()?;
        Ok(outcome)
    }

    /// What relays have counted, if they are to go past the kernel.
    fn counted(&self) -> Result<Option<Counted>> {
        let goes_past = self.bed.plan().io == Io::Xdp;
        goes_past.then(|| self.bed.counted()).transpose()
    }

    /// What relays have moved since `before`.
    ///
    /// # Errors
    /// If it went through the kernel.
    fn past_kernel_since(&self, before: &Counted) -> Result<Packets> {
        self.bed.counted()?.past_kernel_since(before)
    }

    /// Waits until everybody is heard, every session has its connection and every call its two
    /// relays, and all parts run. In how many calls that is not so in the end.
    fn until_calm(&mut self) -> Result<u64> {
        let deadline = now() + CALM_WITHIN;
        self.bed.until_ready()?;
        loop {
            let unwell = self.calls.unwell(CALM);
            if unwell == 0 || now() >= deadline {
                return Ok(unwell);
            }
            pause(CALM);
        }
    }

    /// Sees to it that all calls go on, protected so.
    fn gather(&mut self, hitless: bool) -> Result<()> {
        let is_good = self.hitless == hitless && self.calls.why_over().is_empty();
        if is_good && self.calls.len() > 0 && !self.spoiled {
            return Ok(());
        }
        self.spoiled = false;
        std::mem::take(&mut self.calls).end(&self.terminals);
        self.hitless = hitless;
        for number in 1..=self.wanted {
            let names = (format!("store-{number}"), format!("concierge-{number}"));
            let pair = self.pair((names.0.as_str(), names.1.as_str()))?;
            let call = self.terminals.call(pair)?;
            self.calls.add(&self.terminals, call)?;
            if number % 10 == 0 || number == self.wanted {
                eprintln!("{number} of {} {} calls set up", self.wanted, tenant_of(hitless));
            }
        }
        Ok(())
    }

    /// Two accounts of the calls' tenant, signed in.
    ///
    /// # Errors
    /// If they cannot be.
    pub(super) fn pair(&mut self, (caller, callee): (&str, &str)) -> Result<Pair> {
        let [caller, callee] =
            [caller, callee].map(|login| self.accounts.settings(&self.bed, self.hitless, login));
        self.terminals.sign_in(caller?, callee?)
    }

    /// The tenant of the calls.
    pub(super) fn tenant(&self) -> &'static str {
        tenant_of(self.hitless)
    }

    /// Hangs up and takes everything down.
    pub(crate) fn end(self) {
        self.calls.end(&self.terminals);
    }
}

/// Says how a run went, and how long those that are left will take.
fn tell(drill: &Drill, (run, runs): (u32, u32), outcome: &Outcome, begun: Instant) {
    let Effect { lost, calls_lost, .. } = outcome.effect;
    let left = begun.elapsed() / run * (runs - run);
    eprintln!(
        "{} {run} of {runs}: longest gap {} ms, {lost} packets and {calls_lost} calls lost; {} s \
         left",
        drill.name,
        outcome.effect.longest().as_millis(),
        left.as_secs(),
    );
}
