//! Between what the packets travel: the loopback device or a pair of virtual Ethernet devices,
//! each in network namespaces made here, so that no port and no route of the machine is touched.

use crate::frame::Mac;
use crate::frames::FrameWay;
use crate::nic;
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

/// A pair of devices, one on either side, of one name.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pair {
    /// Of the floor, the relay through the kernel, and coturn.
    First,
    /// Of the relay past the kernel: its program would make the others' packets dearer.
    PastKernel,
    /// Of rtpengine, so that frames for it and for a relay are told apart.
    Rtpengine,
}

impl Pair {
    const ALL: [Self; 3] = [Self::First, Self::PastKernel, Self::Rtpengine];

    /// The name of both devices.
    pub const fn device(self) -> &'static str {
        match self {
            Self::First => "kk0",
            Self::PastKernel => "kk1",
            Self::Rtpengine => "kk2",
        }
    }

    /// In its network: a block for documentation (RFC 5737), which no one routes.
    const fn address(self, host: u8) -> Ipv4Addr {
        match self {
            Self::First => Ipv4Addr::new(192, 0, 2, host),
            Self::PastKernel => Ipv4Addr::new(198, 51, 100, host),
            Self::Rtpengine => Ipv4Addr::new(203, 0, 113, host),
        }
    }

    /// Ends past the kernel of the load's side.
    const fn frame_way(self) -> FrameWay {
        let (mac, subject) = (MAC_OF_ENDS, MAC_OF_SUBJECT);
        FrameWay { device: self.device(), ip: self.address(3), mac, subject }
    }
}

/// Addresses of our own on the pairs (locally administered: the second bit).
const MAC_OF_LOAD: Mac = [2, 0x4b, 0x4b, 0, 0, 1];
const MAC_OF_SUBJECT: Mac = [2, 0x4b, 0x4b, 0, 0, 2];
const MAC_OF_ENDS: Mac = [2, 0x4b, 0x4b, 0, 0, 3];

/// What packets travel over.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Medium {
    /// The loopback device. A train stays one buffer to the end.
    Loopback,
    /// Two namespaces joined by virtual Ethernet devices.
    Veth,
    /// The same, each device served by its own side's core, as a NIC is, and the load past its
    /// kernel.
    Nic,
}

impl Medium {
    /// Its name in tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loopback => "loopback",
            Self::Veth => "veth",
            Self::Nic => "veth as a NIC",
        }
    }
}

/// One side of a medium.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Side {
    namespace: Option<String>,
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
    medium: Medium,
    namespaces: Vec<String>,
    /// The kernel's threads that receive on the subject's side, of each pair.
    interrupts: Vec<(Pair, Vec<u32>)>,
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
        let side = |namespace: Option<&String>, core| Side { namespace: namespace.cloned(), core };
        if medium == Medium::Loopback && !may_make_namespaces() {
            let (load, subject) = (side(None, load_core), side(None, subject_core));
            let (namespaces, interrupts) = (Vec::new(), Vec::new());
            return Ok(Self { load, subject, medium, namespaces, interrupts });
        }
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let name = |end| format!("kakehashi-{}-{end}-{number}", std::process::id());
        let names: Vec<_> = match medium {
            Medium::Loopback => vec![name("lo")],
            Medium::Veth | Medium::Nic => vec![name("load"), name("subject")],
        };
        let (first, last) = (names.first(), names.last());
        let load = side(first, load_core);
        let subject = side(last, subject_core);
        let interrupts = Vec::new();
        let mut link = Self { load, subject, medium, namespaces: names, interrupts };
        link.make()?;
        Ok(link)
    }

    /// The addresses of the load and of the subject over a pair.
    pub fn addresses(&self, pair: Pair) -> (Ipv4Addr, Ipv4Addr) {
        match self.medium {
            Medium::Loopback => (Ipv4Addr::LOCALHOST, Ipv4Addr::LOCALHOST),
            Medium::Veth | Medium::Nic => (pair.address(1), pair.address(2)),
        }
    }

    /// The ends over a pair, if they are past the kernel.
    pub fn frame_way(&self, pair: Pair) -> Option<FrameWay> {
        (self.medium == Medium::Nic).then(|| pair.frame_way())
    }

    /// The kernel's threads that receive from the subject's device of a pair, if it has some.
    pub fn interrupts(&self, pair: Pair) -> &[u32] {
        let of_pair = self.interrupts.iter().find(|(it, _)| *it == pair);
        of_pair.map_or(&[], |(_, threads)| threads)
    }

    /// What `ip link show` says of the subject's device of a pair.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn show(&self, pair: Pair) -> Result<String> {
        let namespace = self.subject.namespace.as_deref().context("there is no namespace")?;
        ip(&format!("-n {namespace} link show {}", pair.device()))
    }

    /// Packets that the subject's device of a pair has received so far.
    ///
    /// # Errors
    /// What `ip` said.
    pub fn received(&self, pair: Pair) -> Result<u64> {
        let namespace = self.subject.namespace.as_deref().context("there is no namespace")?;
        let shown = ip(&format!("-n {namespace} -s -j link show {}", pair.device()))?;
        let shown: serde_json::Value = serde_json::from_str(&shown)?;
        shown.pointer("/0/stats64/rx/packets").and_then(|it| it.as_u64()).context("no counter")
    }

    fn make(&mut self) -> Result<()> {
        for name in &self.namespaces {
            ip(&format!("netns add {name}"))?;
            ip(&format!("-n {name} link set lo up"))?;
        }
        let [load, subject] = self.namespaces.as_slice() else { return Ok(()) };
        for pair in Pair::ALL {
            let (device, macs) = (pair.device(), [MAC_OF_LOAD, MAC_OF_SUBJECT].map(written));
            ip(&format!(
                "-n {load} link add {device} address {} type veth \
                 peer name {device} address {} netns {subject}",
                macs[0], macs[1]
            ))?;
            for (name, address) in [(load, pair.address(1)), (subject, pair.address(2))] {
                ip(&format!("-n {name} address add {address}/24 dev {device}"))?;
                ip(&format!("-n {name} link set {device} up"))?;
            }
            if self.medium == Medium::Nic {
                let FrameWay { ip: ends, mac, .. } = pair.frame_way();
                let mac = written(mac);
                ip(&format!("-n {subject} neigh add {ends} lladdr {mac} dev {device}"))?;
                nic::serve(load, device, self.load.core)?;
                self.interrupts.push((pair, nic::serve(subject, device, self.subject.core)?));
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
    say("ip", &arguments.split(' ').collect::<Vec<_>>())
}

/// Runs a program; gives what it printed.
pub(crate) fn say(program: &'static str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).output().context(program)?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("`{program} {}`: {}", arguments.join(" "), said.trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn written(mac: Mac) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}
