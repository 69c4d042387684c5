//! What relays say of media that is under way: new lives of legs, streams that have wrapped.

use super::Coordinator;
use crate::calls::State;
use crate::capacity::WRAP_TIME_MIN;
use crate::clock::Now;
use crate::fleet::LinkId;
use kakehashi_wire::id::{CallId, RelayId};
use kakehashi_wire::relay::{LegStream, Rollovers};

impl Coordinator {
    /// The relays began new lives of legs: who has what they seal to open is told.
    pub(super) fn renew_paths(&mut self, id: CallId) {
        let call = self.calls.get_mut(id).filter(|call| call.state() == State::Connected);
        let Some(call) = call else { return };
        for (session, renewed) in call.renewed(|relay, leg| self.fleet.epoch(relay, leg)) {
            self.say(session, renewed);
        }
    }

    /// A relay reports streams that have wrapped.
    ///
    /// A counter too high silences its stream for whoever gets to know it later. A relay can do no
    /// worse to the calls it carries than it can do anyway, having their keys; so it is believed of
    /// those alone. A counter never goes back, so a single mistake would stay: one that grows
    /// faster than streams can is not believed at all.
    pub(super) fn wrapped(&mut self, link: LinkId, said: &Rollovers, now: Now) {
        let Some(relay) = self.fleet.at(link) else { return };
        for stream in &said.streams {
            self.stream_wrapped(relay, *stream, now);
        }
    }

    fn stream_wrapped(&mut self, relay: RelayId, said: LegStream, now: Now) {
        let call = self.ssrcs.call_of(said.ssrc).and_then(|id| self.calls.get_mut(id));
        let Some(call) = call.filter(|call| call.state() == State::Connected) else { return };
        let runs = now.since_start.saturating_sub(call.entered());
        if said.rollover > wraps_max(runs) {
            return;
        }
        for (relay, leg) in call.rounds_mut().raise_rollover(relay, said) {
            self.fleet.raise_rollover(relay, leg, said);
        }
    }
}

/// How often a stream can have wrapped that has run for so long. Its first wrap may come after half
/// the packets: it begins below 2^15.
fn wraps_max(runs: std::time::Duration) -> u32 {
    let wraps = runs.as_millis() / WRAP_TIME_MIN.as_millis() + 1;
    u32::try_from(wraps).unwrap_or(u32::MAX)
}
