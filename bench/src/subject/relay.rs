//! Kakehashi's relay, with its orders in a file instead of a link to control.

use super::{PROVIDER, Process, Route, SetUp, spawn};
use crate::ends::{Arrived, End, Ends};
use crate::medium::Pair;
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use kakehashi_loadgen::member::Member;
use kakehashi_loadgen::orders::Direct;
use kakehashi_relay::program::run_file;
use kakehashi_srtp::SessionKeys;
use kakehashi_wire::media::Host;
use kakehashi_wire::secret::MasterKey;
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};
use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

/// Its media port.
const PORT: u16 = 40_000;

/// How often a binding is asked for, and how long an answer may take.
const BIND_TRIES: usize = 100;
const BIND_WAIT: Duration = Duration::from_millis(100);

/// How the relay's packets come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Io {
    /// Through the kernel.
    Kernel,
    /// Past it, over a device of its own.
    Xdp {
        /// Whether its program lets in addresses with a leg only.
        signed_in_only: bool,
    },
}

pub(super) fn start(set_up: SetUp<'_>, io: Io) -> Result<(Process, Vec<Route>)> {
    let SetUp { ip, workload, link, programs, ends, .. } = set_up;
    let name = match io {
        Io::Kernel => "relay",
        Io::Xdp { .. } => "relay-xdp",
    };
    let load_ip = ends.local(ends.sender(0)).ip();
    let at = Place { ip, load_ip, port: PORT, core: Some(link.subject.core), io };
    let folder = programs.folder.join(name);
    fs::create_dir_all(&folder)?;
    let prepared = prepare(workload, at, &folder)?;
    let mut command = Command::new(&programs.relay);
    command.arg("--config").arg(&prepared.config).arg("--orders").arg(&prepared.orders);
    let process = spawn(link, &programs.folder, name, command)?;
    Ok((process, prepared.bind(ends)?))
}

/// The relay on a thread of this process, for as long as this lives.
pub(super) fn start_here(
    workload: &Workload,
    ends: &mut Ends,
    folder: &Path,
) -> Result<Vec<Route>> {
    let ip = Ipv4Addr::LOCALHOST;
    // A port that is free now: nobody else draws one between.
    let port = UdpSocket::bind((ip, 0))?.local_addr()?.port();
    let at = Place { ip, load_ip: ip.into(), port, core: None, io: Io::Kernel };
    let prepared = prepare(workload, at, folder)?;
    let (config, orders) = (prepared.config.clone(), prepared.orders.clone());
    thread::Builder::new().name("relay".into()).spawn(move || {
        if let Err(error) = run_file(&config, Some(&orders)) {
            eprintln!("the relay ended: {error}");
        }
    })?;
    prepared.bind(ends)
}

/// Where the relay runs: on which core, if that matters.
#[derive(Clone, Copy)]
struct Place {
    ip: Ipv4Addr,
    /// Where its legs send from.
    load_ip: IpAddr,
    port: u16,
    core: Option<usize>,
    io: Io,
}

/// What a relay reads when it starts, and its legs: of each call the sender first.
struct Prepared {
    config: PathBuf,
    orders: PathBuf,
    calls: Vec<Vec<Member>>,
}

fn prepare(workload: &Workload, at: Place, folder: &Path) -> Result<Prepared> {
    let legs_per_call = usize::from(workload.receivers) + 1;
    let direct = Direct {
        legs: usize::from(workload.flows) * legs_per_call,
        legs_per_call,
        shards: 1,
        seed: rand::random(),
        lane: workload.lane,
        seen_at: Host::from(at.load_ip),
    };
    let (config, orders) = (folder.join("relay.toml"), folder.join("relay.orders"));
    fs::write(&config, settings(at))?;
    fs::write(&orders, direct.file()?)?;
    let mut members = direct.members(SocketAddr::from((at.ip, at.port))).into_iter();
    let calls = (0..workload.flows).map(|_| members.by_ref().take(legs_per_call).collect());
    Ok(Prepared { config, orders, calls: calls.collect() })
}

