//! What operators ask, and what becomes of it.

use super::accounts::{open, password, verify};
use kakehashi_control::accounts::{AccountsConfig, DeskList, KnownTenant, Subject};
use kakehashi_control::admin::{
    Answer, Asker, CallRow, Live, LiveFuture, MediaEnd, Refused, RelayRow, Request, Service,
    SessionRow, Why, answer,
};
use kakehashi_control::audit::Audit;
use kakehashi_control::calls::Protected;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::records::{CallRecord, Party, PartyRole, RecordState, Records};
use kakehashi_control::sessions::Revocation;
use kakehashi_control::store::{Embedded, SharedStore};
use kakehashi_control::surroundings::Surroundings;
use kakehashi_wire::id::{AccountId, CallId, DeviceId, RelayId, SessionId, TenantId};
use kakehashi_wire::terminal::{CallEnd, PresenceState, Role};
use std::sync::{Arc, Mutex};

#[derive(Default)]
struct Node {
    tenant: Mutex<Option<TenantId>>,
    revoked: Mutex<Vec<Revocation>>,
    known: Mutex<Vec<KnownTenant>>,
    desks: Mutex<Vec<(TenantId, DeskList)>>,
}

impl Live for Node {
    fn live_calls(&self) -> LiveFuture<'_, Vec<CallRow>> {
        let tenant = *self.tenant.lock().unwrap();
        let live = |tenant| CallRow::live(record(tenant, 9), vec![RelayId(1)], Protected::None);
        let calls = tenant.map(live);
        Box::pin(async { Ok(calls.into_iter().collect()) })
    }

    fn sessions(&self) -> LiveFuture<'_, Vec<SessionRow>> {
        let tenant = *self.tenant.lock().unwrap();
        let sessions = tenant.map(|tenant| SessionRow {
            session: SessionId(5),
            tenant,
            tenant_name: String::new(),
            login: "store-1".into(),
            device: DeviceId(0xab),
            since: UnixMs(1),
            state: PresenceState::Waiting,
            desks: vec!["repairs".into()],
        });
        Box::pin(async { Ok(sessions.into_iter().collect()) })
    }

    fn relays(&self) -> LiveFuture<'_, Vec<RelayRow>> {
        let row = RelayRow {
            id: RelayId(1),
            software: "kakehashi-relay 0.1.0".into(),
            site: "tokyo".into(),
            addresses: vec!["192.0.2.1:40000".parse().unwrap()],
            connected: true,
            drained: false,
            legs: 2,
            certificate_until: None,
            counters: vec![("received".into(), 10)],
        };
        Box::pin(async { Ok(vec![row]) })
    }

    fn drain(&self, relay: RelayId, _on: bool) -> LiveFuture<'_, bool> {
        Box::pin(async move { Ok(relay == RelayId(1)) })
    }

    fn know(&self, tenant: KnownTenant) -> LiveFuture<'_, ()> {
        Box::pin(async move {
            self.known.lock().unwrap().push(tenant);
            Ok(())
        })
    }

    fn end_call(&self, tenant: Option<TenantId>, call: CallId) -> LiveFuture<'_, bool> {
        let own = *self.tenant.lock().unwrap();
        let goes_on = own.is_some() && tenant.is_none_or(|it| Some(it) == own) && call == CallId(9);
        Box::pin(async move { Ok(goes_on) })
    }

    fn set_desks(&self, tenant: TenantId, list: DeskList) -> LiveFuture<'_, ()> {
        Box::pin(async move {
            self.desks.lock().unwrap().push((tenant, list));
            Ok(())
        })
    }

    fn revoke(&self, revocation: Revocation) -> LiveFuture<'_, Option<MediaEnd>> {
        let relays = vec![RelayId(1)];
        let (ordered, ended) = (UnixMs(10), Some(UnixMs(12)));
        let end = MediaEnd { ordered, legs: 1, ended, confirmed: relays, silent: Vec::new() };
        Box::pin(async move {
            self.revoked.lock().unwrap().push(revocation);
            Ok(Some(end))
        })
    }
}

