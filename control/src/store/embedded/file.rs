//! The file behind the embedded engine: opening, tables, reading, and what its errors mean.

use super::{Entry, Key, Listing, Order, Range, Revision, STORE_RANGE_ENTRIES_MAX, StoreError};
use crate::capacity::STORE_CACHE_BYTES;
use redb::{
    Database, ReadTransaction, ReadableDatabase, ReadableTable, ReadableTableMetadata,
    TableDefinition,
};
use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Key to the revision that last changed it and its value.
pub(super) const ENTRIES: TableDefinition<'_, &str, (u64, &[u8])> = TableDefinition::new("entries");

/// The few numbers about the store itself.
pub(super) const ABOUT: TableDefinition<'_, &str, u64> = TableDefinition::new("about");

/// In [`ABOUT`]: the last revision.
pub(super) const REVISION: &str = "revision";

/// In [`ABOUT`]: the layout of these tables.
const FORMAT: &str = "format";

/// The layout that this version writes and reads.
const FORMAT_KNOWN: u64 = 1;

/// The file, in one of its lives: each opening begins another.
pub(super) struct Slot {
    pub(super) life: u64,
    pub(super) opened: Opened,
}

/// Whether the file is open.
pub(super) enum Opened {
    Yes(Database),
    /// It could not be opened, for this reason.
    No(StoreError),
}

impl Slot {
    /// Closes the file; whoever comes next gets `reason`.
    pub(super) fn close(&mut self, reason: StoreError) {
        self.life += 1;
        if let Opened::Yes(database) = std::mem::replace(&mut self.opened, Opened::No(reason))
            && let Err(error) = database.close()
        {
            // After a failed write that is expected: the next opening repairs it.
            tracing::debug!(event = "store_close_failed", %error,
                "the store did not close in good order");
        }
    }
}

/// Opens or makes the file and its tables.
pub(super) fn open(path: &Path) -> Result<Database, StoreError> {
    let failed = |error: io::Error| fault(path, redb::Error::Io(error));
    let is_new = !path.try_exists().map_err(failed)?;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(failed)?;
    // Checked, since a damaged file must be reported and not panic.
    let database = Database::builder()
        .set_cache_size(STORE_CACHE_BYTES)
        .set_check_integrity_on_open(true)
        .create(path)
        .map_err(|error| fault(path, error.into()))?;
    prepare(path, &database)?;
    if is_new {
        // Else a crash could take the name of a file whose content is safe.
        let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
        let folder = folder.unwrap_or_else(|| Path::new("."));
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)?;
    }
    Ok(database)
}

/// The last revision of the file at `path`, of which nothing is changed; none if there is no file.
///
/// # Errors
/// [`StoreError`]; that it was not closed in good order is none: the next opening sees to it.
pub(super) fn look(path: &Path) -> Result<Option<Revision>, StoreError> {
    if !path.try_exists().map_err(|error| fault(path, redb::Error::Io(error)))? {
        return Ok(None);
    }
    let opened = Database::builder().set_cache_size(STORE_CACHE_BYTES).open_read_only(path);
    let read = match opened {
        Err(redb::DatabaseError::RepairAborted) => return Ok(Some(Revision::default())),
        opened => opened.map_err(redb::Error::from),
    };
    let revision = read.and_then(|database| revision_of(&database.begin_read()?));
    revision.map(Some).map_err(|error| fault(path, error))
}

/// Makes the tables of a new file; checks the format of one that has them.
fn prepare(path: &Path, database: &Database) -> Result<(), StoreError> {
    match format(database).map_err(|error| fault(path, error))? {
        Some(found) if found > FORMAT_KNOWN => {
            Err(StoreError::Newer { path: path.to_owned(), found, known: FORMAT_KNOWN })
        }
        Some(_) => Ok(()),
        None => make_tables(database).map_err(|error| fault(path, error)),
    }
}

