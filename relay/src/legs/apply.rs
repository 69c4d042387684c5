//! Orders: what each does to the table, and what is answered.
//!
//! An order counts only if its generation is higher than the last one applied to its leg. With
//! `<`, `=`, `>` for the order's generation against that one:
//!
//! | order | leg installed | leg removed before | leg never seen |
//! |---|---|---|---|
//! | install | `<` Stale, `=` Unchanged, `>` Applied | `<` `=` Stale, `>` Applied | Applied |
//! | renew | `<` Stale, `=` Unchanged, `>` Applied | `<` `=` Stale, `>` NoSuchLeg | NoSuchLeg |
//! | remove | `<` Stale, `=` BadOrder, `>` Applied | `<` Stale, `=` `>` Unchanged | Unchanged |
//! | subscribe | `<` Stale, `=` Unchanged, `>` Applied | `<` `=` Stale, `>` NoSuchLeg | NoSuchLeg |
//!
//! An installation is a whole statement of what is wanted. If the leg is there and is equal in
//! call, keys, streams and lane, its life goes on: address, replay windows and everything sealed
//! stay as they are, and only generation, rate, lifetime, where its terminal is seen and what it
//! receives follow the order. So whoever begins to order can state every leg without harm to any.
//!
//! A removal is remembered even if there was nothing to remove: it may have overtaken the order
//! that installs. A removal under the very generation that installed the leg contradicts it. A leg
//! that ended or fell to a resync was not removed by an order, so nothing of it is remembered and
//! the same order may install it again.
//!
//! Not so a leg of the seal lane: its keys come from the order's generation, and have sealed.
//! However it went, also into the pass lane, its generation is remembered, and once it is not any
//! more, no order of that age is believed. A newer order for a living leg that wants another key,
//! stream or lane begins another life with other keys.

use super::bucket::Bucket;
use super::downlink::Downlink;
use super::latch::Latch;
use super::leg::{Hot, Leg, Passwords};
use super::slots::Slot;
use super::streams::Streams;
use super::table::{Identity, LegTable};
use crate::tick::Tick;
use core::cmp::Ordering;
use kakehashi_srtp::SessionKeys;
use kakehashi_wire::id::{Epoch, Generation, LegId};
use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    InstallLeg, LegLane, LegStream, Order, OrderResult, Outcome, RemoveLeg, RenewLeg, SealLane,
    SubscribeLeg, Subscription,
};

/// The leg and the generation an order names.
pub fn subject(order: &Order) -> (LegId, Generation) {
    match order {
        Order::Install(order) => (order.leg, order.generation),
        Order::Renew(order) => (order.leg, order.generation),
        Order::Remove(order) => (order.leg, order.generation),
        Order::Subscribe(order) => (order.leg, order.generation),
    }
}

impl LegTable {
    /// Carries out one order. Applying the same one twice changes nothing.
    pub fn apply(&mut self, order: Order, now: Tick) -> OrderResult {
        let (leg, generation) = subject(&order);
        let slot = self.find_living(leg, now);
        let silent_ms = match &order {
            Order::Remove(_) => slot.and_then(|slot| self.leg(slot)?.silent_ms(now)),
            Order::Install(_) | Order::Renew(_) | Order::Subscribe(_) => None,
        };
        let outcome = match order {
            Order::Install(order) => self.install(slot, order, now),
            Order::Renew(order) => self.renew(slot, order, now),
            Order::Remove(order) => self.remove_by_order(slot, order),
            Order::Subscribe(order) => self.subscribe(slot, &order),
        };
        let held = self.find(leg).and_then(|slot| self.leg(slot));
        let life = held.map_or(Generation(0), Leg::life);
        OrderResult { leg, generation, outcome, life, silent_ms }
    }

    /// The place of a leg. One whose time is over is swept first: an order meets a whole leg or
    /// none.
    fn find_living(&mut self, leg: LegId, now: Tick) -> Option<Slot> {
        let slot = self.find(leg)?;
        let living = self.leg(slot).is_some_and(|leg| !leg.has_ended(now));
        if !living {
            self.remove(slot);
        }
        living.then_some(slot)
    }

