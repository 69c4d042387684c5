//! The examples of RFC 7714 (sections 16 and 17) and key-derivation values, on every provider.

use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MasterKey, Suite};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::aead::NONCE_BYTES;
use crate::kdf::{Derivation, Label, SessionKey};
use crate::keys::{rtcp_nonce, rtp_nonce};
use crate::rtcp::RtcpPrivacy;
use crate::{
    AuthKeys, Authenticator, Opened, OpenedRtcp, PacketIndex, Provider, RTCP_OVERHEAD_BYTES,
    RtcpIndex, Scratch, SealerPosition, SessionKeys, SrtpError, StreamOpener, StreamSealer,
};

#[derive(Deserialize)]
struct Vectors {
    session_salt: String,
    key128: String,
    key256: String,
    rtp_plain: String,
    rtp_ssrc: String,
    rtp_seq: String,
    roc: u32,
    rtp_iv: String,
    rtcp_plain: String,
    srtcp_index: String,
    rtcp_iv: String,
    wire: BTreeMap<String, String>,
    kdf_gcm_libsrtp_material: Derived,
}

#[derive(Deserialize)]
struct Derived {
    master_salt: String,
    out: BTreeMap<String, String>,
}

impl Vectors {
    fn load() -> Self {
        serde_json::from_str(include_str!("../tests/vectors/rfc7714.json")).unwrap()
    }

    fn key(&self, suite: Suite) -> Vec<u8> {
        bytes(match suite {
            Suite::AeadAes128Gcm => &self.key128,
            Suite::AeadAes256Gcm => &self.key256,
        })
    }

    fn session(&self, suite: Suite) -> SessionKey {
        SessionKey::new(suite, &self.key(suite), array(&self.session_salt))
    }

    fn keys(&self, provider: Provider, suite: Suite) -> SessionKeys {
        SessionKeys::from_session_key(provider, &self.session(suite), self.session(suite))
    }

    /// Keys of every authenticator that this machine can use.
    fn auth_keys(&self, suite: Suite) -> Vec<AuthKeys> {
        let usable = Authenticator::ALL.into_iter().filter(|one| one.is_available());
        usable.map(|one| AuthKeys::from_session_key(one, &self.session(suite))).collect()
    }

    fn rtp(&self) -> (Ssrc, PacketIndex) {
        let sequence = u16::from_be_bytes(array(&self.rtp_seq));
        (Ssrc(u32::from_be_bytes(array(&self.rtp_ssrc))), PacketIndex::new(self.roc, sequence))
    }

