//! One leg of a call as a bare socket: binds, seals, sends, receives, opens.

use anyhow::{Context, Result, bail};
use core::time::Duration;
use kakehashi_srtp::{
    Provider, RTP_OVERHEAD_BYTES, ReceivingSession, SendingSession, SessionKeys, StreamOpener,
    StreamSealer,
};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::media::{RelayPath, StreamPlan};
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader};
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};
use kakehashi_wire::terminal::CallReady;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Longest packet a leg makes or takes.
const PACKET_BYTES_MAX: usize = kakehashi_wire::limits::DATAGRAM_BYTES_MAX;

/// Receive queue a leg asks for: a second of 4,000 packets/s.
const RECEIVE_QUEUE_BYTES: usize = 8 << 20;

/// Bytes of the stamp at the start of every payload.
const STAMP_BYTES: usize = 8;

/// How often a binding is asked for before the relay counts as silent.
const BIND_ATTEMPTS: u32 = 20;

/// One leg: its socket, its keys and the streams of both directions.
pub struct LegClient {
    socket: UdpSocket,
    path: RelayPath,
    stream: StreamPlan,
    sending: SendingSession,
    receiving: Vec<ReceivingSession>,
    buffer: Box<[u8; PACKET_BYTES_MAX]>,
    timestamp: u32,
}

/// What a leg received.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Arrival {
    /// An authentic media packet of another member.
    Media {
        /// The stamp its sender gave it.
        stamp: u64,
    },
    /// A STUN message.
    Stun,
    /// A packet that none of the members can have sealed, or one that came before.
    Refused,
}

impl LegClient {
    /// A leg on its own loopback socket, for the first stream and the primary relay of `ready`.
    ///
    /// # Errors
    /// If the call has no stream or path, or no socket can be had.
    pub fn new(ready: &CallReady) -> Result<Self> {
        let path = ready.paths.first().context("the call has no relay")?;
        let local = match SocketAddr::from(path.address) {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        Self::over(ready, path, local)
    }

    /// A leg on a socket of its own at `local`, for the first stream of `ready` and the relay of
    /// `path`. Two legs of one stream send the same packets if they are given the same payloads.
    ///
    /// # Errors
    /// If the call has no stream, or no socket can be had.
    pub fn over(ready: &CallReady, path: &RelayPath, local: IpAddr) -> Result<Self> {
        let path = path.clone();
        let stream = *ready.streams.first().context("the call has no stream to send")?;
        let relay = SocketAddr::from(path.address);
        let socket = UdpSocket::bind((local, 0)).context("no UDP socket to be had")?;
        socket.connect(relay).context("cannot reach the relay")?;
        // As much as the machine allows: what overflows here would count against the relay.
        let _ = socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_QUEUE_BYTES);
        let provider = Provider::AwsLcRs;
        let mut sending = SendingSession::new(SessionKeys::derive(provider, &ready.key));
        sending.add(StreamSealer::new(stream.ssrc, stream.first_sequence))?;
        let receiving = ready
            .senders
            .iter()
            .map(|sender| {
                let key = sender.key.as_ref().context("the load needs a call of the pass lane")?;
                let mut session = ReceivingSession::new(SessionKeys::derive(provider, key));
                for stream in &sender.streams {
                    session.add(StreamOpener::new(stream.ssrc))?;
                }
                Ok(session)
            })
            .collect::<Result<_>>()?;
        let buffer = Box::new([0; PACKET_BYTES_MAX]);
        Ok(Self { socket, path, stream, sending, receiving, buffer, timestamp: 0 })
    }

    /// The relay this leg speaks to.
    pub fn relay_address(&self) -> SocketAddr {
        self.path.address.into()
    }

    /// The leg's own socket for somebody else: what an attacker has who can forge the source
    /// address.
    ///
    /// # Errors
    /// If the system has no descriptor left.
    pub fn spoofed(&self) -> Result<UdpSocket> {
        self.socket.try_clone().context("the socket cannot be shared")
    }

