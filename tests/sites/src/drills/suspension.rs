//! An account is suspended at one site while its call's relays are at others: how long media of it
//! is still heard, from terminals that care for nothing they are told.

use super::exercise::Exercise;
use super::report::Outcome;
use crate::by_hand::{Change, Ways, apply};
use crate::configs::{LEG_LIFETIME, relay_at};
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::Request;
use kakehashi_loadgen::signed_in::LiveCall;
use kakehashi_loadgen::suspend::{Watch, farewells, run};
use rand::seq::IndexedRandom;

/// How long media is listened for: longer than it may be heard.
const WATCHED: Duration = Duration::from_millis(2_200);

/// The same, when a relay cannot be told.
const WATCHED_APART: Duration = LEG_LIFETIME.saturating_add(Duration::from_secs(3));

/// Voice, four packets at a time of a frame, so that the last is told well.
const PACKETS_PER_SECOND: u32 = 200;

/// Who is suspended.
const WHO: &str = "suspended";

/// Suspends once.
///
/// # Errors
/// If the call does not come about, or the command fails.
pub(super) fn once(exercise: &mut Exercise, partition: bool) -> Result<Outcome> {
    let pair = exercise.pair((WHO, "witness"))?;
    let call = exercise.terminals.call(pair)?;
    let relays: Vec<u8> = sites_of(&call).collect();
    let away: Vec<u8> = (1..=exercise.bed.plan().sites).filter(|it| !relays.contains(it)).collect();
    let commanded = away.choose(&mut exercise.dice).or_else(|| relays.last());
    let operator = exercise.bed.operator(*commanded.context("there is a site")?)?.clone();
    if partition {
        let apart = relays.first().context("the call has no relay")?;
        separate(exercise, *apart)?;
    }
    let [stores, _] = exercise.bed.terminals()?;
    let after = if partition { WATCHED_APART } else { WATCHED };
    let local = stores.address(1).into();
    let watch = Watch { local, packets_per_second: PACKETS_PER_SECOND, after };
    let subject =
        || Subject::Account { tenant: exercise.tenant().to_owned(), login: WHO.to_owned() };
    let suspend = Request::Suspend { subject: subject() };
    let (seen, call) = stores.inside(move || {
        let seen = run(&call, || Ok(operator.ask(suspend).map(drop)?), watch);
        (seen, call)
    })?;
    apply(&exercise.bed, Change::Heal, &Ways::All)?;
    let witness = exercise.terminals.wait(farewells(call))?;
    exercise.terminals.wait(witness.terminal.sign_out()).context("the witness stays")?;
    exercise.bed.operator(1)?.ask(Request::Reactivate { subject: subject() })?;
    Ok(Outcome { stop: Some(seen?.stop), ..Outcome::default() })
}

/// The sites of a call's relays.
fn sites_of(call: &LiveCall) -> impl Iterator<Item = u8> {
    let paths = call.caller.ready.paths.iter();
    paths.filter_map(|path| relay_at(path.address.into()).map(|(site, _)| site))
}

/// Cuts a site off from all other sites; terminals still reach it.
fn separate(exercise: &Exercise, site: u8) -> Result<()> {
    for other in (1..=exercise.bed.plan().sites).filter(|other| *other != site) {
        for (from, to) in [(site, other), (other, site)] {
            let ways = Ways::Between(from.to_string(), to.to_string());
            apply(&exercise.bed, Change::Cut, &ways)?;
        }
    }
    Ok(())
}
