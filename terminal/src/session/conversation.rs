//! One connection's stream of messages: frames out, frames in.

use super::dial::{Dialled, Dialler, connection_error};
use super::error::TerminalError;
use crate::capacity::INBOUND_MESSAGES_MAX;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_wire::device::{EXPORT_LABEL, EXPORTED_BYTES};
use kakehashi_wire::frame::Reader;
use kakehashi_wire::terminal::{FromTerminal, ToTerminal};
use quinn::{Connection, Endpoint, ReadError, RecvStream, SendStream, VarInt, WriteError};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use zeroize::Zeroizing;

/// How long control may refuse to take a message before the connection counts as lost.
const WRITE_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the goodbye may take to leave.
const CLOSE_TIMEOUT: Duration = Duration::from_millis(500);

/// A connection with its one stream open. Dropping it closes the connection.
pub(super) struct Conversation {
    endpoint: Endpoint,
    connection: Connection,
    address: SocketAddr,
    stream: SendStream,
    inbound: mpsc::Receiver<Result<ToTerminal, TerminalError>>,
    reader: JoinHandle<()>,
}

impl Conversation {
    /// Connects and opens the stream.
    pub(super) async fn begin(dialler: &mut Dialler) -> Result<Self, TerminalError> {
        let Dialled { endpoint, connection, address } = dialler.dial().await?;
        let opened = connection.open_bi().await;
        let (stream, incoming) = opened.map_err(|error| connection_error(&error))?;
        let (found, inbound) = mpsc::channel(INBOUND_MESSAGES_MAX);
        let reader = tokio::spawn(read_all(incoming, found));
        Ok(Self { endpoint, connection, address, stream, inbound, reader })
    }

    /// Where it was made to.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Datagrams that have come from there.
    pub(super) fn datagrams(&self) -> u64 {
        self.connection.stats().udp_rx.datagrams
    }

    /// What proofs for this connection are made over.
    pub(super) fn exported(&self) -> Result<[u8; EXPORTED_BYTES], TerminalError> {
        let mut exported = [0; EXPORTED_BYTES];
        match self.connection.export_keying_material(&mut exported, EXPORT_LABEL, b"") {
            Ok(()) => Ok(exported),
            Err(error) => Err(TerminalError::Lost { why: format!("no keys: {error:?}") }),
        }
    }

    /// Sends a message. After an error the conversation cannot be used.
    pub(super) async fn say(&mut self, message: &FromTerminal) -> Result<(), TerminalError> {
        let bytes =
            message.encode().map_err(|error| TerminalError::Settings { why: error.to_string() })?;
        // A sign-in holds the password.
        let bytes = Zeroizing::new(bytes);
        match tokio::time::timeout(WRITE_TIMEOUT, self.stream.write_all(&bytes)).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(WriteError::ConnectionLost(error))) => Err(connection_error(&error)),
            Ok(Err(error)) => Err(TerminalError::Lost { why: error.to_string() }),
            Err(_) => Err(TerminalError::Lost { why: "control reads no more".into() }),
        }
    }

    /// The next message. May be cancelled without losing one.
    pub(super) async fn hear(&mut self) -> Result<ToTerminal, TerminalError> {
        self.inbound.recv().await.unwrap_or_else(|| Err(closed()))
    }

    /// Closes, and gives the goodbye a moment to leave.
    pub(super) async fn close(self) {
        self.connection.close(VarInt::from_u32(0), b"done");
        let _ = tokio::time::timeout(CLOSE_TIMEOUT, self.endpoint.wait_idle()).await;
    }
}

impl Drop for Conversation {
    fn drop(&mut self) {
        self.reader.abort();
        self.connection.close(VarInt::from_u32(0), b"done");
    }
}

/// Reads messages until one fails; its error is the last thing told.
async fn read_all(mut stream: RecvStream, found: mpsc::Sender<Result<ToTerminal, TerminalError>>) {
    loop {
        let message = read_one(&mut stream).await;
        let failed = message.is_err();
        if found.send(message).await.is_err() || failed {
            return;
        }
    }
}

async fn read_one(stream: &mut RecvStream) -> Result<ToTerminal, TerminalError> {
    let mut reader = Reader::new();
    loop {
        let read = stream.read(reader.space()).await.map_err(read_error)?;
        let bytes = read.ok_or_else(closed)?;
        if let Some(frame) = reader.filled(bytes)? {
            return ToTerminal::decode(frame.kind(), frame.body())
                .map_err(|error| TerminalError::Protocol { why: error.to_string() });
        }
    }
}

fn closed() -> TerminalError {
    TerminalError::Lost { why: "control closed the stream".into() }
}

fn read_error(error: ReadError) -> TerminalError {
    match error {
        ReadError::ConnectionLost(error) => connection_error(&error),
        error => TerminalError::Lost { why: error.to_string() },
    }
}
