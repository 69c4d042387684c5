//! Reading the log: listing it, and verifying it.

use super::book::Read;
use super::chain::{AuditRecord, Break, Head, How, Walk, head_key, record_key, record_prefix};
use crate::store::{Expected, Order, Range, Store, StoreError, decode};
use serde::{Deserialize, Serialize};

/// What a verification found.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Verdict {
    /// The last record that is right.
    pub head: Head,
    /// The first that is not.
    pub broken: Option<Break>,
    /// Whether there are more records to verify, from `head` on.
    pub more: bool,
    /// The last record that is known to be in the archive; none if it is not copied there.
    pub archived: Option<u64>,
}

/// Where the chain ends, and what fences it.
pub(super) async fn end(store: &dyn Store) -> Result<(Head, Expected), StoreError> {
    match store.get(&head_key()).await? {
        Some(entry) => Ok((decode(&entry)?, Expected::At(entry.revision))),
        None => Ok((Head::START, Expected::Absent)),
    }
}

/// The newest `limit` records before number `before`, newest first.
pub(super) async fn newest(
    store: &dyn Store,
    before: Option<u64>,
    limit: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    let mut range = Range::first(record_prefix());
    range.order = Order::Descending;
    range.after = before.map(record_key);
    let mut found = Vec::new();
    while found.len() < limit {
        range.limit = limit - found.len();
        let page = store.range(range.clone()).await?;
        range.after = page.entries.last().map(|entry| entry.key.clone());
        for entry in &page.entries {
            found.push(decode(entry)?);
        }
        if !page.more {
            break;
        }
    }
    Ok(found)
}

/// Verifies the records behind `from`, in about `most` of them.
pub(super) async fn verify(
    store: &dyn Store,
    book: &Read,
    from: Head,
    most: usize,
) -> Result<Verdict, StoreError> {
    // Read first: records that come meanwhile lie behind it.
    let head = match store.get(&head_key()).await?.as_ref().map(decode::<Head>) {
        None => Head::START,
        Some(Ok(head)) => head,
        Some(Err(_)) => return Ok(broken(from, Break { seq: from.seq + 1, how: How::CutOff })),
    };
    let forged = book.checkpoints.iter().find(|checkpoint| !checkpoint.is_by(&book.key));
    if let Some(forged) = forged {
        return Ok(broken(from, Break { seq: forged.seq, how: How::Forged }));
    }
    let marks = book.checkpoints.iter().map(super::Checkpoint::head);
    let mut walk = Walk::new(from, marks.chain([head]));
    let mut range = Range::first(record_prefix());
    range.after = (from.seq > 0).then(|| record_key(from.seq));
    let mut read = 0;
    loop {
        let page = store.range(range.clone()).await?;
        for entry in &page.entries {
            if let Err(found) = walk.step(entry) {
                return Ok(broken(walk.head(), found));
            }
        }
        read += page.entries.len();
        range.after = page.entries.last().map(|entry| entry.key.clone());
        if !page.more {
            break;
        }
        if read >= most {
            return Ok(Verdict { head: walk.head(), broken: None, more: true, archived: None });
        }
    }
    if walk.head().seq > 0 && head == Head::START {
        return Ok(broken(walk.head(), Break { seq: 1, how: How::Contradicted }));
    }
    Ok(match walk.finish() {
        Ok(head) => Verdict { head, broken: None, more: false, archived: None },
        Err(found) => broken(walk.head(), found),
    })
}

fn broken(head: Head, found: Break) -> Verdict {
    Verdict { head, broken: Some(found), more: false, archived: None }
}
