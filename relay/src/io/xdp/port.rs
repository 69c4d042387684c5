//! An AF_XDP socket on one queue of a NIC: its frames, its four rings, and who has which frame.
//!
//! ```text
//! ours, free --fill--> kernel --receive--> ours, a batch --transmit--> kernel --completion--> ours
//! ```

#![expect(unsafe_code, reason = "AF_XDP has no safe form")]

use super::frame::UDP_CHECKSUM_AT;
use super::ring::{Consumer, Layout, Producer};
use crate::capacity::xdp::{FRAMES, FRAMES_TO_SEND, RING_ENTRIES, TRANSMIT_BUDGET, WAKES_PER_SEND};
use crate::memory::{Frame, Frames};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

/// Packets that one call transmits at most in copy mode (`linux/if_xdp.h`, Linux 6.18).
const XDP_MAX_TX_SKB_BUDGET: i32 = 9;

/// How a socket is to be bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Copies {
    /// The NIC writes to our frames: needs support of its driver.
    None,
    /// The kernel copies: works on every device.
    Kernel,
}

/// Who adds up the checksums of what is sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Sums {
    /// We do.
    Ours,
    /// The NIC, or the kernel for a NIC that does not.
    Theirs,
}

/// Bytes in front of a packet in which its checksum is asked for (`struct xsk_tx_metadata`).
pub(super) const ASKED_BYTES: usize = 24;

/// Where a received packet lies.
pub(super) struct Arrived {
    pub(super) frame: Frame,
    pub(super) start: usize,
    pub(super) bytes: usize,
}

/// What the kernel has counted of one socket (`XDP_STATISTICS`).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(super) struct Losses {
    /// Packets dropped, but for those of the next.
    pub(super) dropped: u64,
    /// Packets for which the receive ring had no place.
    pub(super) receive_full: u64,
    /// Times there was no frame.
    pub(super) fill_empty: u64,
}

/// One shard's way to its queue. Fields are dropped in order: the socket first, which the frames
/// are lent to, and the frames last.
pub(crate) struct XdpPort {
    socket: OwnedFd,
    fill: Producer<u64>,
    receive: Consumer<libc::xdp_desc>,
    transmit: Producer<libc::xdp_desc>,
    completion: Consumer<u64>,
    free: Vec<Frame>,
    copies: Copies,
    sums: Sums,
    frames: Frames,
}

impl XdpPort {
    /// A socket on queue `queue` of the interface with number `interface`, bound and with frames to
    /// receive into. `busy_poll_us` other than 0 lets the kernel poll the queue in our calls.
    /// Checksums are left to the kernel if `sums` says so and it can: Linux 6.11.
    ///
    /// # Errors
    /// The kernel's: no right to it, no such queue, another has it, no support for `copies`.
    pub(crate) fn open(
        (interface, queue): (u32, u32),
        (copies, sums): (Copies, Sums),
        frame_bytes: usize,
        busy_poll_us: u32,
    ) -> io::Result<Self> {
        let (frames, free) = Frames::new(FRAMES, frame_bytes)?;
        let socket = socket()?;
        let fd = socket.as_fd();
        let sums = register(fd, &frames, sums)?;
        for ring in [
            libc::XDP_UMEM_FILL_RING,
            libc::XDP_UMEM_COMPLETION_RING,
            libc::XDP_RX_RING,
            libc::XDP_TX_RING,
        ] {
            set(fd, libc::SOL_XDP, ring, &RING_ENTRIES)?;
        }
        let offsets = offsets(fd)?;
        let (fill, completion) =
            (libc::XDP_UMEM_PGOFF_FILL_RING, libc::XDP_UMEM_PGOFF_COMPLETION_RING);
        let page = |page: u64| libc::off_t::try_from(page).map_err(io::Error::other);
        let layout = |page, offsets| Layout { page, offsets, count: RING_ENTRIES };
        let mut port = Self {
            fill: Producer::map(fd, layout(page(fill)?, offsets.fr))?,
            receive: Consumer::map(fd, layout(libc::XDP_PGOFF_RX_RING, offsets.rx))?,
            transmit: Producer::map(fd, layout(libc::XDP_PGOFF_TX_RING, offsets.tx))?,
            completion: Consumer::map(fd, layout(page(completion)?, offsets.cr))?,
            free,
            copies,
            sums,
            frames,
            socket,
        };
        // In copy mode a call sends 32 packets otherwise; older kernels do not know this.
        let _older = set(port.fd(), libc::SOL_XDP, XDP_MAX_TX_SKB_BUDGET, &TRANSMIT_BUDGET);
        port.poll_busily(busy_poll_us);
        port.refill();
        bind(port.fd(), (interface, queue), copies)?;
        Ok(port)
    }

