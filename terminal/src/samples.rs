//! The speech and video a demonstration sends, embedded so that the program alone is enough.
//!
//! `samples/README.md` says how they were made; all are CC0.

/// A store visitor speaks: Ogg Opus, mono, 20 ms packets, six seconds.
pub const SPEECH_OPUS: &[u8] = include_bytes!("../samples/speech.opus");

/// A concierge answers: Ogg Opus, mono, 20 ms packets, six seconds.
pub const REPLY_OPUS: &[u8] = include_bytes!("../samples/reply.opus");

/// The store's camera: IVF, VP8, 320x240, 20 frames a second, six seconds.
pub const STORE_IVF: &[u8] = include_bytes!("../samples/store.ivf");

/// The concierge's camera: IVF, VP8, 320x240, 15 frames a second, six seconds.
pub const CONCIERGE_IVF: &[u8] = include_bytes!("../samples/concierge.ivf");

/// A test picture in VP9: IVF, 160x120, 15 frames a second, two seconds.
pub const VP9_IVF: &[u8] = include_bytes!("../samples/vp9.ivf");
