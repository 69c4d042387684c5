//! The second factor of people who sign in to the console: codes of an authenticator (TOTP, RFC
//! 6238), and recovery codes for whoever has lost it.
//!
//! The secret that both sides share is sealed in the store, under a key of the cell and bound to
//! its account; of recovery codes, which are as long as a key, only hashes are kept. A code counts
//! once: what was accepted last is written before anybody is let in.

use super::guard::{Guess, Origin, Outcome};
use super::password::recovery_code;
use super::trial::Trial;
use super::{ATTEMPTS, Accounts, SignInRefusal, StoreError};
use crate::capacity::RECOVERY_CODES;
use crate::clock::Now;
use crate::entropy::Entropy;
use crate::pki::CellSecret;
use crate::sessions::AccountKey;
use crate::store::{Expected, Key, Record, Revision, Transaction, encode};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use aws_lc_rs::digest::{SHA256, digest};
use kakehashi_wire::secret::Password;
use serde::{Deserialize, Serialize};
use totp_rs::{Builder, Secret, Totp};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// Bytes of a shared secret: what RFC 4226 4 recommends.
const SECRET_BYTES: usize = 20;

const LABEL: &[u8] = b"kakehashi second factor";

/// What an authenticator and this side share. Has no `Debug`.
#[derive(Clone, Zeroize, ZeroizeOnDrop)]
pub struct SharedSecret([u8; SECRET_BYTES]);

impl SharedSecret {
    /// One that nobody has yet.
    pub fn draw(entropy: &Entropy) -> Self {
        Self(entropy.bytes())
    }

    /// As it is typed into an authenticator: base32 (RFC 4648 6).
    pub fn typed(&self) -> Zeroizing<String> {
        Zeroizing::new(Secret::new_stack(self.0).to_base32())
    }

    /// As an authenticator scans it: an `otpauth:` address, for `login` at the `tenant`.
    pub fn scanned(&self, tenant: &str, login: &str) -> Zeroizing<String> {
        let name = format!("{login} ({tenant})");
        let url = self.totp(&name).and_then(|totp| totp.to_url().ok());
        Zeroizing::new(url.unwrap_or_default())
    }

    /// The step in which `code` is right, at `unix_s` or one step of 30 s beside it.
    fn step_of(&self, code: &str, unix_s: u64) -> Option<u64> {
        self.totp("console")?.check(code, unix_s)
    }

    fn totp(&self, name: &str) -> Option<Totp> {
        let secret = Secret::new_stack(self.0);
        let builder = Builder::new().with_secret(secret).with_account_name(name);
        builder.with_issuer(Some("Kakehashi")).build().ok()
    }
}

/// What is kept of an account's second factor.
#[derive(Serialize, Deserialize)]
struct SecondRecord {
    /// The shared secret, sealed.
    sealed: Vec<u8>,
    /// The step of the code that was accepted last.
    last_step: u64,
    /// Hashes of the recovery codes that are left.
    recovery: Vec<[u8; 32]>,
}

impl Record for SecondRecord {
    const VERSION: u32 = 1;
}

/// Seals the shared secrets in a store. Has no `Debug`.
pub struct SecondSealer {
    key: Zeroizing<[u8; 32]>,
}

impl SecondSealer {
    /// Seals with a key that comes of `secret`.
    pub fn new(secret: &CellSecret) -> Self {
        Self { key: secret.key_of(LABEL) }
    }

    fn key(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &*self.key).ok().map(LessSafeKey::new)
    }

    fn seal(&self, of: AccountKey, secret: &SharedSecret, entropy: &Entropy) -> Option<Vec<u8>> {
        let nonce: [u8; NONCE_LEN] = entropy.bytes();
        let mut sealed = Zeroizing::new(secret.0);
        let with = Nonce::assume_unique_for_key(nonce);
        let tag = self.key()?.seal_in_place_separate_tag(with, about(of), &mut *sealed).ok()?;
        Some([&nonce[..], &sealed[..], tag.as_ref()].concat())
    }

    fn open(&self, of: AccountKey, sealed: &[u8]) -> Option<SharedSecret> {
        let (nonce, sealed) = sealed.split_first_chunk::<NONCE_LEN>()?;
        let mut bytes = Zeroizing::new(sealed.to_vec());
        let nonce = Nonce::assume_unique_for_key(*nonce);
        let opened = self.key()?.open_in_place(nonce, about(of), &mut bytes).ok()?;
        Some(SharedSecret(<[u8; SECRET_BYTES]>::try_from(&*opened).ok()?))
    }
}

fn about(of: AccountKey) -> Aad<[u8; 16]> {
    let mut about = [0; 16];
    about[..8].copy_from_slice(&of.tenant.0.to_le_bytes());
    about[8..].copy_from_slice(&of.account.0.to_le_bytes());
    Aad::from(about)
}

/// What let somebody in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SecondProof {
    /// A code of the authenticator.
    Code,
    /// A recovery code, which counts no more; so many are left.
    Recovery {
        /// How many.
        left: usize,
    },
}

/// Where the second factor of an account stands.
pub(super) fn second_key(of: AccountKey) -> Key {
    Key::of_tenant(of.tenant, format_args!("second/{}", of.account)).expect(super::model::FITS)
}

