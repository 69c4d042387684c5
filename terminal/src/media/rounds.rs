//! The rounds of a call's media: the one in force, the next while it is being bound, and the one
//! before for as long as something may be under way. Pure.
//!
//! A round is an [`Engine`] of its own. The one in force goes on sending until the next may:
//! nothing is lost in between but what the network loses.

use super::engine::{Engine, Random};
use super::summary::CallSummary;
use super::{Arrival, MediaError, MediaEvent, Phase, Transmit};
use crate::capacity::{ROUND_KEPT, ROUNDS_OF_A_NUMBER_MAX};
use crate::clock::Moment;
use crate::congestion::RateLimits;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_srtp::SrtpError;
use kakehashi_wire::id::{Epoch, LegId, MemberId};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::terminal::{CallReady, Layer, Members, PathsChanged};

/// How long a call in which all others said goodbye waits for another round: they may have left
/// this one for that.
const ALONE_MOST: Duration = Duration::from_millis(500);

struct Coming {
    engine: Engine,
    ready: CallReady,
}

/// The rounds of a call.
pub struct Rounds {
    current: Engine,
    /// The number of the newest round that was begun.
    newest: u32,
    /// The sources of all rounds of that number.
    begun: Vec<Vec<Ssrc>>,
    next: Option<Coming>,
    last: Option<(Engine, Moment)>,
    /// Of all rounds before these.
    earlier: CallSummary,
    flowing_since: Option<Moment>,
    alone_since: Option<Moment>,
}

impl Rounds {
    /// The first round, as control said it.
    pub fn new(current: Engine, ready: &CallReady) -> Self {
        Self {
            current,
            newest: ready.round,
            begun: vec![ready.sources()],
            next: None,
            last: None,
            earlier: CallSummary::default(),
            flowing_since: None,
            alone_since: None,
        }
    }

    /// The round in force.
    pub fn current(&self) -> &Engine {
        &self.current
    }

    /// The same, to send.
    pub fn current_mut(&mut self) -> &mut Engine {
        &mut self.current
    }

    /// The next round is to be bound; one that was being bound is forgotten. A round that was begun
    /// before is not begun again: its keys would seal other packets under the same numbers. Another
    /// lead of control may begin one of the same number, with other keys and sources. Whether it is
    /// begun.
    ///
    /// # Errors
    /// [`MediaError`] if control's plan cannot be carried out; the round in force goes on.
    pub fn prepare(
        &mut self,
        ready: CallReady,
        limits: RateLimits,
        now: Moment,
        random: Random,
    ) -> Result<bool, MediaError> {
        let sources = ready.sources();
        if ready.round > self.newest {
            self.begun.clear();
        }
        let is_begun = self.begun.contains(&sources) || self.begun.len() >= ROUNDS_OF_A_NUMBER_MAX;
        if ready.round < self.newest || is_begun {
            return Ok(false);
        }
        self.newest = ready.round;
        self.begun.push(sources);
        let newest = self.next.as_ref().map_or(&self.current, |next| &next.engine);
        let engine = newest.next_round(&ready, now, random)?.with_rates(limits, now);
        self.next = Some(Coming { engine, ready });
        Ok(true)
    }

    /// The round that is being bound.
    pub fn next(&self) -> Option<&Engine> {
        self.next.as_ref().map(|next| &next.engine)
    }

    /// Does what is due at `now`. Returns what control said of a round that is in force since just
    /// now.
    pub fn handle_timeout(&mut self, now: Moment) -> Option<CallReady> {
        self.all_mut().for_each(|engine| engine.handle_timeout(now));
        if self.last.as_ref().is_some_and(|(_, until)| now >= *until) {
            self.forget_last(now);
        }
        if self.flowing_since.is_none() {
            self.flowing_since = self.current.flowing_since();
        }
        self.look_who_is_left(now);
        // Whoever is leaving goes into no other round.
        let goes_on = matches!(self.current.phase(), Phase::Lingering | Phase::Over);
        let coming = self.next.take_if(|next| next.engine.may_send() && !goes_on)?;
        self.forget_last(now);
        let before = core::mem::replace(&mut self.current, coming.engine);
        self.last = Some((before, now.plus(ROUND_KEPT)));
        Some(coming.ready)
    }

