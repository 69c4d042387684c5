//! Every limit of the terminal, with the reason for its size.

use core::time::Duration;
use kakehashi_srtp::{RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES};
use kakehashi_wire::limits;
use kakehashi_wire::rtp::FIXED_HEADER_BYTES;

/// Events that wait for the application: a presence list of a full tenant (10,000 accounts in
/// messages of 256) and a call's life fit many times.
pub const EVENTS_MAX: usize = 256;

/// Commands that wait for the session task; a person cannot fill it, a runaway loop is slowed.
pub const COMMANDS_MAX: usize = 32;

/// Messages read from control and not yet handled; more stay in QUIC's own window.
pub const INBOUND_MESSAGES_MAX: usize = 64;

/// Requests that may wait for an answer at once.
pub const PENDING_REQUESTS_MAX: usize = 32;

/// QUIC receive window of the one stream: four of the largest messages.
pub const STREAM_WINDOW_BYTES: u32 = 256 * 1024;

/// Nodes of control that a terminal may be told of: as many as a relay keeps links to.
pub const CONTROL_NODES_MAX: usize = 16;

/// Addresses of control that are tried: two for each of the most nodes.
pub const CANDIDATES_MAX: usize = 32;

/// Time after which the next address of control is dialled although the one before may still
/// answer: longer than a handshake takes within a continent, shorter than anybody waits.
pub const STAGGER: Duration = Duration::from_millis(100);

/// Time for the names of control's nodes to be looked up; those found by then count.
pub const RESOLVE_TIMEOUT: Duration = Duration::from_secs(2);

/// Buffer for one received datagram: longer than what relays forward
/// ([`limits::DATAGRAM_BYTES_MAX`]), so that one which was cut off is seen to be too long.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// One plain RTP packet of a local pipeline: sealed it is as long as a relay takes.
pub const PLAIN_BYTES_MAX: usize = limits::DATAGRAM_BYTES_MAX - RTP_OVERHEAD_BYTES;

/// Datagrams handled before timers and sources get their turn again.
pub const DATAGRAMS_PER_TURN_MAX: usize = 64;

/// Kernel buffer asked for the media socket: half a second of 10 Mbit/s.
pub const SOCKET_BUFFER_BYTES: usize = 640 * 1024;

/// Datagrams that wait for the socket when the kernel's buffer is full; older ones go first.
pub const OUTBOX_DATAGRAMS_MAX: usize = 1024;

/// Packets of voice that are kept to be said again over another relay: 320 ms of one stream.
pub const RECENT_PACKETS_MAX: usize = 16;

/// Bytes a password file may have: the longest password and a line end.
pub const PASSWORD_FILE_BYTES_MAX: u64 = 512;

/// Bytes a configuration or certificate file may have.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;

/// Payload of one RTP packet our packetisers make: with the fixed header and SRTP's 16-byte tag a
/// packet is 1,200 bytes, which passes every path that QUIC passes (RFC 9000 14).
pub const PACKET_PAYLOAD_BYTES_MAX: usize = 1_200 - FIXED_HEADER_BYTES - RTP_OVERHEAD_BYTES;

/// Longest payload descriptor our packetisers write: VP9 with its scalability structure takes 11.
pub const DESCRIPTOR_BYTES_MAX: usize = 12;

/// One encoded video frame, sent, joined or read from a file: a key frame of a 4K screen at the
/// best quality is below 2 MiB; a length field that lies costs no more than this.
pub const VIDEO_FRAME_BYTES_MAX: usize = 2 * 1024 * 1024;

/// Packets that may wait behind a hole: the packets of one large key frame.
pub const REORDER_PACKETS_MAX: usize = 256;

/// Time a packet may wait behind a hole unless the caller says otherwise: longer than the detour
/// over a second relay, shorter than a pause one hears.
pub const REORDER_WAIT: Duration = Duration::from_millis(120);

/// Packets behind the highest that duplicates are told from: as many as SRTP's replay window.
pub const DUPLICATE_WINDOW_PACKETS: usize = 1_024;

/// Missing packets of one stream that are remembered: as many as may wait behind them.
pub const REPAIR_GAPS_MAX: usize = REORDER_PACKETS_MAX;

/// Sequence numbers of one stream asked for in one datagram: even if each takes an entry of its
/// own, the requests of all streams of a member fit.
pub const NACK_SEQUENCES_MAX: usize = 96;

/// How often one packet is asked for: more do not fit into [`REORDER_WAIT`].
pub const NACK_TRIES_MAX: u8 = 3;

/// Time from noticing a gap to asking: most packets that were only overtaken come in it.
pub const NACK_DELAY: Duration = Duration::from_millis(10);

/// Time between two requests for a packet, if the relay is not farther away than that.
pub const NACK_REPEAT_LEAST: Duration = Duration::from_millis(25);

