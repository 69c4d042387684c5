//! The seal lane of one leg: what it is sent, under which key and which numbers.
//!
//! **One index under one name seals one content only**, whatever comes, goes, returns or is
//! repeated. A name is the SSRC a stream is shown as; its indices are the source's own, moved by an
//! offset:
//!
//! ```text
//! source    ... 100 101 102 |                    under key A
//! another                   | 7  8  9 ...        under key B, shown under the same name
//! shown     ... 100 101 102 | 103 104 105 ...    offset 0, then 96
//! ```
//! - Within a source no index comes twice: its replay window let each in once. A source is its SSRC
//!   *and* the life of that window: one that returns with its window goes on as it was, one whose
//!   window began anew, under whichever key, is another source. Its packets may be old ones, or its
//!   sender may not keep the rules of its key.
//! - A source that comes after another under one name begins behind the highest index shown; what
//!   is older than its first packet shown is left out, since it would fall among the other's.
//! - Names are never forgotten while the leg lives, and no second life of a leg has its key.

use crate::capacity::NAMES_PER_LEG_MAX;
use kakehashi_srtp::{PacketIndex, RtcpIndex, SessionKeys};
use kakehashi_wire::relay::Subscription;
use kakehashi_wire::rtp::Ssrc;

/// A life of a stream's replay window: no two of a table are the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub struct StreamLife(u64);

/// Numbers the lives of a table's streams.
#[derive(Default)]
pub(super) struct Births(u64);

impl Births {
    /// A life that has not been before.
    pub(super) fn next(&mut self) -> StreamLife {
        self.0 += 1;
        StreamLife(self.0)
    }
}

/// A source under a name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Shown {
    source: Ssrc,
    life: StreamLife,
    /// Added to the source's index; `None` until its first packet.
    offset: Option<i64>,
    /// Lowest index of the source that is shown.
    floor: u64,
    /// Whether the source has no newer name.
    current: bool,
}

/// An SSRC a leg receives, and what has been sealed under it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Name {
    ssrc: Ssrc,
    shown: Shown,
    /// Highest index sealed.
    highest: Option<u64>,
}

/// What a packet of a source becomes for the leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Rewritten {
    /// Its SSRC there.
    pub ssrc: Ssrc,
    /// Its index there.
    pub index: PacketIndex,
}

/// A leg's seal lane.
pub struct Downlink {
    keys: SessionKeys,
    names: Vec<Name>,
    /// Next SRTCP index; one sequence for all names.
    next_rtcp: u32,
}

impl Downlink {
    /// Nothing has been sealed with `keys` yet, nor ever will be by anyone else.
    pub(super) fn new(keys: SessionKeys) -> Self {
        Self { keys, names: Vec::new(), next_rtcp: 0 }
    }

    /// The keys of the leg's life.
    pub fn keys(&self) -> &SessionKeys {
        &self.keys
    }

    /// Shows a stream under a name from now on; `false` if the leg has had too many names.
    #[must_use]
    pub(super) fn show(&mut self, stream: Subscription, life: StreamLife) -> bool {
        let fresh = Shown { source: stream.source, life, offset: None, floor: 0, current: true };
        for name in self.names.iter_mut().filter(|name| name.shown.source == stream.source) {
            name.shown.current = false;
        }
        if let Some(name) = self.names.iter_mut().find(|name| name.ssrc == stream.shown_as) {
            if (name.shown.source, name.shown.life) != (stream.source, life) {
                name.shown = fresh;
            }
            name.shown.current = true;
            return true;
        }
        let room = self.names.len() < NAMES_PER_LEG_MAX;
        if room {
            self.names.push(Name { ssrc: stream.shown_as, shown: fresh, highest: None });
        }
        room
    }

    /// What packet `index` of `source` becomes, and remembers that it was sealed. `None` if it is
    /// not shown, or may not be any more.
    pub fn rewrite(&mut self, source: Ssrc, index: PacketIndex) -> Option<Rewritten> {
        let name = self.names.iter_mut().find(|name| name.shows(source))?;
        let value = i64::try_from(index.value()).ok()?;
        let offset = match (name.shown.offset, name.highest) {
            (Some(offset), _) => offset,
            (None, None) => 0,
            (None, Some(highest)) => i64::try_from(highest).ok()? + 1 - value,
        };
        if name.shown.offset.is_none() {
            name.shown.offset = Some(offset);
            name.shown.floor = if name.highest.is_some() { index.value() } else { 0 };
        }
        let rewritten = name.place(index)?;
        name.highest = name.highest.max(Some(rewritten.index.value()));
        Some(rewritten)
    }

    /// What a packet became that was sealed before, or whose index was passed over. One behind the
    /// highest sealed is none of these: another source may begin there.
    pub fn rewritten(&self, source: Ssrc, index: PacketIndex) -> Option<Rewritten> {
        let name = self.names.iter().find(|name| name.shows(source))?;
        name.place(index).filter(|became| Some(became.index.value()) <= name.highest)
    }

