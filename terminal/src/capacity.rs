//! Every limit of the terminal, with the reason for its size.

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

/// Largest UDP datagram the media engine takes: more than any path MTU it will ever see.
pub const DATAGRAM_BYTES_MAX: usize = 2048;

/// Largest RTP packet the media engine sends before protection: 1,200 bytes of payload, header and
/// the 16-byte tag stay below 1,280, the smallest IPv6 MTU, with UDP and IP headers.
pub const RTP_PAYLOAD_BYTES_MAX: usize = 1180;

/// Datagrams handled before timers and sources get their turn again.
pub const DATAGRAMS_PER_TURN_MAX: usize = 64;

/// Kernel buffer asked for the media socket: half a second of 10 Mbit/s.
pub const SOCKET_BUFFER_BYTES: usize = 640 * 1024;

/// Datagrams that wait for the socket when the kernel's buffer is full; older ones go first.
pub const OUTBOX_DATAGRAMS_MAX: usize = 1024;

/// Sender reports remembered per receiver report to compute the round trip.
pub const REPORT_BLOCKS_MAX: usize = 31;

/// Bytes a password file may have: the longest password and a line end.
pub const PASSWORD_FILE_BYTES_MAX: u64 = 512;

/// Bytes a configuration or certificate file may have.
pub const CONFIG_FILE_BYTES_MAX: u64 = 1024 * 1024;
