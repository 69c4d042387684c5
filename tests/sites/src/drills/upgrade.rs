//! Processes that are started again, one after the other, while calls go on.

use super::exercise::Exercise;
use super::report::Outcome;
use crate::bed::Bed;
use crate::clock::now;
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use kakehashi_control::admin::Request;
use kakehashi_tests::children::pause;
use kakehashi_wire::id::RelayId;
use rand::RngExt;

/// How long a relay may take to be left, and a part to be well again.
const STEP: Duration = Duration::from_secs(30);

/// How often it is looked.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Starts every process of a site again, without saying anything to anybody before.
///
/// # Errors
/// If one does not come back.
pub(super) fn restart_all(exercise: &mut Exercise) -> Result<Outcome> {
    let site = exercise.dice.random_range(1..=exercise.bed.plan().sites);
    for name in names(&mut exercise.bed, Some(site)) {
        restart(exercise, &name)?;
    }
    Ok(Outcome::default())
}

/// Upgrades all sites as an operator does: relays are drained, and put back in use when they are
/// there again; then nodes, then members of the store, each when the one before is well.
///
/// # Errors
/// If a part does not come back, or a relay is not left.
pub(super) fn rolling(exercise: &mut Exercise) -> Result<Outcome> {
    let all = names(&mut exercise.bed, None);
    let of = |kind: &'static str| all.iter().filter(move |name| name.starts_with(kind)).cloned();
    for name in of("relay-").collect::<Vec<_>>() {
        let relay = name.trim_start_matches("relay-").parse().map(RelayId);
        let relay = relay.with_context(|| format!("{name} has no number"))?;
        drain(&exercise.bed, relay)?;
        restart_part(&mut exercise.bed, &name)?;
        until("the relay is back", || connected(&exercise.bed, relay))?;
        exercise.bed.operator(1)?.ask(Request::RelayDrain { relay, on: false })?;
        until_well(exercise)?;
    }
    for name in of("node-").chain(of("store-")).collect::<Vec<_>>() {
        restart(exercise, &name)?;
    }
    Ok(Outcome::default())
}

/// The parts of a site, or of all, in the order they are started again.
fn names(bed: &mut Bed, site: Option<u8>) -> Vec<String> {
    let parts = bed.parts().iter();
    let here = parts.filter(|part| site.is_none_or(|site| part.site() == site));
    here.map(|part| part.name().to_owned()).collect()
}

fn restart(exercise: &mut Exercise, name: &str) -> Result<()> {
    restart_part(&mut exercise.bed, name)?;
    until_well(exercise)
}

fn restart_part(bed: &mut Bed, name: &str) -> Result<()> {
    let part = bed.part(name)?;
    part.end()?;
    part.start()
}

/// Waits until all parts are well, and every session and every call.
fn until_well(exercise: &mut Exercise) -> Result<()> {
    exercise.bed.until_ready()?;
    let Exercise { bed, calls, .. } = exercise;
    let sites = 1..=bed.plan().sites;
    until("all are well", || {
        calls.unwell(STEP) == 0 && sites.clone().all(|site| bed.store_is_well(site))
    })
}

fn drain(bed: &Bed, relay: RelayId) -> Result<()> {
    let operator = bed.operator(1)?;
    operator.ask(Request::RelayDrain { relay, on: true })?;
    until("the relay is left", || {
        let rows = operator.relays().unwrap_or_default();
        rows.iter().any(|row| row.id == relay && row.legs == 0)
    })
}

fn connected(bed: &Bed, relay: RelayId) -> bool {
    let rows = bed.operators().iter().map(|operator| operator.relays().unwrap_or_default());
    rows.flatten().filter(|row| row.id == relay).all(|row| row.connected)
}

fn until(what: &str, holds: impl Fn() -> bool) -> Result<()> {
    let deadline = now() + STEP;
    while !holds() {
        ensure!(now() < deadline, "not within {STEP:?}: {what}");
        pause(LOOK_EVERY);
    }
    Ok(())
}
