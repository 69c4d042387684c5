//! What an attacker without keys can send to a media port, in every shape we know.
//!
//! Kinds of packet: noise; RTP with unknown SSRCs; RTP with the SSRC of a live stream, at every
//! length; bit flips, truncations and replays of a packet that the relay accepted; RTCP in the
//! same shapes; STUN without, with wrong and with cut integrity; DTLS-like and empty datagrams.

use anyhow::{Context, Result, bail};
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader, Ssrc};
use kakehashi_wire::stun::{StunMessage, TransactionId};
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};
use std::net::{SocketAddr, UdpSocket};

/// What the attacker has seen of the call.
pub struct Seen<'a> {
    /// A sealed packet of a live stream, as it went over the wire.
    pub packet: &'a [u8],
    /// SSRC of a live stream.
    pub ssrc: Ssrc,
    /// Username fragment of a live leg.
    pub fragment: [u8; 16],
}

/// Pause after so many packets, so that what is lost is lost to the relay's checks and not to a
/// full socket buffer.
const BURST: u64 = 64;

/// A socket of a stranger's, connected to `relay`.
///
/// # Errors
/// If there is no socket to be had.
pub fn stranger(relay: SocketAddr) -> Result<UdpSocket> {
    let local = if relay.is_ipv4() { "127.0.0.1:0" } else { "[::1]:0" };
    let socket = UdpSocket::bind(local).context("no UDP socket to be had")?;
    socket.connect(relay).context("cannot reach the relay")?;
    Ok(socket)
}

/// Sends `count` hostile packets, drawn from `seed`, to the relay that `socket` is connected to;
/// gives how many datagrams came back, which must be none.
///
/// `pace` is called after every burst.
///
/// # Errors
/// If the relay is not at a loopback address, or the socket fails.
pub fn flood(
    socket: &UdpSocket,
    seen: &Seen<'_>,
    count: u64,
    seed: u64,
    mut pace: impl FnMut(),
) -> Result<u64> {
    let relay = socket.peer_addr().context("the socket is not connected")?;
    if !relay.ip().is_loopback() {
        bail!("hostile traffic is only ever sent to a loopback address, not to {relay}");
    }
    let mut random = StdRng::seed_from_u64(seed);
    let mut buffer = [0_u8; 1_500];
    for sent in 0..count {
        let bytes = make(&mut random, seen, &mut buffer);
        // A full queue on our own side is no news about the relay: try again.
        while socket.send(&buffer[..bytes]).is_err() {
            pace();
        }
        if (sent + 1) % BURST == 0 {
            pace();
        }
    }
    socket.set_nonblocking(true).context("cannot change the socket")?;
    let mut answered = 0;
    while socket.recv(&mut buffer).is_ok() {
        answered += 1;
    }
    socket.set_nonblocking(false).context("cannot change the socket")?;
    Ok(answered)
}

/// Writes one hostile packet; gives its length.
fn make(random: &mut StdRng, seen: &Seen<'_>, out: &mut [u8; 1_500]) -> usize {
    match random.random_range(0..10_u8) {
        0 => noise(random, out, 0),
        1 => {
            let unknown = Ssrc(random.random());
            rtp(random, unknown, out)
        }
        2 => rtp(random, seen.ssrc, out),
        3 => flipped(random, seen.packet, out),
        4 => cut(random, seen.packet, out),
        5 => copied(seen.packet, out),
        6 => rtcp(random, seen.ssrc, out),
        7 => stun(random, seen.fragment, out),
        8 => noise(random, out, 22),
        _ => 0,
    }
}

/// Random bytes; `first` decides what it looks like, 0 for anything.
fn noise(random: &mut StdRng, out: &mut [u8; 1_500], first: u8) -> usize {
    let bytes = random.random_range(1..=out.len());
    random.fill_bytes(&mut out[..bytes]);
    if first != 0 {
        out[0] = first;
    }
    bytes
}

fn rtp(random: &mut StdRng, ssrc: Ssrc, out: &mut [u8; 1_500]) -> usize {
    let header = RtpHeader {
        marker: random.random(),
        payload_type: random.random_range(96..128),
        sequence: random.random(),
        timestamp: random.random(),
        ssrc,
    };
    let bytes = FIXED_HEADER_BYTES + random.random_range(0..1_200);
    random.fill_bytes(&mut out[FIXED_HEADER_BYTES..bytes]);
    out[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
    bytes
}

fn rtcp(random: &mut StdRng, ssrc: Ssrc, out: &mut [u8; 1_500]) -> usize {
    let bytes = 4 * random.random_range(2..100_usize);
    random.fill_bytes(&mut out[..bytes]);
    out[0] = 0x80;
    out[1] = random.random_range(192..224);
    out[4..8].copy_from_slice(&ssrc.0.to_be_bytes());
    bytes
}

fn copied(packet: &[u8], out: &mut [u8; 1_500]) -> usize {
    let bytes = packet.len().min(out.len());
    out[..bytes].copy_from_slice(&packet[..bytes]);
    bytes
}

fn flipped(random: &mut StdRng, packet: &[u8], out: &mut [u8; 1_500]) -> usize {
    let bytes = copied(packet, out);
    let bit = random.random_range(0..bytes * 8);
    out[bit / 8] ^= 1 << (bit % 8);
    bytes
}

fn cut(random: &mut StdRng, packet: &[u8], out: &mut [u8; 1_500]) -> usize {
    let bytes = copied(packet, out);
    random.random_range(0..bytes)
}

fn stun(random: &mut StdRng, fragment: [u8; 16], out: &mut [u8; 1_500]) -> usize {
    let transaction = TransactionId(random.random());
    let key: [u8; 24] = random.random();
    let message = StunMessage::check(transaction, &fragment, &fragment, 1, &key);
    let bytes = copied(message.bytes(), out);
    // Half of them whole with a wrong key, half of them cut anywhere.
    if random.random() { bytes } else { random.random_range(0..bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_loopback_address_is_ever_flooded() {
        let seen = Seen { packet: &[0; 40], ssrc: Ssrc(1), fragment: [b'0'; 16] };
        let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
        socket.connect("192.0.2.1:9").unwrap();
        let error = flood(&socket, &seen, 1, 1, || {}).unwrap_err();
        assert!(error.to_string().contains("loopback"), "{error}");
    }

    #[test]
    fn every_kind_is_made_and_fits() {
        let seen = Seen { packet: &[7; 200], ssrc: Ssrc(1), fragment: [b'0'; 16] };
        let mut random = StdRng::seed_from_u64(7);
        let mut out = [0; 1_500];
        let lengths: Vec<usize> = (0..10_000).map(|_| make(&mut random, &seen, &mut out)).collect();
        assert!(lengths.contains(&0) && lengths.iter().any(|&bytes| bytes > 1_400));
        let first: Vec<_> = lengths.iter().take(5).collect();
        let mut again = StdRng::seed_from_u64(7);
        let repeated: Vec<usize> = (0..5).map(|_| make(&mut again, &seen, &mut out)).collect();
        assert_eq!(first, repeated.iter().collect::<Vec<_>>(), "a seed repeats its run");
    }
}
