//! The chain: each record carries the hash of the one before, so that none can be changed, left
//! out, added or moved without every later hash being wrong.
//!
//! A record is kept as JSON at `x/audit/<number>`, numbers from 1 without a gap; its hash is
//! SHA-256 over [`DOMAIN`] and that JSON with a hash of zeros. A chain alone does not show that
//! its end was cut off: marks, which say that record `n` had hash `h`, do.

use super::digest::Digest;
use super::entry::{Entry, Outcome, Plain};
use crate::clock::UnixMs;
use crate::store::{self, Key, Prefix, Record, decode, encode};
use aws_lc_rs::digest::{Context, SHA256};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What hashes begin with, so that no other hash of this program is one of these.
pub const DOMAIN: &[u8] = b"kakehashi audit 1\0";

/// One record of the log.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct AuditRecord {
    /// Its number, from 1, without a gap.
    pub seq: u64,
    /// When it was written. Nothing is ordered by it.
    pub at: UnixMs,
    /// What kind of actor: `operator`, `terminal`.
    pub actor: Plain,
    /// Where the actor acted from: `192.0.2.1:4433`, `boss 192.0.2.1:4433`.
    pub from: Plain,
    /// What was done.
    pub act: Plain,
    /// In which tenant.
    pub tenant: Plain,
    /// To whom or what.
    pub target: Plain,
    /// How far it came.
    pub outcome: Outcome,
    /// Why it was refused.
    pub detail: Plain,
    /// How often, since the record before it that says the same.
    pub times: u64,
    /// The record of its beginning.
    pub begun: Option<u64>,
    /// The hash of the record before; zeros before the first.
    pub previous: Digest,
    /// The hash of this one.
    pub hash: Digest,
}

impl AuditRecord {
    /// Where the chain stands after it.
    pub fn head(&self) -> Head {
        Head { seq: self.seq, hash: self.hash }
    }

    fn digest(&self) -> Digest {
        let hashed = Self { hash: Digest([0; 32]), ..self.clone() };
        let mut context = Context::new(&SHA256);
        context.update(DOMAIN);
        context.update(&encode(&hashed));
        let mut out = [0; 32];
        out.copy_from_slice(context.finish().as_ref());
        Digest(out)
    }
}

impl Record for AuditRecord {
    const VERSION: u32 = 1;
}

/// How far a chain goes: its last record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Head {
    /// Its number; 0 before the first.
    pub seq: u64,
    /// Its hash; zeros before the first.
    pub hash: Digest,
}

impl Record for Head {
    const VERSION: u32 = 1;
}

impl Head {
    /// Before the first record.
    pub const START: Self = Self { seq: 0, hash: Digest([0; 32]) };

    /// The record that says `entry` and comes next, at `at`.
    pub fn append(&self, entry: &Entry, at: UnixMs) -> AuditRecord {
        let mut record = AuditRecord {
            seq: self.seq + 1,
            at,
            actor: entry.actor.kind(),
            from: entry.actor.place(),
            act: Plain::of(entry.act),
            tenant: entry.tenant.clone(),
            target: entry.target.clone(),
            outcome: entry.outcome,
            detail: entry.detail.clone(),
            times: entry.times,
            begun: entry.begun,
            previous: self.hash,
            hash: Digest([0; 32]),
        };
        record.hash = record.digest();
        record
    }
}

/// Where record `seq` is kept.
pub fn record_key(seq: u64) -> Key {
    Key::of_index(format_args!("audit/{seq:016x}")).expect("invariant: a short, printable key")
}

/// What all records' keys begin with.
pub fn record_prefix() -> Prefix {
    Prefix::of_index("audit")
}

/// Where the head is kept.
pub fn head_key() -> Key {
    Key::of_index(format_args!("audit-head")).expect("invariant: a short, printable key")
}

/// What is wrong with a record.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// It is not there, and later ones are.
    Missing,
    /// It stands where none can.
    Misplaced,
    /// It is no record, or not byte for byte what is written.
    Unreadable,
    /// Its number is another.
    Renumbered,
    /// It does not follow the one before.
    Unlinked,
    /// Its content is not what its hash says.
    Altered,
    /// A checkpoint, or the head, says another hash.
    Contradicted,
    /// It and those after it are not there, and a checkpoint, or the head, says that they were.
    CutOff,
    /// A checkpoint about it was not signed with this node's key.
    Forged,
}

impl How {
    /// What to tell the operator.
    pub const fn text(self) -> &'static str {
        match self {
            Self::Missing => "it is missing, and later records are there",
            Self::Misplaced => "another record stands in its place",
            Self::Unreadable => "it is not what this program writes",
            Self::Renumbered => "its number was changed",
            Self::Unlinked => "it does not follow the record before it",
            Self::Altered => "its content was changed",
            Self::Contradicted => "a checkpoint or the head says that it was another",
            Self::CutOff => "it and all later records were cut off",
            Self::Forged => "a checkpoint about it has a wrong signature",
        }
    }
}

/// The first record that is not as it was written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Break {
    /// Its number.
    pub seq: u64,
    /// What is wrong with it.
    pub how: How,
}

/// Follows a chain, record by record, and notices the first that is not as it was written.
pub struct Walk {
    head: Head,
    marks: BTreeMap<u64, Vec<Digest>>,
}

impl Walk {
    /// Begins behind the record `from`. Every one of `marks` must be met on the way.
    pub fn new(from: Head, marks: impl IntoIterator<Item = Head>) -> Self {
        let mut all: BTreeMap<u64, Vec<Digest>> = BTreeMap::new();
        for mark in marks.into_iter().filter(|mark| mark.seq > from.seq) {
            all.entry(mark.seq).or_default().push(mark.hash);
        }
        Self { head: from, marks: all }
    }

    /// The last record that is right.
    pub fn head(&self) -> Head {
        self.head
    }

    /// Takes the next entry under [`record_prefix`].
    ///
    /// # Errors
    /// The record that is wrong.
    pub fn step(&mut self, entry: &store::Entry) -> Result<AuditRecord, Break> {
        let seq = self.head.seq + 1;
        let checked = self.check(seq, entry);
        let record = checked.map_err(|how| Break { seq, how })?;
        self.head = record.head();
        Ok(record)
    }

    fn check(&self, seq: u64, entry: &store::Entry) -> Result<AuditRecord, How> {
        let due = record_key(seq);
        if entry.key != due {
            return Err(if entry.key > due { How::Missing } else { How::Misplaced });
        }
        let record: AuditRecord = decode(entry).map_err(|_| How::Unreadable)?;
        let marks = self.marks.get(&seq).map_or(&[][..], Vec::as_slice);
        if encode(&record) != entry.value {
            Err(How::Unreadable)
        } else if record.seq != seq {
            Err(How::Renumbered)
        } else if record.previous != self.head.hash {
            Err(How::Unlinked)
        } else if record.digest() != record.hash {
            Err(How::Altered)
        } else if marks.iter().any(|hash| *hash != record.hash) {
            Err(How::Contradicted)
        } else {
            Ok(record)
        }
    }

    /// There are no more entries.
    ///
    /// # Errors
    /// The first record that was cut off.
    pub fn finish(&self) -> Result<Head, Break> {
        let seq = self.head.seq + 1;
        match self.marks.range(seq..).next() {
            Some(_) => Err(Break { seq, how: How::CutOff }),
            None => Ok(self.head),
        }
    }
}

#[cfg(test)]
mod tests;