/// Time between two requests for a key frame: an encoder that obeyed each would send little else,
/// and a viewer waits twice as long for a new call's first picture.
pub const KEY_FRAME_REQUEST_INTERVAL: Duration = Duration::from_millis(500);

/// Time between two requests for a key frame that are handed to an encoder, of all receivers.
pub const KEY_FRAME_INTERVAL: Duration = Duration::from_millis(300);

/// First packet this far behind a stream's beginning: it was joined late. As many as are lost in
/// 10 s of 100 packets/s, or as SRTP's replay window holds.
pub const JOINED_LATE_PACKETS: u16 = 1_024;

/// Time between reports of arrival times about one member: a sender learns of a queue before it is
/// 100 ms long, and a report costs less than two voice packets.
pub const FEEDBACK_INTERVAL: Duration = Duration::from_millis(60);

/// The longest such time, in a call of many: a member hears of the others' reports, too.
pub const FEEDBACK_INTERVAL_MAX: Duration = Duration::from_millis(240);

/// Packets of one stream that one report is about; the reports of all streams of a member fit a
/// datagram. In [`FEEDBACK_INTERVAL`] that many come at 30 Mbit/s.
pub const FEEDBACK_METRICS_MAX: usize = 192;

/// Packets of one stream that are remembered until receivers have reported them: 2 s at 10 Mbit/s.
pub const HISTORY_PACKETS_MAX: usize = 2_048;

/// Events of a call's media that wait for the application; it loses what it does not read.
pub const MEDIA_EVENTS_MAX: usize = 64;

/// Orders of the application that wait for the media task: a renewed path is one.
pub const MEDIA_ORDERS_MAX: usize = 16;

/// One Opus packet in a file, as RFC 7845 6 advises demuxers.
pub const OGG_PACKET_BYTES_MAX: usize = 61_440;

/// The comment header of an Ogg Opus file, which may hold a cover picture; it is skipped.
pub const OGG_TAGS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Samples at 48 kHz that one Ogg page holds: a recording cut off by a crash loses a second.
pub const OGG_PAGE_SAMPLES: u64 = 48_000;

/// Rounds of calls that are over which are remembered, so that none is begun again: more than a
/// lead of control that was cut off, or has just taken over, can be mistaken about.
pub const ROUNDS_REMEMBERED: usize = 64;

/// Calls whose news are timed from their first; of others it is not said how long they took.
pub const CALLS_TIMED_MAX: usize = 64;

/// Rounds of one number of one call: one for each lead that began it. More are not begun.
pub const ROUNDS_OF_A_NUMBER_MAX: usize = 8;

/// Relays that were taken from a call and are still listened to: they change one at a time, seconds
/// apart.
pub const LEFT_RELAYS_MAX: usize = 4;

/// How long a call's round before the one in force is listened to: as long as control keeps its
/// legs.
pub const ROUND_KEPT: Duration = Duration::from_secs(1);

/// Samples at 48 kHz of concealment written for one gap: ten minutes; a longer one is shortened,
/// so that a peer's timestamps cannot fill the disk.
pub const OGG_GAP_SAMPLES_MAX: u64 = 600 * 48_000;

/// Frames that wait for the disk: ten seconds of 50 audio packets and 30 pictures a second.
pub const RECORDED_FRAMES_MAX: usize = 800;

/// Packets of one stream that wait for their turn: two of the largest frames; older ones go first.
pub const SPREAD_DATAGRAMS_MAX: usize = 4_096;

/// Packets of one local RTP source that wait for the media task: a large key frame.
pub const PLAIN_PACKETS_MAX: usize = 1024;

const _: () = assert!(
    limits::STREAMS_PER_LEG_MAX * (12 + 4 * NACK_SEQUENCES_MAX + 12) + RTCP_OVERHEAD_BYTES
        <= limits::DATAGRAM_BYTES_MAX
);
const _: () = assert!(
    12 + limits::STREAMS_PER_LEG_MAX * (8 + 2 * FEEDBACK_METRICS_MAX) <= limits::FEEDBACK_BYTES_MAX
);
const _: () = assert!(DUPLICATE_WINDOW_PACKETS.is_multiple_of(64));
const _: () =
    assert!(VIDEO_FRAME_BYTES_MAX < 0x8000 * (PACKET_PAYLOAD_BYTES_MAX - DESCRIPTOR_BYTES_MAX));
const _: () = assert!(limits::DATAGRAM_BYTES_MAX < DATAGRAM_BYTES_MAX);

/// Longest line of standard input that is read as a command: the longest has two names.
pub const KEY_LINE_BYTES_MAX: u64 = 512;

/// How often control is told how the media of a call arrives, give or take a fifth. Of 20,000
/// terminals in calls these are 4,000 messages a second, of which control keeps one a second each.
pub const QUALITY_REPORT_EVERY: Duration = Duration::from_secs(5);

/// Lines that wait until the one before is done; the rest waits in the input.
pub const KEY_LINES_MAX: usize = 8;
