//! The store loses its quorum for a time: what goes on does, and what cannot begin is told so.

use super::exercise::Exercise;
use super::report::Outcome;
use crate::clock::now;
use crate::voices::{Pair, offers};
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use kakehashi_loadgen::signed_in::{LiveCall, answered};
use kakehashi_terminal::TerminalError;
use kakehashi_tests::children::pause;
use rand::RngExt;

/// Between two attempts to call.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// How long calls may take to come about when the store is back; it is measured.
const NORMAL_WITHIN: Duration = Duration::from_secs(60);

/// Stops more than half of the members, holds and hangs up a call meanwhile, asks for new ones, and
/// brings the members back.
///
/// # Errors
/// If a part does not obey, or no call comes about in the end.
pub(super) fn lost(exercise: &mut Exercise) -> Result<Outcome> {
    let held = exercise.pair(("holder", "held"))?;
    let held = exercise.terminals.call(held)?;
    let idle = exercise.pair(("hopeful", "awaited"))?;
    let stopped = stop_most(exercise)?;
    let mut outcome = Outcome::default();
    let end = now() + exercise.quorum_lost_for;
    // The store is asked and does not answer first.
    outcome.unclear += u64::from(!goes_on(exercise, held));
    while now() < end {
        match ask(exercise, &idle) {
            Attempt::Refused => outcome.refused += 1,
            Attempt::Begun | Attempt::Unclear => outcome.unclear += 1,
        }
        pause(ASK_EVERY);
    }
    let back = now();
    for name in &stopped {
        exercise.bed.part(name)?.start()?;
    }
    while !matches!(ask(exercise, &idle), Attempt::Begun) {
        ensure!(back.elapsed() < NORMAL_WITHIN, "no call came about within {NORMAL_WITHIN:?}");
        pause(ASK_EVERY);
    }
    let call = exercise.terminals.wait(answered(idle.0, idle.1, offers()))?;
    outcome.normal_again = Some(back.elapsed());
    exercise.terminals.wait(call.end()).context("the call after it")?;
    Ok(outcome)
}

/// Stops more than half of the members; says which.
fn stop_most(exercise: &mut Exercise) -> Result<Vec<String>> {
    let sites = exercise.bed.plan().sites;
    let spared = exercise.dice.random_range(0..sites);
    let stopped = (1..=sites / 2 + 1).map(|nth| (spared + nth) % sites + 1);
    let stopped: Vec<_> = stopped.map(|site| format!("store-{site}")).collect();
    for name in &stopped {
        exercise.bed.part(name)?.end()?;
    }
    Ok(stopped)
}

/// Whether a call can be held, taken up again and hung up, and both sides can sign out.
fn goes_on(exercise: &Exercise, call: LiveCall) -> bool {
    let done = exercise.terminals.wait(async {
        let (terminal, id) = (&call.caller.terminal, call.caller.ready.call);
        terminal.hold(id, true).await.context("it is not held")?;
        terminal.hold(id, false).await.context("it stays held")?;
        call.end().await.context("it does not end")
    });
    if let Err(error) = &done {
        eprintln!("without the store: {error:#}");
    }
    done.is_ok()
}

/// What became of a call that was asked for.
enum Attempt {
    /// It rings.
    Begun,
    /// It was refused, with a reason and a time to try again.
    Refused,
    /// Neither.
    Unclear,
}

fn ask(exercise: &Exercise, (caller, callee): &Pair) -> Attempt {
    match exercise.terminals.wait(caller.terminal.invite(&callee.login, offers())) {
        Ok(_) => Attempt::Begun,
        Err(TerminalError::Refused { retry_after_ms: 1.., .. }) => Attempt::Refused,
        Err(error) => {
            eprintln!("a call was refused so: {error}");
            Attempt::Unclear
        }
    }
}
