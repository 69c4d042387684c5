//! Every limit of the listener, with what it costs at most.
//!
//! All of it together: [`CONNECTIONS_MAX`] x ([`HEAD_BYTES_MAX`] + one text). The longest text is
//! that of a relay of 256 shards: 1.4 MB, in memory that doubles as it is written, so at most 3 MB.
//! That makes 50 MB, for [`CONNECTION_TIME`] at most, and only if sixteen readers come at once and
//! read nothing. A relay of 8 shards has 50 KB.

use core::time::Duration;

/// Connections at once; more are closed unheard. A few servers scrape, each over one.
pub const CONNECTIONS_MAX: usize = 16;

/// Bytes of the head of a request: the least that hyper works with, and ten times what comes.
pub const HEAD_BYTES_MAX: usize = 8 * 1024;

/// Header lines of a request: a scrape has six.
pub const HEADERS_MAX: usize = 32;

/// How long the head of a request may take.
pub const HEAD_TIME: Duration = Duration::from_secs(5);

/// How long a connection may take: one request and its answer, which Prometheus waits for 10 s by
/// default.
pub const CONNECTION_TIME: Duration = Duration::from_secs(15);

/// The pause after a connection could not be accepted: for want of descriptors, most likely.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
