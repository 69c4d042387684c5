//! What control says of a call's members, for media: what this terminal keeps to itself because
//! nobody would receive it, and what it does not miss because it is not to receive it. Pure.

use kakehashi_wire::id::MemberId;
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::terminal::{Layer, MemberPhase, MemberState, Members};
use std::collections::BTreeMap;

/// What every member lets out and takes in, as far as is known; at first everything.
#[derive(Clone, Default, Debug)]
pub(super) struct Manners {
    paused: Paused,
    /// This terminal receives nothing: it has the call on hold.
    deaf: bool,
    others: BTreeMap<MemberId, Paused>,
    layers: BTreeMap<MemberId, Layer>,
}

/// Kinds of streams that do not leave. Frames of the time are left out without a gap in the
/// numbering, and video goes on with a key frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Paused {
    audio: bool,
    camera: bool,
    screen: bool,
}

impl Manners {
    /// Takes in who is in the call; this terminal is that of `login`.
    pub(super) fn update(&mut self, members: &Members, login: &str) {
        self.paused = Paused::of(members, login);
        let (own, others): (Vec<_>, Vec<_>) =
            members.members.iter().partition(|member| member.login == login);
        self.deaf = own.iter().any(|member| holds(member.phase));
        self.others = others.iter().map(|other| (other.member, Paused::by(other))).collect();
    }

    /// The same, with layers chosen of `those` members alone.
    pub(super) fn of_those(&self, those: impl Fn(MemberId) -> bool) -> Self {
        let mut kept = self.clone();
        kept.layers.retain(|member, _| those(*member));
        kept
    }

    /// This terminal has chosen a layer of a member's cameras.
    pub(super) fn choose(&mut self, member: MemberId, layer: Layer) {
        self.layers.insert(member, layer);
    }

    /// Whether this terminal's streams of a kind stay here.
    pub(super) const fn keeps(&self, kind: StreamKind) -> bool {
        self.paused.keeps(kind)
    }

    /// Whether a stream of a member is to come here: one of this `kind`, of a camera in this layer,
    /// which is `None` if there is no other. It is control that decides this, as
    /// `control/src/calls/receives.rs` says.
    pub(super) fn brings(&self, member: MemberId, kind: StreamKind, layer: Option<Layer>) -> bool {
        let paused = self.others.get(&member).copied().unwrap_or_default();
        let chosen = match (kind, self.layers.get(&member)) {
            (StreamKind::Camera, Some(Layer::None)) => false,
            (StreamKind::Camera, Some(&chosen)) => layer.is_none_or(|layer| layer == chosen),
            _ => true,
        };
        !self.deaf && !paused.keeps(kind) && chosen
    }
}

impl Paused {
    /// What the terminal of `login` need not send to a call with these members.
    fn of(members: &Members, login: &str) -> Self {
        let (own, others): (Vec<_>, Vec<_>) =
            members.members.iter().partition(|member| member.login == login);
        if others.iter().all(|member| holds(member.phase)) {
            return Self { audio: true, camera: true, screen: true };
        }
        own.iter().fold(Self::default(), |paused, member| {
            let Self { audio, camera, screen } = Self::by(member);
            Self {
                audio: paused.audio || audio,
                camera: paused.camera || camera,
                screen: paused.screen || screen,
            }
        })
    }

    /// What a member lets nobody receive.
    fn by(member: &MemberState) -> Self {
        let silent = holds(member.phase) || member.phase == MemberPhase::Listening;
        Self { audio: silent || member.muted, camera: silent, screen: silent || !member.sharing }
    }

    const fn keeps(self, kind: StreamKind) -> bool {
        match kind {
            StreamKind::Audio => self.audio,
            StreamKind::Camera => self.camera,
            StreamKind::Screen => self.screen,
        }
    }
}

/// Whether somebody has the call on hold, with a connection or without.
const fn holds(phase: MemberPhase) -> bool {
    matches!(phase, MemberPhase::Held | MemberPhase::HeldReconnecting)
}

