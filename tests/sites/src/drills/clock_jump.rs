//! The wall clock of a node jumps an hour, and comes back: meanwhile and afterwards two sign in,
//! call each other and hang up, and all else goes on.

use super::exercise::Exercise;
use super::report::Outcome;
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_tests::children::pause;
use rand::RngExt;

/// How far it jumps, in seconds, forward or back.
const JUMP_S: i32 = 3_600;

/// How long the node has to notice: its clock is looked at every second.
const NOTICES: Duration = Duration::from_millis(1_500);

/// Lets a clock jump once.
///
/// # Errors
/// If the node cannot be given a clock.
pub(super) fn once(exercise: &mut Exercise) -> Result<Outcome> {
    let nodes = exercise.bed.plan().nodes;
    let node = format!("node-{}", exercise.dice.random_range(1..=nodes));
    let jump = if exercise.dice.random() { JUMP_S } else { -JUMP_S };
    let mut unclear = 0;
    for seconds in [jump, 0] {
        exercise.bed.part(&node)?.set_clock(seconds)?;
        pause(NOTICES);
        if let Err(error) = converse(exercise) {
            eprintln!("with the clock of {node} {seconds} s fast: {error:#}");
            unclear += 1;
        }
    }
    Ok(Outcome { unclear, ..Outcome::default() })
}

/// Starts every node again with a clock that can jump, before the first run.
///
/// # Errors
/// If one does not come back.
pub(super) fn prepare(exercise: &mut Exercise) -> Result<()> {
    for site in 1..=exercise.bed.plan().nodes {
        let part = exercise.bed.part(&format!("node-{site}"))?;
        if !part.has_clock() {
            part.give_clock()?;
            part.end()?;
            part.start()?;
            exercise.bed.until_ready()?;
        }
    }
    Ok(())
}

/// Two sign in anew, and call.
fn converse(exercise: &mut Exercise) -> Result<()> {
    let pair = exercise.pair(("early", "late"))?;
    let call = exercise.terminals.call(pair)?;
    exercise.terminals.wait(call.end()).context("the call does not end")
}
