//! The porter, a thread: takes datagrams from the socket and begins handshakes, whatever the
//! node's other threads are busy with.
//!
//! One task takes in all of an endpoint's datagrams. Among hundreds of conversations that want the
//! runtime's threads it would get them too seldom, the socket's queue would be full, and what is
//! lost there is repeated after a second.

use quinn::{AsyncTimer, AsyncUdpSocket, Runtime as QuicRuntime, TokioRuntime};
use std::future::Future;
use std::net::UdpSocket;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tokio::runtime::{Builder, Handle, Runtime};

/// The porter's thread. It ends with the value.
pub(crate) struct Porter(Option<Runtime>);

impl Porter {
    /// Starts it.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub(crate) fn start() -> std::io::Result<Self> {
        let mut thread = Builder::new_multi_thread();
        thread.worker_threads(1).thread_name("porter").enable_all();
        Ok(Self(Some(thread.build()?)))
    }

    /// Where work is handed to it.
    pub(crate) fn handle(&self) -> Handle {
        let runtime = self.0.as_ref().expect("invariant: it is taken when it is dropped");
        runtime.handle().clone()
    }
}

impl Drop for Porter {
    fn drop(&mut self) {
        // Its tasks have ended with the endpoint; to wait for the thread is not allowed here.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// What one endpoint runs on: its own task with the porter, its connections' where all others are.
#[derive(Debug)]
pub(crate) struct Split {
    porter: Handle,
    inside: Handle,
    /// Whether the endpoint's own task was started: it is the first of all.
    has_endpoint: AtomicBool,
}

impl Split {
    pub(crate) fn new(porter: Handle, inside: Handle) -> Arc<Self> {
        Arc::new(Self { porter, inside, has_endpoint: AtomicBool::new(false) })
    }
}

impl QuicRuntime for Split {
    fn new_timer(&self, at: Instant) -> Pin<Box<dyn AsyncTimer>> {
        let _inside = self.inside.enter();
        TokioRuntime.new_timer(at)
    }

    fn spawn(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        let is_endpoint = !self.has_endpoint.swap(true, Ordering::Relaxed);
        let place = if is_endpoint { &self.porter } else { &self.inside };
        place.spawn(task);
    }

    fn wrap_udp_socket(&self, socket: UdpSocket) -> std::io::Result<Arc<dyn AsyncUdpSocket>> {
        let _with_porter = self.porter.enter();
        TokioRuntime.wrap_udp_socket(socket)
    }
}
