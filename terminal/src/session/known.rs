//! The calls that the application was told of, so that a resumed session can be set against them.
//! Pure.

use kakehashi_wire::id::{CallId, Epoch, LegId};
use kakehashi_wire::media::RelayPath;
use kakehashi_wire::terminal::{
    CallEnd, CallReady, FromTerminal, Merged, PathRenewed, PathsChanged, Resumed,
};
use std::collections::BTreeMap;

/// The calls that are not over as far as this side knows.
#[derive(Default)]
pub struct Known(BTreeMap<CallId, Call>);

#[derive(Default)]
struct Call {
    /// The application has left it; control may not know yet.
    left: bool,
    /// The round it has media of.
    round: Option<u32>,
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
        self.0.is_empty()
    }

    /// The application hears of a call.
    pub fn heard(&mut self, call: CallId) {
        self.0.entry(call).or_default();
    }

    /// A call is over for this terminal.
    pub fn over(&mut self, call: CallId) {
        self.0.remove(&call);
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
        let call = self.0.get_mut(&left);
        call.map(|call| call.left = true).is_some()
    }

    /// The relays are ready for a call, as control says once or again.
    pub fn ready(&mut self, ready: &CallReady) -> Ready {
        let call = self.0.entry(ready.call).or_default();
        let legs = legs(&ready.paths);
        let is_known = call.round.replace(ready.round) == Some(ready.round);
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
        let call = self.0.get_mut(&renewed.call);
        if let Some(epoch) = call.and_then(|call| call.legs.get_mut(&renewed.leg)) {
            *epoch = renewed.epoch;
        }
    }

    /// A call goes over other relays; `false` if that is about no round that is known.
    pub fn paths_changed(&mut self, changed: &PathsChanged) -> bool {
        let call = self.0.get_mut(&changed.call);
        let Some(call) = call.filter(|call| call.round == Some(changed.round)) else {
            return false;
        };
        call.legs = legs(&changed.paths);
        true
    }

    /// A call has become part of another; `false` if it is not known.
    pub fn merged(&mut self, merged: &Merged) -> bool {
        let Some(call) = self.0.remove(&merged.call) else { return false };
        self.0.entry(merged.into).or_insert(call);
        true
    }

    /// The session goes on with the calls that control says.
    pub fn resumed(&mut self, resumed: &Resumed) -> Settled {
        let merged = resumed.merged.iter().filter(|it| self.merged(it)).copied().collect();
        let is_left = |known: &BTreeMap<CallId, Call>, call| {
            known.get(call).is_none_or(|call: &Call| call.left)
        };
        let unwanted = resumed.calls.iter().filter(|call| is_left(&self.0, call)).copied();
        let unwanted = unwanted.collect();
        let goes_on = |call: &CallId| resumed.calls.contains(call) || resumed.rings.contains(call);
        let why = |id: &CallId| {
            resumed.over.iter().find(|ended| ended.call == *id).map(|ended| ended.reason)
        };
        let ended = self.0.extract_if(.., |call, _| !goes_on(call));
        let over = ended.filter(|(_, call)| !call.left).map(|(id, _)| (id, why(&id))).collect();
        Settled { merged, over, unwanted }
    }

    /// Another session begins: none of the calls is part of it. Returns those not left before.
    pub fn forget(&mut self) -> Vec<CallId> {
        let calls = core::mem::take(&mut self.0).into_iter();
        calls.filter(|(_, call)| !call.left).map(|(id, _)| id).collect()
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
    use kakehashi_wire::media::{RelayRole, SealedDownlink};
    use kakehashi_wire::secret::{DownlinkSecret, IcePassword, MasterKey, ResumeToken, Suite};
    use kakehashi_wire::terminal::{CallEnded, Cancel, HangUp, Hold, Reject};

    const REQUEST: RequestId = RequestId(1);

    fn life(generation: u64) -> Epoch {
        match generation {
            0 => Epoch::NONE,
            _ => Epoch { incarnation: Incarnation(1), generation: Generation(generation) },
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
        known.over(CallId(1));
        assert_eq!(known.ready(&ready(1, &[(7, 1), (8, 1)])), Ready::First);
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
