//! One call's media as a pure state machine.
//!
//! **Feed it datagrams, frames and time; take datagrams and arrivals out until there are none.**
//! No packet changes anything before it came from a relay of the call and proved authentic.

mod control;
mod relays;
mod sending;

use super::binding::{Binding, StunOutcome, StunRefusal};
use super::copies::Copies;
use super::downlink::Downlink;
use super::governor::Governor;
use super::incoming::Member;
use super::manners::Manners;
use super::mover::{self, Mover};
use super::outbox::Outbox;
use super::outgoing::Outgoing;
use super::summary::{CallSummary, Drops, PathSummary, Phase, role_name};
use super::timeline::{Due, Sight, Timeline};
use super::{Arrival, MediaError, MediaEvent, StreamId, Transmit};
use crate::capacity::MEDIA_EVENTS_MAX;
use crate::clock::Moment;
use crate::congestion::RateLimits;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_srtp::SrtpError;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::{Epoch, LegId, MemberId};
use kakehashi_wire::media::{RelayRole, StreamPlan};
use kakehashi_wire::rtp::RtpView;
use kakehashi_wire::stun::StunView;
use kakehashi_wire::terminal::{CallReady, Layer, Members};
use relays::{LeftPath, Relays, Way};
use std::collections::VecDeque;

/// Draws random numbers.
pub type Random = Box<dyn FnMut() -> u64 + Send>;

/// One call's media.
pub struct Engine {
    // Set when it is made.
    call: String,
    round: u32,
    cname: String,
    /// The number after that of the last received stream.
    streams_end: usize,
    unix_at_zero: Duration,
    random: Random,
    // The relays, the others, this terminal's streams.
    bindings: Vec<Binding>,
    /// What each relay seals for this terminal; `None` in the pass lane.
    downlinks: Vec<Option<Downlink>>,
    relays: Relays,
    members: Vec<Member>,
    outgoing: Outgoing,
    governor: Governor,
    mover: Mover,
    // Changed by time.
    timeline: Timeline,
    next_report: Moment,
    reported: Moment,
    next_feedback: Moment,
    copies: Copies,
    /// Who lets out and takes in what.
    manners: Manners,
    // What it found out.
    round_trip: Option<Duration>,
    drops: Drops,
    // What is to be taken out.
    outbox: Outbox,
    arrivals: VecDeque<Arrival>,
    events: VecDeque<MediaEvent>,
}

impl Engine {
    /// The media of `ready`, from `now` on. `unix_at_zero` is the wall time at [`Moment::ZERO`].
    ///
    /// # Errors
    /// [`MediaError`] if control's plan cannot be carried out.
    pub fn new(
        ready: &CallReady,
        now: Moment,
        unix_at_zero: Duration,
        mut random: Random,
    ) -> Result<Self, MediaError> {
        // RFC 7022 4.2: a random name per call, which says nothing about who it is.
        let cname = format!("{:016x}", random());
        Self::of_round(ready, (now, unix_at_zero), random, (cname, 0))
    }

    /// The media of the call's next round, beginning at `now`. Its received streams are numbered
    /// behind those of this one; nothing else is shared but what the call is to the others.
    ///
    /// # Errors
    /// [`MediaError`] if control's plan cannot be carried out.
    pub fn next_round(
        &self,
        ready: &CallReady,
        now: Moment,
        random: Random,
    ) -> Result<Self, MediaError> {
        let as_before = (self.cname.clone(), self.streams_end);
        let next = Self::of_round(ready, (now, self.unix_at_zero), random, as_before)?;
        let mut next = Self { timeline: Timeline::later(now), ..next };
        // Of two calls that become one, members have other numbers than before.
        let login = |engine: &Self, number| {
            let member = engine.members.iter().find(|member| member.number() == number);
            member.map(|member| member.login().to_owned())
        };
        let is_same =
            |number| login(self, number).is_some_and(|it| login(&next, number) == Some(it));
        next.manners = self.manners.of_those(is_same);
        next.expect();
        Ok(next)
    }

