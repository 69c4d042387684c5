//! Samples of what nodes say to each other.

use super::{CALL, REQUEST, host, offers, token};
use kakehashi_wire::id::{AccountId, DeviceId, RelayId, SessionId, TenantId, Term};
use kakehashi_wire::limits::{DESKS_PER_AGENT_MAX, NAME_BYTES_MAX};
use kakehashi_wire::node::{
    AccountKey, AgentOrder, Arrival, Asked, Called, Did, Drain, End, EndCall, Epochs, FromNode,
    GuessedAt, Left, Look, LookAt, NodeBeat, NodeHello, OfferedAt, Push, Rejection, Remember,
    Request, Reread, Revocation, Revoke, Rows, Say, ToNode, Turn, Verdict, Whom, WrongGuess,
};
use kakehashi_wire::secret::SaidBytes;
use kakehashi_wire::terminal::{
    Accept, AddDesk, AddMember, Cancel, ChooseLayer, Done, EndWrapUp, HangUp, Hold, InviteDesk,
    Layer, Listen, Merge, Missed, Mute, Refusal, Reject, ReportQuality, Role, SessionEnd, SetAway,
    Share, ToTerminal, WayToRelay,
};

const SESSION: SessionId = SessionId(0x5152_5354_5556_5758);
const ACCOUNT: AccountKey = AccountKey { tenant: TenantId(0x61), account: AccountId(0x62) };

fn requests() -> Vec<Request> {
    let called = Some(Called { account: AccountId(0x63), role: Role::Concierge });
    let (request, call, member) = (REQUEST, CALL, kakehashi_wire::id::MemberId(1));
    let (login, desk) = ("concierge-2".to_owned(), "reception".to_owned());
    let report = ReportQuality {
        call,
        packets_sent: 1,
        packets_received: 2,
        packets_lost: 3,
        jitter_us: 4,
        round_trip_us: 5,
        packets_concealed: 6,
        ways: vec![WayToRelay { relay: RelayId(7), round_trip_us: 7 }],
    };
    vec![
        Request::SignOut,
        Request::Watch(request, Vec::new()),
        Request::Invite(request, called, offers()),
        Request::Accept(Accept { request, call, streams: offers() }),
        Request::Reject(Reject { request, call }),
        Request::Cancel(Cancel { request, call }),
        Request::HangUp(HangUp { request, call }),
        Request::PasswordChanged(request, Revocation::of_password(ACCOUNT, 7)),
        Request::Refuse(request, Refusal::NotAllowed),
        Request::Report(report),
        Request::Hold(Hold { request, call, on: true }),
        Request::Mute(Mute { request, call, on: true }),
        Request::Share(Share { request, call, on: true }),
        Request::ChooseLayer(ChooseLayer { request, call, member, layer: Layer::Low }),
        Request::AddMember(AddMember { request, call, login, then_leave: true }, None),
        Request::Merge(Merge { request, call, with: call, then_leave: false }),
        Request::Listen(Listen { request, call, streams: offers() }),
        Request::Away(SetAway { request, away: true }),
        Request::Missed(Missed { request, seen_until_ms: 8 }),
        Request::InviteDesk(InviteDesk { request, desk, streams: offers() }),
        Request::EndWrapUp(EndWrapUp { request }),
        Request::AddDesk(AddDesk { request, call, desk: "reception".into(), then_leave: true }),
        Request::Moved(host(10)),
    ]
}

/// An agent that so many desks have offered calls.
fn agent(desks: usize) -> AgentOrder {
    let turn = |nth| Turn { term: Term(0x71), nth };
    let offered = OfferedAt { desk: "reception".into(), turn: turn(6) };
    AgentOrder { idle: turn(5), wrap_up_ms: 9_000, offered: vec![offered; desks] }
}

