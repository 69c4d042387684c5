//! The Internet checksum (RFC 1071): ones' complement sums of 16-bit words.

/// A sum that is not folded yet. Sums of parts add up to the sum of the whole, if all parts but
/// the last are of even length.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Sum(u64);

impl Sum {
    /// Of `bytes`; an odd last byte counts as if a zero followed.
    pub(super) fn of(bytes: &[u8]) -> Self {
        let words = bytes.chunks_exact(4);
        let rest = words.remainder();
        // Four bytes at a time in whatever order the processor has them: folding does not mind, and
        // 2^32 of them do not overflow.
        let mut sum: u64 = words
            .map(|word| u64::from(u32::from_ne_bytes(word.try_into().unwrap_or_default())))
            .sum();
        let mut last = [0; 4];
        last[..rest.len()].copy_from_slice(rest);
        sum += u64::from(u32::from_ne_bytes(last));
        Self(sum)
    }

    /// Of a number in network byte order.
    pub(super) fn of_u16(number: u16) -> Self {
        Self(u64::from(u16::from_ne_bytes(number.to_be_bytes())))
    }

    /// Of both parts.
    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// The checksum that makes the whole add up, as its two bytes in a header.
    pub(super) fn finish(self) -> [u8; 2] {
        (!self.folded()).to_ne_bytes()
    }

    /// The sum itself, as its two bytes in a header: whoever adds the rest up goes on from there.
    pub(super) fn unfinished(self) -> [u8; 2] {
        self.folded().to_ne_bytes()
    }

    fn folded(self) -> u16 {
        let mut sum = self.0;
        while sum > 0xffff {
            sum = (sum & 0xffff) + (sum >> 16);
        }
        u16::try_from(sum).unwrap_or(u16::MAX)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As RFC 1071 defines it, word by word.
    fn plain(bytes: &[u8]) -> u16 {
        let mut sum: u32 = 0;
        for pair in bytes.chunks(2) {
            sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
            sum = (sum & 0xffff) + (sum >> 16);
        }
        !(sum as u16)
    }

    #[test]
    fn the_example_of_the_rfc_adds_up() {
        // RFC 1071, section 3: the sum is ddf2.
        let bytes = [0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7];
        assert_eq!(Sum::of(&bytes).finish(), (!0xddf2_u16).to_be_bytes());
        let halves = Sum::of(&bytes[..6]).and(Sum::of(&bytes[6..]));
        assert_eq!(halves.finish(), (!0xddf2_u16).to_be_bytes());
        assert_eq!(Sum::of_u16(0x1234).finish(), (!0x1234_u16).to_be_bytes());
        assert_eq!(halves.unfinished(), 0xddf2_u16.to_be_bytes());
    }

    #[test]
    fn any_bytes_sum_to_what_the_definition_says() {
        bolero::check!().for_each(|bytes: &[u8]| {
            assert_eq!(Sum::of(bytes).finish(), plain(bytes).to_be_bytes());
        });
    }
}