impl Prepared {
    /// Has the relay learn the address of every leg; gives the ways between them.
    fn bind(self, ends: &mut Ends) -> Result<Vec<Route>> {
        for (flow, members) in self.calls.iter().enumerate() {
            let of_flow = core::iter::once(ends.sender(flow)).chain(ends.sinks(flow));
            for (end, member) in of_flow.zip(members) {
                bind(ends, end, member)?;
            }
        }
        self.calls.iter().map(|members| route(members)).collect()
    }
}

/// From the first member of a call to the others.
fn route(members: &[Member]) -> Result<Route> {
    let (sender, receivers) = members.split_first().context("a call has members")?;
    let stream = sender.streams.first().context("a member has streams")?;
    Ok(Route {
        to: sender.relay,
        channel: None,
        ssrc: stream.ssrc,
        sealed_with: sender.key.clone(),
        opened_with: receivers.iter().map(|it| downlink(it, &sender.key)).collect(),
    })
}

/// The settings that are not the defaults.
fn settings(at: Place) -> String {
    let Place { ip, port, core, io, .. } = at;
    let io = match io {
        Io::Kernel => String::new(),
        Io::Xdp { signed_in_only } => {
            let device = Pair::PastKernel.device();
            let gate = if signed_in_only { "signed_in_only = true\n" } else { "" };
            format!("io = \"xdp\"\n[xdp]\ninterface = \"{device}\"\n{gate}")
        }
    };
    let cores = core.map_or(String::new(), |core| core.to_string());
    // In another program's process it is only to speak of what is wrong.
    let log_level = if core.is_some() { "info" } else { "warn" };
    format!(
        "listen_ip = \"{ip}\"\nadvertise_ip = \"{ip}\"\nfirst_port = {port}\n\
         shards = 1\ncores = [{cores}]\nlog_level = \"{log_level}\"\n{io}"
    )
}

/// What opens a receiver's packets.
fn downlink(receiver: &Member, sender: &MasterKey) -> SessionKeys {
    match &receiver.downlink {
        None => SessionKeys::derive(PROVIDER, sender),
        Some((relay, it)) => {
            SessionKeys::downlink(PROVIDER, it.suite, &it.secret, *relay, it.epoch)
        }
    }
}

/// Has the relay learn the address of a member.
fn bind(ends: &mut Ends, at: End, member: &Member) -> Result<()> {
    let (fragment, key) = (member.leg.fragment(), member.relay_password.as_bytes());
    let transaction = TransactionId(rand::random());
    let check = StunMessage::check(transaction, &fragment, &fragment, 1, key);
    for _ in 0..BIND_TRIES {
        ends.send(at, member.relay, check.bytes(), check.bytes().len())?;
        ends.flush()?;
        ends.wait(BIND_WAIT)?;
        let mut is_bound = false;
        ends.receive(|Arrived { end, packet, .. }| {
            is_bound |= end == at
                && StunView::parse(packet).is_ok_and(|answer| {
                    answer.kind() == StunKind::Success && answer.is_keyed_by(key)
                });
        })?;
        if is_bound {
            return Ok(());
        }
    }
    bail!("it does not answer bindings")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::FAN_OUT;

    #[test]
    fn every_call_has_a_sender_and_its_receivers() {
        let folder = tempfile::tempdir().unwrap();
        let at = Place {
            ip: Ipv4Addr::LOCALHOST,
            load_ip: Ipv4Addr::LOCALHOST.into(),
            port: 9,
            core: Some(1),
            io: Io::Kernel,
        };
        let prepared = prepare(&FAN_OUT, at, folder.path()).unwrap();
        assert_eq!(prepared.calls.len(), 8);
        for members in &prepared.calls {
            assert_eq!(members.len(), 21);
            assert_eq!(route(members).unwrap().opened_with.len(), 20);
            assert!(members.iter().all(|member| member.call == members[0].call));
        }
        assert!(fs::metadata(&prepared.orders).unwrap().len() > 8 * 21 * 100);
        assert!(fs::read_to_string(&prepared.config).unwrap().contains("cores = [1]"));
    }
}
