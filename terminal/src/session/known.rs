//! The calls that the application was told of, so that a resumed session can be set against them.
//! Pure.

use crate::capacity::ROUNDS_REMEMBERED;
use kakehashi_wire::id::{CallId, Epoch, LegId};
use kakehashi_wire::media::RelayPath;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::terminal::{
    CallEnd, CallReady, FromTerminal, Merged, PathRenewed, PathsChanged, Resumed,
};
use std::collections::{BTreeMap, VecDeque};

/// The calls that are not over as far as this side knows.
#[derive(Default)]
pub struct Known {
    calls: BTreeMap<CallId, Call>,
    /// The last rounds of calls that are over here.
    ended: VecDeque<(CallId, Round)>,
}

/// A round by its number, and by its sources: leads that do not know of each other may each begin
/// one of the same number.
#[derive(PartialEq, Eq)]
struct Round {
    number: u32,
    sources: Vec<Ssrc>,
}

#[derive(Default)]
struct Call {
    /// The application has left it; control may not know yet.
    left: bool,
    /// The round it has media of.
    round: Option<Round>,
    /// The legs it has media over, each with the life that it was told of last.
    legs: BTreeMap<LegId, Epoch>,
}

/// What a repeated [`CallReady`] is to the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Ready {
    /// News: the call's media begins.
    First,
    /// What it has already, but for these lives of its legs. To begin again would seal with keys
    /// that have been used.
    Again(Vec<PathRenewed>),
    /// A round that it has already, over other relays.
    Elsewhere,
    /// A round of a call that is over here: control is to be told. Its keys have been used.
    Over,
}

/// What a resumed session means for the calls of before.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Settled {
    /// Calls that have become others.
    pub merged: Vec<Merged>,
    /// Calls that are over, and why if that is known.
    pub over: Vec<(CallId, Option<CallEnd>)>,
    /// Calls that control still counts this terminal in, and that nobody here wants.
    pub unwanted: Vec<CallId>,
}

impl Known {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.calls.is_empty()
    }

    /// The application hears of a call.
    pub fn heard(&mut self, call: CallId) {
        self.calls.entry(call).or_default();
    }

    /// A call is over for this terminal.
    pub fn over(&mut self, call: CallId) {
        if let Some(ended) = self.calls.remove(&call) {
            self.remember(call, ended.round);
        }
    }

    /// These are over; which of them the application had not left.
    fn ended(&mut self, calls: impl IntoIterator<Item = (CallId, Call)>) -> Vec<CallId> {
        let mut lost = Vec::new();
        for (id, call) in calls {
            if !call.left {
                lost.push(id);
            }
            self.remember(id, call.round);
        }
        lost
    }

    fn remember(&mut self, call: CallId, round: Option<Round>) {
        let Some(round) = round else { return };
        if self.ended.len() >= ROUNDS_REMEMBERED {
            self.ended.pop_front();
        }
        self.ended.push_back((call, round));
    }

    /// The application asks for something. Whatever becomes of the request, a call that it leaves
    /// is not to go on; `true` if it leaves one that control is to be told of sooner or later.
    pub fn asked(&mut self, message: &FromTerminal) -> bool {
        let left = match message {
            FromTerminal::HangUp(ask) => ask.call,
            FromTerminal::Cancel(ask) => ask.call,
            FromTerminal::Reject(ask) => {
                // If it rings on, the application hears of it again.
                self.over(ask.call);
                return false;
            }
            _ => return false,
        };
        let call = self.calls.get_mut(&left);
        call.map(|call| call.left = true).is_some()
    }

    /// The relays are ready for a call, as control says once or again.
    pub fn ready(&mut self, ready: &CallReady) -> Ready {
        let round = Round { number: ready.round, sources: ready.sources() };
        let is_over = |(call, ended): &(CallId, Round)| {
            *call == ready.call && (ended.number > round.number || *ended == round)
        };
        if self.ended.iter().any(is_over) {
            return Ready::Over;
        }
        let call = self.calls.entry(ready.call).or_default();
        let legs = legs(&ready.paths);
        let is_known = call.round.as_ref() == Some(&round);
        call.round = Some(round);
        if legs.is_empty() || !is_known {
            call.legs = legs;
            return Ready::First;
        }
        if !legs.keys().eq(call.legs.keys()) {
            call.legs = legs;
            return Ready::Elsewhere;
        }
        let before = core::mem::replace(&mut call.legs, legs);
        let is_news = |(leg, epoch): &(&LegId, &Epoch)| {
            **epoch != Epoch::NONE && before.get(leg) != Some(*epoch)
        };
        let news = call.legs.iter().filter(is_news);
        let news =
            news.map(|(leg, epoch)| PathRenewed { call: ready.call, leg: *leg, epoch: *epoch });
        Ready::Again(news.collect())
    }

    /// A relay began another life of a leg.
    pub fn renewed(&mut self, renewed: &PathRenewed) {
        let call = self.calls.get_mut(&renewed.call);
        if let Some(epoch) = call.and_then(|call| call.legs.get_mut(&renewed.leg)) {
            *epoch = renewed.epoch;
        }
    }

    /// A call goes over other relays; `false` if that is about no round that is known.
    pub fn paths_changed(&mut self, changed: &PathsChanged) -> bool {
        let call = self.calls.get_mut(&changed.call);
        let is_of = |round: &Round| round.number == changed.round;
        let Some(call) = call.filter(|call| call.round.as_ref().is_some_and(is_of)) else {
            return false;
        };
        call.legs = legs(&changed.paths);
        true
    }

    /// A call has become part of another; `false` if it is not known.
    pub fn merged(&mut self, merged: &Merged) -> bool {
        let Some(call) = self.calls.remove(&merged.call) else { return false };
        self.calls.entry(merged.into).or_insert(call);
        true
    }

    /// The session goes on with the calls that control says.
    pub fn resumed(&mut self, resumed: &Resumed) -> Settled {
        let merged = resumed.merged.iter().filter(|it| self.merged(it)).copied().collect();
        let is_left = |known: &BTreeMap<CallId, Call>, call| {
            known.get(call).is_none_or(|call: &Call| call.left)
        };
        let unwanted = resumed.calls.iter().filter(|call| is_left(&self.calls, call)).copied();
        let unwanted = unwanted.collect();
        // One that rings had begun for a lead that is gone; it may be taken anew.
        let goes_on = |id: &CallId, call: &Call| {
            resumed.calls.contains(id) || (resumed.rings.contains(id) && call.round.is_none())
        };
        let why = |id: &CallId| {
            resumed.over.iter().find(|ended| ended.call == *id).map(|ended| ended.reason)
        };
        let ended: Vec<_> = self.calls.extract_if(.., |id, call| !goes_on(id, call)).collect();
        let over = self.ended(ended).into_iter().map(|id| (id, why(&id))).collect();
        Settled { merged, over, unwanted }
    }

    /// Another session begins: none of the calls is part of it. Returns those not left before.
    pub fn forget(&mut self) -> Vec<CallId> {
        let calls = core::mem::take(&mut self.calls);
        self.ended(calls)
    }
}

