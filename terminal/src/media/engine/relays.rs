//! The relays of a round may change while it goes on: one was lost and replaced, or is to be left.

use super::super::binding::Binding;
use super::super::downlink::Downlink;
use super::Engine;
use crate::capacity::{LEFT_RELAYS_MAX, ROUND_KEPT};
use crate::clock::Moment;
use core::net::SocketAddr;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::terminal::PathsChanged;

/// What is known of the call's relays beside their bindings.
pub(super) struct Relays {
    /// Everything goes over all of them.
    pub(super) hitless: bool,
    /// Of all bindings (RFC 8445 5.2).
    tie_breaker: u64,
    /// Those that control took from the call a moment ago.
    pub(super) left: Vec<LeftPath>,
}

impl Relays {
    pub(super) fn new(hitless: bool, tie_breaker: u64) -> Self {
        Self { hitless, tie_breaker, left: Vec::new() }
    }
}

/// A relay that control took from the call. What the others have sent over it is still to come.
pub(super) struct LeftPath {
    address: SocketAddr,
    downlink: Option<Downlink>,
    until: Moment,
}

impl LeftPath {
    /// What it seals for this terminal; `None` in the pass lane.
    pub(super) fn downlink(&mut self) -> Option<&mut Downlink> {
        self.downlink.as_mut()
    }
}

/// Which way a packet came.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Way {
    /// Over this path of the call.
    Path(usize),
    /// Over this one of those that were left.
    Left(usize),
}

impl Way {
    /// What opens a packet that came this way in the seal lane.
    pub(super) fn downlink<'a>(
        self,
        paths: &'a mut [Option<Downlink>],
        left: &'a mut [LeftPath],
    ) -> Option<&'a mut Downlink> {
        match self {
            Self::Path(path) => paths.get_mut(path)?.as_mut(),
            Self::Left(path) => left.get_mut(path)?.downlink(),
        }
    }
}

impl Engine {
    /// The round goes over other relays from now on. Those that are there still keep their bindings
    /// and what is known of them; a list of none changes nothing.
    pub fn change_paths(&mut self, changed: &PathsChanged, now: Moment) {
        if changed.paths.is_empty() {
            return;
        }
        let mut bindings: Vec<_> = self.bindings.drain(..).map(Some).collect();
        let mut downlinks: Vec<_> = self.downlinks.drain(..).collect();
        let mut from = Vec::with_capacity(changed.paths.len());
        for path in &changed.paths {
            let is_it = |it: &Option<Binding>| it.as_ref().is_some_and(|it| it.leg() == path.leg);
            let before = bindings.iter().position(is_it);
            let kept = before.and_then(|at| bindings[at].take());
            from.push(before);
            self.bindings.push(match kept {
                Some(kept) => kept.as_now(path.role),
                None => Binding::new(path, self.relays.tie_breaker, now),
            });
            let downlink = before.and_then(|at| downlinks[at].take());
            let rollovers = || self.members.iter().flat_map(|member| member.plans_now());
            self.downlinks.push(downlink.or_else(|| Downlink::new(path, rollovers())));
        }
        for (binding, downlink) in bindings.into_iter().zip(downlinks) {
            let Some(binding) = binding else { continue };
            let (address, until) = (binding.address(), now.plus(ROUND_KEPT));
            self.relays.left.push(LeftPath { address, downlink, until });
        }
        let excess = self.relays.left.len().saturating_sub(LEFT_RELAYS_MAX);
        self.relays.left.drain(..excess);
        self.relays.hitless = changed.hitless;
        self.mover.renumber(&from, now);
        self.handle_timeout(now);
    }

    /// Whether a relay at this address was left a moment ago.
    pub(super) fn has_left(&self, from: SocketAddr) -> bool {
        self.relays.left.iter().any(|left| left.address == from)
    }

    /// Takes a datagram from whoever is no relay of the call, or no more.
    pub(super) fn take_late(&mut self, from: SocketAddr, datagram: &mut [u8], now: Moment) {
        self.relays.left.retain(|left| now < left.until);
        let Some(at) = self.relays.left.iter().position(|left| left.address == from) else {
            self.drops.foreign_source += 1;
            return;
        };
        let taken = match DatagramKind::of(datagram) {
            DatagramKind::Rtp => self.rtp(Way::Left(at), datagram, now),
            DatagramKind::Rtcp => self.rtcp(Way::Left(at), datagram, now),
            DatagramKind::Stun | DatagramKind::Foreign => {
                self.drops.foreign_source += 1;
                return;
            }
        };
        match taken {
            Ok(()) => self.advance(now),
            Err(reason) => self.drops.refused(reason),
        }
    }
}
