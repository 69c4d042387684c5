//! The two sockets to the kernel's tables.

use super::facts::{Event, Hop, Route};
use super::message::{event, messages, route, route_request, use_request};
use crate::capacity::{NETLINK_DATAGRAM_BYTES, NETLINK_EVENT_BYTES, NETLINK_PATIENCE_MS};
use core::time::Duration;
use netlink_packet_core::{
    NLM_F_ACK, NLM_F_CREATE, NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NLM_F_REPLACE,
    NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_sys::protocols::NETLINK_ROUTE;
use netlink_sys::{Socket, SocketAddr};
use rustix::net::sockopt::set_socket_recv_buffer_size_force;
use socket2::SockRef;
use std::io;
use std::net::IpAddr;
use std::os::fd::{AsFd, BorrowedFd};

/// What is listened to.
const GROUPS: [u32; 8] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
    libc::RTNLGRP_IPV4_RULE,
    libc::RTNLGRP_IPV6_RULE,
];

/// Dumps that are tried before one that the tables changed under is taken as it is.
const DUMP_TRIES: usize = 3;

/// Datagrams thrown away at once: more than can wait.
const DRAIN_DATAGRAMS_MAX: usize = 1 << 16;

/// Hears of changes.
pub(super) struct Events {
    socket: Socket,
    buffer: Vec<u8>,
}

/// What a read of the events came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Heard {
    /// What one datagram said was handed out.
    Some,
    /// There is nothing more for now.
    Nothing,
    /// Events were lost: what is known may be wrong.
    Lost,
}

impl Events {
    /// Listens from now on, with room for about so many bytes that wait.
    pub(super) fn open(bytes: usize) -> io::Result<Self> {
        let socket = open()?;
        // More than everybody may have needs a privilege; less is a matter of luck, not an error.
        if set_socket_recv_buffer_size_force(&socket, bytes).is_err() {
            SockRef::from(&socket).set_recv_buffer_size(bytes)?;
        }
        socket.set_non_blocking(true)?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        Ok(Self { socket, buffer: vec![0; NETLINK_DATAGRAM_BYTES] })
    }

    /// Listens with the room a relay needs.
    pub(super) fn open_roomy() -> io::Result<Self> {
        Self::open(NETLINK_EVENT_BYTES)
    }

    /// Throws away what waits, so that what is heard from now on is newer than a dump that follows:
    /// after a loss, what waits is older than what was lost. True if nothing waits any more.
    pub(super) fn drain(&mut self) -> bool {
        (0..DRAIN_DATAGRAMS_MAX).any(|_| !matches!(self.read(drop), Ok(Heard::Some | Heard::Lost)))
    }

    /// Hands out what one datagram says.
    pub(super) fn read(&mut self, mut each: impl FnMut(Event)) -> io::Result<Heard> {
        let datagram = match receive(&self.socket, &mut self.buffer) {
            Ok(datagram) => datagram,
            Err(error) => return heard_error(error),
        };
        for message in messages(datagram) {
            match message {
                Ok(NetlinkMessage { payload: NetlinkPayload::InnerMessage(message), .. }) => {
                    event(&message).into_iter().for_each(&mut each);
                }
                Ok(NetlinkMessage { payload: NetlinkPayload::Overrun(_), .. }) => {
                    return Ok(Heard::Lost);
                }
                Ok(_) => {}
                Err(error) => tracing::debug!(
                    event = "route_event_unreadable",
                    "an event of the kernel is not understood: {error}"
                ),
            }
        }
        Ok(Heard::Some)
    }
}

impl AsFd for Events {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn heard_error(error: io::Error) -> io::Result<Heard> {
    match error.kind() {
        io::ErrorKind::WouldBlock => Ok(Heard::Nothing),
        io::ErrorKind::Interrupted => Ok(Heard::Some),
        io::ErrorKind::InvalidData => Ok(Heard::Lost),
        _ if error.raw_os_error() == Some(libc::ENOBUFS) => Ok(Heard::Lost),
        _ => Err(error),
    }
}

/// Asks, and waits for the answer.
pub(super) struct Requests {
    socket: Socket,
    sequence: u32,
    buffer: Vec<u8>,
}

/// How a request ended.
enum Answer {
    /// It was answered in full.
    Whole,
    /// It was answered, but the tables changed meanwhile.
    Torn,
    /// The kernel says no.
    Refused(io::Error),
}

impl Requests {
    /// A socket of its own, so that answers and events do not mix.
    pub(super) fn open() -> io::Result<Self> {
        let socket = open()?;
        let patience = Duration::from_millis(NETLINK_PATIENCE_MS);
        SockRef::from(&socket).set_read_timeout(Some(patience))?;
        Ok(Self { socket, sequence: 0, buffer: vec![0; NETLINK_DATAGRAM_BYTES] })
    }

