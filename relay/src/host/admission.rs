//! From where media is let in: from addresses at which a terminal with a leg here is seen. One for
//! all shards of the relay; the doors are the NIC's first gate and the machine's packet filter.

use crate::legs::Guest;
use kakehashi_wire::media::Host;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// What keeps media out unless it comes from the right place. None of its calls waits, and what it
/// cannot do it logs: there is nothing that a leg could do about it.
pub(crate) trait Door: Send + Sync {
    /// Lets media from this address in.
    fn let_in(&self, host: Host);

    /// Lets it in no more.
    fn shut_out(&self, host: Host);
}

/// The addresses that are let in.
pub(crate) struct Admission {
    doors: Vec<Arc<dyn Door>>,
    /// How many legs are seen at each, over all shards; none has 0.
    legs: Mutex<HashMap<Host, u32>>,
}

impl Admission {
    /// Nobody is let in through these doors yet; none if there is no door.
    pub(crate) fn new(doors: Vec<Arc<dyn Door>>) -> Option<Arc<Self>> {
        (!doors.is_empty()).then(|| Arc::new(Self { doors, legs: Mutex::default() }))
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
        guests.for_each(|guest| self.change(&mut legs, guest));
    }

    /// The doors are told of the first leg of an address and of the last.
    fn change(&self, legs: &mut HashMap<Host, u32>, guest: Guest) {
        match guest {
            Guest::Comes(host) => {
                let count = legs.entry(host).or_default();
                *count += 1;
                if *count == 1 {
                    self.doors.iter().for_each(|door| door.let_in(host));
                }
            }
            Guest::Goes(host) => {
                let Some(count) = legs.get_mut(&host) else { return };
                *count -= 1;
                if *count == 0 {
                    legs.remove(&host);
                    self.doors.iter().for_each(|door| door.shut_out(host));
                }
            }
        }
    }
}