    fn look_who_is_left(&mut self, now: Moment) {
        if !self.current.everyone_left() || self.next.is_some() {
            self.alone_since = None;
        } else if self.alone_since.is_none() {
            self.alone_since = Some(now);
        }
    }

    fn forget_last(&mut self, now: Moment) {
        if let Some((last, _)) = self.last.take() {
            self.earlier = last.summary(now).after(&self.earlier);
        }
    }

    /// Whether everybody else has left, and not for another round.
    pub fn is_alone(&self, now: Moment) -> bool {
        self.alone_since.is_some_and(|since| now.since(since) >= ALONE_MOST)
    }

    /// Since when media has flowed in the call.
    pub fn flowing_since(&self) -> Option<Moment> {
        self.flowing_since
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called.
    pub fn next_deadline(&self) -> Option<Moment> {
        let engines = self.all().filter_map(Engine::next_deadline);
        let alone = self.alone_since.map(|since| since.plus(ALONE_MOST));
        engines.chain(self.last.as_ref().map(|(_, until)| *until)).chain(alone).min()
    }

    /// Gives a datagram to the round that it is of.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &mut [u8], now: Moment) {
        let other = self.next.as_mut().map(|next| &mut next.engine);
        let mut others = other.into_iter().chain(self.last.as_mut().map(|(engine, _)| engine));
        let theirs = others.find(|engine| engine.claims(from, datagram));
        theirs.unwrap_or(&mut self.current).handle_datagram(from, datagram, now);
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.all_mut().find_map(Engine::poll_transmit)
    }

    /// The next thing that arrived: of the round before first.
    pub fn poll_arrival(&mut self) -> Option<Arrival> {
        if let Some(arrival) = self.last.as_mut().and_then(|(engine, _)| engine.poll_arrival()) {
            return Some(arrival);
        }
        self.all_mut().find_map(Engine::poll_arrival)
    }

    /// The next thing that the others want of this terminal's encoders.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.current.poll_event()
    }

    /// The relay of `leg` seals with another key from now on. Says whether there is such a leg.
    pub fn renew_path(&mut self, leg: LegId, epoch: Epoch) -> bool {
        self.all_mut().any(|engine| engine.renew_path(leg, epoch))
    }

    /// A round goes over other relays from now on; nothing if it is none of these.
    pub fn change_paths(&mut self, changed: &PathsChanged, now: Moment) {
        let round = self.all_mut().find(|engine| engine.round() == changed.round);
        if let Some(engine) = round {
            engine.change_paths(changed, now);
        }
    }

    /// Takes in who is in the call.
    pub fn members(&mut self, members: &Members, login: &str) {
        self.all_mut().for_each(|engine| engine.members(members, login));
    }

    /// From now on this layer of a member's cameras is to come.
    pub fn choose_layer(&mut self, member: MemberId, layer: Layer) {
        self.all_mut().for_each(|engine| engine.choose_layer(member, layer));
    }

    /// The numbers of all rounds so far.
    pub fn summary(&self, now: Moment) -> CallSummary {
        let before = self.last.as_ref().map(|(last, _)| last.summary(now).after(&self.earlier));
        self.current.summary(now).after(before.as_ref().unwrap_or(&self.earlier))
    }

    fn all(&self) -> impl Iterator<Item = &Engine> {
        let next = self.next.as_ref().map(|next| &next.engine);
        let last = self.last.as_ref().map(|(engine, _)| engine);
        [&self.current].into_iter().chain(next).chain(last)
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut Engine> {
        let next = self.next.as_mut().map(|next| &mut next.engine);
        let last = self.last.as_mut().map(|(engine, _)| engine);
        [&mut self.current].into_iter().chain(next).chain(last)
    }
}

/// Whether the streams of the next round are those that this terminal's feeds give.
pub(super) fn fits(ready: &CallReady, feeds: &Engine) -> Result<(), SrtpError> {
    let same = ready.streams.iter().enumerate().all(|(nth, plan)| {
        feeds.plan(nth).is_some_and(|was| (was.kind, was.codec) == (plan.kind, plan.codec))
    });
    let none_more = feeds.plan(ready.streams.len()).is_none();
    if same && none_more { Ok(()) } else { Err(SrtpError::UnknownSsrc) }
}
