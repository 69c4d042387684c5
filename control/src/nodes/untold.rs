//! Wrong guesses at passwords that other nodes have not been told of yet. Pure.
//!
//! Each node is told of each guess once, when there is a link to it: one that is cut off, or has
//! just begun, hears of the last ones when it is there. Twice would lock out whoever has mistyped.

use super::NodeName;
use crate::capacity::nodes::GUESSES_TO_TELL_MAX;
use kakehashi_wire::node::WrongGuess;
use std::collections::{BTreeMap, VecDeque};

/// The last guesses, and how far each node was told of them.
#[derive(Default)]
pub(super) struct Untold {
    last: VecDeque<WrongGuess>,
    /// How many there were.
    count: u64,
    told: BTreeMap<NodeName, u64>,
}

impl Untold {
    /// A guess was wrong here.
    pub(super) fn add(&mut self, guess: WrongGuess) {
        if self.last.len() >= GUESSES_TO_TELL_MAX {
            self.last.pop_front();
        }
        self.last.push_back(guess);
        self.count += 1;
    }

    /// What `node` is to be told now.
    pub(super) fn due(&mut self, node: &NodeName) -> impl Iterator<Item = WrongGuess> + '_ {
        let told = self.told.insert(node.clone(), self.count).unwrap_or(0);
        let due = usize::try_from(self.count - told).unwrap_or(usize::MAX);
        self.last.iter().skip(self.last.len().saturating_sub(due)).cloned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::node::GuessedAt;

    fn guess(cell: u32) -> WrongGuess {
        WrongGuess { places: vec![GuessedAt { kind: 0, cells: [cell; 4] }] }
    }

    fn due(untold: &mut Untold, node: &str) -> Vec<u32> {
        let node = NodeName::parse(node).unwrap();
        untold.due(&node).map(|guess| guess.places[0].cells[0]).collect()
    }

    #[test]
    fn each_node_hears_of_each_guess_once_and_late_ones_of_the_last() {
        let mut untold = Untold::default();
        untold.add(guess(1));
        assert_eq!(due(&mut untold, "a"), [1]);
        untold.add(guess(2));
        assert_eq!(due(&mut untold, "a"), [2]);
        assert_eq!(due(&mut untold, "a"), [0; 0]);
        assert_eq!(due(&mut untold, "b"), [1, 2]);
        let many = u32::try_from(GUESSES_TO_TELL_MAX).unwrap();
        (0..=many).for_each(|cell| untold.add(guess(cell)));
        assert_eq!(due(&mut untold, "a"), (1..=many).collect::<Vec<_>>());
        assert_eq!(due(&mut untold, "b").len(), GUESSES_TO_TELL_MAX);
    }
}