pub(super) fn from_node() -> Vec<FromNode> {
    let revoke = |whom| Revoke {
        ask: 9,
        revocation: Revocation { whom, epoch: 10, why: SessionEnd::Suspended },
    };
    let software = "kakehashi-control 0.1.0".to_owned();
    let mut samples = vec![
        NodeHello { node: "tokyo-1".into(), software }.into(),
        NodeBeat { leads: Term(0x71) }.into(),
        Arrival {
            session: SESSION,
            request: REQUEST,
            account: ACCOUNT,
            login: "store-1".into(),
            display: "案内係".into(),
            role: Role::Store,
            device: DeviceId(9),
            software: "kakehashi-terminal 0.1.0".into(),
            epochs: Epochs { tenant: 1, account: 2, devices: 3 },
            token: token(),
            resumes: Some(SESSION),
            is_handed_over: true,
            is_away: true,
            seen_at: host(9),
            agent: Some(agent(1)),
        }
        .into(),
    ];
    samples
        .extend(requests().into_iter().map(|request| Asked { session: SESSION, request }.into()));
    samples.extend::<[FromNode; 9]>([
        Left { session: SESSION, may_return: true }.into(),
        Look { ask: 9, at: LookAt::Sessions }.into(),
        Reread { ask: 9, tenant: ACCOUNT.tenant }.into(),
        EndCall { ask: 9, tenant: None, call: CALL }.into(),
        revoke(Whom::Account(ACCOUNT)).into(),
        revoke(Whom::Device(ACCOUNT, DeviceId(9))).into(),
        revoke(Whom::Tenant(ACCOUNT.tenant)).into(),
        Drain { ask: 9, relay: RelayId(7), on: true }.into(),
        WrongGuess { places: vec![GuessedAt { kind: 1, cells: [2, 3, 4, 5] }; 2] }.into(),
    ]);
    samples
}

pub(super) fn to_node() -> Vec<ToNode> {
    let done = || ToTerminal::from(Done { request: REQUEST }).encode().unwrap();
    let refused = Some(Rejection { reason: Refusal::Busy, retry_after_ms: 1_000 });
    vec![
        NodeBeat { leads: Term::NONE }.into(),
        Verdict { session: SESSION, refused: None }.into(),
        Verdict { session: SESSION, refused }.into(),
        Say { session: SESSION, answers: Some(REQUEST), said: SaidBytes::new(done()) }.into(),
        Push { sessions: vec![SESSION, SessionId(2)], said: done() }.into(),
        End { session: SESSION, reason: SessionEnd::Replaced }.into(),
        Did { ask: 9, done: true, told: b"{}".to_vec() }.into(),
        Rows { ask: 9, part: b"[]".to_vec(), more: false }.into(),
        Remember { session: SESSION, agent: agent(2) }.into(),
    ]
}

#[test]
fn what_a_node_passes_on_has_limits() {
    let say = |bytes: usize| {
        let said = SaidBytes::new(vec![0; bytes]);
        ToNode::from(Say { session: SESSION, answers: None, said }).encode().map(drop)
    };
    let most = kakehashi_wire::limits::SAID_BYTES_MAX;
    assert_eq!(say(most), Ok(()));
    assert_eq!(say(most + 1).unwrap_err().field, "said");
    let push = |count: usize| {
        let (sessions, said) = (vec![SESSION; count], vec![0; most]);
        ToNode::from(Push { sessions, said }).encode().map(drop)
    };
    assert_eq!(push(kakehashi_wire::limits::SESSIONS_PER_PUSH_MAX), Ok(()));
    assert_eq!(push(1_025).unwrap_err().field, "sessions");
    let remember = |desks: usize, name: usize| {
        let mut agent = agent(desks);
        agent.offered.iter_mut().for_each(|offered| offered.desk = "d".repeat(name));
        ToNode::from(Remember { session: SESSION, agent }).encode().map(drop)
    };
    let (most, longest) = (DESKS_PER_AGENT_MAX, NAME_BYTES_MAX);
    assert_eq!(remember(most, longest), Ok(()));
    assert_eq!(remember(most + 1, 1).unwrap_err().field, "offered");
    assert_eq!(remember(1, longest + 1).unwrap_err().field, "desk");
}
