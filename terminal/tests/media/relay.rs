//! The relay of these tests: answers STUN, challenges each new address once, and carries what one
//! leg sends to the other.
//!
//! It can lose, repeat and delay what it carries, send what it should not, answer requests for lost
//! packets, and seal for each leg.

use crate::sides::key;
use kakehashi_srtp::{
    Provider, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, ReceivingSession, RtcpIndex, SealerPosition,
    SendingSession, SessionKeys, StreamOpener, StreamSealer,
};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::{Epoch, LegId, RelayId};
use kakehashi_wire::media::{RelayPath, RelayRole, SealedDownlink};
use kakehashi_wire::rtcp::{RtcpPacket, RtcpView};
use kakehashi_wire::rtp::{RtpView, Ssrc};
use kakehashi_wire::secret::{DownlinkSecret, IcePassword, Suite};
use kakehashi_wire::stun::{StunKind, StunMessage, StunView, TransactionId};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// What the relay does with the `n`th media packet: one forwarded copy for each entry, late by so
/// much.
pub(crate) type Fate = fn(n: u64) -> &'static [u64];

pub(crate) const FAITHFUL: Fate = |_| &[0];

/// What a relay of these tests does beside carrying.
#[derive(Clone, Copy)]
pub(crate) struct Conduct {
    /// To each media packet.
    pub(crate) fate: Fate,
    /// Sends a damaged copy of each packet ahead of it.
    pub(crate) forge: bool,
    /// Answers requests for lost packets.
    pub(crate) answers: bool,
    /// Seals for each leg, in this epoch.
    pub(crate) seals: Option<Epoch>,
    /// Carries the first leg's media this slowly, in bits a second.
    pub(crate) slow: Option<u64>,
}

/// Media that waits for a slow link longer than this is dropped.
pub(crate) const QUEUE_MOST: Duration = Duration::from_millis(600);

impl Default for Conduct {
    fn default() -> Self {
        Self { fate: FAITHFUL, forge: false, answers: false, seals: None, slow: None }
    }
}

#[derive(Default)]
pub(crate) struct Seen {
    pub(crate) addresses: BTreeMap<u64, SocketAddr>,
    pub(crate) challenges_answered: u64,
    pub(crate) rtp: u64,
    pub(crate) rtp_lost: u64,
    pub(crate) rtp_repeated: u64,
    pub(crate) nowhere_to: u64,
    /// Sequence numbers asked for, and requests for key frames.
    pub(crate) nacked: u64,
    pub(crate) pictures_lost: u64,
    /// How long media waited for the slow link, packet by packet.
    pub(crate) waits: Vec<Duration>,
    busy_until: Option<Instant>,
    /// Both lanes: opens what a leg sends, to read its requests or to seal it anew.
    uplinks: BTreeMap<u64, ReceivingSession>,
    downlinks: BTreeMap<u64, SendingSession>,
    cache: BTreeMap<(Ssrc, u16), Vec<u8>>,
}

pub(crate) struct Relay {
    pub(crate) address: SocketAddr,
    pub(crate) seen: Arc<Mutex<Seen>>,
    conduct: Conduct,
    task: JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.task.abort();
    }
}

pub(crate) fn relay_password(leg: u64) -> IcePassword {
    IcePassword::from_random([leg as u8; 24])
}

pub(crate) fn terminal_password(leg: u64) -> IcePassword {
    IcePassword::from_random([leg as u8 ^ 0x20; 24])
}

fn relay_of(leg: u64) -> RelayId {
    RelayId((leg / 10) as u32)
}

pub(crate) fn downlink_keys(leg: u64, epoch: Epoch) -> SessionKeys {
    let secret = DownlinkSecret::from_random([leg as u8; 32]);
    SessionKeys::downlink(Provider::AwsLcRs, Suite::AeadAes256Gcm, &secret, relay_of(leg), epoch)
}

/// A leg's path as control would describe it.
pub(crate) fn path(
    leg: u64,
    role: RelayRole,
    address: SocketAddr,
    epoch: Option<Epoch>,
) -> RelayPath {
    let secret = DownlinkSecret::from_random([leg as u8; 32]);
    RelayPath {
        relay: relay_of(leg),
        role,
        address: address.into(),
        leg: LegId(leg),
        relay_password: relay_password(leg),
        terminal_password: terminal_password(leg),
        downlink: epoch.map(|epoch| SealedDownlink { suite: Suite::AeadAes256Gcm, secret, epoch }),
    }
}

impl Relay {
    /// A relay with legs `legs` and `legs + 1`. `forge` makes it send a damaged copy of each
    /// packet ahead of it.
    pub(crate) async fn start(legs: u64, fate: Fate, forge: bool) -> Self {
        Self::that(legs, Conduct { fate, forge, ..Conduct::default() }).await
    }

