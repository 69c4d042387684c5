//! Over which relay this terminal sends, and when it moves to another by itself. Pure.
//!
//! ```text
//!           Settle               Doubt                    NothingAnswers
//! Choosing --------> Watching ----------> Doubting ---+   (asks again)
//!                       ^  ^                |  |  ^   |
//!                       |  +--HereAnswers---+  |  +---+
//!                       +------Elsewhere-------+  moves
//! ```
//!
//! - **Doubt costs little, so it comes early**: silence of the relay in use, nobody confirming what
//!   is sent, or a member saying that it cannot use this relay. Who holds, is muted or says nothing
//!   makes silence too, so doubt moves nothing: both relays are asked.
//! - **While in doubt, media goes over every relay**, beginning with what was said last: it may be
//!   lost. So the gap of a lost relay is the silence that raised the doubt; the answers only decide
//!   how to go on.
//! - **Only answers to checks count.** They prove both directions; what is received proves one.
//! - **A terminal stays where it is** until its relay does not answer and another does. One that
//!   comes back is the standby from then on: a relay that comes and goes moves nobody twice.
//! - **Who cannot use a relay says so** ([`unusable`](Mover::unusable)): the others see it answer
//!   them, and would go on sending where one of them hears nothing.

#[cfg(test)]
mod tests;

use crate::clock::Moment;
use core::time::Duration;

/// Silence after which a relay is in doubt while something comes over it.
const SILENCE: Duration = Duration::from_millis(150);

/// Silence after which a relay that has answered without bringing anything is in doubt again:
/// [`SILENCE`] doubles up to this.
const SILENCE_MOST: Duration = Duration::from_secs(1);

/// Time between the checks of a relay in doubt.
const CHECK_INTERVAL: Duration = Duration::from_millis(30);

/// Checks that must all stay unanswered.
const CHECKS: u32 = 3;

/// Longest that the last check's answer is waited for, however long the way is.
const ANSWER_MOST: Duration = Duration::from_millis(400);

/// Pause before all relays are asked again of which none has answered; doubles with each time.
const PAUSE: Duration = Duration::from_millis(50);

/// The longest such pause.
const PAUSE_MOST: Duration = Duration::from_millis(800);

/// How long a member's word about a relay stands; it is repeated with each report, every 1.5 s at
/// the latest.
const BLAME_KEPT: Duration = Duration::from_millis(3_500);

/// What a terminal makes of the relay that it sends over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum State {
    /// None has been chosen yet.
    Choosing,
    /// It sends over one.
    Watching,
    /// It sends over all, and asks which are there.
    Doubting,
}

/// What can happen to that.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// The first relay is chosen.
    Settle,
    /// The relay in use may be lost.
    Doubt,
    /// It answers.
    HereAnswers,
    /// It does not, or is of no use to another member; and another answers.
    Elsewhere,
    /// None answers.
    NothingAnswers,
    /// Control took the relay in use from the call.
    Withdrawn,
}

/// What an event does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Nothing.
    Stay,
    /// Another state.
    To(State),
    /// Another relay is in use.
    Move,
    /// Everything is asked once more.
    AskAgain,
}

const fn step(state: State, event: Event) -> Step {
    use Event::{Doubt, Elsewhere, HereAnswers, NothingAnswers, Settle, Withdrawn};
    use State::{Choosing, Doubting, Watching};
    match (state, event) {
        (Choosing, Settle) | (Doubting, HereAnswers) => Step::To(Watching),
        (Watching, Doubt) => Step::To(Doubting),
        (Doubting, Elsewhere) | (Watching | Doubting, Withdrawn) => Step::Move,
        (Doubting, NothingAnswers) => Step::AskAgain,
        (Choosing, Doubt | HereAnswers | Elsewhere | NothingAnswers | Withdrawn)
        | (Watching, Settle | HereAnswers | Elsewhere | NothingAnswers)
        | (Doubting, Settle | Doubt) => Step::Stay,
    }
}

/// What is to be done now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Due {
    /// The relay in use may have lost what was said last: all others get it as well.
    SayAgain,
    /// A check to every relay.
    Checks,
    /// What is [`unusable`](Mover::unusable) has changed, or this terminal has moved: the others
    /// are to hear of it.
    Tell,
}

/// One relay.
#[derive(Clone, Copy, Default)]
struct Relay {
    answered: Option<Moment>,
    round_trip: Duration,
    unusable: bool,
    blamed_until: Option<Moment>,
}

impl Relay {
    fn answered_since(&self, begun: Moment) -> bool {
        self.answered.is_some_and(|answered| answered >= begun)
    }

    fn is_blamed(&self, now: Moment) -> bool {
        self.blamed_until.is_some_and(|until| now < until)
    }
}