    /// The source behind a name, and how far its indices are moved: sequence numbers that the leg
    /// speaks of, less this, are the source's. Before its first packet they are not moved yet.
    pub fn source_of(&self, name: Ssrc) -> Option<(Ssrc, i64)> {
        let name = self.names.iter().find(|known| known.ssrc == name)?;
        Some((name.shown.source, name.shown.offset.unwrap_or(0)))
    }

    /// The name a source is shown under, and how far its indices are moved.
    pub fn name_of(&self, source: Ssrc) -> Option<(Ssrc, i64)> {
        let name = self.names.iter().find(|known| known.shows(source))?;
        Some((name.ssrc, name.shown.offset.unwrap_or(0)))
    }

    /// The index of the next SRTCP packet; `None` when the key is used up.
    pub fn next_rtcp(&mut self) -> Option<RtcpIndex> {
        let index = RtcpIndex::from_value(self.next_rtcp)?;
        self.next_rtcp += 1;
        Some(index)
    }
}

impl Name {
    fn shows(&self, source: Ssrc) -> bool {
        self.shown.source == source && self.shown.current
    }

    fn place(&self, index: PacketIndex) -> Option<Rewritten> {
        if index.value() < self.shown.floor {
            return None;
        }
        let moved = index.value().checked_add_signed(self.shown.offset?)?;
        Some(Rewritten { ssrc: self.ssrc, index: PacketIndex::from_value(moved)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_srtp::Provider;
    use kakehashi_wire::secret::{MasterKey, Suite};
    use proptest::prelude::*;
    use std::collections::HashMap;

    fn downlink() -> Downlink {
        let master = MasterKey::new(Suite::AeadAes128Gcm, &[1; 32], &[2; 12]);
        Downlink::new(SessionKeys::derive(Provider::AesGcm, &master))
    }

    fn show(downlink: &mut Downlink, source: u32, shown_as: u32, life: u64) -> bool {
        let stream = Subscription { source: Ssrc(source), shown_as: Ssrc(shown_as) };
        downlink.show(stream, StreamLife(life))
    }

    fn rewrite(downlink: &mut Downlink, source: u32, index: u64) -> Option<(u32, u64)> {
        let index = PacketIndex::from_value(index).unwrap();
        let became = downlink.rewrite(Ssrc(source), index)?;
        Some((became.ssrc.0, became.index.value()))
    }

    #[test]
    fn a_stream_keeps_its_numbers_until_another_takes_its_name() {
        let mut downlink = downlink();
        assert!(show(&mut downlink, 1, 9, 1));
        assert_eq!(rewrite(&mut downlink, 1, 70_000), Some((9, 70_000)));
        assert_eq!(rewrite(&mut downlink, 1, 69_990), Some((9, 69_990)), "late, but its own");
        assert!(show(&mut downlink, 2, 9, 2));
        assert_eq!(rewrite(&mut downlink, 1, 70_001), None, "not shown any more");
        assert_eq!(rewrite(&mut downlink, 2, 50), Some((9, 70_001)));
        assert_eq!(rewrite(&mut downlink, 2, 49), None, "it would fall among the other's");
        assert_eq!(rewrite(&mut downlink, 2, 52), Some((9, 70_003)));
        assert_eq!(downlink.source_of(Ssrc(9)), Some((Ssrc(2), 69_951)));
    }

    #[test]
    fn a_source_that_returns_with_its_window_goes_on_and_with_another_begins_behind() {
        let mut downlink = downlink();
        assert!(show(&mut downlink, 1, 1, 7));
        assert_eq!(rewrite(&mut downlink, 1, 40), Some((1, 40)));
        assert!(show(&mut downlink, 1, 1, 7));
        assert_eq!(rewrite(&mut downlink, 1, 41), Some((1, 41)));
        assert!(show(&mut downlink, 1, 1, 8));
        assert_eq!(rewrite(&mut downlink, 1, 0), Some((1, 42)));
    }

    #[test]
    fn names_are_bounded() {
        let mut downlink = downlink();
        let names = u32::try_from(NAMES_PER_LEG_MAX).unwrap();
        assert!((0..names).all(|n| show(&mut downlink, n, n, 0)));
        assert!(!show(&mut downlink, names, names, 0));
        assert!(show(&mut downlink, names, 0, 0), "a known name takes another source");
    }

    proptest! {
        /// Whatever is shown when: one index under one name is one packet of one source.
        #[test]
        fn no_index_seals_two_contents(
            steps in prop::collection::vec(
                (0_u32..4, 0_u32..3, 0_u64..3, 0_u64..60, any::<bool>()), 1..300,
            ),
        ) {
            let mut downlink = downlink();
            let mut ledger = HashMap::new();
            for (source, name, life, index, shows) in steps {
                if shows {
                    prop_assert!(show(&mut downlink, source, name, life));
                } else if let Some(became) = rewrite(&mut downlink, source, index) {
                    let content = (source, downlink.names.iter()
                        .find(|known| known.shows(Ssrc(source))).unwrap().shown.life, index);
                    prop_assert_eq!(*ledger.entry(became).or_insert(content), content);
                }
            }
        }
    }
}