    fn install(&mut self, slot: Option<Slot>, order: InstallLeg, now: Tick) -> Outcome {
        self.sweep_owners(&order.streams, now);
        let checked = self.check_age(slot, order.leg, order.generation);
        if let Some(outcome) = checked.or_else(|| self.check_install(slot, &order)) {
            return outcome;
        }
        let applied = match slot {
            Some(slot) if self.is_equal(slot, &order) => self.keep_living(slot, order, now),
            Some(slot) => self.replace(slot, order, now),
            None => self.insert(order, now),
        };
        if applied.is_some() { Outcome::Applied } else { Outcome::NoRoom }
    }

    /// A leg whose time is over keeps no SSRC from another.
    fn sweep_owners(&mut self, streams: &[LegStream], now: Tick) {
        for stream in streams {
            let owner = self.find_stream(stream.ssrc).map(|(owner, _)| owner);
            let ended = |slot: &Slot| self.leg(*slot).is_some_and(|leg| leg.has_ended(now));
            if let Some(owner) = owner.filter(ended) {
                self.remove(owner);
            }
        }
    }

    /// `None` if the generation is higher than what the leg has seen.
    fn check_age(&self, slot: Option<Slot>, leg: LegId, generation: Generation) -> Option<Outcome> {
        if let Some(installed) = slot.and_then(|slot| self.leg(slot)) {
            return match generation.cmp(&installed.generation) {
                Ordering::Less => Some(Outcome::Stale),
                Ordering::Equal => Some(Outcome::Unchanged),
                Ordering::Greater => None,
            };
        }
        let removed = self.tombstones.get(leg)?;
        (generation <= removed).then_some(Outcome::Stale)
    }

    /// `None` if nothing but room stands against the order.
    fn check_install(&self, slot: Option<Slot>, order: &InstallLeg) -> Option<Outcome> {
        let streams = &order.streams;
        let repeats = |(at, stream): (usize, &LegStream)| {
            streams[..at].iter().any(|earlier| earlier.ssrc == stream.ssrc)
        };
        let doubled = streams.iter().enumerate().any(repeats);
        let other_call = slot.is_some_and(|slot| self.call_of(slot) != Some(order.call));
        let none_or_many = !(1..=STREAMS_PER_LEG_MAX).contains(&streams.len());
        if none_or_many || doubled || other_call || order.lifetime_ms == 0 {
            return Some(Outcome::BadOrder);
        }
        let taken = |ssrc| self.find_stream(ssrc).is_some_and(|(owner, _)| Some(owner) != slot);
        if streams.iter().any(|stream| taken(stream.ssrc)) {
            return Some(Outcome::SsrcTaken);
        }
        let seals = sealing(&order.lane).is_some();
        let receives = order.receives.as_deref().unwrap_or_default();
        if is_ambiguous(receives) || (!seals && renames(receives)) {
            return Some(Outcome::BadOrder);
        }
        let living = slot.and_then(|slot| self.leg(slot)?.downlink());
        if seals && living.is_none() && order.generation <= self.tombstones.forgotten() {
            return Some(Outcome::Stale);
        }
        let full = !self.legs.has_room() || !self.calls.has_room(order.call);
        (slot.is_none() && full).then_some(Outcome::NoRoom)
    }

    /// Whether the leg is what an order wants. Its call is: see
    /// [`check_install`](Self::check_install).
    fn is_equal(&self, slot: Slot, order: &InstallLeg) -> bool {
        self.leg(slot).is_some_and(|leg| {
            leg.lane.as_deref() == sealing(&order.lane)
                && leg.passwords.relay == order.relay_password
                && leg.passwords.terminal == order.terminal_password
                && leg.streams.are(&order.key, &order.streams)
        })
    }

    /// The leg's life goes on.
    fn keep_living(&mut self, slot: Slot, order: InstallLeg, now: Tick) -> Option<()> {
        let leg = self.legs.get_mut(slot)?;
        leg.generation = order.generation;
        leg.hot.ends = now.after_ms(u64::from(order.lifetime_ms));
        leg.hot.bucket.set_rate(order.rate_kbps, now);
        let receives = order.receives.map(Vec::into_boxed_slice);
        if leg.subscriptions != receives {
            leg.subscriptions = receives;
            self.connect_senders(slot);
        }
        self.see(slot, order.seen_at);
        Some(())
    }

