//! What a receiver measures about a stream.

pub mod receive;
