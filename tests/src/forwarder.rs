//! A leg's socket for programs that know neither the call nor each other: passes what local
//! senders give it to the relay, and what the relay sends to a local port by SSRC. Bytes are not
//! touched.

use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::rtp::{RtpView, Ssrc};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// The two directions of one leg.
pub struct Forwarder {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    input_port: u16,
}

struct Shared {
    relay_side: UdpSocket,
    local_side: UdpSocket,
    outputs: Vec<(Ssrc, SocketAddr)>,
    to_relay: AtomicU64,
    from_relay: AtomicU64,
    stop: AtomicBool,
}

impl Forwarder {
    /// Starts forwarding between `relay` and local programs; packets of an SSRC of `outputs` go
    /// to that local port.
    pub fn start(relay: SocketAddr, outputs: &[(Ssrc, u16)]) -> Self {
        let bind = |ip| UdpSocket::bind((ip, 0)).expect("a socket");
        let relay_side = bind(Ipv4Addr::UNSPECIFIED);
        relay_side.connect(relay).expect("there is a way to the relay");
        let local_side = bind(Ipv4Addr::LOCALHOST);
        for socket in [&relay_side, &local_side] {
            socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        }
        let input_port = local_side.local_addr().expect("bound").port();
        let outputs = outputs
            .iter()
            .map(|&(ssrc, port)| (ssrc, SocketAddr::from((Ipv4Addr::LOCALHOST, port))))
            .collect();
        let shared = Arc::new(Shared {
            relay_side,
            local_side,
            outputs,
            to_relay: AtomicU64::new(0),
            from_relay: AtomicU64::new(0),
            stop: AtomicBool::new(false),
        });
        let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || up.send_up()),
            std::thread::spawn(move || down.send_down()),
        ];
        Self { shared, threads, input_port }
    }

    /// Where local programs send what is for the relay.
    pub fn input_port(&self) -> u16 {
        self.input_port
    }

    /// Packets passed to the relay so far.
    pub fn to_relay(&self) -> u64 {
        self.shared.to_relay.load(Ordering::Relaxed)
    }

    /// Packets of the named streams that came from the relay so far.
    pub fn from_relay(&self) -> u64 {
        self.shared.from_relay.load(Ordering::Relaxed)
    }
}

impl Shared {
    fn send_up(&self) {
        let mut buffer = [0; 2_048];
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok(bytes) = self.local_side.recv(&mut buffer)
                && self.relay_side.send(&buffer[..bytes]).is_ok()
            {
                self.to_relay.fetch_add(1, Ordering::Relaxed);
            }
        }
    }

    fn send_down(&self) {
        let mut buffer = [0; 2_048];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok(bytes) = self.relay_side.recv(&mut buffer) else { continue };
            let packet = &buffer[..bytes];
            if DatagramKind::of(packet) != DatagramKind::Rtp {
                continue;
            }
            let Ok(view) = RtpView::parse(packet) else { continue };
            let ssrc = view.header().ssrc;
            if let Some((_, output)) = self.outputs.iter().find(|(known, _)| *known == ssrc) {
                self.from_relay.fetch_add(1, Ordering::Relaxed);
                let _ = self.local_side.send_to(packet, output);
            }
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