    /// Address and, under the same key, replay state of the leg stay.
    fn replace(&mut self, slot: Slot, order: InstallLeg, now: Tick) -> Option<()> {
        let (provider, downlink) = (self.provider, self.downlink(&order));
        let leg = self.legs.get_mut(slot)?;
        if leg.downlink.is_some() && downlink.is_none() {
            // The leg may go without a trace now; that its keys have sealed is remembered.
            self.tombstones.set(leg.id, leg.generation);
        }
        for (_, ssrc) in leg.streams.ssrcs() {
            self.streams.remove(ssrc);
        }
        leg.streams.replace(provider, order.key, &order.streams, &mut self.births);
        (leg.generation, leg.life) = (order.generation, order.generation);
        leg.lane = sealing(&order.lane).cloned().map(Box::new);
        leg.subscriptions = order.receives.map(Vec::into_boxed_slice);
        leg.passwords =
            Passwords { relay: order.relay_password, terminal: order.terminal_password };
        leg.hot.ends = now.after_ms(u64::from(order.lifetime_ms));
        leg.hot.bucket.set_rate(order.rate_kbps, now);
        leg.downlink = downlink;
        self.see(slot, order.seen_at);
        self.connect(slot);
        Some(())
    }

    fn insert(&mut self, order: InstallLeg, now: Tick) -> Option<()> {
        let id = order.leg;
        // The call has to name the leg's place and the leg the call's: the call is told first.
        let slot = self.legs.next_slot()?;
        let (call, position) = self.calls.join(order.call, slot)?;
        let downlink = self.downlink(&order);
        let hot = Hot {
            latch: Latch::default(),
            ends: now.after_ms(u64::from(order.lifetime_ms)),
            bucket: Bucket::new(order.rate_kbps, now),
            last_sent: now.stamp(),
            call,
            position,
            has_sent: false,
        };
        let leg = Leg {
            hot,
            streams: Streams::new(self.provider, order.key, &order.streams, &mut self.births),
            id,
            generation: order.generation,
            life: order.generation,
            lane: sealing(&order.lane).cloned().map(Box::new),
            passwords: Passwords { relay: order.relay_password, terminal: order.terminal_password },
            downlink,
            subscriptions: order.receives.map(Vec::into_boxed_slice),
            seen_at: Host::UNKNOWN,
        };
        let placed = self.legs.insert(leg);
        debug_assert_eq!(placed, Some(slot), "nothing came between next_slot and insert");
        self.places.insert(id, slot);
        self.see(slot, order.seen_at);
        self.connect(slot);
        Some(())
    }

    /// The seal lane an order begins.
    fn downlink(&self, order: &InstallLeg) -> Option<Box<Downlink>> {
        let lane = sealing(&order.lane)?;
        let Identity { relay, incarnation } = self.identity;
        let epoch = Epoch { incarnation, generation: order.generation };
        let keys = SessionKeys::downlink(self.provider, lane.suite, &lane.secret, relay, epoch);
        Some(Box::new(Downlink::new(keys)))
    }

    /// Makes a leg's streams known, and who receives what of whom.
    fn connect(&mut self, slot: Slot) {
        let Some(leg) = self.legs.get(slot) else { return };
        for (stream, ssrc) in leg.streams.ssrcs() {
            self.streams.insert(ssrc, slot, stream);
        }
        let (call, position, sealed) = (leg.hot.call, leg.hot.position, leg.downlink.is_some());
        self.calls.set_sealed(call, position, sealed);
        let others = self.calls.others(call, position);
        for other in others.filter_map(|other| self.calls.leg(call, other)).collect::<Vec<_>>() {
            self.connect_pair(slot, other);
            self.connect_pair(other, slot);
        }
    }

