//! What a terminal keeps to itself for now: nobody would receive it.

use kakehashi_wire::media::StreamKind;
use kakehashi_wire::terminal::{MemberPhase, Members};

/// Kinds of streams that do not leave. Frames of the time are left out without a gap in the
/// numbering, and video goes on with a key frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Paused {
    /// Voice.
    pub audio: bool,
    /// The camera, in all its layers.
    pub camera: bool,
    /// The screen.
    pub screen: bool,
}

impl Paused {
    /// What the terminal of `login` need not send to a call with these members.
    pub fn of(members: &Members, login: &str) -> Self {
        let (own, others): (Vec<_>, Vec<_>) =
            members.members.iter().partition(|member| member.login == login);
        let holds = |phase| phase == MemberPhase::Held;
        let alone = others.iter().all(|member| holds(member.phase));
        let silent = |phase| holds(phase) || phase == MemberPhase::Listening;
        let held = alone || own.iter().any(|member| silent(member.phase));
        Self {
            audio: held || own.iter().any(|member| member.muted),
            camera: held,
            screen: held || own.iter().any(|member| !member.sharing),
        }
    }

    pub(super) const fn keeps(self, kind: StreamKind) -> bool {
        match kind {
            StreamKind::Audio => self.audio,
            StreamKind::Camera => self.camera,
            StreamKind::Screen => self.screen,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{CallId, MemberId};
    use kakehashi_wire::terminal::MemberState;

    #[test]
    fn what_nobody_receives_is_not_sent() {
        let member = |login: &str, phase, muted, sharing| MemberState {
            member: MemberId(0),
            login: login.into(),
            display: String::new(),
            phase,
            muted,
            sharing,
        };
        let paused = |phase, muted, sharing, others: &[MemberPhase]| {
            let mut members = vec![member("own", phase, muted, sharing)];
            members.extend(others.iter().map(|phase| member("other", *phase, true, false)));
            Paused::of(&Members { call: CallId(1), members }, "own")
        };
        use MemberPhase::{Held, In};
        let all = Paused { audio: true, camera: true, screen: true };
        assert_eq!(paused(In, false, true, &[In]), Paused::default());
        assert_eq!(paused(In, true, true, &[In]), Paused { audio: true, ..Paused::default() });
        assert_eq!(paused(In, false, false, &[In]), Paused { screen: true, ..Paused::default() });
        assert_eq!(paused(Held, false, true, &[In]), all);
        assert_eq!(paused(In, false, true, &[Held]), all);
        assert_eq!(paused(In, false, true, &[Held, In]), Paused::default());
    }
}
