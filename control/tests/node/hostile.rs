//! Terminals that do not do what they should.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, client_tls, close_code, device_of, quic, within};
use kakehashi_control::gate::CloseCode;
use kakehashi_wire::frame::{ALPN_TERMINAL, FrameHeader};
use kakehashi_wire::limits::MESSAGE_BODY_BYTES_MAX;
use kakehashi_wire::terminal::{Refusal, SessionEnd, WatchPresence};
use quinn::{Endpoint, TransportConfig, VarInt};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[tokio::test]
async fn what_is_no_message_ends_the_session_with_a_reason() {
    let platform = Platform::start().await;
    let header = |kind, bytes| FrameHeader::new(kind, bytes).unwrap().to_bytes();
    let mut oversize = header(0x0101, 0);
    oversize[8..].copy_from_slice(&(MESSAGE_BODY_BYTES_MAX as u32 + 1).to_le_bytes());
    let mut newer = header(0x0101, 0);
    newer[4] = 9;
    let mut garbage = header(0x0104, 40).to_vec();
    garbage.extend([0xff; 40]);
    let bad: [&[u8]; 5] = [&oversize, &newer, &garbage, b"GET / HTTP/1.1\r\n", &header(0x7777, 0)];
    for bytes in bad {
        // Before sign-in and after it.
        let early = Terminal::open(platform.connect().await).await;
        let late = platform.terminal("shop", "a").await;
        for mut terminal in [early, late] {
            terminal.say_bytes(bytes).await;
            assert_eq!(terminal.session_ended().await, SessionEnd::Protocol);
            assert_eq!(close_code(&terminal.connection).await, CloseCode::Protocol as u64);
        }
    }
    // A second sign-in within a session is refused, and the session goes on.
    let mut a = platform.terminal("shop", "a").await;
    let again = a.sign_in("shop", "a", PASSWORD, device_of("a")).await.err().unwrap();
    assert_eq!(again.reason, Refusal::BadRequest);
    assert_eq!(a.invite("b").await, Err(Refusal::NotAvailable));
    platform.node.stop().await;
}

#[tokio::test]
async fn who_does_not_sign_in_or_never_finishes_a_message_is_closed() {
    let platform = Platform::start().await;
    let silent = platform.connect().await;
    let mut dripping = Terminal::open(platform.connect().await).await;
    dripping.say_bytes(&FrameHeader::new(0x0101, 100).unwrap().to_bytes()).await;
    assert_eq!(dripping.session_ended().await, SessionEnd::Protocol);
    assert_eq!(close_code(&silent).await, CloseCode::NoSignIn as u64);
    platform.node.stop().await;
}

#[tokio::test]
async fn who_does_not_read_is_ended_and_holds_nobody_up() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut config = quic(client_tls(&platform.pki()).with_no_client_auth(), ALPN_TERMINAL);
    let mut narrow = TransportConfig::default();
    narrow.stream_receive_window(VarInt::from_u32(4096)).receive_window(VarInt::from_u32(4096));
    config.transport_config(Arc::new(narrow));
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let connecting = endpoint.connect_with(config, platform.node.terminal_addr, "localhost");
    let connection = within(connecting.unwrap()).await.unwrap();
    let mut slow = Terminal::open(connection).await;
    slow.sign_in("shop", "a", PASSWORD, device_of("a")).await.unwrap();
    let watch = async {
        loop {
            let request = slow.request();
            let ask = kakehashi_wire::terminal::FromTerminal::from(WatchPresence { request });
            if slow.send.write_all(&ask.encode().unwrap()).await.is_err() {
                break;
            }
        }
    };
    within(watch).await;
    assert_eq!(close_code(&slow.connection).await, CloseCode::TooSlow as u64);
    let mut b = platform.terminal("shop", "b").await;
    assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable), "the session is over");
    platform.node.stop().await;
}

#[tokio::test]
async fn early_data_is_not_taken() {
    let platform = Platform::start().await;
    let mut tls = client_tls(&platform.pki()).with_no_client_auth();
    tls.enable_early_data = true;
    let config = quic(tls, ALPN_TERMINAL);
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let dial = || {
        let config = config.clone();
        endpoint.connect_with(config, platform.node.terminal_addr, "localhost").unwrap()
    };
    let first = within(dial()).await.unwrap();
    let mut terminal = Terminal::open(first).await;
    terminal.sign_in("shop", "a", PASSWORD, device_of("a")).await.unwrap();
    // By now the session ticket has arrived, and the next connection resumes.
    assert!(dial().into_0rtt().is_err(), "the ticket allows no early data");
    platform.node.stop().await;
}

#[tokio::test]
async fn another_protocol_and_more_streams_get_nothing() {
    let platform = Platform::start().await;
    let config = quic(client_tls(&platform.pki()).with_no_client_auth(), b"h3");
    let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let connecting = endpoint.connect_with(config, platform.node.terminal_addr, "localhost");
    assert!(within(connecting.unwrap()).await.is_err());

    let terminal = platform.terminal("shop", "a").await;
    let wait = Duration::from_millis(300);
    let second = tokio::time::timeout(wait, terminal.connection.open_bi()).await;
    assert!(second.is_err(), "no second stream");
    let other = tokio::time::timeout(wait, terminal.connection.open_uni()).await;
    assert!(other.is_err(), "no stream in one direction");
    let datagram = terminal.connection.send_datagram(b"x".to_vec().into());
    assert!(matches!(datagram, Err(quinn::SendDatagramError::UnsupportedByPeer)));
    platform.node.stop().await;
}
