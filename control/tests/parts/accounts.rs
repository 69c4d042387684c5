//! Tenants, accounts and sign-in over the embedded engine.

use kakehashi_control::accounts::names::BadName;
use kakehashi_control::accounts::{
    Account, AccountError, Accounts, AccountsConfig, BadPassword, Claim, NewAccount, SignInRefusal,
    Standing, Subject, Tenant, Verified,
};
use kakehashi_control::capacity::{REASON_BYTES_MAX, SUSPENDED_DEVICES_MAX};
use kakehashi_control::clock::{Now, UnixMs};
use kakehashi_control::entropy::Entropy;
use kakehashi_control::policy::TenantLimits;
use kakehashi_control::sessions::{AccountKey, Whom};
use kakehashi_control::store::Embedded;
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::limits::PASSWORD_BYTES_MAX;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{Role, SessionEnd};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::time::Instant;

const NOW: UnixMs = UnixMs(1_700_000_000_000);
const GOOD: &str = "correct horse battery";

pub(crate) fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

pub(crate) fn open(folder: &tempfile::TempDir, config: AccountsConfig) -> Arc<Accounts> {
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    Arc::new(Accounts::new(Arc::new(store), config).unwrap())
}

async fn with_two_tenants(folder: &tempfile::TempDir) -> (Arc<Accounts>, Tenant, Tenant) {
    let accounts = open(folder, AccountsConfig::for_cores(2, Entropy::system()));
    let limits = TenantLimits::default();
    let acme = accounts.add_tenant("Acme", limits, NOW).await.unwrap();
    let other = accounts.add_tenant("other", limits, NOW).await.unwrap();
    accounts.add_account(acme.id, new("Store-1", Some(GOOD)), NOW).await.unwrap();
    accounts.add_account(other.id, new("concierge", Some(GOOD)), NOW).await.unwrap();
    (accounts, acme, other)
}

/// A sign-in from an address that has not been heard of, hours after any other.
pub(crate) async fn verify(
    accounts: &Accounts,
    tenant: &str,
    login: &str,
    password: &Password,
) -> Result<Verified, SignInRefusal> {
    static TURN: AtomicU32 = AtomicU32::new(0);
    let turn = TURN.fetch_add(1, Ordering::Relaxed);
    let since_start = Duration::from_secs(u64::from(turn) * 3600);
    let from = IpAddr::from(turn.to_be_bytes());
    let claim = Claim { tenant, login, password, from, device: None };
    accounts.verify(claim, || Now { since_start, wall: NOW }).await
}

fn new(login: &str, typed: Option<&str>) -> NewAccount {
    let display = Some("受付 1".to_owned());
    let (login, password, role) = (login.to_owned(), typed.map(password), Role::Store);
    NewAccount { login, display, password, one_time: false, role }
}

#[tokio::test]
async fn the_right_password_says_who_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    let verified = verify(&accounts, "ACME", "store-1", &password(GOOD)).await.unwrap();
    let account = accounts.find_login(acme.id, "STORE-1").await.unwrap().unwrap();
    assert_eq!((verified.tenant, verified.account), (acme.id, account.id));
    assert_eq!((verified.login.as_str(), verified.display.as_str()), ("store-1", "受付 1"));
    assert_eq!((account.epoch, account.created), (1, NOW));
    assert_eq!(accounts.list(acme.id).await.unwrap(), [account]);
    assert_eq!(acme.name, "acme");
}

#[tokio::test]
async fn every_wrong_sign_in_gets_the_same_answer() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    let long = "x".repeat(PASSWORD_BYTES_MAX + 1);
    for (tenant, login, text) in [
        ("acme", "store-1", "wrong horse battery"),
        ("acme", "store-1", ""),
        ("acme", "store-1", "Correct horse battery"),
        ("acme", "store-1", &long),
        ("acme", "nobody", GOOD),
        ("acme", "concierge", GOOD),
        ("nowhere", "store-1", GOOD),
        ("acme", "../store-1", GOOD),
        ("acme/", "store-1", GOOD),
        ("", "", GOOD),
        ("0", "0", GOOD),
        ("acme\u{202e}", "store-1\n", GOOD),
    ] {
        let refused = verify(&accounts, tenant, login, &password(text)).await;
        assert_eq!(refused, Err(SignInRefusal::BadCredentials), "{tenant} {login}");
    }
    assert_eq!(accounts.find_login(acme.id, "concierge").await.unwrap(), None);
    assert_eq!(accounts.find_login(acme.id, "\u{0}").await.unwrap(), None);
}

