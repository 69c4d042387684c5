//! Ended calls in the archive: their records in segments, each of calls of one tenant that began
//! within one hour.
//!
//! ```text
//! calls/<tenant>/<hour>-<hash>     a record a line, JSON as in the store, in the order of keys
//! ```
//!
//! Hours are counted down from the last that fits, so that the newest come first in a list. A
//! segment's name has the hash of what it says: what was written twice stands there once, and what
//! was changed is known. The same call may be in two segments, if whoever wrote the first died
//! before the store knew; it is read once.

use super::CallRecord;
use crate::archive::{Archive, ArchiveError, KeptError, Name};
use crate::capacity::{ARCHIVE_NAMES_AT_ONCE, RECORDS_PER_SEGMENT_MAX, RECORDS_SEGMENT_BYTES_MAX};
use crate::clock::UnixMs;
use crate::store::{Entry, Key, Revision, decode};
use aws_lc_rs::digest::{SHA256, digest};
use core::cmp::Reverse;
use kakehashi_wire::id::{CallId, TenantId};
use std::collections::BTreeMap;

/// Milliseconds of an hour.
const HOUR_MS: u64 = 3600 * 1000;

/// The longest prefix of `entries` that makes one segment; all of them are records of ended calls
/// in the order of their keys.
pub(super) fn cut(entries: &[Entry]) -> &[Entry] {
    let hour = |entry: &Entry| started(entry).map(hour_of);
    let first = entries.first().and_then(hour);
    let mut bytes = 0;
    let fits = |entry: &&Entry| {
        bytes += entry.value.len() + 1;
        bytes <= RECORDS_SEGMENT_BYTES_MAX && hour(entry) == first
    };
    let count = entries.iter().take(RECORDS_PER_SEGMENT_MAX).take_while(fits).count();
    // One that is too long for a segment by itself is none of ours; it must not stay for ever.
    &entries[..count.clamp(usize::from(!entries.is_empty()), entries.len())]
}

/// When the call of an entry began, as its key says.
fn started(entry: &Entry) -> Option<UnixMs> {
    let (_, last) = entry.key.as_str().rsplit_once('/')?;
    let (started, _) = last.split_once('-')?;
    u64::from_str_radix(started, 16).ok().map(UnixMs)
}

fn hour_of(at: UnixMs) -> u32 {
    u32::try_from(at.0 / HOUR_MS).unwrap_or(u32::MAX)
}

/// Writes a segment of the records that `entries` say. It may be there already.
pub(super) async fn write(
    archive: &dyn Archive,
    tenant: TenantId,
    entries: &[Entry],
) -> Result<(), ArchiveError> {
    let Some(first) = entries.first() else { return Ok(()) };
    let mut bytes = Vec::new();
    for entry in entries {
        bytes.extend_from_slice(&entry.value);
        bytes.push(b'\n');
    }
    let hour = u32::MAX - hour_of(started(first).unwrap_or_default());
    let name = Name::of(format_args!("calls/{tenant}/{hour:08x}-{}", hash(&bytes)));
    archive.put_new(&name, bytes).await.map(drop)
}

fn hash(bytes: &[u8]) -> String {
    let hash = digest(&SHA256, bytes);
    hash.as_ref()[..16].iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Ended calls, the newest first, each once.
#[derive(Default)]
pub(super) struct Newest(BTreeMap<(Reverse<UnixMs>, Reverse<CallId>), CallRecord>);

impl Newest {
    pub(super) fn add(&mut self, record: CallRecord) {
        self.0.entry((Reverse(record.started), Reverse(record.call))).or_insert(record);
    }

    /// Whether there are `limit` that began at `at` or later.
    fn has(&self, limit: usize, at: u64) -> bool {
        let last = self.0.keys().nth(limit.saturating_sub(1));
        limit == 0 || last.is_some_and(|(Reverse(started), _)| started.0 >= at)
    }

    pub(super) fn first(self, limit: usize) -> Vec<CallRecord> {
        self.0.into_values().take(limit).collect()
    }
}

/// Adds to `newest` what may be among the first `limit`.
pub(super) async fn read(
    archive: &dyn Archive,
    tenant: TenantId,
    newest: &mut Newest,
    limit: usize,
) -> Result<(), KeptError> {
    let folder = folder(tenant);
    let (mut after, mut current) = (None, None);
    loop {
        let names = archive.list(&folder, after.as_ref(), ARCHIVE_NAMES_AT_ONCE).await?;
        for name in &names {
            let hour = hour_in(name)?;
            if current != Some(hour) && newest.has(limit, (u64::from(hour) + 1) * HOUR_MS) {
                return Ok(());
            }
            current = Some(hour);
            // One that retention has just removed is no damage.
            if let Some(bytes) = archive.get(name).await? {
                add(tenant, name, &bytes, newest)?;
            }
        }
        if names.len() < ARCHIVE_NAMES_AT_ONCE {
            return Ok(());
        }
        after = names.into_iter().next_back();
    }
}

fn add(tenant: TenantId, name: &Name, bytes: &[u8], newest: &mut Newest) -> Result<(), KeptError> {
    if name.last().rsplit('-').next() != Some(hash(bytes).as_str()) {
        return Err(corrupt(name, "it is not what its name says").into());
    }
    let key = Key::parse(name.to_string()).map_err(|error| corrupt(name, &error.to_string()))?;
    for line in bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let entry = Entry { key: key.clone(), value: line.to_vec(), revision: Revision(0) };
        let record: CallRecord = decode(&entry)?;
        if record.tenant != tenant {
            return Err(corrupt(name, "it has another tenant's calls").into());
        }
        newest.add(record);
    }
    Ok(())
}

/// Removes the segments of `tenant` all of whose calls began before `first`.
pub(super) async fn remove_before(
    archive: &dyn Archive,
    tenant: TenantId,
    first: UnixMs,
) -> Result<(), ArchiveError> {
    let folder = folder(tenant);
    let hour = u32::MAX - hour_of(first);
    // Behind all of that hour, in which some may be young enough.
    let after = Name::of(format_args!("{folder}/{hour:08x}-z"));
    loop {
        let names = archive.list(&folder, Some(&after), ARCHIVE_NAMES_AT_ONCE).await?;
        for name in &names {
            archive.remove(name).await?;
        }
        if names.len() < ARCHIVE_NAMES_AT_ONCE {
            return Ok(());
        }
    }
}

fn folder(tenant: TenantId) -> Name {
    Name::of(format_args!("calls/{tenant}"))
}

fn hour_in(name: &Name) -> Result<u32, ArchiveError> {
    let hour = name.last().split_once('-').and_then(|(hour, _)| u32::from_str_radix(hour, 16).ok());
    hour.map(|hour| u32::MAX - hour).ok_or_else(|| corrupt(name, "it is no segment of ours"))
}

fn corrupt(name: &Name, what: &str) -> ArchiveError {
    ArchiveError::Corrupt { name: name.to_string(), what: what.to_owned() }
}