impl Accounts {
    /// Whether the account has a second factor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn has_second(&self, of: AccountKey) -> Result<bool, StoreError> {
        let found: Option<(SecondRecord, Revision)> = self.read(&second_key(of)).await?;
        Ok(found.is_some())
    }

    /// Gives the account its second factor, if `code` shows that an authenticator has `secret`:
    /// returns the recovery codes, which are never seen again. One that it has already is replaced
    /// only if it `may_replace`.
    ///
    /// # Errors
    /// [`SignInRefusal`], of a wrong code as of a wrong password.
    pub async fn enrol_second(
        &self,
        sealer: &SecondSealer,
        (of, secret): (AccountKey, &SharedSecret),
        code: &str,
        may_replace: bool,
        now: impl Fn() -> Now,
    ) -> Result<Vec<Password>, SignInRefusal> {
        let unix_s = now().wall.0 / 1000;
        let trial = self.begin_second(of, now)?;
        let Some(step) = secret.step_of(code.trim(), unix_s) else {
            return Err(SignInRefusal::BadCredentials);
        };
        trial.end(Outcome::Right);
        let codes: Vec<_> = (0..RECOVERY_CODES).map(|_| recovery_code(&self.entropy)).collect();
        let recovery = codes.iter().map(|code| hash(code.expose())).collect();
        let sealed = sealer.seal(of, secret, &self.entropy).ok_or_else(|| {
            tracing::error!(
                event = "second_factor_not_sealed",
                "a second factor could not be sealed"
            );
            SignInRefusal::StoreUnavailable
        })?;
        let record = SecondRecord { sealed, last_step: step, recovery };
        let found: Option<(SecondRecord, Revision)> =
            self.read(&second_key(of)).await.map_err(unavailable)?;
        let expected = match found {
            Some((_, revision)) if may_replace => Expected::At(revision),
            // Somebody else has enrolled meanwhile.
            Some(_) => return Err(SignInRefusal::BadCredentials),
            None => Expected::Absent,
        };
        let change = Transaction::new()
            .compare(second_key(of), expected)
            .put(second_key(of), encode(&record));
        self.store.transact(change).await.map_err(unavailable)?;
        Ok(codes)
    }

    /// Checks a code of the account's authenticator, or a recovery code. Wrong ones are limited as
    /// passwords are.
    ///
    /// # Errors
    /// [`SignInRefusal`]; also if the account has no second factor.
    pub async fn check_second(
        &self,
        sealer: &SecondSealer,
        of: AccountKey,
        code: &str,
        now: impl Fn() -> Now,
    ) -> Result<SecondProof, SignInRefusal> {
        let unix_s = now().wall.0 / 1000;
        let trial = self.begin_second(of, now)?;
        for _ in 0..ATTEMPTS {
            let found: Option<(SecondRecord, Revision)> =
                self.read(&second_key(of)).await.map_err(unavailable)?;
            let Some((mut record, revision)) = found else { break };
            let Some(proof) = accept(sealer, of, &mut record, code.trim(), unix_s) else { break };
            let change = Transaction::new()
                .compare(second_key(of), Expected::At(revision))
                .put(second_key(of), encode(&record));
            match self.store.transact(change).await {
                Ok(_) => {
                    trial.end(Outcome::Right);
                    return Ok(proof);
                }
                Err(StoreError::Conflict) => {}
                Err(error) => return Err(unavailable(error)),
            }
        }
        Err(SignInRefusal::BadCredentials)
    }

    /// The account enrols anew at its next sign-in. Whether it had a second factor.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_second(&self, of: AccountKey) -> Result<bool, StoreError> {
        let had = self.has_second(of).await?;
        if had {
            self.store.transact(Transaction::new().delete(second_key(of))).await?;
        }
        Ok(had)
    }

    fn begin_second<N: Fn() -> Now>(
        &self,
        of: AccountKey,
        now: N,
    ) -> Result<Trial<'_, N>, SignInRefusal> {
        let guess = Guess { tenant: "", login: "", from: Origin::Second(of) };
        let trial = Trial::begin((&self.guard, self.told.get()), guess, now);
        trial.map_err(|refused| SignInRefusal::Busy {
            retry_after_ms: u32::try_from(refused.retry_after.as_millis()).unwrap_or(u32::MAX),
        })
    }
}

/// Accepts `code` if it is right, and has the record say so.
fn accept(
    sealer: &SecondSealer,
    of: AccountKey,
    record: &mut SecondRecord,
    code: &str,
    unix_s: u64,
) -> Option<SecondProof> {
    let Some(secret) = sealer.open(of, &record.sealed) else {
        tracing::error!(
            event = "second_factor_under_other_secret",
            "a second factor was sealed under another `cell.key`: reset it"
        );
        return None;
    };
    if let Some(step) = secret.step_of(code, unix_s) {
        let is_new = step > record.last_step;
        record.last_step = record.last_step.max(step);
        return is_new.then_some(SecondProof::Code);
    }
    let typed = hash(&code.to_ascii_lowercase());
    let is_it = |kept: &[u8; 32]| verify_slices_are_equal(kept, &typed).is_ok();
    let place = record.recovery.iter().position(is_it)?;
    record.recovery.remove(place);
    Some(SecondProof::Recovery { left: record.recovery.len() })
}

fn hash(code: &str) -> [u8; 32] {
    let mut kept = [0; 32];
    kept.copy_from_slice(digest(&SHA256, code.as_bytes()).as_ref());
    kept
}

fn unavailable(error: StoreError) -> SignInRefusal {
    tracing::error!(event = "second_factor_failed", %error,
        "a second factor could not be read or written");
    SignInRefusal::StoreUnavailable
}