    /// How the socket is bound.
    pub(crate) fn copies(&self) -> Copies {
        self.copies
    }

    /// Who adds up checksums.
    pub(crate) fn sums(&self) -> Sums {
        self.sums
    }

    /// The frames.
    pub(super) fn frames(&self) -> &Frames {
        &self.frames
    }

    /// The frames, to write to.
    pub(super) fn frames_mut(&mut self) -> &mut Frames {
        &mut self.frames
    }

    /// The socket, to poll it.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Takes back what was sent, and lends the kernel frames to receive into.
    pub(super) fn refill(&mut self) {
        while let Some(address) = self.completion.pop() {
            // SAFETY: the kernel took this frame to send it, and says here that it has.
            let returned = unsafe { self.frames.returned(address) };
            self.free.extend(returned.map(|(frame, _)| frame));
        }
        self.completion.release();
        let keep = self.free.len().saturating_sub(FRAMES_TO_SEND);
        let mut lent = (self.fill.room() as usize).min(keep);
        while lent > 0
            && let Some(frame) = self.free.pop()
        {
            let address = self.frames.address(&frame, 0);
            if self.fill.push(address).is_err() {
                self.free.push(frame);
                break;
            }
            lent -= 1;
        }
        self.fill.publish();
        if self.fill.wants_waking() {
            // SAFETY: receives nothing into nothing; it only makes the kernel look.
            unsafe {
                libc::recv(self.socket.as_raw_fd(), core::ptr::null_mut(), 0, libc::MSG_DONTWAIT);
            }
        }
    }

    /// The next packet that has arrived.
    pub(super) fn next(&mut self) -> Option<Arrived> {
        let libc::xdp_desc { addr, len, .. } = self.receive.pop()?;
        // SAFETY: the kernel took this frame to receive into, and says here that it has.
        let (frame, start) = unsafe { self.frames.returned(addr) }?;
        let bytes = (len as usize).min(self.frames.frame_bytes() - start);
        Some(Arrived { frame, start, bytes })
    }

    /// Gives the kernel the places of what was taken by [`next`](Self::next).
    pub(super) fn taken(&mut self) {
        self.receive.release();
    }

    /// Whether more waits to be received.
    pub(super) fn has_more(&mut self) -> bool {
        self.receive.has_more()
    }

    /// A frame to write a packet into.
    pub(super) fn take_free(&mut self) -> Option<Frame> {
        self.free.pop()
    }

    /// A frame that is no longer needed.
    pub(super) fn give_back(&mut self, frame: Frame) {
        self.free.push(frame);
    }

    /// Lines up `bytes` bytes of a frame from `start` on to be sent; the frame comes back if the
    /// ring has no place for it.
    pub(super) fn transmit(
        &mut self,
        frame: Frame,
        start: usize,
        bytes: usize,
    ) -> Result<(), Frame> {
        let len = u32::try_from(bytes).unwrap_or(0);
        let options = if self.sums == Sums::Theirs { libc::XDP_TX_METADATA } else { 0 };
        let entry = libc::xdp_desc { addr: self.frames.address(&frame, start), len, options };
        self.transmit.push(entry).map_err(|_full| frame)
    }

    /// Asks for the checksum of the packet that begins at `start` and whose UDP header is `udp`
    /// bytes further on; `None` if there is no room for it.
    pub(super) fn ask_for_sum(&mut self, frame: &Frame, start: usize, udp: usize) -> Option<()> {
        let room = self.frames.bytes_mut(frame, start.checked_sub(ASKED_BYTES)?..start)?;
        let (flags, rest) = room.split_first_chunk_mut()?;
        *flags = u64::from(libc::XDP_TXMD_FLAGS_CHECKSUM).to_ne_bytes();
        let (first, rest) = rest.split_first_chunk_mut()?;
        *first = u16::try_from(udp).ok()?.to_ne_bytes();
        let (field, rest) = rest.split_first_chunk_mut()?;
        *field = u16::try_from(UDP_CHECKSUM_AT).ok()?.to_ne_bytes();
        rest.fill(0);
        Some(())
    }

    /// Sends what was lined up. What the kernel cannot take now stays in the ring for the next
    /// call.
    pub(super) fn send(&mut self, calls: &mut u64) -> io::Result<()> {
        self.transmit.publish();
        for _ in 0..WAKES_PER_SEND {
            if !self.transmit.wants_waking() || !self.transmit.is_behind() {
                return Ok(());
            }
            *calls += 1;
            // SAFETY: sends nothing from nothing; it only makes the kernel look.
            let sent = unsafe {
                libc::send(self.socket.as_raw_fd(), core::ptr::null(), 0, libc::MSG_DONTWAIT)
            };
            if sent < 0 {
                let error = io::Error::last_os_error();
                match error.raw_os_error() {
                    // More is to be sent than one call does.
                    Some(libc::EAGAIN | libc::EINTR) => {}
                    _ => return Err(error),
                }
            }
        }
        Ok(())
    }