    pub(crate) async fn that(legs: u64, conduct: Conduct) -> Self {
        let socket = Arc::new(UdpSocket::bind("127.0.0.1:0").await.unwrap());
        let address = socket.local_addr().unwrap();
        let mut seen = Seen::default();
        for leg in [legs, legs + 1] {
            let keys = SessionKeys::derive(Provider::AwsLcRs, &key((leg % 10) as u8));
            let mut uplink = ReceivingSession::new(keys);
            streams_of(leg).for_each(|ssrc| uplink.add(StreamOpener::new(ssrc)).unwrap());
            seen.uplinks.insert(leg, uplink);
            if let Some(epoch) = conduct.seals {
                let mut downlink = SendingSession::new(downlink_keys(leg, epoch));
                let others = streams_of(other(legs, leg));
                others.for_each(|ssrc| downlink.add(StreamSealer::new(ssrc, 0)).unwrap());
                seen.downlinks.insert(leg, downlink);
            }
        }
        let seen = Arc::new(Mutex::new(seen));
        let task = tokio::spawn(serve(socket, legs, Arc::clone(&seen), conduct));
        Self { address, seen, conduct, task }
    }

    /// Seals for `leg` in another epoch from now on, as after a restart.
    pub(crate) fn renew(&self, legs: u64, leg: u64, epoch: Epoch) {
        let mut seen = self.seen.lock().unwrap();
        let mut downlink = SendingSession::new(downlink_keys(leg, epoch));
        for ssrc in streams_of(other(legs, leg)) {
            let next = seen.downlinks[&leg].stream(ssrc).unwrap().position().unwrap();
            let rtcp = RtcpIndex::from_value(0).unwrap();
            let position = SealerPosition { rtcp, ..next };
            downlink.add(StreamSealer::resume(ssrc, position)).unwrap();
        }
        seen.downlinks.insert(leg, downlink);
    }

    pub(crate) fn path(&self, leg: u64, role: RelayRole) -> RelayPath {
        path(leg, role, self.address, self.conduct.seals)
    }

    pub(crate) fn seals(&self) -> bool {
        self.conduct.seals.is_some()
    }

    pub(crate) fn terminal_address(&self, leg: u64) -> Option<SocketAddr> {
        self.seen.lock().unwrap().addresses.get(&leg).copied()
    }
}

fn other(legs: u64, leg: u64) -> u64 {
    if leg == legs { legs + 1 } else { legs }
}

/// Streams as `sides::plans` numbers them.
fn streams_of(leg: u64) -> impl Iterator<Item = Ssrc> {
    let first = 100 * (leg % 10) as u32;
    (first..first + 2).map(Ssrc)
}

impl Seen {
    /// How long a datagram waits for a link of this rate; `None` if it is dropped.
    fn queue(&mut self, bytes: usize, bits_per_second: u64) -> Option<Duration> {
        let now = Instant::now();
        let free = self.busy_until.map_or(now, |busy| busy.max(now));
        if free - now > QUEUE_MOST {
            self.rtp_lost += 1;
            return None;
        }
        let free = free + Duration::from_micros(bytes as u64 * 8_000_000 / bits_per_second);
        self.busy_until = Some(free);
        self.waits.push(free - now);
        Some(free - now)
    }

    /// What leaves of a datagram that leg `leg` sent to leg `to`, and what is sent again to `leg`.
    fn carry(&mut self, leg: u64, to: u64, datagram: &[u8], conduct: Conduct) -> Carried {
        let mut carried = Carried { on: Some(datagram.to_vec()), again: Vec::new() };
        if !conduct.answers && conduct.seals.is_none() {
            return carried;
        }
        let mut plain = datagram.to_vec();
        let uplink = self.uplinks.get_mut(&leg).unwrap();
        if DatagramKind::of(datagram) == DatagramKind::Rtp {
            let header = RtpView::parse(datagram).unwrap().header();
            let opened = uplink.unprotect_rtp(&mut plain);
            if let Some(downlink) = self.downlinks.get_mut(&to) {
                carried.on = opened.ok().and_then(|opened| {
                    plain.resize(opened.bytes + RTP_OVERHEAD_BYTES, 0);
                    let sealed = downlink.protect_rtp(&mut plain, opened.bytes).ok()?;
                    Some(plain[..sealed].to_vec())
                });
            }
            if let Some(on) = &carried.on {
                self.cache.insert((header.ssrc, header.sequence), on.clone());
            }
            return carried;
        }
        let Ok(opened) = uplink.unprotect_rtcp(&mut plain) else {
            carried.on = None;
            return carried;
        };
        for packet in RtcpView::parse(&plain[..opened.bytes]).unwrap().packets() {
            match packet {
                RtcpPacket::Nack(nack) => {
                    self.nacked += nack.sequences().count() as u64;
                    let cached = |sequence| self.cache.get(&(nack.media, sequence)).cloned();
                    carried.again.extend(nack.sequences().filter_map(cached));
                    carried.on = None;
                }
                RtcpPacket::PictureLoss { .. } => self.pictures_lost += 1,
                _ => {}
            }
        }
        if let (Some(downlink), Some(_)) = (self.downlinks.get_mut(&to), &carried.on) {
            plain.resize(opened.bytes + RTCP_OVERHEAD_BYTES, 0);
            let sealed = downlink.protect_rtcp(&mut plain, opened.bytes).unwrap();
            carried.on = Some(plain[..sealed].to_vec());
        }
        carried
    }
}

