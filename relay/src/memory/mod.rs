//! Memory that the kernel writes to: where it lies, and who owns which buffer of it when.

mod buffer;
mod mapping;

pub(crate) use buffer::{NAME_BYTES, ReceiveBuffers};
