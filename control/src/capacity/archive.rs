//! The limits of the archive.

use super::{AUDIT_WORDS_BYTES_MAX, STORE_RANGE_ENTRIES_MAX};
use std::time::Duration;

/// Longest name of an object in bytes: the longest of ours is `audit`, a node, two numbers and a
/// hash, below 170. A file's name on Linux has at most 255.
pub const ARCHIVE_NAME_BYTES_MAX: usize = 200;

/// Largest object in bytes: [`RECORDS_SEGMENT_BYTES_MAX`](super::RECORDS_SEGMENT_BYTES_MAX) and one
/// record more, with room.
pub const ARCHIVE_OBJECT_BYTES_MAX: usize = 4 * 1024 * 1024;

/// Longest answer of a service in bytes: an object, or the longest page of names with what it says
/// of each.
pub const ARCHIVE_ANSWER_BYTES_MAX: usize = ARCHIVE_OBJECT_BYTES_MAX;

/// Names listed at once: one page of an S3-compatible service.
pub const ARCHIVE_NAMES_AT_ONCE: usize = 1000;

/// How long an answer of the archive is waited for, retries and all; nobody waits for it in a call.
pub const ARCHIVE_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a connection to a service may take: another continent, and one packet that is lost
/// twice.
pub const ARCHIVE_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How often a request is repeated that a service did not answer.
pub const ARCHIVE_RETRIES_MAX: usize = 4;

/// How long it is repeated, within [`ARCHIVE_ANSWER_TIMEOUT`].
pub const ARCHIVE_RETRY_FOR: Duration = Duration::from_secs(15);

/// What an error repeats of what a service said, in characters: it may answer with a page.
pub const ARCHIVE_SAID_CHARACTERS_MAX: usize = 500;

const _: () = assert!(ARCHIVE_RETRY_FOR.as_secs() < ARCHIVE_ANSWER_TIMEOUT.as_secs());

// ---- the audit log in the archive ----

/// How often the audit log is copied to the archive: what a lost disk takes with it. A node that
/// writes day and night makes half a million objects a year.
pub const AUDIT_SHIP_EVERY: Duration = Duration::from_secs(60);

/// Records of one object: one page of the store. Of a sign-in storm a minute is several objects.
pub const AUDIT_SEGMENT_RECORDS_MAX: usize = 1000;
const _: () = assert!(AUDIT_SEGMENT_RECORDS_MAX <= STORE_RANGE_ENTRIES_MAX);

/// Longest record of the audit log in bytes: six texts, each character of which JSON may say with
/// two, and what has a fixed length.
pub const AUDIT_RECORD_BYTES_MAX: usize = 12 * AUDIT_WORDS_BYTES_MAX + 640;
const _: () =
    assert!((AUDIT_SEGMENT_RECORDS_MAX + 1) * AUDIT_RECORD_BYTES_MAX <= ARCHIVE_OBJECT_BYTES_MAX);

/// How long a node that stops waits for the last of its audit log to be copied; what is not copied
/// then is when it starts again.
pub const AUDIT_LAST_SHIP: Duration = Duration::from_secs(5);

/// How often it is said that the audit log cannot be copied.
pub const AUDIT_SHIP_LOG_EVERY: Duration = Duration::from_secs(600);

/// Names of the audit log's objects listed at once: 8 MB. A folder is looked through as a whole
/// for each list, so that more of them cost more lists.
pub const AUDIT_NAMES_AT_ONCE: usize = 50_000;

/// Runs and faults that a verification of the archive tells: nobody reads more, and it ends.
pub const AUDIT_FOUND_MAX: usize = 1000;
