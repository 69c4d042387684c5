//! The limits of guessing, at passwords and at second factors.

use crate::accounts::guard::GuessRate;
use std::time::Duration;

/// Guesses at one account's password from devices it does not know: 100 in any hour, whatever the
/// number of addresses. Five typing mistakes cost nobody a wait.
pub const GUESSES_OF_ACCOUNT: GuessRate = GuessRate { burst: 20, free: 5, per_hour: 80 };

/// Wrong passwords from one IPv4 address or IPv6 /64: a shop's mistakes together, 300 in any hour.
pub const GUESSES_OF_ADDRESS: GuessRate = GuessRate { burst: 100, free: 20, per_hour: 200 };

/// Wrong passwords for one tenant from devices its accounts do not know: 10,000 in any hour, one
/// for each of as many accounts.
pub const GUESSES_OF_TENANT: GuessRate = GuessRate { burst: 2000, free: 500, per_hour: 8000 };

/// Wrong passwords from one device that the account knows: nobody else's count there. As many wrong
/// codes of its second factor: of a million, three are right, so an hour finds one with a chance of
/// 1 in 3,000, and only for whoever has the password.
pub const GUESSES_OF_DEVICE: GuessRate = GUESSES_OF_ACCOUNT;

/// Recovery codes of a second factor, each good once.
pub const RECOVERY_CODES: usize = 10;

/// Devices an account is known to have: a desk's computers and some that were replaced. One more
/// takes the place of the one not seen for longest.
pub const DEVICES_PER_ACCOUNT_MAX: usize = 16;

/// How often a device may resume its session: sixty times at once, where a network comes and goes,
/// then once in five seconds, without a back-off.
pub const RESUMES_OF_DEVICE: GuessRate = GuessRate { burst: 60, free: u32::MAX, per_hour: 720 };

/// How often it is written down that a known device was seen again.
pub const DEVICE_SEEN_EVERY: Duration = Duration::from_secs(24 * 3600);

/// Cells in one row of counters. A core checks at most 120,000 passwords an hour, of which 1,500
/// count at a time: below a tenth of the cells, so that hardly any two share all rows.
pub const GUESS_CELLS: usize = 1 << 14;

/// Rows of counters; with [`GUESS_CELLS`], five kinds of limits hold 7.5 MiB whatever happens.
pub const GUESS_ROWS: usize = kakehashi_wire::limits::GUESS_ROWS;
