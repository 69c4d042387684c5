//! The link between a relay and control.
//!
//! The relay dials control (mutual TLS; the certificate names the relay) and opens one
//! bidirectional stream. It says [`Hello`], is answered [`Welcome`], and from then on both sides
//! send a heartbeat; orders flow one way, their outcomes the other.
//!
//! Orders are idempotent: each names a leg and a [`Generation`]; applying the same one twice
//! changes nothing, and one that is older than what the leg has seen is answered
//! [`Outcome::Stale`].
//!
//! A relay has a link to each node, and one node at a time orders: the one of the newest [`Term`].
//! It begins with [`Resync`] and an install for each wanted leg; what the relay holds already stays
//! as it is. Orders of an older term are answered [`Outdated`] and change nothing.

use crate::id::{CallId, Generation, Incarnation, LegId, RelayId, ShardIndex, Term, TraceId};
use crate::limits::{
    COUNTERS_PER_REPORT_MAX, NAME_BYTES_MAX, ORDERS_PER_BATCH_MAX, ROLLOVERS_PER_REPORT_MAX,
    SHARDS_PER_RELAY_MAX, STREAMS_PER_LEG_MAX, SUBSCRIPTIONS_PER_LEG_MAX,
};
use crate::media::{Address, Host};
use crate::message::{Check, at_most, name};
use crate::rtp::Ssrc;
use crate::secret::{DownlinkSecret, IcePassword, MasterKey, Suite};
use rkyv::{Archive, Deserialize, Serialize};

/// Leg numbers one [`Resync`] may carry: 4,096 x 8 bytes is half a message.
pub const RESYNC_LEGS_MAX: usize = 4096;

messages! {
    /// What control says to a relay.
    ToRelay {
        /// The answer to [`Hello`].
        0x0301 Welcome,
        /// Legs to install, renew or remove.
        0x0302 Orders,
        /// Which legs of a range are wanted: all others there go.
        0x0303 Resync,
        /// The node is alive.
        0x0304 NodeHeartbeat,
    }
}

messages! {
    /// What a relay says to control.
    FromRelay {
        /// First message of every link.
        0x0401 Hello,
        /// What became of orders.
        0x0402 OrdersDone,
        /// The relay is alive, and this is its load.
        0x0403 RelayHeartbeat,
        /// What its counters stand at.
        0x0404 CounterReport,
        /// Streams whose sequence number has wrapped.
        0x0405 Rollovers,
        /// Orders were not carried out: another node orders by now.
        0x0406 Outdated,
    }
}

/// A relay presents itself. Answer: [`Welcome`].
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Hello {
    /// Its number; must be the one its certificate names.
    pub relay: RelayId,
    /// This life of its process.
    pub incarnation: Incarnation,
    /// Name and version of its software.
    pub software: String,
    /// The data centre it is in, as its operator names it; empty if they do not say.
    pub site: String,
    /// Its shards, in the order of their indices.
    pub shards: Vec<ShardOffer>,
}

/// A shard as a relay offers it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct ShardOffer {
    /// Which shard.
    pub shard: ShardIndex,
    /// Where terminals reach it.
    pub address: Address,
    /// How many legs it holds at most.
    pub legs_max: u32,
}

/// Control takes the relay in.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Welcome {
    /// How often both sides send a heartbeat, in milliseconds.
    pub heartbeat_ms: u32,
    /// Silence after which the other side counts as lost, in milliseconds.
    pub lost_after_ms: u32,
}

/// Orders to apply in sequence. Answer: one [`OrdersDone`] with one result for each order, or
/// [`Outdated`].
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct Orders {
    /// The term of the node that orders.
    pub term: Term,
    /// At most [`ORDERS_PER_BATCH_MAX`].
    pub orders: Vec<Order>,
}

/// An instruction about one leg.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum Order {
    /// Holds this leg from now on. Of an equal one that it holds already, the relay takes over
    /// generation, rate, lifetime, address and what it receives, and its life goes on; any other is
    /// replaced.
    Install(InstallLeg),
    /// Keeps a leg for another lifetime.
    Renew(RenewLeg),
    /// Drops a leg and zeroises its keys.
    Remove(RemoveLeg),
    /// Says which streams of the others a leg receives.
    Subscribe(SubscribeLeg),
}