    fn of_round(
        ready: &CallReady,
        (now, unix_at_zero): (Moment, Duration),
        mut random: Random,
        (cname, mut first): (String, usize),
    ) -> Result<Self, MediaError> {
        if ready.paths.is_empty() {
            return Err(MediaError::NoPath);
        }
        if ready.streams.is_empty() {
            return Err(MediaError::NoStream);
        }
        let tie_breaker = random();
        let bindings = ready.paths.iter().map(|path| Binding::new(path, tie_breaker, now));
        let mut members = Vec::with_capacity(ready.senders.len());
        for sender in &ready.senders {
            members.push(Member::new(sender, first)?);
            first += sender.streams.len();
        }
        let plans = || ready.senders.iter().flat_map(|sender| sender.streams.iter().copied());
        let downlinks: Vec<_> =
            ready.paths.iter().map(|path| Downlink::new(path, plans())).collect();
        let sealed = ready.senders.iter().any(|sender| sender.key.is_none());
        if sealed && downlinks.iter().any(Option::is_none) {
            return Err(MediaError::NoKey);
        }
        let draw = || u32::try_from(random() >> 32).expect("32 bits are left");
        let outgoing = Outgoing::new(&ready.key, &ready.streams, draw)?;
        Ok(Self {
            call: ready.call.to_string(),
            round: ready.round,
            bindings: bindings.collect(),
            downlinks,
            relays: Relays::new(ready.hitless, tie_breaker),
            members,
            outgoing,
            governor: Governor::new(&ready.streams, ready.senders.len(), now),
            mover: Mover::new(ready.paths.len()),
            timeline: Timeline::new(now),
            next_report: now.plus(control::REPORT_INTERVAL / 2),
            reported: now,
            next_feedback: now,
            copies: Copies::new(ready.streams.len(), now),
            manners: Manners::default(),
            round_trip: None,
            drops: Drops::default(),
            outbox: Outbox::new(ready.streams.len()),
            arrivals: VecDeque::new(),
            events: VecDeque::new(),
            cname,
            streams_end: first,
            unix_at_zero,
            random,
        })
    }

    /// Other limits of the sending rate than the usual ones; before anything is sent.
    #[must_use]
    pub fn with_rates(mut self, limits: RateLimits, now: Moment) -> Self {
        self.governor.set_limits(limits, now);
        self
    }

    /// Which round of the call it is.
    pub fn round(&self) -> u32 {
        self.round
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.timeline.phase()
    }

    /// Since when media flows.
    pub fn flowing_since(&self) -> Option<Moment> {
        self.timeline.flowing_since()
    }

    /// Why it is over, if not because someone left.
    pub fn failure(&self) -> Option<MediaError> {
        self.timeline.is_silent().then(|| {
            let addresses: Vec<_> =
                self.bindings.iter().map(|binding| binding.address().to_string()).collect();
            MediaError::NoRelayAnswers { addresses: addresses.join(" and ") }
        })
    }

    /// Whether every other member has said goodbye; those without a stream cannot, and count only
    /// behind one who has.
    pub fn everyone_left(&self) -> bool {
        self.members.iter().any(Member::said_goodbye) && self.members.iter().all(Member::has_left)
    }

    /// What was not taken so far.
    pub fn drops(&self) -> Drops {
        self.drops
    }

    /// What this terminal's stream number `stream` is.
    pub fn plan(&self, stream: usize) -> Option<StreamPlan> {
        self.outgoing.plan(stream)
    }

    /// The streams that are received: number, sender's login, plan.
    pub fn received_plans(&self) -> impl Iterator<Item = (StreamId, &str, StreamPlan)> {
        self.members.iter().flat_map(Member::plans)
    }

    /// Takes in who is in the call: what nobody would receive does not leave, and what this
    /// terminal, that of `login`, is not to receive is not missed.
    pub fn members(&mut self, members: &Members, login: &str) {
        self.manners.update(members, login);
        self.expect();
    }

    /// From now on this layer of a member's cameras is to come.
    pub fn choose_layer(&mut self, member: MemberId, layer: Layer) {
        self.manners.choose(member, layer);
        self.expect();
    }

    fn expect(&mut self) {
        self.members.iter_mut().for_each(|member| member.expect(&self.manners));
    }

