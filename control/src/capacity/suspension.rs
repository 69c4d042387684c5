//! Limits of suspensions.

use super::STORE_VALUE_BYTES_MAX;
use std::time::Duration;

/// Devices on which one account may be suspended: they stand in its record, and who has lost more
/// than these needs another password.
pub const SUSPENDED_DEVICES_MAX: u32 = 64;

/// Longest reason of a suspension in bytes: a sentence.
pub const REASON_BYTES_MAX: usize = 200;

// A suspended device is 100 bytes and its reason, each character of which JSON may say with two.
const _: () = assert!(
    SUSPENDED_DEVICES_MAX as usize * (2 * REASON_BYTES_MAX + 100) <= STORE_VALUE_BYTES_MAX / 2
);

/// How long a suspension waits for relays to say that they have removed its legs: many times the
/// way to any site. Who waits for it longer learns which have not said so.
pub const REMOVAL_PATIENCE: Duration = Duration::from_secs(2);

/// Suspensions, new passwords and roles that wait so at once; beyond these the oldest waits no
/// longer. Each is 200 bytes and 24 for each of its legs, of which there are no more than live.
pub const REMOVALS_AWAITED_MAX: usize = 1024;
