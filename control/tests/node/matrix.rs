//! The matrix: every request of a terminal, an operator or an administrator, of every role, about
//! what is of its own tenant, of another, and of none. Whole answers about the latter two are
//! equal, to the byte; what a role may not do is refused as the table says, whoever it is about.

mod audited;
mod disorder;
mod operators;
mod terminals;
mod times;

use super::common::terminal::{AUDIO, Terminal};
use super::common::{PASSWORD, Platform, frame, within};
use super::policy::set;
use kakehashi_control::accounts::{NewAccount, Subject};
use kakehashi_control::admin::Request;
use kakehashi_control::audit::Head;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::desks::DeskChange;
use kakehashi_control::policy::{Act, Rank, TenantLimits};
use kakehashi_wire::id::{CallId, DeviceId, MemberId, RelayId, RequestId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{
    Accept, AddDesk, AddMember, Cancel, ChangePassword, ChooseLayer, EndWrapUp, FromTerminal,
    HangUp, Hold, Invite, InviteDesk, Layer, Listen, Merge, Missed, Mute, Ping, Reject,
    ReportQuality, Role, SetAway, Share, SignOut, WatchPresence,
};

/// The number of every request that is compared.
const REQUEST: RequestId = RequestId(7_777);

/// The number of the request that follows one of which all answers are to be heard.
const FENCE: RequestId = RequestId(8_888);

/// A call that never was.
const NEVER: CallId = CallId(1);

/// What a request is about.
#[derive(Clone, Copy)]
struct Named {
    tenant: &'static str,
    login: &'static str,
    call: CallId,
}

/// The same request about one thing and another, or about nothing in particular.
enum Asked {
    /// The first message of a connection.
    First,
    /// What a terminal says.
    Terminal(Vec<FromTerminal>),
    /// What an operator or administrator asks.
    Admin(Request),
}

/// The request that is `act`, about what is `named`, by somebody in call `own`.
fn asked(act: Act, named: Named, own: CallId) -> Asked {
    match admin(act, named) {
        Some(request) => {
            assert_eq!(request.act(), act);
            Asked::Admin(request)
        }
        None => terminal(act, named, own),
    }
}

fn terminal(act: Act, named: Named, own: CallId) -> Asked {
    let (request, Named { call, login, .. }) = (REQUEST, named);
    let (login, streams) = (|| login.to_owned(), || vec![AUDIO]);
    let (on, then_leave) = (true, false);
    let one = |message: FromTerminal| {
        assert_eq!(Act::from(&message), act);
        Asked::Terminal(vec![message])
    };
    match act {
        Act::SignIn | Act::Resume => Asked::First,
        Act::SignOut => one(SignOut { request }.into()),
        Act::ChangePassword => {
            // The new one is not good enough, so that the account stays as it is.
            let (old, new) = (Password::new(PASSWORD.into()), Password::new("short".into()));
            one(ChangePassword { request, old, new }.into())
        }
        Act::WatchPresence => one(WatchPresence { request }.into()),
        Act::SetAway => one(SetAway { request, away: false }.into()),
        Act::Missed => one(Missed { request, seen_until_ms: 0 }.into()),
        Act::Invite => one(Invite { request, login: login(), streams: streams() }.into()),
        Act::InviteDesk => one(InviteDesk { request, desk: login(), streams: streams() }.into()),
        Act::EndWrapUp => one(EndWrapUp { request }.into()),
        Act::Ping => one(Ping { at_ms: 1 }.into()),
        Act::Accept => one(Accept { request, call, streams: streams() }.into()),
        Act::Reject => one(Reject { request, call }.into()),
        Act::Cancel => one(Cancel { request, call }.into()),
        Act::HangUp => one(HangUp { request, call }.into()),
        Act::ReportQuality => one(quality(call).into()),
        Act::Hold => one(Hold { request, call, on }.into()),
        Act::Mute => one(Mute { request, call, on }.into()),
        Act::Share => one(Share { request, call, on }.into()),
        Act::ChooseLayer => {
            one(ChooseLayer { request, call, member: MemberId(0), layer: Layer::Low }.into())
        }
        Act::AddMember => Asked::Terminal(vec![
            AddMember { request, call, login: "b".into(), then_leave }.into(),
            AddMember { request, call: own, login: login(), then_leave }.into(),
        ]),
        Act::AddDesk => Asked::Terminal(vec![
            AddDesk { request, call, desk: "d".into(), then_leave }.into(),
            AddDesk { request, call: own, desk: login(), then_leave }.into(),
        ]),
        Act::Merge => Asked::Terminal(vec![
            Merge { request, call, with: own, then_leave }.into(),
            Merge { request, call: own, with: call, then_leave }.into(),
        ]),
        Act::Listen => one(Listen { request, call, streams: streams() }.into()),
        other => panic!("{other:?} has no row in this test: give it one"),
    }
}

fn quality(call: CallId) -> ReportQuality {
    ReportQuality {
        call,
        packets_sent: 1,
        packets_received: 1,
        packets_lost: 0,
        packets_concealed: 0,
        jitter_us: 0,
        round_trip_us: 0,
        ways: Vec::new(),
    }
}

fn admin(act: Act, named: Named) -> Option<Request> {
    let tenant = named.tenant.to_owned();
    let (login, desk, change) = ("c".to_owned(), "d".to_owned(), DeskChange::default());
    let (password, role, permanent) = (None, Role::Store, true);
    let whole = || Subject::Tenant { tenant: named.tenant.to_owned() };
    let account = || Subject::Account { tenant: named.tenant.to_owned(), login: "c".to_owned() };
    let device = || {
        let (tenant, login) = (named.tenant.to_owned(), "c".to_owned());
        Subject::Device { tenant, login, device: DeviceId(9) }
    };
    let request = match act {
        Act::TenantAdd => Request::TenantAdd { name: tenant, accounts: None },
        Act::TenantList => Request::TenantList {},
        Act::TenantPolicy => Request::TenantPolicy { tenant, limits: None, rules: None },
        Act::TenantRules => {
            Request::TenantPolicy { tenant, limits: None, rules: Some(Box::default()) }
        }
        Act::TenantLimits => {
            let limits = Some(TenantLimits::default());
            Request::TenantPolicy { tenant, limits, rules: None }
        }
        Act::TenantSuspend => Request::Suspend { subject: whole(), reason: None },
        Act::TenantReactivate => Request::Reactivate { subject: whole() },
        Act::AccountAdd => {
            let (login, display) = ("new".to_owned(), None);
            Request::AccountAdd { tenant, login, display, password, permanent, role }
        }
        Act::AccountList => Request::AccountList { tenant },
        Act::AccountPassword => Request::AccountPassword { tenant, login, password, permanent },
        Act::AccountRole => Request::AccountRole { tenant, login, role },
        Act::SecondReset => Request::SecondReset { tenant, login },
        Act::AccountSuspend => Request::Suspend { subject: account(), reason: None },
        Act::AccountReactivate => Request::Reactivate { subject: account() },
        Act::DeviceSuspend => Request::Suspend { subject: device(), reason: None },
        Act::DeviceReactivate => Request::Reactivate { subject: device() },
        Act::DeskAdd => Request::DeskAdd { tenant, desk, change },
        Act::DeskSet => Request::DeskSet { tenant, desk, change },
        Act::DeskList => Request::DeskList { tenant },
        Act::DeskRemove => Request::DeskRemove { tenant, desk },
        Act::Calls => Request::Calls { tenant: Some(tenant), ended: 10 },
        Act::CallEnd => Request::CallEnd { tenant: Some(tenant), call: named.call },
        Act::Sessions => Request::Sessions { tenant: Some(tenant) },
        Act::Relays => Request::Relays {},
        Act::RelayDrain => Request::RelayDrain { relay: RelayId(1), on: false },
        Act::Status => Request::Status {},
        Act::AuditList => Request::AuditList { before: None, limit: 10 },
        Act::AuditVerify => Request::AuditVerify { from: Head::START },
        _ => return None,
    };
    Some(request)
}

/// The account of `shop` that has a role.
fn login_of(role: Role) -> &'static str {
    match role {
        Role::Store => "v-store",
        Role::Concierge => "w-concierge",
        Role::Supervisor => "x-supervisor",
        Role::TenantAdmin => "y-administrator",
    }
}

