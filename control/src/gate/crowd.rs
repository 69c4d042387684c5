//! Who may begin a handshake: limits for all, and for each address.
//!
//! Sources can be forged until they have answered (RFC 9000 8.1), so forged first packets must
//! not use up what an address may have: above half of it the address proves itself first.

use crate::capacity::{CONNECTIONS_MAX, HALF_OPEN_MAX};
use crate::site::Site;
use std::collections::HashMap;
use std::collections::hash_map::Entry as Slot;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

/// How many there may be.
#[derive(Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) connections: usize,
    pub(crate) half_open: usize,
    pub(crate) per_address: u32,
}

impl Limits {
    /// The node's, with the operator's choice for one address.
    pub(crate) fn with_per_address(per_address: u32) -> Self {
        Self { connections: CONNECTIONS_MAX, half_open: HALF_OPEN_MAX, per_address }
    }
}

/// What becomes of a first packet.
pub(crate) enum Entry {
    /// The handshake begins.
    Admit(Place),
    /// It must first prove that it is where it says (Retry, RFC 9000 8.1.2).
    Prove,
    /// No more from there, or at all.
    Refuse,
}

/// All who are connected or about to be.
pub(crate) struct Crowd {
    limits: Limits,
    counts: Mutex<Counts>,
}

/// Has an entry only for sites with a place, so at most [`CONNECTIONS_MAX`].
#[derive(Default)]
struct Counts {
    half_open: usize,
    places: usize,
    of: HashMap<Site, u32>,
}

impl Crowd {
    pub(crate) fn new(limits: Limits) -> Arc<Self> {
        Arc::new(Self { limits, counts: Mutex::default() })
    }

    /// Decides about a first packet from `address`, which is `proven` if it answered a Retry.
    pub(crate) fn enter(self: &Arc<Self>, address: IpAddr, proven: bool) -> Entry {
        let site = Site::of(address);
        let limits = self.limits;
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let held = counts.of.get(&site).copied().unwrap_or(0);
        if counts.places >= limits.connections || held >= limits.per_address {
            return Entry::Refuse;
        }
        let is_crowded =
            counts.half_open >= limits.half_open || held >= limits.per_address.div_ceil(2);
        if is_crowded && !proven {
            return Entry::Prove;
        }
        counts.half_open += 1;
        counts.places += 1;
        *counts.of.entry(site).or_default() += 1;
        Entry::Admit(Place { crowd: Arc::clone(self), site, is_half_open: true })
    }
}

/// One connection's place, from its first packet until it is dropped.
pub(crate) struct Place {
    crowd: Arc<Crowd>,
    site: Site,
    is_half_open: bool,
}

impl Place {
    /// The handshake is over.
    pub(super) fn connected(&mut self) {
        if std::mem::take(&mut self.is_half_open) {
            let mut counts = self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
            counts.half_open -= 1;
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connected();
        let mut counts = self.crowd.counts.lock().unwrap_or_else(PoisonError::into_inner);
        counts.places -= 1;
        if let Slot::Occupied(mut held) = counts.of.entry(self.site) {
            *held.get_mut() -= 1;
            if *held.get() == 0 {
                held.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn limits(connections: usize, half_open: usize, per_address: u32) -> Arc<Crowd> {
        Crowd::new(Limits { connections, half_open, per_address })
    }

    fn admit(crowd: &Arc<Crowd>, address: &str, proven: bool) -> Place {
        match crowd.enter(ip(address), proven) {
            Entry::Admit(place) => place,
            Entry::Prove => panic!("{address} must prove itself"),
            Entry::Refuse => panic!("{address} is refused"),
        }
    }

    #[test]
    fn an_address_gets_its_share_half_of_it_unproven_and_no_other_suffers() {
        let crowd = limits(100, 100, 4);
        let mut places = vec![admit(&crowd, "192.0.2.1", false), admit(&crowd, "192.0.2.1", false)];
        assert!(matches!(crowd.enter(ip("192.0.2.1"), false), Entry::Prove));
        places.push(admit(&crowd, "192.0.2.1", true));
        places.push(admit(&crowd, "192.0.2.1", true));
        for proven in [false, true] {
            assert!(matches!(crowd.enter(ip("192.0.2.1"), proven), Entry::Refuse));
            assert!(matches!(crowd.enter(ip("::ffff:192.0.2.1"), proven), Entry::Refuse));
        }
        drop(admit(&crowd, "192.0.2.2", false));
        places.iter_mut().for_each(Place::connected);
        places.pop();
        drop(admit(&crowd, "192.0.2.1", true));
        drop(places);
        let counts = crowd.counts.lock().unwrap();
        assert!(counts.of.is_empty() && counts.places == 0 && counts.half_open == 0);
    }

    #[test]
    fn of_ipv6_a_whole_network_is_one_address() {
        let crowd = limits(100, 100, 2);
        let _one = admit(&crowd, "2001:db8:0:1::1", true);
        let _two = admit(&crowd, "2001:db8:0:1:ffff::2", true);
        assert!(matches!(crowd.enter(ip("2001:db8:0:1::3"), true), Entry::Refuse));
        let _other = admit(&crowd, "2001:db8:0:2::1", true);
    }

    #[test]
    fn many_half_open_ask_for_proof_and_too_many_are_refused() {
        let crowd = limits(3, 1, 100);
        let mut first = admit(&crowd, "192.0.2.1", false);
        assert!(matches!(crowd.enter(ip("192.0.2.2"), false), Entry::Prove));
        let _second = admit(&crowd, "192.0.2.2", true);
        first.connected();
        drop(first);
        assert!(matches!(crowd.enter(ip("192.0.2.3"), false), Entry::Prove));
        let _third = admit(&crowd, "192.0.2.3", true);
        let _fourth = admit(&crowd, "192.0.2.4", true);
        assert!(matches!(crowd.enter(ip("192.0.2.5"), true), Entry::Refuse));
    }
}
