//! Real members of etcd on loopback, to be killed, stopped and started again.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// How the members show who they are, and whom they let in: PEM files.
#[derive(Clone)]
pub struct Tls {
    pub ca: PathBuf,
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// A cluster. Its members end with it.
pub struct Cluster {
    folder: TempDir,
    members: Vec<Member>,
    tls: Option<Tls>,
    more: Vec<String>,
}

struct Member {
    client: u16,
    peer: u16,
    health: u16,
    process: Option<Child>,
}

impl Drop for Member {
    fn drop(&mut self) {
        if let Some(mut process) = self.process.take() {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

impl Cluster {
    /// `members` members without TLS, ready.
    pub fn start(members: usize) -> Self {
        Self::start_with(members, None, &[])
    }

    /// `members` members with `tls` and `more` arguments, ready.
    pub fn start_with(members: usize, tls: Option<Tls>, more: &[&str]) -> Self {
        // All held at once, so that no two are the same.
        let held: Vec<TcpListener> =
            (0..members * 3).map(|_| TcpListener::bind("127.0.0.1:0").unwrap()).collect();
        let ports: Vec<u16> = held.iter().map(|it| it.local_addr().unwrap().port()).collect();
        drop(held);
        let members = ports.chunks(3).map(|ports| Member {
            client: ports[0],
            peer: ports[1],
            health: ports[2],
            process: None,
        });
        let more = more.iter().copied().map(String::from).collect();
        let folder = tempfile::tempdir().unwrap();
        let mut cluster = Self { folder, members: members.collect(), tls, more };
        for at in 0..cluster.members.len() {
            cluster.launch(at);
        }
        (0..cluster.members.len()).for_each(|at| cluster.wait_until_ready(at));
        cluster
    }

    /// The URLs of all members.
    pub fn endpoints(&self) -> Vec<String> {
        let scheme = self.scheme();
        self.members.iter().map(|it| format!("{scheme}://localhost:{}", it.client)).collect()
    }

    /// `kill -9` of a member.
    pub fn kill(&mut self, at: usize) {
        let mut process = self.members[at].process.take().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }

    /// Starts a member that was killed, with the data it had.
    pub fn launch(&mut self, at: usize) {
        let name = |at: usize| format!("m{at}");
        let peers = self.members.iter().enumerate();
        let peers = peers.map(|(at, it)| format!("{}=http://127.0.0.1:{}", name(at), it.peer));
        let peers: Vec<String> = peers.collect();
        let (scheme, member) = (self.scheme(), &self.members[at]);
        let client = format!("{scheme}://localhost:{}", member.client);
        let client_at = format!("{scheme}://127.0.0.1:{}", member.client);
        let peer = format!("http://127.0.0.1:{}", member.peer);
        let mut command = Command::new("etcd");
        command.arg("--data-dir").arg(self.folder.path().join(name(at)));
        command.args(["--name", &name(at)]);
        command.args(["--listen-client-urls", &client_at, "--advertise-client-urls", &client]);
        command.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        command.args(["--initial-cluster", &peers.join(","), "--initial-cluster-state", "new"]);
        command.args(["--listen-metrics-urls", &format!("http://127.0.0.1:{}", member.health)]);
        command.args(["--heartbeat-interval", "100", "--election-timeout", "1000"]);
        command.args(["--logger", "zap", "--log-level", "error"]);
        command.args(&self.more);
        if let Some(tls) = &self.tls {
            command.arg("--cert-file").arg(&tls.certificate).arg("--key-file").arg(&tls.key);
            command.arg("--trusted-ca-file").arg(&tls.ca).arg("--client-cert-auth");
        }
        let log = std::fs::File::create(self.folder.path().join(format!("{at}.log"))).unwrap();
        command.stdout(Stdio::null()).stderr(log).stdin(Stdio::null());
        let process = command.spawn();
        let process = process
            .unwrap_or_else(|error| panic!("etcd is needed: apt-get install etcd-server: {error}"));
        self.members[at].process = Some(process);
    }

    /// Returns when the member serves, and knows a leader.
    pub fn wait_until_ready(&self, at: usize) {
        let (_keep, never) = std::sync::mpsc::channel::<()>();
        for _ in 0..300 {
            if is_healthy(self.members[at].health) {
                return;
            }
            // Waits without reading a clock: nobody sends anything here.
            let _ = never.recv_timeout(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(self.folder.path().join(format!("{at}.log")));
        panic!("member {at} of etcd is not ready: {}", log.unwrap_or_default());
    }

    /// Holds a member (SIGSTOP), as a machine that stalls.
    pub fn stall(&self, at: usize) {
        self.signal(at, "-STOP");
    }

    /// Lets it go on (SIGCONT).
    pub fn go_on(&self, at: usize) {
        self.signal(at, "-CONT");
    }

    /// A folder for files of the test.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    fn signal(&self, at: usize, signal: &str) {
        let id = self.members[at].process.as_ref().unwrap().id().to_string();
        assert!(Command::new("kill").args([signal, &id]).status().unwrap().success());
    }

    fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }
}

fn is_healthy(port: u16) -> bool {
    let ask = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(("127.0.0.1", port))?;
        stream.set_read_timeout(Some(Duration::from_secs(2)))?;
        stream.write_all(b"GET /health HTTP/1.0\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    ask().is_ok_and(|answer| answer.contains(r#""health":"true""#))
}