    /// Everything there is, as events that would lead there from nothing.
    pub(super) fn dump(&mut self) -> io::Result<Vec<Event>> {
        let mut events = Vec::new();
        for table in [
            RouteNetlinkMessage::GetLink(LinkMessage::default()),
            RouteNetlinkMessage::GetAddress(AddressMessage::default()),
            RouteNetlinkMessage::GetNeighbour(NeighbourMessage::default()),
        ] {
            self.dump_table(&table, &mut events)?;
        }
        Ok(events)
    }

    /// A table that changed while it was read may lack what did not change; what did change comes
    /// as an event anyway.
    fn dump_table(
        &mut self,
        table: &RouteNetlinkMessage,
        events: &mut Vec<Event>,
    ) -> io::Result<()> {
        let before = events.len();
        for _ in 0..DUMP_TRIES {
            events.truncate(before);
            let answer = self.exchange(table.clone(), NLM_F_DUMP, |message| {
                events.extend(event(&message));
            })?;
            match answer {
                Answer::Whole => break,
                Answer::Torn => {}
                Answer::Refused(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// The route of packets to `destination`; `None` if they do not leave to a next hop.
    ///
    /// # Errors
    /// If the kernel gave no answer. That it knows no way is an answer.
    pub(super) fn route(&mut self, destination: IpAddr) -> io::Result<Option<Route>> {
        let mut found = None;
        let answer = self.exchange(route_request(destination), 0, |message| {
            if let RouteNetlinkMessage::NewRoute(message) = message {
                found = route(&message, destination);
            }
        })?;
        if let Answer::Refused(error) = answer {
            tracing::trace!(event = "route_missing", %destination, "no route: {error}");
        }
        Ok(found)
    }

    /// Says that a neighbour is in use.
    ///
    /// # Errors
    /// The kernel's, also if it refuses.
    pub(super) fn use_neighbour(&mut self, hop: Hop) -> io::Result<()> {
        let flags = NLM_F_ACK | NLM_F_CREATE | NLM_F_REPLACE;
        match self.exchange(use_request(hop), flags, |_| {})? {
            Answer::Refused(error) => Err(error),
            Answer::Whole | Answer::Torn => Ok(()),
        }
    }

    fn exchange(
        &mut self,
        request: RouteNetlinkMessage,
        flags: u16,
        mut each: impl FnMut(RouteNetlinkMessage),
    ) -> io::Result<Answer> {
        self.sequence = self.sequence.wrapping_add(1);
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        header.sequence_number = self.sequence;
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(request));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        self.socket.send(&bytes, 0)?;
        let mut is_torn = false;
        loop {
            for message in messages(receive(&self.socket, &mut self.buffer)?) {
                let message = message.map_err(io::Error::other)?;
                // What answers an earlier request came too late.
                if message.header.sequence_number != self.sequence {
                    continue;
                }
                is_torn |= message.header.flags & NLM_F_DUMP_INTR != 0;
                let is_last = message.header.flags & NLM_F_MULTIPART == 0;
                let whole = if is_torn { Answer::Torn } else { Answer::Whole };
                match message.payload {
                    NetlinkPayload::Error(error) if error.code.is_some() => {
                        return Ok(Answer::Refused(error.to_io()));
                    }
                    NetlinkPayload::Done(done) if done.code < 0 => {
                        return Ok(Answer::Refused(io::Error::from_raw_os_error(-done.code)));
                    }
                    NetlinkPayload::Error(_) | NetlinkPayload::Done(_) => return Ok(whole),
                    NetlinkPayload::InnerMessage(message) => each(message),
                    _ => continue,
                }
                if is_last {
                    return Ok(whole);
                }
            }
        }
    }
}

fn open() -> io::Result<Socket> {
    let mut socket = Socket::new(NETLINK_ROUTE)?;
    socket.bind_auto()?;
    // Nobody but the kernel is heard.
    socket.connect(&SocketAddr::new(0, 0))?;
    Ok(socket)
}

fn receive<'a>(socket: &Socket, buffer: &'a mut [u8]) -> io::Result<&'a [u8]> {
    // With this flag the length is the datagram's, also where that did not fit.
    let length = socket.recv(&mut &mut buffer[..], libc::MSG_TRUNC)?;
    buffer.get(..length).ok_or_else(|| {
        io::Error::new(io::ErrorKind::InvalidData, "the kernel sent more than it ever does")
    })
}
