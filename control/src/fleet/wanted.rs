//! A leg as a relay should hold it, and as what order it is told so.

use kakehashi_wire::id::{CallId, Generation, LegId, ShardIndex, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    InstallLeg, LegLane, LegStream, Order, Outcome, RenewLeg, SubscribeLeg, Subscription,
};
use kakehashi_wire::secret::{IcePassword, MasterKey};

/// A leg a relay should hold.
#[derive(Clone, PartialEq, Eq)]
pub struct WantedLeg {
    /// The leg.
    pub leg: LegId,
    /// Its call.
    pub call: CallId,
    /// What its relay logs of it is to be found by.
    pub trace: TraceId,
    /// The shard of the call.
    pub shard: ShardIndex,
    /// Authenticates what the leg sends.
    pub key: MasterKey,
    /// Keys the terminal's binding requests.
    pub relay_password: IcePassword,
    /// Keys the relay's challenges.
    pub terminal_password: IcePassword,
    /// What the leg may send.
    pub streams: Vec<LegStream>,
    /// How the leg receives.
    pub lane: LegLane,
    /// What the leg may send, in kbit/s of UDP payload; 0 for no limit.
    pub rate_kbps: u32,
    /// Which streams of the others the leg receives; `None` for all.
    pub subscriptions: Option<Vec<Subscription>>,
    /// Where its terminal is seen.
    pub seen_at: Host,
}

/// How a wanted leg stands at the relay.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// Ordered, or about to be.
    Waiting,
    /// The relay holds it, and it receives what it should.
    InForce,
    /// The relay will not hold it.
    Refused(Outcome),
    /// Nobody asked for it.
    Unwanted,
}

impl WantedLeg {
    /// The order that installs it for `lifetime_ms` milliseconds.
    pub(super) fn install(&self, generation: Generation, lifetime_ms: u32) -> Order {
        Order::Install(InstallLeg {
            leg: self.leg,
            call: self.call,
            trace: self.trace,
            generation,
            shard: self.shard,
            key: self.key.clone(),
            relay_password: self.relay_password.clone(),
            terminal_password: self.terminal_password.clone(),
            streams: self.streams.clone(),
            lane: self.lane.clone(),
            receives: self.subscriptions.clone(),
            rate_kbps: self.rate_kbps,
            lifetime_ms,
            seen_at: self.seen_at,
        })
    }

    /// The order that keeps it for `lifetime_ms` milliseconds more.
    pub(super) fn renew(&self, generation: Generation, lifetime_ms: u32) -> Order {
        Order::Renew(RenewLeg { leg: self.leg, generation, lifetime_ms, seen_at: self.seen_at })
    }

    /// The order that says what it receives.
    pub(super) fn subscribe(&self, generation: Generation) -> Order {
        let streams = self.subscriptions.clone().unwrap_or_default();
        Order::Subscribe(SubscribeLeg { leg: self.leg, generation, streams })
    }
}
