//! What becomes of a packet: exactly one verdict each, and a counter for every verdict.

use crate::counting::{Counted, Kind, counters};
use kakehashi_srtp::SrtpError;
use kakehashi_wire::stun::StunError;

/// Declares the verdicts with their stable names, in the order of their counters.
macro_rules! verdicts {
    ($($(#[doc = $says:literal])+ $variant:ident = $name:literal,)+) => {
        /// How a packet's journey ended. The names are stable: dashboards and alerts use them.
        #[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
        pub enum Verdict {
            $($(#[doc = $says])+ $variant,)+
        }

        impl Verdict {
            /// Every verdict, in the order of their counters.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)+];

            /// The name of its counter.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }

            /// Its counter.
            pub const fn counted(self) -> Counted {
                let says = match self {
                    $(Self::$variant => concat!($($says),+),)+
                };
                let kind = if self.is_drop() { Kind::Dropped } else { Kind::Handled };
                Counted { name: self.name(), says, kind }
            }
        }
    };
}

verdicts! {
    /// Authentic media, on its way to at least one other leg.
    Forwarded = "forwarded",
    /// A request for repetition that the relay met, all of it.
    Repaired = "repaired",
    /// A request for a key frame that was asked for a moment ago.
    KeyFrameAsked = "key_frame_asked",
    /// An authentic binding request, answered.
    Answered = "stun_answered",
    /// An authentic binding request from another address, which is challenged.
    Challenged = "stun_challenged",
    /// The answer to a challenge: the leg has moved.
    Moved = "stun_moved",
    /// Shorter than anything that could be authentic.
    TooShort = "too_short",
    /// Longer than anything that is taken.
    TooLong = "too_long",
    /// Neither SRTP, SRTCP nor STUN.
    ForeignDatagram = "foreign_datagram",
    /// Contradicts itself as an RTP packet.
    RtpMalformed = "rtp_malformed",
    /// Contradicts itself as an RTCP packet.
    RtcpMalformed = "rtcp_malformed",
    /// No leg may send with this SSRC.
    UnknownSsrc = "unknown_ssrc",
    /// The leg's time is over: control has not renewed it.
    LegEnded = "leg_ended",
    /// Media from another address than the leg's.
    WrongAddress = "wrong_address",
    /// The tag does not fit.
    Forged = "forged",
    /// Received before.
    Replayed = "replayed",
    /// Older than the replay window, so perhaps received before.
    TooOld = "too_old",
    /// Authentic, but the leg has sent more than it may.
    OverRate = "over_rate",
    /// Authentic, but no other leg of the call has an address, or wants the stream.
    NoReceiver = "no_receiver",
    /// Authentic, but the turn can send no more.
    NoRoom = "no_room",
    /// Contradicts itself as a STUN message.
    StunMalformed = "stun_malformed",
    /// A STUN message of a kind or with an attribute that is not understood.
    StunUnsupported = "stun_unsupported",
    /// STUN without integrity: never answered.
    StunNoIntegrity = "stun_no_integrity",
    /// The username or the transaction names no leg.
    StunUnknownLeg = "stun_unknown_leg",
    /// The integrity is not that of the leg's password.
    StunBadIntegrity = "stun_bad_integrity",
    /// A response nobody waits for.
    StunUnexpected = "stun_unexpected",
    /// From a third address while another is being challenged.
    ChallengePending = "challenge_pending",
    /// The leg moved less than a second ago.
    MoveTooSoon = "move_too_soon",
    /// The request was shorter than what would answer it.
    AnswerTooLong = "answer_too_long",
}

impl Verdict {
    /// Whether the packet went no further, for whatever reason.
    pub const fn is_drop(self) -> bool {
        !matches!(
            self,
            Self::Forwarded
                | Self::Repaired
                | Self::KeyFrameAsked
                | Self::Answered
                | Self::Challenged
                | Self::Moved
        )
    }
}

/// Why a packet went no further: a [`Verdict`] that a stage ends a journey with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Dropped(pub(super) Verdict);

impl From<Dropped> for Verdict {
    fn from(dropped: Dropped) -> Self {
        dropped.0
    }
}

impl From<SrtpError> for Dropped {
    fn from(error: SrtpError) -> Self {
        Self(match error {
            SrtpError::TooShort => Verdict::TooShort,
            SrtpError::TooLong => Verdict::TooLong,
            SrtpError::NotRtp => Verdict::RtpMalformed,
            SrtpError::NotRtcp => Verdict::RtcpMalformed,
            SrtpError::Replayed => Verdict::Replayed,
            SrtpError::TooOld => Verdict::TooOld,
            SrtpError::WrongSsrc | SrtpError::UnknownSsrc => Verdict::UnknownSsrc,
            // The rest belongs to sealing, which a relay does not do.
            _ => Verdict::Forged,
        })
    }
}

impl From<StunError> for Dropped {
    fn from(error: StunError) -> Self {
        Self(match error {
            StunError::OtherKind | StunError::UnknownAttribute => Verdict::StunUnsupported,
            StunError::Malformed | StunError::Truncated | StunError::Fingerprint => {
                Verdict::StunMalformed
            }
        })
    }
}

counters! {
    /// What the path counts beside verdicts.
    Events {
        /// Packets that the path was given: each has one verdict.
        received: Event,
        /// Their UDP payload in bytes.
        received_bytes: Event,
        /// Copies of packets handed out for sending, one for each receiver.
        hops: Event,
        /// UDP payload bytes of those copies.
        hop_bytes: Event,
        /// Copies not made, since they are older than what their receiver is shown of the stream.
        hops_not_shown: Event,
        /// Copies that could not be sealed.
        hops_not_sealed: Event,
        /// Packets sent again to a leg that asked for them.
        repairs: Event,
        /// UDP payload bytes of those.
        repair_bytes: Event,
        /// Packets not sent again, because the leg that asked has had its share.
        repairs_over_rate: Event,
        /// Legs whose address was learned from their first authentic packet.
        latched_by_media: Event,
    }
}

/// Everything the path counts. Each received packet is in exactly one verdict's counter, so these
/// add up to [`received`](Self::received).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PathCounters {
    events: Events,
    verdicts: [u64; Verdict::ALL.len()],
}

impl Default for PathCounters {
    fn default() -> Self {
        Self { events: Events::default(), verdicts: [0; Verdict::ALL.len()] }
    }
}

impl PathCounters {
    /// Packets received.
    pub fn received(&self) -> u64 {
        self.events.received
    }

    /// Packets with this verdict.
    pub fn of(&self, verdict: Verdict) -> u64 {
        self.verdicts[verdict as usize]
    }

    /// Packets with any verdict: always as many as were received.
    pub fn verdicts(&self) -> u64 {
        self.verdicts.iter().sum()
    }

    /// Copies handed out for sending.
    pub fn hops(&self) -> u64 {
        self.events.hops
    }

    /// UDP payload bytes of those copies.
    pub fn hop_bytes(&self) -> u64 {
        self.events.hop_bytes
    }

    /// Every counter with its name, always the same ones in the same order.
    pub fn entries(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        self.events
            .values()
            .chain(Verdict::ALL.iter().map(|verdict| self.of(*verdict)))
            .zip(Self::counted())
            .map(|(value, counted)| (counted.name, value))
    }

    /// Every counter, in the order of [`entries`](Self::entries).
    pub fn counted() -> impl Iterator<Item = Counted> {
        let verdicts = Verdict::ALL.iter().map(|verdict| verdict.counted());
        Events::COUNTED.iter().copied().chain(verdicts)
    }

    pub(super) fn count(&mut self, bytes: usize, verdict: Verdict) {
        self.events.received += 1;
        self.events.received_bytes += bytes as u64;
        self.verdicts[verdict as usize] += 1;
    }

    /// `hops` copies of `bytes` bytes.
    pub(super) fn count_hops(&mut self, bytes: usize, hops: u64) {
        self.events.hops += hops;
        self.events.hop_bytes += hops * bytes as u64;
    }

    /// A copy that is older than what its receiver is shown of the stream.
    pub(super) fn count_not_shown(&mut self) {
        self.events.hops_not_shown += 1;
    }

    /// A copy that could not be sealed.
    pub(super) fn count_not_sealed(&mut self) {
        self.events.hops_not_sealed += 1;
    }

    /// A packet sent again to one leg.
    pub(super) fn count_repair(&mut self, bytes: u32) {
        self.events.repairs += 1;
        self.events.repair_bytes += u64::from(bytes);
    }

    /// A packet not sent again, because the leg that asked has had its share.
    pub(super) fn count_repairs_over_rate(&mut self) {
        self.events.repairs_over_rate += 1;
    }

    pub(super) fn count_latch(&mut self) {
        self.events.latched_by_media += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_counter_has_its_own_place_and_name() {
        let names: Vec<_> = PathCounters::default().entries().map(|(name, _)| name).collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "{names:?}");
        assert!(names.iter().all(|n| n.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')));
        for (at, verdict) in Verdict::ALL.iter().enumerate() {
            assert_eq!(*verdict as usize, at);
        }
    }
}
