//! Memory that the kernel writes to, and the instruction that fetches memory ahead of its use.

mod arena;
mod mapping;
mod prefetch;

pub(crate) use arena::ReceiveArena;
pub(crate) use prefetch::prefetch;
