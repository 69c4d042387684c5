//! What operators and administrators ask.

use super::super::common::relay::Relay;
use super::*;
use kakehashi_control::admin::{Answer, Asker, Refused, Service, Why, answer};
use std::sync::Arc;

/// Who asks, from the narrowest rights to the widest.
pub fn askers() -> Vec<Asker> {
    let account = |role| Asker::Account {
        tenant: "shop".into(),
        login: login_of(role).into(),
        role,
        address: ([127, 0, 0, 1], 4433).into(),
    };
    let address = ([127, 0, 0, 1], 4433).into();
    let observer = Asker::Staff { login: "otto".into(), may_change: false, address };
    let operator = Asker::Staff { login: "olga".into(), may_change: true, address };
    let all = [observer, operator, Asker::Operator { address }];
    Role::ALL.into_iter().map(account).chain(all).collect()
}

/// Whether a whole platform is the asker's, and not a tenant alone.
fn is_of_platform(asker: &Asker) -> bool {
    matches!(asker.rank(), Rank::Operator | Rank::Observer)
}

pub fn service(platform: &Platform) -> Service {
    Service {
        accounts: Arc::clone(&platform.node.accounts),
        records: Arc::clone(&platform.node.records),
        audit: Arc::clone(&platform.node.audit),
        live: platform.node.live(),
        surroundings: Arc::clone(&platform.node.surroundings),
        now: UnixMs::now,
    }
}

/// Which tenants an answer speaks of.
fn tenants_in(answer: &Answer) -> Vec<&str> {
    match answer {
        Answer::Calls { live, ended } => {
            live.iter().chain(ended).map(|row| row.tenant_name.as_str()).collect()
        }
        Answer::Sessions { rows } => rows.iter().map(|row| row.tenant_name.as_str()).collect(),
        _ => Vec::new(),
    }
}

/// The refusal without the name that was asked about.
fn without(name: &str, refused: Refused) -> Refused {
    Refused { message: refused.message.replace(name, "NAME"), ..refused }
}

#[tokio::test]
async fn every_request_of_every_role_about_its_own_tenant_another_and_none() {
    let platform = platform().await;
    let service = service(&platform);
    let _here = platform.terminal("shop", "a").await;
    let _there = platform.terminal("bank", "z").await;
    let named = |tenant| Named { tenant, login: "", call: NEVER };
    for act in Act::ALL.iter().copied() {
        for asker in askers() {
            let request = |tenant| match asked(act, named(tenant), NEVER) {
                Asked::Admin(request) => Some(request),
                _ => None,
            };
            let Some(own) = request("shop") else { continue };
            let is_operator = is_of_platform(&asker);
            let may = is_allowed(act, asker.rank());
            let mut heard = Vec::new();
            // The operator has no other tenant: nothing is hidden from it.
            for tenant in ["bank", "nowhere"].into_iter().filter(|_| !is_operator) {
                let refused = answer(&service, &asker, request(tenant).unwrap()).await.err();
                let refused = refused.unwrap_or_else(|| panic!("{act:?} {asker:?} {tenant}"));
                heard.push(without(tenant, refused));
            }
            assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{act:?} {heard:?}");
            let expected = if may { Why::Absent } else { Why::NotAllowed };
            assert!(heard.iter().all(|refused| refused.why == expected), "{act:?} {heard:?}");

            match answer(&service, &asker, own).await {
                Ok(answer) => {
                    assert!(may, "{act:?} {asker:?}");
                    let spoken_of = tenants_in(&answer);
                    assert!(spoken_of.iter().all(|tenant| *tenant == "shop"), "{spoken_of:?}");
                }
                Err(refused) => {
                    assert_eq!(refused.why == Why::NotAllowed, !may, "{act:?} {refused:?}");
                }
            }
        }
    }
    let bank = service.accounts.find_tenant("bank").await.unwrap().unwrap();
    let accounts = service.accounts.list(bank.id).await.unwrap();
    assert_eq!(accounts.len(), 2, "nobody has added one");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_call_of_another_tenant_is_as_absent_as_one_that_never_was() {
    let platform = platform().await;
    let service = service(&platform);
    let _relay = Relay::start(&platform, 1).await;
    let mut stranger = platform.terminal("bank", "z").await;
    let _peer = platform.terminal("bank", "a").await;
    let theirs = stranger.invite("a").await.unwrap();
    for asker in askers().into_iter().filter(|asker| !is_of_platform(asker)) {
        let mut heard = Vec::new();
        for call in [theirs, NEVER] {
            for tenant in [Some("shop".to_owned()), None] {
                let request = Request::CallEnd { tenant, call };
                let refused = answer(&service, &asker, request).await.err().unwrap();
                heard.push(without(&call.to_string(), refused));
            }
        }
        assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{asker:?}: {heard:?}");
        let may = is_allowed(Act::CallEnd, asker.rank());
        assert_eq!(heard[0].why, if may { Why::Absent } else { Why::NotAllowed });
    }
    assert_eq!(service.live.live_calls().await.unwrap().len(), 1, "it goes on");
    platform.node.stop().await;
}

#[tokio::test]
async fn all_that_an_account_may_see_is_its_own_tenants() {
    let platform = platform().await;
    let service = service(&platform);
    let _here = platform.terminal("shop", "a").await;
    let _there = platform.terminal("bank", "z").await;
    for asker in askers() {
        let all = answer(&service, &asker, Request::Sessions { tenant: None }).await;
        let Ok(all) = all else {
            assert!(!asker.rank().may(Act::Sessions), "{asker:?}");
            continue;
        };
        let sees_all = is_of_platform(&asker);
        let expected: &[&str] = if sees_all { &["bank", "shop"] } else { &["shop"] };
        let mut seen = tenants_in(&all);
        seen.sort_unstable();
        assert_eq!(seen, expected, "{asker:?}");
    }
    platform.node.stop().await;
}
