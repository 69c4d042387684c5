//! Resume tokens: what control gives a session so that it may come back without a password. Pure.
//!
//! ```text
//! | version | tenant | its epoch | account | its epoch | device | session | issued | expires |
//!     u8       u64       u64        u64        u64        u64      u64       u64      u64
//! | device key | HMAC-SHA256 of all before |
//!      32 B                32 B
//! ```
//!
//! Integers are little-endian. A token is of no use to whoever steals it: it names a device key,
//! and is taken only with a proof of that key for the connection it comes over.

use super::{AccountKey, Epochs};
use crate::clock::UnixMs;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use kakehashi_wire::device::DeviceKey;
use kakehashi_wire::id::{AccountId, DeviceId, SessionId, TenantId};
use kakehashi_wire::limits::TOKEN_BYTES_MAX;
use kakehashi_wire::secret::ResumeToken;

/// Bytes of a key that tokens are made with: as many as its hash gives (RFC 2104 3).
pub const TOKEN_KEY_BYTES: usize = 32;

const VERSION: u8 = 1;
const NUMBERS: usize = 8;
const KEY_BYTES: usize = 32;
const CLAIMS_BYTES: usize = 1 + NUMBERS * 8 + KEY_BYTES;
const MAC_BYTES: usize = 32;

const _: () = assert!(CLAIMS_BYTES + MAC_BYTES <= TOKEN_BYTES_MAX);

/// What a token says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TokenClaims {
    /// Whose session it is.
    pub account: AccountKey,
    /// The tenant's epoch in which it was granted.
    pub tenant_epoch: u64,
    /// The account's.
    pub account_epoch: u64,
    /// On which device.
    pub device: DeviceId,
    /// The device's public key.
    pub device_key: DeviceKey,
    /// The first number of the session.
    pub session: SessionId,
    /// Since when it is good.
    pub issued: UnixMs,
    /// Until when.
    pub expires: UnixMs,
}

impl TokenClaims {
    /// Whether what was granted in the token's epochs counts in these.
    pub fn counts_in(&self, epochs: Epochs) -> bool {
        (self.tenant_epoch, self.account_epoch) == (epochs.tenant, epochs.account)
    }

    fn to_bytes(self) -> [u8; CLAIMS_BYTES] {
        let numbers: [u64; NUMBERS] = [
            self.account.tenant.0,
            self.tenant_epoch,
            self.account.account.0,
            self.account_epoch,
            self.device.0,
            self.session.0,
            self.issued.0,
            self.expires.0,
        ];
        let mut bytes = [0; CLAIMS_BYTES];
        bytes[0] = VERSION;
        let (at, key) = bytes[1..].split_at_mut(NUMBERS * 8);
        for (at, number) in at.as_chunks_mut().0.iter_mut().zip(numbers) {
            *at = number.to_le_bytes();
        }
        key.copy_from_slice(&self.device_key.0);
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (numbers, key) = rest.split_at_checked(NUMBERS * 8)?;
        let mut numbers = numbers.as_chunks().0.iter().map(|at| u64::from_le_bytes(*at));
        let mut next = || numbers.next();
        let (tenant, tenant_epoch) = (TenantId(next()?), next()?);
        let (account, account_epoch) = (AccountId(next()?), next()?);
        let claims = Self {
            account: AccountKey { tenant, account },
            tenant_epoch,
            account_epoch,
            device: DeviceId(next()?),
            session: SessionId(next()?),
            issued: UnixMs(next()?),
            expires: UnixMs(next()?),
            device_key: DeviceKey(key.try_into().ok()?),
        };
        (*version == VERSION).then_some(claims)
    }
}

/// The keys of all tokens: one to make them with, and the one before it, whose tokens still count.
pub struct TokenKeys {
    current: Key,
    previous: Option<Key>,
}

