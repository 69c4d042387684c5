//! A guess at a password that is under way: it is settled however it ends.

use super::guard::{Guard, Guess, Outcome, Ticket, TooOften};
use crate::clock::Now;
use kakehashi_wire::node::WrongGuess;
use std::sync::{Mutex, PoisonError};
use tokio::sync::mpsc;

/// A guess that was let through. One that is given up, because whoever asked has gone, counts as
/// wrong: nobody gets more guesses by not waiting for the answers.
pub(super) struct Trial<'a, N: Fn() -> Now> {
    guard: &'a Mutex<Guard>,
    ticket: Option<Ticket>,
    outcome: Outcome,
    /// Where the other nodes of the cell hear of it, if it was wrong.
    told: Option<&'a mpsc::Sender<WrongGuess>>,
    now: N,
}

impl<'a, N: Fn() -> Now> Trial<'a, N> {
    /// Begins `guess`.
    ///
    /// # Errors
    /// [`TooOften`].
    pub(super) fn begin(
        (guard, told): (&'a Mutex<Guard>, Option<&'a mpsc::Sender<WrongGuess>>),
        guess: Guess<'_>,
        now: N,
    ) -> Result<Self, TooOften> {
        let admitted = lock(guard).admit(guess, now().since_start);
        let outcome = Outcome::Wrong;
        admitted.map(|ticket| Self { guard, ticket: Some(ticket), outcome, told, now })
    }

    /// What became of it.
    pub(super) fn end(mut self, outcome: Outcome) {
        self.outcome = outcome;
    }
}

impl<N: Fn() -> Now> Drop for Trial<'_, N> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take() {
            if let Some(told) = self.told.filter(|_| self.outcome == Outcome::Wrong) {
                // Where too many wait, the others are told of less than there was.
                let _full = told.try_send(ticket.wrong());
            }
            lock(self.guard).settle(ticket, self.outcome, (self.now)().since_start);
        }
    }
}

pub(super) fn lock(guard: &Mutex<Guard>) -> std::sync::MutexGuard<'_, Guard> {
    guard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::super::guard::Origin;
    use super::*;
    use crate::capacity::GUESSES_OF_ACCOUNT;
    use crate::clock::UnixMs;
    use crate::site::Site;
    use std::net::{IpAddr, Ipv4Addr};
    use std::time::Duration;

    #[test]
    fn a_guess_that_is_given_up_counts_as_wrong_and_keeps_no_place() {
        let guard = Mutex::new(Guard::new([1; 32]));
        let from = Origin::Stranger(Site::of(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        let guess = Guess { tenant: "acme", login: "a", from };
        let at = |since_start| move || Now { since_start, wall: UnixMs(0) };
        for turn in 0..GUESSES_OF_ACCOUNT.free {
            assert!(Trial::begin((&guard, None), guess, at(Duration::ZERO)).is_ok(), "{turn}");
        }
        let refused = Trial::begin((&guard, None), guess, at(Duration::ZERO)).err();
        assert_eq!(refused, Some(TooOften { retry_after: Duration::from_secs(1) }));
        for hour in 1..100 {
            let now = at(Duration::from_secs(3600 * hour));
            Trial::begin((&guard, None), guess, now).expect("no place is kept").end(Outcome::Right);
        }
    }
}