    fn rtcp(&self) -> (Ssrc, RtcpIndex) {
        let index = u32::from_str_radix(&self.srtcp_index, 16).unwrap();
        let ssrc = array(&self.rtcp_plain[8..16]);
        (Ssrc(u32::from_be_bytes(ssrc)), RtcpIndex::from_value(index).unwrap())
    }
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

const SUITES: [Suite; 2] = [Suite::AeadAes128Gcm, Suite::AeadAes256Gcm];

/// Every shortened and every once flipped variant of `wire`.
fn damaged(wire: &[u8]) -> Vec<Vec<u8>> {
    let flipped = (0..wire.len() * 8).map(|bit| {
        let mut packet = wire.to_vec();
        packet[bit / 8] ^= 1 << (bit % 8);
        packet
    });
    (0..wire.len()).map(|length| wire[..length].to_vec()).chain(flipped).collect()
}

#[test]
fn nonces_are_those_of_the_rfc() {
    let vectors = Vectors::load();
    let salt = array(&vectors.session_salt);
    let ((rtp_ssrc, rtp_index), (rtcp_ssrc, rtcp_index)) = (vectors.rtp(), vectors.rtcp());
    assert_eq!(rtp_nonce(&salt, rtp_ssrc, rtp_index).0, array(&vectors.rtp_iv));
    assert_eq!(rtcp_nonce(&salt, rtcp_ssrc, rtcp_index).0, array(&vectors.rtcp_iv));
}

#[test]
fn rtp_examples_seal_and_open() {
    let vectors = Vectors::load();
    let ((ssrc, index), plain) = (vectors.rtp(), bytes(&vectors.rtp_plain));
    let mut scratch = Scratch::new();
    for provider in Provider::ALL {
        for (suite, name) in SUITES.into_iter().zip(["16.1.1", "16.2.1"]) {
            let (keys, wire) = (vectors.keys(provider, suite), bytes(&vectors.wire[name]));
            let auth_keys = vectors.auth_keys(suite);
            let mut packet = plain.clone();
            packet.resize(plain.len() + 16, 0xee);
            let mut sealer = StreamSealer::new(ssrc, index.sequence());
            assert_eq!(sealer.protect_rtp(&keys, &mut packet, plain.len()), Ok(wire.len()));
            assert_eq!(packet, wire, "{name} {provider}");

            let mut opener = StreamOpener::new(ssrc);
            for broken in damaged(&wire) {
                let (before, mut given) = (opener.clone(), broken.clone());
                opener.unprotect_rtp(&keys, &mut given, &mut scratch).unwrap_err();
                for auth in &auth_keys {
                    opener.authenticate_rtp(auth, &given, &mut scratch).unwrap_err();
                }
                assert!(given == broken && opener == before, "{name} {provider}");
            }
            for auth in &auth_keys {
                let authentic = opener.clone().authenticate_rtp(auth, &packet, &mut scratch);
                assert_eq!((authentic, &packet), (Ok(index), &wire));
            }
            let opened = opener.unprotect_rtp(&keys, &mut packet, &mut scratch);
            assert_eq!(opened, Ok(Opened { index, bytes: plain.len() }));
            assert_eq!(&packet[..plain.len()], plain, "{name} {provider}");
        }
    }
}

#[test]
fn rtcp_examples_seal_and_open() {
    let vectors = Vectors::load();
    let ((ssrc, index), plain) = (vectors.rtcp(), bytes(&vectors.rtcp_plain));
    let position = SealerPosition { rtp: PacketIndex::new(0, 0), rtcp: index };
    let mut scratch = Scratch::new();
    let examples = [
        ("17.1", Suite::AeadAes128Gcm, RtcpPrivacy::Encrypted),
        ("17.2", Suite::AeadAes256Gcm, RtcpPrivacy::Encrypted),
        ("17.3", Suite::AeadAes128Gcm, RtcpPrivacy::Readable),
        ("17.4", Suite::AeadAes256Gcm, RtcpPrivacy::Readable),
    ];
    for provider in Provider::ALL {
        for (name, suite, privacy) in examples {
            let (keys, wire) = (vectors.keys(provider, suite), bytes(&vectors.wire[name]));
            let mut packet = plain.clone();
            packet.resize(plain.len() + RTCP_OVERHEAD_BYTES, 0xee);
            let mut sealer = StreamSealer::resume(ssrc, position);
            let sealed = sealer.protect_rtcp(&keys, &mut packet, plain.len(), privacy);
            assert_eq!((sealed, &packet), (Ok(wire.len()), &wire), "{name} {provider}");

            let mut opener = StreamOpener::new(ssrc);
            for broken in damaged(&wire) {
                let (before, mut given) = (opener.clone(), broken.clone());
                opener.unprotect_rtcp(&keys, &mut given, &mut scratch).unwrap_err();
                opener.authenticate_rtcp(&keys, &given, &mut scratch).unwrap_err();
                assert!(given == broken && opener == before, "{name} {provider}");
            }
            let authentic = opener.clone().authenticate_rtcp(&keys, &packet, &mut scratch);
            assert_eq!((authentic, &packet), (Ok(index), &wire));
            let opened = opener.unprotect_rtcp(&keys, &mut packet, &mut scratch);
            assert_eq!(opened, Ok(OpenedRtcp { index, bytes: plain.len() }));
            assert_eq!(&packet[..plain.len()], plain, "{name} {provider}");
            let again = opener.unprotect_rtcp(&keys, &mut wire.clone(), &mut scratch);
            assert_eq!(again, Err(SrtpError::Replayed));
        }
    }
}

#[test]
fn derived_keys_are_those_of_libsrtp() {
    let vectors = Vectors::load();
    let derived = &vectors.kdf_gcm_libsrtp_material;
    for (suite, bits) in SUITES.into_iter().zip(["128", "256"]) {
        let mut key = [0; 32];
        key[..suite.key_bytes()].copy_from_slice(&vectors.key(suite));
        let master = MasterKey::new(suite, &key, &array(&derived.master_salt));
        let derivation = Derivation::new(&master);
        for (label, name, length) in [
            (Label::RtpKey, "rtp_key", suite.key_bytes()),
            (Label::RtpSalt, "rtp_salt", NONCE_BYTES),
            (Label::RtcpKey, "rtcp_key", suite.key_bytes()),
            (Label::RtcpSalt, "rtcp_salt", NONCE_BYTES),
        ] {
            let mut out = vec![0; length];
            derivation.fill(label, &mut out);
            assert_eq!(hex::encode(out), derived.out[&format!("{bits}_{name}")], "{bits} {name}");
        }
    }
}
