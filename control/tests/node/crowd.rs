//! Too many at once: from one address, and in handshakes that nobody finishes.

use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, client_tls, device_of, quic, try_dial, within};
use kakehashi_control::capacity::{CONNECTIONS_PER_ADDRESS_DEFAULT, HALF_OPEN_MAX};
use kakehashi_control::pki::Pki;
use kakehashi_wire::frame::ALPN_TERMINAL;
use quinn::{ConnectionError, Endpoint};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::UdpSocket;
use tokio::time::timeout;

/// First packets of `count` handshakes, as a terminal would send them.
pub async fn first_packets(pki: &Pki, count: usize) -> Vec<Vec<u8>> {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let trap = UdpSocket::bind(any).await.unwrap();
    let endpoint = Endpoint::client(any).unwrap();
    let config = quic(client_tls(pki).with_no_client_auth(), ALPN_TERMINAL);
    let mut found: HashMap<Vec<u8>, Vec<u8>> = HashMap::new();
    let mut buffer = [0; 2048];
    let mut attempts = Vec::new();
    while found.len() < count {
        let to = trap.local_addr().unwrap();
        // Kept: who gives up begins with the end.
        attempts.push(endpoint.connect_with(config.clone(), to, "localhost").unwrap());
        let caught = timeout(Duration::from_millis(100), trap.recv(&mut buffer)).await;
        if let Ok(length) = caught {
            let packet = &buffer[..length.unwrap()];
            // RFC 9000 17.2.2: an Initial packet; the first of each connection is kept.
            if packet[0] & 0xf0 == 0xc0 {
                let destination = packet[6..6 + usize::from(packet[5])].to_vec();
                found.entry(destination).or_insert_with(|| packet.to_vec());
            }
        }
    }
    endpoint.close(0_u32.into(), b"");
    found.into_values().collect()
}

/// Whether the node answers a first packet with Retry (RFC 9000 17.2.5).
async fn must_prove_itself(node: SocketAddr, packet: &[u8], from: [u8; 4]) -> bool {
    let socket = UdpSocket::bind(SocketAddr::from((from, 0))).await.unwrap();
    let mut buffer = [0; 2048];
    loop {
        socket.send_to(packet, node).await.unwrap();
        let heard = timeout(Duration::from_millis(500), socket.recv(&mut buffer)).await;
        if heard.is_ok_and(|heard| heard.is_ok()) {
            return buffer[0] & 0xf0 == 0xf0;
        }
    }
}

#[tokio::test]
async fn handshakes_that_nobody_finishes_make_newcomers_prove_their_address() {
    let platform = Platform::start().await;
    let node = platform.node.terminal_addr;
    // Each address may begin half of its connections without proof.
    let share = CONNECTIONS_PER_ADDRESS_DEFAULT as usize / 2;
    let addresses = HALF_OPEN_MAX / share + 1;
    let mut packets = first_packets(&platform.pki(), HALF_OPEN_MAX + addresses + 2).await;
    let (before, after) = (packets.pop().unwrap(), packets.pop().unwrap());
    assert!(!within(must_prove_itself(node, &before, [127, 0, 0, 77])).await);
    let crowd = async {
        loop {
            for (nth, packets) in packets.chunks(share).enumerate() {
                let from = [127, 0, 0, 100 + u8::try_from(nth).unwrap()];
                let socket = UdpSocket::bind(SocketAddr::from((from, 0))).await.unwrap();
                for burst in packets.chunks(8) {
                    for packet in burst {
                        socket.send_to(packet, node).await.unwrap();
                    }
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            if must_prove_itself(node, &after, [127, 0, 0, 78]).await {
                return;
            }
        }
    };
    within(crowd).await;
    // Who is where it says it is gets in.
    platform.terminal("shop", "a").await;
    platform.node.stop().await;
}

#[tokio::test]
async fn one_address_cannot_take_all_places() {
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder, |config| {
        config.terminals.connections_per_address = 4;
    })
    .await;
    let dial = async |from| {
        let tls = client_tls(&platform.pki()).with_no_client_auth();
        try_dial(from, tls, ALPN_TERMINAL, platform.node.terminal_addr).await
    };
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(dial([127, 0, 0, 1]).await.unwrap());
    }
    for _ in 0..3 {
        match dial([127, 0, 0, 1]).await {
            Err(ConnectionError::ConnectionClosed(close)) => {
                // RFC 9000 20.1: CONNECTION_REFUSED.
                assert_eq!(u64::from(close.error_code), 2);
            }
            other => panic!("{:?}", other.map(drop)),
        }
    }
    let mut elsewhere = Terminal::open(dial([127, 0, 0, 2]).await.unwrap()).await;
    elsewhere.sign_in("shop", "a", PASSWORD, device_of("a")).await.unwrap();
    held.pop().unwrap().close(0_u32.into(), b"");
    let freed = async {
        while dial([127, 0, 0, 1]).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    within(freed).await;
    platform.node.stop().await;
}
