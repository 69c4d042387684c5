//! Which streams may a terminal offer?

use kakehashi_wire::limits::STREAMS_PER_LEG_MAX;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};

/// How many streams of a kind one leg may send: cameras come in a low and a high layer.
const fn most(kind: StreamKind) -> usize {
    match kind {
        StreamKind::Audio | StreamKind::Screen => 1,
        StreamKind::Camera => 2,
    }
}

/// Whether a codec can carry a kind of stream.
const fn carries(codec: Codec, kind: StreamKind) -> bool {
    match codec {
        Codec::Opus => matches!(kind, StreamKind::Audio),
        Codec::Vp8 | Codec::Vp9 => matches!(kind, StreamKind::Camera | StreamKind::Screen),
    }
}

/// Whether `offers` is a list a leg can be made of: not empty, no kind too often, no codec that
/// cannot carry its kind.
pub fn acceptable(offers: &[StreamOffer]) -> bool {
    let count = |kind| offers.iter().filter(|offer| offer.kind == kind).count();
    !offers.is_empty()
        && offers.len() <= STREAMS_PER_LEG_MAX
        && offers
            .iter()
            .all(|offer| carries(offer.codec, offer.kind) && count(offer.kind) <= most(offer.kind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::media::{Codec::*, StreamKind::*};

    #[test]
    fn lists_are_held_to_the_rules() {
        let list = |pairs: &[(StreamKind, Codec)]| {
            pairs.iter().map(|&(kind, codec)| StreamOffer { kind, codec }).collect::<Vec<_>>()
        };
        let cases: [(&[(StreamKind, Codec)], bool); 8] = [
            (&[], false),
            (&[(Audio, Opus)], true),
            (&[(Audio, Opus), (Camera, Vp8), (Camera, Vp8), (Screen, Vp9)], true),
            (&[(Audio, Opus), (Audio, Opus)], false),
            (&[(Screen, Vp8), (Screen, Vp9)], false),
            (&[(Camera, Vp8), (Camera, Vp8), (Camera, Vp9)], false),
            (&[(Audio, Vp8)], false),
            (&[(Camera, Opus)], false),
        ];
        for (pairs, expected) in cases {
            assert_eq!(acceptable(&list(pairs)), expected, "{pairs:?}");
        }
    }
}
