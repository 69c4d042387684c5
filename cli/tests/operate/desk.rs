//! `kakehashi desk` against a running control.

use super::{run, start};
use kakehashi_control::admin::Request;
use kakehashi_control::api::client::request;
use kakehashi_control::node::Node;
use kakehashi_wire::terminal::Role;
use serde_json::{Value, json};
use std::path::Path;

async fn desk(folder: &Path, what: &str) -> Result<String, String> {
    run(folder, &[&["desk"], &what.split(' ').collect::<Vec<_>>()[..]].concat()).await
}

async fn shown(folder: &Path, name: &str) -> Value {
    let said = desk(folder, &format!("show ginza {name} --json")).await.unwrap();
    serde_json::from_str(&said).unwrap()
}

/// A node with the tenants ginza and osaka, and accounts of ginza.
async fn with_accounts(folder: &Path) -> Node {
    let node = start(folder).await;
    for name in ["ginza", "osaka"] {
        let add = Request::TenantAdd { name: name.into(), accounts: None };
        request(folder, add).await.ok().unwrap();
    }
    for login in ["anna", "ben"] {
        let (tenant, login, display) = ("ginza".to_owned(), login.to_owned(), None);
        let (password, permanent, role) = (None, false, Role::Concierge);
        let add = Request::AccountAdd { tenant, login, display, password, permanent, role };
        request(folder, add).await.ok().unwrap();
    }
    node
}

#[tokio::test]
async fn an_operator_adds_changes_lists_and_removes_desks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let running = with_accounts(path).await;
    let added = desk(path, "add ginza Second --agents ben --ring 5").await.unwrap();
    assert!(added.starts_with("second\n  agents    ben\n"), "{added}");
    let add = "add ginza first --agents anna,BEN --order ring-all --overflow second:60";
    desk(path, add).await.unwrap();
    let first = shown(path, "first").await;
    let logins: Vec<_> =
        first["agents"].as_array().unwrap().iter().map(|agent| &agent["login"]).collect();
    assert_eq!(json!(logins), json!(["anna", "ben"]));
    assert_eq!(first["overflow"], json!({ "desk": "second", "after_s": 60 }));

    let set = "set ginza first --queue 3 --overflow none --announce true";
    desk(path, set).await.unwrap();
    let changed = shown(path, "first").await;
    assert_eq!(
        (&changed["queue_max"], &changed["overflow"], &changed["announce"]),
        (&json!(3), &Value::Null, &json!(true))
    );
    assert_eq!((&changed["agents"], &changed["order"]), (&first["agents"], &first["order"]));

    let listed = desk(path, "list ginza").await.unwrap();
    assert!(listed.contains("first   ring-all      2"), "{listed}");
    assert_eq!(desk(path, "list osaka --json").await.unwrap(), "", "another tenant's");
    assert_eq!(desk(path, "remove ginza first").await.unwrap(), "first  removed\n");
    running.stop().await;
    // What is kept is there again after a restart.
    let running = start(path).await;
    let left = desk(path, "list ginza --json").await.unwrap();
    assert!(left.lines().count() == 1 && left.contains("second"), "{left}");
    running.stop().await;
}

#[tokio::test]
async fn what_cannot_be_is_refused_by_name_and_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let running = with_accounts(path).await;
    desk(path, "add ginza first --agents anna").await.unwrap();
    let before = shown(path, "first").await;
    for (what, why) in [
        ("add ginza first", "exists already"),
        ("add ginza a/b", "not a desk name"),
        ("add nowhere second", "no tenant nowhere"),
        ("add osaka second --agents anna", "no account anna"),
        ("set ginza first --agents anna,carl", "no account carl"),
        ("set ginza first --agents anna,anna", "named twice"),
        ("set ginza first --overflow second:9", "no desk second"),
        ("set ginza first --overflow first:9", "to itself"),
        ("set ginza first --overflow second", "give a desk and seconds"),
        ("set ginza first --ring 0", "an agent rings, in seconds, is 3 to 120"),
        ("set ginza second --ring 9", "no desk second"),
        ("remove ginza second", "no desk second"),
        ("remove osaka first", "no desk first"),
        ("show osaka first", "no desk first"),
    ] {
        let said = desk(path, what).await.unwrap_err();
        assert!(said.contains(why), "{what}: {said}");
    }
    assert_eq!(shown(path, "first").await, before);
    running.stop().await;
}