/// A silence, and how long it may be.
#[derive(Clone, Copy)]
struct Silence {
    since: Option<Moment>,
    patience: Duration,
}

impl Silence {
    const NONE: Self = Self { since: None, patience: SILENCE };

    fn ends(&self) -> Option<Moment> {
        self.since.map(|since| since.plus(self.patience))
    }

    fn longer(self, since: Option<Moment>) -> Self {
        Self { since, patience: (self.patience * 2).min(SILENCE_MOST) }
    }
}

/// Chooses the relay to send over. Relays go by their number in the call's list.
pub(super) struct Mover {
    state: State,
    active: usize,
    relays: Vec<Relay>,
    /// Nothing came over the relay in use.
    nothing_came: Silence,
    /// Nobody confirmed what was sent.
    nobody_confirmed: Silence,
    /// Whether the others confirm at all.
    confirmed: bool,
    // While in doubt.
    begun: Moment,
    checks: u32,
    checked: Moment,
    pause: Duration,
    say_again: bool,
    tell: bool,
    looked: Moment,
}

impl Mover {
    /// For a call with so many relays; the first is the one to be chosen if all answer.
    pub(super) fn new(relays: usize) -> Self {
        Self {
            state: State::Choosing,
            active: 0,
            relays: vec![Relay::default(); relays],
            nothing_came: Silence::NONE,
            nobody_confirmed: Silence::NONE,
            confirmed: false,
            begun: Moment::ZERO,
            checks: 0,
            checked: Moment::ZERO,
            pause: Duration::ZERO,
            say_again: false,
            tell: false,
            looked: Moment::ZERO,
        }
    }

    /// The relay in use.
    pub(super) fn active(&self) -> usize {
        self.active
    }

    /// Whether media goes over all relays now.
    pub(super) fn is_in_doubt(&self) -> bool {
        self.state == State::Doubting
    }

    /// The relays that this terminal cannot use although another answers.
    pub(super) fn unusable(&self) -> impl Iterator<Item = usize> {
        (0..self.relays.len()).filter(|&at| self.relays[at].unusable)
    }

    /// The relay to begin with is `relay`; nothing if one was chosen before.
    pub(super) fn settle(&mut self, relay: usize, now: Moment) {
        if self.state == State::Choosing {
            self.active = relay;
            self.happens(Event::Settle, now);
        }
    }

    /// Authentic media, or a report, came over `relay`.
    pub(super) fn heard(&mut self, relay: usize, now: Moment) {
        if relay == self.active {
            self.nothing_came = Silence { since: Some(now), ..Silence::NONE };
        }
    }

    /// Media was sent.
    pub(super) fn sent(&mut self, now: Moment) {
        if self.confirmed {
            self.nobody_confirmed.since.get_or_insert(now);
        }
    }

    /// Another member said that media of this terminal came.
    pub(super) fn confirmed(&mut self) {
        self.confirmed = true;
        self.nobody_confirmed = Silence::NONE;
    }

