//! Whose media the first gate lets in: that of addresses at which a terminal with a leg here is
//! seen. One for all shards of the relay.

use super::Gate;
use crate::legs::Guest;
use aya::maps::MapError;
use kakehashi_wire::media::Host;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, PoisonError};

/// The addresses that are let in.
pub(crate) struct Admission {
    gate: Arc<Gate>,
    /// How many legs are seen at each, over all shards; none has 0.
    legs: Mutex<HashMap<Host, u32>>,
}

impl Admission {
    /// Nobody is let in yet.
    pub(crate) fn new(gate: Arc<Gate>) -> Self {
        Self { gate, legs: Mutex::default() }
    }

    /// Legs of a shard have come and gone.
    pub(crate) fn note(&self, guests: impl Iterator<Item = Guest>) {
        let mut guests = guests.peekable();
        if guests.peek().is_none() {
            return;
        }
        // Whoever panicked in between left counts that are right, and at worst one address that is
        // let in for nothing.
        let mut legs = self.legs.lock().unwrap_or_else(PoisonError::into_inner);
        for guest in guests {
            if let Err(error) = self.change(&mut legs, guest) {
                tracing::error!(%error, "the first gate does not follow the legs of a terminal");
            }
        }
    }

    /// The gate is told of the first leg of an address and of the last.
    fn change(&self, legs: &mut HashMap<Host, u32>, guest: Guest) -> Result<(), MapError> {
        match guest {
            Guest::Comes(host) => match legs.entry(host) {
                Entry::Occupied(mut there) => *there.get_mut() += 1,
                Entry::Vacant(new) => {
                    self.gate.let_in(host)?;
                    new.insert(1);
                }
            },
            Guest::Goes(host) => {
                let Some(count) = legs.get_mut(&host) else { return Ok(()) };
                *count -= 1;
                if *count == 0 {
                    legs.remove(&host);
                    self.gate.shut_out(host)?;
                }
            }
        }
        Ok(())
    }
}
