//! Messages on the link's stream: the outer header first, its length checked before the body.

use super::lost::LinkLost;
use kakehashi_wire::frame::FrameHeader;
use kakehashi_wire::relay::{FromRelay, ToRelay};
use quinn::{ReadExactError, RecvStream, SendStream};
use zeroize::Zeroizing;

/// Awaits the next message. Not to be cancelled half-way: the stream would be out of step.
pub(super) async fn read(stream: &mut RecvStream) -> Result<ToRelay, LinkLost> {
    let mut header = [0; FrameHeader::BYTES];
    stream.read_exact(&mut header).await.map_err(ended)?;
    let header = FrameHeader::parse(&header)?;
    // Orders carry keys: the buffer is wiped when the message has been made of it.
    let mut body = Zeroizing::new(vec![0; header.body_bytes()]);
    stream.read_exact(&mut body).await.map_err(ended)?;
    Ok(ToRelay::decode(header.kind(), &body)?)
}

/// Sends a message.
pub(super) async fn write(stream: &mut SendStream, message: &FromRelay) -> Result<(), LinkLost> {
    let bytes = message.encode()?;
    stream.write_all(&bytes).await.map_err(|error| match error {
        quinn::WriteError::ConnectionLost(error) => error.into(),
        error => LinkLost::Closed(error.to_string()),
    })
}

fn ended(error: ReadExactError) -> LinkLost {
    match error {
        ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => error.into(),
        error => LinkLost::Closed(error.to_string()),
    }
}
