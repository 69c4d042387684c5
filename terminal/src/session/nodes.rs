//! Which address of control to try first: what is remembered of each. Pure.
//!
//! At the start the order is the one given, so that the nearest node may be named first. Whoever
//! failed goes to the back, the longest ago foremost. After a loss those that have not failed are
//! taken in random order: the terminals of a node that died spread over all others.

use crate::capacity::CANDIDATES_MAX;
use crate::clock::Moment;
use core::net::SocketAddr;

/// An address of a node.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Candidate {
    /// Which of the names it belongs to, in the order of the settings.
    pub(super) node: usize,
    /// Where.
    pub(super) address: SocketAddr,
}

/// The addresses that are known, and when each failed last.
#[derive(Default)]
pub(super) struct Nodes {
    known: Vec<(Candidate, Option<Moment>)>,
    lost_one: bool,
}

impl Nodes {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.known.len()
    }

    /// All of them, in the order of the names.
    pub(super) fn addresses(&self) -> Vec<Candidate> {
        self.known.iter().map(|(candidate, _)| *candidate).collect()
    }

    /// The names mean these addresses now. What is remembered of those that stay, stays.
    pub(super) fn learn(&mut self, found: impl IntoIterator<Item = Candidate>) {
        let mut known: Vec<(Candidate, Option<Moment>)> = Vec::new();
        for candidate in found {
            let is_double = known.iter().any(|(it, _)| it.address == candidate.address);
            if !is_double && known.len() < CANDIDATES_MAX {
                known.push((candidate, self.failed_at(candidate.address)));
            }
        }
        self.known = known;
    }

    /// A try to reach the address failed, or what stood there broke.
    pub(super) fn failed(&mut self, address: SocketAddr, now: Moment) {
        let known = self.known.iter_mut().find(|(it, _)| it.address == address);
        if let Some((_, failed)) = known {
            *failed = Some(now);
        }
    }

    /// A connection that stood was lost: from now on no terminal may do as all others do.
    pub(super) fn lost(&mut self, address: SocketAddr, now: Moment) {
        self.failed(address, now);
        self.lost_one = true;
    }

    /// The address is good.
    pub(super) fn stands(&mut self, address: SocketAddr) {
        if let Some((_, failed)) = self.known.iter_mut().find(|(it, _)| it.address == address) {
            *failed = None;
        }
    }

    /// The order to try them in. `random` is drawn for each that is shuffled.
    pub(super) fn order(&self, mut random: impl FnMut() -> u32) -> Vec<Candidate> {
        let (mut fresh, mut failed) = (Vec::new(), Vec::new());
        for (candidate, at) in &self.known {
            match at {
                None => fresh.push(*candidate),
                Some(at) => failed.push((*at, *candidate)),
            }
        }
        if self.lost_one {
            // Fisher and Yates.
            for last in (1..fresh.len()).rev() {
                fresh.swap(last, random() as usize % (last + 1));
            }
        }
        failed.sort_by_key(|(at, _)| *at);
        fresh.extend(failed.into_iter().map(|(_, candidate)| candidate));
        fresh
    }

    fn failed_at(&self, address: SocketAddr) -> Option<Moment> {
        self.known.iter().find(|(it, _)| it.address == address).and_then(|(_, failed)| *failed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    fn candidate(n: u16) -> Candidate {
        Candidate { node: n.into(), address: SocketAddr::from(([192, 0, 2, 1], n)) }
    }

    fn nodes(count: u16) -> Nodes {
        let mut nodes = Nodes::default();
        nodes.learn((0..count).map(candidate));
        nodes
    }

    fn order(nodes: &Nodes, seed: u32) -> Vec<usize> {
        let mut drawn = seed;
        let random = || {
            drawn = drawn.wrapping_mul(0x9e37_79b9).wrapping_add(7);
            drawn >> 8
        };
        nodes.order(random).into_iter().map(|it| it.node).collect()
    }

    fn at(seconds: u64) -> Moment {
        Moment::from_micros(1_000_000 * seconds)
    }

    #[test]
    fn the_given_order_counts_until_something_fails() {
        let mut nodes = nodes(4);
        assert_eq!(order(&nodes, 1), [0, 1, 2, 3]);
        nodes.failed(candidate(0).address, at(5));
        nodes.failed(candidate(2).address, at(3));
        assert_eq!(order(&nodes, 1), [1, 3, 2, 0], "the longest ago first");
        nodes.stands(candidate(0).address);
        assert_eq!(order(&nodes, 1), [0, 1, 3, 2]);
    }

    #[test]
    fn after_a_loss_terminals_spread_over_the_nodes_that_are_left() {
        let firsts: Vec<usize> = (0..4_000)
            .map(|seed| {
                let mut nodes = nodes(5);
                nodes.lost(candidate(0).address, at(1));
                let order = order(&nodes, seed);
                assert_eq!(order.last(), Some(&0));
                assert_eq!(order.iter().collect::<BTreeSet<_>>().len(), 5);
                order[0]
            })
            .collect();
        for node in 1..5 {
            let share = firsts.iter().filter(|first| **first == node).count();
            assert!((800..1_200).contains(&share), "{share} of 4,000 at {node}");
        }
    }

    #[test]
    fn names_that_mean_other_addresses_keep_what_is_known_of_the_rest() {
        let mut nodes = nodes(3);
        nodes.failed(candidate(1).address, at(1));
        nodes.learn([candidate(1), candidate(7), candidate(7), candidate(0)]);
        assert_eq!(order(&nodes, 1), [7, 0, 1]);
        nodes.learn((0..1_000).map(candidate));
        assert_eq!(nodes.len(), CANDIDATES_MAX);
    }
}
