//! Every limit of what may cross the border, with the reason for its size.

/// Longest datagram between a terminal and a relay's media port, tags included: more than a path of
/// 1,500 bytes carries, and with the kernel's receive header it fits a relay's buffer of 2,048.
pub const DATAGRAM_BYTES_MAX: usize = 1_984;

/// Largest message body in bytes: 64 KiB holds the presence list of a full tenant page and is
/// small enough that a peer cannot make a node hold much for it.
pub const MESSAGE_BODY_BYTES_MAX: usize = 64 * 1024;

/// Nesting an archive may have. The deepest message (an order inside a batch) needs five.
pub const ARCHIVE_DEPTH_MAX: usize = 16;

/// Longest tenant name, login ID or display name in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest password in bytes of UTF-8; long enough for any passphrase, short enough to hash.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Streams one leg may send: audio, camera low, camera high, screen.
pub const STREAMS_PER_LEG_MAX: usize = 4;

/// Legs one call may have.
pub const LEGS_PER_CALL_MAX: usize = 16;

/// Relays one call may be placed on: a primary and a standby.
pub const RELAYS_PER_CALL_MAX: usize = 2;

/// Presence entries one message may carry: 256 x about 200 bytes stays below the body limit.
pub const PRESENCE_ENTRIES_MAX: usize = 256;

/// Orders one batch may carry: 128 x at most 480 bytes stays below the body limit.
pub const ORDERS_PER_BATCH_MAX: usize = 128;

/// Shards one relay may announce.
pub const SHARDS_PER_RELAY_MAX: usize = 256;

/// Named counters one report may carry.
pub const COUNTERS_PER_REPORT_MAX: usize = 128;

const _: () =
    assert!(PRESENCE_ENTRIES_MAX * (16 + 2 * NAME_BYTES_MAX / 2) < MESSAGE_BODY_BYTES_MAX);
const _: () = assert!(ORDERS_PER_BATCH_MAX * 480 < MESSAGE_BODY_BYTES_MAX);
