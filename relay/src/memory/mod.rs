//! Memory that the kernel writes to, large pages, and the instruction that fetches memory ahead of
//! its use.

mod arena;
mod frames;
mod mapping;
mod pages;
mod prefetch;

pub(crate) use arena::ReceiveArena;
pub(crate) use frames::{Frame, Frames};
pub(crate) use pages::in_huge_pages;
pub(crate) use prefetch::{prefetch, prefetch_part};
