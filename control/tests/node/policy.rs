//! A tenant's policy over the operators' door, as terminals notice it: at once.

use super::common::relay::Relay;
use super::common::{Platform, within};
use super::{PASSWORD, Terminal};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client::{self, ClientError};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::policy::{Protection, TenantPolicy};
use kakehashi_control::records::{CallRecord, Party, PartyRole, RecordState};
use kakehashi_wire::id::{AccountId, CallId, TenantId};
use kakehashi_wire::terminal::{CallEnd, Refusal, Role};

pub(super) async fn set(
    platform: &Platform,
    change: impl Fn(&mut TenantPolicy),
) -> Result<TenantPolicy, ClientError> {
    let mut policy = TenantPolicy::default();
    change(&mut policy);
    let TenantPolicy { limits, rules } = policy;
    let (tenant, limits, rules) = ("shop".to_owned(), Some(limits), Some(Box::new(rules)));
    let request = Request::TenantPolicy { tenant, limits, rules };
    match within(client::request(platform.folder.path(), request)).await? {
        Answer::TenantPolicy { policy } => Ok(*policy),
        _ => panic!("a policy was asked for"),
    }
}

#[tokio::test]
async fn a_change_counts_for_the_next_request_and_after_a_restart() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let _b = platform.terminal("shop", "b").await;
    set(&platform, |policy| policy.rules.may_call.store = [Role::Concierge][..].into())
        .await
        .unwrap();
    assert_eq!(a.invite("b").await, Err(Refusal::NotAllowed));
    assert_eq!(a.invite("z").await, Err(Refusal::NoSuchLogin), "of another tenant");
    set(&platform, |policy| policy.limits.calls = 0).await.unwrap();
    assert_eq!(a.invite("b").await, Err(Refusal::TenantFull));
    set(&platform, |policy| policy.limits.terminals = 2).await.unwrap();
    let mut c = Terminal::open(platform.connect().await).await;
    let refused = c.sign_in("shop", "c", PASSWORD, 99).await.err().unwrap();
    assert_eq!(refused.reason, Refusal::TenantFull);
    let outdated = |policy: &mut TenantPolicy| {
        policy.limits.protection = Protection::Hitless;
        policy.rules.software =
            [("test".to_owned(), "2.0.0".to_owned().try_into().unwrap())].into();
    };
    set(&platform, outdated).await.unwrap();
    let refused = c.sign_in("shop", "c", PASSWORD, 99).await.err().unwrap();
    assert_eq!((refused.reason, refused.retry_after_ms), (Refusal::Outdated, 0));
    let _z = platform.terminal("bank", "z").await;
    a.invite("b").await.unwrap();

    let Platform { node, folder } = platform;
    node.stop().await;
    let platform = Platform::start_in(folder).await;
    let mut a = Terminal::open(platform.connect().await).await;
    let refused = a.sign_in("shop", "a", PASSWORD, 1).await.err().unwrap();
    assert_eq!(refused.reason, Refusal::Outdated);
    set(&platform, |_usual| {}).await.unwrap();
    a.sign_in("shop", "a", PASSWORD, 1).await.unwrap();
    platform.node.stop().await;
}

fn ended(tenant: TenantId, days_ago: u64) -> CallRecord {
    let at = UnixMs(UnixMs::now().0 - days_ago * 24 * 3_600_000);
    let party = Party {
        account: AccountId(1),
        login: "a".into(),
        role: PartyRole::Caller,
        joined: None,
        left: None,
        device: None,
        quality: None,
    };
    let record = CallRecord {
        call: CallId(days_ago),
        tenant,
        members: vec![party],
        desk: None,
        state: RecordState::Ringing,
        started: at,
        answered: None,
        ended: None,
        reason: None,
    };
    record.ended(at, CallEnd::NoAnswer)
}

#[tokio::test]
async fn old_records_go_when_the_policy_says_so_and_at_the_next_start() {
    let platform = Platform::start().await;
    let [shop, bank] = ["shop", "bank"].map(|name| platform.node.accounts.find_tenant(name));
    let [shop, bank] = [shop.await, bank.await].map(|it| it.unwrap().unwrap().id);
    for (tenant, days) in [(shop, 1), (shop, 20), (shop, 400), (bank, 20)] {
        platform.node.records.put(&ended(tenant, days)).await.unwrap();
    }
    set(&platform, |policy| policy.rules.records_days = 10).await.unwrap();
    let kept = async |platform: &Platform, tenant| {
        let kept = platform.node.records.ended(tenant, 10).await.unwrap();
        kept.iter().map(|record| record.call.0).collect::<Vec<_>>()
    };
    assert_eq!(kept(&platform, shop).await, [1]);
    assert_eq!(kept(&platform, bank).await, [20]);
    platform.node.records.put(&ended(shop, 11)).await.unwrap();
    let Platform { node, folder } = platform;
    node.stop().await;
    let platform = Platform::start_in(folder).await;
    let gone = async {
        while kept(&platform, shop).await != [1] {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    within(gone).await;
    platform.node.stop().await;
}
