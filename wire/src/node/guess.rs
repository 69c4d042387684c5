//! Wrong passwords, so that the limits of guessing are those of the cell and not of each node.

use crate::limits::{GUESS_KINDS_MAX, GUESS_ROWS};
use crate::message::{Check, at_most};
use rkyv::{Archive, Deserialize, Serialize};

/// A password was wrong that somebody tried at the node which says so. Neither whose it was nor
/// from where is said: only where it is counted, which is the same at every node of a cell.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct WrongGuess {
    /// At most [`GUESS_KINDS_MAX`].
    pub places: Vec<GuessedAt>,
}

/// Where one of the limits counts it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct GuessedAt {
    /// Which limit.
    pub kind: u8,
    /// The counter in each row.
    pub cells: [u32; GUESS_ROWS],
}

impl Check for WrongGuess {
    fn check(&self) -> Result<(), &'static str> {
        at_most("places", self.places.len(), GUESS_KINDS_MAX)
    }
}
