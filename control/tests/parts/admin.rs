//! The local admin over a real socket: what it does, and whom it refuses.

use super::accounts::{open, password, verify};
use super::namespace::{is_inside, is_root};
use kakehashi_control::accounts::{AccountsConfig, Subject};
use kakehashi_control::admin::client::{ClientError, request};
use kakehashi_control::admin::{
    Admin, AdminError, Answer, CallRow, Live, LiveFuture, RelayRow, Request, Service, SessionRow,
};
use kakehashi_control::audit::Audit;
use kakehashi_control::capacity::ADMIN_REQUEST_BYTES_MAX;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::records::{CallRecord, Party, PartyRole, RecordState, Records};
use kakehashi_control::sessions::Revocation;
use kakehashi_control::store::{Embedded, SharedStore};
use kakehashi_wire::id::{AccountId, CallId, DeviceId, RelayId, SessionId, TenantId};
use kakehashi_wire::terminal::{CallEnd, Role};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::oneshot;

#[derive(Default)]
struct Node {
    tenant: Mutex<Option<TenantId>>,
    revoked: Mutex<Vec<Revocation>>,
}

impl Live for Node {
    fn live_calls(&self) -> LiveFuture<'_, Vec<CallRow>> {
        let tenant = *self.tenant.lock().unwrap();
        let calls = tenant.map(|tenant| CallRow::new(record(tenant, 9), vec![RelayId(1)]));
        Box::pin(async { calls.into_iter().collect() })
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
        });
        Box::pin(async { sessions.into_iter().collect() })
    }

    fn relays(&self) -> LiveFuture<'_, Vec<RelayRow>> {
        let row = RelayRow {
            id: RelayId(1),
            software: "kakehashi-relay 0.1.0".into(),
            addresses: vec!["192.0.2.1:40000".parse().unwrap()],
            connected: true,
            legs: 2,
            counters: vec![("received".into(), 10)],
        };
        Box::pin(async { vec![row] })
    }

    fn revoke(&self, revocation: Revocation) -> LiveFuture<'_, ()> {
        Box::pin(async move { self.revoked.lock().unwrap().push(revocation) })
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
        state: RecordState::Active,
        started: UnixMs(1000 + call),
        answered: None,
        ended: None,
        reason: None,
    }
}

struct Running {
    folder: tempfile::TempDir,
    socket: PathBuf,
    service: Service,
    node: Arc<Node>,
    stop: oneshot::Sender<()>,
    task: tokio::task::JoinHandle<()>,
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
        now: || UnixMs(77),
    };
    let socket = folder.path().join("admin.sock");
    let admin = Admin::bind(&socket).await.unwrap();
    let (stop, stopped) = oneshot::channel();
    let task = tokio::spawn(admin.serve(service.clone(), async {
        let _ = stopped.await;
    }));
    Running { folder, socket, service, node, stop, task }
}

async fn ask(socket: &Path, what: Request) -> Answer {
    request(socket, what).await.unwrap_or_else(|error| panic!("{error}"))
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
    let socket = &running.socket;
    let Answer::Tenants { rows } =
        ask(socket, Request::TenantAdd { name: "Acme".into(), accounts: Some(2) }).await
    else {
        panic!("not tenants")
    };
    assert_eq!((rows[0].name.as_str(), rows[0].limits.accounts), ("acme", 2));
    assert_eq!(rows[0].created, UnixMs(77));
    let Answer::AccountAdded { account, password: Some(generated) } =
        ask(socket, add("a", None)).await
    else {
        panic!("no password")
    };
    assert_eq!(account.login, "a");
    let accounts = &running.service.accounts;
    assert!(verify(accounts, "acme", "a", &generated).await.is_ok());
    let given = "one two three four";
    let Answer::AccountAdded { password: None, .. } = ask(socket, add("b", Some(given))).await
    else {
        panic!("a password that was given comes back")
    };
    assert!(verify(accounts, "acme", "b", &password(given)).await.is_ok());
    let full = request(socket, add("c", None)).await.err().unwrap();
    assert!(full.to_string().contains("limit of 2 accounts"), "{full}");
    let Answer::Accounts { rows } =
        ask(socket, Request::AccountList { tenant: "acme".into() }).await
    else {
        panic!("not accounts")
    };
    assert_eq!(rows.iter().map(|row| row.login.as_str()).collect::<Vec<_>>(), ["a", "b"]);
    let nowhere = request(socket, Request::AccountList { tenant: "none".into() }).await;
    assert!(matches!(nowhere, Err(ClientError::Refused(text)) if text.contains("tenant none")));
    let change = Request::AccountPassword {
        tenant: "acme".into(),
        login: "a".into(),
        password: Some(password("five six seven eight")),
        permanent: true,
    };
    ask(socket, change).await;
    assert!(verify(accounts, "acme", "a", &generated).await.is_err());
}

