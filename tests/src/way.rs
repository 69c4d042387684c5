//! The network between one terminal and control, as a test wants it: it passes datagrams on, drops
//! all of them, or moves to another port as an address translator does.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

/// How long a thread waits for a datagram before it looks whether anything has changed.
const LOOK_EVERY: Duration = Duration::from_millis(10);

/// A way between one terminal and control.
pub struct Way {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    address: SocketAddr,
}

struct Shared {
    control: SocketAddr,
    near: UdpSocket,
    /// What control sees the terminal behind.
    far: Mutex<Arc<UdpSocket>>,
    /// From where the terminal has sent last.
    terminal: Mutex<Option<SocketAddr>>,
    /// Datagrams of control that came to the present far socket.
    came: AtomicU64,
    is_cut: AtomicBool,
    stop: AtomicBool,
}

fn socket() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a loopback socket");
    socket.set_read_timeout(Some(LOOK_EVERY)).expect("a timeout");
    socket
}

impl Way {
    /// A way to control, which is at `control`.
    pub fn to(control: &str) -> Self {
        let near = socket();
        let address = near.local_addr().expect("bound");
        let shared = Arc::new(Shared {
            control: control.parse().expect("an address"),
            near,
            far: Mutex::new(Arc::new(socket())),
            terminal: Mutex::new(None),
            came: AtomicU64::new(0),
            is_cut: AtomicBool::new(false),
            stop: AtomicBool::new(false),
        });
        let (up, down) = (Arc::clone(&shared), Arc::clone(&shared));
        let threads = vec![
            std::thread::spawn(move || up.send_up()),
            std::thread::spawn(move || down.send_down()),
        ];
        Self { shared, threads, address }
    }

    /// Where the terminal finds control.
    pub fn address(&self) -> String {
        self.address.to_string()
    }

    /// Whether everything is dropped from now on, both ways.
    pub fn cut(&self, on: bool) {
        self.shared.is_cut.store(on, Ordering::SeqCst);
    }

    /// Control sees the terminal at another port from now on; what it still sends to the old one
    /// is lost.
    pub fn move_to_another_port(&self) {
        let mut far = self.shared.far.lock().expect("no thread panics");
        // The old one lives on meanwhile, so that the new one has another port.
        *far = Arc::new(socket());
        self.shared.came.store(0, Ordering::SeqCst);
    }

    /// Datagrams that control has sent to the port it sees the terminal at now.
    pub fn came(&self) -> u64 {
        let _far = self.shared.far.lock().expect("no thread panics");
        self.shared.came.load(Ordering::SeqCst)
    }
}

impl Shared {
    fn far(&self) -> Arc<UdpSocket> {
        Arc::clone(&self.far.lock().expect("no thread panics"))
    }

    fn passes(&self) -> bool {
        !self.is_cut.load(Ordering::SeqCst)
    }

    fn send_up(&self) {
        let mut buffer = [0; 2_048];
        while !self.stop.load(Ordering::Relaxed) {
            let Ok((bytes, from)) = self.near.recv_from(&mut buffer) else { continue };
            *self.terminal.lock().expect("no thread panics") = Some(from);
            if self.passes() {
                let _ = self.far().send_to(&buffer[..bytes], self.control);
            }
        }
    }

    fn send_down(&self) {
        let mut buffer = [0; 2_048];
        while !self.stop.load(Ordering::Relaxed) {
            let far = self.far();
            let Ok(bytes) = far.recv(&mut buffer) else { continue };
            let now = self.far.lock().expect("no thread panics");
            if !Arc::ptr_eq(&far, &now) {
                continue;
            }
            self.came.fetch_add(1, Ordering::SeqCst);
            drop(now);
            let terminal = *self.terminal.lock().expect("no thread panics");
            if let Some(terminal) = terminal.filter(|_| self.passes()) {
                let _ = self.near.send_to(&buffer[..bytes], terminal);
            }
        }
    }
}

impl Drop for Way {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
