//! Accounts are suspended at one site while their calls' relays are at others: how long media of
//! them is still heard, from terminals that care for nothing they are told.

use super::exercise::Exercise;
use super::report::Outcome;
use crate::by_hand::{Change, Ways, apply};
use crate::configs::{LEG_LIFETIME, relay_at};
use crate::operator::Operator;
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::Request;
use kakehashi_loadgen::signed_in::LiveCall;
use kakehashi_loadgen::suspend::{Run, Watch, farewells, run};
use rand::seq::IndexedRandom;

/// How long media is listened for: longer than it may be heard.
const WATCHED: Duration = Duration::from_millis(2_200);

/// The same, when a relay cannot be told.
const WATCHED_APART: Duration = LEG_LIFETIME.saturating_add(Duration::from_secs(3));

/// Voice, four packets at a time of a frame, so that the last is told well.
const PACKETS_PER_SECOND: u32 = 200;

/// How many accounts are suspended at a time, each by a command of its own.
const AT_ONCE: usize = 5;

/// Who is to be suspended in a call, and at which site.
struct Victim {
    subject: Subject,
    call: LiveCall,
    operator: Operator,
}

/// Suspends once: one account if a site of its relays is to be cut off from the others, else some.
///
/// # Errors
/// If a call does not come about, or a command fails.
pub(super) fn once(exercise: &mut Exercise, partition: bool) -> Result<Outcome> {
    let count = if partition { 1 } else { AT_ONCE };
    let victims = (1..=count).map(|nth| victim(exercise, nth)).collect::<Result<Vec<_>>>()?;
    if partition {
        let apart = victims.iter().flat_map(|victim| sites_of(&victim.call)).next();
        separate(exercise, apart.context("the call has no relay")?)?;
    }
    let [stores, _] = exercise.bed.terminals()?;
    let after = if partition { WATCHED_APART } else { WATCHED };
    let local = stores.address(1).into();
    let watch = Watch { local, packets_per_second: PACKETS_PER_SECOND, after };
    let (seen, victims) = stores.inside(move || {
        let seen: Vec<_> = std::thread::scope(|threads| {
            let begin = |victim| threads.spawn(move || suspend(victim, watch));
            let watching: Vec<_> = victims.iter().map(begin).collect();
            watching.into_iter().map(|it| it.join().expect("it does not panic")).collect()
        });
        (seen, victims)
    })?;
    apply(&exercise.bed, Change::Heal, &Ways::All)?;
    for Victim { subject, call, .. } in victims {
        let witness = exercise.terminals.wait(farewells(call))?;
        exercise.terminals.wait(witness.terminal.sign_out()).context("the witness stays")?;
        exercise.bed.operator(1)?.ask(Request::Reactivate { subject })?;
    }
    let stops = seen.into_iter().map(|run| Ok(run?.stop)).collect::<Result<Vec<_>>>()?;
    Ok(Outcome { stops, ..Outcome::default() })
}

/// In a call, and an operator at a site where it has no relay, if there is one.
fn victim(exercise: &mut Exercise, nth: usize) -> Result<Victim> {
    let (login, witness) = (format!("suspended-{nth}"), format!("witness-{nth}"));
    let pair = exercise.pair((login.as_str(), witness.as_str()))?;
    let call = exercise.terminals.call(pair)?;
    let relays: Vec<u8> = sites_of(&call).collect();
    let away: Vec<u8> = (1..=exercise.bed.plan().sites).filter(|it| !relays.contains(it)).collect();
    let commanded = away.choose(&mut exercise.dice).or_else(|| relays.last());
    let operator = exercise.bed.operator(*commanded.context("there is a site")?)?.clone();
    let subject = Subject::Account { tenant: exercise.tenant().to_owned(), login };
    Ok(Victim { subject, call, operator })
}

fn suspend(victim: &Victim, watch: Watch) -> Result<Run> {
    let suspend = Request::Suspend { subject: victim.subject.clone(), reason: None };
    run(&victim.call, || Ok(victim.operator.ask(suspend).map(drop)?), watch)
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
