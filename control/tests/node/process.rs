//! The program itself: its help, its errors, and what a `kill -9` leaves.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, client_tls, dial, within};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client::request;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::DOCUMENTED;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::Pki;
use kakehashi_wire::frame::ALPN_TERMINAL;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::CallEnd;
use kakehashi_wire::terminal::Role;
use std::net::{SocketAddr, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Duration;
use tempfile::TempDir;

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_kakehashi-control"))
}

pub fn free_port() -> SocketAddr {
    UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// A node as a process of its own, killed when dropped.
pub struct Process(Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _gone = self.0.kill();
        let _gone = self.0.wait();
    }
}

impl Process {
    pub fn start(config: &Path) -> Self {
        Self(program().arg("--config").arg(config).spawn().unwrap())
    }

    /// The same with its log in a file.
    pub fn start_logging(config: &Path, log: &Path) -> Self {
        let log = std::fs::File::create(log).unwrap();
        Self(program().arg("--config").arg(config).stderr(log).spawn().unwrap())
    }

    pub fn is_running(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    pub fn resident_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }
}

/// What outlives a node that is killed, and is there for the next one.
pub struct Kept {
    pub folder: TempDir,
    pub relays: SocketAddr,
    pub pki: Pki,
    config: PathBuf,
    terminals: SocketAddr,
}

impl Kept {
    /// A node with a tenant `shop` of a and b, and what it would leave.
    pub async fn start() -> (Self, Process) {
        let folder = tempfile::tempdir().unwrap();
        let (terminals, relays) = (free_port(), free_port());
        let config = configure(folder.path(), terminals, relays);
        let node = Process::start(&config);
        add_people(folder.path()).await;
        let pki = folder.path().join("pki");
        let pki = Pki::open_or_create(&pki, UnixMs::now(), Entropy::system()).unwrap();
        (Self { folder, relays, pki, config, terminals }, node)
    }

    /// The next node.
    pub fn again(&self) -> Process {
        Process::start(&self.config)
    }

    /// A terminal that has not said anything yet.
    pub async fn connect(&self) -> Terminal {
        let tls = client_tls(&self.pki).with_no_client_auth();
        Terminal::open(dial(tls, ALPN_TERMINAL, self.terminals).await).await
    }
}

/// Writes settings into `folder`, and says where they are.
pub fn configure(folder: &Path, terminals: SocketAddr, relays: SocketAddr) -> PathBuf {
    let config = folder.join("control.toml");
    let text = format!(
        "data = {folder:?}\n[terminals]\nlisten = \"{terminals}\"\n\
         [relays]\nlisten = \"{relays}\"\n[api]\nlisten = \"127.0.0.1:0\"\n\
         [console]\nlisten = \"127.0.0.1:0\"\n\
         [sign_in]\nhash_jobs = 1\n",
    );
    std::fs::write(&config, text).unwrap();
    config
}

/// Adds a tenant `shop` with a and b.
pub async fn add_people(data: &Path) {
    ask(data, || Request::TenantAdd { name: "shop".into(), accounts: None }).await;
    for login in ["a", "b"] {
        let add = || Request::AccountAdd {
            tenant: "shop".into(),
            login: login.into(),
            display: None,
            password: Some(Password::new(PASSWORD.into())),
            permanent: true,
            role: Role::Store,
        };
        ask(data, add).await;
    }
}

pub async fn ask(data: &Path, what: impl Fn() -> Request) -> Answer {
    let asked = async {
        loop {
            match request(data, what()).await {
                Ok(answer) => return answer,
                Err(_not_yet) => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    };
    within(asked).await
}

async fn calls(data: &Path) -> (usize, Vec<Option<CallEnd>>) {
    match ask(data, || Request::Calls { tenant: None, ended: 10 }).await {
        Answer::Calls { live, ended } => {
            (live.len(), ended.iter().map(|row| row.record.reason).collect())
        }
        _ => panic!("calls were asked for"),
    }
}

#[test]
fn the_program_explains_itself() {
    let printed = program().arg("--print-config").output().unwrap();
    assert_eq!(String::from_utf8(printed.stdout).unwrap(), DOCUMENTED);
    let missing = program().args(["--config", "/nowhere/control.toml"]).output().unwrap();
    assert!(!missing.status.success());
    let said = String::from_utf8(missing.stderr).unwrap();
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.contains("/nowhere/control.toml"), "{said}");
}

#[tokio::test]
async fn a_killed_node_comes_back_with_everything_it_had_acknowledged() {
    let (kept, node) = Kept::start().await;
    let data = kept.folder.path();
    let _relay = Relay::connect(&kept.pki, kept.relays, 1).await;
    let sign_in = async |login: &str| {
        let mut terminal = kept.connect().await;
        let signed_in = terminal.sign_in("shop", login, PASSWORD, 1).await.unwrap();
        (terminal, signed_in.token)
    };
    let ((mut a, token), (mut b, _)) = (sign_in("a").await, sign_in("b").await);
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    a.ready().await;
    assert_eq!(calls(data).await, (1, vec![]));
    drop(node);

    let _node = kept.again();
    assert_eq!(calls(data).await, (1, vec![]), "it goes on");
    let mut a = kept.connect().await;
    assert_eq!(a.resume(&token, 1).await.unwrap().calls, [call]);
    a.members().await;
    a.ready().await;
    // A sign-in with the password begins anew.
    sign_in("b").await;
    assert_eq!(a.call_ended().await, CallEnd::PeerLost);
    assert_eq!(calls(data).await, (0, vec![Some(CallEnd::PeerLost)]));
}

#[tokio::test]
async fn the_running_node_answers_the_operator() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let _a = platform.terminal("shop", "a").await;
    let data = platform.folder.path().to_owned();
    let Answer::Sessions { rows } = ask(&data, || Request::Sessions { tenant: None }).await else {
        panic!("sessions were asked for")
    };
    assert_eq!(rows.iter().map(|row| row.login.as_str()).collect::<Vec<_>>(), ["a"]);
    let Answer::Relays { rows } = ask(&data, || Request::Relays {}).await else {
        panic!("relays were asked for")
    };
    assert!(rows.len() == 1 && rows[0].connected && rows[0].id.0 == 1);
    platform.node.stop().await;
}
