//! A UDP socket that sends trains and receives in batches: one system call for many packets on
//! either side, so that a generator on one core can outpace the relay on another.

use core::array;
use quinn_udp::{BATCH_SIZE, RecvMeta, Transmit, UdpSockRef, UdpSocketState};
use rustix::net::sockopt;
use std::io::{self, ErrorKind, IoSliceMut};
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::os::fd::{AsFd, BorrowedFd};

/// Queue asked for in each direction: a tenth of a second at 10 Gbit/s, so that a pause of ours
/// does not look like loss in the relay.
const QUEUE_BYTES: usize = 64 << 20;

/// Longest train the kernel hands over in one piece (`GRO_MAX_SIZE` of UDP).
const TRAIN_BYTES_MAX: usize = 1 << 16;

/// Longest payload of one send: the most that IPv4's length field leaves.
const SEND_BYTES_MAX: usize = 65_507;

/// System calls one [`BatchSocket::receive`] makes at most, so that a flood cannot hold its caller.
const CALLS_MAX: usize = 16;

/// A non-blocking socket with the kernel's segmentation and coalescing of trains.
pub struct BatchSocket {
    socket: UdpSocket,
    state: UdpSocketState,
    local: SocketAddr,
    trains: Box<[u8]>,
}

impl BatchSocket {
    /// A socket on a free port of `ip`.
    ///
    /// # Errors
    /// If the system has no socket for that address.
    pub fn bind(ip: IpAddr) -> io::Result<Self> {
        let socket = UdpSocket::bind((ip, 0))?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        enlarge_queues(&socket);
        let local = socket.local_addr()?;
        let trains = vec![0; BATCH_SIZE * TRAIN_BYTES_MAX].into_boxed_slice();
        Ok(Self { socket, state, local, trains })
    }

