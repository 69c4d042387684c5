//! Every limit of a relay, with the sum or the reason behind it.

use core::time::Duration;
use kakehashi_wire::limits::LEGS_PER_CALL_MAX;

/// Bytes of the longest datagram taken in; what is longer is dropped and counted.
pub use kakehashi_wire::limits::DATAGRAM_BYTES_MAX;

/// Datagrams and trains one turn receives at most. 128 voice packets amortise a turn's two system
/// calls to nothing; 128 trains of 8 x 1,200 B are 1.2 MiB, about a second-level cache.
pub const BATCH_DATAGRAMS_MAX: usize = 128;

/// Bytes one receive takes: the longest train the kernel makes.
pub const RECEIVE_SLOT_BYTES: usize = 64 * 1_024;

/// Packets of the longest train the kernel makes (`UDP_MAX_SEGMENTS`).
pub const TRAIN_PACKETS_MAX: usize = 128;

/// Packets one turn receives at most.
pub const BATCH_ARRIVALS_MAX: usize = BATCH_DATAGRAMS_MAX * TRAIN_PACKETS_MAX;

/// Payload of the longest train that is sent: what a UDP datagram holds over IPv6, rounded down.
pub const TRAIN_BYTES_MAX: u32 = 65_000;

/// Streams whose trains of this turn may still grow; a power of two. Four lines of cache hold the
/// streams of a busy moment.
pub const OPEN_TRAINS: usize = 64;

/// Hops gathered before they are sent: one call of [`SENDS_PER_CALL`], and the hops of one packet.
pub const TURN_HOPS_MAX: usize = SENDS_PER_CALL + TURN_ROOM_HOPS;

/// Trains gathered before they are sent.
pub const TURN_TRAINS_MAX: usize = TURN_HOPS_MAX;

/// Pieces of trains gathered before they are sent: every packet of a full batch out of order.
pub const TURN_PIECES_MAX: usize = 4 * SENDS_PER_CALL;

/// Hops, and pieces, that one packet may need: one for each other leg of its call, or one for each
/// packet that a request for repetition names.
pub const TURN_ROOM_HOPS: usize = 128;

/// Bytes one packet may make the relay write: a sealed copy for each other leg of its call.
pub const TURN_ROOM_BYTES: usize = TURN_ROOM_HOPS * 2_048;

/// Bytes the relay itself writes in a turn before they are sent: 1 MiB, and what one packet needs.
pub const TURN_OWN_BYTES: usize = (1 << 20) + TURN_ROOM_BYTES;

/// Microseconds a waiting shard may gather at most: a millisecond is not heard in a call.
pub const GATHER_US_MAX: u64 = 1_000;

/// Sends of one system call: the kernel takes no more (`UIO_MAXIOV`).
pub const SENDS_PER_CALL: usize = 1_024;

/// Legs one shard holds at most, unless its configuration says less.
pub const LEGS_PER_SHARD_MAX: usize = 100_000;

/// Orders that may wait for one shard; the link stops reading from control while it is full.
pub const MAILBOX_ORDERS: usize = 4_096;

/// Answers a shard may owe to the link.
pub const MAILBOX_RESULTS: usize = 4_096;

/// Packets whose memory is fetched together before the first of them is looked at: twice as many
/// gain nothing, and push each other out of the first-level cache.
pub const FETCH_AHEAD: usize = 16;

/// Receivers of a packet whose memory is fetched with it; a larger call finds the rest by itself.
pub const RECEIVERS_FETCHED: usize = 3;

/// Legs whose hot memory, about 1 KiB each, stays in a second-level cache without being asked for.
pub const LEGS_IN_CACHE: usize = 512;

/// Bytes of forwarded packets a shard keeps to repeat them: 8 MiB are 0.6 s of 100 Mbit/s, several
/// round trips, and leave the third-level cache room for the rest.
pub const REPAIR_BYTES: usize = 8 << 20;

/// Packets of a stream that a request for repetition looks back at: five seconds of 200 packets/s.
pub const REPAIR_STEPS_MAX: usize = 1_024;

/// Packets one request is answered with at most: a lost train of the longest usual kind.
pub const REPAIRS_PER_REQUEST: usize = 64;

/// Milliseconds between two requests for a key frame of one stream: an encoder needs about a tenth
/// of that, and the frame as long again to arrive.
pub const KEY_FRAME_PAUSE_MS: u64 = 500;

/// Milliseconds of its rate a leg may send at once: a key frame after a quiet moment.
pub const BUCKET_MS: u64 = 250;

/// Bytes a leg may send at once however low its rate: one large frame.
pub const BUCKET_BYTES_MIN: u32 = 64 * 1_024;

/// SSRCs a leg of the seal lane may be shown over its life: every stream of a full call, and as
/// many that came and went.
pub const NAMES_PER_LEG_MAX: usize = 256;

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

/// Nodes of control a relay keeps a link to: three sites of five, and each costs it a heartbeat.
pub const CONTROL_NODES_MAX: usize = 16;

/// Milliseconds a node of control gets to complete a handshake before it is dialled anew: two
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

/// Destinations a shard may follow at once: the far ends of a full shard, each at an address of its
/// own, and the old addresses of those that moved a moment ago.
pub const NEXT_HOPS_MAX: usize = 131_072;