#[tokio::test]
async fn wrong_unknown_and_suspended_take_equally_long() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    accounts.add_account(acme.id, new("store-2", Some(GOOD)), NOW).await.unwrap();
    accounts.suspend(&account("acme", "store-2"), None, NOW).await.unwrap();
    let kinds = [
        ("acme", "store-1", "wrong horse battery"),
        ("acme", "nobody", GOOD),
        ("nowhere", "store-1", GOOD),
        ("/", "/", GOOD),
        ("acme", "store-2", GOOD),
    ];
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..9 {
        for (kind, (tenant, login, text)) in kinds.iter().enumerate() {
            let started = Instant::now();
            verify(&accounts, tenant, login, &password(text)).await.err().unwrap();
            times[kind].push(started.elapsed());
        }
    }
    let median = times.map(|mut times| {
        times.sort_unstable();
        times[times.len() / 2]
    });
    println!("medians of wrong, unknown login, unknown tenant, no name, suspended: {median:?}");
    let (least, most) = (median.iter().min().unwrap(), median.iter().max().unwrap());
    assert!(*most < *least * 3, "{median:?}");
    assert!(*least > Duration::from_millis(2), "{median:?}: nothing was hashed");
}

/// An account that is there and one that is not are refused alike, and early.
#[tokio::test]
async fn whoever_guesses_too_often_is_refused_before_the_hash_whether_there_is_an_account_or_not() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, ..) = with_two_tenants(&folder).await;
    let wrong = password("wrong horse battery");
    let mut refusals = Vec::new();
    for login in ["store-1", "nobody"] {
        for turn in 0..6_u32 {
            let from = IpAddr::from(turn.to_be_bytes());
            let claim = Claim { tenant: "acme", login, password: &wrong, from, device: None };
            refusals.push(accounts.verify(claim, Now::default).await);
        }
        let (begun, good) = (Instant::now(), password(GOOD));
        let from = IpAddr::from([192, 0, 2, 1]);
        let claim = Claim { tenant: "ACME", login, password: &good, from, device: None };
        let refused = accounts.verify(claim, Now::default).await;
        println!("refused after {:?}", begun.elapsed());
        refusals.push(refused);
    }
    let busy = Err(SignInRefusal::Busy { retry_after_ms: 1000 });
    let mut expected = vec![Err(SignInRefusal::BadCredentials); 5];
    expected.extend([busy.clone(), busy]);
    assert_eq!(refusals, [expected.clone(), expected].concat());
    let good = password(GOOD);
    let from = IpAddr::from([192, 0, 2, 1]);
    let claim = Claim { tenant: "acme", login: "store-1", password: &good, from, device: None };
    assert!(
        accounts
            .verify(claim, || Now { since_start: Duration::from_secs(1), wall: NOW })
            .await
            .is_ok()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_of_sign_ins_is_refused_early_and_passes() {
    let folder = tempfile::tempdir().unwrap();
    let config = AccountsConfig { hash_jobs: 1, hash_queue: 2, entropy: Entropy::system() };
    let accounts = open(&folder, config);
    let limits = TenantLimits::default();
    let tenant = accounts.add_tenant("acme", limits, NOW).await.unwrap();
    // Of several accounts: what one may try at once is less than the queue would take.
    for n in 0..8 {
        accounts.add_account(tenant.id, new(&format!("a{n}"), Some(GOOD)), NOW).await.unwrap();
    }
    let from = IpAddr::from([192, 0, 2, 1]);
    let storm: Vec<_> = (0..40)
        .map(|n| {
            let accounts = Arc::clone(&accounts);
            tokio::spawn(async move {
                let (login, good) = (format!("a{}", n % 8), password(GOOD));
                let claim =
                    Claim { tenant: "acme", login: &login, password: &good, from, device: None };
                accounts.verify(claim, Now::default).await
            })
        })
        .collect();
    let (mut good, mut busy) = (0, 0);
    for one in storm {
        match one.await.unwrap() {
            Ok(_) => good += 1,
            Err(SignInRefusal::Busy { retry_after_ms }) => {
                assert!((50..=1000).contains(&retry_after_ms), "{retry_after_ms}");
                busy += 1;
            }
            Err(other) => panic!("{other}"),
        }
    }
    // As many as the queue holds, and one if its thread was quick.
    assert!(good >= 2 && busy >= 20, "{good} good, {busy} busy");
    verify(&accounts, "acme", "a1", &password(GOOD)).await.unwrap();
}

#[tokio::test]
async fn names_passwords_and_doubles_are_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    let limits = TenantLimits::default();
    let error = |result: Result<_, AccountError>| result.map(|_: ()| ()).err().unwrap();
    let tenant = accounts.add_tenant("aCme", limits, NOW).await.map(|_| ());
    assert_eq!(error(tenant), AccountError::Taken("acme".into()));
    let tenant = accounts.add_tenant("架け橋", limits, NOW).await.map(|_| ());
    assert_eq!(error(tenant), AccountError::TenantName(BadName::Login));
    let add = async |tenant, new| accounts.add_account(tenant, new, NOW).await.map(|_| ());
    assert_eq!(
        error(add(acme.id, new("STORE-1", None)).await),
        AccountError::Taken("store-1".into())
    );
    assert_eq!(error(add(acme.id, new("a b", None)).await), AccountError::Login(BadName::Login));
    let short = error(add(acme.id, new("b", Some("fourteen chars"))).await);
    assert_eq!(short, AccountError::Password(BadPassword::Short));
    for (typed, why) in [
        ("password 12345678", BadPassword::Common),
        ("umbrella in Acme teapot", BadPassword::Names),
        ("umbrella b teapot kakehashi", BadPassword::Names),
    ] {
        let refused = error(add(acme.id, new("b", Some(typed))).await);
        assert_eq!(refused, AccountError::Password(why));
    }
    let disguised = NewAccount { display: Some("a\u{202e}".into()), ..new("b", None) };
    assert_eq!(error(add(acme.id, disguised).await), AccountError::Display(BadName::Display));
    let nowhere = add(kakehashi_wire::id::TenantId(42), new("b", None)).await;
    assert!(matches!(error(nowhere), AccountError::NoSuchTenant(_)));
    assert_eq!(accounts.list(acme.id).await.unwrap().len(), 1);
    let names: Vec<_> = accounts.tenants().await.unwrap().into_iter().map(|t| t.name).collect();
    assert_eq!(names, ["acme", "other"]);
}

