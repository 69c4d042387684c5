//! Every limit of a relay, with the sum or the reason behind it.

use kakehashi_wire::limits::LEGS_PER_CALL_MAX;

/// Bytes of the longest datagram taken in; what is longer is dropped and counted.
pub use kakehashi_wire::limits::DATAGRAM_BYTES_MAX;

/// Packets one turn handles at most: 256 x 1,500 B stays inside a typical 1-2 MiB L2.
pub const BATCH_PACKETS_MAX: usize = 256;

/// Hops one turn sends at most: every packet of a full batch in a call of average size; a fuller
/// turn leaves its remaining packets in the ring for the next turn.
pub const BATCH_HOPS_MAX: usize = BATCH_PACKETS_MAX * (LEGS_PER_CALL_MAX - 1);

/// STUN answers and challenges one turn sends at most: one for each packet.
pub const BATCH_ANSWERS_MAX: usize = BATCH_PACKETS_MAX;

/// Bytes of the longest datagram a relay writes itself: a binding success for IPv6 takes 96.
pub const ANSWER_BYTES_MAX: usize = 128;

/// Receive buffers a shard hands to the kernel: 4,096 x 2 KiB = 8 MiB, 40 ms of 100,000 packets/s.
pub const RECEIVE_BUFFERS: usize = 4_096;

/// Legs one shard holds at most, unless its configuration says less.
pub const LEGS_PER_SHARD_MAX: usize = 100_000;

/// Orders that may wait for one shard; the link stops reading from control while it is full.
pub const MAILBOX_ORDERS: usize = 4_096;

/// Answers a shard may owe to the link.
pub const MAILBOX_RESULTS: usize = 4_096;

/// Removed legs whose generation a shard remembers, so that a late order cannot revive one.
pub const TOMBSTONES: usize = 4_096;

/// Places one sweep for ended or unwanted legs visits: 1,024 x about 4 ns of looking, 100 sweeps
/// for a full shard.
pub const SWEEP_LEGS: u32 = 1_024;

/// Sweeps for ended legs four times a second: a shard of 20,000 legs is swept in 1.25 s.
pub const SWEEPS_PER_HOUSEKEEPING: usize = 4;

/// Commands of its mailbox a shard carries out in one turn: 64 installs, the dearest, take about
/// 0.2 ms.
pub const COMMANDS_PER_TURN: usize = 64;

/// Milliseconds between two moves of a leg to another address: faster than any handover between
/// networks, slow enough that two networks cannot make media flap.
pub const MOVE_PAUSE_MS: u64 = 1_000;

/// Milliseconds a path challenge waits for its answer: the longest round trip a call can use.
pub const CHALLENGE_MS: u64 = 500;

/// Milliseconds the link waits for a shard to answer orders: a thousand turns of a busy shard. One
/// that is silent for longer is stuck, and control is told so.
pub const SHARD_ANSWER_MS: u64 = 2_000;

/// Milliseconds a node of control gets to complete a handshake before the next one is tried: two
/// retransmissions and a slow certificate check.
pub const DIAL_MS: u64 = 2_000;

/// Round trip assumed before one is measured, in milliseconds. A first packet lost to a node that
/// is just restarting is repeated after three of these.
pub const FIRST_ROUND_TRIP_MS: u64 = 100;

/// Milliseconds from connecting to control until its welcome.
pub const HELLO_MS: u64 = 5_000;

/// Milliseconds between two counter reports.
pub const COUNTER_REPORT_MS: u64 = 1_000;

/// Messages that may wait to be sent to control: heartbeats and outcomes of a slow second.
pub const OUTBOX_MESSAGES: usize = 16;

/// Milliseconds without a packet after which QUIC gives the link up; heartbeats notice earlier.
pub const LINK_IDLE_MS: u64 = 10_000;

/// Bytes control may send ahead of what is read: four of the longest messages.
pub const LINK_WINDOW_BYTES: u32 = 4 * 64 * 1_024;

/// Pause before the second try to reach control, in milliseconds; it doubles from there.
pub const BACK_OFF_MIN_MS: u64 = 100;

/// Longest pause between tries to reach control, in milliseconds.
pub const BACK_OFF_MAX_MS: u64 = 5_000;

const _: () = assert!(RECEIVE_BUFFERS.is_power_of_two() && RECEIVE_BUFFERS <= 32_768);
const _: () = assert!(RECEIVE_BUFFERS >= BATCH_PACKETS_MAX);
