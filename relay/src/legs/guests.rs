//! Where terminals are seen: tells which addresses gain a leg or lose one, for whoever lets only
//! those in.

use super::slots::Slot;
use super::table::LegTable;
use kakehashi_wire::media::Host;

/// A change of who has legs here. [`Host::UNKNOWN`] is never told.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Guest {
    /// A terminal seen at this address has one leg more.
    Comes(Host),
    /// It has one leg less.
    Goes(Host),
}

impl LegTable {
    /// What has changed since this was called last, in its order.
    pub fn guests(&mut self) -> impl Iterator<Item = Guest> {
        self.guests.drain(..)
    }

    /// The terminal of a leg is seen there; not knowing where changes nothing.
    pub(super) fn see(&mut self, slot: Slot, seen_at: Host) {
        let Some(leg) = self.legs.get_mut(slot) else { return };
        if seen_at == Host::UNKNOWN || leg.seen_at == seen_at {
            return;
        }
        let before = core::mem::replace(&mut leg.seen_at, seen_at);
        self.guests.push(Guest::Comes(seen_at));
        self.unsee(before);
    }

    /// A leg is no longer seen there.
    pub(super) fn unsee(&mut self, seen_at: Host) {
        if seen_at != Host::UNKNOWN {
            self.guests.push(Guest::Goes(seen_at));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Phone, World};
    use crate::tick::Tick;
    use Guest::{Comes, Goes};
    use core::net::IpAddr;
    use kakehashi_wire::id::{Generation, LegId};
    use kakehashi_wire::relay::{InstallLeg, Order, Outcome, RemoveLeg, RenewLeg};

    fn host(last: u8) -> Host {
        IpAddr::from([192, 0, 2, last]).into()
    }

    fn install(leg: u64, generation: u64, seen_at: Host) -> Order {
        Order::Install(InstallLeg { seen_at, ..Phone::new(leg, 1).install(generation) })
    }

    fn told(world: &mut World, order: Order) -> Vec<Guest> {
        assert_eq!(world.legs.apply(order, world.now).outcome, Outcome::Applied);
        world.legs.guests().collect()
    }

    #[test]
    fn an_address_is_told_with_its_leg_and_its_moves() {
        let mut world = World::new(4);
        let leg = Phone::new(1, 1).install(1).leg;
        let renew = |generation, seen_at| {
            let generation = Generation(generation);
            Order::Renew(RenewLeg { leg, generation, lifetime_ms: 60_000, seen_at })
        };
        assert_eq!(told(&mut world, install(1, 1, host(1))), [Comes(host(1))]);
        assert_eq!(told(&mut world, renew(2, host(1))), []);
        assert_eq!(told(&mut world, renew(3, Host::UNKNOWN)), [], "nobody says that it moved");
        assert_eq!(told(&mut world, renew(4, host(2))), [Comes(host(2)), Goes(host(1))]);
        // The same leg stated once more, and another life of it.
        assert_eq!(told(&mut world, install(1, 5, host(3))), [Comes(host(3)), Goes(host(2))]);
        let mut other = Phone::new(1, 1).install(6);
        other.relay_password = kakehashi_wire::secret::IcePassword::from_random([9; 24]);
        other.seen_at = host(4);
        assert_eq!(told(&mut world, Order::Install(other)), [Comes(host(4)), Goes(host(3))]);
        let remove = Order::Remove(RemoveLeg { leg, generation: Generation(7) });
        assert_eq!(told(&mut world, remove), [Goes(host(4))]);
    }

    #[test]
    fn a_leg_that_is_refused_or_of_an_unknown_terminal_says_nothing() {
        let mut world = World::new(4);
        assert_eq!(told(&mut world, install(1, 1, Host::UNKNOWN)), []);
        let stale = world.legs.apply(install(1, 1, host(1)), world.now);
        assert_eq!(stale.outcome, Outcome::Unchanged);
        assert_eq!(world.legs.guests().collect::<Vec<_>>(), []);
        assert_eq!(told(&mut world, install(1, 2, host(1))), [Comes(host(1))]);
    }

    #[test]
    fn legs_that_end_by_themselves_are_told_too() {
        let mut world = World::new(4);
        assert_eq!(told(&mut world, install(1, 1, host(1))), [Comes(host(1))]);
        world.legs.sweep(Tick(u64::MAX), |_| true);
        assert_eq!(world.legs.guests().collect::<Vec<_>>(), [Goes(host(1))]);
        assert!(world.legs.find(LegId(1)).is_none());
    }
}