    /// Begins to say goodbye.
    pub fn leave(&mut self, now: Moment) {
        self.outbox.release_all();
        self.timeline.leave(now);
        self.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` when it is over.
    pub fn next_deadline(&self) -> Option<Moment> {
        if self.phase() == Phase::Over {
            return None;
        }
        let checks = self.bindings.iter().map(Binding::next_deadline);
        let holes = self.members.iter().filter_map(Member::next_deadline);
        checks
            .chain(holes)
            .chain(self.timeline.next_deadline())
            .chain(self.mover.next_deadline())
            .chain(self.outbox.next_deadline())
            .chain(self.members.iter().any(Member::has_news).then_some(self.next_feedback))
            .chain([self.next_report])
            .min()
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Moment) {
        self.check_bindings(now);
        self.advance(now);
        if self.phase() == Phase::Over {
            self.members.iter_mut().for_each(|member| member.drain(&mut self.arrivals));
            return;
        }
        if now >= self.next_report {
            self.report(now);
        }
        self.members.iter_mut().for_each(|member| member.release(now, &mut self.arrivals));
        self.ask_for_missing(now);
        self.report_arrivals(now);
        self.govern(now);
        self.outbox.release(now);
    }

    /// Whether a datagram that came from `from` is about what this round knows: its legs, or
    /// streams of its members. Says nothing about whether it is authentic.
    pub fn claims(&self, from: SocketAddr, datagram: &[u8]) -> bool {
        let Some(binding) = self.bindings.iter().find(|binding| binding.address() == from) else {
            return self.has_left(from);
        };
        let sends = |ssrc| self.members.iter().any(|member| member.sends(ssrc));
        match DatagramKind::of(datagram) {
            DatagramKind::Stun => StunView::parse(datagram).is_ok_and(|view| binding.claims(&view)),
            DatagramKind::Rtp => {
                RtpView::parse(datagram).is_ok_and(|view| sends(view.header().ssrc))
            }
            DatagramKind::Rtcp => control::sender(datagram).is_ok_and(sends),
            DatagramKind::Foreign => false,
        }
    }

    /// Takes a datagram that came from `from`; opens it in place.
    pub fn handle_datagram(&mut self, from: SocketAddr, datagram: &mut [u8], now: Moment) {
        let Some(path) = self.bindings.iter().position(|binding| binding.address() == from) else {
            return self.take_late(from, datagram, now);
        };
        let taken = match DatagramKind::of(datagram) {
            DatagramKind::Stun => return self.stun(path, datagram, now),
            DatagramKind::Rtp => self.rtp(Way::Path(path), datagram, now),
            DatagramKind::Rtcp => self.rtcp(Way::Path(path), datagram, now),
            DatagramKind::Foreign => {
                self.drops.not_media += 1;
                return;
            }
        };
        match taken {
            Ok(()) => {
                self.mover.heard(path, now);
                self.advance(now);
            }
            Err(reason) => self.drops.refused(reason),
        }
    }

    /// Whether media may be sent.
    pub fn may_send(&self) -> bool {
        self.timeline.may_send()
    }

    /// The next datagram to send.
    pub fn poll_transmit(&mut self) -> Option<Transmit> {
        self.outbox.pop()
    }

    /// Puts back a datagram the socket did not take.
    pub fn send_again(&mut self, transmit: Transmit) {
        self.outbox.push_again(transmit);
    }

    /// The next thing that arrived.
    pub fn poll_arrival(&mut self) -> Option<Arrival> {
        self.arrivals.pop_front()
    }

    /// The next thing that the others want of this terminal's encoders.
    pub fn poll_event(&mut self) -> Option<MediaEvent> {
        self.events.pop_front()
    }

    /// The relay of `leg` seals with another key from now on: control's `PathRenewed`. Says
    /// whether there is such a leg with a sealed downlink.
    pub fn renew_path(&mut self, leg: LegId, epoch: Epoch) -> bool {
        let left = self.relays.left.iter_mut().map(LeftPath::downlink);
        let mut downlinks = self.downlinks.iter_mut().map(Option::as_mut).chain(left).flatten();
        let downlink = downlinks.find(|downlink| downlink.leg() == leg);
        downlink.map(|downlink| downlink.renew(epoch)).is_some()
    }

    /// The numbers so far.
    pub fn summary(&self, now: Moment) -> CallSummary {
        let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        let active = self.active(now);
        let path = |(at, binding): (usize, &Binding)| PathSummary {
            number: binding.relay(),
            relay: binding.relay().to_string(),
            role: role_name(binding.role()),
            address: binding.address().to_string(),
            usable: binding.usable(now),
            active: active == Some(at),
            round_trip_us: binding.round_trip().map(micros),
        };
        let received = self.members.iter().flat_map(|member| member.summary(member.has_left()));
        CallSummary {
            call: self.call.clone(),
            phase: self.phase(),
            seconds: self.timeline.flowed(now).as_secs_f64(),
            round_trip_us: self.round_trip.map(micros),
            sent: self.outgoing.summary(),
            received: received.collect(),
            paths: self.bindings.iter().enumerate().map(path).collect(),
            drops: self.drops,
            target_bits_per_second: self.governor.target(),
            ..CallSummary::default()
        }
    }

    /// Tells the application; it loses what it has no room for.
    fn tell(&mut self, event: MediaEvent) {
        if self.events.len() < MEDIA_EVENTS_MAX {
            self.events.push_back(event);
        }
    }

    fn check_bindings(&mut self, now: Moment) {
        for binding in &mut self.bindings {
            if let Some(check) = binding.check(now, transaction(&mut self.random)) {
                self.outbox.push(binding.address(), check.bytes());
            }
        }
    }

    /// Begins with the relay that is there, and moves to another when it is time.
    fn move_on(&mut self, now: Moment) {
        if !self.may_send() {
            return;
        }
        if let Some(first) = self.bindings.iter().position(|binding| binding.usable(now)) {
            self.mover.settle(first, now);
        }
        while let Some(due) = self.mover.poll(now) {
            match due {
                mover::Due::SayAgain => self.say_again(now),
                mover::Due::Checks => {
                    for binding in &mut self.bindings {
                        let check = binding.extra_check(now, transaction(&mut self.random));
                        self.outbox.push(binding.address(), check.bytes());
                    }
                }
                mover::Due::Tell => self.send_compound(now, |_, _| {}),
            }
        }
    }

    fn advance(&mut self, now: Moment) {
        let primary = |binding: &&Binding| binding.role() == RelayRole::Primary;
        let sight = Sight {
            primary_usable: self.bindings.iter().filter(primary).any(|path| path.usable(now)),
            any_usable: self.bindings.iter().any(|path| path.usable(now)),
            all_heard: self.members.iter().all(Member::is_there),
            all_left: self.everyone_left(),
        };
        match self.timeline.advance(sight, now) {
            Some(Due::Greeting) => self.greet(now),
            Some(Due::Goodbye) => self.say_goodbye(now),
            None => {}
        }
        self.move_on(now);
    }

    /// Where media goes: the relay that was chosen, or, while that does not answer, the first that
    /// does.
    fn active(&self, now: Moment) -> Option<usize> {
        let usable = |at: &usize| self.bindings.get(*at).is_some_and(|path| path.usable(now));
        let chosen = Some(self.mover.active()).filter(usable);
        chosen.or_else(|| (0..self.bindings.len()).find(usable))
    }

    fn stun(&mut self, path: usize, datagram: &[u8], now: Moment) {
        let Ok(view) = StunView::parse(datagram) else {
            self.drops.stun_unexpected += 1;
            return;
        };
        let binding = &mut self.bindings[path];
        match binding.handle(&view, now) {
            Ok(StunOutcome::Bound { round_trip }) => {
                self.mover.answered(path, round_trip, now);
                self.advance(now);
            }
            Ok(StunOutcome::Answer(answer)) => {
                self.outbox.push(binding.address(), answer.bytes());
            }
            Err(StunRefusal::Forged) => self.drops.stun_forged += 1,
            Err(StunRefusal::Unexpected) => self.drops.stun_unexpected += 1,
        }
    }

    fn rtp(&mut self, way: Way, datagram: &mut [u8], now: Moment) -> Result<(), SrtpError> {
        let ssrc = RtpView::parse(datagram).map_err(|_| SrtpError::NotRtp)?.header().ssrc;
        let member = self.members.iter_mut().find(|member| member.sends(ssrc));
        let member = member.ok_or(SrtpError::UnknownSsrc)?;
        let downlink = way.downlink(&mut self.downlinks, &mut self.relays.left);
        member.rtp(ssrc, datagram, downlink, now, &mut self.arrivals)
    }
}

/// Names a check.
fn transaction(random: &mut Random) -> [u8; 12] {
    let mut name = [0; 12];
    name[..8].copy_from_slice(&random().to_be_bytes());
    name[8..].copy_from_slice(&random().to_be_bytes()[..4]);
    name
}