    /// The same socket once more, so that one thread sends and another receives.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn try_clone(&self) -> io::Result<Self> {
        let socket = self.socket.try_clone()?;
        let state = UdpSocketState::new(UdpSockRef::from(&socket))?;
        let trains = vec![0; self.trains.len()].into_boxed_slice();
        Ok(Self { socket, state, local: self.local, trains })
    }

    /// Where this socket is reached.
    pub fn local(&self) -> SocketAddr {
        self.local
    }

    /// For waiting until something comes.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Sends `bytes` as datagrams of `segment_bytes`, the last of which may be shorter. One system
    /// call for as many as the kernel segments at once (64 packets, 65,507 bytes); one for each
    /// packet where it cannot segment at all.
    ///
    /// # Errors
    /// [`ErrorKind::WouldBlock`] if the queue is full, and whatever else the kernel says, such as
    /// that a segment is longer than the path takes. Segments before that have been sent.
    pub fn send_train(&self, to: SocketAddr, bytes: &[u8], segment_bytes: usize) -> io::Result<()> {
        if segment_bytes == 0 {
            return Err(io::Error::new(ErrorKind::InvalidInput, "a segment has at least a byte"));
        }
        let mut left = bytes;
        while !left.is_empty() {
            let segments = self.state.max_gso_segments().min(SEND_BYTES_MAX / segment_bytes).max(1);
            let (now, later) = left.split_at(left.len().min(segments * segment_bytes));
            match self.send(to, now, segment_bytes) {
                Ok(()) => left = later,
                // The library found that this path cannot segment and will not offer it again.
                Err(_) if segments > 1 && self.state.max_gso_segments() == 1 => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn send(&self, to: SocketAddr, bytes: &[u8], segment_bytes: usize) -> io::Result<()> {
        let train = Transmit {
            destination: to,
            ecn: None,
            contents: bytes,
            segment_size: Some(segment_bytes),
            src_ip: None,
        };
        self.state.try_send(UdpSockRef::from(&self.socket), &train)
    }

    /// Hands each datagram there is to `take`, with its sender, and gives how many there were: 0
    /// if none. Returns early under a flood; the descriptor then stays readable.
    ///
    /// # Errors
    /// If the socket fails.
    pub fn receive(&mut self, mut take: impl FnMut(SocketAddr, &mut [u8])) -> io::Result<usize> {
        let mut datagrams = 0;
        for _ in 0..CALLS_MAX {
            let mut metas = [RecvMeta::default(); BATCH_SIZE];
            let mut rest = &mut self.trains[..];
            let mut buffers: [IoSliceMut<'_>; BATCH_SIZE] = array::from_fn(|_| {
                let (buffer, after) = core::mem::take(&mut rest).split_at_mut(TRAIN_BYTES_MAX);
                rest = after;
                IoSliceMut::new(buffer)
            });
            let socket = UdpSockRef::from(&self.socket);
            let trains = match self.state.recv(socket, &mut buffers, &mut metas) {
                Ok(trains) => trains,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            };
            for (buffer, meta) in buffers.iter_mut().zip(&metas[..trains]) {
                for datagram in buffer[..meta.len].chunks_mut(meta.stride.max(1)) {
                    take(meta.addr, datagram);
                    datagrams += 1;
                }
            }
            if trains < BATCH_SIZE {
                break;
            }
        }
        Ok(datagrams)
    }
}

/// As much as asked for where the process may, as much as the machine's limits allow elsewhere.
fn enlarge_queues(socket: &UdpSocket) {
    let limited = socket2::SockRef::from(socket);
    if sockopt::set_socket_recv_buffer_size_force(socket, QUEUE_BYTES).is_err() {
        let _ = limited.set_recv_buffer_size(QUEUE_BYTES);
    }
    if sockopt::set_socket_send_buffer_size_force(socket, QUEUE_BYTES).is_err() {
        let _ = limited.set_send_buffer_size(QUEUE_BYTES);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    use std::net::Ipv4Addr;

    const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

    /// All datagrams that come until `count` are there.
    fn all(socket: &mut BatchSocket, count: usize) -> Vec<(SocketAddr, Vec<u8>)> {
        let mut taken = Vec::new();
        while taken.len() < count {
            let wait = Timespec::try_from(Duration::from_secs(20)).unwrap();
            let ready =
                poll(&mut [PollFd::from_borrowed_fd(socket.as_fd(), PollFlags::IN)], Some(&wait));
            assert_eq!(ready.unwrap(), 1, "{} of {count} datagrams came", taken.len());
            socket.receive(|from, bytes| taken.push((from, bytes.to_vec()))).unwrap();
        }
        taken
    }

    #[test]
    fn a_train_arrives_as_the_datagrams_it_was_made_of() {
        let (sender, mut receiver) =
            (BatchSocket::bind(HERE).unwrap(), BatchSocket::bind(HERE).unwrap());
        let train: Vec<u8> = (0..10 * 1_200 + 7_usize).map(|at| (at / 1_200) as u8).collect();
        sender.send_train(receiver.local(), &train, 1_200).unwrap();
        let taken = all(&mut receiver, 11);
        assert!(taken.iter().all(|(from, _)| *from == sender.local()));
        let bytes: Vec<Vec<u8>> = taken.into_iter().map(|(_, bytes)| bytes).collect();
        assert_eq!(bytes, train.chunks(1_200).map(<[u8]>::to_vec).collect::<Vec<_>>());
    }

    #[test]
    fn a_train_longer_than_the_kernel_takes_goes_in_pieces() {
        let (sender, mut receiver) =
            (BatchSocket::bind(HERE).unwrap(), BatchSocket::bind(HERE).unwrap());
        let train = vec![0x4b; 200 * 1_000];
        sender.send_train(receiver.local(), &train, 1_000).unwrap();
        assert!(all(&mut receiver, 200).iter().all(|(_, bytes)| bytes.len() == 1_000));
    }

    #[test]
    fn short_and_single_datagrams_keep_their_borders() {
        let (sender, mut receiver) =
            (BatchSocket::bind(HERE).unwrap(), BatchSocket::bind(HERE).unwrap());
        for bytes in [1_usize, 172, 1_200, 3] {
            sender.send_train(receiver.local(), &vec![7; bytes], 1_200).unwrap();
        }
        let lengths: Vec<usize> = all(&mut receiver, 4).iter().map(|(_, b)| b.len()).collect();
        assert_eq!(lengths, [1, 172, 1_200, 3]);
    }

    #[test]
    fn nothing_to_take_is_no_error() {
        let mut socket = BatchSocket::bind(HERE).unwrap();
        assert_eq!(socket.receive(|_, _| ()).unwrap(), 0);
    }

    #[test]
    fn a_train_without_segments_is_refused() {
        let socket = BatchSocket::bind(HERE).unwrap();
        let error = socket.send_train(socket.local(), &[1], 0).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidInput);
    }
}
