//! The devices an account has signed in from: others' guesses do not keep them out.

use super::model::{DeviceRecord, DevicesRecord, devices_key};
use super::{ATTEMPTS, Accounts, Revision, StoreError};
use crate::capacity::{DEVICE_SEEN_EVERY, DEVICES_PER_ACCOUNT_MAX};
use crate::clock::UnixMs;
use crate::sessions::AccountKey;
use crate::store::{Expected, Transaction, encode};
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORTED_BYTES};
use kakehashi_wire::id::DeviceId;

/// A device that has shown that it holds its key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProvenDevice {
    device: DeviceId,
    key: DeviceKey,
}

impl ProvenDevice {
    /// Checks `proof` for the connection that exported these bytes.
    pub fn check(
        device: DeviceId,
        key: DeviceKey,
        proof: &DeviceProof,
        exported: &[u8; EXPORTED_BYTES],
    ) -> Option<Self> {
        // Under the key of zeros anybody can make signatures.
        let is_key = key != DeviceKey([0; 32]);
        let holds = UnparsedPublicKey::new(&ED25519, &key.0).verify(exported, &proof.0).is_ok();
        (is_key && holds).then_some(Self { device, key })
    }

    /// The device's public key.
    pub fn key(&self) -> DeviceKey {
        self.key
    }
}

impl DevicesRecord {
    /// Whether there is a device with this key.
    pub(super) fn knows(&self, key: DeviceKey) -> bool {
        self.devices.iter().any(|known| known.key == key.0)
    }

    /// What is granted to this device with this key names this number; `None` if it is not known.
    pub(super) fn grant_of(&self, device: DeviceId, key: DeviceKey) -> Option<u64> {
        let is_it = |it: &&DeviceRecord| it.device == device && it.key == key.0;
        self.devices.iter().find(is_it).map(|it| it.grant).filter(|grant| *grant > 0)
    }

    fn next_grant(&mut self) -> u64 {
        self.last_grant += 1;
        self.last_grant
    }

    /// Takes in that `device` signed out; whether it is there.
    fn sign_out(&mut self, device: DeviceId) -> bool {
        let next = self.next_grant();
        let found = self.devices.iter_mut().find(|known| known.device == device);
        found.map(|known| known.grant = next).is_some()
    }

    /// Takes in that `proven` signed in; whether that is worth writing down. A device with a new
    /// key replaces the old one, and a device too many the one not seen for longest.
    fn note(&mut self, proven: ProvenDevice, now: UnixMs) -> bool {
        let ProvenDevice { device, key: DeviceKey(key) } = proven;
        let is_it = |known: &DeviceRecord| known.device == device && known.key == key;
        if let Some(at) = self.devices.iter().position(is_it) {
            let seen_ms = u64::try_from(DEVICE_SEEN_EVERY.as_millis()).unwrap_or(u64::MAX);
            let has_grant = self.devices[at].grant > 0;
            if has_grant && now.0.abs_diff(self.devices[at].last.0) < seen_ms {
                return false;
            }
            let mut known = self.devices.remove(at);
            known.last = now;
            known.grant = if has_grant { known.grant } else { self.next_grant() };
            self.devices.push(known);
            return true;
        }
        self.devices.retain(|known| known.device != device && known.key != key);
        let excess = (self.devices.len() + 1).saturating_sub(DEVICES_PER_ACCOUNT_MAX);
        self.devices.drain(..excess);
        let grant = self.next_grant();
        self.devices.push(DeviceRecord { device, key, last: now, grant });
        true
    }
}

impl Accounts {
    /// Writes down that `proven` signed in to `account`. Returns what is granted to it by.
    pub(super) async fn remember(
        &self,
        account: AccountKey,
        proven: ProvenDevice,
        now: UnixMs,
    ) -> Result<Option<u64>, StoreError> {
        let devices = self.change_devices(account, |devices| devices.note(proven, now)).await?;
        Ok(devices.grant_of(proven.device, proven.key))
    }

    /// `device` has to sign in with its password before anything is granted to it again.
    pub(super) async fn forget(
        &self,
        account: AccountKey,
        device: DeviceId,
    ) -> Result<(), StoreError> {
        let forget = |devices: &mut DevicesRecord| {
            let before = devices.devices.len();
            devices.devices.retain(|known| known.device != device);
            devices.devices.len() != before
        };
        self.change_devices(account, forget).await.map(drop)
    }

    /// What was granted to `device` of `account` until now counts no longer, on any node and after
    /// any restart. The device stays known.
    ///
    /// # Errors
    /// [`StoreError`]; then it counts on.
    pub async fn sign_out(&self, account: AccountKey, device: DeviceId) -> Result<(), StoreError> {
        self.change_devices(account, |devices| devices.sign_out(device)).await.map(drop)
    }