    /// Settles which streams of `sender` the leg at `receiver` gets, and under which names.
    fn connect_pair(&mut self, sender: Slot, receiver: Slot) {
        let Some(from) = self.legs.get(sender) else { return };
        let (position, lived) = (from.hot.position, |stream| from.streams.life(stream));
        let streams: Vec<_> =
            from.streams.ssrcs().map(|(stream, ssrc)| (stream, ssrc, lived(stream))).collect();
        let Some(to) = self.legs.get_mut(receiver) else { return };
        let mut openable = false;
        for (stream, source, life) in streams {
            let shown_as = match &to.subscriptions {
                None => Some(source),
                Some(list) => list.iter().find(|it| it.source == source).map(|it| it.shown_as),
            };
            let shown = shown_as.map(|shown_as| Subscription { source, shown_as });
            openable |= to.downlink.is_some();
            let wanted = match (shown, to.downlink.as_deref_mut()) {
                (Some(shown), Some(downlink)) => downlink.show(shown, life),
                (shown, _) => shown.is_some(),
            };
            let (call, receiver) = (to.hot.call, to.hot.position);
            self.calls.set_wanted(call, receiver, (position, stream), wanted);
        }
        if openable && let Some(from) = self.legs.get_mut(sender) {
            from.streams.be_openable(self.provider);
        }
    }

    fn renew(&mut self, slot: Option<Slot>, order: RenewLeg, now: Tick) -> Outcome {
        if let Some(outcome) = self.check_age(slot, order.leg, order.generation) {
            return outcome;
        }
        let Some((slot, leg)) = slot.and_then(|slot| Some((slot, self.legs.get_mut(slot)?))) else {
            return Outcome::NoSuchLeg;
        };
        if order.lifetime_ms == 0 {
            return Outcome::BadOrder;
        }
        leg.generation = order.generation;
        leg.hot.ends = now.after_ms(u64::from(order.lifetime_ms));
        self.see(slot, order.seen_at);
        Outcome::Applied
    }

    fn subscribe(&mut self, slot: Option<Slot>, order: &SubscribeLeg) -> Outcome {
        if let Some(outcome) = self.check_age(slot, order.leg, order.generation) {
            return outcome;
        }
        let Some((slot, leg)) = slot.and_then(|slot| Some((slot, self.legs.get_mut(slot)?))) else {
            return Outcome::NoSuchLeg;
        };
        if is_ambiguous(&order.streams) || (renames(&order.streams) && leg.downlink.is_none()) {
            return Outcome::BadOrder;
        }
        leg.generation = order.generation;
        leg.subscriptions = Some(order.streams.as_slice().into());
        self.connect_senders(slot);
        Outcome::Applied
    }

    /// Settles anew what the leg at `slot` gets of the others of its call.
    fn connect_senders(&mut self, slot: Slot) {
        for other in self.others(slot).collect::<Vec<_>>() {
            self.connect_pair(other, slot);
        }
    }

    fn remove_by_order(&mut self, slot: Option<Slot>, order: RemoveLeg) -> Outcome {
        let removed = self.tombstones.get(order.leg);
        match (self.check_age(slot, order.leg, order.generation), slot) {
            (Some(Outcome::Unchanged), _) => Outcome::BadOrder,
            (Some(_), None) if removed == Some(order.generation) => Outcome::Unchanged,
            (Some(outcome), _) => outcome,
            (None, slot) => {
                slot.into_iter().for_each(|slot| self.remove(slot));
                self.tombstones.set(order.leg, order.generation);
                if slot.is_some() { Outcome::Applied } else { Outcome::Unchanged }
            }
        }
    }
}

/// What a leg is to be sealed with; `None` in the pass lane.
const fn sealing(lane: &LegLane) -> Option<&SealLane> {
    match lane {
        LegLane::Pass => None,
        LegLane::Seal(lane) => Some(lane),
    }
}

/// Whether a stream is to arrive under another name than its own.
fn renames(streams: &[Subscription]) -> bool {
    streams.iter().any(|stream| stream.source != stream.shown_as)
}

/// Whether a source or a name stands in a list twice.
fn is_ambiguous(streams: &[Subscription]) -> bool {
    streams.iter().enumerate().any(|(at, stream)| {
        let repeats = |earlier: &Subscription| {
            earlier.source == stream.source || earlier.shown_as == stream.shown_as
        };
        streams[..at].iter().any(repeats)
    })
}
