//! Whether the load generator was itself the limit. What it finds stands in the report with its
//! evidence: a relay must not be blamed for what its tester could not do.

use core::time::Duration;
use serde::Serialize;

/// What the generator and the sink saw of themselves in a run.
#[derive(Clone, Copy, PartialEq, Debug, Default, Serialize)]
pub struct OwnLoad {
    /// Part of the run in which the generator's thread used a core, in percent.
    pub generator_cpu_percent: f64,
    /// The same for the sink's thread.
    pub sink_cpu_percent: f64,
    /// How late 99 % of the trains at most were handed to the kernel, in microseconds.
    pub lateness_p99_us: f64,
    /// The same for 99.9 %.
    pub lateness_p999_us: f64,
    /// The latest of all, in microseconds.
    pub lateness_max_us: f64,
    /// Datagrams dropped because the queue of one of our sockets was full.
    pub socket_drops: u64,
    /// Datagrams dropped because the queue of the relay's socket was full, if it is on this
    /// machine: that is the relay's limit, not ours.
    pub relay_socket_drops: u64,
    /// Trains that waited because our own queue was full.
    pub held_up: u64,
}

/// A thread that uses more of its core has no room for a burst.
const CPU_PERCENT_MAX: f64 = 90.0;

/// Lateness of a train that is a good part of what a bound on the delay allows.
const LATENESS_PART: f64 = 0.5;

/// Lateness that counts where there is no bound.
const LATENESS_US_MAX: f64 = 1_000.0;

impl OwnLoad {
    /// What was our own limit, each with its evidence and what to do. `bound` is the delay that
    /// 99.9 % of the packets may have, if there is one.
    pub fn limits(&self, bound: Option<Duration>) -> Vec<String> {
        let mut limits = Vec::new();
        for (what, option, percent) in [
            ("generator", "--generator-core", self.generator_cpu_percent),
            ("sink", "--sink-core", self.sink_cpu_percent),
        ] {
            if percent > CPU_PERCENT_MAX {
                limits.push(format!(
                    "the {what} used {percent:.0} % of a core: it cannot do more; give it a core \
                     of its own ({option}) or drive less"
                ));
            }
        }
        let allowed = bound.map_or(LATENESS_US_MAX, |bound| {
            (bound.as_secs_f64() * 1e6 * LATENESS_PART).min(LATENESS_US_MAX)
        });
        if self.lateness_p999_us > allowed {
            limits.push(format!(
                "the generator was late: 0.1 % of its trains by more than {:.0} us (1 % by more \
                 than {:.0} us, at most {:.0} us), which is in every delay of this report; give \
                 it a core of its own (--generator-core), away from the relay's",
                self.lateness_p999_us, self.lateness_p99_us, self.lateness_max_us
            ));
        }
        if self.socket_drops > 0 {
            limits.push(format!(
                "{} datagrams were dropped at our own sockets and count as lost: raise \
                 net.core.rmem_max, or give the sink a core of its own (--sink-core)",
                self.socket_drops
            ));
        }
        if self.held_up > 0 {
            limits.push(format!(
                "{} trains waited because our own send queue was full: raise net.core.wmem_max",
                self.held_up
            ));
        }
        limits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const IDLE: OwnLoad = OwnLoad {
        generator_cpu_percent: 40.0,
        sink_cpu_percent: 89.0,
        lateness_p99_us: 40.0,
        lateness_p999_us: 300.0,
        lateness_max_us: 5_000.0,
        socket_drops: 0,
        relay_socket_drops: 9,
        held_up: 0,
    };

    #[test]
    fn one_that_had_room_says_nothing() {
        assert_eq!(IDLE.limits(None), Vec::<String>::new());
        assert!(IDLE.limits(Some(Duration::from_millis(1))).is_empty());
    }

    #[test]
    fn each_limit_is_told_with_its_evidence() {
        let cases = [
            (OwnLoad { generator_cpu_percent: 97.0, ..IDLE }, "97 %"),
            (OwnLoad { sink_cpu_percent: 99.0, ..IDLE }, "--sink-core"),
            (OwnLoad { lateness_p999_us: 1_500.0, ..IDLE }, "1500 us"),
            (OwnLoad { socket_drops: 3, ..IDLE }, "3 datagrams"),
            (OwnLoad { held_up: 12, ..IDLE }, "12 trains"),
        ];
        for (own, evidence) in cases {
            let limits = own.limits(None);
            assert_eq!(limits.len(), 1, "{limits:?}");
            assert!(limits[0].contains(evidence), "{limits:?}");
        }
        let tight = IDLE.limits(Some(Duration::from_micros(500)));
        assert!(tight[0].contains("late"), "{tight:?}");
    }
}
