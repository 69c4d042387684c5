//! Resume tokens: what control gives a session so that it may come back without a password. Pure.
//!
//! ```text
//! | version | tenant | its epoch | account | its epoch | device | its grant | session | expires |
//!     u8       u64       u64        u64        u64        u64      u64       u64      u64
//! | device key | HMAC-SHA256 of all before |
//!      32 B                32 B
//! ```
//!
//! Integers are little-endian. A token is of no use to whoever steals it: it names a device key,
//! and is taken only with a proof of that key for the connection it comes over.

use super::{AccountKey, Epochs};
use crate::clock::UnixMs;
use crate::pki::CellSecret;
use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign, verify};
use kakehashi_wire::device::DeviceKey;
use kakehashi_wire::id::{AccountId, DeviceId, SessionId, TenantId};
use kakehashi_wire::limits::TOKEN_BYTES_MAX;
use kakehashi_wire::secret::ResumeToken;

/// Bytes of a key that tokens are made with: as many as its hash gives (RFC 2104 3).
pub const TOKEN_KEY_BYTES: usize = 32;

const VERSION: u8 = 2;
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
    /// The number of what was granted to it, another after each sign-out.
    pub grant: u64,
    /// The first number of the session.
    pub session: SessionId,
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
            self.grant,
            self.session.0,
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
            grant: next()?,
            session: SessionId(next()?),
            expires: UnixMs(next()?),
            device_key: DeviceKey(key.try_into().ok()?),
        };
        (*version == VERSION).then_some(claims)
    }
}

/// The key of all tokens, the same at every node of a cell.
pub struct TokenKey(Key);

impl TokenKey {
    /// A key of bytes that nobody can guess.
    pub fn new(bytes: &[u8; TOKEN_KEY_BYTES]) -> Self {
        Self(Key::new(HMAC_SHA256, bytes))
    }

    /// The key of a cell. Whoever has the store alone can make no token, and a cell that begins
    /// with another secret takes none of before.
    pub fn of(cell: &CellSecret) -> Self {
        Self::new(&cell.key_of(b"kakehashi resume tokens"))
    }

    /// A token that says `claims`.
    pub fn token(&self, claims: TokenClaims) -> ResumeToken {
        let mut bytes = claims.to_bytes().to_vec();
        let mac = sign(&self.0, &bytes);
        bytes.extend_from_slice(mac.as_ref());
        ResumeToken::new(bytes)
    }

    /// What a token says that was made with this key and is good at `now`.
    pub fn read(&self, token: &ResumeToken, now: UnixMs) -> Option<TokenClaims> {
        let (claims, mac) = token.as_bytes().split_at_checked(CLAIMS_BYTES)?;
        verify(&self.0, claims, mac).ok()?;
        TokenClaims::from_bytes(claims).filter(|claims| now < claims.expires)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(byte: u8) -> TokenKey {
        TokenKey::of(&CellSecret::new([byte; 32]))
    }

    fn claims(seed: u64) -> TokenClaims {
        TokenClaims {
            account: AccountKey { tenant: TenantId(seed), account: AccountId(!seed) },
            tenant_epoch: seed ^ 3,
            account_epoch: seed ^ 4,
            device: DeviceId(seed ^ 5),
            device_key: DeviceKey([seed.to_le_bytes()[0]; 32]),
            session: SessionId(seed ^ 6),
            grant: seed ^ 7,
            expires: UnixMs((seed / 2) + 1),
        }
    }

    #[test]
    fn a_token_counts_in_its_cell_and_until_it_expires() {
        let (claims, at) = (claims(1000), UnixMs(500));
        let token = key(1).token(claims);
        for (key, expected) in [(key(1), Some(claims)), (key(2), None)] {
            assert_eq!(key.read(&token, at), expected);
            assert_eq!(key.read(&token, claims.expires), None);
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
            let (key, claims) = (key(7), claims(seed));
            let token = key.token(claims);
            prop_assert_eq!(key.read(&token, UnixMs(claims.expires.0 - 1)), Some(claims));
            let mut bytes = token.as_bytes().to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            prop_assert_eq!(key.read(&ResumeToken::new(bytes), UnixMs(claims.expires.0 - 1)), None);
            let short = ResumeToken::new(token.as_bytes()[..cut].to_vec());
            prop_assert_eq!(key.read(&short, UnixMs(claims.expires.0 - 1)), None);
            let long = [token.as_bytes(), &[0]].concat();
            prop_assert_eq!(key.read(&ResumeToken::new(long), UnixMs(claims.expires.0 - 1)), None);
        }

        #[test]
        fn no_bytes_are_a_token(bytes in prop::collection::vec(any::<u8>(), 0..TOKEN_BYTES_MAX)) {
            let token = ResumeToken::new(bytes);
            prop_assert_eq!(key(7).read(&token, UnixMs(0)), None);
        }
    }
}
