//! One relay's binding: asks until it is answered, then keeps it alive. Pure.
//!
//! The terminal is the controlling ICE agent, the relay an ICE-lite peer (RFC 8445 2.4): a check
//! with USE-CANDIDATE that is answered makes the path usable both ways. Afterwards a check a
//! second keeps the NAT's mapping and proves consent (RFC 7675).

use crate::clock::Moment;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_wire::id::{LegId, RelayId};
use kakehashi_wire::media::{RelayPath, RelayRole};
use kakehashi_wire::secret::IcePassword;
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};

/// First wait for an answer; doubles up to [`RETRY_MOST`].
const RETRY_LEAST: Duration = Duration::from_millis(50);

/// Longest wait between checks while the relay does not answer.
const RETRY_MOST: Duration = Duration::from_millis(800);

/// Time between checks of a binding that stands.
const REFRESH: Duration = Duration::from_secs(1);

/// Silence after which a binding no longer counts as usable, apart from the round trip: a check
/// that is due and its three repetitions were not answered.
const CONSENT: Duration = Duration::from_millis(1500);

/// Checks whose answers are still taken: an answer may be later than the next check.
const OUTSTANDING_MAX: usize = 8;

/// Why a STUN message changed nothing.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum StunRefusal {
    /// Its integrity does not hold under the leg's password, or it names another leg.
    Forged,
    /// It answers no check that is waited for.
    Unexpected,
}

/// What a STUN message led to.
pub enum StunOutcome {
    /// An answered check: the relay has this terminal's address.
    Bound {
        /// From the check to its answer.
        round_trip: Duration,
    },
    /// The relay's own check: this is the answer.
    Answer(StunMessage),
}

/// The binding at one relay.
pub struct Binding {
    relay: RelayId,
    role: RelayRole,
    address: SocketAddr,
    leg: LegId,
    relay_password: IcePassword,
    terminal_password: IcePassword,
    tie_breaker: u64,
    // Changed by every check.
    outstanding: Vec<(TransactionId, Moment)>,
    next_check: Moment,
    retry: Duration,
    // Changed by every answer.
    answered: Option<Moment>,
    round_trip: Option<Duration>,
}

impl Binding {
    /// A binding to be made over `path`, first asked for at `now`.
    pub fn new(path: &RelayPath, tie_breaker: u64, now: Moment) -> Self {
        Self {
            relay: path.relay,
            role: path.role,
            address: path.address.into(),
            leg: path.leg,
            relay_password: path.relay_password.clone(),
            terminal_password: path.terminal_password.clone(),
            tie_breaker,
            outstanding: Vec::with_capacity(OUTSTANDING_MAX),
            next_check: now,
            retry: RETRY_LEAST,
            answered: None,
            round_trip: None,
        }
    }

    /// Which relay.
    pub fn relay(&self) -> RelayId {
        self.relay
    }

    /// Which leg of this terminal it is of.
    pub fn leg(&self) -> LegId {
        self.leg
    }

    /// The same, of a relay that is for this now.
    #[must_use]
    pub fn as_now(self, role: RelayRole) -> Self {
        Self { role, ..self }
    }

    /// What the relay is for.
    pub fn role(&self) -> RelayRole {
        self.role
    }

    /// Where its shard listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Round trip to the relay, by the last answered check.
    pub fn round_trip(&self) -> Option<Duration> {
        self.round_trip
    }

    /// Whether the relay answered, and not too long ago.
    pub fn usable(&self, now: Moment) -> bool {
        let patience = CONSENT + self.round_trip.unwrap_or_default() * 2;
        self.answered.is_some_and(|answered| now.since(answered) < patience)
    }

    /// Whether a STUN message that came from the relay's address is about this leg.
    pub fn claims(&self, view: &StunView<'_>) -> bool {
        let leg = self.leg.fragment();
        match view.kind() {
            StunKind::Success => self.outstanding.iter().any(|(id, _)| *id == view.transaction()),
            StunKind::Request => view.fragments() == Some((&leg, &leg)),
        }
    }

    /// When [`check`](Self::check) has something to send.
    pub fn next_deadline(&self) -> Moment {
        self.next_check
    }

    /// The check to send at `now`, if it is time for one; `random` names it.
    pub fn check(&mut self, now: Moment, random: [u8; 12]) -> Option<StunMessage> {
        if now < self.next_check {
            return None;
        }
        self.next_check = now.plus(self.retry);
        self.retry = (self.retry * 2).min(RETRY_MOST);
        Some(self.extra_check(now, random))
    }

    /// A check at `now` beside the regular ones.
    pub fn extra_check(&mut self, now: Moment, random: [u8; 12]) -> StunMessage {
        let transaction = TransactionId(random);
        if self.outstanding.len() == OUTSTANDING_MAX {
            self.outstanding.remove(0);
        }
        self.outstanding.push((transaction, now));
        let leg = self.leg.fragment();
        let key = self.relay_password.as_bytes();
        StunMessage::check(transaction, &leg, &leg, self.tie_breaker, key)
    }

