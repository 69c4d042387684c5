//! A race between addresses of control: the first connection that stands wins. Pure.
//!
//! ```text
//!             next is due, or one failed and nobody else runs
//!   Waiting ---------------------------------------------------> one more runs
//!      |
//!      +-- one connects --> Won      +-- all have failed --> Lost
//! ```
//! The first is dialled at once, the next [`STAGGER`] later, or as soon as everybody who runs has
//! failed. So a node that is there costs no other a handshake, and one that is not costs a tenth of
//! a second.

use crate::capacity::STAGGER;
use crate::clock::Moment;

/// What happens to a race.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum News {
    /// Time has passed.
    Tick,
    /// The connection to the address of this place stands.
    Connected(usize),
    /// It came to nothing.
    Failed,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Step {
    /// Dial the address of this place, then ask again.
    Dial(usize),
    /// Wait for news, and no longer than until then if something is due.
    Wait(Option<Moment>),
    /// Go on with the connection of this place; give up the others.
    Won(usize),
    /// Nobody is left.
    Lost,
}

/// How far a race has come. Places count from 0 in the order of preference.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Race {
    places: usize,
    started: usize,
    failed: usize,
    /// When the next one is dialled although somebody runs.
    due: Moment,
    winner: Option<usize>,
}

impl Race {
    /// A race of so many that begins at `now`.
    pub(super) fn new(places: usize, now: Moment) -> Self {
        Self { places, started: 0, failed: 0, due: now, winner: None }
    }

    /// Takes in what happened at `now`; what to do.
    pub(super) fn on(&mut self, news: News, now: Moment) -> Step {
        match news {
            News::Tick => {}
            News::Connected(place) => self.winner = self.winner.or(Some(place)),
            News::Failed => self.failed += 1,
        }
        if let Some(winner) = self.winner {
            return Step::Won(winner);
        }
        if self.failed >= self.places {
            return Step::Lost;
        }
        let runs = self.started > self.failed;
        if self.started < self.places && (now >= self.due || !runs) {
            self.started += 1;
            self.due = now.plus(STAGGER);
            return Step::Dial(self.started - 1);
        }
        Step::Wait((self.started < self.places).then_some(self.due))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use News::{Connected, Failed, Tick};
    use Step::{Dial, Lost, Wait, Won};
    use core::time::Duration;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(1_000 * ms)
    }

    #[test]
    fn the_table_is_this() {
        type Steps<'a> = &'a [(u64, News, Step)];
        let table: [(&str, usize, Steps<'_>); 6] = [
            ("nobody to dial", 0, &[(0, Tick, Lost)]),
            (
                "one that answers",
                1,
                &[(0, Tick, Dial(0)), (0, Tick, Wait(None)), (40, Connected(0), Won(0))],
            ),
            ("one that does not", 1, &[(0, Tick, Dial(0)), (900, Failed, Lost)]),
            (
                "the first answers in time",
                3,
                &[
                    (0, Tick, Dial(0)),
                    (0, Tick, Wait(Some(ms(100)))),
                    (99, Connected(0), Won(0)),
                    (100, Tick, Won(0)),
                    (101, Connected(1), Won(0)),
                ],
            ),
            (
                "the first is silent",
                3,
                &[
                    (0, Tick, Dial(0)),
                    (100, Tick, Dial(1)),
                    (100, Tick, Wait(Some(ms(200)))),
                    (150, Connected(1), Won(1)),
                ],
            ),
            (
                "the first refuses at once, the others later",
                3,
                &[
                    (0, Tick, Dial(0)),
                    (5, Failed, Dial(1)),
                    (5, Tick, Wait(Some(ms(105)))),
                    (105, Tick, Dial(2)),
                    (110, Failed, Wait(None)),
                    (120, Failed, Lost),
                ],
            ),
        ];
        for (name, places, steps) in table {
            let mut race = Race::new(places, ms(0));
            for (at, news, wanted) in steps {
                assert_eq!(race.on(*news, ms(*at)), *wanted, "{name}: {news:?} at {at}");
            }
        }
    }

    proptest! {
        /// Whoever answers whenever: each is dialled once at most, in order and no sooner than it
        /// may be; the first that stands wins, and only if all fail is the race lost.
        #[test]
        fn every_race_ends_as_it_should(
            answers in prop::collection::vec((any::<bool>(), 0_u64..600), 0..8),
        ) {
            let (mut race, mut now, mut dialled) = (Race::new(answers.len(), ms(0)), 0, Vec::new());
            let mut running: Vec<(u64, usize)> = Vec::new();
            let mut news = Tick;
            let end = loop {
                match race.on(news, ms(now)) {
                    Dial(place) => {
                        prop_assert_eq!(place, dialled.len());
                        if let Some(last) = dialled.last() {
                            prop_assert!(now >= last + 100 || running.is_empty());
                        }
                        dialled.push(now);
                        running.push((now + answers[place].1, place));
                        news = Tick;
                    }
                    Wait(until) => {
                        running.sort_unstable();
                        let next = running.first().copied();
                        let due = until.map(|at| at.micros() / 1_000);
                        match (next, due) {
                            (Some((at, place)), due) if due.is_none_or(|due| at <= due) => {
                                now = at;
                                running.remove(0);
                                news = if answers[place].0 { Connected(place) } else { Failed };
                            }
                            (_, Some(due)) => (now, news) = (due, Tick),
                            (_, None) => prop_assert!(false, "waits for nothing"),
                        }
                    }
                    end => break end,
                }
            };
            match end {
                Won(place) => prop_assert!(answers[place].0),
                _ => {
                    prop_assert_eq!(dialled.len(), answers.len());
                    prop_assert!(answers.iter().all(|(good, _)| !good));
                }
            }
            let most = Duration::from_millis(600) * u32::try_from(answers.len()).unwrap();
            prop_assert!(ms(now).since(ms(0)) <= most);
        }
    }
}
