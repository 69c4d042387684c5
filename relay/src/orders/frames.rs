//! Messages on the link's stream: the outer header first, its length checked before the body.

use super::lost::LinkLost;
use kakehashi_wire::frame::Reader;
use kakehashi_wire::relay::{FromRelay, ToRelay};
use quinn::{ReadError, RecvStream, SendStream};

/// Awaits the next message. Not to be cancelled half-way: the stream would be out of step.
pub(super) async fn read(stream: &mut RecvStream) -> Result<ToRelay, LinkLost> {
    let mut reader = Reader::new();
    loop {
        let read = stream.read(reader.space()).await.map_err(ended)?;
        let bytes = read.ok_or_else(|| LinkLost::Closed("its stream ended".into()))?;
        if let Some(frame) = reader.filled(bytes)? {
            return Ok(ToRelay::decode(frame.kind(), frame.body())?);
        }
    }
}

/// Sends a message.
pub(super) async fn write(stream: &mut SendStream, message: &FromRelay) -> Result<(), LinkLost> {
    let bytes = message.encode()?;
    stream.write_all(&bytes).await.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => error.into(),
        error => LinkLost::Closed(error.to_string()),
    })
}

fn ended(error: ReadError) -> LinkLost {
    match error {
        ReadError::ConnectionLost(error) => error.into(),
        error => LinkLost::Closed(error.to_string()),
    }
}
