//! The socket: who may connect, how much they may say, and when they are sent away.

use super::answer::answer;
use super::{Answer, Asker, Line, Live, Request, VERSION};
use crate::accounts::Accounts;
use crate::audit::Audit;
use crate::capacity::{
    ADMIN_ANSWER_BYTES_MAX, ADMIN_CONNECTIONS_MAX, ADMIN_IDLE, ADMIN_REQUEST_BYTES_MAX,
};
use crate::clock::UnixMs;
use crate::records::Records;
use core::future::Future;
use serde_json::error::Category;
use std::io;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Longest path of a Unix socket: `sun_path` of unix(7) without its closing zero.
const SOCKET_PATH_BYTES_MAX: usize = 107;

/// Why the admin socket is not served.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// The path is longer than the kernel takes.
    #[error(
        "the admin socket {} has a path of {found} bytes, and {SOCKET_PATH_BYTES_MAX} is the \
         most: use a data directory with a shorter path",
        path.display()
    )]
    PathTooLong {
        /// The socket.
        path: PathBuf,
        /// Bytes of its path.
        found: usize,
    },
    /// Another control answers there.
    #[error(
        "another kakehashi-control answers at {}: stop it, or use the running one",
        path.display()
    )]
    InUse {
        /// The socket.
        path: PathBuf,
    },
    /// Something else is there.
    #[error(
        "{} is there and is not a socket: move it away, or use another data directory",
        path.display()
    )]
    NotASocket {
        /// What is in the way.
        path: PathBuf,
    },
    /// The operating system.
    #[error("cannot open the admin socket {}: {error}", path.display())]
    Io {
        /// The socket.
        path: PathBuf,
        /// What the operating system says.
        error: io::Error,
    },
}

/// What the admin speaks for.
#[derive(Clone)]
pub struct Service {
    /// Tenants and accounts.
    pub accounts: Arc<Accounts>,
    /// Call records.
    pub records: Arc<Records>,
    /// What everything done through here is noted in.
    pub audit: Arc<Audit>,
    /// The running node.
    pub live: Arc<dyn Live>,
    /// What time it is, for records.
    pub now: fn() -> UnixMs,
}

/// The bound socket; it is removed when this is dropped.
pub struct Admin {
    path: PathBuf,
    listener: UnixListener,
}

impl Admin {
    /// Binds the socket at `path` for this user only, in place of one that a crash left behind.
    pub async fn bind(path: &Path) -> Result<Self, AdminError> {
        let found = path.as_os_str().len();
        // The socket first has another name, four bytes longer.
        if found + 4 > SOCKET_PATH_BYTES_MAX {
            return Err(AdminError::PathTooLong { path: path.to_owned(), found: found + 4 });
        }
        make_way(path).await?;
        let failed = |error| AdminError::Io { path: path.to_owned(), error };
        let mut hidden = path.as_os_str().to_owned();
        hidden.push(".new");
        let hidden = PathBuf::from(hidden);
        if hidden.symlink_metadata().is_ok() {
            std::fs::remove_file(&hidden).map_err(failed)?;
        }
        let listener = UnixListener::bind(&hidden).map_err(failed)?;
        // Closed to others before it has the name that they know.
        std::fs::set_permissions(&hidden, PermissionsExt::from_mode(0o600)).map_err(failed)?;
        std::fs::rename(&hidden, path).map_err(failed)?;
        Ok(Self { path: path.to_owned(), listener })
    }

    /// Answers until `stop` is there.
    pub async fn serve(self, service: Service, stop: impl Future<Output = ()> + Send) {
        let places = Arc::new(Semaphore::new(ADMIN_CONNECTIONS_MAX));
        let mut stop = core::pin::pin!(stop);
        loop {
            let accepted = tokio::select! {
                () = &mut stop => return,
                accepted = self.listener.accept() => accepted,
            };
            let stream = match accepted {
                Ok((stream, _address)) => stream,
                Err(error) => {
                    tracing::warn!(%error, "the admin socket could not accept");
                    tokio::time::sleep(core::time::Duration::from_millis(100)).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                tracing::warn!("an admin connection was closed: too many at once");
                continue;
            };
            let service = service.clone();
            tokio::spawn(async move {
                let _place = place;
                if let Err(error) = converse(stream, &service).await {
                    tracing::debug!(%error, "an admin connection ended early");
                }
            });
        }
    }
}

impl Drop for Admin {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_file(&self.path) {
            tracing::debug!(%error, "the admin socket could not be removed");
        }
    }
}

