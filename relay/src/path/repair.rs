//! Requests for repetition, met out of the cache of forwarded packets.

use super::authenticate::Authentic;
use super::batch::{Outgoing, Place};
use super::seal;
use super::verdict::PathCounters;
use crate::capacity::REPAIRS_PER_REQUEST;
use crate::legs::repair::Record;
use crate::legs::{LegTable, Slot};
use crate::tick::Tick;
use kakehashi_srtp::{PacketIndex, RTP_OVERHEAD_BYTES, seal_rtp_at};
use kakehashi_wire::rtp::{self, Ssrc};

/// Sequence numbers a datagram asks for, of whichever streams; the first
/// [`REPAIRS_PER_REQUEST`] count.
pub(super) struct Requests {
    asked: [(Ssrc, u16); REPAIRS_PER_REQUEST],
    count: usize,
}

impl Default for Requests {
    fn default() -> Self {
        Self { asked: [(Ssrc(0), 0); REPAIRS_PER_REQUEST], count: 0 }
    }
}

impl Requests {
    pub(super) fn add(&mut self, media: Ssrc, sequences: impl Iterator<Item = u16>) {
        for (place, sequence) in self.asked[self.count..].iter_mut().zip(sequences) {
            *place = (media, sequence);
            self.count += 1;
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// The streams asked for, each once.
    pub(super) fn media(&self) -> impl Iterator<Item = Ssrc> + use<'_> {
        let asked = &self.asked[..self.count];
        let first = |at: usize| asked[..at].iter().all(|(media, _)| *media != asked[at].0);
        (0..asked.len()).filter(move |at| first(*at)).map(|at| asked[at].0)
    }

    fn of(&self, media: Ssrc) -> impl Iterator<Item = u16> + use<'_> {
        let asked = self.asked[..self.count].iter();
        asked.filter(move |(of, _)| *of == media).map(|(_, sequence)| *sequence)
    }
}

/// Sends the asker what it asks for of one stream, as far as it is there. `true` if it got all.
pub(super) fn meet(
    legs: &mut LegTable,
    packet: &Authentic<'_>,
    media: Ssrc,
    requests: &Requests,
    now: Tick,
    counters: &mut PathCounters,
    out: &mut Outgoing,
) -> bool {
    let Some((sender, stream)) = legs.heard(packet.leg, media) else { return true };
    let Some(asker) = legs.leg(packet.leg) else { return true };
    let Some(address) = seal::reachable(asker, now) else { return true };
    let names = asker.downlink().and_then(|downlink| downlink.source_of(media));
    let (source, moved) = names.unwrap_or((media, 0));
    let own_number = |sequence: u16| {
        let number = (i64::from(sequence) - moved).rem_euclid(1 << 16);
        u16::try_from(number).unwrap_or(0)
    };
    let (mut wanted, mut asked) = ([None; REPAIRS_PER_REQUEST], 0);
    for sequence in requests.of(media).map(own_number) {
        if !wanted[..asked].contains(&Some(sequence)) {
            wanted[asked] = Some(sequence);
            asked += 1;
        }
    }
    let (found, count) = legs.find_kept(sender, stream, &mut wanted[..asked]);
    for (record, index, bytes) in found[..count].iter().copied() {
        let spent = legs.leg_mut(packet.leg).is_some_and(|leg| leg.bucket_mut().spend(bytes, now));
        if !spent {
            counters.count_repairs_over_rate();
            continue;
        }
        let place = match legs.leg(packet.leg).and_then(|leg| leg.downlink()) {
            None => same_bytes(legs, source, record, out),
            Some(_) => seal_again(legs, packet.leg, (sender, source), (record, index), out),
        };
        if place.and_then(|place| out.alone(place)).is_some_and(|train| out.hop(train, address)) {
            counters.count_repair(bytes);
            if let Some(leg) = legs.leg_mut(sender) {
                leg.note_sent(now);
            }
        }
    }
    // What is over the asker's rate is not the sender's concern.
    count == asked
}

fn same_bytes(legs: &LegTable, source: Ssrc, record: Record, out: &mut Outgoing) -> Option<Place> {
    let kept = legs.kept(record, source)?;
    out.space(kept.packet.len())?.copy_from_slice(kept.packet);
    Some(out.written(kept.packet.len()))
}

/// The same packet with the same index under the same key: the same bytes as the first time.
fn seal_again(
    legs: &LegTable,
    asker: Slot,
    (sender, source): (Slot, Ssrc),
    (record, index): (Record, PacketIndex),
    out: &mut Outgoing,
) -> Option<Place> {
    let kept = legs.kept(record, source)?;
    let downlink = legs.leg(asker)?.downlink()?;
    let became = downlink.rewritten(source, index)?;
    let space = out.space(kept.packet.len())?;
    let plain_bytes = legs.reopen(sender, kept.packet, index, space).ok()?;
    debug_assert_eq!(plain_bytes + RTP_OVERHEAD_BYTES, space.len());
    if !rtp::renumber(space, became.ssrc, became.index.sequence()) {
        return None;
    }
    let bytes = seal_rtp_at(downlink.keys(), became.index, space, plain_bytes).ok()?;
    Some(out.written(bytes))
}
