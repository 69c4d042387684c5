//! What a completion belongs to, packed into the 64 bits the kernel hands back.

/// The operation a completion belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Token {
    /// The multishot receive of this generation.
    Receive(u32),
    /// A send of so many bytes; completes visibly only when it fails.
    Send {
        /// Its UDP payload.
        bytes: u32,
    },
    /// The read of the mailbox's bell.
    Bell,
}

impl Token {
    /// Packs: kind in the upper half, value in the lower.
    pub(super) fn bits(self) -> u64 {
        let (kind, value) = match self {
            Self::Receive(generation) => (1_u64, generation),
            Self::Send { bytes } => (2, bytes),
            Self::Bell => (3, 0),
        };
        kind << 32 | u64::from(value)
    }

    /// Unpacks what `bits` packed; anything else counts as a receive of no generation in use.
    pub(super) fn from_bits(bits: u64) -> Self {
        let value = u32::try_from(bits & u64::from(u32::MAX)).unwrap_or(u32::MAX);
        match bits >> 32 {
            2 => Self::Send { bytes: value },
            3 => Self::Bell,
            1 => Self::Receive(value),
            _ => Self::Receive(u32::MAX),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for token in
            [Token::Receive(0), Token::Receive(7), Token::Send { bytes: 1_200 }, Token::Bell]
        {
            assert_eq!(Token::from_bits(token.bits()), token);
        }
    }
}
