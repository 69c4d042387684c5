//! HTTPS as the API and the console serve it: TLS 1.3 and HTTP/1.1, with limits on who may connect,
//! how much and how slowly they may speak.

use crate::capacity::{
    API_BODY_TIMEOUT, API_CONNECTION_TIME, API_CONNECTIONS_MAX, API_CONNECTIONS_PER_ADDRESS,
    API_HEAD_BYTES_MAX, API_HEAD_TIMEOUT, API_HEADERS_MAX, FAREWELL_TIMEOUT, HANDSHAKE_TIMEOUT,
    STRANGERS_LOG_EVERY,
};
use crate::gate::listener::ListenError;
use crate::gate::{Crowd, Entry, Limits, Pace, Place};
use crate::seldom::Seldom;
use axum::Router;
use axum::body::Body;
use core::pin::pin;
use http_body_util::{BodyExt, Limited};
use hyper::server::conn::http1;
use hyper::service::{Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, Notify, watch};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_rustls::TlsAcceptor;
use zeroize::Zeroizing;

/// A bound listener.
pub(crate) struct Listener {
    /// Where it listens.
    pub(crate) address: SocketAddr,
    tcp: TcpListener,
    tls: TlsAcceptor,
}

impl Listener {
    /// Listens at `address`, which `setting` names.
    ///
    /// # Errors
    /// [`ListenError`], for the operator.
    pub(crate) fn bind(
        address: SocketAddr,
        setting: &'static str,
        tls: ServerConfig,
    ) -> Result<Self, ListenError> {
        let bind = || {
            let tcp = std::net::TcpListener::bind(address)?;
            tcp.set_nonblocking(true)?;
            Ok((tcp.local_addr()?, TcpListener::from_std(tcp)?))
        };
        let (address, tcp) = bind().map_err(|error: io::Error| match error.kind() {
            io::ErrorKind::AddrInUse => ListenError::InUseTcp { port: address.port(), setting },
            _ => ListenError::Refused { address, setting, error },
        })?;
        Ok(Self { address, tcp, tls: TlsAcceptor::from(Arc::new(tls)) })
    }
}

/// Who is at the other end.
#[derive(Clone)]
pub(crate) struct Peer {
    /// Its address.
    pub(crate) address: SocketAddr,
    /// Told when it does not read what it asked for.
    pub(crate) unread: Arc<Notify>,
}

/// Serves whoever connects, until `stop`; `door` names the listener in the log.
pub(crate) async fn serve(
    listener: Listener,
    door: &'static str,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let crowd = Crowd::new(Limits {
        connections: API_CONNECTIONS_MAX,
        half_open: API_CONNECTIONS_MAX,
        per_address: API_CONNECTIONS_PER_ADDRESS,
    });
    let shared = Arc::new(Door { tls: listener.tls, door, router, stop: stop.clone() });
    let refusals = Seldom::new(STRANGERS_LOG_EVERY);
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            _ = stop.wait_for(|stop| *stop) => break,
            accepted = listener.tcp.accept() => accepted,
            Some(_ended) = connections.join_next() => continue,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(event = "https_accept_failed", %error, door,
                    "a connection could not be accepted");
                sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Whoever has connected by TCP is where it says.
        if let Entry::Admit(place) = crowd.enter(address.ip(), true) {
            connections.spawn(Arc::clone(&shared).converse(stream, address, place));
        } else if let Some(count) = refusals.note(Instant::now()) {
            tracing::warn!(event = "https_connections_refused", count, last = %address, door,
                "connections were refused: too many from \
                one address or in all");
        }
    }
    drop(listener.tcp);
    while connections.join_next().await.is_some() {}
}

/// What all connections share.
struct Door {
    tls: TlsAcceptor,
    door: &'static str,
    router: Router,
    stop: watch::Receiver<bool>,
}

impl Door {
    async fn converse(self: Arc<Self>, stream: TcpStream, address: SocketAddr, place: Place) {
        let _place = place;
        let _small_answers_at_once = stream.set_nodelay(true);
        let Ok(Ok(stream)) = timeout(HANDSHAKE_TIMEOUT, self.tls.accept(stream)).await else {
            tracing::debug!(event = "https_tls_failed", %address, door = self.door,
                "no TLS with whoever connected");
            return;
        };
        let pace = Arc::new(Mutex::new(Pace::new()));
        let peer = Peer { address, unread: Arc::default() };
        let unread = Arc::clone(&peer.unread);
        let router = TowerToHyperService::new(self.router.clone());
        let service = service_fn(move |mut request: hyper::Request<_>| {
            request.extensions_mut().insert(peer.clone());
            let (router, pace) = (router.clone(), Arc::clone(&pace));
            async move {
                pace.lock().await.wait().await;
                router.call(request).await
            }
        });
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(API_HEAD_TIMEOUT)
            .max_buf_size(API_HEAD_BYTES_MAX)
            .max_headers(API_HEADERS_MAX)
            .serve_connection(TokioIo::new(stream), service);
        let mut connection = pin!(connection);
        let mut stop = self.stop.clone();
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = stop.wait_for(|stop| *stop) => None,
            () = sleep(API_CONNECTION_TIME) => None,
            () = unread.notified() => return,
        };
        if ended.is_none() {
            connection.as_mut().graceful_shutdown();
            let _ended = timeout(FAREWELL_TIMEOUT, connection).await;
        }
    }
}

/// The whole body of a request, at most `length` bytes; `None` if it does not come in time.
pub(crate) async fn read_body(body: Body, length: usize) -> Option<Zeroizing<Vec<u8>>> {
    // Passwords pass through here: memory that never moves leaves no copies behind.
    let mut whole = Zeroizing::new(Vec::with_capacity(length));
    let mut body = Limited::new(body, length);
    let reading = async {
        while let Some(Ok(frame)) = body.frame().await {
            whole.extend_from_slice(frame.data_ref().map_or(&[][..], |data| data));
        }
    };
    timeout(API_BODY_TIMEOUT, reading).await.ok()?;
    Some(whole)
}
