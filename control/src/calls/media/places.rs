//! The relays of a round while it goes on. One may be replaced: its legs are drawn and installed
//! first, then the members are told, and the one that is left keeps its legs for a moment.

use super::{CallMedia, Place, member_leg};
use crate::capacity::ROUND_KEPT;
use crate::entropy::Entropy;
use crate::placement::Seat;
use kakehashi_wire::id::{LegId, RelayId};
use kakehashi_wire::media::{Address, RelayPath};
use rkyv::with::Skip;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How a relay stands in a round.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Tenure {
    /// The members send over it, or could.
    InUse {
        /// Since when they know it.
        #[rkyv(with = Skip)]
        since: Duration,
    },
    /// It is being told of the legs; the members know nothing of it.
    Joining {
        /// Since when.
        #[rkyv(with = Skip)]
        since: Duration,
    },
    /// The members have been told to leave it.
    Leaving {
        /// Until when it keeps the legs.
        #[rkyv(with = Skip)]
        until: Duration,
    },
}

impl Tenure {
    pub(super) const fn is_in_use(self) -> bool {
        matches!(self, Self::InUse { .. })
    }

    /// Whether members have been told of legs there.
    pub(super) const fn is_known(self) -> bool {
        !matches!(self, Self::Joining { .. })
    }
}

/// How a call would outlive one of its relays as it stands now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protected {
    /// Without losing a packet: its terminals send over both relays.
    Hitless,
    /// With a gap: its terminals go over to the other relay.
    Standard,
    /// Not at all: it has one relay.
    None,
}

/// A relay that is being told of a round's legs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Joining {
    /// Which relay of the round it is.
    pub nth: usize,
    /// Where the legs are to live.
    pub seat: Seat,
    /// Since when it is told.
    pub since: Duration,
}

/// A relay that the members know and may use.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InUse {
    /// Which relay of the round it is.
    pub nth: usize,
    /// Where the legs live.
    pub seat: Seat,
    /// Since when the members know it.
    pub since: Duration,
}

impl CallMedia {
    /// Another core has taken the call up at `now`; a relay that was to be left keeps its legs
    /// until everybody may be back.
    pub(in crate::calls) fn restart(&mut self, now: Duration, until: Duration) {
        for place in &mut self.places {
            place.tenure = match place.tenure {
                Tenure::InUse { .. } => Tenure::InUse { since: now },
                Tenure::Joining { .. } => Tenure::Joining { since: now },
                Tenure::Leaving { .. } => Tenure::Leaving { until },
            };
        }
    }

    /// The relays that the members know and may use, primary first.
    pub fn in_use(&self) -> impl Iterator<Item = InUse> + '_ {
        self.places.iter().enumerate().filter_map(|(nth, place)| match place.tenure {
            Tenure::InUse { since } => Some(InUse { nth, seat: place.seat, since }),
            _ => None,
        })
    }

    /// The relay that is being told.
    pub fn joining(&self) -> Option<Joining> {
        self.places.iter().enumerate().find_map(|(nth, place)| match place.tenure {
            Tenure::Joining { since } => Some(Joining { nth, seat: place.seat, since }),
            _ => None,
        })
    }

    /// How the call would outlive one of its relays.
    pub fn protection(&self) -> Protected {
        match self.in_use().count() {
            0 | 1 => Protected::None,
            // Each stream has its own name and numbers at both, in either lane: what comes over
            // both can be told to be one.
            _ if self.wants_hitless() => Protected::Hitless,
            _ => Protected::Standard,
        }
    }

    /// Whether its tenant wants that no packet is lost.
    pub fn wants_hitless(&self) -> bool {
        self.terms.hitless
    }

    /// Draws the members' legs at another relay. Returns which of the round it is.
    pub fn join(
        &mut self,
        (seat, address): (Seat, Address),
        now: Duration,
        entropy: &Entropy,
    ) -> usize {
        self.places.push(Place { seat, address, tenure: Tenure::Joining { since: now } });
        for member in self.members.iter_mut().flatten() {
            member.legs.push(member_leg(self.terms.seal, entropy));
        }
        self.places.len() - 1
    }

    /// The relay that was being told is in use from now on, as the standby of those that are.
    pub fn settle(&mut self, now: Duration) {
        if let Some(joining) = self.joining() {
            self.places[joining.nth].tenure = Tenure::InUse { since: now };
        }
    }

    /// The members leave their `nth` relay. It keeps the legs for a moment: what was sent over it
    /// may be under way.
    pub fn leave(&mut self, nth: usize, now: Duration) {
        if let Some(place) = self.places.get_mut(nth) {
            place.tenure = Tenure::Leaving { until: now + ROUND_KEPT };
        }
    }

    /// The members are to be told of other relays as soon as this is kept. Until then they use
    /// those that are to be left, too.
    pub fn change_is_to_be_told(&mut self, now: Duration) {
        self.untold.get_or_insert(now);
    }

    /// Since when the members are to be told of other relays.
    pub fn untold(&self) -> Option<Duration> {
        self.untold
    }

    /// The members are told now: from now on their time to leave runs.
    pub fn told(&mut self, now: Duration) {
        self.untold = None;
        for place in &mut self.places {
            if let Tenure::Leaving { until } = &mut place.tenure {
                *until = now + ROUND_KEPT;
            }
        }
    }

    /// Forgets relays whose moment is over at `now`. Returns the legs they are to drop.
    pub fn departed(&mut self, now: Duration) -> Vec<(RelayId, LegId)> {
        let is_over = |place: &Place| match place.tenure {
            Tenure::Leaving { until } => until <= now,
            _ => false,
        };
        let mut dropped = Vec::new();
        while let Some(nth) = self.places.iter().position(is_over) {
            let relay = self.places[nth].seat.relay;
            dropped.extend(self.legs_at(nth).map(|leg| (relay, leg)));
            self.drop_place(nth);
        }
        dropped
    }

    /// When the next relay that the members have left is to drop its legs.
    pub fn next_departure(&self) -> Option<Duration> {
        let untils = self.places.iter().filter_map(|place| match place.tenure {
            Tenure::Leaving { until } => Some(until),
            _ => None,
        });
        untils.min()
    }

    /// The paths of the `nth` member, with the lives noted last.
    pub fn paths_of(&self, nth: usize) -> Option<Vec<RelayPath>> {
        Some(self.paths(self.member(nth)?))
    }
}
