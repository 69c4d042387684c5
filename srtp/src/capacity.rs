//! Every limit of this crate, with the reason for its size.

pub use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;

/// RTP packets a replay window remembers for one SSRC. Late by 1,024 packets is one second of the
/// fastest video stream we expect; RFC 3711 3.3.2 asks for at least 64.
pub const REPLAY_WINDOW_PACKETS: usize = 1024;

/// RTCP packets a replay window remembers for one SSRC. They are a hundredth as many: 128 are some
/// seconds of the densest feedback, and as many as libsrtp remembers.
pub const RTCP_REPLAY_WINDOW_PACKETS: usize = 128;

/// Largest protected packet: what fits a datagram between terminal and relay, so that nothing is
/// sealed which a relay would drop. The scratch space of this size stays in the first-level cache.
pub const PACKET_BYTES_MAX: usize = kakehashi_wire::limits::DATAGRAM_BYTES_MAX;

/// Rollover counters tried for a stream whose first packet has not been seen and which started
/// from zero. Its start may have been lost around the first wrap, so one and the next.
pub const FRESH_CANDIDATES: u8 = 2;

/// Rollover counters tried for a stream that may have been joined late, from a lower bound upwards.
/// 16 wraps are a million packets: nearly three hours of 100 packets a second, 15 minutes of the
/// fastest video. A forged packet for such a stream costs as many tag checks, until the first
/// authentic one.
pub const JOINING_CANDIDATES: u8 = 16;

/// Rollover counters tried for a stream that is known: the guess of RFC 3711 3.3.1, and the next
/// one, so that a stream of which 32,768 to 98,303 packets were lost does not stay mute for ever.
pub const FOLLOWING_CANDIDATES: u8 = 2;

const _: () = assert!(REPLAY_WINDOW_PACKETS.is_multiple_of(64));
const _: () = assert!(RTCP_REPLAY_WINDOW_PACKETS.is_multiple_of(64));
// A window wider than half the sequence space could not tell old packets from new ones.
const _: () = assert!(REPLAY_WINDOW_PACKETS < 1 << 15);
