//! Whether control is still there, while somebody waits for it. Pure.
//!
//! A connection that breaks is noticed by QUIC when its idle time ends, which is long, so that
//! terminals which only wait cost little. In a call, while it rings, and while a request has no
//! answer yet, a node that died must be noticed at once: then this asks for something to be said
//! now and then, since everything that is said is acknowledged, and counts how long nothing came.
//!
//! Whoever has no other node to go to asks as well, so that control sees from where it speaks, but
//! does not give up: there is nothing to do but wait.

use super::terminal::Timing;
use crate::clock::Moment;

/// What to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Watch {
    /// Nothing before then.
    Until(Moment),
    /// Say something.
    Ping,
    /// Control is gone.
    Lost,
}

/// What was heard and said over one connection.
pub(super) struct Liveness {
    /// When something was last heard, or somebody began to wait.
    heard: Moment,
    datagrams: u64,
    asked: Moment,
    busy: bool,
}

/// Who waits for control.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Waits {
    /// Nobody.
    No,
    /// Somebody, and there is no other node to go to.
    ForThisNode,
    /// Somebody, and there is.
    ForAnyNode,
}

impl Liveness {
    /// Of a connection that stands since `now`.
    pub(super) fn new(now: Moment) -> Self {
        Self { heard: now, datagrams: 0, asked: now, busy: false }
    }

    /// `datagrams` have been received so far; what to do. `None` while nobody waits.
    pub(super) fn look(
        &mut self,
        datagrams: u64,
        waits: Waits,
        now: Moment,
        timing: &Timing,
    ) -> Option<Watch> {
        let busy = waits != Waits::No;
        if datagrams != self.datagrams || (busy && !self.busy) {
            (self.datagrams, self.heard) = (datagrams, now);
        }
        self.busy = busy;
        if !busy {
            return None;
        }
        let may_leave = waits == Waits::ForAnyNode;
        if may_leave && now.since(self.heard) >= timing.busy_silence {
            return Some(Watch::Lost);
        }
        if now.since(self.asked) >= timing.busy_ping {
            self.asked = now;
            return Some(Watch::Ping);
        }
        let (ask_at, lost_at) =
            (self.asked.plus(timing.busy_ping), self.heard.plus(timing.busy_silence));
        Some(Watch::Until(if may_leave { ask_at.min(lost_at) } else { ask_at }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Waits::{ForAnyNode, ForThisNode, No};
    use Watch::{Lost, Ping, Until};
    use core::time::Duration;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(1_000 * ms)
    }

    fn timing() -> Timing {
        let (busy_ping, busy_silence) = (Duration::from_millis(250), Duration::from_secs(1));
        Timing { busy_ping, busy_silence, ..Timing::default() }
    }

    #[test]
    fn the_table_is_this() {
        let mut liveness = Liveness::new(ms(0));
        let table = [
            (5_000, 9, No, None),
            // A call begins, long after anything was heard.
            (9_000, 9, ForAnyNode, Some(Ping)),
            (9_000, 9, ForAnyNode, Some(Until(ms(9_250)))),
            (9_020, 10, ForAnyNode, Some(Until(ms(9_250)))),
            (9_250, 10, ForAnyNode, Some(Ping)),
            (9_500, 11, ForAnyNode, Some(Ping)),
            // Nothing comes any more.
            (9_750, 11, ForAnyNode, Some(Ping)),
            (10_000, 11, ForAnyNode, Some(Ping)),
            (10_250, 11, ForAnyNode, Some(Ping)),
            (10_251, 11, ForAnyNode, Some(Until(ms(10_500)))),
            // Without another node it is waited for.
            (10_500, 11, ForThisNode, Some(Ping)),
            (10_501, 11, ForThisNode, Some(Until(ms(10_750)))),
            (10_501, 11, ForAnyNode, Some(Lost)),
        ];
        for (at, datagrams, waits, wanted) in table {
            assert_eq!(liveness.look(datagrams, waits, ms(at), &timing()), wanted, "at {at}");
        }
    }

    proptest! {
        /// Whenever control dies: its loss is noticed within a silence, and while it lives it is
        /// never taken for dead.
        #[test]
        fn a_loss_is_noticed_in_time_and_nothing_else(dies in 0_u64..5_000, trip in 1_u64..200) {
            let (mut liveness, mut now, mut pings) = (Liveness::new(ms(0)), 0, Vec::new());
            loop {
                let heard = pings.iter().filter(|at| **at + trip <= now.min(dies)).count();
                match liveness.look(heard as u64, ForAnyNode, ms(now), &timing()) {
                    Some(Lost) => break,
                    Some(Ping) => pings.push(now),
                    Some(Until(_)) => now += 1,
                    None => prop_assert!(false, "somebody waits"),
                }
            }
            prop_assert!(now > dies && now <= dies + 1_000, "dead at {dies}, noticed at {now}");
        }
    }
}
