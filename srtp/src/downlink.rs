//! The key of what one relay seals for one terminal, in the seal lane: made on both sides from the
//! leg's secret, so that it crosses no border.

use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use kakehashi_wire::id::{Epoch, RelayId};
use kakehashi_wire::secret::{
    DownlinkSecret, MASTER_KEY_BYTES_MAX, MASTER_SALT_BYTES, MasterKey, Suite,
};
use zeroize::Zeroizing;

/// Keeps these keys apart from whatever else may one day be derived from the same secret.
const PURPOSE: &[u8; 23] = b"kakehashi srtp downlink";

/// Purpose, suite, relay, incarnation, generation.
const INFO_BYTES: usize = PURPOSE.len() + 1 + 4 + 8 + 8;

/// HKDF-SHA256 (RFC 5869) without salt: the secret is random already. The first bytes are the
/// master key, the next 12 the master salt (`wire/FORMAT.md`, section 2.1).
pub(crate) fn master_key(
    suite: Suite,
    secret: &DownlinkSecret,
    relay: RelayId,
    epoch: Epoch,
) -> MasterKey {
    let mut bytes = Zeroizing::new([0; MASTER_KEY_BYTES_MAX + MASTER_SALT_BYTES]);
    let bytes = &mut bytes[..suite.key_bytes() + MASTER_SALT_BYTES];
    let info = info(suite, relay, epoch);
    Salt::new(HKDF_SHA256, &[])
        .extract(secret.as_bytes())
        .expand(&[&info], Length(bytes.len()))
        .and_then(|output| output.fill(bytes))
        .expect("invariant: HKDF gives up to 255 hashes, and the length asked is the one filled");

    let (key, salt) = bytes.split_at(suite.key_bytes());
    let mut padded = Zeroizing::new([0; MASTER_KEY_BYTES_MAX]);
    padded[..key.len()].copy_from_slice(key);
    MasterKey::new(suite, &padded, salt.try_into().expect("invariant: the rest is the salt"))
}

/// Every field has a fixed place, so two different inputs never spell the same bytes.
fn info(suite: Suite, relay: RelayId, epoch: Epoch) -> [u8; INFO_BYTES] {
    let mut out = [0; INFO_BYTES];
    let (purpose, rest) = out.split_at_mut(PURPOSE.len());
    purpose.copy_from_slice(PURPOSE);
    rest[0] = suite as u8;
    rest[1..5].copy_from_slice(&relay.0.to_le_bytes());
    rest[5..13].copy_from_slice(&epoch.incarnation.0.to_le_bytes());
    rest[13..].copy_from_slice(&epoch.generation.0.to_le_bytes());
    out
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{Generation, Incarnation};
    use proptest::prelude::*;

    fn epoch(incarnation: u64, generation: u64) -> Epoch {
        Epoch { incarnation: Incarnation(incarnation), generation: Generation(generation) }
    }

    fn secret() -> DownlinkSecret {
        DownlinkSecret::from_random(std::array::from_fn(|at| at as u8))
    }

    /// Key and salt in hexadecimal.
    fn spelled(master: &MasterKey) -> (String, String) {
        (hex::encode(master.key()), hex::encode(master.salt()))
    }

    #[test]
    fn the_example_of_the_format_holds() {
        let format = include_str!("../../wire/FORMAT.md");
        let epoch = epoch(0x1122_3344_5566_7788, 5);
        let info = hex::encode(info(Suite::AeadAes128Gcm, RelayId(7), epoch));
        assert_eq!(info[..46], hex::encode(PURPOSE));
        assert_eq!(info[46..], *"010700000088776655443322110500000000000000");
        assert!(format.contains(&info[46..]));
        for (suite, key, salt) in [
            (Suite::AeadAes128Gcm, "70f53cd3b541dd6da59de1f649b1e712", "0823167e2a032a32af2fb8fe"),
            (
                Suite::AeadAes256Gcm,
                "fae617af9cca6f99484f2b0bdb3c365ef81debee1d676e38da888d248166ad5e",
                "82670e99c7686ce295da64a9",
            ),
        ] {
            let got = spelled(&master_key(suite, &secret(), RelayId(7), epoch));
            assert_eq!(got, (key.to_owned(), salt.to_owned()), "{suite:?}");
            assert!(format.contains(key) && format.contains(salt), "{suite:?}");
        }
    }

    #[test]
    fn every_input_changes_key_and_salt() {
        let (suite, relay, life) = (Suite::AeadAes128Gcm, RelayId(7), epoch(1, 2));
        let other = DownlinkSecret::from_random([9; 32]);
        let all = [
            master_key(suite, &secret(), relay, life),
            master_key(Suite::AeadAes256Gcm, &secret(), relay, life),
            master_key(suite, &other, relay, life),
            master_key(suite, &secret(), RelayId(8), life),
            master_key(suite, &secret(), relay, epoch(3, 2)),
            master_key(suite, &secret(), relay, epoch(1, 3)),
            master_key(suite, &secret(), relay, epoch(2, 1)),
        ];
        let keys: std::collections::BTreeSet<_> =
            all.iter().map(|master| hex::encode(&master.key()[..16])).collect();
        let salts: std::collections::BTreeSet<_> =
            all.iter().map(|master| hex::encode(master.salt())).collect();
        assert_eq!((keys.len(), salts.len()), (all.len(), all.len()));
    }

    proptest! {
        #[test]
        fn two_lives_never_share_a_key(
            (relay, other_relay) in (0_u32..3, 0_u32..3),
            (life, other_life) in ((0_u64..3, 0_u64..3), (0_u64..3, 0_u64..3)),
        ) {
            let key = |relay, (incarnation, generation)| {
                let epoch = epoch(incarnation, generation);
                spelled(&master_key(Suite::AeadAes256Gcm, &secret(), RelayId(relay), epoch))
            };
            let same = (relay, life) == (other_relay, other_life);
            prop_assert_eq!(key(relay, life) == key(other_relay, other_life), same);
            prop_assert_eq!(key(relay, life), key(relay, life));
        }
    }
}
