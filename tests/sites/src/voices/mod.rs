//! Calls in which both sides speak, and what their listeners notice of what is done to the
//! platform: real terminals, with the library that applications use.

mod side;
mod speech;

pub(crate) use side::offers;

use side::Side;
use speech::{Noticed, noticed};

use crate::clock::now;
use crate::network::Network;
use anyhow::{Context, Result};
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_loadgen::signed_in::{LiveCall, SignedIn, between};
use kakehashi_terminal::Settings;
use std::time::Instant;
use tokio::runtime::Runtime;

/// Relays of a call, when all is well.
const PATHS: usize = 2;

/// Of a session that was away for longer, it is said why.
const SLOW: Duration = Duration::from_millis(1_500);

/// Of a silence that was longer, it is said over which relays media went.
const LONG: Duration = Duration::from_millis(300);

/// Where terminals are: those that call in one network, those that are called in another.
pub(crate) struct Terminals {
    callers: Runtime,
    callees: Runtime,
}

/// Two terminals that are signed in: the first calls the second.
pub(crate) type Pair = (SignedIn, SignedIn);

/// A call of two that speak.
struct Call {
    sides: [Side; 2],
}

/// Calls that go on at the same time.
#[derive(Default)]
pub(crate) struct Calls(Vec<Call>);

/// What the sides of all calls noticed of one fault.
#[derive(Clone, Debug, Default)]
pub(crate) struct Effect {
    /// The longest silence of each listener.
    pub(crate) gaps: Vec<Duration>,
    /// Packets that never came, of all listeners.
    pub(crate) lost: u64,
    /// The same, of the listener who missed most.
    pub(crate) lost_most: u64,
    /// Calls that are over, or in which somebody was heard no more.
    pub(crate) calls_lost: u64,
    /// How long after the fault each session that lost its connection had it back; if there are
    /// several faults, how long it was away.
    pub(crate) back: Vec<Duration>,
}

impl Effect {
    /// The longest silence of all listeners.
    pub(crate) fn longest(&self) -> Duration {
        self.gaps.iter().copied().max().unwrap_or_default()
    }
}

impl Terminals {
    /// In these networks.
    ///
    /// # Errors
    /// If nothing can run there.
    pub(crate) fn of([callers, callees]: &[Network; 2]) -> Result<Self> {
        Ok(Self { callers: callers.runtime()?, callees: callees.runtime()? })
    }

    /// Signs one in on either side.
    ///
    /// # Errors
    /// If control refuses, or does not answer.
    pub(crate) fn sign_in(&self, caller: Settings, callee: Settings) -> Result<Pair> {
        let callee = self.callees.spawn(SignedIn::start(callee));
        Ok((self.caller(caller)?, self.callees.block_on(callee)??))
    }

    /// Signs one in that calls.
    ///
    /// # Errors
    /// If control refuses, or does not answer.
    pub(crate) fn caller(&self, settings: Settings) -> Result<SignedIn> {
        self.callers.block_on(self.callers.spawn(SignedIn::start(settings)))?
    }

    /// Lets the first call the second, until both may send.
    ///
    /// # Errors
    /// If the call does not come about.
    pub(crate) fn call(&self, (caller, callee): Pair) -> Result<LiveCall> {
        let login = callee.login.clone();
        let call = self.wait(between(caller, callee, offers()));
        call.with_context(|| format!("the call to {login} did not come about"))
    }

    /// Waits for what opens no socket.
    pub(crate) fn wait<T>(&self, what: impl Future<Output = T>) -> T {
        self.callers.block_on(what)
    }
}

impl Calls {
    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Lets both sides of one more speak.
    ///
    /// # Errors
    /// If media does not begin.
    pub(crate) fn add(&mut self, terminals: &Terminals, call: LiveCall) -> Result<()> {
        let Terminals { callers, callees } = terminals;
        let LiveCall { caller, callee } = call;
        let caller = callers.spawn(async { Side::speak(caller) });
        let callee = callees.spawn(async { Side::speak(callee) });
        let sides = [callers.block_on(caller)??, callees.block_on(callee)??];
        self.0.push(Call { sides });
        Ok(())
    }

    fn sides(&self) -> impl Iterator<Item = &Side> {
        self.0.iter().flat_map(|call| &call.sides)
    }

    /// In how many calls somebody has not been heard within the last `within`, has no connection to
    /// control, or not two relays that answer.
    pub(crate) fn unwell(&self, within: Duration) -> u64 {
        let is_well = |side: &Side| {
            let heard = side.book.last().is_some_and(|at| at.elapsed() < within);
            heard && side.diary().away_since.is_none() && side.relays_that_answer() == PATHS
        };
        self.0.iter().map(|call| u64::from(!call.sides.iter().all(is_well))).sum()
    }

    /// The relay over which one side of call `nth` sends, if it is known.
    pub(crate) fn relay_of(&self, nth: usize) -> Option<SocketAddr> {
        self.0.get(nth)?.sides.iter().find_map(Side::relay)
    }

    /// Forgets what was heard and gone through.
    pub(crate) fn turn_page(&self) {
        for side in self.sides() {
            side.book.take();
            side.turn_page();
        }
    }

    /// What all sides noticed since the page was turned, of one fault at `fault`, or of several.
    pub(crate) fn effect(&self, fault: Option<Instant>) -> Effect {
        let until = now();
        let mut effect = Effect::default();
        for call in &self.0 {
            let mut over = false;
            for side in &call.sides {
                let diary = side.diary();
                over |= diary.over.is_some();
                if let Some(back_at) = diary.back_at {
                    let since = |fault| back_at.saturating_duration_since(fault);
                    let back = fault.map_or(diary.away_for, since);
                    if back > SLOW {
                        eprintln!("back after {} ms: {}", back.as_millis(), diary.whys.join("; "));
                    }
                    effect.back.push(back);
                }
                match noticed(&side.book.take(), until) {
                    Some(Noticed { gap, lost }) => {
                        if gap > LONG {
                            let (ms, media) = (gap.as_millis(), side.media());
                            eprintln!("silence of {ms} ms, {lost} packets lost: {media}");
                        }
                        effect.gaps.push(gap);
                        effect.lost += lost;
                        effect.lost_most = effect.lost_most.max(lost);
                    }
                    None => over = true,
                }
            }
            effect.calls_lost += u64::from(over);
        }
        effect
    }

    /// How they are, for whoever waits for them in vain.
    pub(crate) fn how_they_are(&self) -> String {
        let away = self.sides().filter(|side| side.diary().away_since.is_some()).count();
        let paths: Vec<usize> = self.sides().map(Side::relays_that_answer).collect();
        let heard = |side: &Side| side.book.last().map(|at| at.elapsed().as_millis());
        let heard: Vec<_> = self.sides().map(heard).collect();
        format!("{away} sessions away; relays that answer: {paths:?}; heard {heard:?} ms ago")
    }

    /// Why calls are over, one sentence each.
    pub(crate) fn why_over(&self) -> Vec<String> {
        self.sides().filter_map(|side| side.diary().over).collect()
    }

    /// Hangs everything up.
    pub(crate) fn end(self, terminals: &Terminals) {
        let Terminals { callers, callees } = terminals;
        for call in self.0 {
            let [caller, callee] = call.sides;
            let caller = callers.spawn(caller.end());
            let callee = callees.spawn(callee.end());
            // Whoever cannot say goodbye is missed by control.
            let _gone = callers.block_on(caller);
            let _gone = callees.block_on(callee);
        }
    }
}
