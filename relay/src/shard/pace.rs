//! How eagerly a shard looks for packets.
//!
//! ```text
//!        work            work                work
//!      +------+     +------------+     +-------------+
//!      v      |     v            |     v             |
//!      Hot ---+--> Spin ------> Wait(0.5 ms) ... Wait(8 ms) ----> Sleep
//!         nothing       30 us        nothing, doubling      100 ms
//! ```
//! Hot looks without a system call between turns. Spin reads two words of memory for a few
//! microseconds: under load the next packet is that close. Wait sleeps in our own ring: one system
//! call a wake-up, but the executor's timers stand still. Sleep hands the core to the executor: a
//! few more system calls a wake-up, and none at all while nothing comes.

use super::clock::Moment;
use core::time::Duration;

/// How long a shard spins: about the time a wake-up costs.
pub(crate) const SPIN: Duration = Duration::from_micros(30);

/// The first and the longest wait in our ring.
const WAIT_FIRST: Duration = Duration::from_micros(500);
const WAIT_LONGEST: Duration = Duration::from_millis(8);

/// Silence after which a shard sleeps: longer than a voice stream's 20 ms, so that one call's
/// packets never pay for waking the executor.
const SLEEP_AFTER: Duration = Duration::from_millis(100);

/// What a shard does next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Pace {
    /// Takes the next turn at once.
    Hot,
    /// Looks for work for [`SPIN`] without a system call.
    Spin,
    /// Waits in its ring so long at most.
    Wait(Duration),
    /// Sleeps in the executor until its bell rings.
    Sleep,
}

impl Pace {
    /// What follows a turn that found `work` or not, the last work having been `quiet` ago.
    #[must_use]
    pub(crate) fn next(self, work: bool, quiet: Duration) -> Self {
        match (self, work) {
            (_, true) => Self::Hot,
            (Self::Hot, false) => Self::Spin,
            (Self::Spin, false) => Self::Wait(WAIT_FIRST),
            (Self::Wait(_) | Self::Sleep, false) if quiet >= SLEEP_AFTER => Self::Sleep,
            (Self::Wait(last), false) => Self::Wait((last * 2).min(WAIT_LONGEST)),
            (Self::Sleep, false) => Self::Wait(WAIT_FIRST),
        }
    }
}

/// Whether something is due that happens every `period`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Every {
    period: Duration,
    last: Moment,
}

impl Every {
    /// Due for the first time one `period` after `now`.
    pub(crate) fn new(period: Duration, now: Moment) -> Self {
        Self { period, last: now }
    }

    /// Whether it is due; if so, the next period begins.
    pub(crate) fn due(&mut self, now: Moment) -> bool {
        let due = now.since(self.last) >= self.period;
        if due {
            self.last = now;
        }
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = "\
Hot         work -> Hot         quiet -> Spin        silent -> Spin
Spin        work -> Hot         quiet -> Wait(500µs) silent -> Wait(500µs)
Wait(500µs) work -> Hot         quiet -> Wait(1ms)   silent -> Sleep
Wait(8ms)   work -> Hot         quiet -> Wait(8ms)   silent -> Sleep
Sleep       work -> Hot         quiet -> Wait(500µs) silent -> Sleep
";

    #[test]
    fn the_transitions_are_these() {
        let states =
            [Pace::Hot, Pace::Spin, Pace::Wait(WAIT_FIRST), Pace::Wait(WAIT_LONGEST), Pace::Sleep];
        let table: String = states
            .map(|state| {
                let show = |pace: Pace| format!("{pace:?}");
                format!(
                    "{:11} work -> {:11} quiet -> {:12}silent -> {}\n",
                    show(state),
                    show(state.next(true, Duration::ZERO)),
                    show(state.next(false, Duration::from_millis(1))),
                    show(state.next(false, SLEEP_AFTER)),
                )
            })
            .concat();
        assert_eq!(table, TABLE);
    }

    #[test]
    fn silence_ends_in_sleep() {
        let mut pace = Pace::Hot;
        let mut quiet = Duration::ZERO;
        for _ in 0..30 {
            pace = pace.next(false, quiet);
            if let Pace::Wait(time) = pace {
                quiet += time;
            }
        }
        assert_eq!(pace, Pace::Sleep);
    }

    #[test]
    fn what_is_due_is_due_once_a_period() {
        let at = |ms| Moment(Duration::from_millis(ms));
        let mut every = Every::new(Duration::from_millis(250), at(0));
        let due: Vec<_> =
            [100, 249, 250, 251, 499, 600, 849, 850].map(|ms| every.due(at(ms))).into();
        assert_eq!(due, [false, false, true, false, false, true, false, true]);
    }
}