    /// Takes a STUN message that came from the relay's address.
    ///
    /// # Errors
    /// [`StunRefusal`]; nothing has changed then.
    pub fn handle(&mut self, view: &StunView<'_>, now: Moment) -> Result<StunOutcome, StunRefusal> {
        match view.kind() {
            StunKind::Success => self.answered(view, now),
            StunKind::Request => self.challenged(view),
        }
    }

    fn answered(&mut self, view: &StunView<'_>, now: Moment) -> Result<StunOutcome, StunRefusal> {
        let asked = self.outstanding.iter().find(|(id, _)| *id == view.transaction());
        let &(_, asked) = asked.ok_or(StunRefusal::Unexpected)?;
        if !view.is_keyed_by(self.relay_password.as_bytes()) {
            return Err(StunRefusal::Forged);
        }
        let round_trip = now.since(asked);
        // Newer ones are still awaited: each answer counts while a relay is in doubt.
        let is_newer =
            |(id, at): &(TransactionId, Moment)| *id != view.transaction() && *at > asked;
        self.outstanding.retain(is_newer);
        self.answered = Some(now);
        self.round_trip = Some(round_trip);
        self.retry = RETRY_LEAST;
        self.next_check = now.plus(REFRESH);
        Ok(StunOutcome::Bound { round_trip })
    }

    /// RFC 8445 7.3: the relay asks whether this terminal is really here.
    fn challenged(&self, view: &StunView<'_>) -> Result<StunOutcome, StunRefusal> {
        let leg = self.leg.fragment();
        let key = self.terminal_password.as_bytes();
        if view.fragments() != Some((&leg, &leg)) || !view.is_keyed_by(key) {
            return Err(StunRefusal::Forged);
        }
        Ok(StunOutcome::Answer(StunMessage::success(view.transaction(), self.address, key)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path() -> RelayPath {
        let password = |seed| IcePassword::from_random([seed; 24]);
        RelayPath {
            relay: RelayId(1),
            role: RelayRole::Primary,
            address: "127.0.0.1:5000".parse::<SocketAddr>().unwrap().into(),
            leg: LegId(7),
            relay_password: password(1),
            terminal_password: password(2),
            downlink: None,
        }
    }

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    #[test]
    fn checks_are_repeated_with_growing_pauses_until_answered() {
        let mut binding = Binding::new(&path(), 9, at(0));
        let mut sent = Vec::new();
        for millis in 0..3000 {
            if binding.check(at(millis), [1; 12]).is_some() {
                sent.push(millis);
            }
        }
        assert_eq!(sent, [0, 50, 150, 350, 750, 1550, 2350]);
        assert!(!binding.usable(at(3000)));
        let success = StunMessage::success(
            TransactionId([1; 12]),
            "127.0.0.1:9".parse().unwrap(),
            path().relay_password.as_bytes(),
        );
        let view = StunView::parse(success.bytes()).unwrap();
        let late = at(2350 + 20);
        assert!(binding.handle(&view, late).is_ok());
        assert_eq!(binding.next_deadline(), at(3370));
        assert!(binding.usable(late));
        assert_eq!(binding.handle(&view, late).err(), Some(StunRefusal::Unexpected));
        let sent: Vec<_> =
            (2370..4900).filter(|&millis| binding.check(at(millis), [2; 12]).is_some()).collect();
        assert_eq!(sent, [3370, 3420, 3520, 3720, 4120]);
        let patience = binding.round_trip().unwrap() * 2;
        assert!(binding.usable(at(3869).plus(patience)));
        assert!(!binding.usable(at(3870).plus(patience)));
    }

    #[test]
    fn only_the_relay_can_answer_and_only_the_relay_is_answered() {
        let mut binding = Binding::new(&path(), 9, at(0));
        let check = binding.check(at(0), [3; 12]).unwrap();
        let seen = StunView::parse(check.bytes()).unwrap();
        assert!(seen.is_keyed_by(path().relay_password.as_bytes()) && seen.use_candidate());
        let source = "127.0.0.1:9".parse().unwrap();
        let forged = StunMessage::success(TransactionId([3; 12]), source, b"wrong");
        let view = StunView::parse(forged.bytes()).unwrap();
        assert_eq!(binding.handle(&view, at(1)).err(), Some(StunRefusal::Forged));
        assert!(!binding.usable(at(1)));

        let leg = LegId(7).fragment();
        let key = path().terminal_password;
        let challenge = |leg: &[u8; 16], key: &[u8]| {
            StunMessage::challenge(TransactionId([4; 12]), leg, leg, key)
        };
        let good = challenge(&leg, key.as_bytes());
        let view = StunView::parse(good.bytes()).unwrap();
        let Ok(StunOutcome::Answer(answer)) = binding.handle(&view, at(2)) else { panic!() };
        let answer = StunView::parse(answer.bytes()).unwrap();
        assert!(answer.is_keyed_by(key.as_bytes()) && answer.kind() == StunKind::Success);
        for bad in [challenge(&leg, b"wrong"), challenge(&[b'0'; 16], key.as_bytes())] {
            let view = StunView::parse(bad.bytes()).unwrap();
            assert_eq!(binding.handle(&view, at(3)).err(), Some(StunRefusal::Forged));
        }
    }
}