#[tokio::test]
async fn a_new_password_ends_the_old_one_and_raises_the_epoch() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    let added = accounts.set_password(acme.id, "store-1", None, true).await.unwrap();
    let generated = added.generated.unwrap();
    assert_eq!(added.account.epoch, 2);
    assert!(verify(&accounts, "acme", "store-1", &generated).await.is_ok());
    let old = verify(&accounts, "acme", "store-1", &password(GOOD)).await;
    assert_eq!(old, Err(SignInRefusal::BadCredentials));
    let nobody = accounts.set_password(acme.id, "nobody", None, true).await;
    assert!(matches!(nobody, Err(AccountError::NoSuchAccount(_))));
    // Neither is anywhere in the file.
    drop(accounts);
    let bytes = std::fs::read(folder.path().join("store")).unwrap();
    for secret in [GOOD, generated.expose()] {
        assert!(!bytes.windows(secret.len()).any(|window| window == secret.as_bytes()));
    }
}

fn account(tenant: &str, login: &str) -> Subject {
    Subject::Account { tenant: tenant.to_owned(), login: login.to_owned() }
}

fn device(number: u64) -> Subject {
    let (tenant, login) = ("acme".to_owned(), "store-1".to_owned());
    Subject::Device { tenant, login, device: DeviceId(number) }
}

