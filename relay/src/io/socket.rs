//! A shard's UDP socket: one port, no other listener on it, both address families if it can.

use super::address::Family;
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use socket2::{Domain, Protocol, Socket, Type};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, RawFd};
use thiserror::Error;

/// Wanted room of the kernel's queues: 4 MiB hold 40 ms of 100 Mbit/s and more.
const QUEUE_BYTES: [usize; 4] = [4 << 20, 2 << 20, 1 << 20, 512 << 10];

/// How long a receive may linger. The kernel counts in its own ticks, 1 to 10 ms each, and rounds
/// up: an order that comes meanwhile waits for one to two of them, or for the next packet.
pub(crate) const LINGER: Duration = Duration::from_millis(1);

/// Why a shard has no socket.
#[derive(Debug, Error)]
pub enum BindError {
    /// Someone else has the port.
    #[error(
        "UDP port {port} of {ip} is in use: stop what listens there (`ss -ulpn sport = :{port}` \
         names it), or set `first_port` to a free range"
    )]
    InUse {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
    },
    /// The address is not one of this machine.
    #[error("this machine has no address {0}: set `listen_ip` to one that `ip address` shows")]
    NoSuchAddress(IpAddr),
    /// The port is reserved.
    #[error("UDP port {0} needs privileges: set `first_port` to 1024 or more")]
    Privileged(u16),
    /// The kernel refused for another reason.
    #[error("UDP port {port} of {ip} cannot be opened: {error}")]
    Other {
        /// The address.
        ip: IpAddr,
        /// The port.
        port: u16,
        /// What the kernel said.
        error: io::Error,
    },
}

impl BindError {
    fn new(address: SocketAddr, error: io::Error) -> Self {
        let (ip, port) = (address.ip(), address.port());
        match error.raw_os_error() {
            Some(libc::EADDRINUSE) => Self::InUse { ip, port },
            Some(libc::EADDRNOTAVAIL) => Self::NoSuchAddress(ip),
            Some(libc::EACCES | libc::EPERM) => Self::Privileged(port),
            _ => Self::Other { ip, port, error },
        }
    }
}

/// An open UDP socket of a shard.
#[derive(Debug)]
pub(crate) struct MediaSocket {
    socket: Socket,
    family: Family,
    local: SocketAddr,
}

impl MediaSocket {
    /// Which addresses it reaches.
    pub(crate) fn family(&self) -> Family {
        self.family
    }

    /// Where it listens.
    pub(crate) fn local(&self) -> SocketAddr {
        self.local
    }

    /// Its descriptor, to wait for it.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Its descriptor, valid as long as `self`.
    pub(crate) fn raw(&self) -> RawFd {
        self.socket.as_raw_fd()
    }
}

/// Opens `address` for one shard. The unspecified IPv6 address takes IPv4 as well, and falls back
/// to IPv4 alone on a machine without IPv6.
pub(crate) fn bind(address: SocketAddr) -> Result<MediaSocket, BindError> {
    let opened = match address.ip() {
        IpAddr::V4(_) => open(address, Family::V4),
        IpAddr::V6(ip) if ip.is_unspecified() => open(address, Family::Both).or_else(|error| {
            if !without_ipv6(&error) {
                return Err(error);
            }
            tracing::info!(
                event = "ipv6_missing",
                port = address.port(),
                "no IPv6 here: listening on IPv4 only"
            );
            open(SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port())), Family::V4)
        }),
        IpAddr::V6(_) => open(address, Family::V6),
    };
    opened.map_err(|error| BindError::new(address, error))
}

/// Whether an IPv6 socket failed because the machine has no IPv6.
fn without_ipv6(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EAFNOSUPPORT | libc::EADDRNOTAVAIL))
}

fn open(address: SocketAddr, family: Family) -> io::Result<MediaSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if family != Family::V4 {
        socket.set_only_v6(family == Family::V6)?;
    }
    // No SO_REUSEPORT: a second relay on the port would silently take half of its packets.
    socket.bind(&address.into())?;
    take_trains_whole(&socket);
    socket.set_read_timeout(Some(LINGER))?;
    enlarge(&socket);
    let local = socket
        .local_addr()?
        .as_socket()
        .ok_or_else(|| io::Error::other("a UDP socket without an IP address"))?;
    Ok(MediaSocket { socket, family, local })
}

/// Lets a train arrive as one datagram (`UDP_GRO`). A kernel that cannot hands packets in singly.
#[expect(unsafe_code, reason = "no library has this option")]
fn take_trains_whole(socket: &Socket) {
    const SOL_UDP: i32 = 17;
    const UDP_GRO: i32 = 104;
    let on: libc::c_int = 1;
    let length = libc::socklen_t::try_from(size_of_val(&on)).unwrap_or(0);
    // SAFETY: the option's value is an int that lives through the call.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), SOL_UDP, UDP_GRO, (&raw const on).cast(), length)
    };
    if result != 0 {
        tracing::info!(event = "trains_not_received", "this kernel does not hand trains in whole");
    }
}

/// Asks for the largest queues the machine's limits allow.
fn enlarge(socket: &Socket) {
    let granted = |set: &dyn Fn(usize) -> io::Result<()>, get: &dyn Fn() -> io::Result<usize>| {
        for bytes in QUEUE_BYTES {
            // The kernel doubles what it is asked for, and caps it silently.
            if set(bytes).is_ok() && get().is_ok_and(|got| got >= bytes) {
                break;
            }
        }
        get().unwrap_or(0)
    };
    let receive =
        granted(&|bytes| socket.set_recv_buffer_size(bytes), &|| socket.recv_buffer_size());
    let send = granted(&|bytes| socket.set_send_buffer_size(bytes), &|| socket.send_buffer_size());
    if receive < QUEUE_BYTES[0] || send < QUEUE_BYTES[0] {
        tracing::warn!(
            event = "socket_queues_small",
            receive,
            send,
            "small socket queues; for bursts set net.core.rmem_max and net.core.wmem_max to {}",
            QUEUE_BYTES[0]
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_says_what_to_do() {
        let first = bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = first.local().port();
        let text = bind(first.local()).unwrap_err().to_string();
        assert!(text.starts_with(&format!("UDP port {port} of 127.0.0.1 is in use")), "{text}");
        assert!(text.contains("first_port"), "{text}");
        let both = bind(SocketAddr::from(([0_u16; 8], port))).unwrap_err();
        assert!(matches!(both, BindError::InUse { .. }), "{both}");
    }

    #[test]
    fn a_foreign_address_says_what_to_do() {
        let text = bind("192.0.2.1:0".parse().unwrap()).unwrap_err().to_string();
        assert!(text.contains("192.0.2.1") && text.contains("listen_ip"), "{text}");
    }

    #[test]
    fn a_host_without_ipv6_is_recognised() {
        for errno in [libc::EAFNOSUPPORT, libc::EADDRNOTAVAIL] {
            assert!(without_ipv6(&io::Error::from_raw_os_error(errno)));
        }
        assert!(!without_ipv6(&io::Error::from_raw_os_error(libc::EADDRINUSE)));
    }
}
