//! Messages on a QUIC stream: header first, its limits checked, then the body.

use crate::capacity::MESSAGE_TIMEOUT;
use kakehashi_wire::frame::{Frame, FrameError, Reader};
use kakehashi_wire::{DecodeError, EncodeError};
use quinn::{RecvStream, SendStream, WriteError};
use tokio::time::timeout;
use zeroize::Zeroizing;

/// Why no further message can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadFailure {
    /// The other side is gone, in good order or not.
    #[error("the connection is gone")]
    Gone,
    /// The other side began a message and did not finish it.
    #[error("a message was begun but not finished within {} s", MESSAGE_TIMEOUT.as_secs())]
    Slow,
    /// What came is no message of ours.
    #[error(transparent)]
    Frame(#[from] FrameError),
    /// What came is no message of this direction.
    #[error(transparent)]
    Decode(#[from] DecodeError),
}

/// Why a message could not be sent.
#[derive(Debug, thiserror::Error)]
pub enum WriteFailure {
    /// The other side is gone.
    #[error("the connection is gone: {0}")]
    Gone(#[from] WriteError),
    /// A bug: the message breaks a limit.
    #[error("a message was not sent because {0}; please report this")]
    Encode(#[from] EncodeError),
}

/// Reads one message with `decode`. Waits as long as it takes for its first byte.
pub(crate) async fn read<T>(
    stream: &mut RecvStream,
    decode: impl Fn(u16, &[u8]) -> Result<T, DecodeError>,
) -> Result<T, ReadFailure> {
    let mut reader = Reader::new();
    let first = fill(stream, &mut reader).await?;
    let rest = async {
        let mut found = first;
        loop {
            match found {
                Some(frame) => return Ok(decode(frame.kind(), frame.body())?),
                None => found = fill(stream, &mut reader).await?,
            }
        }
    };
    timeout(MESSAGE_TIMEOUT, rest).await.unwrap_or(Err(ReadFailure::Slow))
}

/// Takes what has come, or waits for something to come; gives the message if that completes it.
async fn fill(stream: &mut RecvStream, reader: &mut Reader) -> Result<Option<Frame>, ReadFailure> {
    let read = stream.read(reader.space()).await.map_err(|_| ReadFailure::Gone)?;
    Ok(reader.filled(read.ok_or(ReadFailure::Gone)?)?)
}

/// Sends one encoded message.
pub(crate) async fn write(
    stream: &mut SendStream,
    encoded: Result<Vec<u8>, EncodeError>,
) -> Result<(), WriteFailure> {
    // CallReady and orders hold keys.
    let encoded = Zeroizing::new(encoded?);
    Ok(stream.write_all(&encoded).await?)
}

/// Sends a message that was encoded for many.
pub(crate) async fn write_shared(
    stream: &mut SendStream,
    encoded: &[u8],
) -> Result<(), WriteFailure> {
    Ok(stream.write_all(encoded).await?)
}