impl TokenKeys {
    /// Keys of bytes that nobody can guess.
    pub fn new(current: &[u8; TOKEN_KEY_BYTES], previous: Option<&[u8; TOKEN_KEY_BYTES]>) -> Self {
        let key = |bytes: &[u8; TOKEN_KEY_BYTES]| Key::new(HMAC_SHA256, bytes);
        Self { current: key(current), previous: previous.map(key) }
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: TokenClaims) -> ResumeToken {
        let mut bytes = claims.to_bytes().to_vec();
        let mac = sign(&self.current, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        ResumeToken::new(bytes)
    }

    /// What a token says that was made with one of these keys and is good at `now`.
    pub fn read(&self, token: &ResumeToken, now: UnixMs) -> Option<TokenClaims> {
        let (claims, mac) = token.as_bytes().split_at_checked(CLAIMS_BYTES)?;
        let keys = [Some(&self.current), self.previous.as_ref()];
        let is_ours = |key: &Key| verify(key, claims, mac).is_ok();
        keys.into_iter().flatten().any(is_ours).then_some(())?;
        TokenClaims::from_bytes(claims).filter(|claims| now < claims.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn keys(current: u8, previous: Option<u8>) -> TokenKeys {
        TokenKeys::new(&[current; 32], previous.map(|byte| [byte; 32]).as_ref())
    }

    fn claims(seed: u64) -> TokenClaims {
        TokenClaims {
            account: AccountKey { tenant: TenantId(seed), account: AccountId(!seed) },
            tenant_epoch: seed ^ 3,
            account_epoch: seed ^ 4,
            device: DeviceId(seed ^ 5),
            device_key: DeviceKey([seed.to_le_bytes()[0]; 32]),
            session: SessionId(seed ^ 6),
            issued: UnixMs(seed / 2),
            expires: UnixMs((seed / 2) + 1),
        }
    }

    #[test]
    fn a_token_counts_under_its_key_and_the_next_and_until_it_expires() {
        let (claims, at) = (claims(1000), UnixMs(500));
        let token = keys(1, None).token(claims);
        for (keys, expected) in [
            (keys(1, None), Some(claims)),
            (keys(2, Some(1)), Some(claims)),
            (keys(3, Some(2)), None),
            (keys(2, None), None),
        ] {
            assert_eq!(keys.read(&token, at), expected);
            assert_eq!(keys.read(&token, claims.expires), None);
        }
    }

    #[test]
    fn it_counts_in_its_own_epochs_alone() {
        let claims = claims(8);
        let (tenant, account) = (claims.tenant_epoch, claims.account_epoch);
        let counts = |tenant, account| claims.counts_in(Epochs { tenant, account, devices: 1 });
        assert!(counts(tenant, account));
        assert!(!counts(tenant + 1, account) && !counts(tenant, account + 1));
        assert!(!counts(tenant - 1, account) && !counts(tenant, account - 1));
    }

    proptest! {
        #[test]
        fn what_it_says_comes_back_and_nothing_else_is_taken(
            seed: u64, bit in 0..(CLAIMS_BYTES + MAC_BYTES) * 8, cut in 0..CLAIMS_BYTES + MAC_BYTES,
        ) {
            let (keys, claims) = (keys(7, None), claims(seed));
            let token = keys.token(claims);
            prop_assert_eq!(keys.read(&token, claims.issued), Some(claims));
            let mut bytes = token.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(keys.read(&ResumeToken::new(bytes), claims.issued), None);
            let short = ResumeToken::new(token.as_bytes()[..cut].to_vec());
            prop_assert_eq!(keys.read(&short, claims.issued), None);
            let long = [token.as_bytes(), &[0]].concat();
            prop_assert_eq!(keys.read(&ResumeToken::new(long), claims.issued), None);
        }

        #[test]
        fn no_bytes_are_a_token(bytes in prop::collection::vec(any::<u8>(), 0..TOKEN_BYTES_MAX)) {
            let token = ResumeToken::new(bytes);
            prop_assert_eq!(keys(7, Some(8)).read(&token, UnixMs(0)), None);
        }
    }
}
