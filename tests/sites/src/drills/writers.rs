//! Who changes something all the time: operators at every node add and remove desks. What was
//! acknowledged must be so in the end.

use crate::bed::Bed;
use crate::clock::now;
use crate::operator::Operator;
use anyhow::{Result, bail, ensure};
use core::time::Duration;
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::desks::DeskChange;
use kakehashi_tests::children::pause;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::task::JoinHandle;

/// Between two changes of one writer.
const EVERY: Duration = Duration::from_millis(200);

/// How long an answer is waited for: longer than an operator waits for a node that leads.
const ANSWER_WITHIN: Duration = Duration::from_secs(12);

/// Desks that each keeps, below what a tenant may have; older ones it removes.
const DESKS: usize = 40;

/// How long the list in the end may take to come.
const LISTED_WITHIN: Duration = Duration::from_secs(30);

/// What was acknowledged, and what became of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Writes {
    /// Changes that were acknowledged.
    pub(crate) acknowledged: u64,
    /// Of these, those that are not so any more.
    pub(crate) lost: u64,
}

/// Writers at work.
pub(crate) struct Writers {
    over: Arc<AtomicBool>,
    working: Vec<JoinHandle<Ledger>>,
}

/// What one writer was told.
#[derive(Default)]
struct Ledger {
    acknowledged: u64,
    /// Were there, and not to be found when they were to be removed.
    vanished: u64,
    there: BTreeSet<String>,
    gone: BTreeSet<String>,
}

impl Ledger {
    fn added(&mut self, desk: String) {
        self.acknowledged += 1;
        self.there.insert(desk);
    }

    fn removed(&mut self, desk: String) {
        self.acknowledged += 1;
        self.gone.insert(desk);
    }

    /// Counts what is not as it was acknowledged, if this is all that is there.
    fn held_against(&self, listed: &BTreeSet<String>) -> Writes {
        let missing = self.there.difference(listed).count();
        let back = self.gone.intersection(listed).count();
        let lost = self.vanished + (missing + back) as u64;
        Writes { acknowledged: self.acknowledged, lost }
    }
}

impl Writers {
    /// Begins at every node, each in a tenant of its own.
    ///
    /// # Errors
    /// If a tenant cannot be made.
    pub(crate) fn begin(bed: &Bed, drill: &str) -> Result<Self> {
        let over = Arc::new(AtomicBool::new(false));
        let mut working = Vec::new();
        for (operator, nth) in bed.operators().iter().zip(1..) {
            let tenant = tenant(drill, nth);
            operator.ask(Request::TenantAdd { name: tenant.clone(), accounts: None })?;
            let task = write(operator.clone(), tenant, Arc::clone(&over));
            working.push(operator.inside().spawn(task));
        }
        Ok(Self { over, working })
    }

    /// Ends them and looks what became of everything, each at another node than the one that wrote.
    ///
    /// # Errors
    /// If there is no list to be had.
    pub(crate) fn end(self, bed: &Bed, drill: &str) -> Result<Writes> {
        self.over.store(true, Ordering::Release);
        let mut writes = Writes::default();
        let operators = bed.operators();
        for (place, task) in self.working.into_iter().enumerate() {
            let Some(wrote) = operators.get(place) else { continue };
            let ledger = wrote.inside().block_on(task)?;
            let other = operators.get((place + 1) % operators.len()).unwrap_or(wrote);
            let found = ledger.held_against(&list(other, &tenant(drill, place + 1))?);
            writes.acknowledged += found.acknowledged;
            writes.lost += found.lost;
        }
        ensure!(writes.acknowledged > 0, "nothing was acknowledged at all");
        Ok(writes)
    }
}

fn tenant(drill: &str, nth: usize) -> String {
    format!("{drill}-{nth}")
}

async fn write(operator: Operator, tenant: String, over: Arc<AtomicBool>) -> Ledger {
    let mut ledger = Ledger::default();
    for number in 0_u64.. {
        if over.load(Ordering::Acquire) {
            break;
        }
        let (tenant, desk) = (tenant.clone(), format!("desk-{number:06}"));
        let oldest = ledger.there.first().filter(|_| ledger.there.len() >= DESKS).cloned();
        // What is refused, or not answered, may have been done or not.
        if let Some(desk) = oldest {
            ledger.there.remove(&desk);
            let request = Request::DeskRemove { tenant, desk: desk.clone() };
            match operator.ask_within(request, ANSWER_WITHIN).await {
                Ok(_) => ledger.removed(desk),
                Err(error) => ledger.vanished += u64::from(error.says_absent()),
            }
        } else {
            let change = DeskChange::default();
            let request = Request::DeskAdd { tenant, desk: desk.clone(), change };
            if operator.ask_within(request, ANSWER_WITHIN).await.is_ok() {
                ledger.added(desk);
            }
        }
        tokio::time::sleep(EVERY).await;
    }
    ledger
}

fn list(operator: &Operator, tenant: &str) -> Result<BTreeSet<String>> {
    let deadline = now() + LISTED_WITHIN;
    loop {
        match operator.ask(Request::DeskList { tenant: tenant.to_owned() }) {
            Ok(Answer::Desks { rows }) => return Ok(rows.into_iter().map(|it| it.name).collect()),
            Ok(_) => bail!("the node answers with something else than a list of desks"),
            Err(error) if now() > deadline => return Err(error.into()),
            Err(_not_yet) => pause(EVERY),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_acknowledged_and_is_not_so_is_lost() {
        let mut ledger = Ledger::default();
        for desk in ["a", "b", "c"] {
            ledger.added(desk.to_owned());
        }
        ledger.there.remove("a");
        ledger.removed("a".to_owned());
        let listed = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        let held = |names: &[&str]| ledger.held_against(&listed(names));
        assert_eq!(held(&["b", "c", "never answered"]), Writes { acknowledged: 4, lost: 0 });
        assert_eq!(held(&["a", "c"]).lost, 2, "one is gone, one has come back");
    }
}
