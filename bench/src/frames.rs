//! Ends that the load's kernel knows nothing of: whole frames go to a device and come from it
//! (AF_PACKET), many with one system call, so that one core can offer a relay full batches.
//!
//! The kernel of the load's side does not own their address, and the frames for them have another
//! MAC address than its device: it hands each to us, and drops it before it looks further.

use crate::ends::{Arrived, End};
use crate::frame::{ETHERNET_BYTES, Mac, header, read};
use crate::workload::Workload;
use anyhow::{Context, Result, bail};
use core::array;
use core::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, MultiHeaders, SockFlag, SockProtocol, SockType, bind,
    recvmmsg, sendmmsg, socket,
};
use rustix::net::sockopt;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

/// Frames of one system call at most.
pub(crate) const BATCH: usize = 64;

/// Port of the first end; the others follow.
const FIRST_PORT: u16 = 20_000;

/// As many bytes as a pause of ours fills at any rate of interest.
const QUEUE_BYTES: usize = 256 << 20;

/// The longest frame that arrives: a train as one buffer (`UDP_MAX_SEGMENTS`, IPv4's length).
const TRAIN_PACKETS_MAX: usize = 64;
const TRAIN_BYTES_MAX: usize = ETHERNET_BYTES + (1 << 16);

/// Between whom frames travel.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameWay {
    /// The device on the load's side.
    pub device: &'static str,
    /// The ends' address.
    pub ip: Ipv4Addr,
    /// Its MAC address: not the device's own.
    pub mac: Mac,
    /// The MAC address of the subject's device.
    pub subject: Mac,
}

/// The ends of one subject's traffic.
pub struct FrameEnds {
    socket: OwnedFd,
    way: FrameWay,
    ends: usize,
    train: usize,
    packet_bytes: usize,
    outgoing: Outgoing,
    incoming: Box<[u8]>,
    incoming_bytes: usize,
    receive_headers: MultiHeaders<()>,
}

/// Frames that wait to be sent.
struct Outgoing {
    bytes: Vec<u8>,
    /// Where each ends.
    frames: Vec<usize>,
    headers: MultiHeaders<()>,
}

impl FrameEnds {
    /// To be called on the load's side.
    ///
    /// # Errors
    /// If there is no right to send frames, or no such device.
    pub fn open(workload: &Workload, way: FrameWay) -> Result<Self> {
        let socket = open_on(way.device, Some(SockProtocol::EthIp))?;
        let train = usize::from(workload.train);
        let train_bytes = workload.packet_bytes * TRAIN_PACKETS_MAX;
        // Of different places in the cache.
        let incoming_bytes = train_bytes.min(TRAIN_BYTES_MAX).next_multiple_of(64) + 64;
        Ok(Self {
            socket,
            way,
            ends: workload.ends(),
            train,
            packet_bytes: workload.packet_bytes,
            outgoing: Outgoing::new(),
            incoming: vec![0; BATCH * incoming_bytes].into_boxed_slice(),
            incoming_bytes,
            receive_headers: MultiHeaders::preallocate(BATCH, None),
        })
    }

    /// The address of an end.
    pub fn local(&self, end: usize) -> SocketAddr {
        SocketAddr::from((self.way.ip, port_of(end)))
    }

    /// As many as one call sends.
    pub fn trains_a_turn(&self) -> usize {
        (BATCH / self.train).max(1)
    }

    /// For waiting.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Lines datagrams up.
    pub fn send(
        &mut self,
        end: usize,
        to: SocketAddr,
        bytes: &[u8],
        segment_bytes: usize,
    ) -> Result<()> {
        let SocketAddr::V4(to) = to else { bail!("{to} is not of IPv4") };
        let from = SocketAddrV4::new(self.way.ip, port_of(end));
        for packet in bytes.chunks(segment_bytes) {
            self.outgoing.push(&header(
                (self.way.mac, self.way.subject),
                (from, to),
                packet.len(),
            )?);
            self.outgoing.extend(packet);
            if self.outgoing.frames.len() == BATCH {
                self.flush()?;
            }
        }
        Ok(())
    }

    /// Sends what is lined up.
    pub fn flush(&mut self) -> Result<()> {
        self.outgoing.send(&self.socket)
    }

