//! The asking side, for the operator's commands.

use super::{Answer, Line, Request, VERSION};
use crate::capacity::{ADMIN_ANSWER_BYTES_MAX, ADMIN_IDLE, ADMIN_REQUEST_BYTES_MAX};
use std::io;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody is there.
    #[error("no control is running at {}: start it with `kakehashi up`", path.display())]
    NotRunning {
        /// The socket.
        path: PathBuf,
    },
    /// It belongs to somebody else.
    #[error(
        "the control at {} belongs to another user: run this command as that user",
        path.display()
    )]
    NotYours {
        /// The socket.
        path: PathBuf,
    },
    /// It closed the connection without an answer.
    #[error(
        "the control at {} closed the connection without an answer: run this command as the user \
         it runs as; its log says more",
        path.display()
    )]
    Closed {
        /// The socket.
        path: PathBuf,
    },
    /// It said something else.
    #[error(
        "the control at {} gave an answer that this program does not understand: use the \
         `kakehashi` of the same release",
        path.display()
    )]
    Garbled {
        /// The socket.
        path: PathBuf,
    },
    /// It does not answer.
    #[error("the control at {} does not answer: see its log", path.display())]
    Silent {
        /// The socket.
        path: PathBuf,
    },
    /// The operating system.
    #[error("cannot talk to the control at {}: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
    /// It answered that it will not.
    #[error("{0}")]
    Refused(String),
}

/// Asks the control at `socket`. A refusal is an error.
pub async fn request(socket: &Path, request: Request) -> Result<Answer, ClientError> {
    let path = || socket.to_owned();
    let talk = timeout(ADMIN_IDLE, exchange(socket, request));
    let answer = talk.await.map_err(|_elapsed| ClientError::Silent { path: path() })?;
    let line = answer.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ClientError::NotRunning { path: path() }
        }
        io::ErrorKind::PermissionDenied => ClientError::NotYours { path: path() },
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset => {
            ClientError::Closed { path: path() }
        }
        _ => ClientError::Io { path: path(), error },
    })?;
    if line.is_empty() {
        return Err(ClientError::Closed { path: path() });
    }
    match serde_json::from_slice(&line) {
        Ok(Line { v: VERSION, body: Answer::Refused { message } }) => {
            Err(ClientError::Refused(message))
        }
        Ok(Line { v: VERSION, body }) => Ok(body),
        _ => Err(ClientError::Garbled { path: path() }),
    }
}

async fn exchange(socket: &Path, request: Request) -> io::Result<Zeroizing<Vec<u8>>> {
    let mut stream = UnixStream::connect(socket).await?;
    // Passwords pass through here: memory that never moves leaves no copies behind.
    let mut out = Zeroizing::new(Vec::with_capacity(ADMIN_REQUEST_BYTES_MAX));
    serde_json::to_writer(&mut *out, &Line { v: VERSION, body: request })?;
    out.push(b'\n');
    stream.write_all(&out).await?;
    let most = u64::try_from(ADMIN_ANSWER_BYTES_MAX).unwrap_or(u64::MAX);
    let mut line = Zeroizing::new(Vec::with_capacity(ADMIN_REQUEST_BYTES_MAX));
    BufReader::new(stream).take(most).read_until(b'\n', &mut line).await?;
    Ok(line)
}
