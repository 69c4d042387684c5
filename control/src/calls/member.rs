//! A member of a call: its own states and every step between them, as a table, and its devices.
//!
//! ```text
//!                                           --Hold-->
//!  Ringing --Accept--> Joining --Ready--> In             Held
//!     |                   |               | <-Resume--    |
//!     +-------------------+---------------+---------------+----> Left
//! ```
//!
//! The call's table decides what may happen; this one says what that is for each member. A member
//! whose session has lost its connection is seen as reconnecting, and is where the table says all
//! the same: it may be put into the call while it is away, and comes back to what it was.

use super::{Heard, Manner};
use crate::clock::{Now, UnixMs};
use crate::records::{Party, PartyRole, Quality};
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::{DeviceId, MemberId, SessionId};
use kakehashi_wire::media::{StreamKind, StreamOffer};
use kakehashi_wire::terminal::{Layer, MemberPhase, MemberState, Refusal, ReportQuality};
use rkyv::with::{AsVec, Skip};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a member is.
#[derive(
    rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Hash, Debug,
)]
pub enum Phase {
    /// Its terminal rings, or is about to.
    Ringing,
    /// It wants to be in the call and waits for its media.
    Joining,
    /// It has keys and paths.
    In,
    /// The same, and it has the call on hold: it neither receives nor is received.
    Held,
    /// It is no longer part of the call.
    Left,
}

/// What can happen to a member.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemberEvent {
    /// It takes the call.
    Accept,
    /// Its media is there.
    Ready,
    /// It puts the call on hold.
    Hold,
    /// It takes the call back.
    Resume,
    /// It mutes, shares its screen, or chooses what to receive.
    Adjust,
    /// It leaves, or the call is over.
    Leave,
}

/// What an event does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum MemberStep {
    /// The member is elsewhere.
    To(Phase),
    /// It stays where it is: allowed, or too late to matter.
    Stay,
    /// A request that cannot be done there.
    Refuse(Refusal),
}

impl Phase {
    /// All of them, in the order of the table's rows.
    pub const ALL: [Self; 5] = [Self::Ringing, Self::Joining, Self::In, Self::Held, Self::Left];

    /// What `event` does to a member here.
    #[must_use]
    pub const fn step(self, event: MemberEvent) -> MemberStep {
        TABLE[self as usize][event as usize]
    }
}

impl MemberEvent {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 6] =
        [Self::Accept, Self::Ready, Self::Hold, Self::Resume, Self::Adjust, Self::Leave];
}

/// The table: a row for each phase, a column for each event.
const TABLE: [[MemberStep; MemberEvent::ALL.len()]; Phase::ALL.len()] = {
    use MemberStep::{Refuse, Stay, To};
    use Phase::{Held, In, Joining, Left};
    const EARLY: MemberStep = Refuse(Refusal::TooLate);
    const UNKNOWN: MemberStep = Refuse(Refusal::NoSuchCall);
    [
        // Ringing
        [To(Joining), Stay, EARLY, EARLY, EARLY, To(Left)],
        // Joining: without media there is nothing to hold yet.
        [Stay, To(In), EARLY, EARLY, Stay, To(Left)],
        // In
        [Stay, Stay, To(Held), Stay, Stay, To(Left)],
        // Held
        [Stay, Stay, Stay, To(In), Stay, To(Left)],
        // Left
        [Stay, Stay, UNKNOWN, UNKNOWN, UNKNOWN, Stay],
    ]
};

/// What a session of a member's account has to do with the call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Standing {
    /// It is the account's session in the call.
    Takes,
    /// It rings.
    Rings,
    /// Nothing: another device has the call, or this one has declined it.
    Aside,
}

/// Through which sessions an account is part of a call.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
enum Sessions {
    /// All of these ring.
    Ringing(#[rkyv(with = AsVec)] BTreeSet<SessionId>),
    /// This one has the call.
    One(SessionId),
    /// This one has the call, and is without a connection: the phase is what it was, and moves on
    /// with the call.
    Lost(SessionId),
    /// None any more.
    Gone,
}

/// Who brought a member into a call that was going on.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
pub struct Brought {
    /// The place of that member.
    pub by: usize,
    /// It leaves when this one is there.
    pub then_leaves: bool,
}

/// For which desk an account has answered, and when.
#[derive(Clone, PartialEq, Eq, Debug, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Answers {
    /// The desk's name.
    pub desk: String,
    /// When it did, or when a core took the call up.
    #[rkyv(with = Skip)]
    pub since: Duration,
}