    /// Binds this leg's address at the relay.
    ///
    /// # Errors
    /// If the relay stays silent.
    pub fn bind(&mut self) -> Result<()> {
        self.wait_at_most(Duration::from_millis(100))?;
        let fragment = self.path.leg.fragment();
        for attempt in 0..BIND_ATTEMPTS {
            let mut transaction = [0x4b; 12];
            transaction[..4].copy_from_slice(&attempt.to_be_bytes());
            let transaction = TransactionId(transaction);
            let password = *self.path.relay_password.as_bytes();
            let check = StunMessage::check(transaction, &fragment, &fragment, 1, &password);
            self.socket.send(check.bytes()).context("cannot send to the relay")?;
            let Some(bytes) = self.take()? else { continue };
            let answer = StunView::parse(&self.buffer[..bytes]);
            if answer.is_ok_and(|answer| {
                answer.kind() == StunKind::Success && answer.is_keyed_by(&password)
            }) {
                return Ok(());
            }
        }
        bail!("the relay at {} does not answer bindings", self.relay_address())
    }

    /// Seals and sends one packet whose payload is `stamp` and filling up to `payload_bytes`; gives
    /// the sealed packet's length. It stays in the buffer for [`last_sent`](Self::last_sent).
    ///
    /// # Errors
    /// If the key is used up or the socket refuses.
    pub fn send(&mut self, stamp: u64, payload_bytes: usize) -> Result<usize> {
        const PAYLOAD_MAX: usize = PACKET_BYTES_MAX - FIXED_HEADER_BYTES - RTP_OVERHEAD_BYTES;
        let payload_bytes = payload_bytes.clamp(STAMP_BYTES, PAYLOAD_MAX);
        let sealer = self.sending.stream(self.stream.ssrc).context("the stream was added")?;
        let header = RtpHeader {
            marker: false,
            payload_type: self.stream.codec.payload_type(),
            sequence: sealer.next_sequence()?,
            timestamp: self.timestamp,
            ssrc: self.stream.ssrc,
        };
        self.timestamp = self.timestamp.wrapping_add(960);
        self.buffer[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
        self.buffer[FIXED_HEADER_BYTES..FIXED_HEADER_BYTES + payload_bytes].fill(0x55);
        self.buffer[FIXED_HEADER_BYTES..FIXED_HEADER_BYTES + STAMP_BYTES]
            .copy_from_slice(&stamp.to_be_bytes());
        let plain = FIXED_HEADER_BYTES + payload_bytes;
        let sealed = self.sending.protect_rtp(&mut self.buffer[..], plain)?;
        self.socket.send(&self.buffer[..sealed]).context("cannot send to the relay")?;
        Ok(sealed)
    }

    /// The first `bytes` of what was sent last: a packet the relay has accepted once.
    pub fn last_sent(&self, bytes: usize) -> &[u8] {
        &self.buffer[..bytes]
    }

    /// Sets how long [`receive`](Self::receive) waits.
    ///
    /// # Errors
    /// If the socket refuses.
    pub fn wait_at_most(&self, wait: Duration) -> Result<()> {
        self.socket.set_read_timeout(Some(wait)).context("cannot set the socket's timeout")
    }

    /// Takes the next packet; `None` if none came in time.
    ///
    /// # Errors
    /// If the socket fails.
    pub fn receive(&mut self) -> Result<Option<Arrival>> {
        let Some(bytes) = self.take()? else { return Ok(None) };
        let packet = &mut self.buffer[..bytes];
        if DatagramKind::of(packet) == DatagramKind::Stun {
            return Ok(Some(Arrival::Stun));
        }
        for session in &mut self.receiving {
            if let Ok(opened) = session.unprotect_rtp(packet) {
                let stamp = packet[..opened.bytes]
                    .get(FIXED_HEADER_BYTES..)
                    .and_then(|payload| payload.first_chunk())
                    .map_or(0, |stamp| u64::from_be_bytes(*stamp));
                return Ok(Some(Arrival::Media { stamp }));
            }
        }
        Ok(Some(Arrival::Refused))
    }

    /// Receives into the buffer; `None` if nothing came in time.
    fn take(&mut self) -> Result<Option<usize>> {
        use std::io::ErrorKind::{ConnectionRefused, TimedOut, WouldBlock};
        match self.socket.recv(&mut self.buffer[..]) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(error) if matches!(error.kind(), TimedOut | WouldBlock | ConnectionRefused) => {
                Ok(None)
            }
            Err(error) => Err(error).context("cannot receive from the relay"),
        }
    }
}