fn record(tenant: TenantId, call: u64) -> CallRecord {
    let party = |account, role| Party {
        account: AccountId(account),
        login: "a".into(),
        role,
        device: None,
        joined: None,
        left: None,
        quality: None,
    };
    CallRecord {
        call: CallId(call),
        tenant,
        members: vec![party(1, PartyRole::Caller), party(2, PartyRole::Callee)],
        desk: None,
        state: RecordState::Active,
        started: UnixMs(1000 + call),
        answered: None,
        ended: None,
        reason: None,
    }
}

struct Running {
    _folder: tempfile::TempDir,
    service: Service,
    node: Arc<Node>,
}

async fn start() -> Running {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder, AccountsConfig::for_cores(2, Entropy::system()));
    let store = Embedded::open(&folder.path().join("records")).unwrap();
    let node = Arc::new(Node::default());
    let store: SharedStore = Arc::new(store);
    let audit = Audit::open(Arc::clone(&store), folder.path(), folder.path(), || UnixMs(77));
    let (audit, _writing) = audit.await.unwrap();
    let service = Service {
        accounts,
        records: Arc::new(Records::new(store)),
        audit: Arc::new(audit),
        live: Arc::<Node>::clone(&node),
        surroundings: Arc::new(Surroundings::alone()),
        now: || UnixMs(77),
    };
    Running { _folder: folder, service, node }
}

async fn request(service: &Service, what: Request) -> Result<Answer, Refused> {
    let operator = Asker::Operator { address: ([127, 0, 0, 1], 1).into() };
    answer(service, &operator, what).await
}

async fn ask(service: &Service, what: Request) -> Answer {
    request(service, what).await.unwrap_or_else(|refused| panic!("{refused:?}"))
}

fn add(login: &str, typed: Option<&str>) -> Request {
    let (tenant, login) = ("acme".to_owned(), login.to_owned());
    let password = typed.map(password);
    let (display, permanent, role) = (None, false, Role::Store);
    Request::AccountAdd { tenant, login, display, password, permanent, role }
}

