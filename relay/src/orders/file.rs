//! Orders out of a file instead of from control: a relay alone, for measurements.
//!
//! The file is what control would have sent: [`Orders`](kakehashi_wire::relay::Orders) messages one
//! behind the other, each with its outer header (`wire/FORMAT.md`). It holds keys; keep it private.

use super::dispatch::Dispatcher;
use super::link::ShardHandle;
use kakehashi_wire::frame::{FrameError, Reader};
use kakehashi_wire::relay::{Order, Outcome, ToRelay};
use kakehashi_wire::{DecodeError, id::LegId};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::{Notify, watch};
use zeroize::Zeroizing;

/// Why the orders of a file cannot be carried out.
#[derive(Debug, thiserror::Error)]
pub enum OrderFileError {
    /// It cannot be read.
    #[error("cannot read the orders in {0}: {1}; check the path and that this user may read it")]
    Unreadable(PathBuf, std::io::Error),
    /// It holds something else than messages.
    #[error("{0} is no file of orders: {1}; write it anew with the version of this relay")]
    Frame(PathBuf, FrameError),
    /// A message in it is malformed.
    #[error("{0} holds a message that is malformed: {1}; write it anew")]
    Message(PathBuf, DecodeError),
    /// A message in it is none that orders.
    #[error("{0} holds a {1} message; only Orders may stand in it")]
    NoOrders(PathBuf, &'static str),
    /// It ends within a message.
    #[error("{0} ends within a message; write it anew")]
    CutShort(PathBuf),
    /// A shard would not carry an order out.
    #[error("the order for leg {0} was answered {1:?}; check shards and legs_per_shard_max")]
    Refused(LegId, Outcome),
    /// The kernel gives no event loop to run on.
    #[error("no event loop for the orders: {0}")]
    System(#[from] std::io::Error),
}

/// Reads the batches of orders in a file.
pub(crate) fn read(path: &Path) -> Result<Vec<Vec<Order>>, OrderFileError> {
    let unreadable = |error| OrderFileError::Unreadable(path.to_owned(), error);
    let bytes = Zeroizing::new(fs::read(path).map_err(unreadable)?);
    let (mut rest, mut reader, mut batches) = (bytes.as_slice(), Reader::new(), Vec::new());
    let mut between = true;
    while !rest.is_empty() {
        let space = reader.space();
        let taken = space.len().min(rest.len());
        space[..taken].copy_from_slice(&rest[..taken]);
        rest = &rest[taken..];
        let frame = reader.filled(taken);
        let frame = frame.map_err(|error| OrderFileError::Frame(path.to_owned(), error))?;
        between = frame.is_some();
        let Some(frame) = frame else { continue };
        match ToRelay::decode(frame.kind(), frame.body()) {
            Ok(ToRelay::Orders(batch)) => batches.push(batch.orders),
            Ok(other) => return Err(OrderFileError::NoOrders(path.to_owned(), other.name())),
            Err(error) => return Err(OrderFileError::Message(path.to_owned(), error)),
        }
    }
    if between { Ok(batches) } else { Err(OrderFileError::CutShort(path.to_owned())) }
}

/// Carries out `batches` on this thread, then waits for `stop`.
pub(crate) fn run(
    batches: Vec<Vec<Order>>,
    shards: Vec<ShardHandle>,
    knock: Arc<Notify>,
    mut stop: watch::Receiver<bool>,
) -> Result<(), OrderFileError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut dispatcher = Dispatcher::new(shards, knock);
        let mut orders = 0;
        for batch in batches {
            for result in dispatcher.orders(batch).await {
                if result.outcome != Outcome::Applied {
                    return Err(OrderFileError::Refused(result.leg, result.outcome));
                }
                orders += 1;
            }
        }
        tracing::info!(
            event = "file_orders_done",
            orders,
            "orders carried out; control is not needed"
        );
        // An error means that nobody is left to say so: that is a stop as well.
        let _ = stop.wait_for(|stop| *stop).await;
        Ok(())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Phone;
    use kakehashi_wire::id::Term;
    use kakehashi_wire::relay::{NodeHeartbeat, Orders};
    use std::io::Write;

    fn file(bytes: &[u8]) -> tempfile::NamedTempFile {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    fn batch(calls: std::ops::Range<u64>) -> Vec<u8> {
        let orders = calls.map(|call| Order::Install(Phone::new(call, 1).install(1))).collect();
        ToRelay::from(Orders { term: Term::ALONE, orders }).encode().unwrap()
    }

    #[test]
    fn batches_come_back_in_sequence() {
        let file = file(&[batch(0..3), batch(3..5)].concat());
        let batches = read(file.path()).unwrap();
        assert_eq!(batches.iter().map(Vec::len).collect::<Vec<_>>(), [3, 2]);
        assert!(read(tempfile::NamedTempFile::new().unwrap().path()).unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_with_a_file_is_said() {
        let whole = batch(0..2);
        let heartbeat = ToRelay::from(NodeHeartbeat { beat: 1 }).encode().unwrap();
        let cases = [
            (whole[..whole.len() - 1].to_vec(), "ends within a message"),
            (whole[..5].to_vec(), "ends within a message"),
            (heartbeat, "holds a NodeHeartbeat message"),
            (vec![7; 40], "is no file of orders"),
        ];
        for (bytes, part) in cases {
            let error = read(file(&bytes).path()).err().unwrap().to_string();
            assert!(error.contains(part), "{error}");
        }
        let error = read(Path::new("/nowhere/orders")).err().unwrap().to_string();
        assert!(error.contains("check the path"), "{error}");
    }
}