    /// `relay` answered a check.
    pub(super) fn answered(&mut self, relay: usize, round_trip: Duration, now: Moment) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        *known = Relay { answered: Some(now), round_trip, unusable: false, ..*known };
        if relay == self.active && self.state == State::Watching {
            self.nothing_came.since = Some(now);
        }
    }

    /// A member says that it cannot use `relay`.
    pub(super) fn blamed(&mut self, relay: usize, now: Moment) {
        let Some(known) = self.relays.get_mut(relay) else { return };
        known.blamed_until = Some(now.plus(BLAME_KEPT));
        let better = |other: &Relay| !other.unusable && !other.is_blamed(now);
        if relay == self.active && self.relays.iter().any(better) {
            self.happens(Event::Doubt, now);
        }
    }

    /// The call has other relays: each is number `from` of those before, or new.
    pub(super) fn renumber(&mut self, from: &[Option<usize>], now: Moment) {
        let known = |before: &Option<usize>| before.and_then(|at| self.relays.get(at).copied());
        let relays: Vec<_> = from.iter().map(|before| known(before).unwrap_or_default()).collect();
        let kept = from.iter().position(|before| *before == Some(self.active));
        self.relays = relays;
        self.active = kept.unwrap_or_default();
        if kept.is_none() {
            self.happens(Event::Withdrawn, now);
        } else if self.state == State::Doubting {
            self.ask(now);
        }
    }

    /// Does what is due at `now`, until there is nothing left.
    pub(super) fn poll(&mut self, now: Moment) -> Option<Due> {
        self.looked = now;
        if core::mem::take(&mut self.tell) {
            return Some(Due::Tell);
        }
        if self.state == State::Watching && self.relays.len() > 1 {
            let over = [self.nothing_came, self.nobody_confirmed]
                .iter()
                .any(|silence| silence.ends().is_some_and(|ends| now >= ends));
            if over {
                self.happens(Event::Doubt, now);
            }
        }
        if core::mem::take(&mut self.say_again) {
            return Some(Due::SayAgain);
        }
        if self.state != State::Doubting {
            return None;
        }
        if self.checks < CHECKS && now >= self.next_check() {
            self.checks += 1;
            self.checked = now;
            return Some(Due::Checks);
        }
        if let Some(event) = self.finding(now) {
            self.happens(event, now);
        }
        core::mem::take(&mut self.tell).then_some(Due::Tell)
    }

    /// When [`poll`](Self::poll) has something to do.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        let several = self.relays.len() > 1;
        let (silences, doubts) = match self.state {
            State::Choosing => return None,
            State::Watching if several => {
                ([self.nothing_came.ends(), self.nobody_confirmed.ends()], [None; 3])
            }
            State::Watching => return None,
            State::Doubting => {
                let next = (self.checks < CHECKS).then(|| self.next_check());
                let end = self.answers_end();
                ([None; 2], [next, Some(end), Some(end.plus(self.pause))])
            }
        };
        let later = |due: &Moment| *due > self.looked;
        silences.into_iter().chain(doubts).flatten().filter(later).min()
    }

    fn next_check(&self) -> Moment {
        if self.checks == 0 { self.begun } else { self.checked.plus(CHECK_INTERVAL) }
    }

    /// Until when answers to the checks are waited for.
    fn answers_end(&self) -> Moment {
        let ways = self.relays.iter().map(|relay| relay.round_trip * 3 / 2);
        let way = ways.max().unwrap_or_default().clamp(CHECK_INTERVAL, ANSWER_MOST);
        self.checked.plus(way)
    }

    /// What the answers say, as soon as they say it.
    fn finding(&mut self, now: Moment) -> Option<Event> {
        let begun = self.begun;
        let complete = self.checks == CHECKS && now >= self.answers_end();
        let answers = |relay: &Relay| relay.answered_since(begun);
        if !complete && !self.relays.iter().all(answers) {
            return None;
        }
        if !self.relays.iter().any(answers) {
            return (now >= self.answers_end().plus(self.pause)).then_some(Event::NothingAnswers);
        }
        for relay in self.relays.iter_mut().filter(|relay| !answers(relay)) {
            self.tell |= !relay.unusable;
            relay.unusable = true;
        }
        let here = self.relays.get(self.active).is_some_and(answers);
        let blamed = self.relays.get(self.active).is_some_and(|relay| relay.is_blamed(now));
        let better = self.best(now).is_some_and(|best| !self.relays[best].is_blamed(now));
        Some(if here && !(blamed && better) { Event::HereAnswers } else { Event::Elsewhere })
    }

    /// The relay to move to: one that answered, of those one that is of use to all.
    fn best(&self, now: Moment) -> Option<usize> {
        let others = (0..self.relays.len()).filter(|&at| at != self.active);
        let answer = others.filter(|&at| self.relays[at].answered_since(self.begun));
        answer.min_by_key(|&at| (self.relays[at].is_blamed(now), at))
    }

    fn happens(&mut self, event: Event, now: Moment) {
        match step(self.state, event) {
            Step::Stay => {}
            Step::To(State::Doubting) => {
                self.say_again = true;
                self.pause = PAUSE;
                self.ask(now);
            }
            Step::To(state) => self.watch(state, now),
            Step::AskAgain => {
                self.pause = (self.pause * 2).min(PAUSE_MOST);
                self.ask(now);
            }
            Step::Move => {
                let latest = (0..self.relays.len()).max_by_key(|&at| self.relays[at].answered);
                let to = if event == Event::Withdrawn { latest } else { self.best(now) };
                // Who was in doubt has done so.
                self.say_again |= self.state == State::Watching;
                self.active = to.unwrap_or(self.active);
                self.tell = true;
                self.nothing_came = Silence::NONE;
                self.watch(State::Watching, now);
            }
        }
    }

    fn ask(&mut self, now: Moment) {
        self.state = State::Doubting;
        self.begun = now;
        self.checks = 0;
    }

    /// Silence that follows an answer says less than the one before.
    fn watch(&mut self, state: State, now: Moment) {
        self.state = state;
        self.nothing_came = match self.nothing_came.since {
            None => Silence { since: Some(now), ..Silence::NONE },
            Some(_) => self.nothing_came.longer(Some(now)),
        };
        self.nobody_confirmed = self.nobody_confirmed.longer(None);
    }
}
