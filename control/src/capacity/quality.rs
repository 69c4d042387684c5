//! Limits of what is kept of how media arrives in calls that go on.

use super::SESSIONS_MAX;
use std::time::Duration;

/// Samples kept of how the media of a call arrives at a member: five minutes, at a report every
/// five seconds.
pub const QUALITY_SAMPLES_MAX: usize = 60;

/// How far samples are apart at least, however often a terminal reports.
pub const QUALITY_SAMPLE_MIN: Duration = Duration::from_secs(1);

/// Memory of all samples in bytes, of 32 each: 38 MB, if each session is in a call.
const QUALITY_BYTES: usize = SESSIONS_MAX * QUALITY_SAMPLES_MAX * 32;
const _: () = assert!(QUALITY_BYTES <= 64 * 1024 * 1024);

/// Samples in one list of calls: 100 members have all of theirs, 6,000 the last one, more have
/// none. With 140 bytes each they are 840 KB beside 3,000 calls of 800 bytes.
pub const QUALITY_SAMPLES_SHOWN_MAX: usize = 6_000;
