//! How often passwords may be guessed. Pure.
//!
//! Each account, address and tenant has a bucket that a guess fills by one and that drains at a
//! steady rate; a full one refuses. So in any hour no more than [`GuessRate::burst`] +
//! [`GuessRate::per_hour`] wrong guesses get to a password, wherever they come from. Above
//! [`GuessRate::free`] each wrong guess also costs a wait, twice as long as the one before. A
//! device that the account knows has one bucket of its own instead: its owner gets in while others
//! guess.
//!
//! **What is not known yet is counted apart.** A guess that waits for its hash takes a place and
//! drains from nothing; it fills the bucket when it turns out wrong, and leaves no trace when it
//! turns out right. So right passwords cost nobody anything, however long they wait and however
//! many, and take no wrong guess out with them.
//!
//! **The names that may be guessed at are without number, the memory is not.** A bucket is looked
//! for in one cell of each of [`GUESS_ROWS`] rows, drawn by a hash whose seed nobody knows, and is
//! taken to be as full as the emptiest of them (a count-min sketch). Cells are shared, never
//! forgotten: nobody can wash an account's guesses away by guessing at a million others. What
//! shares all its cells with others is refused early at worst.
//!
//! Nodes of one cell draw alike and tell each other of wrong guesses (`told.rs`), so a
//! limit is one of the cell: only what is tried at several nodes in the same moment is let through
//! at each.

mod told;

use crate::capacity::{
    GUESS_CELLS, GUESS_ROWS, GUESSES_OF_ACCOUNT, GUESSES_OF_ADDRESS, GUESSES_OF_DEVICE,
    GUESSES_OF_TENANT, HASH_MS_ESTIMATE, RESUMES_OF_DEVICE,
};
use crate::sessions::AccountKey;
use crate::site::Site;
use aws_lc_rs::digest::{Context, SHA256};
use kakehashi_log::millis;
use kakehashi_wire::device::DeviceKey;
use kakehashi_wire::id::DeviceId;
use std::time::Duration;

/// How fast a bucket fills and drains.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct GuessRate {
    /// Wrong guesses it holds.
    pub burst: u32,
    /// Wrong guesses in it up to which the next may follow at once.
    pub free: u32,
    /// Wrong guesses that drain from it in an hour.
    pub per_hour: u32,
}

impl GuessRate {
    /// Milliseconds in which one guess drains.
    const fn interval_ms(self) -> u64 {
        3_600_000 / self.per_hour as u64
    }

    /// Milliseconds to wait after a wrong guess that leaves `level` in the bucket. Never longer
    /// than one takes to drain: from there on the bucket itself is the limit.
    fn back_off_ms(self, level: u64) -> u64 {
        match level.checked_sub(self.free.into()) {
            Some(over) => (1000 << over.min(16)).min(self.interval_ms()),
            None => 0,
        }
    }
}

/// Whose password somebody wants to try, and from where.
#[derive(Clone, Copy)]
pub(super) struct Guess<'a> {
    /// The tenant's name as it was typed.
    pub(super) tenant: &'a str,
    /// The login ID as it was typed.
    pub(super) login: &'a str,
    /// From where.
    pub(super) from: Origin,
}

/// Where a guess comes from.
#[derive(Clone, Copy)]
pub(super) enum Origin {
    /// From an address.
    Stranger(Site),
    /// From a device that the account knows and that has proven its key.
    Known(DeviceKey),
    /// From a session of the account, whatever names are given.
    Session(AccountKey),
    /// At the second factor of the account, after its password.
    Second(AccountKey),
    /// From a device of the account that resumes its session.
    Token(AccountKey, DeviceId),
}

/// What became of a guess.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Outcome {
    /// It was the password.
    Right,
    /// It was not, or there is no such account.
    Wrong,
    /// Nothing was tried.
    Untried,
}

/// A guess that was let through.
#[must_use = "a guess that is not settled keeps its place for ever"]
pub(super) struct Ticket {
    places: [Option<Places>; KINDS],
}

/// A guess that was not let through.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct TooOften {
    /// When the next may be.
    pub(super) retry_after: Duration,
}

/// Of the account, the address, the tenant, the device, and the resumed session.
const KINDS: usize = 5;

/// One cell of each row.
type Places = [usize; GUESS_ROWS];

/// All that is remembered of guesses.
pub(super) struct Guard {
    seed: [u8; 32],
    sketches: [Sketch; KINDS],
}

impl Guard {
    /// Remembers nothing. The `seed` must be unpredictable.
    pub(super) fn new(seed: [u8; 32]) -> Self {
        let rates = [
            GUESSES_OF_ACCOUNT,
            GUESSES_OF_ADDRESS,
            GUESSES_OF_TENANT,
            GUESSES_OF_DEVICE,
            RESUMES_OF_DEVICE,
        ];
        Self { seed, sketches: rates.map(Sketch::new) }
    }

    /// Whether `guess` may be tried. It takes a place in all its buckets until it is settled, or in
    /// none.
    pub(super) fn admit(
        &mut self,
        guess: Guess<'_>,
        since_start: Duration,
    ) -> Result<Ticket, TooOften> {
        let places = self.places(guess);
        let now_ms = millis(since_start);
        let concerned = self.sketches.iter().zip(&places);
        let waits = concerned.filter_map(|(sketch, at)| Some(sketch.wait_ms(at.as_ref()?, now_ms)));
        let wait_ms = waits.max().unwrap_or(0);
        if wait_ms > 0 {
            return Err(TooOften { retry_after: Duration::from_millis(wait_ms) });
        }
        for (sketch, at) in self.sketches.iter_mut().zip(&places) {
            if let Some(at) = at {
                sketch.enter(at);
            }
        }
        Ok(Ticket { places })
    }

