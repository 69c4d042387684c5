//! How fast this terminal may send, by what its receivers say of arrival times and losses.
//!
//! **Times and counts in, a rate out; no clock, no socket.** A receiver writes down when packets
//! came ([`arrivals`]) and reports it (RFC 8888). The sender compares that with what it sent
//! ([`history`]) and keeps a [`controller`] for each receiver; [`rate`] makes one target of them.
//!
//! The controller works like the published ones that mix delay and loss (Google congestion control,
//! NADA in RFC 8698, SCReAM in RFC 8298), reduced to what can be explained in a paragraph:
//!
//! - The **queue** is the least one-way delay of a report less the least delay of the last 10 to
//!   20 s. The clocks of both sides need not agree, since only differences count.
//! - While the queue is short and hardly anything is lost, the rate **grows**: quickly until the
//!   first sign of congestion, then by 8 % a second. It does not grow past twice of what arrives,
//!   unless frames wait to be sent: what was never tried proves nothing.
//! - A queue beyond 50 ms that does not shrink **cuts** the rate to 85 % of what arrives; more than
//!   10 % lost cuts it by half the share that is lost. After a cut it waits for the effect.
//! - 2 to 10 % lost **holds** the rate: radio loses that much without congestion.
//! - A queue that four cuts did not shorten is not ours: the way became longer, and its delay is
//!   the new least delay.
//!
//! With several receivers the slowest decides, as long as it reports. Receivers that know only the
//! reports of RFC 3550 keep the rate where it is while they lose little. If nobody says anything,
//! or all lose more, the rate falls to one that is safe nearly everywhere.

pub mod arrivals;
pub mod controller;
pub mod history;
pub mod rate;
#[cfg(test)]
mod simulation;

pub use controller::{Controller, Sample};
pub use rate::RateControl;

/// Between what the rate stays, in bits a second of RTP datagrams.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RateLimits {
    /// Never less: voice goes on.
    pub floor: u64,
    /// Where it begins, and what encoders are told first.
    pub start: u64,
    /// Where it falls to while no receiver says anything.
    pub safe: u64,
    /// Never more.
    pub ceiling: u64,
}

impl Default for RateLimits {
    fn default() -> Self {
        Self { floor: 64_000, start: 2_000_000, safe: 500_000, ceiling: 20_000_000 }
    }
}

impl RateLimits {
    /// Other limits, and start and safe rate moved between them. A ceiling below the floor wins.
    #[must_use]
    pub fn between(floor: u64, ceiling: u64) -> Self {
        let (floor, usual) = (floor.min(ceiling), Self::default());
        let within = |rate: u64| rate.clamp(floor, ceiling);
        Self { floor, start: within(usual.start), safe: within(usual.safe), ceiling }
    }
}