/// A leg as the relay needs it.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct InstallLeg {
    /// The leg.
    pub leg: LegId,
    /// The call whose other legs receive what this one sends.
    pub call: CallId,
    /// What the relay logs of the leg is to be found by.
    pub trace: TraceId,
    /// Orders this order.
    pub generation: Generation,
    /// The shard that holds the call.
    pub shard: ShardIndex,
    /// Authenticates what the leg sends.
    pub key: MasterKey,
    /// Keys the terminal's binding requests and this relay's answers.
    pub relay_password: IcePassword,
    /// Keys this relay's path challenges and the terminal's answers.
    pub terminal_password: IcePassword,
    /// The only streams the leg may send.
    pub streams: Vec<LegStream>,
    /// How the leg receives what the others send.
    pub lane: LegLane,
    /// What it receives, at most [`SUBSCRIPTIONS_PER_LEG_MAX`]; `None`: every stream.
    pub receives: Option<Vec<Subscription>>,
    /// What the leg may send, in kbit/s of UDP payload; what is over is dropped. 0: no limit.
    pub rate_kbps: u32,
    /// How long the relay keeps the leg without hearing of it again, in milliseconds.
    pub lifetime_ms: u32,
    /// Where control sees its terminal: a relay that lets only terminals through its first gate
    /// lets this address through while it holds the leg. [`Host::UNKNOWN`]: none; a leg that is
    /// there already keeps the one it has.
    pub seen_at: Host,
}

/// A stream a leg may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct LegStream {
    /// Its synchronisation source, unique on the shard.
    pub ssrc: Ssrc,
    /// How often its sequence number has wrapped at least. Packets from before that are refused.
    pub rollover: u32,
}

/// How a leg receives what the others send.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub enum LegLane {
    /// The senders' own bytes.
    Pass,
    /// Sealed anew for this leg.
    Seal(SealLane),
}

/// What a relay seals for one leg with: a key derived from the secret, the relay's number and the
/// [`Epoch`](crate::id::Epoch) that the installing order makes.
#[derive(Clone, PartialEq, Eq, Archive, Serialize, Deserialize)]
pub struct SealLane {
    /// Protection profile of the downlink.
    pub suite: Suite,
    /// The leg's secret.
    pub secret: DownlinkSecret,
}

/// From now on a leg receives these streams of the others and no more.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct SubscribeLeg {
    /// The leg that receives.
    pub leg: LegId,
    /// Orders this order.
    pub generation: Generation,
    /// At most [`SUBSCRIPTIONS_PER_LEG_MAX`]; no source and no name twice.
    pub streams: Vec<Subscription>,
}

/// A stream a leg receives.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Subscription {
    /// The stream as its sender sends it.
    pub source: Ssrc,
    /// The SSRC it arrives with. In the pass lane always `source`; in the seal lane another one
    /// lets a receiver see one stream while control changes its source.
    pub shown_as: Ssrc,
}

/// Extends a leg's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct RenewLeg {
    /// The leg.
    pub leg: LegId,
    /// Orders this order.
    pub generation: Generation,
    /// The new lifetime from now, in milliseconds.
    pub lifetime_ms: u32,
    /// Where control sees its terminal now; [`Host::UNKNOWN`]: the leg keeps the address it has.
    pub seen_at: Host,
}

/// Ends a leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct RemoveLeg {
    /// The leg.
    pub leg: LegId,
    /// Orders this order.
    pub generation: Generation,
}

/// Of the legs numbered `first..=last`, only `keep` are wanted; the relay drops the rest, whatever
/// their generation. Sent for the whole range of numbers, in pieces, when a link begins to be
/// ordered over. Not answered, unless with [`Outdated`]; for those kept, the relay tells again how
/// often their streams have wrapped.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Resync {
    /// The term of the node that orders.
    pub term: Term,
    /// First number of the range.
    pub first: LegId,
    /// Last number of the range.
    pub last: LegId,
    /// The wanted ones, at most [`RESYNC_LEGS_MAX`].
    pub keep: Vec<LegId>,
}

/// The node is alive.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct NodeHeartbeat {
    /// Counts up; echoed by the relay.
    pub beat: u64,
}

/// What became of a batch of orders, in their sequence.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct OrdersDone {
    /// One result for each order.
    pub results: Vec<OrderResult>,
}

/// What became of one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct OrderResult {
    /// The leg the order named.
    pub leg: LegId,
    /// The generation the order carried.
    pub generation: Generation,
    /// What became of it.
    pub outcome: Outcome,
    /// The order that began the life the leg has there now; generation 0 if it has none.
    pub life: Generation,
    /// Of a removal: how long before it the relay sent on media of the leg last, in milliseconds.
    /// None if it never did, or did not hold the leg. Of any other order none.
    pub silent_ms: Option<u32>,
}