    /// Changes what is known of an account's devices if `change` says that it did. Returns it.
    async fn change_devices(
        &self,
        account: AccountKey,
        change: impl Fn(&mut DevicesRecord) -> bool,
    ) -> Result<DevicesRecord, StoreError> {
        let key = devices_key(account.tenant, account.account);
        for _ in 0..ATTEMPTS {
            let found: Option<(DevicesRecord, Revision)> = self.read(&key).await?;
            let (mut record, expected) = match found {
                Some((record, revision)) => (record, Expected::At(revision)),
                None => (DevicesRecord::default(), Expected::Absent),
            };
            if !change(&mut record) {
                return Ok(record);
            }
            let change =
                Transaction::new().compare(key.clone(), expected).put(key.clone(), encode(&record));
            match self.store.transact(change).await {
                Err(StoreError::Conflict) => {}
                result => return result.map(|_| record),
            }
        }
        Err(StoreError::Conflict)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
    use proptest::prelude::*;

    fn proven(device: u64, key: u8) -> ProvenDevice {
        ProvenDevice { device: DeviceId(device), key: DeviceKey([key; 32]) }
    }

    #[test]
    fn a_proof_holds_for_its_key_and_its_connection_only() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let key = DeviceKey(pair.public_key().as_ref().try_into().unwrap());
        let proof = DeviceProof(pair.sign(&[1; 32]).as_ref().try_into().unwrap());
        let check = |key, proof: &DeviceProof, exported: &[u8; 32]| {
            ProvenDevice::check(DeviceId(1), key, proof, exported)
        };
        assert!(check(key, &proof, &[1; 32]).is_some());
        assert_eq!(check(key, &proof, &[2; 32]), None, "another connection");
        assert_eq!(check(DeviceKey([9; 32]), &proof, &[1; 32]), None, "another key");
        for bit in 0..512 {
            let mut changed = proof;
            changed.0[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(check(key, &changed, &[1; 32]), None, "bit {bit}");
        }
        assert_eq!(check(DeviceKey([0; 32]), &DeviceProof([0; 64]), &[1; 32]), None);
        // What the key of zeros would let through: R the neutral element, S zero.
        let mut forged = DeviceProof([0; 64]);
        forged.0[0] = 1;
        assert_eq!(check(DeviceKey([0; 32]), &forged, &[1; 32]), None);
    }

    #[test]
    fn a_device_is_written_down_when_it_is_new_and_once_a_day() {
        let mut record = DevicesRecord::default();
        let day = u64::try_from(DEVICE_SEEN_EVERY.as_millis()).unwrap();
        assert!(record.note(proven(1, 1), UnixMs(5)));
        assert!(!record.note(proven(1, 1), UnixMs(4 + day)));
        assert!(record.note(proven(1, 1), UnixMs(5 + day)));
        assert!(record.note(proven(1, 1), UnixMs(5)), "a clock that jumped is none to wait for");
        assert!(record.knows(DeviceKey([1; 32])) && !record.knows(DeviceKey([2; 32])));
        assert!(record.note(proven(1, 2), UnixMs(6)), "the same device with a new key");
        assert!(!record.knows(DeviceKey([1; 32])) && record.devices.len() == 1);
    }

    #[test]
    fn a_grant_counts_until_its_device_signs_out_or_is_another_whatever_clocks_say() {
        let mut record = DevicesRecord::default();
        let grant = |record: &DevicesRecord, device, key| {
            record.grant_of(DeviceId(device), DeviceKey([key; 32]))
        };
        record.note(proven(1, 1), UnixMs(5_000));
        record.note(proven(2, 2), UnixMs(1));
        let (one, two) = (grant(&record, 1, 1), grant(&record, 2, 2));
        assert!(one.is_some() && two.is_some() && one != two);
        assert_eq!((grant(&record, 1, 2), grant(&record, 3, 3)), (None, None));
        record.note(proven(1, 1), UnixMs(9_000_000_000));
        assert_eq!(grant(&record, 1, 1), one, "it signs in again");
        assert!(record.sign_out(DeviceId(1)) && !record.sign_out(DeviceId(3)));
        let after = grant(&record, 1, 1);
        assert!(after > one && grant(&record, 2, 2) == two);
        assert!(record.knows(DeviceKey([1; 32])), "it stays known");
        record.devices.clear();
        record.note(proven(1, 1), UnixMs(5_000));
        assert!(grant(&record, 1, 1) > after, "forgotten and known anew");
    }

    proptest! {
        #[test]
        fn there_are_never_too_many_and_the_latest_stays(
            seen in prop::collection::vec((0..40_u64, 0..40_u8), 1..200),
        ) {
            let mut record = DevicesRecord::default();
            for (at, (device, key)) in seen.into_iter().enumerate() {
                record.note(proven(device, key), UnixMs(at as u64));
                prop_assert!(record.knows(DeviceKey([key; 32])));
                prop_assert!(record.devices.len() <= DEVICES_PER_ACCOUNT_MAX);
                let mut keys: Vec<_> = record.devices.iter().map(|known| known.key).collect();
                let mut numbers: Vec<_> = record.devices.iter().map(|known| known.device).collect();
                keys.sort_unstable();
                keys.dedup();
                numbers.sort_unstable();
                numbers.dedup();
                prop_assert_eq!(keys.len(), record.devices.len());
                prop_assert_eq!(numbers.len(), record.devices.len());
            }
        }
    }
}