/// Asks for routes that may wait of one shard: what it installs in two milliseconds at its fastest,
/// many times over.
pub const ROUTE_ASKS: usize = 4_096;

/// Answers about routes that may wait for one shard, about 60 B each. More wait as names only.
pub const ROUTES_TOLD: usize = 4_096;

/// Requests of a kind the thread for routes makes in one turn, at 5 to 10 us each: it looks at its
/// rings and at the kernel's news every few milliseconds even while it looks up everything anew.
pub const ROUTE_REQUESTS_PER_TURN: usize = 256;

/// Milliseconds after which asks for routes are seen while more may follow. Packets go through the
/// kernel until then.
pub const ROUTES_BUSY_MS: u64 = 2;

/// Milliseconds after which they are seen otherwise: 50 wakes a second cost nothing to speak of.
pub const ROUTES_IDLE_MS: u64 = 20;

/// Milliseconds after an ask in which more may follow: a burst of installs.
pub const ROUTES_ASKED_MS: u64 = 1_000;

/// Milliseconds in which changes of routes are gathered before all are looked up anew: a routing
/// daemon changes many at once.
pub const ROUTES_GATHER_MS: u64 = 5;

/// Milliseconds after a change of a link at which its routes are certainly changed as well.
pub const ROUTES_AGAIN_MS: u64 = 250;

/// Milliseconds before the kernel is asked again after it failed to answer.
pub const ROUTES_RETRY_MS: u64 = 1_000;

/// Milliseconds between two times the kernel is told that a neighbour is in use. It takes a
/// neighbour for reachable 15 to 45 s after it was heard, and needs 8 s to find it gone.
pub const NEIGHBOUR_ASK_MS: u64 = 15_000;

/// Milliseconds between two such times if the neighbour went missing in between: what a kernel
/// waits between two of its own requests.
pub const NEIGHBOUR_PAUSE_MS: u64 = 1_000;

/// Bytes of the longest message of the kernel about its network: it makes none beyond 32 KiB,
/// except of network cards with hundreds of functions, and those only if they are asked for.
pub const NETLINK_DATAGRAM_BYTES: usize = 64 * 1_024;

/// Bytes of events of the network that may wait: about 4,000, those of a switch of a site's uplink.
/// If more come at once, all tables are read anew.
pub const NETLINK_EVENT_BYTES: usize = 4 << 20;

/// Milliseconds the kernel may take to answer about its network. It answers within the request, so
/// this passes only if it lost the answer.
pub const NETLINK_PATIENCE_MS: u64 = 1_000;

const _: () = assert!(OPEN_TRAINS.is_power_of_two());
const _: () = assert!(LEGS_PER_CALL_MAX + REPAIRS_PER_REQUEST <= TURN_ROOM_HOPS);
const _: () = assert!(DATAGRAM_BYTES_MAX <= TURN_ROOM_BYTES / TURN_ROOM_HOPS);
const _: () = assert!(BATCH_DATAGRAMS_MAX <= u16::MAX as usize);
const _: () = assert!(LEGS_PER_SHARD_MAX <= NEXT_HOPS_MAX);

pub mod xdp;

/// Bytes a process must be allowed to lock: with less, the runtime starts no executor at all.
pub const LOCKED_BYTES_MIN: u64 = 512 << 10;

/// Bytes an executor registers with each of its three rings for file operations, of which a shard
/// makes none: the least that its runtime takes.
pub const EXECUTOR_IO_BYTES: usize = 64 << 10;

/// Bytes of locked memory that a relay needs: what its executors have registered, and the frames
/// of each shard that takes its packets from a NIC's own queue.
pub const fn locked_bytes(shards: u16, over_nic: bool) -> u64 {
    let rings = 3 * EXECUTOR_IO_BYTES as u64;
    let frames = if over_nic { xdp::FRAMES as u64 * xdp::FRAME_BYTES[1] as u64 } else { 0 };
    let all = shards as u64 * (rings + frames);
    if all < LOCKED_BYTES_MIN { LOCKED_BYTES_MIN } else { all }
}

/// Open files of a shard: its executor's rings, bells and timers, its own ring and bell, its
/// socket, and a NIC's queue. 7 were counted without a queue.
const FILES_PER_SHARD: u64 = 16;

/// Open files beside the shards: links, their runtime, signals, the kernel's tables, the log. 16
/// were counted with one link.
const FILES_BESIDE: u64 = 64;

/// Open files that a relay needs.
pub const fn files(shards: u16) -> u64 {
    FILES_BESIDE + shards as u64 * FILES_PER_SHARD
}

/// For how long an address stays in the packet filter's sets without the relay.
pub const FIREWALL_TIMEOUT: Duration = Duration::from_secs(60);

/// After which it is looked whether the sets are still there and hold what they should, and what
/// failed is tried again: rules that are loaded anew empty them.
pub const FIREWALL_LOOK: Duration = Duration::from_millis(500);

/// Looks after which everything is put in anew: twice more before its time is over.
pub const FIREWALL_LOOKS_PER_REFRESH: u32 = 40;

/// How long nftables may take to answer; another program's rules may be loaded meanwhile.
pub const FIREWALL_PATIENCE: Duration = Duration::from_secs(5);

/// Addresses of one transaction: 44 bytes each in an attribute of 64 KiB.
pub const FIREWALL_ELEMENTS_PER_CHANGE: usize = 1_000;