/// An account's part in a call.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Member {
    sessions: Sessions,
    role: PartyRole,
    /// For which account.
    pub account: AccountKey,
    /// Its login ID.
    pub login: String,
    /// Its name for others.
    pub display: String,
    /// What it offers to send.
    pub streams: Vec<StreamOffer>,
    /// Nobody is to receive its voice.
    pub muted: bool,
    /// Its screen, if it offers one, is to be received.
    pub sharing: bool,
    #[rkyv(with = AsVec)]
    layers: BTreeMap<usize, Layer>,
    phase: Phase,
    /// Who brought it, and until when it rings.
    brought: Option<Brought>,
    #[rkyv(with = Skip)]
    rings_until: Option<Duration>,
    answers: Option<Answers>,
    // For the record.
    device: Option<DeviceId>,
    joined: Option<UnixMs>,
    left: Option<UnixMs>,
    /// Reported again before long.
    #[rkyv(with = Skip)]
    quality: Option<Quality>,
    #[rkyv(with = Skip)]
    heard: Heard,
}

impl Member {
    /// The terminal of `session` calls, offering `streams`.
    pub fn calling(session: &Session, streams: Vec<StreamOffer>) -> Self {
        let sessions = Sessions::One(session.id);
        let (role, phase) = (PartyRole::Caller, Phase::Joining);
        let device = Some(session.device);
        Self { sessions, role, streams, phase, device, ..Self::ringing(session) }
    }