#[tokio::test]
async fn an_operator_sees_calls_sessions_relays_and_status() {
    let running = start().await;
    let socket = &running.socket;
    ask(socket, Request::TenantAdd { name: "acme".into(), accounts: None }).await;
    let tenant = running.service.accounts.find_tenant("acme").await.unwrap().unwrap().id;
    *running.node.tenant.lock().unwrap() = Some(tenant);
    for call in 1..=3 {
        let ended = record(tenant, call).ended(UnixMs(2000), CallEnd::HungUp);
        running.service.records.put(&ended).await.unwrap();
    }
    let Answer::Calls { live, ended } =
        ask(socket, Request::Calls { tenant: None, ended: 2 }).await
    else {
        panic!("not calls")
    };
    assert_eq!((live[0].record.call, live[0].tenant_name.as_str()), (CallId(9), "acme"));
    assert_eq!(live[0].relays, [RelayId(1)]);
    assert_eq!(ended.iter().map(|row| row.record.call.0).collect::<Vec<_>>(), [3, 2]);
    assert_eq!(ended[0].record.reason, Some(CallEnd::HungUp));
    let Answer::Sessions { rows } = ask(socket, Request::Sessions { tenant: None }).await else {
        panic!("not sessions")
    };
    assert_eq!((rows[0].login.as_str(), rows[0].tenant_name.as_str()), ("store-1", "acme"));
    let Answer::Relays { rows } = ask(socket, Request::Relays {}).await else {
        panic!("not relays")
    };
    assert_eq!((rows[0].legs, rows[0].counters[0].1), (2, 10));
    let Answer::Status { row } = ask(socket, Request::Status {}).await else {
        panic!("not a status")
    };
    assert_eq!((row.tenants, row.sessions, row.calls, row.relays_connected), (1, 1, 1, 1));
}

#[tokio::test]
async fn an_operator_suspends_and_activates_again() {
    let running = start().await;
    let socket = &running.socket;
    ask(socket, Request::TenantAdd { name: "acme".into(), accounts: None }).await;
    let given = "one two three four";
    ask(socket, add("a", Some(given))).await;
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
        let done = ask(socket, Request::Suspend { subject: subject.clone() }).await;
        assert!(matches!(done, Answer::Done {}));
        assert_eq!(running.node.revoked.lock().unwrap().len(), nth + 1, "the node was told");
        assert!(!sign_in().await.is_ok_and(|verified| verified.may_use(device)));
        assert!(matches!(ask(socket, Request::Reactivate { subject }).await, Answer::Done {}));
        assert!(sign_in().await.unwrap().may_use(device));
    }
    let nobody = Subject::Account { tenant: "acme".into(), login: "b".into() };
    let refused = request(socket, Request::Suspend { subject: nobody }).await.err().unwrap();
    assert!(refused.to_string().contains("no account b"), "{refused}");
    assert_eq!(running.node.revoked.lock().unwrap().len(), 3);
}

