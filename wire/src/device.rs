//! How a terminal proves which device it is: by a signature that holds for one connection.
//!
//! Both sides derive [`EXPORTED_BYTES`] from the TLS session (RFC 8446 7.5) under [`EXPORT_LABEL`],
//! with an empty context. The terminal signs them with the device's key. Nobody else has the same
//! bytes, so what was signed for one connection proves nothing on another.

use rkyv::{Archive, Deserialize, Serialize};

/// The label of the exported bytes. RFC 5705 4 has private ones begin like this.
pub const EXPORT_LABEL: &[u8] = b"EXPERIMENTAL kakehashi device";

/// Bytes that are exported and signed.
pub const EXPORTED_BYTES: usize = 32;

/// The public key of a device: Ed25519 (RFC 8032 5.1.5).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Archive, Serialize, Deserialize)]
pub struct DeviceKey(pub [u8; 32]);

/// A device's signature over the exported bytes: Ed25519 (RFC 8032 5.1.6).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct DeviceProof(pub [u8; 64]);
