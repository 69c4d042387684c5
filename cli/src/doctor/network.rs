//! The kernel's settings for the network, and the ports.

use super::item::Seen;
use super::machine::{Machine, Read, Unread, expand};
use super::scene::Scene;
use super::wanted;
use std::collections::BTreeSet;
use std::net::SocketAddr;

/// A setting that should be as high as declared, or higher.
fn at_least(scene: &Scene<'_>, name: &str) -> Seen {
    let (wished, path) = (wanted::number(name), format!("/proc/sys/{}", name.replace('.', "/")));
    let should = format!("{wished} or more");
    let read = scene.machine.number(&path).map_err(|Unread(why)| {
        Unread(format!("{why}; only the machine's own network namespace may have it"))
    });
    Seen::of(read, &should, |found| {
        let seen = Seen::ok(found.to_string(), should.clone());
        if found >= wished { seen } else { seen.advice(format!("sysctl -w {name}={wished}")) }
    })
}

/// Room for what has arrived at a socket.
pub(super) fn receive_queue(scene: &Scene<'_>) -> Seen {
    at_least(scene, "net.core.rmem_max")
}

/// Room for what leaves a socket.
pub(super) fn send_queue(scene: &Scene<'_>) -> Seen {
    at_least(scene, "net.core.wmem_max")
}

/// Packets between the NIC and the sockets.
pub(super) fn backlog(scene: &Scene<'_>) -> Seen {
    at_least(scene, "net.core.netdev_max_backlog")
}

/// Neighbours that the kernel remembers.
pub(super) fn neighbours(scene: &Scene<'_>) -> Seen {
    at_least(scene, "net.ipv4.neigh.default.gc_thresh3")
}

/// Whether the media ports are kept from whoever connects to somewhere.
pub(super) fn reserved_ports(scene: &Scene<'_>) -> Seen {
    let name = "net.ipv4.ip_local_reserved_ports";
    let media: Vec<_> = scene.media_ports().iter().map(|it| usize::from(it.port())).collect();
    let (first, last) = (media.first().unwrap_or(&0), media.last().unwrap_or(&0));
    let should = format!("{first} to {last} among them");
    let read = scene.machine.text(&format!("/proc/sys/{}", name.replace('.', "/")));
    Seen::of(read, &should, |list| {
        let reserved: BTreeSet<_> = expand(&list).into_iter().collect();
        let declared = expand(wanted::value(name));
        let all = if media.iter().all(|port| declared.contains(port)) {
            wanted::value(name).to_owned()
        } else {
            format!("{first}-{last}")
        };
        let before = if list.is_empty() { String::new() } else { format!("{list},") };
        let seen = Seen::ok(if list.is_empty() { "none" } else { &list }, should.clone());
        match media.iter().all(|port| reserved.contains(port)) {
            true => seen,
            false => seen.advice(format!("sysctl -w {name}={before}{all}")),
        }
    })
}

/// Which sockets there are.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Protocol {
    Udp,
    Tcp,
}

/// Who has a port.
enum Holder {
    Nobody,
    Ours(String),
    Other(String),
    /// Whoever asks may not see.
    Hidden,
}

/// A line of `/proc/net/udp` or `/proc/net/tcp`: its port, and the socket's number, if it receives.
fn port_of(line: &str, protocol: Protocol) -> Option<(u16, &str)> {
    let words: Vec<_> = line.split_whitespace().collect();
    let (_, port) = words.get(1)?.rsplit_once(':')?;
    // 0A is a listener.
    let receives = protocol == Protocol::Udp || *words.get(3)? == "0A";
    let port = u16::from_str_radix(port, 16).ok()?;
    receives.then_some((port, *words.get(9)?))
}

