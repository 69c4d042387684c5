//! Media in files: Ogg Opus (RFC 7845) and IVF with VP8 or VP9.
//!
//! **Bytes in, frames out, and back; the files themselves are handed in as readers and writers.**

pub mod ivf;
pub mod ogg;
