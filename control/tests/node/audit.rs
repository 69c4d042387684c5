//! The audit log of a whole node: what terminals and operators do is in it before they hear of it.

use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, device_of, within};
use super::process::{Kept, ask};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client::request;
use kakehashi_control::audit::{Actor, AuditRecord, Entry, Head, Offline, Outcome};
use kakehashi_wire::terminal::Role;
use std::path::Path;
use std::time::Instant;

/// Act, tenant, target, outcome, detail and count of each record, oldest first.
fn said(rows: &[AuditRecord]) -> Vec<String> {
    let one = |row: &AuditRecord| {
        let (outcome, detail) = (row.outcome.name(), row.detail.as_str());
        format!("{} {} {} {outcome} {detail} {}", row.act, row.tenant, row.target, row.times)
    };
    rows.iter().rev().map(one).collect()
}

async fn list(data: &Path) -> Vec<AuditRecord> {
    let asked = request(data, Request::AuditList { before: None, limit: 1000 });
    let Ok(Answer::Audit { rows }) = within(asked).await else { panic!("records were asked for") };
    rows
}

#[tokio::test]
async fn every_sign_in_is_noted_whoever_it_is_and_whatever_it_says() {
    let platform = Platform::start().await;
    let data = platform.folder.path().to_owned();
    let mut hostile = Terminal::open(platform.connect().await).await;
    let device = device_of("a");
    let long = "x".repeat(100);
    let forged = "a\",\"outcome\":\"done\"}\n\u{1b}[2J\u{202e}";
    for (login, password) in [("A", "wrong"), (forged, PASSWORD), (&long, "wrong")] {
        assert!(hostile.sign_in("shop", login, password, device).await.is_err());
    }
    let mut again = Terminal::open(platform.connect().await).await;
    assert!(again.sign_in("shop", "a", "wrong", device).await.is_err());
    again.sign_in("shop", "a", PASSWORD, device).await.unwrap();
    assert_eq!(
        said(&list(&data).await),
        [
            "sign_in shop a refused bad_credentials 1",
            "sign_in shop (not a name) refused bad_credentials 1",
            "sign_in shop a done  1",
        ]
    );
    let folder = platform.folder;
    platform.node.stop().await;
    let log = Offline::open(folder.path()).unwrap();
    let rows = log.newest(None, 100).await.unwrap();
    let mut counted = said(&rows[..2]);
    counted.sort_unstable();
    assert_eq!(
        counted,
        [
            "sign_in shop (not a name) refused bad_credentials 1",
            "sign_in shop a refused bad_credentials 1",
        ]
    );
    assert!(rows.iter().all(|row| !format!("{row:?}").contains('\u{1b}')));
    assert_eq!(log.verify(None).await.unwrap().broken, None);
}

#[tokio::test]
async fn an_operators_change_is_noted_before_and_after_and_a_refused_one_too() {
    let platform = Platform::start().await;
    let data = platform.folder.path().to_owned();
    let add = |login: &str| {
        let (tenant, login) = ("shop".to_owned(), login.to_owned());
        let role = Role::Store;
        let (display, password, permanent) = (None, None, true);
        Request::AccountAdd { tenant, login, display, password, permanent, role }
    };
    within(request(&data, add("new"))).await.ok().unwrap();
    within(request(&data, add("a"))).await.err().unwrap();
    for _ in 0..3 {
        within(request(&data, Request::Sessions { tenant: None })).await.ok().unwrap();
        within(request(&data, Request::Relays {})).await.ok().unwrap();
    }
    let rows = list(&data).await;
    let refused = "account_add shop a refused a exists already: choose another name 1";
    assert_eq!(
        said(&rows),
        [
            "account_add shop new begun  1",
            "account_add shop new done  1",
            "account_add shop a begun  1",
            refused,
            "sessions   done  1",
        ]
    );
    let begun: Vec<_> = rows.iter().rev().map(|row| row.begun).collect();
    assert_eq!(begun, [None, Some(1), None, Some(3), None]);
    let local = |row: &AuditRecord| row.from.as_str().starts_with("127.0.0.1:");
    assert!(rows.iter().all(|row| row.actor.as_str() == "operator" && local(row)));
    let Ok(Answer::AuditVerdict { verdict }) =
        within(request(&data, Request::AuditVerify { from: Head::START })).await
    else {
        panic!("a verdict was asked for")
    };
    assert_eq!((verdict.broken, verdict.more), (None, false));
    platform.node.stop().await;
}

#[tokio::test]
async fn what_a_killed_node_had_answered_is_in_its_log() {
    let (kept, node) = Kept::start().await;
    let data = kept.folder.path();
    let mut terminal = kept.connect().await;
    assert!(terminal.sign_in("shop", "b", "wrong", 1).await.is_err());
    terminal.sign_in("shop", "a", PASSWORD, 1).await.unwrap();
    drop(node);

    let log = Offline::open(data).unwrap();
    let rows = log.newest(None, 100).await.unwrap();
    let done = |act: &str, target: &str, outcome| {
        rows.iter().any(|row| {
            row.act.as_str() == act && row.target.as_str() == target && row.outcome == outcome
        })
    };
    assert!(done("account_add", "a", Outcome::Done) && done("account_add", "b", Outcome::Done));
    assert!(done("sign_in", "b", Outcome::Refused) && done("sign_in", "a", Outcome::Done));
    assert_eq!(log.verify(None).await.unwrap().broken, None);
    drop(log);
    let _node = kept.again();
    add_again(data).await;
    assert_eq!(list(data).await.last().unwrap().seq, 1, "it goes on from the beginning");
}

/// Adds somebody else to the same tenant.
async fn add_again(data: &Path) {
    let add = || Request::TenantAdd { name: "bank".into(), accounts: None };
    within(ask(data, add)).await;
}

#[tokio::test]
async fn the_record_of_a_sign_in_costs_less_than_its_password() {
    let platform = Platform::start().await;
    let device = device_of("a");
    let mut whole = Vec::new();
    for _ in 0..20 {
        let mut terminal = Terminal::open(platform.connect().await).await;
        let begun = now();
        terminal.sign_in("shop", "a", PASSWORD, device).await.unwrap();
        whole.push(begun.elapsed());
    }
    let mut records = Vec::new();
    let row = platform.node.audit.newest(None, 1).await.unwrap().remove(0);
    let address = row.from.as_str().parse().unwrap();
    for _ in 0..20 {
        let actor = Actor::Terminal { address };
        let entry = Entry::new(actor, "sign_in");
        let begun = now();
        platform.node.audit.note(entry).await.unwrap();
        records.push(begun.elapsed());
    }
    whole.sort_unstable();
    records.sort_unstable();
    println!("a sign-in: median {:?}; its record: median {:?}", whole[10], records[10]);
    assert!(records[10] < whole[10]);
    platform.node.stop().await;
}

#[expect(clippy::disallowed_methods, reason = "what a sign-in costs is what this measures")]
fn now() -> Instant {
    Instant::now()
}
