//! Every act of an operator or administrator, and every kind of sign-in, has its record.

use super::super::api::{administrator, url};
use super::super::common::device_of;
use super::operators::{askers, service};
use super::*;
use kakehashi_control::admin::answer;
use kakehashi_control::api::client::Client;
use kakehashi_control::audit::{AuditRecord, Outcome};
use std::collections::BTreeSet;

/// Acts that change nothing: one record each, and of the last two none.
const LOOKS: [Act; 10] = [
    Act::TenantList,
    Act::TenantPolicy,
    Act::AccountList,
    Act::DeskList,
    Act::Calls,
    Act::Sessions,
    Act::AuditList,
    Act::AuditVerify,
    Act::Relays,
    Act::Status,
];

async fn newest(platform: &Platform, count: usize) -> Vec<AuditRecord> {
    platform.node.audit.newest(None, count).await.unwrap()
}

#[tokio::test]
async fn every_act_of_everybody_is_noted_whatever_becomes_of_it() {
    let platform = platform().await;
    let service = service(&platform);
    let named = Named { tenant: "shop", login: "", call: NEVER };
    let mut noted = 0;
    for act in Act::ALL.iter().copied() {
        for asker in askers() {
            let Some(request) = admin(act, named) else { continue };
            let before = newest(&platform, 1).await.first().map_or(0, |row| row.seq);
            let is_done = answer(&service, &asker, request).await.is_ok();
            let mut rows = newest(&platform, 4).await;
            rows.retain(|row| row.seq > before);
            if LOOKS[8..].contains(&act) {
                assert_eq!(rows.len(), 0, "{act:?} shows how the machine is");
                continue;
            }
            let is_change = !LOOKS.contains(&act) && is_allowed(act, asker.rank());
            assert_eq!(rows.len(), 1 + usize::from(is_change), "{act:?} of {asker:?}: {rows:?}");
            let outcome = if is_done { Outcome::Done } else { Outcome::Refused };
            assert_eq!(rows[0].outcome, outcome, "{act:?} of {asker:?}");
            assert!(rows.iter().all(|row| row.act.as_str() == act.name()), "{act:?}: {rows:?}");
            if let [end, begun] = &rows[..] {
                assert_eq!((begun.outcome, end.begun), (Outcome::Begun, Some(begun.seq)));
            }
            noted += 1;
        }
    }
    assert!(noted > 100, "{noted} acts");
    platform.node.stop().await;
}

#[tokio::test]
async fn every_kind_of_sign_in_is_noted_good_or_not() {
    let platform = platform().await;
    administrator(&platform, "shop", "a").await;
    let wrong = || Password::new("wrong horse battery".into());
    let roots = platform.pki().roots().unwrap();
    assert!(Client::sign_in(&url(&platform), roots, ("shop", "a"), wrong()).await.is_err());
    let mut terminal = Terminal::open(platform.connect().await).await;
    assert!(terminal.sign_in("shop", "b", "wrong", device_of("b")).await.is_err());
    let (_b, token) = platform.terminal_with_token("shop", "b").await;
    let mut terminal = Terminal::open(platform.connect().await).await;
    assert!(terminal.resume(&token, device_of("c")).await.is_err());
    let mut terminal = Terminal::open(platform.connect().await).await;
    terminal.resume(&token, device_of("b")).await.unwrap();
    let rows = newest(&platform, 100).await;
    let said: BTreeSet<_> = rows.iter().map(|row| (row.act.as_str(), row.outcome.name())).collect();
    for act in ["sign_in", "resume", "api_sign_in"] {
        for outcome in ["done", "refused"] {
            assert!(said.contains(&(act, outcome)), "{act} {outcome}: {said:?}");
        }
    }
    platform.node.stop().await;
}
