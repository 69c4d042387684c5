//! Every limit of what may cross the border, with the reason for its size.

/// Longest datagram between a terminal and a relay's media port, tags included: more than a path of
/// 1,500 bytes carries, and with the kernel's receive header it fits a relay's buffer of 2,048.
pub const DATAGRAM_BYTES_MAX: usize = 1_984;

/// Longest feedback packet that is written: with SRTCP's tag and index, 20 bytes, it fills a
/// datagram, so that whatever was read from one can be written into another.
pub const FEEDBACK_BYTES_MAX: usize = DATAGRAM_BYTES_MAX - 20;

/// Largest message body in bytes: 64 KiB holds the presence list of a full tenant page and is
/// small enough that a peer cannot make a node hold much for it.
pub const MESSAGE_BODY_BYTES_MAX: usize = 64 * 1024;

/// Nesting an archive may have, the message itself included. The deepest need three: a list, and a
/// list or a name in each of its elements. The rest is room for what messages may become.
pub const ARCHIVE_DEPTH_MAX: usize = 16;

/// Longest tenant name, login ID or display name in bytes of UTF-8.
pub const NAME_BYTES_MAX: usize = 128;

/// Longest password in bytes of UTF-8; long enough for any passphrase, short enough to hash.
pub const PASSWORD_BYTES_MAX: usize = 256;

/// Longest resume token in bytes: twice what control makes them of.
pub const TOKEN_BYTES_MAX: usize = 256;

/// Calls that each list of a resumed session may name: four times what an account may be part of.
pub const RESUMED_CALLS_MAX: usize = 16;

/// Highest first sequence number of a stream: whoever hears any of its first 2^15 packets finds the
/// rollover counter at zero (RFC 3711 3.3.1).
pub const FIRST_SEQUENCE_MAX: u16 = (1 << 15) - 1;

/// Streams one leg may send: audio, camera low, camera high, screen.
pub const STREAMS_PER_LEG_MAX: usize = 4;

/// Legs one call may have: a desk's conference with an audience, and a set of them fits a word.
pub const LEGS_PER_CALL_MAX: usize = 32;

/// Streams one leg may receive: all of all other legs of its call.
pub const SUBSCRIPTIONS_PER_LEG_MAX: usize = (LEGS_PER_CALL_MAX - 1) * STREAMS_PER_LEG_MAX;

/// Streams one report of rollovers may name: a stream of 1,000 packets/s wraps once a minute.
pub const ROLLOVERS_PER_REPORT_MAX: usize = 1_024;

/// Relays one call may be placed on: a primary and a standby.
pub const RELAYS_PER_CALL_MAX: usize = 2;

/// Presence entries one message may carry. That many fit with names of up to 119 bytes; with all
/// names at their longest only half as many do, so control sends 128 a message.
pub const PRESENCE_ENTRIES_MAX: usize = 256;

/// Callers one list of missed calls may name: what a person goes through after some days away.
pub const MISSED_CALLS_MAX: usize = 32;

/// Members one message may list: as many as a call may have legs at a relay.
pub const MEMBERS_PER_MESSAGE_MAX: usize = LEGS_PER_CALL_MAX;

/// Orders one batch may carry: 32 of the longest take two thirds of a message.
pub const ORDERS_PER_BATCH_MAX: usize = 32;

/// Shards one relay may announce.
pub const SHARDS_PER_RELAY_MAX: usize = 256;

/// Named counters one report may carry.
pub const COUNTERS_PER_REPORT_MAX: usize = 128;

/// Longest name of a node: one label of a DNS name.
pub const NODE_NAME_BYTES_MAX: usize = 63;

/// Longest message for a terminal that a node passes on, header included: all of control's are
/// shorter than this by half; the rest of a message names who gets it.
pub const SAID_BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX - 16 * 1024;

/// Sessions that one push names: as many as fit beside the longest thing said.
pub const SESSIONS_PER_PUSH_MAX: usize = 1_024;

/// Desks of which a session's node keeps when an agent was offered a call last: as many as a tenant
/// may have.
pub const DESKS_PER_AGENT_MAX: usize = 100;

/// Bytes of rows in one message: three quarters of it.
pub const ROWS_BYTES_MAX: usize = MESSAGE_BODY_BYTES_MAX * 3 / 4;

/// Bytes of a presence entry beside its names; `tests/golden.rs` encodes the fullest messages.
const PRESENCE_ENTRY_BYTES: usize = 17;

/// Bytes of an order that installs a leg which sends and receives all there is; all other orders
/// are shorter.
const ORDER_BYTES_MAX: usize = 203 + 8 * (STREAMS_PER_LEG_MAX + SUBSCRIPTIONS_PER_LEG_MAX);

/// Bytes of a message that carries one list, beside the list: at most a flag and the list's field.
const LIST_BYTES: usize = 1 + 8;

const _: () = assert!(FEEDBACK_BYTES_MAX.is_multiple_of(4));
const _: () = assert!(
    LIST_BYTES + PRESENCE_ENTRIES_MAX / 2 * (PRESENCE_ENTRY_BYTES + 2 * NAME_BYTES_MAX)
        <= MESSAGE_BODY_BYTES_MAX
);
const _: () = assert!(
    LIST_BYTES + PRESENCE_ENTRIES_MAX * (PRESENCE_ENTRY_BYTES + 2 * 119) <= MESSAGE_BODY_BYTES_MAX
);
const _: () =
    assert!(LIST_BYTES + ORDERS_PER_BATCH_MAX * ORDER_BYTES_MAX <= MESSAGE_BODY_BYTES_MAX * 2 / 3);
const _: () = assert!(ROLLOVERS_PER_REPORT_MAX * 8 <= MESSAGE_BODY_BYTES_MAX / 2);
/// Bytes of a desk among those that have offered an agent calls, beside its name.
const OFFERED_BYTES: usize = 24;

const _: () = assert!(
    LIST_BYTES + DESKS_PER_AGENT_MAX * (OFFERED_BYTES + NAME_BYTES_MAX)
        <= MESSAGE_BODY_BYTES_MAX / 2
);
const _: () = assert!(SAID_BYTES_MAX + 8 * SESSIONS_PER_PUSH_MAX + 64 <= MESSAGE_BODY_BYTES_MAX);

/// Rows of counters of guesses; see the guard of control.
pub const GUESS_ROWS: usize = 4;

/// Limits that one guess may count for: of account, address, tenant, device, and one to come.
pub const GUESS_KINDS_MAX: usize = 5;
