//! Faults that are put into a run on purpose, to see that the simulator finds them. Each
//! gets runs in which what it needs goes wrong often. Not among them, since 40 seeds did not
//! show it: a relay that starts again and says that it is in the life of before.

use super::faults::Kind;

/// A fault of the platform.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Planted {
    /// Relays obey whoever speaks, whatever the term.
    NoTerms,
    /// The core does not hear of suspensions.
    NoSuspension,
    /// A lead writes without its fence.
    NoFence,
    /// A terminal that is told again of a round begins it again.
    SealsAgain,
    /// Legs of all tenants are of one call at the relays.
    OneCall,
    /// Nothing is kept of live calls.
    NothingKept,
}

impl Planted {
    /// Each, a seed that has found it, and the promises that it breaks.
    pub(crate) const ALL: [(Self, u64, &'static [&'static str]); 6] = [
        (Self::NoTerms, 173, &["terms"]),
        (Self::NoSuspension, 1, &["suspension"]),
        (Self::NoFence, 18, &["fence"]),
        (Self::SealsAgain, 1, &["nonce"]),
        (Self::OneCall, 5, &["tenant", "silent"]),
        (Self::NothingKept, 1, &["lost", "agree", "silent"]),
    ];

    /// What goes wrong in its runs; nothing if it shows by itself.
    pub(crate) const fn faults(self) -> &'static [Kind] {
        match self {
            // A lead that neither sees the record nor is heard by all, and that relays hear.
            Self::NoTerms => &[Kind::LoseMember, Kind::CutWay, Kind::CutWay],
            Self::NoFence => &[Kind::StandStill, Kind::CutSite],
            Self::SealsAgain | Self::NothingKept => &[Kind::KillNode, Kind::CutWay],
            Self::NoSuspension | Self::OneCall => &[],
        }
    }
}
