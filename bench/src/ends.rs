//! Where the load's packets leave and arrive: sockets of the kernel, or frames past it.

use crate::frames::{FrameEnds, FrameWay};
use crate::workload::Workload;
use anyhow::{Context, Result};
use core::net::{IpAddr, Ipv4Addr, SocketAddr};
use core::time::Duration;
use kakehashi_loadgen::batch_socket::BatchSocket;
use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags, Timespec, epoll, poll};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Trains sent through sockets before what has arrived is looked at: 16 x 8 packets are a few
/// hundred microseconds.
const TRAINS_A_TURN: usize = 16;

/// One end: a sender's or a receiver's address. First all senders, then their receivers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct End(pub usize);

/// A packet that has arrived.
pub struct Arrived<'a> {
    /// Where.
    pub end: End,
    /// Whether it is the first that was looked at of those that came together.
    pub is_first: bool,
    /// The datagram.
    pub packet: &'a mut [u8],
}

/// All ends of one subject's traffic: for each flow a sender and its receivers.
pub struct Ends {
    carrier: Carrier,
    flows: usize,
    receivers: usize,
}

enum Carrier {
    Sockets(Sockets),
    Frames(FrameEnds),
}

struct Sockets {
    sockets: Vec<BatchSocket>,
    readiness: OwnedFd,
    ready: Vec<epoll::Event>,
}

impl Ends {
    /// A socket for each, at `ip`.
    ///
    /// # Errors
    /// If the system has no more sockets.
    pub fn sockets(workload: &Workload, ip: Ipv4Addr) -> Result<Self> {
        let count = workload.ends();
        let bind = |_| BatchSocket::bind(IpAddr::V4(ip)).context("no socket for the load");
        let sockets = (0..count).map(bind).collect::<Result<Vec<_>>>()?;
        let readiness = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        for (socket, number) in sockets.iter().zip(0..) {
            let which = epoll::EventData::new_u64(number);
            epoll::add(&readiness, socket.as_fd(), which, epoll::EventFlags::IN)?;
        }
        let sockets = Sockets { sockets, readiness, ready: Vec::with_capacity(count) };
        Ok(Self::new(workload, Carrier::Sockets(sockets)))
    }

    /// A port for each, at an address that the kernel does not know.
    ///
    /// # Errors
    /// If there is no right to send frames.
    pub fn frames(workload: &Workload, way: FrameWay) -> Result<Self> {
        Ok(Self::new(workload, Carrier::Frames(FrameEnds::open(workload, way)?)))
    }

    fn new(workload: &Workload, carrier: Carrier) -> Self {
        let (flows, receivers) = (usize::from(workload.flows), usize::from(workload.receivers));
        Self { carrier, flows, receivers }
    }

    /// How many senders there are.
    pub fn flows(&self) -> usize {
        self.flows
    }

    /// The sender of a flow.
    pub fn sender(&self, flow: usize) -> End {
        End(flow)
    }

    /// The receivers of a flow.
    pub fn sinks(&self, flow: usize) -> impl Iterator<Item = End> + use<> {
        let first = self.flows + flow * self.receivers;
        (first..first + self.receivers).map(End)
    }

    /// The address of an end.
    pub fn local(&self, End(number): End) -> SocketAddr {
        match &self.carrier {
            Carrier::Sockets(it) => it.sockets[number].local(),
            Carrier::Frames(it) => it.local(number),
        }
    }

    /// Trains to be sent before what has arrived is looked at.
    pub fn trains_a_turn(&self) -> usize {
        match &self.carrier {
            Carrier::Sockets(_) => TRAINS_A_TURN,
            Carrier::Frames(it) => it.trains_a_turn(),
        }
    }

    /// Sends `bytes` as datagrams of `segment_bytes`, with the next [`flush`](Self::flush) at the
    /// latest.
    ///
    /// # Errors
    /// What the kernel says.
    pub fn send(
        &mut self,
        End(number): End,
        to: SocketAddr,
        bytes: &[u8],
        segment_bytes: usize,
    ) -> Result<()> {
        let sent = match &mut self.carrier {
            Carrier::Sockets(it) => Ok(it.sockets[number].send_train(to, bytes, segment_bytes)?),
            Carrier::Frames(it) => it.send(number, to, bytes, segment_bytes),
        };
        sent.context("the generator cannot send")
    }

    /// Sends what still waits to be sent.
    ///
    /// # Errors
    /// As for [`send`](Self::send).
    pub fn flush(&mut self) -> Result<()> {
        match &mut self.carrier {
            Carrier::Sockets(_) => Ok(()),
            Carrier::Frames(it) => it.flush().context("the generator cannot send"),
        }
    }

    /// Waits until something has arrived, or `length` is over.
    ///
    /// # Errors
    /// If the kernel cannot wait.
    pub fn wait(&self, length: Duration) -> Result<()> {
        let fd: BorrowedFd<'_> = match &self.carrier {
            Carrier::Sockets(it) => it.readiness.as_fd(),
            Carrier::Frames(it) => it.as_fd(),
        };
        let length = Timespec::try_from(length)?;
        poll(&mut [PollFd::from_borrowed_fd(fd, PollFlags::IN)], Some(&length))?;
        Ok(())
    }

    /// Hands on what has arrived. Returns early under a flood.
    ///
    /// # Errors
    /// If a socket fails, and whatever `take` fails with.
    pub fn receive(&mut self, take: impl FnMut(Arrived<'_>)) -> Result<()> {
        match &mut self.carrier {
            Carrier::Sockets(it) => it.receive(take),
            Carrier::Frames(it) => it.receive(take),
        }
    }
}

impl Sockets {
    fn receive(&mut self, mut take: impl FnMut(Arrived<'_>)) -> Result<()> {
        self.ready.clear();
        let at_once = Timespec { tv_sec: 0, tv_nsec: 0 };
        epoll::wait(&self.readiness, spare_capacity(&mut self.ready), Some(&at_once))?;
        for event in &self.ready {
            let number = usize::try_from(event.data.u64())?;
            let mut is_first = true;
            self.sockets[number].receive(|_, packet| {
                take(Arrived { end: End(number), is_first, packet });
                is_first = false;
            })?;
        }
        Ok(())
    }
}
