//! Runs of the log's records as objects of an archive.
//!
//! ```text
//! audit/<node>/<first>-<last>-<hash>     a record a line, as in the store, and a seal
//! ```
//!
//! `first` and `last` are numbers of records, `hash` is that of the last one, which stands for all
//! before it. So names alone say how far a log is there; and a log that was begun anew, since its
//! disk is lost, or goes on differently, since its store is an older copy, stands beside the other
//! and never over it. The seal is a checkpoint of the last record, and the key that it is by.

use super::Digest;
use super::chain::{AuditRecord, Break, Head, How, Walk, record_key};
use super::checkpoint::Checkpoint;
use super::digest::{PublicKey, read_hex};
use crate::archive::Name;
use crate::capacity::AUDIT_SEGMENT_RECORDS_MAX;
use crate::clock::UnixMs;
use crate::nodes::NodeName;
use crate::store::{Entry, Record, Revision, decode, encode};
use serde::{Deserialize, Serialize};

/// Which records an object has.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(super) struct Span {
    /// The number of the first.
    pub(super) first: u64,
    /// The last.
    pub(super) end: Head,
}

impl Record for Span {
    const VERSION: u32 = 1;
}

/// The objects of all nodes.
pub(super) fn all() -> Name {
    Name::of(format_args!("audit"))
}

/// The objects of `node`.
pub(super) fn folder(node: &NodeName) -> Name {
    Name::of(format_args!("audit/{node}"))
}

impl Span {
    /// What the object is called.
    pub(super) fn name(&self, node: &NodeName) -> Name {
        let Self { first, end } = self;
        Name::of(format_args!("audit/{node}/{first:016x}-{:016x}-{}", end.seq, end.hash))
    }

    /// Whose records and which the object of this name has, if it is one of ours.
    pub(super) fn parse(name: &Name) -> Option<(NodeName, Self)> {
        let node = NodeName::parse(name.as_str().split('/').nth(1)?)?;
        let mut parts = name.last().split('-');
        let mut number = || u64::from_str_radix(parts.next()?, 16).ok();
        let (first, seq) = (number()?, number()?);
        let hash = Digest(read_hex(parts.next()?)?);
        let span = Self { first, end: Head { seq, hash } };
        let most = AUDIT_SEGMENT_RECORDS_MAX as u64;
        // Nothing that is counted from there leaves its type.
        let can_be = (1..u64::MAX / 2).contains(&first) && (first..first + most).contains(&seq);
        (can_be && span.name(&node) == *name).then_some((node, span))
    }
}

/// The last line of an object.
#[derive(Serialize, Deserialize)]
struct Seal {
    seal: Checkpoint,
    key: PublicKey,
}

impl Record for Seal {
    const VERSION: u32 = 1;
}

/// The object that has the records `entries`, sealed with `seal`, which is by `key`.
pub(super) fn pack(entries: &[Entry], seal: Checkpoint, key: PublicKey) -> Vec<u8> {
    let mut bytes = Vec::new();
    let seal = encode(&Seal { seal, key });
    for line in entries.iter().map(|entry| &entry.value).chain([&seal]) {
        bytes.extend_from_slice(line);
        bytes.push(b'\n');
    }
    bytes
}

/// What a right object says.
pub(super) struct Checked {
    /// The record before its first.
    pub(super) before: Head,
    /// When its first record was written.
    pub(super) since: UnixMs,
    /// When its last record was written.
    pub(super) until: UnixMs,
    /// Whose seal it has.
    pub(super) key: PublicKey,
}

/// Checks that an object has the records of its name, each as it was written, and their seal; and
/// shows `see` each that is right.
pub(super) fn check(
    span: &Span,
    bytes: &[u8],
    mut see: impl FnMut(Head),
) -> Result<Checked, Break> {
    let last = span.end.seq;
    let unsealed = Break { seq: last, how: How::Unreadable };
    let lines = bytes.strip_suffix(b"\n").ok_or(unsealed)?;
    let mut lines = lines.split(|byte| *byte == b'\n');
    let seal = lines.next_back().ok_or(unsealed)?;
    let first = lines.clone().next().ok_or(Break { seq: span.first, how: How::Missing })?;
    let first: AuditRecord = decode(&entry(span.first, first))
        .map_err(|_| Break { seq: span.first, how: How::Unreadable })?;
    let before = Head { seq: span.first - 1, hash: first.previous };
    let (mut walk, mut until) = (Walk::new(before, []), first.at);
    for (seq, line) in (span.first..).zip(lines) {
        if seq > last {
            return Err(Break { seq, how: How::Misplaced });
        }
        until = walk.step(&entry(seq, line))?.at;
        see(walk.head());
    }
    if walk.head().seq < last {
        return Err(Break { seq: walk.head().seq + 1, how: How::CutOff });
    }
    if walk.head() != span.end {
        return Err(Break { seq: last, how: How::Contradicted });
    }
    let key = sealed(span, seal)?;
    Ok(Checked { before, since: first.at, until, key })
}

/// The key that the line `seal` is by.
fn sealed(span: &Span, seal: &[u8]) -> Result<PublicKey, Break> {
    let seq = span.end.seq;
    let entry = entry(seq, seal);
    let seal: Seal = decode(&entry).map_err(|_| Break { seq, how: How::Unreadable })?;
    let is_as_written = encode(&seal) == entry.value;
    if is_as_written && seal.seal.head() == span.end && seal.seal.is_by(&seal.key) {
        Ok(seal.key)
    } else {
        Err(Break { seq, how: How::Forged })
    }
}

/// A line as if it stood in the store as record `seq`.
fn entry(seq: u64, line: &[u8]) -> Entry {
    Entry { key: record_key(seq), value: line.to_vec(), revision: Revision(0) }
}