fn format(database: &Database) -> Result<Option<u64>, redb::Error> {
    let txn = database.begin_read()?;
    match txn.open_table(ABOUT) {
        Ok(about) => Ok(about.get(FORMAT)?.map(|found| found.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

fn make_tables(database: &Database) -> Result<(), redb::Error> {
    let txn = database.begin_write()?;
    txn.open_table(ENTRIES)?;
    let mut about = txn.open_table(ABOUT)?;
    about.insert(FORMAT, FORMAT_KNOWN)?;
    about.insert(REVISION, 0)?;
    drop(about);
    Ok(txn.commit()?)
}

/// Lets an empty file count on from `from`.
pub(super) fn go_on_from(
    path: &Path,
    database: &Database,
    from: Revision,
) -> Result<(), StoreError> {
    let count_on = || -> Result<bool, redb::Error> {
        let txn = database.begin_write()?;
        let is_empty = txn.open_table(ENTRIES)?.is_empty()?;
        if is_empty {
            let mut about = txn.open_table(ABOUT)?;
            let before = about.get(REVISION)?.map_or(0, |found| found.value());
            about.insert(REVISION, from.0.max(before))?;
        }
        txn.commit()?;
        Ok(is_empty)
    };
    let was_empty = count_on().map_err(|error| fault(path, error))?;
    if was_empty { Ok(()) } else { Err(StoreError::Conflict) }
}

/// The last revision.
pub(super) fn current_revision(path: &Path, database: &Database) -> Result<Revision, StoreError> {
    let read = database.begin_read().map_err(redb::Error::from);
    let revision = read.and_then(|txn| revision_of(&txn));
    revision.map_err(|error| fault(path, error))
}

/// The revision of the commit that `txn` sees.
pub(super) fn revision_of(txn: &ReadTransaction) -> Result<Revision, redb::Error> {
    let found = txn.open_table(ABOUT)?.get(REVISION)?.map(|found| found.value());
    found.map(Revision).ok_or_else(|| redb::Error::Corrupted("it has no revision".to_owned()))
}

/// One page of keys.
pub(super) fn list(txn: &ReadTransaction, range: &Range) -> Result<Listing, redb::Error> {
    use core::ops::Bound::{Excluded, Included};
    let revision = revision_of(txn)?;
    let table = txn.open_table(ENTRIES)?;
    let first = range.prefix.as_str();
    // Keys are printable ASCII, so DEL sorts after all that begin with the prefix.
    let last = format!("{first}\x7f");
    let after = range.after.as_ref().map(Key::as_str);
    if after.is_some_and(|after| !after.starts_with(first)) {
        return Ok(Listing { entries: Vec::new(), revision, more: false });
    }
    let limit = range.limit.min(STORE_RANGE_ENTRIES_MAX);
    let bounds = match (after, range.order) {
        (None, _) => (Included(first), Excluded(last.as_str())),
        (Some(after), Order::Ascending) => (Excluded(after), Excluded(last.as_str())),
        (Some(after), Order::Descending) => (Included(first), Excluded(after)),
    };
    let mut found = table.range::<&str>(bounds)?;
    let mut entries = Vec::new();
    loop {
        let next = match range.order {
            Order::Ascending => found.next(),
            Order::Descending => found.next_back(),
        };
        let Some(next) = next else { break };
        if entries.len() == limit {
            return Ok(Listing { entries, revision, more: true });
        }
        let (key, value) = next?;
        let (changed, value) = value.value();
        let key = Key::parse(key.value().to_owned())
            .map_err(|error| redb::Error::Corrupted(error.to_string()))?;
        entries.push(Entry { key, value: value.to_vec(), revision: Revision(changed) });
    }
    Ok(Listing { entries, revision, more: false })
}

/// Says an error of redb in the words of [`StoreError`].
pub(super) fn fault(path: &Path, error: redb::Error) -> StoreError {
    let path = path.to_owned();
    match error {
        redb::Error::DatabaseAlreadyOpen | redb::Error::LockProtocolMismatch => {
            StoreError::Locked { path }
        }
        redb::Error::Io(error) => match error.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                StoreError::Full { path }
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => {
                StoreError::Corrupt { path, what: error.to_string() }
            }
            _ => StoreError::Io { path, what: error.to_string() },
        },
        redb::Error::PreviousIo => {
            StoreError::Io { path, what: "an earlier write failed".to_owned() }
        }
        redb::Error::DatabaseClosed => {
            StoreError::Io { path, what: "it was closed while it was read".to_owned() }
        }
        other => StoreError::Corrupt { path, what: other.to_string() },
    }
}
