//! What a completion belongs to, packed into the 64 bits the kernel hands back.

/// The operation a completion belongs to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u64)]
pub(super) enum Token {
    /// The poll of the socket.
    Arrival = 1,
    /// The read of the mailbox's bell.
    Bell = 2,
    /// The tick that ends a wait.
    Tick = 3,
    /// The poll of the NIC's queue.
    NicArrival = 4,
}

impl Token {
    /// The token as the kernel carries it.
    pub(super) fn bits(self) -> u64 {
        self as u64
    }

    /// What `bits` packed; `None` for anything else.
    pub(super) fn from_bits(bits: u64) -> Option<Self> {
        let all = [Self::Arrival, Self::Bell, Self::Tick, Self::NicArrival];
        all.into_iter().find(|token| token.bits() == bits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_survives_the_kernel() {
        for token in [Token::Arrival, Token::Bell, Token::Tick, Token::NicArrival] {
            assert_eq!(Token::from_bits(token.bits()), Some(token));
        }
        assert_eq!(Token::from_bits(0), None);
    }
}