#[tokio::test]
async fn who_is_suspended_is_refused_as_if_the_password_were_wrong_until_active_again() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, other) = with_two_tenants(&folder).await;
    let sign_in = async |tenant, login| verify(&accounts, tenant, login, &password(GOOD)).await;
    let refused = Err(SignInRefusal::BadCredentials);
    let store_1 = accounts.find_login(acme.id, "store-1").await.unwrap().unwrap();
    let key = AccountKey { tenant: acme.id, account: store_1.id };
    let before = sign_in("acme", "store-1").await.unwrap();

    let first = accounts.suspend(&account("ACME", "Store-1"), None, NOW).await.unwrap();
    assert_eq!((first.whom, first.why), (Whom::Account(key), SessionEnd::Suspended));
    assert!(before.epochs.account < first.epoch);
    assert_eq!(sign_in("acme", "store-1").await, refused);
    let standing = async || accounts.list(acme.id).await.unwrap()[0].standing.clone();
    assert_eq!(
        standing().await,
        Standing::Suspended { since: NOW, reason: None, media_ended: None }
    );
    for (given, kept) in [(Some(" lost "), "lost"), (None, "lost"), (Some("found"), "found")] {
        let later = UnixMs(NOW.0 + 1);
        let again = accounts.suspend(&account("acme", "store-1"), given, later).await.unwrap();
        assert_eq!(again, first, "nothing more is to be ended by it");
        let reason = Some(kept.to_owned());
        let kept = Standing::Suspended { since: NOW, reason, media_ended: None };
        assert_eq!(standing().await, kept);
    }
    for (ended, kept) in [(5, 5), (9, 9), (7, 9)] {
        let whom = account("acme", "store-1");
        accounts.note_media_end(&whom, UnixMs(ended)).await.unwrap();
        let ended = match standing().await {
            Standing::Suspended { media_ended, .. } => media_ended,
            Standing::Active => None,
        };
        assert_eq!(ended, Some(UnixMs(kept)), "the latest");
    }
    let bad = accounts.suspend(&account("acme", "store-1"), Some("a\nb"), NOW).await.unwrap_err();
    assert!(matches!(bad, AccountError::Reason(_)) && bad.to_string().contains("not a reason"));

    // Each suspension ends by itself.
    let tenant = Subject::Tenant { tenant: "acme".to_owned() };
    let whole = accounts.suspend(&tenant, None, NOW).await.unwrap();
    assert_eq!(whole.whom, Whom::Tenant(acme.id));
    assert!(whole.epoch > before.epochs.tenant);
    accounts.reactivate(&account("acme", "store-1")).await.unwrap();
    assert_eq!(sign_in("acme", "store-1").await, refused);
    assert!(sign_in("other", "concierge").await.is_ok(), "of tenant {}", other.id);
    accounts.reactivate(&tenant).await.unwrap();
    accounts.reactivate(&tenant).await.unwrap();
    let after = sign_in("acme", "store-1").await.unwrap();
    assert_eq!((after.epochs.account, after.epochs.tenant), (first.epoch, whole.epoch));

    for nobody in [account("acme", "nobody"), account("other", "store-1")] {
        let error = accounts.suspend(&nobody, None, NOW).await.unwrap_err();
        assert!(matches!(error, AccountError::NoSuchAccount(_)), "{error}");
    }
    for nobody in [account("nowhere", "store-1"), Subject::Tenant { tenant: "nowhere".into() }] {
        let error = accounts.reactivate(&nobody).await.unwrap_err();
        assert!(matches!(error, AccountError::NoSuchTenant(_)), "{error}");
    }
}