fn holder(machine: &Machine, port: u16, protocol: Protocol) -> Read<Holder> {
    let name = if protocol == Protocol::Udp { "udp" } else { "tcp" };
    let mut text = machine.text(&format!("/proc/net/{name}"))?;
    // A machine without IPv6 has none.
    if let Ok(more) = machine.text(&format!("/proc/net/{name}6")) {
        text = text + "\n" + &more;
    }
    let sockets = text.lines().filter_map(|line| port_of(line, protocol));
    let mut sockets = sockets.filter(|(found, _)| *found == port);
    let Some((_, inode)) = sockets.next_back() else {
        return Ok(Holder::Nobody);
    };
    let Some((name, pid)) = machine.holder(&format!("socket:[{inode}]")) else {
        return Ok(Holder::Hidden);
    };
    let who = format!("{name}, process {pid}");
    Ok(if is_ours(&name) { Holder::Ours(who) } else { Holder::Other(who) })
}

/// Whether a program is one of Kakehashi's, by its name.
pub(super) fn is_ours(program: &str) -> bool {
    program.starts_with("kakehashi")
}

/// Whether the ports are free, or ours already; `setting` says where they are chosen.
fn ports(scene: &Scene<'_>, ports: &[(SocketAddr, Protocol)], setting: &str) -> Seen {
    let should = "free, or taken by Kakehashi itself";
    let mut held = BTreeSet::new();
    for (address, protocol) in ports {
        let port = address.port();
        let (flag, kind) = match protocol {
            Protocol::Udp => ('u', "UDP"),
            Protocol::Tcp => ('t', "TCP"),
        };
        match holder(scene.machine, port, *protocol) {
            Err(why) => return Seen::unknown(why.0, should),
            Ok(Holder::Nobody) => {}
            Ok(Holder::Ours(who)) => drop(held.insert(who)),
            Ok(Holder::Other(who)) => {
                let fix = format!(
                    "ss -{flag}lpn 'sport = :{port}' shows it: stop it, or change {setting}"
                );
                return Seen::ok(format!("{kind} {port} is taken by {who}"), should).wrong(fix);
            }
            Ok(Holder::Hidden) => {
                let why = format!("{kind} {port} is taken, and only root sees by whom");
                return Seen::unknown(why, should);
            }
        }
    }
    let held: Vec<_> = held.into_iter().collect();
    let is = if held.is_empty() { "free".to_owned() } else { format!("of {}", held.join("; ")) };
    Seen::ok(is, should)
}

/// The media ports.
pub(super) fn relay_ports(scene: &Scene<'_>) -> Seen {
    let media: Vec<_> = scene.media_ports().into_iter().map(|port| (port, Protocol::Udp)).collect();
    ports(scene, &media, "first_port")
}

/// The ports of a control node.
pub(super) fn control_ports(scene: &Scene<'_>) -> Seen {
    let control = scene.control;
    let mut all = vec![
        (control.terminals.listen, Protocol::Udp),
        (control.relays.listen, Protocol::Udp),
        (control.api.listen, Protocol::Tcp),
    ];
    if !control.node.peers.is_empty() {
        all.push((control.node.listen, Protocol::Udp));
    }
    ports(scene, &all, "its `listen`")
}

/// Whether the packet filter has the sets that the relay is to keep.
pub(super) fn firewall(scene: &Scene<'_>) -> Seen {
    let table = &scene.relay.firewall.table;
    if table.is_empty() {
        return Seen::ok("`firewall.table` is not set: no gate is kept", "as is wished");
    }
    let should = format!("the sets terminals_v4 and terminals_v6 in table inet {table}");
    let load = "nft -f tuning/nftables/kakehashi.nft";
    let command = format!("nft list table inet {table}");
    match scene.machine.said(&command) {
        Ok(text) => {
            let is_there = |set: &&str| text.contains(&format!("set {set} {{"));
            let gone: Vec<_> =
                ["terminals_v4", "terminals_v6"].into_iter().filter(|set| !is_there(set)).collect();
            match gone.is_empty() {
                true => Seen::ok("both are there", should),
                false => Seen::ok(format!("{} missing", gone.join(" and ")), should).wrong(load),
            }
        }
        Err(Unread(why)) if why.contains("No such file") => {
            Seen::ok(format!("there is no table inet {table}"), should).wrong(load)
        }
        Err(Unread(why)) => Seen::unknown(why, should),
    }
}
