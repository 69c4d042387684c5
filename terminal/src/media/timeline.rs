//! When a call's media passes from one phase to the next. Pure.
//!
//! ```text
//!   Binding --relay answers--> Greeting --heard from all, or 3 s--> Flowing
//!      |                          |                                    |
//!      +-------------leave--------+---------------leave----------------+--> Lingering --> Over
//! ```
//!
//! A relay can forward only to members whose address it has. Each member therefore says hello
//! (an RTCP packet) every [`GREETING_INTERVAL`] once its own binding stands; whoever hears another
//! knows that this one can be reached, and media starts when all have been heard.

use super::summary::Phase;
use crate::clock::Moment;
use core::time::Duration;

/// Time between hellos.
pub const GREETING_INTERVAL: Duration = Duration::from_millis(25);

/// Hellos sent on after all others have been heard: they may not have heard this terminal yet,
/// and it may have no media to send.
const GREETINGS_MORE: u32 = 10;

/// Silence of a member after which media starts without it.
const GREETING_MOST: Duration = Duration::from_secs(3);

/// The same in a later round of a call: the legs of the round before go a second after the new ones
/// are there, and a member that holds the call is not heard at all.
const GREETING_LATER: Duration = Duration::from_millis(500);

/// How long the standby may not be used instead of a primary that has not answered.
const PRIMARY_PREFERENCE: Duration = Duration::from_secs(1);

/// How long to wait for any relay before the call's media counts as failed.
const SILENCE_MOST: Duration = Duration::from_secs(10);

/// How long to wait for the others' goodbye after one's own.
const LINGER_MOST: Duration = Duration::from_millis(600);

/// How long to wait, after everyone said goodbye, for packets that were overtaken by it.
const LINGER_TAIL: Duration = Duration::from_millis(150);

/// Goodbyes sent, in case some are lost.
const GOODBYES: u32 = 3;

/// Time between goodbyes.
const GOODBYE_INTERVAL: Duration = Duration::from_millis(40);

/// What the timeline looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sight {
    /// The primary answers.
    pub primary_usable: bool,
    /// Some relay answers.
    pub any_usable: bool,
    /// Every other member has been heard.
    pub all_heard: bool,
    /// Every other member has said goodbye.
    pub all_left: bool,
}

/// Something to be sent now.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Due {
    /// A hello.
    Greeting,
    /// A goodbye.
    Goodbye,
}

/// The phases of one call's media.
#[derive(Clone, Debug)]
pub struct Timeline {
    phase: Phase,
    greeting_most: Duration,
    /// When the phase began.
    since: Moment,
    started: Moment,
    flowing_since: Option<Moment>,
    left_at: Option<Moment>,
    usable_at: Moment,
    advanced: Moment,
    all_left_at: Option<Moment>,
    next_send: Moment,
    sends_left: u32,
    silent: bool,
}

impl Timeline {
    /// Begins at `now`.
    pub fn new(now: Moment) -> Self {
        Self {
            phase: Phase::Binding,
            greeting_most: GREETING_MOST,
            since: now,
            started: now,
            flowing_since: None,
            left_at: None,
            usable_at: now,
            advanced: now,
            all_left_at: None,
            next_send: now,
            sends_left: 0,
            silent: false,
        }
    }

    /// The same in a later round of a call.
    pub fn later(now: Moment) -> Self {
        Self { greeting_most: GREETING_LATER, ..Self::new(now) }
    }

    /// The phase.
    pub fn phase(&self) -> Phase {
        self.phase
    }

    /// Since when media flows, or flowed.
    pub fn flowing_since(&self) -> Option<Moment> {
        self.flowing_since
    }

    /// How long media flowed, as of `now`.
    pub fn flowed(&self, now: Moment) -> Duration {
        let until = self.left_at.unwrap_or(now);
        self.flowing_since.map_or(Duration::ZERO, |since| until.since(since))
    }

    /// Whether it is over because no relay answered.
    pub fn is_silent(&self) -> bool {
        self.silent
    }

    /// Whether media may be sent.
    pub fn may_send(&self) -> bool {
        self.phase == Phase::Flowing
    }

    /// Begins to say goodbye, unless that was done.
    pub fn leave(&mut self, now: Moment) {
        if matches!(self.phase, Phase::Binding | Phase::Greeting | Phase::Flowing) {
            self.enter(Phase::Lingering, now);
            self.left_at = Some(now);
            self.sends_left = GOODBYES;
        }
    }

    /// Moves on if it is time; says what is to be sent now.
    pub fn advance(&mut self, sight: Sight, now: Moment) -> Option<Due> {
        self.advanced = now;
        if sight.any_usable {
            self.usable_at = now;
        }
        if sight.all_left && self.all_left_at.is_none() {
            self.all_left_at = Some(now);
        }
        self.step(sight, now);
        self.take_due(sight, now)
    }

    fn step(&mut self, sight: Sight, now: Moment) {
        let elapsed = now.since(self.since);
        let silence = now.since(self.usable_at);
        match self.phase {
            Phase::Binding | Phase::Greeting | Phase::Flowing if silence >= SILENCE_MOST => {
                self.silent = true;
                self.enter(Phase::Over, now);
            }
            Phase::Binding => {
                let patient = now.since(self.started) < PRIMARY_PREFERENCE;
                if sight.primary_usable || (sight.any_usable && !patient) {
                    self.enter(Phase::Greeting, now);
                    self.sends_left = u32::MAX;
                }
            }
            Phase::Greeting if sight.all_heard || elapsed >= self.greeting_most => {
                self.enter(Phase::Flowing, now);
                self.flowing_since = Some(now);
                self.sends_left = GREETINGS_MORE;
            }
            Phase::Lingering => {
                let tail_over = self.all_left_at.is_some_and(|left| now.since(left) >= LINGER_TAIL);
                if elapsed >= LINGER_MOST || (tail_over && self.sends_left == 0) {
                    self.enter(Phase::Over, now);
                }
            }
            Phase::Greeting | Phase::Flowing | Phase::Over => {}
        }
    }

