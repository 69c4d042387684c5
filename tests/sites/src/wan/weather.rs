//! What the wide-area network does to packets: pure, so that a drill's weather can be tested
//! without a network.

use core::fmt;
use core::time::Duration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// One of the networks that the wide-area network joins: a site, or where terminals are.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct Place(pub u8);

impl fmt::Display for Place {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.0)
    }
}

/// The way from one place to another; the way back is another one.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Way {
    /// How long a packet is under way.
    pub(crate) delay: Duration,
    /// The share of packets that do not arrive, from 0 to 1.
    pub(crate) loss: f64,
    /// Whether none arrives.
    pub(crate) cut: bool,
}

/// All ways between all places.
pub(crate) struct Weather {
    places: u8,
    ways: Vec<Way>,
    dice: StdRng,
}

impl Weather {
    /// Fair weather: every way has `delay`, loses nothing and is open. Losses are drawn from
    /// `seed`.
    pub(crate) fn fair(places: u8, delay: Duration, seed: u64) -> Self {
        let ways = usize::from(places) * usize::from(places);
        Self {
            places,
            ways: vec![Way { delay, loss: 0.0, cut: false }; ways],
            dice: StdRng::seed_from_u64(seed),
        }
    }

    /// Every place there is.
    pub(crate) fn places(&self) -> impl Iterator<Item = Place> + use<> {
        (0..self.places).map(Place)
    }

    /// How long a packet that sets out now is under way; `None` if it gets lost.
    pub(crate) fn passes(&mut self, from: Place, to: Place) -> Option<Duration> {
        let way = *self.way(from, to)?;
        let lost = way.cut || (way.loss > 0.0 && self.dice.random_bool(way.loss));
        (!lost).then_some(way.delay)
    }

    /// Changes the way from one place to another, if both are there.
    pub(crate) fn change(&mut self, from: Place, to: Place, change: impl FnOnce(&mut Way)) {
        if let Some(way) = self.index(from, to).and_then(|index| self.ways.get_mut(index)) {
            change(way);
        }
    }

    /// Changes every way to and from a place.
    pub(crate) fn change_around(&mut self, place: Place, mut change: impl FnMut(&mut Way)) {
        for other in self.places().filter(|other| *other != place) {
            self.change(place, other, &mut change);
            self.change(other, place, &mut change);
        }
    }

    /// Changes all ways.
    pub(crate) fn change_all(&mut self, change: impl FnMut(&mut Way)) {
        self.ways.iter_mut().for_each(change);
    }

    /// The way from one place to another, if both are there.
    pub(crate) fn way(&self, from: Place, to: Place) -> Option<&Way> {
        self.ways.get(self.index(from, to)?)
    }

    fn index(&self, from: Place, to: Place) -> Option<usize> {
        let inside = from.0 < self.places && to.0 < self.places;
        inside.then(|| usize::from(from.0) * usize::from(self.places) + usize::from(to.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(10);

    #[test]
    fn a_way_that_is_cut_lets_nothing_through_and_the_others_everything() {
        let mut weather = Weather::fair(3, DELAY, 1);
        weather.change(Place(0), Place(1), |way| way.cut = true);
        assert_eq!(weather.passes(Place(0), Place(1)), None);
        assert_eq!(weather.passes(Place(1), Place(0)), Some(DELAY));
        weather.change_around(Place(2), |way| way.cut = true);
        for (from, to) in [(2, 0), (0, 2), (2, 1), (1, 2)] {
            assert_eq!(weather.passes(Place(from), Place(to)), None, "{from} to {to}");
        }
        weather.change_all(|way| way.cut = false);
        assert_eq!(weather.passes(Place(2), Place(0)), Some(DELAY));
    }

    #[test]
    fn losses_are_as_many_as_asked_for_and_the_same_for_a_seed() {
        let lost = |seed| {
            let mut weather = Weather::fair(2, DELAY, seed);
            weather.change_all(|way| way.loss = 0.05);
            let pass = |_| weather.passes(Place(0), Place(1)).is_none();
            (0..10_000).map(pass).collect::<Vec<bool>>()
        };
        let one = lost(7);
        let share = one.iter().filter(|lost| **lost).count();
        assert!((400..600).contains(&share), "{share} of 10,000");
        assert!(one == lost(7) && one != lost(8));
    }

    #[test]
    fn a_place_that_is_not_there_gets_nothing() {
        let mut weather = Weather::fair(2, DELAY, 1);
        assert_eq!(weather.passes(Place(0), Place(2)), None);
    }
}
