//! The limits of packet I/O over a NIC's own queue.

/// Entries of each of a queue's four rings: 2,048 packets are 10 ms at 200,000 packets/s, longer
/// than a shard is ever kept from its core.
pub const RING_ENTRIES: u32 = 2_048;

/// Frames of a shard: what fills the receive and fill rings, what waits to be sent, and a quarter
/// for what is copied.
pub const FRAMES: u32 = 4 * RING_ENTRIES;

/// Frames that are never lent to receive into, so that answers always find one.
pub const FRAMES_TO_SEND: usize = RING_ENTRIES as usize;

/// Bytes of a frame for the usual MTU, and for a longer one: half a page or a page, as the kernel
/// wants it.
pub const FRAME_BYTES: [usize; 2] = [2_048, 4_096];

/// Bytes the kernel keeps free in front of a received packet (`XDP_PACKET_HEADROOM`).
pub const KERNEL_HEADROOM_BYTES: usize = 256;

/// Packets that one call transmits at most in copy mode, where the kernel can be told: a full
/// batch to two receivers.
pub const TRANSMIT_BUDGET: u32 = 256;

/// Calls in which a turn's packets are to be sent; what is left then waits for the next turn.
/// Older kernels take 32 packets a call.
pub const WAKES_PER_SEND: usize = 64;

/// Turns after which a shard with packets at its queue looks at its socket all the same.
pub const SOCKET_EVERY_TURNS: u32 = 32;

/// Housekeepings, four a second, after which ways are looked through for those that nothing goes by
/// any more: once a minute.
pub const WAYS_ROUND_LOOKS: u32 = 240;

/// Destinations a shard remembers the way to: one for each leg, which may roam.
pub const WAYS_MAX: usize = super::LEGS_PER_SHARD_MAX;

/// Addresses of a relay on one NIC and the VLANs on it.
pub const MEDIA_ADDRESSES_MAX: usize = 64;

/// Microseconds the kernel may poll a queue in one call at most: longer is a core given away.
pub const BUSY_POLL_US_MAX: u32 = 1_000;