#[tokio::test]
async fn a_suspended_device_is_one_of_a_bounded_list() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    let verified = async || verify(&accounts, "acme", "store-1", &password(GOOD)).await.unwrap();
    let before = verified().await;
    let longest = "\"".repeat(REASON_BYTES_MAX);
    let revocation = accounts.suspend(&device(7), Some(&longest), NOW).await.unwrap();
    assert!(matches!(revocation.whom, Whom::Device(_, DeviceId(7))));
    assert!(before.epochs.devices < revocation.epoch);
    assert_eq!(accounts.suspend(&device(7), None, NOW).await.unwrap(), revocation);
    let suspended = verified().await;
    assert_eq!(suspended.epochs.account, before.epochs.account, "no matter to other devices");
    assert!(!suspended.may_use(DeviceId(7)) && suspended.may_use(DeviceId(8)));
    for number in 1..u64::from(SUSPENDED_DEVICES_MAX) {
        accounts.suspend(&device(100 + number), Some(&longest), NOW).await.unwrap();
    }
    let listed = accounts.list(acme.id).await.unwrap();
    assert_eq!(listed[0].suspended_devices[0].reason.as_ref(), Some(&longest));
    let error = accounts.suspend(&device(99), None, NOW).await.unwrap_err();
    assert!(matches!(error, AccountError::Limit(SUSPENDED_DEVICES_MAX, _)), "{error}");
    accounts.reactivate(&device(7)).await.unwrap();
    accounts.reactivate(&device(7)).await.unwrap();
    assert!(verified().await.may_use(DeviceId(7)));
    let listed = accounts.list(acme.id).await.unwrap();
    assert_eq!(listed[0].suspended_devices.len(), SUSPENDED_DEVICES_MAX as usize - 1);
}

#[tokio::test]
async fn records_of_the_version_before_are_read_as_active() {
    let old = r#"{"v":1,"id":"1","name":"acme","limits":{"accounts":3},"created":7}"#;
    let tenant: Tenant = serde_json::from_str(old).unwrap();
    assert_eq!((tenant.standing, tenant.epoch), (Standing::Active, 0));
}

#[tokio::test]
async fn a_suspension_of_the_version_before_is_read_as_one_without_a_reason() {
    let folder = tempfile::tempdir().unwrap();
    let (accounts, acme, _) = with_two_tenants(&folder).await;
    accounts.suspend(&account("acme", "store-1"), None, NOW).await.unwrap();
    accounts.suspend(&device(7), None, NOW).await.unwrap();
    let account = &accounts.list(acme.id).await.unwrap()[0];
    // What was not given is not written, so that this is also what version 3 wrote.
    let old = serde_json::to_value(account).unwrap();
    assert_eq!(old["standing"], serde_json::json!({ "suspended": { "since": NOW.0 } }));
    assert_eq!(old["suspended_devices"][0].as_object().unwrap().len(), 2, "{old}");
    assert_eq!(serde_json::from_value::<Account>(old).unwrap(), *account);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_limit_of_accounts_holds_against_a_race() {
    let folder = tempfile::tempdir().unwrap();
    let config = AccountsConfig { hash_jobs: 2, hash_queue: 100, entropy: Entropy::system() };
    let accounts = open(&folder, config);
    let limits = TenantLimits { accounts: 3, ..TenantLimits::default() };
    let tenant = accounts.add_tenant("acme", limits, NOW).await.unwrap();
    let race: Vec<_> = (0..8)
        .map(|n| {
            let accounts = Arc::clone(&accounts);
            tokio::spawn(async move {
                accounts.add_account(tenant.id, new(&format!("a{n}"), None), NOW).await
            })
        })
        .collect();
    let mut added = 0;
    for one in race {
        match one.await.unwrap() {
            Ok(_) => added += 1,
            Err(error) => assert!(matches!(error, AccountError::Limit(3, _)), "{error}"),
        }
    }
    assert_eq!(added, 3);
    assert_eq!(accounts.list(tenant.id).await.unwrap().len(), 3);
}
