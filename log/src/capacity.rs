//! Every limit of the log and the traces.

/// Bytes of one value in a span; the rest is cut.
pub const VALUE_BYTES_MAX: usize = 256;

/// Values of one span; those beyond are counted.
pub const ATTRIBUTES_MAX: usize = 24;

/// Spans that wait to be sent; those beyond are lost. A call makes about 30.
pub const SPANS_WAITING_MAX: usize = 8_192;

/// Spans in one request to the collector.
pub const SPANS_PER_REQUEST_MAX: usize = 512;

/// How often spans are sent.
pub const SPANS_SENT_EVERY: core::time::Duration = core::time::Duration::from_secs(2);

/// What one request to the collector, or the last spans of a program that ends, may take.
pub const COLLECTOR_ANSWERS_WITHIN: core::time::Duration = core::time::Duration::from_secs(2);
