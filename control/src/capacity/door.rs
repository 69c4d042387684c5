//! Limits of the operators' door.

use std::time::Duration;

/// Longest answer in bytes: [`ADMIN_ROWS_MAX`] rows of 800 bytes.
pub const ADMIN_ANSWER_BYTES_MAX: usize = 8 * 1024 * 1024;

/// Rows one answer carries: a tenant's accounts or its kept calls.
pub const ADMIN_ROWS_MAX: usize = 10_000;

/// Lists for people of tenants that are in memory at the same time until they have been read:
/// 96 MiB at the worst. One is read in a second; whoever asks for one meanwhile waits.
pub const API_LISTS_MAX: usize = 12;

/// The same for the operator, who waits for nobody of a tenant: 32 MiB more.
pub const API_OPERATOR_LISTS_MAX: usize = 4;

/// A list not read after so long is given up, with its connection: 8 MiB need 7 Mbit/s.
pub const API_LIST_TIMEOUT: Duration = Duration::from_secs(10);

/// Connections to the API at once: a few operators and their scripts.
pub const API_CONNECTIONS_MAX: usize = 256;

/// Connections to the API from one IPv4 address or IPv6 /64: an office, or a script with as many
/// threads.
pub const API_CONNECTIONS_PER_ADDRESS: u32 = 32;

/// From the end of one request to the end of the head of the next: whoever sends a head byte by
/// byte, or keeps a connection without using it, holds it for so long.
pub const API_HEAD_TIMEOUT: Duration = Duration::from_secs(10);

/// Bytes of a request that are read at once, its head among them: a token, a path of three names of
/// 64 bytes, and what programs say of themselves.
pub const API_HEAD_BYTES_MAX: usize = 16 * 1024;

/// Header fields of one request; `curl` sends five.
pub const API_HEADERS_MAX: usize = 64;

/// Longest body in bytes: the longest has two names and a password, below 2 KiB.
pub const API_BODY_BYTES_MAX: usize = 64 * 1024;

/// From the head of a request to the end of its body.
pub const API_BODY_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest life of a connection, whoever reads its answers however slowly.
pub const API_CONNECTION_TIME: Duration = Duration::from_secs(600);

/// Tokens of people at once: some people of each tenant that is at work.
pub const API_TOKENS_MAX: usize = 10_000;

/// Tokens of one account at once: a script, and some browsers.
pub const API_TOKENS_PER_ACCOUNT_MAX: usize = 8;

/// A token that nobody used for so long counts no longer.
pub const API_TOKEN_IDLE: Duration = Duration::from_secs(15 * 60);

/// The longest a token counts: a working day.
pub const API_TOKEN_LIFE: Duration = Duration::from_secs(12 * 3600);

/// How long a client waits for an answer: a password hash may wait for
/// [`HASH_QUEUE_PER_WORKER`](super::HASH_QUEUE_PER_WORKER) others, and a slow disk may take
/// seconds.
pub const API_ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// Longest form of the console in bytes: [`CONSOLE_IMPORT_ROWS_MAX`] lines of 300 bytes, each byte
/// as three.
pub const CONSOLE_BODY_BYTES_MAX: usize = 192 * 1024;

/// Accounts that one CSV text may add: each costs a password hash, so these take ten seconds.
pub const CONSOLE_IMPORT_ROWS_MAX: usize = 200;

/// Rows on one page.
pub const CONSOLE_PAGE_ROWS: usize = 50;

/// Agents of a desk that the console lists; of more it says how many.
pub const CONSOLE_AGENTS: usize = 24;

/// How long before its end the console, and `kakehashi doctor`, mark a certificate.
pub const CERTIFICATE_SOON: Duration = Duration::from_secs(30 * 24 * 3600);

/// Pages that are kept fresh at once, 64 KiB each with what they showed last: 4 MiB.
pub const CONSOLE_STREAMS_MAX: usize = 64;

/// How often a page is looked at anew while somebody looks at it.
pub const CONSOLE_REFRESH: Duration = Duration::from_secs(1);

/// Longest report of content that a browser refused, in bytes.
pub const CONSOLE_REPORT_BYTES_MAX: usize = 8 * 1024;

/// Ended calls of a tenant that its page of records searches, each 1 KiB: 5 MiB at most while it
/// does.
pub const CONSOLE_RECORDS_MAX: usize = 5_000;

/// Records of the audit log that one page searches, and gives out as CSV.
pub const CONSOLE_AUDIT_ROWS: usize = 200;

/// Times [`AUDIT_VERIFIED_AT_ONCE`](super::AUDIT_VERIFIED_AT_ONCE) records that are verified
/// before a page says how far that came: some seconds' work.
pub const CONSOLE_VERIFY_STEPS: usize = 10;

/// Longest file of an outside probe in bytes: 20 rounds, each with 64 relays of 400 bytes, some
/// sign-ins and 128 KiB of what is wrong.
pub const CONSOLE_STATUS_BYTES_MAX: u64 = 4 * 1024 * 1024;