#[tokio::test]
async fn an_operator_adds_a_tenant_and_accounts_that_can_sign_in() {
    let running = start().await;
    let service = &running.service;
    let Answer::Tenants { rows } =
        ask(service, Request::TenantAdd { name: "Acme".into(), accounts: Some(2) }).await
    else {
        panic!("not tenants")
    };
    assert_eq!((rows[0].name.as_str(), rows[0].limits.accounts), ("acme", 2));
    assert_eq!(rows[0].created, UnixMs(77));
    let Answer::AccountAdded { account, password: Some(generated) } =
        ask(service, add("a", None)).await
    else {
        panic!("no password")
    };
    assert_eq!(account.login, "a");
    let accounts = &running.service.accounts;
    assert!(verify(accounts, "acme", "a", &generated).await.is_ok());
    let given = "one two three four";
    let Answer::AccountAdded { password: None, .. } = ask(service, add("b", Some(given))).await
    else {
        panic!("a password that was given comes back")
    };
    assert!(verify(accounts, "acme", "b", &password(given)).await.is_ok());
    let full = request(service, add("c", None)).await.err().unwrap();
    assert!(full.message.contains("limit of 2 accounts"), "{full:?}");
    let Answer::Accounts { rows } =
        ask(service, Request::AccountList { tenant: "acme".into() }).await
    else {
        panic!("not accounts")
    };
    assert_eq!(rows.iter().map(|row| row.login.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let nowhere = request(service, Request::AccountList { tenant: "none".into() }).await;
    let nowhere = nowhere.err().unwrap();
    assert!(nowhere.why == Why::Absent && nowhere.message.contains("tenant none"), "{nowhere:?}");
    let change = Request::AccountPassword {
        tenant: "acme".into(),
        login: "a".into(),
        password: Some(password("five six seven eight")),
        permanent: true,
    };
    ask(service, change).await;
    assert!(verify(accounts, "acme", "a", &generated).await.is_err());
}

#[tokio::test]
async fn an_operator_sees_calls_sessions_relays_and_status() {
    let running = start().await;
    let service = &running.service;
    ask(service, Request::TenantAdd { name: "acme".into(), accounts: None }).await;
    let tenant = running.service.accounts.find_tenant("acme").await.unwrap().unwrap().id;
    *running.node.tenant.lock().unwrap() = Some(tenant);
    for call in 1..=3 {
        let ended = record(tenant, call).ended(UnixMs(2000), CallEnd::HungUp);
        running.service.records.put(&ended).await.unwrap();
    }
    let Answer::Calls { live, ended } =
        ask(service, Request::Calls { tenant: None, ended: 2 }).await
    else {
        panic!("not calls")
    };
    assert_eq!((live[0].record.call, live[0].tenant_name.as_str()), (CallId(9), "acme"));
    assert_eq!(live[0].relays, [RelayId(1)]);
    assert_eq!(ended.iter().map(|row| row.record.call.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(ended[0].record.reason, Some(CallEnd::HungUp));
    for (name, call, there) in [("acme", 9, true), ("acme", 3, false), ("none", 9, false)] {
        let end = Request::CallEnd { tenant: Some(name.into()), call: CallId(call) };
        let ended = request(service, end).await.map_err(|refused| refused.why);
        assert_eq!(ended.err(), (!there).then_some(Why::Absent), "{name} {call}");
    }
    let Answer::Sessions { rows } = ask(service, Request::Sessions { tenant: None }).await else {
        panic!("not sessions")
    };
    assert_eq!((rows[0].login.as_str(), rows[0].tenant_name.as_str()), ("store-1", "acme"));
    let Answer::Relays { rows } = ask(service, Request::Relays {}).await else {
        panic!("not relays")
    };
    assert_eq!((rows[0].legs, rows[0].counters[0].1), (2, 10));
    let Answer::Status { row } = ask(service, Request::Status {}).await else {
        panic!("not a status")
    };
    assert_eq!((row.tenants, row.sessions, row.calls, row.relays_connected), (1, 1, 1, 1));
}

/// The tenants and the accounts of the first of them, as they are listed.
async fn kept(running: &Running) -> String {
    let accounts = &running.service.accounts;
    let tenants = accounts.tenants().await.unwrap();
    let listed = accounts.list(tenants[0].id).await.unwrap();
    serde_json::to_string(&(tenants, listed)).unwrap()
}

#[tokio::test]
async fn an_operator_suspends_and_activates_again() {
    let running = start().await;
    let service = &running.service;
    ask(service, Request::TenantAdd { name: "acme".into(), accounts: None }).await;
    let given = "one two three four";
    ask(service, add("a", Some(given))).await;
    let accounts = &running.service.accounts;
    let sign_in = async || verify(accounts, "acme", "a", &password(given)).await;
    let (tenant, login) = ("acme".to_owned(), "a".to_owned());
    let (name, device) = (tenant.clone(), DeviceId(0xab));
    let subjects = [
        Subject::Account { tenant: tenant.clone(), login: login.clone() },
        Subject::Device { tenant, login, device },
        Subject::Tenant { tenant: name },
    ];
    for (nth, subject) in subjects.into_iter().enumerate() {
        let reason = Some("lost".to_owned());
        let done = ask(service, Request::Suspend { subject: subject.clone(), reason }).await;
        let Answer::Suspended { media: Some(media) } = done else { panic!("not suspended") };
        assert_eq!((media.legs, media.ended), (1, Some(UnixMs(12))));
        assert!(kept(&running).await.contains("\"media_ended\":12"), "{nth}");
        assert_eq!(running.node.revoked.lock().unwrap().len(), nth + 1, "the node was told");
        assert!(!sign_in().await.is_ok_and(|verified| verified.may_use(device)));
        assert!(matches!(ask(service, Request::Reactivate { subject }).await, Answer::Done {}));
        assert!(sign_in().await.unwrap().may_use(device));
    }
    let nobody = Subject::Account { tenant: "acme".into(), login: "b".into() };
    let bad = Request::Suspend { subject: nobody.clone(), reason: Some("a\nb".into()) };
    let refused = request(service, bad).await.err().unwrap();
    assert!(refused.why == Why::Wrong && refused.message.contains("one line"), "{refused:?}");
    let nobody = Request::Suspend { subject: nobody, reason: None };
    let refused = request(service, nobody).await.err().unwrap();
    assert!(refused.message.contains("no account b"), "{refused:?}");
    assert_eq!(running.node.revoked.lock().unwrap().len(), 3);
}
