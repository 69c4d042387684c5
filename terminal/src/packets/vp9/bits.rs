//! Reads bits, most significant first.

/// A place in a run of bits.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bits<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Bits<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// The next `count` bits, at most 32.
    pub(super) fn take(&mut self, count: usize) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.at / 8)?;
            value = value << 1 | u32::from(byte >> (7 - self.at % 8) & 1);
            self.at += 1;
        }
        Some(value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bits_come_most_significant_first_and_end() {
        let mut bits = Bits::new(&[0b1010_0110, 0xff]);
        assert_eq!([bits.take(1), bits.take(3), bits.take(8)], [Some(1), Some(2), Some(0x6f)]);
        assert_eq!([bits.take(4), bits.take(1), bits.take(0)], [Some(15), None, Some(0)]);
    }
}