/// What became of an order.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Outcome {
    /// It is in force.
    Applied = 1,
    /// It was in force already.
    Unchanged = 2,
    /// A newer order for the leg came first; nothing changed.
    Stale = 3,
    /// The shard is full, or the call is.
    NoRoom = 4,
    /// Another leg of the shard sends with one of the SSRCs.
    SsrcTaken = 5,
    /// There is no such shard.
    NoSuchShard = 6,
    /// There is no such leg to renew.
    NoSuchLeg = 7,
    /// The order contradicts itself or what is installed: no SSRC, a doubled one, another call.
    BadOrder = 8,
}

/// The relay is alive, and this is its load.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct RelayHeartbeat {
    /// The last [`NodeHeartbeat::beat`] heard, 0 if none.
    pub beat: u64,
    /// The newest term heard from any node in this life of the relay's process.
    pub term: Term,
    /// Load of each shard, in the order of their indices.
    pub shards: Vec<ShardLoad>,
}

/// Load of one shard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct ShardLoad {
    /// Legs installed.
    pub legs: u32,
    /// Packets received since the process began.
    pub packets_received: u64,
    /// Packets sent since the process began.
    pub packets_sent: u64,
    /// Bytes sent since the process began, UDP payload.
    pub bytes_sent: u64,
    /// Processor time used since the process began, in microseconds.
    pub cpu_us: u64,
}

/// What a relay's counters stand at, summed over its shards.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct CounterReport {
    /// At most [`COUNTERS_PER_REPORT_MAX`].
    pub counters: Vec<Counter>,
}

/// One counter.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Counter {
    /// Its name, as in the relay's documentation.
    pub name: String,
    /// Events since the process began.
    pub value: u64,
}

/// Streams whose sequence number has wrapped since the last report, so that whoever gets to know
/// them later knows where to look.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Rollovers {
    /// At most [`ROLLOVERS_PER_REPORT_MAX`].
    pub streams: Vec<LegStream>,
}

/// Orders of a term were not carried out, since a newer one has been heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Outdated {
    /// The term of what was refused.
    pub refused: Term,
    /// The newest heard from any node in this life of the relay's process.
    pub newest: Term,
}

impl Check for Welcome {}
impl Check for NodeHeartbeat {}
impl Check for Outdated {}

impl Check for Hello {
    fn check(&self) -> Result<(), &'static str> {
        name("software", &self.software)?;
        name("site", &self.site)?;
        at_most("shards", self.shards.len(), SHARDS_PER_RELAY_MAX)
    }
}

impl Check for Orders {
    fn check(&self) -> Result<(), &'static str> {
        at_most("orders", self.orders.len(), ORDERS_PER_BATCH_MAX)?;
        self.orders.iter().try_for_each(|order| match order {
            Order::Install(leg) => {
                at_most("streams", leg.streams.len(), STREAMS_PER_LEG_MAX)?;
                let receives = leg.receives.as_ref().map_or(0, Vec::len);
                at_most("receives", receives, SUBSCRIPTIONS_PER_LEG_MAX)
            }
            Order::Subscribe(leg) => {
                at_most("streams", leg.streams.len(), SUBSCRIPTIONS_PER_LEG_MAX)
            }
            Order::Renew(_) | Order::Remove(_) => Ok(()),
        })
    }
}

impl Check for Resync {
    fn check(&self) -> Result<(), &'static str> {
        at_most("keep", self.keep.len(), RESYNC_LEGS_MAX)
    }
}

impl Check for OrdersDone {
    fn check(&self) -> Result<(), &'static str> {
        at_most("results", self.results.len(), ORDERS_PER_BATCH_MAX)
    }
}

impl Check for RelayHeartbeat {
    fn check(&self) -> Result<(), &'static str> {
        at_most("shards", self.shards.len(), SHARDS_PER_RELAY_MAX)
    }
}

impl Check for Rollovers {
    fn check(&self) -> Result<(), &'static str> {
        at_most("streams", self.streams.len(), ROLLOVERS_PER_REPORT_MAX)
    }
}

impl Check for CounterReport {
    fn check(&self) -> Result<(), &'static str> {
        at_most("counters", self.counters.len(), COUNTERS_PER_REPORT_MAX)?;
        self.counters
            .iter()
            .try_for_each(|counter| at_most("name", counter.name.len(), NAME_BYTES_MAX))
    }
}
