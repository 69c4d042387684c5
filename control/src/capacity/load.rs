//! What the load of shards is measured by, and how much of it is too much.

use std::time::Duration;

/// Over what time a shard's rates are smoothed: long enough that a burst of one heartbeat does not
/// decide, short enough that a call that began is seen before the next hundred are placed.
pub const LOAD_SMOOTHING: Duration = Duration::from_secs(1);

/// How long the rates of a shard that reports nothing new still count. A shard with legs counts
/// packets every second, so for longer than this nothing is known of it.
pub const LOAD_KEPT: Duration = Duration::from_secs(5);

/// Packets a second that a leg is taken to cause, received and sent, until its shard has reported
/// it: voice at 50 and a camera at 50, both ways.
pub const LEG_PACKETS_PER_S: u32 = 200;

/// The packet rate below which no shard counts as full beside others: in a fleet that is all but
/// idle, the rate of its one call must not count for a full shard.
pub const SHARD_PACKETS_PER_S: u32 = 50_000;

/// What a core forwards at least. It counts where a shard has so little to do that its processor
/// time says nothing of what it could do.
pub const SHARD_PACKETS_PER_S_MAX: u32 = 10 * SHARD_PACKETS_PER_S;

/// The share of its core from which on a shard takes no call, in thousandths: what comes in a burst
/// waits then, and calls that go on would pay for the new one.
pub const SHARD_FULL_PERMILLE: u32 = 900;

/// The share of its core that a shard should not pass although it carries the calls of a lost site
/// as well, in thousandths.
pub const SHARD_LOAD_MAX_PERMILLE: u32 = 800;

/// The share of its core below which the costs of a shard's packets are not known, in thousandths:
/// most of it is waking up.
pub const SHARD_BUSY_PERMILLE: u32 = 50;

/// How often it is counted which relays stand by for which: some milliseconds for
/// [`CALLS_MAX`](super::CALLS_MAX) calls.
pub const STANDBYS_COUNTED_EVERY: Duration = Duration::from_secs(1);

/// Round trips that differ by less count as equal, in microseconds, so that load decides between
/// them: it is less than what a jitter buffer takes.
pub const DETOUR_STEP_US: u32 = 20_000;

/// The longest round trip that counts, in microseconds: nobody talks over a longer one.
pub const WAY_US_MAX: u32 = 2_000_000;

/// How long a measured round trip counts.
pub const WAYS_KEPT: Duration = Duration::from_secs(3_600);

/// Accounts whose round trips are known at once, some 200 bytes each: as many as have calls within
/// [`WAYS_KEPT`] in the largest cell. Whoever is beyond that is placed by load.
pub const WAYS_ACCOUNTS_MAX: usize = 65_536;

/// How often it is looked whose round trips count no more, if there is no room.
pub const WAYS_SWEPT_EVERY: Duration = Duration::from_secs(60);

const _: () = assert!(SHARD_BUSY_PERMILLE < SHARD_LOAD_MAX_PERMILLE);
const _: () = assert!(SHARD_LOAD_MAX_PERMILLE < SHARD_FULL_PERMILLE);