struct Carried {
    on: Option<Vec<u8>>,
    again: Vec<Vec<u8>>,
}

async fn serve(socket: Arc<UdpSocket>, legs: u64, seen: Arc<Mutex<Seen>>, conduct: Conduct) {
    let mut buffer = [0; 2048];
    loop {
        let (bytes, from) = socket.recv_from(&mut buffer).await.unwrap();
        let datagram = &buffer[..bytes];
        if DatagramKind::of(datagram) == DatagramKind::Stun {
            stun(&socket, legs, &seen, datagram, from).await;
            continue;
        }
        let is_rtp = DatagramKind::of(datagram) == DatagramKind::Rtp;
        let (to, wait, delays, carried) = {
            let mut seen = seen.lock().unwrap();
            let own = seen.addresses.iter().find(|(_, address)| **address == from);
            let Some((&leg, _)) = own else { continue };
            let other = other(legs, leg);
            let to = seen.addresses.get(&other).copied();
            let delays = if is_rtp { (conduct.fate)(seen.rtp) } else { &[0] };
            seen.rtp += u64::from(is_rtp);
            seen.rtp_lost += u64::from(is_rtp && delays.is_empty());
            seen.rtp_repeated += u64::from(is_rtp && delays.len() > 1);
            seen.nowhere_to += u64::from(is_rtp && to.is_none());
            let slow = conduct.slow.filter(|_| is_rtp && leg == legs && !delays.is_empty());
            let wait = match slow.map(|rate| seen.queue(bytes, rate)) {
                Some(Some(wait)) => wait,
                Some(None) => continue,
                None => Duration::ZERO,
            };
            (to, wait, delays, seen.carry(leg, other, datagram, conduct))
        };
        for again in carried.again {
            socket.send_to(&again, from).await.unwrap();
        }
        let (Some(to), Some(on)) = (to, carried.on) else { continue };
        if conduct.forge {
            let mut forged = on.clone();
            *forged.last_mut().unwrap() ^= 1;
            socket.send_to(&forged, to).await.unwrap();
        }
        for &delay in delays {
            let delay = wait + Duration::from_millis(delay);
            if delay.is_zero() {
                socket.send_to(&on, to).await.unwrap();
                continue;
            }
            let (socket, on) = (Arc::clone(&socket), on.clone());
            tokio::spawn(async move {
                tokio::time::sleep(delay).await;
                socket.send_to(&on, to).await.unwrap();
            });
        }
    }
}

async fn stun(
    socket: &UdpSocket,
    legs: u64,
    seen: &Mutex<Seen>,
    datagram: &[u8],
    from: SocketAddr,
) {
    let view = StunView::parse(datagram).unwrap();
    if view.kind() == StunKind::Success {
        let TransactionId(name) = view.transaction();
        let leg = u64::from(name[0]);
        assert!(view.is_keyed_by(terminal_password(leg).as_bytes()));
        seen.lock().unwrap().challenges_answered += 1;
        return;
    }
    let (receiver, sender) = view.fragments().unwrap();
    let leg = LegId::from_fragment(receiver).unwrap();
    assert_eq!(receiver, sender);
    assert!(leg.0 == legs || leg.0 == legs + 1);
    assert!(view.is_keyed_by(relay_password(leg.0).as_bytes()) && view.use_candidate());
    let success = StunMessage::success(view.transaction(), from, relay_password(leg.0).as_bytes());
    socket.send_to(success.bytes(), from).await.unwrap();
    let new = seen.lock().unwrap().addresses.insert(leg.0, from) != Some(from);
    if new {
        let key = terminal_password(leg.0);
        let fragment = leg.fragment();
        let name = TransactionId([leg.0 as u8; 12]);
        let challenge = StunMessage::challenge(name, &fragment, &fragment, key.as_bytes());
        socket.send_to(challenge.bytes(), from).await.unwrap();
    }
}
