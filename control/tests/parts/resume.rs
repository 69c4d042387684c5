//! What it costs to let somebody in again by token, beside a password.

use super::accounts::{open, password};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair};
use kakehashi_control::accounts::{
    Accounts, AccountsConfig, Claim, NewAccount, ProvenDevice, Verified,
};
use kakehashi_control::clock::{Now, UnixMs};
use kakehashi_control::entropy::Entropy;
use kakehashi_control::policy::TenantLimits;
use kakehashi_control::sessions::{AccountKey, TokenClaims, TokenKey};
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORTED_BYTES};
use kakehashi_wire::id::{DeviceId, SessionId};
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::Role;
use std::time::Duration;
use tokio::time::Instant;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const EXPORTED: [u8; EXPORTED_BYTES] = [9; EXPORTED_BYTES];
const DEVICE: DeviceId = DeviceId(7);

/// A device with its key, and a proof of it.
struct Device {
    key: DeviceKey,
    proof: DeviceProof,
}

impl Device {
    fn new() -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[3; 32]).unwrap();
        let key = DeviceKey(pair.public_key().as_ref().try_into().unwrap());
        Self { key, proof: DeviceProof(pair.sign(&EXPORTED).as_ref().try_into().unwrap()) }
    }

    fn proven(&self) -> Option<ProvenDevice> {
        ProvenDevice::check(DEVICE, self.key, &self.proof, &EXPORTED)
    }
}

fn now() -> Now {
    Now { since_start: Duration::ZERO, wall: NOW }
}

async fn by_password(accounts: &Accounts, device: &Device, password: &Password) -> Verified {
    by_password_at(NOW, accounts, device, password).await
}

/// At a node whose clock shows `wall`.
async fn by_password_at(
    wall: UnixMs,
    accounts: &Accounts,
    device: &Device,
    password: &Password,
) -> Verified {
    let (from, device) = ([192, 0, 2, 1].into(), device.proven());
    let claim = Claim { tenant: "acme", login: "store-1", password, from, device };
    accounts.verify(claim, || Now { wall, ..now() }).await.unwrap()
}

/// What is granted to the device then.
fn claims(verified: &Verified, device: &Device) -> TokenClaims {
    TokenClaims {
        account: AccountKey { tenant: verified.tenant, account: verified.account },
        tenant_epoch: verified.epochs.tenant,
        account_epoch: verified.epochs.account,
        device: DEVICE,
        device_key: device.key,
        grant: verified.grant,
        session: SessionId(1),
        expires: UnixMs(NOW.0 + 1),
    }
}

/// All that decides on a token, as the gate does it.
async fn by_token(
    accounts: &Accounts,
    device: &Device,
    (keys, token): (&TokenKey, &ResumeToken),
) -> Verified {
    let claims = keys.read(token, NOW).unwrap();
    assert_eq!((claims.device, claims.device_key), (DEVICE, device.key));
    device.proven().unwrap();
    accounts.resume(&claims, now()).await.unwrap()
}

/// The account that all of this is about.
async fn add(accounts: &Accounts, good: &Password) {
    let tenant = accounts.add_tenant("acme", TenantLimits::default(), NOW).await.unwrap();
    let account = NewAccount {
        login: "store-1".to_owned(),
        display: None,
        password: Some(good.clone()),
        one_time: false,
        role: Role::Store,
    };
    accounts.add_account(tenant.id, account, NOW).await.unwrap();
}

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// `kakehashi-loadgen resume` measures what it is in release.
#[tokio::test]
async fn to_decide_on_a_token_is_a_small_part_of_a_password() {
    let folder = tempfile::tempdir().unwrap();
    let accounts = open(&folder, AccountsConfig::for_cores(2, Entropy::system()));
    let good = password("correct horse battery");
    add(&accounts, &good).await;
    let device = Device::new();
    let verified = by_password(&accounts, &device, &good).await;
    let keys = TokenKey::new(&[7; 32]);
    let token = keys.token(claims(&verified, &device));

    let (mut passwords, mut tokens) = (Vec::new(), Vec::new());
    for nth in 0..45 {
        let begun = Instant::now();
        assert_eq!(by_token(&accounts, &device, (&keys, &token)).await, verified);
        tokens.push(begun.elapsed());
        if nth % 5 == 0 {
            let begun = Instant::now();
            assert_eq!(by_password(&accounts, &device, &good).await, verified);
            passwords.push(begun.elapsed());
        }
    }
    let (password, token) = (median(passwords), median(tokens));
    println!("a password {password:?}, a token {token:?}");
    assert!(password > 10 * token, "a password {password:?}, a token {token:?}");
}

#[tokio::test]
async fn clocks_of_nodes_that_are_an_hour_apart_decide_nothing() {
    const AHEAD: UnixMs = UnixMs(NOW.0 + 3_600_000);
    for (first, second) in [(NOW, AHEAD), (AHEAD, NOW)] {
        let folder = tempfile::tempdir().unwrap();
        let accounts = open(&folder, AccountsConfig::for_cores(2, Entropy::system()));
        let (good, device) = (password("correct horse battery"), Device::new());
        add(&accounts, &good).await;
        let one = claims(&by_password_at(first, &accounts, &device, &good).await, &device);
        let two = claims(&by_password_at(second, &accounts, &device, &good).await, &device);
        for granted in [&one, &two] {
            assert!(accounts.resume(granted, now()).await.is_ok(), "whichever node asks");
        }
        // What is granted after a sign-out counts, what was before does not.
        accounts.sign_out(one.account, DEVICE).await.unwrap();
        let three = claims(&by_password_at(second, &accounts, &device, &good).await, &device);
        let mut counts = Vec::new();
        for granted in [&one, &two, &three] {
            counts.push(accounts.resume(granted, now()).await.is_ok());
        }
        assert_eq!(counts, [false, false, true]);
    }
}