    /// Whether something lined up has not been taken yet.
    pub(super) fn is_behind(&mut self) -> bool {
        self.transmit.is_behind()
    }

    /// What the kernel has lost so far; one system call.
    pub(super) fn losses(&self) -> Option<Losses> {
        // SAFETY: integers, for which zero is a value.
        let mut counted: libc::xdp_statistics = unsafe { core::mem::zeroed() };
        get(self.socket.as_fd(), libc::XDP_STATISTICS, &mut counted).ok()?;
        Some(Losses {
            dropped: counted.rx_dropped,
            receive_full: counted.rx_ring_full,
            fill_empty: counted.rx_fill_ring_empty_descs,
        })
    }

    /// Lets the kernel poll the queue inside our calls instead of by interrupts. A kernel or driver
    /// that cannot goes on with interrupts.
    fn poll_busily(&self, microseconds: u32) {
        if microseconds == 0 {
            return;
        }
        let options = [(libc::SO_PREFER_BUSY_POLL, 1), (libc::SO_BUSY_POLL, microseconds)];
        for (option, value) in options {
            if let Err(error) = set(self.fd(), libc::SOL_SOCKET, option, &value) {
                tracing::warn!(event = "busy_polling_missing", %error,
                    "no busy polling: it needs CAP_NET_ADMIN and Linux 5.11");
                return;
            }
        }
    }
}

fn socket() -> io::Result<OwnedFd> {
    // SAFETY: a plain system call.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the descriptor was just made, and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Lends the kernel our frames for as long as the socket is open; says who adds up checksums.
fn register(socket: BorrowedFd<'_>, frames: &Frames, sums: Sums) -> io::Result<Sums> {
    let (addr, len) = frames.region();
    let narrow = |bytes: usize| u32::try_from(bytes).map_err(io::Error::other);
    let chunk_size = narrow(frames.frame_bytes())?;
    let lend = |flags, tx_metadata_len| {
        let region =
            libc::xdp_umem_reg { addr, len, chunk_size, headroom: 0, flags, tx_metadata_len };
        set(socket, libc::SOL_XDP, libc::XDP_UMEM_REG, &region)
    };
    if sums == Sums::Theirs && lend(libc::XDP_UMEM_TX_METADATA_LEN, narrow(ASKED_BYTES)?).is_ok() {
        return Ok(Sums::Theirs);
    }
    lend(0, 0).map(|()| Sums::Ours)
}

fn bind(socket: BorrowedFd<'_>, (interface, queue): (u32, u32), copies: Copies) -> io::Result<()> {
    let mode = match copies {
        Copies::None => libc::XDP_ZEROCOPY,
        Copies::Kernel => libc::XDP_COPY,
    };
    let address = libc::sockaddr_xdp {
        sxdp_family: u16::try_from(libc::AF_XDP).unwrap_or(0),
        sxdp_flags: mode | libc::XDP_USE_NEED_WAKEUP,
        sxdp_ifindex: interface,
        sxdp_queue_id: queue,
        sxdp_shared_umem_fd: 0,
    };
    let length = libc::socklen_t::try_from(size_of_val(&address)).unwrap_or(0);
    // SAFETY: the address lives through the call and is as long as it says.
    let result = unsafe { libc::bind(socket.as_raw_fd(), (&raw const address).cast(), length) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn offsets(socket: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    // SAFETY: integers, for which zero is a value.
    let mut offsets: libc::xdp_mmap_offsets = unsafe { core::mem::zeroed() };
    get(socket, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    Ok(offsets)
}

/// Sets an option to a value of plain integers.
fn set<T>(socket: BorrowedFd<'_>, level: i32, option: i32, value: &T) -> io::Result<()> {
    let length = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    // SAFETY: the value lives through the call and is as long as it says.
    let result = unsafe {
        libc::setsockopt(socket.as_raw_fd(), level, option, (&raw const *value).cast(), length)
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Reads an option of AF_XDP into a value of plain integers.
fn get<T>(socket: BorrowedFd<'_>, option: i32, value: &mut T) -> io::Result<()> {
    let mut length = libc::socklen_t::try_from(size_of_val(value)).unwrap_or(0);
    let wanted = length;
    // SAFETY: the value is as long as `length` says and may hold any bytes; both live through the
    // call.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_XDP,
            option,
            (&raw mut *value).cast(),
            &raw mut length,
        )
    };
    match result {
        0 if length == wanted => Ok(()),
        0 => Err(io::Error::other("this kernel's AF_XDP is older than Linux 5.4")),
        _ => Err(io::Error::last_os_error()),
    }
}