    fn take_due(&mut self, sight: Sight, now: Moment) -> Option<Due> {
        if self.sends_left == 0 || now < self.next_send || !sight.any_usable {
            return None;
        }
        let (due, interval) = match self.phase {
            Phase::Greeting | Phase::Flowing => (Due::Greeting, GREETING_INTERVAL),
            Phase::Lingering => (Due::Goodbye, GOODBYE_INTERVAL),
            Phase::Binding | Phase::Over => return None,
        };
        self.sends_left -= 1;
        self.next_send = now.plus(interval);
        Some(due)
    }

    /// When [`advance`](Self::advance) is to be called even if nothing arrives; none when it is
    /// over. What was due already and did not happen waits for an arrival, not for time.
    pub fn next_deadline(&self) -> Option<Moment> {
        let silence = self.usable_at.plus(SILENCE_MOST);
        let steps = match self.phase {
            Phase::Binding => [self.started.plus(PRIMARY_PREFERENCE), silence],
            Phase::Greeting => [self.since.plus(self.greeting_most), silence],
            Phase::Flowing => [silence, silence],
            Phase::Lingering => {
                let most = self.since.plus(LINGER_MOST);
                [most, self.all_left_at.map_or(most, |left| left.plus(LINGER_TAIL))]
            }
            Phase::Over => return None,
        };
        let send = (self.sends_left > 0).then_some(self.next_send);
        send.into_iter().chain(steps).filter(|due| *due > self.advanced).min()
    }

    fn enter(&mut self, phase: Phase, now: Moment) {
        self.phase = phase;
        self.since = now;
        self.sends_left = 0;
        self.next_send = now;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOTHING: Sight =
        Sight { primary_usable: false, any_usable: false, all_heard: false, all_left: false };
    const BOUND: Sight = Sight { primary_usable: true, any_usable: true, ..NOTHING };
    const HEARD: Sight = Sight { all_heard: true, ..BOUND };
    const STANDBY: Sight = Sight { any_usable: true, ..NOTHING };

    fn at(millis: u64) -> Moment {
        Moment::from_micros(millis * 1000)
    }

    /// Runs to `until` in steps of a millisecond; gives each change of phase and its time.
    fn run(until: u64, leave_at: u64, sight: impl Fn(u64) -> Sight) -> Vec<(u64, Phase)> {
        let mut timeline = Timeline::new(at(0));
        let mut changes = Vec::new();
        let mut phase = timeline.phase();
        for millis in 0..until {
            if millis == leave_at {
                timeline.leave(at(millis));
            }
            timeline.advance(sight(millis), at(millis));
            if timeline.phase() != phase {
                phase = timeline.phase();
                changes.push((millis, phase));
            }
        }
        changes
    }

    #[test]
    fn the_usual_call_flows_when_all_are_heard() {
        let changes = run(3000, 1000, |millis| match millis {
            0..20 => NOTHING,
            20..90 => BOUND,
            90..1100 => HEARD,
            _ => Sight { all_left: true, ..HEARD },
        });
        assert_eq!(
            changes,
            [
                (20, Phase::Greeting),
                (90, Phase::Flowing),
                (1000, Phase::Lingering),
                (1250, Phase::Over),
            ]
        );
    }

    #[test]
    fn silence_has_its_limits() {
        let never_heard = run(9000, 8000, |_| BOUND);
        assert_eq!(
            never_heard,
            [
                (0, Phase::Greeting),
                (3000, Phase::Flowing),
                (8000, Phase::Lingering),
                (8600, Phase::Over),
            ]
        );
        assert_eq!(run(20_000, 90_000, |_| NOTHING), [(10_000, Phase::Over)]);
        assert_eq!(run(1500, 90_000, |_| STANDBY), [(1000, Phase::Greeting)]);
    }

    proptest! {
        #[test]
        fn phases_only_move_forward_and_always_end(
            events in prop::collection::vec((1_u64..400, any::<[bool; 4]>(), any::<bool>()), 1..80),
        ) {
            let mut timeline = Timeline::new(at(0));
            let (mut now, mut order) = (0, 0);
            for (span, [primary_usable, any_usable, all_heard, all_left], leave) in events {
                now += span;
                if leave {
                    timeline.leave(at(now));
                }
                let any_usable = any_usable || primary_usable;
                let sight = Sight { primary_usable, any_usable, all_heard, all_left };
                timeline.advance(sight, at(now));
                prop_assert!(timeline.phase() as u8 >= order);
                order = timeline.phase() as u8;
                // A deadline in the past would have its caller spin.
                prop_assert!(timeline.next_deadline().is_none_or(|due| due > at(now)));
            }
            timeline.leave(at(now));
            timeline.advance(NOTHING, at(now + 20_000));
            prop_assert_eq!(timeline.phase(), Phase::Over);
            prop_assert_eq!(timeline.next_deadline(), None);
        }
    }
}