/// Sends `bytes` and reads until the other side closes, or a whole line has come.
async fn raw(socket: &Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(socket).await.unwrap();
    // The other side may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let mut part = [0; 4096];
    while !out.ends_with(b"\n") {
        match stream.read(&mut part).await {
            Ok(0) | Err(_) => break,
            Ok(read) => out.extend_from_slice(&part[..read]),
        }
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn garbage_and_too_much_are_answered_by_name_and_change_nothing() {
    let running = start().await;
    let socket = &running.socket;
    for garbage in [
        &b"\n"[..],
        b"garbage\n",
        b"\xff\xff\xff\n",
        b"{}\n",
        b"[]\n",
        b"{\"v\":1}\n",
        b"{\"v\":1,\"body\":{\"do\":\"tenant_add\"}}\n",
        b"{\"v\":1,\"body\":{\"do\":\"tenant_add\",\"name\":\"a\",\"x\":1}}\n",
        b"{\"v\":1,\"body\":{\"do\":\"nothing\"}}\n",
        b"{\"v\":9,\"body\":{\"do\":\"tenant_list\"}}\n",
    ] {
        let answer = raw(socket, garbage).await;
        assert!(answer.contains("\"refused\""), "{garbage:?}: {answer}");
    }
    let mut nested = vec![b'['; ADMIN_REQUEST_BYTES_MAX - 1];
    nested.push(b'\n');
    assert!(raw(socket, &nested).await.contains("\"refused\""));
    let long = vec![b'x'; 10 * ADMIN_REQUEST_BYTES_MAX];
    let answer = raw(socket, &long).await;
    assert!(answer.is_empty() || answer.contains("one line of at most"), "{answer}");
    let exact = "x".repeat(ADMIN_REQUEST_BYTES_MAX);
    assert!(raw(socket, format!("{exact}\n").as_bytes()).await.contains("not JSON"));
    let Answer::Tenants { rows } = ask(socket, Request::TenantList {}).await else {
        panic!("not tenants")
    };
    assert_eq!(rows, []);
}

#[tokio::test]
async fn the_socket_is_private_and_goes_with_its_server() {
    let running = start().await;
    let socket = running.socket.clone();
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    assert!(matches!(Admin::bind(&socket).await, Err(AdminError::InUse { .. })));
    running.stop.send(()).unwrap();
    running.task.await.unwrap();
    let gone = request(&socket, Request::Status {}).await.err().unwrap();
    assert!(matches!(gone, ClientError::NotRunning { .. }));
    assert!(gone.to_string().contains("start it with `kakehashi up`"));
    // What a crash leaves behind is no hindrance; what is not ours is left alone.
    drop(std::os::unix::net::UnixListener::bind(&socket).unwrap());
    assert!(socket.exists());
    let gone = request(&socket, Request::Status {}).await.err().unwrap();
    assert!(matches!(gone, ClientError::NotRunning { .. }));
    drop(Admin::bind(&socket).await.unwrap());
    fs::write(&socket, "a file").unwrap();
    assert!(matches!(Admin::bind(&socket).await, Err(AdminError::NotASocket { .. })));
    assert_eq!(fs::read(&socket).unwrap(), b"a file");
    let deep = running.folder.path().join("x".repeat(100));
    let long = Admin::bind(&deep).await.err().unwrap();
    assert!(long.to_string().contains("shorter path"), "{long}");
}

const SOCKET: &str = "KAKEHASHI_TEST_ADMIN_SOCKET";

/// What another user does: connects and asks.
#[tokio::test]
#[ignore = "runs only as the child of the test below"]
async fn another_user() {
    let Ok(socket) = std::env::var(SOCKET) else { return };
    let refused = request(Path::new(&socket), Request::TenantList {}).await.err().unwrap();
    println!("other user: {refused}");
    assert!(matches!(refused, ClientError::Closed { .. }), "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_user_is_sent_away_even_if_the_files_would_let_it_in() {
    // Only root can become another user: of the machine, or of a namespace with many users.
    let name = "admin::another_user_is_sent_away_even_if_the_files_would_let_it_in";
    if !is_root() && !is_inside(name, &["--map-root-user", "--map-auto"]) {
        return;
    }
    let running = start().await;
    let open = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    };
    open(running.folder.path(), 0o755);
    open(&running.socket, 0o666);
    // The test program may lie where another user cannot go, so it gets a copy.
    let program = running.folder.path().join("program");
    fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
    open(&program, 0o755);
    let socket = running.socket.clone();
    let asked = tokio::task::spawn_blocking(move || {
        Command::new(program)
            .args(["admin::another_user", "--exact", "--ignored", "--nocapture"])
            .env(SOCKET, socket)
            .current_dir("/")
            .uid(65534)
            .gid(65534)
            .output()
            .unwrap()
    });
    let output = asked.await.unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("other user: "), "{said}");
}
