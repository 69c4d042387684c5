//! What becomes of calls, as the log has it: by the call's id, and timed from the first news of it.

use super::terminal::Event;
use crate::capacity::CALLS_TIMED_MAX;
use crate::clock::Moment;
use kakehashi_log::millis;
use kakehashi_wire::id::CallId;
use std::collections::BTreeMap;
use tracing::info;

/// The calls that go on.
#[derive(Default)]
pub(super) struct News {
    since: BTreeMap<CallId, Moment>,
}

impl News {
    /// Logs what `event` says of a call, if it does.
    pub(super) fn log(&mut self, event: &Event, now: Moment) {
        let Some((call, what, is_over)) = of_a_call(event) else { return };
        let took_ms = self.took(call, is_over, now);
        info!(event = "call_news", %call, what, took_ms, "news of a call");
    }

    /// Milliseconds since the first news of `call`; none if too many are timed.
    fn took(&mut self, call: CallId, is_over: bool, now: Moment) -> Option<u64> {
        let has_room = self.since.len() < CALLS_TIMED_MAX;
        let since = match self.since.get(&call) {
            Some(since) => *since,
            None if is_over || !has_room => return None,
            None => {
                self.since.insert(call, now);
                now
            }
        };
        if is_over {
            self.since.remove(&call);
        }
        Some(millis(now.since(since)))
    }
}

/// Which call, what has become of it, and whether it is over.
fn of_a_call(event: &Event) -> Option<(CallId, &'static str, bool)> {
    match event {
        Event::Incoming(incoming) => Some((incoming.call, "incoming", false)),
        Event::Ringing { call } => Some((*call, "ringing", false)),
        Event::Queued(queued) => Some((queued.call, "queued", false)),
        Event::Ready(ready) => Some((ready.call, "ready", false)),
        Event::PathsChanged(changed) => Some((changed.call, "paths_changed", false)),
        Event::PathRenewed(renewed) => Some((renewed.call, "path_renewed", false)),
        Event::Merged(merged) => Some((merged.call, "merged", true)),
        Event::Taken { call } => Some((*call, "taken", true)),
        Event::Ended { call, .. } => Some((*call, "ended", true)),
        Event::Lost { call } => Some((*call, "lost", true)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(ms: u64) -> Moment {
        Moment::from_micros(1_000 * ms)
    }

    #[test]
    fn a_call_is_timed_from_its_first_news_to_its_end() {
        let mut news = News::default();
        let call = CallId(7);
        assert_eq!(news.took(call, false, at(10)), Some(0));
        assert_eq!(news.took(call, false, at(50)), Some(40));
        assert_eq!(news.took(call, true, at(2_010)), Some(2_000));
        assert_eq!(news.took(call, true, at(2_020)), None, "it is over already");
    }

    #[test]
    fn more_than_can_be_timed_are_not() {
        let mut news = News::default();
        for call in 0..CALLS_TIMED_MAX as u64 {
            assert_eq!(news.took(CallId(call), false, at(call)), Some(0));
        }
        let another = CallId(u64::MAX);
        assert_eq!(news.took(another, false, at(1_000)), None);
        assert_eq!(news.took(CallId(3), true, at(1_000)), Some(997));
        assert_eq!(news.took(another, false, at(1_000)), Some(0));
    }
}
