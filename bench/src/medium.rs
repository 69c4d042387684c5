//! Between what the packets travel: the loopback device or a pair of virtual Ethernet devices,
//! each in network namespaces made here, so that no port and no route of the machine is touched.

use anyhow::{Context, Result, bail};
use core::net::Ipv4Addr;
use core::sync::atomic::{AtomicUsize, Ordering};
use rustix::process::getuid;
use rustix::thread::{CpuSet, LinkNameSpaceType, move_into_link_name_space, sched_setaffinity};
use std::fs::File;
use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};

/// Where `ip netns` keeps the namespaces it made.
const NAMESPACES: &str = "/run/netns";

/// Addresses of the pair: a block for documentation (RFC 5737), which no one routes.
const LOAD_SIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 1);
const SUBJECT_SIDE: Ipv4Addr = Ipv4Addr::new(192, 0, 2, 2);

/// The device of the pair, and of another for a relay past the kernel: its program would make the
/// others' packets dearer.
const PAIRS: [(&str, Ipv4Addr, Ipv4Addr); 2] =
    [("kk0", LOAD_SIDE, SUBJECT_SIDE), (BESIDE, BESIDE_LOAD, BESIDE_SUBJECT)];

/// The device of the other pair.
pub const BESIDE: &str = "kk1";
const BESIDE_LOAD: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);
const BESIDE_SUBJECT: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 2);

/// What packets travel over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// The loopback device. A train stays one buffer to the end.
    Loopback,
    /// Two namespaces joined by virtual Ethernet devices.
    Veth,
}

impl Medium {
    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Veth => "veth",
        }
    }
}

/// One side of a medium.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    namespace: Option<String>,
    /// Its address.
    pub ip: Ipv4Addr,
    /// The core its threads run on.
    pub core: usize,
}

impl Side {
    /// Runs `work` on a thread that is pinned to this side's core and sees only its network. Both
    /// are inherited by processes started there.
    ///
    /// # Errors
    /// If the thread cannot be moved there, and whatever `work` fails with.
    pub fn run<T: Send>(&self, work: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                self.enter()?;
                work()
            });
            thread.join().unwrap_or_else(|_| bail!("a thread broke off; see above"))
        })
    }

    fn enter(&self) -> Result<()> {
        let mut cores = CpuSet::new();
        cores.set(self.core);
        sched_setaffinity(None, &cores)
            .with_context(|| format!("this process may not use core {}", self.core))?;
        let Some(name) = &self.namespace else { return Ok(()) };
        let namespace = File::open(Path::new(NAMESPACES).join(name))?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))
            .context("entering a network namespace needs root")
    }
}

/// The two sides, and the namespaces that end with them.
pub struct Link {
    /// Where generator and sink are.
    pub load: Side,
    /// Where the subject is.
    pub subject: Side,
    namespaces: Vec<String>,
}

/// Whether namespaces can be made here.
pub fn may_make_namespaces() -> bool {
    getuid().is_root() && Command::new("ip").arg("-V").stdout(Stdio::null()).status().is_ok()
}

impl Link {
    /// Sets a medium up: generator and sink on `load_core`, the subject on `subject_core`. Without
    /// root the loopback device of the machine itself is used.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn new(medium: Medium, load_core: usize, subject_core: usize) -> Result<Self> {
        let side =
            |namespace: Option<&String>, ip, core| Side { namespace: namespace.cloned(), ip, core };
        let here = Ipv4Addr::LOCALHOST;
        if medium == Medium::Loopback && !may_make_namespaces() {
            let (load, subject) = (side(None, here, load_core), side(None, here, subject_core));
            return Ok(Self { load, subject, namespaces: Vec::new() });
        }
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("kakehashi-{}-{end}-{number}", std::process::id());
        let names: Vec<_> = match medium {
            Medium::Loopback => vec![name("lo")],
            Medium::Veth => vec![name("load"), name("subject")],
        };
        let (first, last) = (names.first(), names.last());
        let (load_ip, subject_ip) = match medium {
            Medium::Loopback => (here, here),
            Medium::Veth => (LOAD_SIDE, SUBJECT_SIDE),
        };
        let load = side(first, load_ip, load_core);
        let subject = side(last, subject_ip, subject_core);
        let link = Self { load, subject, namespaces: names };
        link.make(medium)?;
        Ok(link)
    }

    /// What `ip link show` says of a device on the subject's side.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn show(&self, device: &str) -> Result<String> {
        let namespace = self.subject.namespace.as_deref().context("there is no namespace")?;
        ip(&format!("-n {namespace} link show {device}"))
    }

    /// The addresses of load and subject over the device for a relay past the kernel.
    pub fn beside(&self) -> (Ipv4Addr, Ipv4Addr) {
        (BESIDE_LOAD, BESIDE_SUBJECT)
    }

    fn make(&self, medium: Medium) -> Result<()> {
        for name in &self.namespaces {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        if let (Medium::Veth, [load, subject]) = (medium, self.namespaces.as_slice()) {
            for (device, load_ip, subject_ip) in PAIRS {
                let peer = format!("peer name {device} netns {subject}");
                ip(&format!("-n {load} link add {device} type veth {peer}"))?;
                for (name, address) in [(load, load_ip), (subject, subject_ip)] {
                    ip(&format!("-n {name} address add {address}/30 dev {device}"))?;
                    ip(&format!("-n {name} link set {device} up"))?;
                }
            }
        }
        Ok(())
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        for name in &self.namespaces {
            // What is left of a namespace shows in `ip netns`, and does no harm.
            let _ = ip(&format!("netns delete {name}"));
        }
    }
}

/// Runs `ip`; gives what it printed.
fn ip(arguments: &str) -> Result<String> {
    let output = Command::new("ip").args(arguments.split(' ')).output().context("ip")?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`ip {arguments}`: {}", said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
