//! What is sent through every subject of a comparison.

use kakehashi_loadgen::orders::Lane;
use kakehashi_srtp::RTP_OVERHEAD_BYTES;
use kakehashi_wire::rtp::FIXED_HEADER_BYTES;

/// Bytes of the stamp at the start of every payload: when it was sent, in nanoseconds.
pub const STAMP_BYTES: usize = 8;

/// A load: `flows` senders in turn, each of which sends `train` packets at once.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Workload {
    /// What tables call it.
    pub name: &'static str,
    /// Senders, each with an address and a stream of its own.
    pub flows: u16,
    /// Receivers of each sender, each with an address of its own.
    pub receivers: u16,
    /// UDP payload of a packet: RTP header, sealed payload and tag.
    pub packet_bytes: usize,
    /// Packets that leave a sender as one GSO buffer.
    pub train: u16,
    /// How the relay forwards; the other subjects do what they do.
    pub lane: Lane,
}

/// Voice: single packets, as a codec at 64 kbit/s makes them every 20 ms.
pub const VOICE: Workload = Workload {
    name: "voice, 160 B singles",
    flows: 64,
    receivers: 1,
    packet_bytes: 160,
    train: 1,
    lane: Lane::Pass,
};

/// Video: the packets of one picture leave together.
pub const VIDEO: Workload = Workload {
    name: "video, trains of 8 x 1,200 B",
    flows: 64,
    receivers: 1,
    packet_bytes: 1_200,
    train: 8,
    lane: Lane::Pass,
};

/// The same through the seal lane.
pub const VIDEO_SEALED: Workload =
    Workload { name: "video, sealed anew", lane: Lane::Seal, ..VIDEO };

/// One speaker with picture, heard by a group.
pub const FAN_OUT: Workload = Workload { name: "video, 1 to 20", flows: 8, receivers: 20, ..VIDEO };

const _: () = assert!(VOICE.packet_bytes >= FIXED_HEADER_BYTES + STAMP_BYTES + RTP_OVERHEAD_BYTES);

impl Workload {
    /// Bytes of a packet before it is sealed.
    pub const fn plain_bytes(&self) -> usize {
        self.packet_bytes - RTP_OVERHEAD_BYTES
    }

    /// Addresses of its senders and receivers.
    pub fn ends(&self) -> usize {
        usize::from(self.flows) * (1 + usize::from(self.receivers))
    }

    /// Packets that must arrive when `sent` were sent.
    pub fn expected(&self, sent: u64) -> u64 {
        sent * u64::from(self.receivers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_receiver_counts() {
        assert_eq!(VOICE.expected(7), 7);
        assert_eq!(FAN_OUT.expected(8), 160);
        assert_eq!((VOICE.ends(), FAN_OUT.ends()), (128, 168));
        assert_eq!(VIDEO.plain_bytes() + 16, 1_200);
    }
}
