//! What nodes of a cell tell each other of wrong guesses: where they are counted.

use super::{Guard, KINDS, Places, Ticket, millis};
use crate::capacity::{GUESS_CELLS, GUESS_ROWS};
use kakehashi_wire::node::{GuessedAt, WrongGuess};
use std::time::Duration;

impl Ticket {
    /// What the other nodes are to know of a guess that was wrong.
    pub(in crate::accounts) fn wrong(&self) -> WrongGuess {
        let of_kind = |(kind, places): (usize, &Option<Places>)| {
            let cells = (*places)?.map(|place| u32::try_from(place % GUESS_CELLS));
            let cells = cells.map(Result::unwrap_or_default);
            Some(GuessedAt { kind: u8::try_from(kind).ok()?, cells })
        };
        WrongGuess { places: self.places.iter().enumerate().filter_map(of_kind).collect() }
    }
}

impl Guard {
    /// A guess was wrong at another node, which had let it through. What no guess of this version
    /// can be is passed over.
    pub(in crate::accounts) fn heard(&mut self, guess: &WrongGuess, since_start: Duration) {
        let now_ms = millis(since_start);
        let mut seen = [false; KINDS];
        for GuessedAt { kind, cells } in &guess.places {
            let kind = usize::from(*kind);
            let Some(places) = places_of(cells) else { continue };
            let Some(sketch) = self.sketches.get_mut(kind).filter(|_| !seen[kind]) else {
                continue;
            };
            seen[kind] = true;
            sketch.fill(&places, now_ms);
            sketch.back_off(&places, now_ms);
        }
    }
}

/// Those cells of the rows, if there are such.
fn places_of(cells: &[u32; GUESS_ROWS]) -> Option<Places> {
    let mut places = [0; GUESS_ROWS];
    for ((row, place), cell) in places.iter_mut().enumerate().zip(cells) {
        let cell = usize::try_from(*cell).ok().filter(|cell| *cell < GUESS_CELLS)?;
        *place = row * GUESS_CELLS + cell;
    }
    Some(places)
}

#[cfg(test)]
mod tests {
    use super::super::{Guess, Origin, Outcome, TooOften};
    use super::*;
    use crate::capacity::GUESSES_OF_ACCOUNT;
    use crate::site::Site;
    use proptest::prelude::*;

    const NOW: Duration = Duration::from_secs(1_000);

    /// From another address each time.
    fn guess(nth: u32) -> Guess<'static> {
        let from = Origin::Stranger(Site::of(std::net::IpAddr::from(nth.to_be_bytes())));
        Guess { tenant: "acme", login: "store-1", from }
    }

    /// Guesses in turn at nodes that tell each other, until all have been refused.
    fn tried(guards: &mut [Guard], tell: bool) -> u32 {
        let (mut through, mut refused) = (0, 0);
        while refused < guards.len() {
            let at = usize::try_from(through).unwrap() % guards.len();
            match guards[at].admit(guess(through), NOW) {
                Ok(ticket) => {
                    refused = 0;
                    through += 1;
                    let wrong = ticket.wrong();
                    guards[at].settle(ticket, Outcome::Wrong, NOW);
                    let others = guards.iter_mut().enumerate().filter(|(other, _)| *other != at);
                    others.filter(|_| tell).for_each(|(_, it)| it.heard(&wrong, NOW));
                }
                Err(TooOften { .. }) => {
                    refused += 1;
                    guards.rotate_left(1);
                }
            }
        }
        through
    }

    #[test]
    fn several_nodes_let_no_more_through_than_one() {
        let guards = |count: usize| (0..count).map(|_| Guard::new([7; 32])).collect::<Vec<_>>();
        let alone = tried(&mut guards(1), true);
        assert_eq!(alone, GUESSES_OF_ACCOUNT.free);
        assert_eq!(tried(&mut guards(3), true), alone);
        assert_eq!(tried(&mut guards(3), false), 3 * alone, "if they do not tell each other");
    }

    proptest! {
        #[test]
        fn whatever_is_heard_is_survived(
            places in prop::collection::vec((any::<u8>(), any::<[u32; GUESS_ROWS]>()), 0..9),
        ) {
            let mut guard = Guard::new([7; 32]);
            let places = places.into_iter().map(|(kind, cells)| GuessedAt { kind, cells });
            guard.heard(&WrongGuess { places: places.collect() }, NOW);
            prop_assert!(guard.admit(guess(1), NOW).is_ok());
        }
    }
}
