//! The listener: one request a connection, `GET` or `HEAD` of `/metrics` and of what is beside it,
//! bounded in number, bytes and time.

use crate::Shown;
use crate::capacity::{
    ACCEPT_PAUSE, CONNECTION_TIME, CONNECTIONS_MAX, HEAD_BYTES_MAX, HEAD_TIME, HEADERS_MAX,
};
use crate::format::Format;
use core::convert::Infallible;
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ACCEPT, ALLOW, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Where the figures are.
const PATH: &str = "/metrics";

/// Why nobody can listen there.
#[derive(Debug, thiserror::Error)]
#[error("`metrics.listen`: cannot listen at {address} (TCP): {error}; choose another, or \"\"")]
pub struct ListenError {
    address: SocketAddr,
    error: io::Error,
}

/// A bound listener.
#[derive(Debug)]
pub struct Listener {
    address: SocketAddr,
    tcp: TcpListener,
}

impl Listener {
    /// Listens at `address`; must be called within a runtime of tokio.
    ///
    /// # Errors
    /// [`ListenError`], for the operator.
    pub fn bind(address: SocketAddr) -> Result<Self, ListenError> {
        let bind = || {
            let tcp = std::net::TcpListener::bind(address)?;
            tcp.set_nonblocking(true)?;
            Ok(Self { address: tcp.local_addr()?, tcp: TcpListener::from_std(tcp)? })
        };
        bind().map_err(|error| ListenError { address, error })
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers whoever asks, until it is dropped.
    pub async fn serve(self, shown: impl Into<Shown>) {
        let shown = Arc::new(shown.into());
        let mut connections = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                Some(_ended) = connections.join_next() => continue,
                accepted = self.tcp.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) if connections.len() < CONNECTIONS_MAX => {
                    connections.spawn(converse(stream, Arc::clone(&shown)));
                }
                Ok((_, address)) => tracing::debug!(event = "figures_refused", %address,
                    "too many ask for the figures"),
                Err(error) => {
                    tracing::warn!(event = "figures_accept_failed", %error,
                        "who asks for the figures could not be accepted");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

async fn converse(stream: TcpStream, shown: Arc<Shown>) {
    let service = service_fn(move |request: Request<Incoming>| {
        let answer = answer(&request, &shown);
        async move { Ok::<_, Infallible>(answer) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_buf_size(HEAD_BYTES_MAX)
        .max_headers(HEADERS_MAX)
        .keep_alive(false)
        .serve_connection(TokioIo::new(stream), service);
    // Who asks wrongly or not at all is no matter of ours.
    let _ended = timeout(CONNECTION_TIME, connection).await;
}

fn answer(request: &Request<Incoming>, shown: &Shown) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let beside = shown.json.as_ref().filter(|(at, _)| *at == path);
    if path != PATH && beside.is_none() {
        return plain(StatusCode::NOT_FOUND, "the figures are at /metrics\n");
    }
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET and HEAD\n");
        refused.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        return refused;
    }
    if let Some((_, json)) = beside {
        return response(StatusCode::OK, "application/json", json.json().into());
    }
    let accepts = request.headers().get_all(ACCEPT).iter().filter_map(|it| it.to_str().ok());
    let format = Format::of(&accepts.collect::<Vec<_>>().join(","));
    match format.text(shown) {
        Ok(text) => response(StatusCode::OK, format.content_type(), text.into()),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the figures cannot be written\n"),
    }
}

fn plain(status: StatusCode, text: &'static str) -> Response<Full<Bytes>> {
    response(status, "text/plain; charset=utf-8", Bytes::from_static(text.as_bytes()))
}

fn response(status: StatusCode, kind: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Json;
    use crate::page::{Figures, Page};
    use std::fmt;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    #[derive(Debug)]
    struct Two;

    impl Figures for Two {
        fn write(&self, page: &mut Page<'_>) -> fmt::Result {
            page.counters(("doors_opened", "Doors opened."), [([("door", "a\"b")], 7)])?;
            page.gauges(("doors_open", "Doors that are open."), [([("door", "c")], 1.0)])
        }
    }

    #[derive(Debug)]
    struct Empty;

    impl Json for Empty {
        fn json(&self) -> String {
            "{}".into()
        }
    }

    fn listen() -> SocketAddr {
        let listener = Listener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let address = listener.address();
        tokio::spawn(listener.serve(Shown::from(Two).beside("/status", Empty)));
        address
    }

    async fn ask(address: SocketAddr, request: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        // Whoever is refused may find the connection closed before all is read.
        let _closed = stream.read_to_string(&mut answer).await;
        answer
    }

    #[tokio::test]
    async fn figures_are_read_in_the_format_that_was_asked_for() {
        let address = listen();
        let plain = ask(address, "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(plain.starts_with("HTTP/1.1 200 OK\r\n"), "{plain}");
        assert!(plain.contains("content-type: text/plain; version=0.0.4"), "{plain}");
        let wanted = "# HELP doors_opened_total Doors opened.\n# TYPE doors_opened_total counter\n\
            doors_opened_total{door=\"a\\\"b\"} 7\n";
        assert!(plain.contains(wanted) && !plain.contains("EOF"), "{plain}");
        let accept = "Accept: application/openmetrics-text";
        let open =
            ask(address, &format!("GET /metrics HTTP/1.1\r\nHost: a\r\n{accept}\r\n\r\n")).await;
        assert!(open.contains("# TYPE doors_opened counter\n"), "{open}");
        assert!(open.ends_with("doors_open{door=\"c\"} 1.0\n# EOF\n"), "{open}");
    }

    #[tokio::test]
    async fn a_text_beside_the_figures_is_at_its_own_place() {
        let answer = ask(listen(), "GET /status HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.contains("content-type: application/json\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    }

    #[tokio::test]
    async fn nothing_else_is_answered() {
        let address = listen();
        let head = ask(address, "HEAD /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && head.ends_with("\r\n\r\n"), "{head}");
        let long = format!("GET /metrics HTTP/1.1\r\nA: {}\r\n\r\n", "a".repeat(HEAD_BYTES_MAX));
        let many = format!("GET /metrics HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(HEADERS_MAX + 1));
        let cases = [
            ("GET / HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
            ("GET /metrics/ HTTP/1.1\r\nHost: a\r\n\r\n", "HTTP/1.1 404"),
            ("POST /status HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405"),
            ("POST /metrics HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n", "HTTP/1.1 405"),
            (&long, "HTTP/1.1 431"),
            (&many, "HTTP/1.1 431"),
            ("nonsense\r\n\r\n", "HTTP/1.1 400"),
        ];
        for (request, wanted) in cases {
            let answer = ask(address, request).await;
            assert!(answer.starts_with(wanted), "{wanted}: {answer}");
        }
    }

    #[tokio::test]
    async fn those_who_come_beyond_the_limit_are_closed_and_others_served_when_some_are_gone() {
        let address = listen();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS_MAX {
            let mut stream = TcpStream::connect(address).await.unwrap();
            stream.write_all(b"GET /metrics HTTP/1.1\r\n").await.unwrap();
            held.push(stream);
        }
        let get = "GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n";
        assert_eq!(ask(address, get).await, "");
        held.clear();
        while !ask(address, get).await.contains("doors_open") {
            tokio::task::yield_now().await;
        }
    }
}