    /// Hands on what has arrived: what one system call brings.
    pub fn receive(&mut self, mut take: impl FnMut(Arrived<'_>)) -> Result<()> {
        let mut lengths = [0; BATCH];
        let frames = self.fetch(&mut lengths)?;
        let mut is_first = true;
        let buffers = self.incoming.chunks_mut(self.incoming_bytes);
        for (buffer, length) in buffers.zip(lengths).take(frames) {
            let Some((port, train)) = buffer.get_mut(..length).and_then(|it| read(it, self.way.ip))
            else {
                continue;
            };
            let end = usize::from(port.wrapping_sub(FIRST_PORT));
            if end >= self.ends {
                continue;
            }
            let is_train = train.len().is_multiple_of(self.packet_bytes);
            let packet_bytes = if is_train { self.packet_bytes } else { train.len().max(1) };
            for packet in train.chunks_mut(packet_bytes) {
                take(Arrived { end: End(end), is_first, packet });
                is_first = false;
            }
        }
        Ok(())
    }

    /// Fills buffers; gives how many.
    fn fetch(&mut self, lengths: &mut [usize; BATCH]) -> Result<usize> {
        let mut rest = &mut self.incoming[..];
        let mut buffers: [[IoSliceMut<'_>; 1]; BATCH] = array::from_fn(|_| {
            let (buffer, after) = core::mem::take(&mut rest).split_at_mut(self.incoming_bytes);
            rest = after;
            [IoSliceMut::new(buffer)]
        });
        let (socket, headers) = (self.socket.as_raw_fd(), &mut self.receive_headers);
        let arrived =
            match recvmmsg(socket, headers, buffers.iter_mut(), MsgFlags::MSG_DONTWAIT, None) {
                Ok(arrived) => arrived,
                Err(Errno::EAGAIN | Errno::EINTR) => return Ok(0),
                Err(error) => return Err(error).context("the sink cannot receive"),
            };
        let mut frames = 0;
        for (message, length) in arrived.zip(lengths) {
            *length = message.bytes;
            frames += 1;
        }
        Ok(frames)
    }
}

impl Outgoing {
    fn new() -> Self {
        Self {
            bytes: Vec::new(),
            frames: Vec::with_capacity(BATCH),
            headers: MultiHeaders::preallocate(BATCH, None),
        }
    }

    /// Begins a frame.
    fn push(&mut self, header: &[u8]) {
        self.bytes.extend_from_slice(header);
        self.frames.push(self.bytes.len());
    }

    /// Goes on with the last frame.
    fn extend(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if let Some(end) = self.frames.last_mut() {
            *end = self.bytes.len();
        }
    }

    fn send(&mut self, socket: &OwnedFd) -> Result<()> {
        let mut start = 0;
        let frames = self.frames.iter().map(|end| {
            let frame = &self.bytes[start..*end];
            start = *end;
            frame
        });
        send_frames(socket, &mut self.headers, frames)?;
        self.bytes.clear();
        self.frames.clear();
        Ok(())
    }
}

/// Sends at most [`BATCH`] frames.
pub(crate) fn send_frames<'a>(
    socket: &OwnedFd,
    headers: &mut MultiHeaders<()>,
    mut frames: impl Iterator<Item = &'a [u8]>,
) -> Result<()> {
    let mut count = 0;
    let frames: [[IoSlice<'_>; 1]; BATCH] = array::from_fn(|_| {
        let frame = frames.next();
        count += usize::from(frame.is_some());
        [IoSlice::new(frame.unwrap_or_default())]
    });
    let mut left = &frames[..count];
    while !left.is_empty() {
        let to = &[None::<()>; BATCH][..left.len()];
        let control = [] as [ControlMessage<'_>; 0];
        match sendmmsg(socket.as_raw_fd(), headers, left, to, control, MsgFlags::empty()) {
            Ok(sent) => left = &left[sent.count()..],
            // What the device has no place for is lost, as it is on a wire.
            Err(Errno::ENOBUFS) => left = &left[1..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

fn port_of(end: usize) -> u16 {
    FIRST_PORT + u16::try_from(end).expect("invariant: a workload has a few hundred ends")
}

/// A socket for whole frames over one device; without a protocol it only sends.
pub(crate) fn open_on(device: &str, receives: Option<SockProtocol>) -> Result<OwnedFd> {
    let mut addresses = getifaddrs()?.filter(|it| it.interface_name == device);
    let link = addresses
        .find_map(|it| it.address.filter(|address| address.as_link_addr().is_some()))
        .with_context(|| format!("there is no device {device}"))?;
    let flags = SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Packet, SockType::Raw, flags, receives)
        .context("sending frames needs CAP_NET_RAW")?;
    sockopt::set_socket_recv_buffer_size_force(&socket, QUEUE_BYTES)?;
    sockopt::set_socket_send_buffer_size_force(&socket, QUEUE_BYTES)?;
    bind(socket.as_raw_fd(), &link)?;
    Ok(socket)
}