    /// The account of `sessions` is called on all of them; `None` if there is none.
    pub fn called<'a>(mut sessions: impl Iterator<Item = &'a Session>) -> Option<Self> {
        let mut member = Self::ringing(sessions.next()?);
        sessions.for_each(|session| member.ring(session.id));
        Some(member)
    }

    fn ringing(session: &Session) -> Self {
        Self {
            sessions: Sessions::Ringing(BTreeSet::from([session.id])),
            role: PartyRole::Callee,
            account: session.account,
            login: session.login.clone(),
            display: session.display.clone(),
            streams: Vec::new(),
            muted: false,
            sharing: true,
            layers: BTreeMap::new(),
            phase: Phase::Ringing,
            device: None,
            brought: None,
            rings_until: None,
            answers: None,
            joined: None,
            left: None,
            quality: None,
            heard: Heard::default(),
        }
    }

    /// The account of `sessions` is called by a member of a call that goes on, until that time.
    pub fn added<'a>(
        sessions: impl Iterator<Item = &'a Session>,
        brought: Brought,
        rings_until: Duration,
    ) -> Option<Self> {
        let member = Self::called(sessions)?;
        let (role, brought, rings_until) = (PartyRole::Added, Some(brought), Some(rings_until));
        Some(Self { role, brought, rings_until, ..member })
    }

    /// An agent of a desk that a member of a call has asked: it comes as that member's guest.
    pub(super) fn come(&mut self, brought: Brought) {
        (self.role, self.brought) = (PartyRole::Added, Some(brought));
    }

    /// It answers for a desk in this call, unless it does for one already.
    pub(super) fn answer_for(&mut self, answers: Option<Answers>) {
        self.answers = self.answers.take().or(answers);
    }

    /// For which desk it answers in this call, if it is still part of it.
    pub(super) fn answers(&self) -> Option<&Answers> {
        self.answers.as_ref().filter(|_| self.session().is_some())
    }

    /// The same account in the same session, as part of another call that it waits to take part in;
    /// `None` if no session has the call.
    pub fn moved(&self, brought: Brought) -> Option<Self> {
        Some(Self {
            sessions: match self.sessions {
                Sessions::Lost(session) => Sessions::Lost(session),
                _ => Sessions::One(self.session()?),
            },
            role: PartyRole::Added,
            account: self.account,
            login: self.login.clone(),
            display: self.display.clone(),
            streams: self.streams.clone(),
            muted: self.muted,
            sharing: self.sharing,
            layers: BTreeMap::new(),
            phase: Phase::Joining,
            brought: Some(brought),
            rings_until: None,
            answers: self.answers.clone(),
            device: self.device,
            joined: None,
            left: None,
            quality: None,
            heard: Heard::default(),
        })
    }

    /// The terminal of `session` listens to a call that goes on; `streams` carry its reports.
    pub fn listening(session: &Session, streams: Vec<StreamOffer>) -> Self {
        let role = PartyRole::Listener;
        Self { role, sharing: false, ..Self::calling(session, streams) }
    }

    /// Whether it only listens.
    pub fn listens(&self) -> bool {
        self.role == PartyRole::Listener
    }

    /// Whether it was called, and nobody has answered for it.
    pub fn is_unanswered(&self) -> bool {
        matches!(self.sessions, Sessions::Ringing(_))
    }

    /// The account's session in the call, once one has it.
    pub fn session(&self) -> Option<SessionId> {
        match self.sessions {
            Sessions::One(session) | Sessions::Lost(session) => Some(session),
            Sessions::Ringing(_) | Sessions::Gone => None,
        }
    }

    /// The sessions that are told what becomes of the call.
    pub fn sessions(&self) -> Vec<SessionId> {
        match &self.sessions {
            Sessions::One(session) | Sessions::Lost(session) => vec![*session],
            Sessions::Ringing(sessions) => sessions.iter().copied().collect(),
            Sessions::Gone => Vec::new(),
        }
    }

    /// What `session`, one of the account's, has to do with the call.
    pub fn standing(&self, session: SessionId) -> Standing {
        match &self.sessions {
            Sessions::One(one) | Sessions::Lost(one) if *one == session => Standing::Takes,
            Sessions::Ringing(sessions) if sessions.contains(&session) => Standing::Rings,
            _ => Standing::Aside,
        }
    }

    /// `session` rings too, unless one has the call.
    pub fn ring(&mut self, session: SessionId) {
        if let Sessions::Ringing(sessions) = &mut self.sessions {
            sessions.insert(session);
        }
    }

    /// `session` rings no more.
    pub fn stop_ringing(&mut self, session: SessionId) {
        if let Sessions::Ringing(sessions) = &mut self.sessions {
            sessions.remove(&session);
        }
    }

    /// `session` has the call and offers `streams`. Returns those that rang with it.
    pub fn answer(&mut self, session: SessionId, streams: Vec<StreamOffer>) -> Vec<SessionId> {
        self.stop_ringing(session);
        self.streams = streams;
        match core::mem::replace(&mut self.sessions, Sessions::One(session)) {
            Sessions::Ringing(others) => others.into_iter().collect(),
            Sessions::One(_) | Sessions::Lost(_) | Sessions::Gone => Vec::new(),
        }
    }

    /// Notes with which device it takes part.
    pub fn uses(&mut self, device: DeviceId) {
        self.device = Some(device);
    }

    /// It is no longer part of the call, which goes on. Returns the sessions that knew of it.
    pub fn leave(&mut self, at: UnixMs) -> Vec<SessionId> {
        // Whoever is there may leave.
        let _left = self.apply(MemberEvent::Leave, at);
        let sessions = self.sessions();
        self.sessions = Sessions::Gone;
        sessions
    }

    /// `session` is without a connection; `true` if it has the call and that is news.
    pub fn lose(&mut self, session: SessionId) -> bool {
        let is_its = matches!(self.sessions, Sessions::One(one) if one == session);
        if is_its {
            self.sessions = Sessions::Lost(session);
        }
        is_its
    }

    /// Session `older` has another number, and a connection again; `true` if it has the call and
    /// had none.
    pub fn succeed(&mut self, older: SessionId, session: SessionId) -> bool {
        match &mut self.sessions {
            Sessions::One(one) if *one == older => self.sessions = Sessions::One(session),
            Sessions::Lost(one) if *one == older => {
                self.sessions = Sessions::One(session);
                return true;
            }
            Sessions::Ringing(sessions) => {
                if sessions.remove(&older) {
                    sessions.insert(session);
                }
            }
            Sessions::One(_) | Sessions::Lost(_) | Sessions::Gone => {}
        }
        false
    }

    /// Lets `event` happen at the time `at`.
    ///
    /// # Errors
    /// Why it cannot happen; nothing has changed then.
    pub fn apply(&mut self, event: MemberEvent, at: UnixMs) -> Result<(), Refusal> {
        match self.phase.step(event) {
            MemberStep::Refuse(reason) => return Err(reason),
            MemberStep::Stay => {}
            MemberStep::To(next) => {
                match next {
                    Phase::In => self.joined = self.joined.or(Some(at)),
                    Phase::Left => self.left = self.left.or(Some(at)),
                    Phase::Ringing | Phase::Joining | Phase::Held => {}
                }
                self.phase = next;
            }
        }
        Ok(())
    }

    /// Whether it is no longer part of the call.
    pub fn has_left(&self) -> bool {
        self.phase == Phase::Left
    }

    /// Whether it rings.
    pub fn rings(&self) -> bool {
        self.phase == Phase::Ringing
    }

    /// Whether it waits for its media.
    pub fn joins(&self) -> bool {
        self.phase == Phase::Joining
    }

    /// Whether it has taken the call and not left it.
    pub fn takes_part(&self) -> bool {
        matches!(self.phase, Phase::Joining | Phase::In | Phase::Held)
    }

    /// Who brought it into the call; none for the two it began with.
    pub fn brought(&self) -> Option<Brought> {
        self.brought
    }

    /// When it has rung long enough; none unless it rings in a call that goes on.
    pub fn rings_until(&self) -> Option<Duration> {
        self.rings_until.filter(|_| self.rings())
    }

    /// Another core has taken the call up at `now`: what runs out runs anew, until `rings_until`.
    pub(super) fn restart(&mut self, now: Duration, rings_until: Duration) {
        if let Some(answers) = &mut self.answers {
            answers.since = now;
        }
        // Only who was brought into a call that goes on has a time of its own.
        self.rings_until = self.brought.map(|_| rings_until).filter(|_| self.rings());
    }

    /// Whether it has the call on hold.
    pub fn holds(&self) -> bool {
        self.phase == Phase::Held
    }

    /// Whether it offers to send a stream of this kind.
    pub fn offers(&self, kind: StreamKind) -> bool {
        self.streams.iter().any(|stream| stream.kind == kind)
    }

    /// From now on it receives this layer of the cameras of member number `whose`.
    pub fn choose_layer(&mut self, whose: usize, layer: Layer) {
        self.layers.insert(whose, layer);
    }

    /// Which layer it receives of the cameras of member number `whose`; `None` for all.
    pub fn layer(&self, whose: usize) -> Option<Layer> {
        self.layers.get(&whose).copied()
    }

    /// What it lets out, and takes in.
    pub fn manner(&self) -> Manner {
        let takes_part = !matches!(self.phase, Phase::Held | Phase::Left);
        let speaks = takes_part && !self.listens();
        Manner { takes_part, speaks, muted: self.muted, sharing: self.sharing }
    }

    /// What members are told of it, as number `member` of the call; `None` if it has left.
    pub fn seen(&self, member: MemberId) -> Option<MemberState> {
        let phase = match self.phase {
            Phase::Ringing => MemberPhase::Ringing,
            Phase::Joining | Phase::In if self.listens() => MemberPhase::Listening,
            Phase::Joining => MemberPhase::Joining,
            Phase::In => MemberPhase::In,
            Phase::Held => MemberPhase::Held,
            Phase::Left => return None,
        };
        let is_lost = matches!(self.sessions, Sessions::Lost(_));
        let phase = match (is_lost, phase) {
            (false, phase) => phase,
            (true, MemberPhase::Held) => MemberPhase::HeldReconnecting,
            (true, _) => MemberPhase::Reconnecting,
        };
        let (login, display) = (self.login.clone(), self.display.clone());
        let sharing = self.sharing && self.offers(StreamKind::Screen);
        Some(MemberState { member, login, display, phase, muted: self.muted, sharing })
    }

    /// Notes how media arrived at it.
    pub fn report(&mut self, report: &ReportQuality, now: Now) {
        self.heard.note(report, now);
        self.quality = Some(Quality {
            packets_sent: report.packets_sent,
            packets_received: report.packets_received,
            packets_lost: report.packets_lost,
            jitter_us: report.jitter_us,
            round_trip_us: report.round_trip_us,
            packets_concealed: report.packets_concealed,
        });
    }

    /// How media arrived at it lately.
    pub fn heard(&self) -> &Heard {
        &self.heard
    }

    /// Its part of the call's record.
    pub fn party(&self) -> Party {
        Party {
            account: self.account.account,
            login: self.login.clone(),
            role: self.role,
            device: self.device,
            joined: self.joined,
            left: self.left,
            quality: self.quality,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// `>` another phase, `?` the request is refused.
    const EXPECTED: &str = "
        | Ringing  | Joining  | In      | Held    | Left
Accept  | >Joining | -        | -       | -       | -
Ready   | -        | >In      | -       | -       | -
Hold    | ?TooLate | ?TooLate | >Held   | -       | ?NoSuchCall
Resume  | ?TooLate | ?TooLate | -       | >In     | ?NoSuchCall
Adjust  | ?TooLate | -        | -       | -       | ?NoSuchCall
Leave   | >Left    | >Left    | >Left   | >Left   | -
";

    #[test]
    fn the_table_is_as_printed() {
        const WIDTHS: [usize; 5] = [8, 8, 7, 7, 0];
        let mut table = format!("\n{:7}", "");
        for (phase, width) in Phase::ALL.into_iter().zip(WIDTHS) {
            write!(table, " | {:width$}", format!("{phase:?}")).unwrap();
        }
        for event in MemberEvent::ALL {
            write!(table, "\n{:7}", format!("{event:?}")).unwrap();
            for (phase, width) in Phase::ALL.into_iter().zip(WIDTHS) {
                let cell = match phase.step(event) {
                    MemberStep::To(next) => format!(">{next:?}"),
                    MemberStep::Stay => "-".into(),
                    MemberStep::Refuse(reason) => format!("?{reason:?}"),
                };
                write!(table, " | {cell:width$}").unwrap();
            }
        }
        table.push('\n');
        assert_eq!(table, EXPECTED, "the table changed; printed it is:{table}");
    }

    /// What others see of a member, with a connection and without.
    const SEEN: &str = "
Ringing -       -
Joining Joining Reconnecting
In      In      Reconnecting
Held    Held    HeldReconnecting
Left    -       -
";

    #[test]
    fn a_member_without_a_connection_is_seen_so_and_comes_back_to_what_it_was() {
        let tenant = kakehashi_wire::id::TenantId(1);
        let session = Session {
            id: SessionId(1),
            first: SessionId(1),
            account: AccountKey { tenant, account: kakehashi_wire::id::AccountId(2) },
            login: "a".into(),
            display: String::new(),
            role: kakehashi_wire::terminal::Role::Store,
            device: DeviceId(3),
            epochs: crate::sessions::Epochs { tenant: 1, account: 1, devices: 1 },
            since: UnixMs(0),
            seen_at: kakehashi_wire::media::Host::UNKNOWN,
        };
        let phase = |member: &Member| member.seen(MemberId(0)).map(|seen| seen.phase);
        let mut table = String::from("\n");
        for at in Phase::ALL {
            let mut member = Member::calling(&session, Vec::new());
            member.phase = at;
            assert!(!member.lose(SessionId(9)), "another's");
            let before = phase(&member);
            let rings = at == Phase::Ringing;
            if rings {
                member = Member::ringing(&session);
            }
            assert_eq!((member.lose(session.id), member.lose(session.id)), (!rings, false));
            let cell = |phase: Option<MemberPhase>| match phase.filter(|_| !rings) {
                Some(phase) => format!("{phase:?}"),
                None => "-".into(),
            };
            let line =
                format!("{:7} {:7} {}", format!("{at:?}"), cell(before), cell(phase(&member)));
            table.push_str(line.trim_end());
            table.push('\n');
            assert!(!member.succeed(SessionId(9), SessionId(5)), "another's");
            assert_eq!(member.succeed(session.id, SessionId(5)), !rings);
            assert_eq!(member.sessions(), [SessionId(5)]);
            assert_eq!(
                (phase(&member).filter(|_| !rings), member.phase),
                (before.filter(|_| !rings), at)
            );
        }
        assert_eq!(table, SEEN, "the table changed; printed it is:{table}");
    }

    #[test]
    fn rows_and_columns_are_where_the_enums_say() {
        for (row, phase) in Phase::ALL.into_iter().enumerate() {
            assert_eq!(phase as usize, row);
        }
        for (column, event) in MemberEvent::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, column);
        }
    }
}
