//! Numbers that order the orders. They never go back, not even after a crash: a block of them is
//! reserved in the store before the first is used.

use kakehashi_wire::id::Generation;
use std::ops::Range;

/// The reserved generations that are left.
#[derive(Debug)]
pub struct Generations(Range<u64>);

impl Generations {
    /// Hands out `reserved`, of which nothing was used before.
    pub fn new(reserved: Range<u64>) -> Self {
        Self(reserved)
    }

    /// A generation above all that came before; `None` once the block is used up.
    pub fn draw(&mut self) -> Option<Generation> {
        self.0.next().map(Generation)
    }
}
