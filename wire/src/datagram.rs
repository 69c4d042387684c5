//! Tells apart what arrives at one UDP port (RFC 7983 7, RFC 5761 4).

/// What a datagram claims to be, by its first two bytes alone.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum DatagramKind {
    /// First byte 0 to 3.
    Stun,
    /// First byte 128 to 191, second not an RTCP packet type.
    Rtp,
    /// First byte 128 to 191, second 192 to 223 (RFC 5761 4).
    Rtcp,
    /// DTLS, TURN, ZRTP, QUIC and everything else that is never answered here.
    Foreign,
}

impl DatagramKind {
    /// Classifies a datagram; an empty one is foreign.
    pub fn of(datagram: &[u8]) -> Self {
        match *datagram {
            [0..=3, ..] => Self::Stun,
            [128..=191, 192..=223, ..] => Self::Rtcp,
            [128..=191, ..] => Self::Rtp,
            _ => Self::Foreign,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_of_first_bytes_has_one_kind() {
        let mut counts = [0_u32; 4];
        for first in 0..=255_u8 {
            for second in 0..=255_u8 {
                counts[DatagramKind::of(&[first, second]) as usize] += 1;
            }
        }
        assert_eq!(counts, [4 * 256, 64 * 224, 64 * 32, 188 * 256]);
        assert_eq!(DatagramKind::of(&[]), DatagramKind::Foreign);
        assert_eq!(DatagramKind::of(&[128]), DatagramKind::Rtp);
    }
}
