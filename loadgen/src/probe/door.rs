//! Shows the last round to whoever asks over plain HTTP: `GET /metrics` and `GET /status`.

use super::metrics;
use crate::capacity::{REQUEST_BYTES_MAX, REQUEST_WITHIN, REQUESTS_MAX};
use anyhow::{Context as _, Result};
use core::net::SocketAddr;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::time::timeout;

/// What is shown.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Shown {
    /// The metrics of the last round.
    pub metrics: String,
    /// The last rounds as JSON.
    pub status: String,
}

/// Shows what `shown` holds at `address`, until the other end of it is dropped; gives the address.
///
/// # Errors
/// If nobody can listen there.
pub async fn open(address: SocketAddr, shown: watch::Receiver<Arc<Shown>>) -> Result<SocketAddr> {
    let bound = TcpListener::bind(address).await;
    let listener = bound.with_context(|| {
        format!("metrics.listen: cannot listen at {address}; is it in use, or of another machine?")
    })?;
    let address = listener.local_addr()?;
    tokio::spawn(serve(listener, shown));
    Ok(address)
}

async fn serve(listener: TcpListener, mut shown: watch::Receiver<Arc<Shown>>) {
    let places = Arc::new(Semaphore::new(REQUESTS_MAX));
    let mut gone = shown.clone();
    let closed = async { while gone.changed().await.is_ok() {} };
    let accepting = async {
        loop {
            let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
            // A connection that was not to be had was given up by its other side.
            let Ok((stream, _)) = listener.accept().await else { continue };
            let now = Arc::clone(&shown.borrow_and_update());
            tokio::spawn(async move {
                // Whoever does not listen to the end needs no answer.
                let _ = timeout(REQUEST_WITHIN, answer(stream, &now)).await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = closed => {}
        () = accepting => {}
    }
}

async fn answer(mut stream: TcpStream, shown: &Shown) -> std::io::Result<()> {
    let mut request = Vec::with_capacity(1_024);
    while !request.windows(4).any(|end| end == b"\r\n\r\n") {
        let most = (REQUEST_BYTES_MAX - request.len()) as u64;
        if most == 0 || (&mut stream).take(most).read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let answer = respond(&request, shown);
    stream.write_all(answer.as_bytes()).await?;
    stream.shutdown().await
}

fn respond(request: &[u8], shown: &Shown) -> String {
    let is = |start: &str| request.starts_with(start.as_bytes());
    let (status, kind, body) = if is("GET /metrics ") {
        ("200 OK", metrics::MEDIA_TYPE, shown.metrics.as_str())
    } else if is("GET /status ") {
        ("200 OK", "application/json", shown.status.as_str())
    } else if is("GET ") {
        ("404 Not Found", "text/plain", "there are /metrics and /status\n")
    } else {
        ("405 Method Not Allowed", "text/plain", "use GET\n")
    };
    let bytes = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {bytes}\r\n\
         Connection: close\r\n\r\n{body}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn ask(address: SocketAddr, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn the_last_round_is_shown_and_nothing_else() {
        let first = Shown { metrics: "one 1\n".into(), status: "{}".into() };
        let (show, shown) = watch::channel(Arc::new(first));
        let address = open("127.0.0.1:0".parse().unwrap(), shown).await.unwrap();
        let answer = ask(address, b"GET /metrics HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\none 1\n") && answer.contains("Content-Length: 6\r\n"));
        let second = Shown { metrics: String::new(), status: "{\"format\":1}".into() };
        show.send_replace(Arc::new(second));
        let answer = ask(address, b"GET /status HTTP/1.1\r\n\r\n").await;
        assert!(answer.ends_with("\r\n\r\n{\"format\":1}"), "{answer}");
        assert!(ask(address, b"GET / HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 404"));
        assert!(ask(address, b"POST /metrics HTTP/1.1\r\n\r\n").await.starts_with("HTTP/1.1 405"));
    }

    #[tokio::test]
    async fn a_request_without_an_end_is_given_up() {
        let (_show, shown) = watch::channel(Arc::<Shown>::default());
        let address = open("127.0.0.1:0".parse().unwrap(), shown).await.unwrap();
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(&vec![b'a'; REQUEST_BYTES_MAX]).await.unwrap();
        let mut answer = Vec::new();
        assert_eq!(stream.read_to_end(&mut answer).await.unwrap(), 0);
    }
}
