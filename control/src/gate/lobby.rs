//! First packets that wait for their handshakes: each address in its turn. Pure.
//!
//! To begin a handshake is most of what a stranger can make the node work. Whoever sends many
//! first packets waits behind their own, and nobody else does.

use crate::site::Site;
use std::collections::{HashMap, VecDeque};

/// What waits, by address. Bounded by the places of the crowd.
pub(super) struct Lobby<T> {
    /// Addresses with something that waits, the next one first.
    turns: VecDeque<Site>,
    waiting: HashMap<Site, VecDeque<T>>,
}

impl<T> Lobby<T> {
    pub(super) fn new() -> Self {
        Self { turns: VecDeque::new(), waiting: HashMap::new() }
    }

    /// Takes in one from `site`, behind its others.
    pub(super) fn enter(&mut self, site: Site, one: T) {
        let waiting = self.waiting.entry(site).or_default();
        if waiting.is_empty() {
            self.turns.push_back(site);
        }
        waiting.push_back(one);
    }

    /// The next one; its address's others have their turn after all other addresses.
    pub(super) fn next(&mut self) -> Option<T> {
        let site = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&site)?;
        let one = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&site);
        } else {
            self.turns.push_back(site);
        }
        one
    }

    pub(super) fn is_empty(&self) -> bool {
        self.turns.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::Ipv4Addr;

    fn site(number: u8) -> Site {
        Site::V4(Ipv4Addr::new(192, 0, 2, number))
    }

    #[test]
    fn one_of_few_does_not_wait_behind_many() {
        let mut lobby = Lobby::new();
        for nth in 0..100 {
            lobby.enter(site(1), (1, nth));
            lobby.enter(site(2), (2, nth));
        }
        lobby.enter(site(3), (3, 0));
        let order: Vec<_> = std::iter::from_fn(|| lobby.next()).take(5).collect();
        assert_eq!(order, [(1, 0), (2, 0), (3, 0), (1, 1), (2, 1)]);
        lobby.enter(site(3), (3, 1));
        let order: Vec<_> = std::iter::from_fn(|| lobby.next()).take(3).collect();
        assert_eq!(order, [(1, 2), (2, 2), (3, 1)]);
    }

    proptest! {
        #[test]
        fn all_come_out_each_address_in_its_order_and_none_twice_while_another_waits(
            steps in prop::collection::vec(prop::option::weighted(0.7, 0..5_u8), 0..200),
        ) {
            let mut lobby = Lobby::new();
            let (mut entered, mut left) = ([0; 5], [0; 5]);
            let mut since = [0; 5];
            for step in steps {
                if let Some(number) = step {
                    let at = usize::from(number);
                    lobby.enter(site(number), (at, entered[at]));
                    entered[at] += 1;
                    continue;
                }
                let Some((at, nth)) = lobby.next() else {
                    prop_assert!(lobby.is_empty() && entered == left);
                    continue;
                };
                prop_assert_eq!(nth, left[at], "in order");
                left[at] += 1;
                since[at] = 0;
                for other in 0..5 {
                    since[other] += usize::from(other != at && left[other] < entered[other]);
                    prop_assert!(since[other] <= 5, "an address was passed over");
                }
            }
        }
    }
}