/// A platform where each role has an account in `shop`, beside those that there always are.
async fn platform() -> Platform {
    let platform = Platform::start().await;
    let shop = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    for role in Role::ALL {
        let new = NewAccount {
            login: login_of(role).to_owned(),
            display: None,
            password: Some(Password::new(PASSWORD.into())),
            one_time: false,
            role,
        };
        platform.node.accounts.add_account(shop.id, new, UnixMs::now()).await.unwrap();
    }
    // So that what is refused is refused for the role.
    set(&platform, |policy| policy.rules.listening = true).await.unwrap();
    platform
}

/// All that is answered to a message: what comes before the answer to another that follows it.
async fn answers(terminal: &mut Terminal, message: FromTerminal) -> Vec<(u16, Vec<u8>)> {
    answers_to(terminal, message.encode().unwrap()).await
}

/// The same for the bytes of a message.
async fn answers_to(terminal: &mut Terminal, mut bytes: Vec<u8>) -> Vec<(u16, Vec<u8>)> {
    let follows = FromTerminal::from(Cancel { request: FENCE, call: NEVER });
    bytes.extend(follows.encode().unwrap());
    // The session may be over before it is said.
    let _ = terminal.send.write_all(&bytes).await;
    let mut heard = Vec::new();
    while let Some((kind, body)) = within(frame(&mut terminal.recv)).await {
        if body.starts_with(&FENCE.0.to_le_bytes()) {
            break;
        }
        heard.push((kind, body));
    }
    heard
}

/// Whether the table lets `rank` do it.
fn is_allowed(act: Act, rank: Rank) -> bool {
    rank.may(act)
}
