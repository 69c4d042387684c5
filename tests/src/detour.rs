//! The network between terminals and one relay, as a test wants it: it passes datagrams on, holds
//! them up, or drops some. The relay says that it is at the detour's address, and terminals believe
//! it.

use crate::children::pause;
use crate::platform::Platform;
use kakehashi_loadgen::clock::Clock;
use kakehashi_wire::datagram::DatagramKind;
use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

/// Where terminals find the relay.
const ADDRESS: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 9);

/// How long the thread waits for a datagram before it looks at everything else.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// How often it is looked whether the relay is back.
const STEP: Duration = Duration::from_millis(100);

/// What the network does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Weather {
    /// Passes everything on.
    Fair,
    /// Passes everything on, so much later.
    Late(Duration),
    /// Drops the media, and nothing else, of whoever sends first from now on.
    FirstIsMute,
    /// Drops everything.
    Cut,
}

/// The detour to one relay.
pub struct Detour {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

struct Shared {
    weather: Mutex<(Weather, Option<SocketAddr>)>,
    stop: AtomicBool,
}

/// A datagram under way.
struct Underway {
    due: Duration,
    bytes: Vec<u8>,
    terminal: usize,
    is_up: bool,
}

/// A terminal's socket at the relay.
struct Terminal {
    address: SocketAddr,
    far: UdpSocket,
}

impl Detour {
    /// Has the relay of this number say that it is here: it is started again for that, and control
    /// hears of it soon.
    ///
    /// # Panics
    /// If the platform has no such relay.
    pub fn before(platform: &Platform, number: u16) -> Self {
        let config = platform.data().join(format!("relay-{number}.toml"));
        let text = std::fs::read_to_string(&config).expect("`up` writes the relay's settings");
        let there = "advertise_ip = \"127.0.0.1\"";
        assert!(text.contains(there), "{text}");
        let text = text.replace(there, &format!("advertise_ip = \"{ADDRESS}\""));
        std::fs::write(&config, text).expect("the settings can be written");
        let port = platform.media_port() + number - 1;
        let relay = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let near = UdpSocket::bind((ADDRESS, port)).expect("the port is the relay's alone");
        near.set_read_timeout(Some(LOOK_EVERY)).expect("a timeout");
        let weather = Mutex::new((Weather::Fair, None));
        let shared = Arc::new(Shared { weather, stop: AtomicBool::new(false) });
        let of_thread = Arc::clone(&shared);
        let thread = std::thread::spawn(move || of_thread.run(&near, relay));
        let process = platform.relay_at(&relay.to_string());
        let killed = Command::new("kill").args(["-KILL", &process.to_string()]).status();
        assert!(killed.is_ok_and(|status| status.success()));
        until_control_knows(platform);
        Self { shared, thread: Some(thread) }
    }

    /// Changes the weather.
    pub fn set(&self, weather: Weather) {
        *self.shared.weather.lock().unwrap_or_else(PoisonError::into_inner) = (weather, None);
    }
}

impl Shared {
    fn run(&self, near: &UdpSocket, relay: SocketAddr) {
        let clock = Clock::start();
        let (mut terminals, mut underway) = (Vec::new(), VecDeque::new());
        let mut buffer = [0; 2_048];
        while !self.stop.load(Ordering::Relaxed) {
            if let Ok((bytes, from)) = near.recv_from(&mut buffer) {
                let terminal = known(&mut terminals, from, relay);
                self.take(&buffer[..bytes], (terminal, from, true), clock.now(), &mut underway);
            }
            for (at, terminal) in terminals.iter().enumerate() {
                while let Ok(bytes) = terminal.far.recv(&mut buffer) {
                    let whose = (at, terminal.address, false);
                    self.take(&buffer[..bytes], whose, clock.now(), &mut underway);
                }
            }
            while underway.front().is_some_and(|it: &Underway| it.due <= clock.now()) {
                let Some(it) = underway.pop_front() else { break };
                let terminal = &terminals[it.terminal];
                // Nobody there is no fault of the network.
                let _ = if it.is_up {
                    terminal.far.send(&it.bytes)
                } else {
                    near.send_to(&it.bytes, terminal.address)
                };
            }
        }
    }

    fn take(
        &self,
        bytes: &[u8],
        (terminal, address, is_up): (usize, SocketAddr, bool),
        now: Duration,
        underway: &mut VecDeque<Underway>,
    ) {
        let mut weather = self.weather.lock().unwrap_or_else(PoisonError::into_inner);
        let (weather, first) = &mut *weather;
        let due = match *weather {
            Weather::Fair => now,
            Weather::Late(delay) => now + delay,
            Weather::Cut => return,
            Weather::FirstIsMute => {
                let is_first = is_up && *first.get_or_insert(address) == address;
                let kind = DatagramKind::of(bytes);
                if is_first && matches!(kind, DatagramKind::Rtp | DatagramKind::Rtcp) {
                    return;
                }
                now
            }
        };
        underway.push_back(Underway { due, bytes: bytes.to_vec(), terminal, is_up });
    }
}

/// Waits until control has heard of the relay's new address, and all relays are there.
fn until_control_knows(platform: &Platform) {
    for _ in 0..300 {
        let relays = platform.run_well(&["relays", "--json"]);
        let is_back = relays.contains(&format!("\"{ADDRESS}:"));
        if is_back && relays.lines().all(|relay| relay.contains("\"connected\":true")) {
            return;
        }
        pause(STEP);
    }
    panic!("the relay does not come back");
}

fn known(terminals: &mut Vec<Terminal>, address: SocketAddr, relay: SocketAddr) -> usize {
    if let Some(at) = terminals.iter().position(|terminal| terminal.address == address) {
        return at;
    }
    let far = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback socket");
    far.connect(relay).expect("there is a way to the relay");
    far.set_nonblocking(true).expect("it need not wait");
    terminals.push(Terminal { address, far });
    terminals.len() - 1
}

impl Drop for Detour {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}
