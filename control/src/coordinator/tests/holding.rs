//! Hold, mute, screens and layers: what members are told, and what the relays are.

use super::*;
use kakehashi_wire::id::MemberId;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::terminal::{Layer, MemberPhase, Members};

const fn offer(kind: StreamKind, codec: Codec) -> StreamOffer {
    StreamOffer { kind, codec }
}

/// Voice, a camera in two layers, and the screen.
const ALL: [StreamOffer; 4] = [
    AUDIO,
    offer(StreamKind::Camera, Codec::Vp8),
    offer(StreamKind::Camera, Codec::Vp8),
    offer(StreamKind::Screen, Codec::Vp9),
];

/// A call of sessions 1, which offers everything, and 2, with voice alone; over two relays.
struct Call {
    world: World,
    call: CallId,
    ready: [CallReady; 2],
}

fn invite_all(world: &mut World) -> CallId {
    let request = world.request();
    world.ask(1, Request::Invite(request, Some(called(2)), ALL.to_vec()));
    let ringing = world.take(1).into_iter().find_map(|message| match message {
        ToTerminal::Ringing(it) => Some(it.call),
        _ => None,
    });
    ringing.unwrap()
}

fn ringing() -> (World, CallId) {
    let mut world = World::new(2);
    world.sign_in(1, 1, 1, 11);
    world.sign_in(2, 1, 2, 12);
    world.told.clear();
    let call = invite_all(&mut world);
    (world, call)
}

fn connect((mut world, call): (World, CallId)) -> Call {
    world.accept(2, call);
    let ready = [world.ready(1).unwrap(), world.ready(2).unwrap()];
    Call { world, call, ready }
}

impl Call {
    fn hold(&mut self, session: u64, on: bool) -> Vec<String> {
        let (request, call) = (self.world.request(), self.call);
        self.world.ask(session, Request::Hold(Hold { request, call, on }));
        self.world.heard(session)
    }

    fn mute(&mut self, session: u64, on: bool) -> Vec<String> {
        let (request, call) = (self.world.request(), self.call);
        self.world.ask(session, Request::Mute(Mute { request, call, on }));
        self.world.heard(session)
    }

    fn share(&mut self, session: u64, on: bool) -> Vec<String> {
        let (request, call) = (self.world.request(), self.call);
        self.world.ask(session, Request::Share(Share { request, call, on }));
        self.world.heard(session)
    }

    fn choose(&mut self, session: u64, member: u8, layer: Layer) -> Vec<String> {
        let (request, call, member) = (self.world.request(), self.call, MemberId(member));
        let ask = ChooseLayer { request, call, member, layer };
        self.world.ask(session, Request::ChooseLayer(ask));
        self.world.heard(session)
    }

    /// How many streams a session's legs receive, `None` for whatever there is. Both relays were
    /// told the same.
    fn receives(&self, session: usize) -> Option<Vec<Ssrc>> {
        let [first, second] = [0, 1].map(|nth| {
            let path = &self.ready[session - 1].paths[nth];
            let streams = self.world.relay(path.relay.0).receives.get(&path.leg.0);
            streams.map(|list| list.iter().map(|stream| stream.source).collect::<Vec<_>>())
        });
        assert_eq!(first, second);
        first
    }

    /// The streams that session 1 sends, by their place in [`ALL`].
    fn sent(&self, places: &[usize]) -> Option<Vec<Ssrc>> {
        Some(places.iter().map(|place| self.ready[0].streams[*place].ssrc).collect())
    }

    fn seen(&mut self, session: u64) -> Members {
        let last = self.world.take(session).into_iter().rev().find_map(|message| match message {
            ToTerminal::Members(members) => Some(members),
            _ => None,
        });
        last.unwrap()
    }
}