/// The legs of some paths, each with the life that is said of it.
fn legs(paths: &[RelayPath]) -> BTreeMap<LegId, Epoch> {
    let told = |path: &RelayPath| {
        (path.leg, path.downlink.as_ref().map_or(Epoch::NONE, |downlink| downlink.epoch))
    };
    paths.iter().map(told).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{Generation, Incarnation, RelayId, RequestId, SessionId};
    use kakehashi_wire::media::{Codec, RelayRole, SealedDownlink, StreamKind, StreamPlan};
    use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, ResumeToken, Suite};
    use kakehashi_wire::terminal::{CallEnded, Cancel, HangUp, Hold, Reject};

    const REQUEST: RequestId = RequestId(1);

    fn life(generation: u64) -> Epoch {
        match generation {
            0 => Epoch::NONE,
            _ => Epoch { incarnation: Incarnation(1), generation: Generation(generation) },
        }
    }

    fn stream() -> StreamPlan {
        StreamPlan {
            kind: StreamKind::Audio,
            codec: Codec::Opus,
            ssrc: Ssrc(1),
            first_sequence: 0,
            rollover: 0,
        }
    }

    /// Ready over these legs, each in this life.
    fn ready(call: u64, legs: &[(u64, u64)]) -> CallReady {
        let suite = Suite::AeadAes128Gcm;
        let path = |&(leg, generation): &(u64, u64)| RelayPath {
            relay: RelayId(1),
            role: RelayRole::Primary,
            address: std::net::SocketAddr::from(([127, 0, 0, 1], 1)).into(),
            leg: LegId(leg),
            relay_password: IcePassword::from_random([0; 24]),
            terminal_password: IcePassword::from_random([0; 24]),
            downlink: Some(SealedDownlink {
                suite,
                secret: DownlinkSecret::from_random([0; 32]),
                epoch: life(generation),
            }),
        };
        CallReady {
            call: CallId(call),
            round: 0,
            key: MasterKey::new(suite, &[0; 32], &[0; 12]),
            streams: Vec::new(),
            senders: Vec::new(),
            paths: legs.iter().map(path).collect(),
            hitless: false,
        }
    }

    fn resumed(calls: &[u64], rings: &[u64], over: &[u64]) -> Resumed {
        let ids = |calls: &[u64]| calls.iter().copied().map(CallId).collect();
        let ended = |call: &u64| CallEnded { call: CallId(*call), reason: CallEnd::HungUp };
        Resumed {
            request: REQUEST,
            session: SessionId(1),
            token: ResumeToken::none(),
            grace_ms: 0,
            calls: ids(calls),
            rings: ids(rings),
            merged: vec![Merged { call: CallId(20), into: CallId(21) }],
            over: over.iter().map(ended).collect(),
        }
    }

    #[test]
    fn media_begins_once_for_the_same_legs() {
        let mut known = Known::default();
        assert_eq!(known.ready(&ready(1, &[(5, 1), (6, 0)])), Ready::First);
        assert_eq!(known.ready(&ready(1, &[(5, 1), (6, 0)])), Ready::Again(Vec::new()));
        let renewed = |leg, generation| PathRenewed {
            call: CallId(1),
            leg: LegId(leg),
            epoch: life(generation),
        };
        let news = vec![renewed(5, 2), renewed(6, 3)];
        assert_eq!(known.ready(&ready(1, &[(5, 2), (6, 3)])), Ready::Again(news));
        known.renewed(&renewed(6, 4));
        assert_eq!(known.ready(&ready(1, &[(5, 2), (6, 4)])), Ready::Again(Vec::new()));
        let moved = ready(1, &[(6, 4), (7, 1)]);
        assert_eq!(known.ready(&moved), Ready::Elsewhere, "the same round, other relays");
        let changed = |round| PathsChanged {
            call: CallId(1),
            round,
            paths: ready(1, &[(7, 1), (8, 1)]).paths,
            hitless: false,
        };
        assert!(!known.paths_changed(&changed(1)), "a round that is not known");
        assert!(known.paths_changed(&changed(0)));
        assert_eq!(known.ready(&ready(1, &[(7, 1), (8, 1)])), Ready::Again(Vec::new()));
        let next = CallReady { round: 1, ..ready(1, &[(7, 1), (8, 1)]) };
        assert_eq!(known.ready(&next), Ready::First, "another round");
    }

    /// Ready with a source of this terminal.
    fn round(call: u64, number: u32, source: u32) -> CallReady {
        let stream = StreamPlan { ssrc: Ssrc(source), ..stream() };
        CallReady { round: number, streams: vec![stream], ..ready(call, &[(5, 1)]) }
    }

    #[test]
    fn no_round_begins_twice_and_one_of_another_lead_does() {
        let mut known = Known::default();
        assert_eq!(known.ready(&round(1, 0, 7)), Ready::First);
        assert_eq!(known.ready(&round(1, 0, 7)), Ready::Again(Vec::new()));
        assert_eq!(known.ready(&round(1, 0, 8)), Ready::First, "the same number, other sources");
        let ends: [fn(&mut Known); 3] = [
            |known| known.over(CallId(1)),
            |known| drop(known.resumed(&resumed(&[], &[], &[1]))),
            |known| drop(known.forget()),
        ];
        for (end, number) in ends.into_iter().zip(1..) {
            assert_eq!(known.ready(&round(1, number, 9)), Ready::First);
            end(&mut known);
            assert_eq!(known.ready(&round(1, number, 9)), Ready::Over);
            assert_eq!(known.ready(&round(1, number - 1, 7)), Ready::Over);
            assert!(known.is_empty());
        }
        assert_eq!(known.ready(&round(1, 9, 9)), Ready::First, "invited once more");
        for call in 2..1_000 {
            known.ready(&round(call, 0, 1));
            known.over(CallId(call));
        }
        assert_eq!(known.ended.len(), ROUNDS_REMEMBERED);
        // One that only rang may still become ready.
        known.heard(CallId(5_000));
        known.over(CallId(5_000));
        assert_eq!(known.ready(&round(5_000, 0, 1)), Ready::First);
    }

    #[test]
    fn a_call_that_rings_again_has_not_begun() {
        let mut known = Known::default();
        known.heard(CallId(1));
        known.heard(CallId(2));
        assert_eq!(known.ready(&round(2, 0, 7)), Ready::First);
        let settled = known.resumed(&resumed(&[], &[1, 2], &[]));
        assert_eq!(settled.over, [(CallId(2), None)], "the other rings on");
        assert_eq!(known.ready(&round(2, 0, 7)), Ready::Over);
        assert_eq!(known.ready(&round(2, 0, 8)), Ready::First);
    }

    #[test]
    fn a_resumed_session_settles_what_each_side_missed() {
        let mut known = Known::default();
        (1..=6).for_each(|call| known.heard(CallId(call)));
        let (on, call) = (true, CallId(1));
        assert!(!known.asked(&Hold { request: REQUEST, call, on }.into()));
        assert!(known.asked(&HangUp { request: REQUEST, call: CallId(2) }.into()));
        assert!(known.asked(&Cancel { request: REQUEST, call: CallId(3) }.into()));
        assert!(!known.asked(&HangUp { request: REQUEST, call: CallId(99) }.into()));
        assert!(!known.asked(&Reject { request: REQUEST, call: CallId(4) }.into()));
        assert_eq!(known.ready(&ready(20, &[(7, 1)])), Ready::First);
        let settled = known.resumed(&resumed(&[1, 2, 9, 21], &[4], &[5]));
        let over = vec![(CallId(5), Some(CallEnd::HungUp)), (CallId(6), None)];
        let merged = vec![Merged { call: CallId(20), into: CallId(21) }];
        let unwanted = vec![CallId(2), CallId(9)];
        assert_eq!(settled, Settled { merged, over, unwanted });
        assert_eq!(known.ready(&ready(21, &[(7, 1)])), Ready::Again(Vec::new()), "as another");
        assert_eq!(known.forget(), [CallId(1), CallId(21)]);
        assert_eq!(known.resumed(&resumed(&[], &[], &[])), Settled::default());
    }
}
