//! Identifiers. Each is its own type, so that none can stand in for another.

use core::fmt;
use rkyv::{Archive, Deserialize, Serialize};

/// Declares an identifier around an integer that prints as fixed-width hexadecimal.
macro_rules! id {
    ($(#[$doc:meta])* $name:ident($int:ty), $width:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        #[derive(Archive, Serialize, Deserialize)]
        pub struct $name(pub $int);

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(out, concat!("{:0", $width, "x}"), self.0)
            }
        }
    };
}

id!(
    /// A tenant: the border no call crosses.
    TenantId(u64), "16"
);
id!(
    /// An account of one tenant.
    AccountId(u64), "16"
);
id!(
    /// One terminal's conversation with control, from sign-in until it ends.
    SessionId(u64), "16"
);
id!(
    /// A set of terminals exchanging media.
    CallId(u64), "16"
);
id!(
    /// What everything that is logged of a call is found by, wherever: the number of the call,
    /// whatever relays know it by. Decides nothing.
    TraceId(u64), "16"
);
id!(
    /// One terminal's presence in one call at one relay. Never used twice.
    LegId(u64), "16"
);
id!(
    /// A member of one call: its place among the members, the caller's is 0.
    MemberId(u8), "2"
);
id!(
    /// A relay, by the number its certificate names.
    RelayId(u32), "8"
);
id!(
    /// One life of a relay process: drawn at start, so that control notices a restart.
    Incarnation(u64), "16"
);
id!(
    /// Orders the orders: a relay applies an order only if its generation is higher than what it
    /// last applied to the same leg.
    Generation(u64), "16"
);
id!(
    /// One node's time as the one that orders: later ones are higher. The store's revision at which
    /// the node claimed it.
    Term(u64), "16"
);
id!(
    /// Pairs an answer with the request it belongs to; chosen by the asking side.
    RequestId(u32), "8"
);
id!(
    /// A device, as the terminal names itself; stable over restarts of the terminal.
    DeviceId(u64), "16"
);

/// Names the life of a sealed leg at a relay: no two lives have the same, so keys derived from it
/// are never used twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct Epoch {
    /// The life of the relay's process.
    pub incarnation: Incarnation,
    /// The order that installed the leg.
    pub generation: Generation,
}

impl Term {
    /// Before any node has ordered anything.
    pub const NONE: Self = Self(0);
    /// Of a node that shares its store with no other.
    pub const ALONE: Self = Self(1);
}

impl Epoch {
    /// Of a leg that has no life yet: no order has generation 0.
    pub const NONE: Self = Self { incarnation: Incarnation(0), generation: Generation(0) };
}

/// Index of a shard inside its relay.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Archive, Serialize, Deserialize,
)]
pub struct ShardIndex(pub u16);

impl fmt::Display for ShardIndex {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(out)
    }
}

impl LegId {
    /// Bytes of a username fragment.
    pub const FRAGMENT_BYTES: usize = 16;

    /// The relay's ICE username fragment for this leg: its 16 hexadecimal digits.
    pub fn fragment(self) -> [u8; Self::FRAGMENT_BYTES] {
        let mut out = [0; Self::FRAGMENT_BYTES];
        for (i, digit) in out.iter_mut().enumerate() {
            let nibble = (self.0 >> (60 - 4 * i)) & 0xf;
            *digit = b"0123456789abcdef"[nibble as usize];
        }
        out
    }

    /// The leg a username fragment names, if it is one that [`fragment`](Self::fragment) writes.
    pub fn from_fragment(text: &[u8]) -> Option<Self> {
        if text.len() != Self::FRAGMENT_BYTES {
            return None;
        }
        text.iter()
            .try_fold(0_u64, |value, &digit| {
                let nibble = match digit {
                    b'0'..=b'9' => digit - b'0',
                    b'a'..=b'f' => digit - b'a' + 10,
                    _ => return None,
                };
                Some(value << 4 | u64::from(nibble))
            })
            .map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_names_its_leg_and_nothing_else() {
        for leg in [0, 1, 0x0123_4567_89ab_cdef, u64::MAX].map(LegId) {
            assert_eq!(LegId::from_fragment(&leg.fragment()), Some(leg));
            assert_eq!(leg.to_string().as_bytes(), leg.fragment());
        }
        for bad in
            ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "0123456789abcdeg"]
        {
            assert_eq!(LegId::from_fragment(bad.as_bytes()), None, "{bad}");
        }
    }
}