#[test]
fn who_holds_neither_receives_nor_is_received() {
    let mut call = connect(ringing());
    assert_eq!((call.receives(1), call.receives(2)), (None, None), "whatever there is");
    assert_eq!(call.hold(2, true), ["Done", "Members"]);
    assert_eq!((call.receives(1), call.receives(2)), (Some(vec![]), Some(vec![])));
    let phases: Vec<_> = call.seen(1).members.iter().map(|member| member.phase).collect();
    assert_eq!(phases, [MemberPhase::In, MemberPhase::Held]);
    assert_eq!(call.hold(2, true), ["Done"], "once more is no change");
    assert!(call.world.heard(1).is_empty());
    // Both hold: it goes on when both have taken it back.
    assert_eq!(call.hold(1, true), ["Done", "Members"]);
    assert_eq!(call.hold(2, false), ["Members", "Done", "Members"]);
    assert_eq!((call.receives(1), call.receives(2)), (Some(vec![]), Some(vec![])));
    call.hold(1, false);
    assert_eq!(call.receives(1), Some(vec![call.ready[1].streams[0].ssrc]));
    assert_eq!(call.receives(2), call.sent(&[0, 1, 2, 3]));
    call.hold(2, true);
    call.world.hang_up(1, call.call);
    assert_eq!(call.hold(1, true), ["Members", "Done", "CallEnded HungUp", "Refused NoSuchCall"]);
    call.world.assert_clean();
}

#[test]
fn voice_and_screen_are_kept_from_all_and_layers_chosen_by_each() {
    let mut call = connect(ringing());
    assert_eq!(call.mute(1, true), ["Done", "Members"]);
    assert_eq!(call.receives(2), call.sent(&[1, 2, 3]));
    assert_eq!(call.receives(1), None, "the other direction was not touched");
    assert_eq!(call.share(1, false), ["Done", "Members"]);
    assert_eq!(call.receives(2), call.sent(&[1, 2]));
    let seen = call.seen(2).members;
    assert_eq!((seen[0].muted, seen[0].sharing), (true, false));
    assert_eq!((seen[1].muted, seen[1].sharing), (false, false), "it has no screen");
    assert_eq!(call.choose(2, 0, Layer::Low), ["Done"]);
    assert_eq!(call.receives(2), call.sent(&[2]));
    assert_eq!(call.choose(2, 0, Layer::High), ["Done"]);
    assert_eq!(call.receives(2), call.sent(&[1]));
    assert_eq!(call.choose(2, 0, Layer::None), ["Done"]);
    assert_eq!(call.receives(2), Some(vec![]));
    call.mute(1, false);
    call.share(1, true);
    assert_eq!(call.receives(2), call.sent(&[0, 3]));
    call.world.told.clear();
    for (session, member) in [(2, 1), (2, 2), (2, 255), (1, 0)] {
        assert_eq!(call.choose(session, member, Layer::Low), ["Refused BadRequest"]);
    }
    assert_eq!(call.share(2, true), ["Refused BadRequest"], "it has no screen");
}

#[test]
fn a_relay_that_starts_again_is_told_what_is_held() {
    let mut call = connect(ringing());
    call.hold(1, true);
    call.world.restart(1);
    assert_eq!((call.receives(1), call.receives(2)), (Some(vec![]), Some(vec![])));
    call.world.link_down(2);
    call.hold(1, false);
    call.world.link_up(2);
    assert_eq!(call.receives(2), call.sent(&[0, 1, 2, 3]));
    call.world.hang_up(1, call.call);
    call.world.assert_clean();
}

#[test]
fn only_members_and_only_when_they_are_in_it() {
    let (mut world, call) = ringing();
    world.sign_in(3, 1, 3, 13);
    world.sign_in(4, 1, 2, 14);
    world.told.clear();
    for session in [1, 2] {
        let request = world.request();
        world.ask(session, Request::Hold(Hold { request, call, on: true }));
        assert_eq!(world.heard(session), ["Refused TooLate"], "there is nothing to hold yet");
    }
    let request = world.request();
    world.ask(1, Request::Mute(Mute { request, call, on: true }));
    assert_eq!(world.heard(1), ["Done", "Members"]);
    let mut call = connect((world, call));
    assert_eq!(call.receives(2), call.sent(&[1, 2, 3]), "muted before it began");
    call.world.told.clear();
    for session in [3, 4] {
        for heard in [call.hold(session, true), call.mute(session, true), call.share(session, true)]
        {
            assert_eq!(heard, ["Refused NoSuchCall"]);
        }
        assert_eq!(call.choose(session, 0, Layer::Low), ["Refused NoSuchCall"]);
    }
    call.call = CallId(1);
    assert_eq!(call.hold(1, true), ["Refused NoSuchCall"]);
}
