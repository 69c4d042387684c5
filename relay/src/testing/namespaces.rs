//! Two network namespaces for a test, joined by a pair of virtual Ethernet devices. Needs root.

use core::sync::atomic::{AtomicUsize, Ordering};
use rustix::net::netdevice::name_to_index;
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};
use std::fs::File;
use std::io::Write;
use std::net::UdpSocket;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where `ip netns` keeps the namespaces it made.
const NAMESPACES: &str = "/run/netns";

/// The device on both sides.
pub(crate) const DEVICE: &str = "kk0";

/// Two namespaces. Neither has an address or a route yet; both devices are up, and have the
/// Ethernet addresses 02:00:00:00:00:01 (near) and :02 (far).
pub(crate) struct Pair {
    near: String,
    far: String,
}

impl Pair {
    fn new() -> Self {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |side| format!("kakehashi-relay-{}-{number}-{side}", std::process::id());
        let pair = Self { near: name("near"), far: name("far") };
        for name in [&pair.near, &pair.far] {
            ip(&format!("netns add {name}"), "");
            ip(&format!("-n {name} link set lo up"), "");
        }
        pair.near(&format!(
            "link add {DEVICE} address 02:00:00:00:00:01 type veth \
             peer name {DEVICE} address 02:00:00:00:00:02 netns {}",
            pair.far
        ));
        for name in [&pair.near, &pair.far] {
            // Addresses that a kernel makes by itself come when it likes; a test makes its own.
            ip(&format!("-n {name} link set {DEVICE} addrgenmode none"), "");
            ip(&format!("-n {name} link set {DEVICE} up"), "");
        }
        pair
    }

    /// Runs `ip` on the side of the relay; returns what it printed.
    pub(crate) fn near(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.near), "")
    }

    /// Runs `ip` on the other side.
    pub(crate) fn far(&self, arguments: &str) -> String {
        ip(&format!("-n {} {arguments}", self.far), "")
    }

    /// Runs `work` on a thread that sees the other side only: a socket that it opens stays there.
    pub(crate) fn on_far_side<T: Send>(&self, work: impl FnOnce() -> T + Send) -> T {
        run_in(&self.far, work)
    }

    /// Runs `ethtool` on the side of the relay.
    pub(crate) fn near_ethtool(&self, arguments: &str) {
        ip(&format!("netns exec {} ethtool {arguments}", self.near), "");
    }

    /// Runs many commands of `ip` on the side of the relay, a line each.
    pub(crate) fn near_batch(&self, lines: &str) {
        ip(&format!("-n {} -batch -", self.near), lines);
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for name in [&self.near, &self.far] {
            // What is left of a namespace shows in `ip netns`, and does no harm.
            let _ = Command::new("ip").args(["netns", "delete", name]).status();
        }
    }
}

/// Runs a test on a thread that sees the near side only.
pub(crate) fn in_pair(test: impl FnOnce(&Pair) + Send) {
    let pair = Pair::new();
    run_in(&pair.near, || test(&pair));
}

/// Runs `work` on a thread that sees one namespace only.
fn run_in<T: Send>(namespace: &str, work: impl FnOnce() -> T + Send) -> T {
    let outcome = std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            let namespace = File::open(Path::new(NAMESPACES).join(namespace)).unwrap();
            move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network)).unwrap();
            work()
        });
        inside.join()
    });
    outcome.unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The number of a device of the calling thread's namespace.
pub(crate) fn index(device: &str) -> u32 {
    let any = UdpSocket::bind("0.0.0.0:0").unwrap();
    name_to_index(&any, device).unwrap()
}

fn ip(arguments: &str, input: &str) -> String {
    let mut command = Command::new("ip");
    command.args(arguments.split_whitespace()).stdin(Stdio::piped());
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("these tests need iproute2, ethtool and root");
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "`ip {arguments}`: {}", said.trim());
    String::from_utf8_lossy(&output.stdout).into_owned()
}