#[cfg(test)]
mod tests {
    use super::*;
    use MemberPhase::{Held, HeldReconnecting, In, Listening, Reconnecting};
    use kakehashi_wire::id::CallId;

    const ALL: Paused = Paused { audio: true, camera: true, screen: true };
    const KINDS: [StreamKind; 3] = [StreamKind::Audio, StreamKind::Camera, StreamKind::Screen];

    fn member(nth: u8, phase: MemberPhase, muted: bool, sharing: bool) -> MemberState {
        let login = if nth == 0 { "own" } else { "other" }.into();
        MemberState { member: MemberId(nth), login, display: String::new(), phase, muted, sharing }
    }

    #[test]
    fn what_nobody_receives_is_not_sent() {
        let paused = |phase, muted, sharing, others: &[MemberPhase]| {
            let mut members = vec![member(0, phase, muted, sharing)];
            members.extend(others.iter().map(|phase| member(1, *phase, true, false)));
            Paused::of(&Members { call: CallId(1), members }, "own")
        };
        assert_eq!(paused(In, false, true, &[In]), Paused::default());
        assert_eq!(paused(In, true, true, &[In]), Paused { audio: true, ..Paused::default() });
        assert_eq!(paused(In, false, false, &[In]), Paused { screen: true, ..Paused::default() });
        assert_eq!(paused(Held, false, true, &[In]), ALL);
        assert_eq!(paused(Listening, false, true, &[In]), ALL);
        assert_eq!(paused(In, false, true, &[Held]), ALL);
        assert_eq!(paused(In, false, true, &[HeldReconnecting]), ALL, "it holds all the same");
        assert_eq!(paused(In, false, true, &[Reconnecting]), Paused::default());
        assert_eq!(paused(In, false, true, &[Held, In]), Paused::default());
    }

    #[test]
    fn what_is_not_to_come_is_known() {
        let brings = |own, phase, muted, sharing| {
            let mut manners = Manners::default();
            let members = vec![member(0, own, true, false), member(1, phase, muted, sharing)];
            manners.update(&Members { call: CallId(1), members }, "own");
            KINDS.map(|kind| manners.brings(MemberId(1), kind, None))
        };
        assert_eq!(brings(In, In, false, true), [true; 3]);
        assert_eq!(brings(Listening, Reconnecting, false, true), [true; 3]);
        assert_eq!(brings(In, In, true, true), [false, true, true]);
        assert_eq!(brings(In, In, false, false), [true, true, false]);
        for nobody in [Held, HeldReconnecting] {
            assert_eq!(brings(In, nobody, false, true), [false; 3]);
            assert_eq!(brings(nobody, In, false, true), [false; 3]);
        }
        assert_eq!(brings(In, Listening, false, true), [false; 3]);
    }

    #[test]
    fn layers_are_chosen_of_each_member_and_of_cameras_alone() {
        let mut manners = Manners::default();
        let camera = |manners: &Manners, member, layer| {
            manners.brings(MemberId(member), StreamKind::Camera, layer)
        };
        assert!(camera(&manners, 1, Some(Layer::Low)) && camera(&manners, 1, Some(Layer::High)));
        manners.choose(MemberId(1), Layer::Low);
        assert!(camera(&manners, 1, Some(Layer::Low)) && !camera(&manners, 1, Some(Layer::High)));
        assert!(camera(&manners, 1, None), "the only one there is");
        assert!(camera(&manners, 2, Some(Layer::High)), "another's");
        manners.choose(MemberId(1), Layer::None);
        assert!(!camera(&manners, 1, None));
        assert!(manners.brings(MemberId(1), StreamKind::Audio, None));
        manners.choose(MemberId(2), Layer::None);
        let manners = manners.of_those(|member| member == MemberId(2));
        assert!(camera(&manners, 1, None) && !camera(&manners, 2, None));
    }
}
