//! Second factors over a real store, with a clock that is set.

use super::*;
use crate::capacity::{GUESSES_OF_DEVICE, RECOVERY_CODES};
use crate::clock::UnixMs;
use crate::pki::CellSecret;
use crate::store::Embedded;
use std::sync::Arc;

const WHO: AccountKey = AccountKey { tenant: TenantId(1), account: AccountId(2) };

/// 2026-01-01 00:00:00 UTC.
const BEGIN_S: u64 = 1_767_225_600;

fn accounts() -> (tempfile::TempDir, Accounts) {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    let config = AccountsConfig::for_cores(1, Entropy::system());
    (folder, Accounts::new(Arc::new(store), config).unwrap())
}

fn sealer(secret: u8) -> SecondSealer {
    SecondSealer::new(&CellSecret::new([secret; 32]))
}

/// So many seconds after the beginning.
fn at(second: u64) -> impl Fn() -> Now {
    let wall = UnixMs((BEGIN_S + second) * 1000);
    move || Now { since_start: Duration::from_secs(second), wall }
}

/// What an authenticator shows that has this secret, by the library alone.
fn code(secret: &SharedSecret, second: u64) -> String {
    let secret = totp_rs::Secret::try_from_base32(&*secret.typed()).unwrap();
    let builder = totp_rs::Builder::new().with_secret(secret).with_account_name("a");
    builder.build().unwrap().generate(BEGIN_S + second).to_string()
}

#[tokio::test]
async fn a_code_lets_in_once_and_only_near_its_time() {
    let (_folder, accounts) = accounts();
    let secret = SharedSecret::draw(&Entropy::system());
    let sealer = sealer(1);
    assert!(!accounts.has_second(WHO).await.unwrap());
    let enrol = |code: String, second| {
        let (accounts, sealer, secret) = (&accounts, &sealer, &secret);
        async move { accounts.enrol_second(sealer, (WHO, secret), &code, false, at(second)).await }
    };
    let wrong = enrol("000000".into(), 0).await.err();
    assert_eq!(wrong, Some(SignInRefusal::BadCredentials));
    let codes = enrol(code(&secret, 0), 0).await.unwrap();
    assert_eq!(codes.len(), RECOVERY_CODES);
    assert!(accounts.has_second(WHO).await.unwrap());
    assert!(enrol(code(&secret, 60), 60).await.is_err(), "somebody else is enrolled");

    let check = |code: String, second| {
        let (accounts, sealer) = (&accounts, &sealer);
        async move { accounts.check_second(sealer, WHO, &code, at(second)).await }
    };
    assert!(check(code(&secret, 0), 5).await.is_err(), "it was used to enrol");
    assert_eq!(check(code(&secret, 60), 62).await, Ok(SecondProof::Code));
    assert!(check(code(&secret, 60), 63).await.is_err(), "twice");
    assert!(check(code(&secret, 120), 200).await.is_err(), "too old");
    assert_eq!(check(code(&secret, 300), 272).await, Ok(SecondProof::Code), "a clock ahead");
    let used = codes[3].expose().to_uppercase();
    let left = RECOVERY_CODES - 1;
    assert_eq!(check(format!(" {used} "), 400).await, Ok(SecondProof::Recovery { left }));
    assert!(check(used, 401).await.is_err(), "twice");
    assert!(accounts.forget_second(WHO).await.unwrap());
    assert!(check(code(&secret, 500), 500).await.is_err());
    assert!(enrol(code(&secret, 600), 600).await.is_ok(), "anew");
}

#[tokio::test]
async fn guesses_are_limited_and_what_is_kept_tells_nothing() {
    let (_folder, accounts) = accounts();
    let secret = SharedSecret::draw(&Entropy::system());
    let first = code(&secret, 0);
    let codes =
        accounts.enrol_second(&sealer(1), (WHO, &secret), &first, false, at(0)).await.unwrap();
    let kept = accounts.store.get(&second::second_key(WHO)).await.unwrap().unwrap().value;
    let kept = String::from_utf8_lossy(&kept).into_owned();
    assert!(!kept.contains(codes[0].expose()) && !kept.contains(&*secret.typed()));
    assert!(accounts.check_second(&sealer(2), WHO, &code(&secret, 60), at(60)).await.is_err());
    let mut tried = 0;
    while accounts.check_second(&sealer(1), WHO, "123456", at(90)).await
        == Err(SignInRefusal::BadCredentials)
    {
        tried += 1;
        assert!(tried < 1000, "without end");
    }
    assert!(tried <= GUESSES_OF_DEVICE.burst, "{tried}");
    let refused = accounts.check_second(&sealer(1), WHO, &code(&secret, 90), at(90)).await;
    assert!(matches!(refused, Err(SignInRefusal::Busy { .. })), "{refused:?}");
}

#[test]
fn an_authenticator_can_scan_it() {
    let secret = SharedSecret::draw(&Entropy::system());
    let address = secret.scanned("ginza", "store-1");
    assert!(address.starts_with("otpauth://totp/Kakehashi:store-1%20%28ginza%29?"), "{}", *address);
    assert!(address.contains(&format!("secret={}", *secret.typed())), "{}", *address);
    let read = totp_rs::Totp::from_url(&*address).unwrap();
    assert_eq!(read.issuer(), Some("Kakehashi"));
}
