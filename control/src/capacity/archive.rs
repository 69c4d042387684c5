//! The limits of the archive.

use std::time::Duration;

/// Longest name of an object in bytes: the longest of ours is a folder, a tenant and three numbers,
/// below 100. A file's name on Linux has at most 255.
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
