//! Relay and control as services of systemd's `Type=notify`, whose manager is played: they say that
//! they serve when they do, that they work as long as they do, and that they stop.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::pki::Pki;
use kakehashi_tests::children::Program;
use kakehashi_tests::platform::program;
use kakehashi_wire::id::RelayId;
use std::fs;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;
use tempfile::TempDir;

/// Far more than a word takes, on a loaded machine too.
const PATIENCE: Duration = Duration::from_secs(60);

/// Microseconds in which the manager wants to hear that a service works.
const WATCHDOG_US: &str = "900000";

/// A service and its manager.
struct Service {
    child: Program,
    words: UnixDatagram,
    _folder: TempDir,
}

impl Service {
    /// Starts `program` with these settings, of which `$` is its folder.
    fn start(folder: TempDir, program_name: &str, settings: &str) -> Self {
        let path = folder.path();
        let (socket, config) = (path.join("notify"), path.join("settings.toml"));
        fs::write(&config, settings.replace('$', path.to_str().unwrap())).unwrap();
        let words = UnixDatagram::bind(&socket).unwrap();
        words.set_read_timeout(Some(PATIENCE)).unwrap();
        let mut command = Command::new(program(program_name));
        command.arg("--config").arg(&config).stderr(Stdio::null());
        command.env("NOTIFY_SOCKET", &socket).env("WATCHDOG_USEC", WATCHDOG_US);
        Self { child: Program::start(&mut command), words, _folder: folder }
    }

    /// The next thing it says.
    fn word(&self) -> String {
        let mut bytes = [0; 256];
        let length = self.words.recv(&mut bytes).expect("it says something in time");
        String::from_utf8_lossy(&bytes[..length]).trim().to_owned()
    }

    /// It serves, works, and stops when it is told to; `serves` says whether it does.
    fn lives_well(mut self, serves: impl FnOnce() -> bool) {
        assert_eq!(self.word(), "READY=1", "before everything else");
        assert!(serves(), "it says so when it does");
        for _ in 0..4 {
            assert_eq!(self.word(), "WATCHDOG=1");
        }
        let terminated = Command::new("kill").arg(self.child.id().to_string()).status().unwrap();
        assert!(terminated.success());
        let mut word = self.word();
        while word == "WATCHDOG=1" {
            word = self.word();
        }
        assert_eq!(word, "STOPPING=1");
        assert!(self.child.wait().unwrap().success());
    }
}

fn free_udp() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port()
}

fn is_taken(port: u16) -> bool {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_err()
}

fn pki(folder: &Path) -> Pki {
    Pki::open_or_create(folder, UnixMs::now(), Entropy::system()).unwrap()
}

#[test]
fn a_relay_says_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    pki(folder.path()).issue_relay(RelayId(1), UnixMs::now()).unwrap();
    let (media, nobody) = (free_udp(), free_udp());
    let settings = format!(
        "first_port = {media}\nlisten_ip = \"127.0.0.1\"\nca_file = \"$/ca.pem\"\n\
         certificate_file = \"$/relay-1.pem\"\nkey_file = \"$/relay-1.key\"\n\
         [control]\nnodes = [\"127.0.0.1:{nobody}\"]\nname = \"localhost\"\n"
    );
    Service::start(folder, "kakehashi-relay", &settings).lives_well(|| is_taken(media));
}

#[test]
fn a_control_node_says_how_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (terminals, relays) = (free_udp(), free_udp());
    let api = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let settings = format!(
        "data = \"$/data\"\n[terminals]\nlisten = \"127.0.0.1:{terminals}\"\n\
         [relays]\nlisten = \"127.0.0.1:{relays}\"\n[api]\nlisten = \"127.0.0.1:{api}\"\n"
    );
    let serves = || is_taken(terminals) && is_taken(relays);
    Service::start(folder, "kakehashi-control", &settings).lives_well(serves);
}