/// Removes a socket nobody answers at; refuses to touch anything else.
async fn make_way(path: &Path) -> Result<(), AdminError> {
    let failed = |error| AdminError::Io { path: path.to_owned(), error };
    let found = match path.symlink_metadata() {
        Ok(found) => found,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
    };
    if !found.file_type().is_socket() {
        return Err(AdminError::NotASocket { path: path.to_owned() });
    }
    match UnixStream::connect(path).await {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(failed)
        }
        Err(error) => Err(failed(error)),
        Ok(_) => Err(AdminError::InUse { path: path.to_owned() }),
    }
}

/// Whether `peer` may speak to a process of `own`: the same user, or root, whom nothing stops.
fn may_speak(own: u32, peer: u32) -> bool {
    peer == own || peer == 0
}

async fn converse(stream: UnixStream, service: &Service) -> io::Result<()> {
    let peer = stream.peer_cred()?.uid();
    if !may_speak(rustix::process::geteuid().as_raw(), peer) {
        tracing::warn!(peer, "another user was sent away from the admin socket");
        return Ok(());
    }
    let asker = Asker::Operator { user: peer };
    let (reading, mut writing) = stream.into_split();
    let mut reading = BufReader::new(reading);
    loop {
        // Passwords pass through here.
        let mut line = Zeroizing::new(Vec::with_capacity(ADMIN_REQUEST_BYTES_MAX + 1));
        let most = u64::try_from(ADMIN_REQUEST_BYTES_MAX + 1).unwrap_or(u64::MAX);
        let mut bounded = (&mut reading).take(most);
        let read = timeout(ADMIN_IDLE, bounded.read_until(b'\n', &mut line)).await??;
        if read == 0 {
            return Ok(());
        }
        let whole = line.last() == Some(&b'\n');
        let reply = match (whole, parse(&line)) {
            (true, Ok(request)) => answer(service, &asker, request).await,
            (true, Err(message)) => Answer::Refused { message },
            (false, _) => Answer::Refused {
                message: format!(
                    "a request is one line of at most {ADMIN_REQUEST_BYTES_MAX} bytes"
                ),
            },
        };
        let out = spell(reply)?;
        timeout(ADMIN_IDLE, writing.write_all(&out)).await??;
        if !whole {
            return Ok(());
        }
    }
}

fn parse(line: &[u8]) -> Result<Request, String> {
    #[derive(serde::Deserialize)]
    struct VersionOnly {
        v: u32,
    }
    // Says where the text is wrong, never what it holds: that may be a password.
    let say = |error: &serde_json::Error| match error.classify() {
        Category::Io | Category::Syntax | Category::Eof => {
            format!("not JSON at column {}", error.column())
        }
        Category::Data => format!("not an admin request (column {})", error.column()),
    };
    let VersionOnly { v } = serde_json::from_slice(line).map_err(|error| say(&error))?;
    if v != VERSION {
        return Err(format!(
            "this control speaks version {VERSION} of the admin messages and not {v}: use the \
             `kakehashi` of the same release"
        ));
    }
    serde_json::from_slice(line).map(|Line { body, .. }| body).map_err(|error| say(&error))
}

fn spell(reply: Answer) -> io::Result<Zeroizing<Vec<u8>>> {
    // An answer with a password is shorter than a request, so it never moves in memory.
    let mut out = Zeroizing::new(Vec::with_capacity(ADMIN_REQUEST_BYTES_MAX));
    serde_json::to_writer(&mut *out, &Line { v: VERSION, body: reply })?;
    if out.len() >= ADMIN_ANSWER_BYTES_MAX {
        let message = "the answer would be too long: ask for fewer calls".to_owned();
        out = Zeroizing::new(serde_json::to_vec(&Line {
            v: VERSION,
            body: Answer::Refused { message },
        })?);
    }
    out.push(b'\n');
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_owner_and_root_may_speak() {
        assert!(may_speak(1000, 1000));
        assert!(may_speak(1000, 0));
        assert!(!may_speak(1000, 1001));
        assert!(!may_speak(0, 1000));
    }

    #[test]
    fn an_error_names_the_place_and_not_the_content() {
        let line = concat!(
            r#"{"v":1,"body":{"do":"account_add","tenant":"a","#,
            r#""login":1,"password":"hunter2hunter2"}}"#
        )
        .as_bytes();
        let message = parse(line).err().unwrap();
        assert!(!message.contains("hunter2"), "{message}");
        assert!(parse(b"{\"v\":2}").err().unwrap().contains("version 1"));
        assert!(parse(b"\xff\xfe").err().unwrap().contains("not JSON"));
        assert!(parse(br#"{"v":1,"body":{"do":"status"}}"#).is_ok());
        assert!(parse(br#"{"v":1,"body":{"do":"status","more":1}}"#).is_err());
        assert!(parse(br#"{"v":1,"body":{"do":"format_disk"}}"#).is_err());
    }

    #[test]
    fn any_line_is_survived() {
        bolero::check!().for_each(|line: &[u8]| {
            let _ = parse(line);
        });
    }
}