    /// Takes in what became of a guess.
    pub(super) fn settle(&mut self, ticket: Ticket, outcome: Outcome, since_start: Duration) {
        let now_ms = millis(since_start);
        for (sketch, at) in self.sketches.iter_mut().zip(&ticket.places) {
            let Some(at) = at else { continue };
            sketch.leave(at);
            if outcome == Outcome::Wrong {
                sketch.fill(at, now_ms);
                sketch.back_off(at, now_ms);
            }
        }
    }

    fn places(&self, guess: Guess<'_>) -> [Option<Places>; KINDS] {
        // Spelled as `Login::parse` folds them; what it does not take counts all the same.
        let tenant = guess.tenant.to_ascii_lowercase();
        let login = guess.login.to_ascii_lowercase();
        let (tenant, login) = (tenant.as_bytes(), login.as_bytes());
        let address = match guess.from {
            Origin::Known(key) => {
                let place = self.draw(&[b"device", tenant, login, &key.0]);
                return [None, None, None, Some(place), None];
            }
            Origin::Session(AccountKey { tenant, account }) => {
                let ids = [tenant.0.to_le_bytes(), account.0.to_le_bytes()];
                return [None, None, None, Some(self.draw(&[b"session", &ids[0], &ids[1]])), None];
            }
            Origin::Second(AccountKey { tenant, account }) => {
                let ids = [tenant.0.to_le_bytes(), account.0.to_le_bytes()];
                return [None, None, None, Some(self.draw(&[b"second", &ids[0], &ids[1]])), None];
            }
            Origin::Token(AccountKey { tenant, account }, device) => {
                let ids = [tenant.0, account.0, device.0].map(u64::to_le_bytes);
                let place = self.draw(&[b"token", &ids[0], &ids[1], &ids[2]]);
                return [None, None, None, None, Some(place)];
            }
            Origin::Stranger(Site::V4(address)) => self.draw(&[b"v4", &address.octets()]),
            Origin::Stranger(Site::V6(network)) => self.draw(&[b"v6", &network.to_be_bytes()]),
        };
        let account = self.draw(&[b"account", tenant, login]);
        [Some(account), Some(address), Some(self.draw(&[b"tenant", tenant])), None, None]
    }

    fn draw(&self, parts: &[&[u8]]) -> Places {
        let mut hash = Context::new(&SHA256);
        hash.update(&self.seed);
        for part in parts {
            hash.update(&(part.len() as u64).to_le_bytes());
            hash.update(part);
        }
        let hash = hash.finish();
        let (words, _) = hash.as_ref().as_chunks::<8>();
        let mut places = [0; GUESS_ROWS];
        for ((row, place), word) in places.iter_mut().enumerate().zip(words) {
            let drawn = u64::from_le_bytes(*word) % GUESS_CELLS as u64;
            *place = row * GUESS_CELLS + usize::try_from(drawn).unwrap_or(0);
        }
        places
    }
}

/// The buckets of one kind.
struct Sketch {
    rate: GuessRate,
    cells: Vec<Cell>,
}

/// Times are milliseconds since the node started.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
struct Cell {
    /// When it will have drained.
    empty_at_ms: u64,
    /// When the wait after a wrong guess is over.
    ready_at_ms: u64,
    /// Guesses let through of which nothing is known yet.
    open: u32,
}

impl Sketch {
    fn new(rate: GuessRate) -> Self {
        Self { rate, cells: vec![Cell::default(); GUESS_ROWS * GUESS_CELLS] }
    }

    fn least(&self, places: &Places, of: impl Fn(&Cell) -> u64) -> u64 {
        places.iter().map(|&place| of(&self.cells[place])).min().unwrap_or(0)
    }

    /// How long until the bucket takes one more.
    fn wait_ms(&self, places: &Places, now_ms: u64) -> u64 {
        let room_at = self.least(places, |cell| self.room_at_ms(cell, now_ms));
        let ready_at = self.least(places, |cell| cell.ready_at_ms);
        room_at.max(ready_at).saturating_sub(now_ms)
    }

    /// When one more has room beside those that are open, should all of them turn out wrong.
    fn room_at_ms(&self, cell: &Cell, now_ms: u64) -> u64 {
        match self.rate.burst.checked_sub(cell.open + 1) {
            Some(others) => {
                cell.empty_at_ms.saturating_sub(u64::from(others) * self.rate.interval_ms())
            }
            None => now_ms + u64::from(HASH_MS_ESTIMATE),
        }
    }

    fn enter(&mut self, places: &Places) {
        for &place in places {
            self.cells[place].open += 1;
        }
    }

    fn leave(&mut self, places: &Places) {
        for &place in places {
            let open = &mut self.cells[place].open;
            *open = open.saturating_sub(1);
        }
    }

    fn fill(&mut self, places: &Places, now_ms: u64) {
        for &place in places {
            let cell = &mut self.cells[place];
            cell.empty_at_ms = cell.empty_at_ms.max(now_ms) + self.rate.interval_ms();
        }
    }

    fn back_off(&mut self, places: &Places, now_ms: u64) {
        let full_ms = self.least(places, |cell| cell.empty_at_ms).saturating_sub(now_ms);
        let wait_ms = self.rate.back_off_ms(full_ms.div_ceil(self.rate.interval_ms()));
        for &place in places {
            let cell = &mut self.cells[place];
            cell.ready_at_ms = cell.ready_at_ms.max(now_ms + wait_ms);
        }
    }
}

#[cfg(test)]
#[path = "guard_tests.rs"]
mod tests;
