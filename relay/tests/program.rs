//! The relay as a program: starts without control, stops when told, and says what is wrong.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

use kakehashi_relay::config::{Config, ControlNodes, ProviderChoice};
use kakehashi_relay::program::{RelayError, run_until};
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::UdpSocket;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;
use tempfile::TempDir;
use tokio::sync::oneshot;

/// Settings with certificates of their own, two shards, and ports that were free a moment ago.
fn config(folder: &Path) -> Config {
    let key = rcgen::generate_simple_self_signed(["relay-1".to_owned()]).unwrap();
    let path = |name: &str| folder.join(name);
    fs::write(path("relay.pem"), key.cert.pem()).unwrap();
    fs::write(path("relay.key"), key.signing_key.serialize_pem()).unwrap();
    Config {
        listen_ip: "127.0.0.1".parse().unwrap(),
        first_port: free_ports(2),
        shards: 2,
        control: ControlNodes { nodes: vec!["127.0.0.1:9".into()], ..ControlNodes::default() },
        ca_file: path("relay.pem"),
        certificate_file: path("relay.pem"),
        key_file: path("relay.key"),
        provider: ProviderChoice::AesGcm,
        ..Config::default()
    }
}

/// The first of `count` neighbouring ports that are free.
fn free_ports(count: u16) -> u16 {
    for _ in 0..100 {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let free = |port| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        if (1..count).all(|next| port.checked_add(next).is_some_and(free)) {
            return port;
        }
    }
    panic!("no free ports");
}

/// Runs a relay until the returned sender is dropped; its end comes out of the receiver.
fn run(config: &Config) -> (oneshot::Sender<()>, mpsc::Receiver<Result<(), RelayError>>) {
    let (stop, stopped) = oneshot::channel();
    let (result, end) = mpsc::channel();
    let config = config.clone();
    thread::spawn(move || {
        let ended = run_until(&config, async {
            let _ = stopped.await;
        });
        let _ = result.send(ended);
    });
    (stop, end)
}

fn wait_for_port(port: u16) {
    for _ in 0..200 {
        if UdpSocket::bind(("127.0.0.1", port)).is_err() {
            return;
        }
        let (_never, wait) = mpsc::channel::<()>();
        let _ = wait.recv_timeout(Duration::from_millis(25));
    }
    panic!("port {port} is never opened");
}

#[test]
fn a_relay_runs_without_control_and_stops_when_told() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let (stop, end) = run(&config);
    wait_for_port(config.first_port + 1);
    assert!(end.recv_timeout(Duration::from_millis(300)).is_err(), "it keeps running");
    drop(stop);
    end.recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
    assert!(UdpSocket::bind(("127.0.0.1", config.first_port)).is_ok(), "its ports are free again");
}

#[test]
fn a_second_relay_on_the_ports_says_what_to_do_and_the_first_goes_on() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let (stop, end) = run(&config);
    wait_for_port(config.first_port + 1);
    let text = run_until(&config, std::future::pending()).unwrap_err().to_string();
    let start = format!("UDP port {} of 127.0.0.1 is in use", config.first_port);
    assert!(text.starts_with(&start) && text.contains("first_port"), "{text}");
    assert!(end.recv_timeout(Duration::from_millis(100)).is_err());
    drop(stop);
    end.recv_timeout(Duration::from_secs(5)).unwrap().unwrap();
}

#[test]
fn a_link_that_can_never_work_ends_the_relay() {
    let folder = TempDir::new().unwrap();
    let config = Config { ca_file: folder.path().join("none.pem"), ..config(folder.path()) };
    let error = run_until(&config, std::future::pending()).unwrap_err();
    assert!(matches!(error, RelayError::Link(_)), "{error}");
    assert!(error.to_string().contains("none.pem"), "{error}");
}

#[test]
fn the_command_prints_settings_that_it_accepts() {
    let printed =
        Command::new(env!("CARGO_BIN_EXE_kakehashi-relay")).arg("--print-config").output().unwrap();
    assert!(printed.status.success());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("relay.toml");
    fs::write(&file, printed.stdout).unwrap();
    assert_eq!(Config::read(&file).unwrap(), Config::default());
}

#[test]
fn the_command_refuses_bad_settings_in_one_line() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("relay.toml");
    fs::write(&file, "shards = 1\nshrads = 2\n").unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_kakehashi-relay"))
        .arg("--config")
        .arg(&file)
        .stdout(Stdio::null())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(text.starts_with("kakehashi-relay: ") && text.contains(":2: "), "{text}");
    assert!(text.contains("shrads"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

/// A relay as a process of its own, with settings in `folder`.
fn spawn(folder: &Path, config: &Config) -> Child {
    let file = folder.join("relay.toml");
    let text = format!(
        "listen_ip = \"127.0.0.1\"\nfirst_port = {}\nca_file = {pem:?}\ncertificate_file = \
         {pem:?}\nkey_file = {:?}\nlog_format = \"json\"\n",
        config.first_port,
        config.key_file,
        pem = config.ca_file,
    );
    fs::write(&file, text).unwrap();
    Command::new(env!("CARGO_BIN_EXE_kakehashi-relay"))
        .arg("--config")
        .arg(&file)
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Asks the process to end, checks that it does so well, and returns its log.
fn terminate(child: Child) -> String {
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, rustix::process::Signal::TERM).unwrap();
    let output = child.wait_with_output().unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    log
}

#[test]
fn the_command_stops_at_a_signal() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    let child = spawn(folder.path(), &config);
    wait_for_port(config.first_port);
    let log = terminate(child);
    assert!(log.lines().all(|line| line.starts_with('{') && line.ends_with('}')), "{log}");
}

#[test]
fn a_killed_relay_starts_again_on_its_ports_at_once() {
    let folder = TempDir::new().unwrap();
    let config = config(folder.path());
    for _ in 0..3 {
        let mut child = spawn(folder.path(), &config);
        wait_for_port(config.first_port);
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let mut child = spawn(folder.path(), &config);
    let log = BufReader::new(child.stderr.take().unwrap());
    let ready = log.lines().map_while(Result::ok).find(|line| line.contains("shard receives"));
    assert!(ready.is_some(), "it receives on the same port");
    // Nobody reads its log any more; it stops as well as ever.
    terminate(child);
}
