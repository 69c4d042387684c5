//! `kakehashi audit` against a running control, and against what one has left.

use super::{kakehashi, run, start, start_with};
use kakehashi_control::admin::Request;
use kakehashi_control::api::client::request;
use kakehashi_control::audit::chain::{head_key, record_key};
use kakehashi_control::config::Config;
use kakehashi_control::store::{Embedded, Store, Transaction};
use serde_json::Value;
use std::path::Path;
use std::process::Output;

async fn audit(folder: &Path, what: &[&str]) -> Output {
    kakehashi().arg("audit").args(what).arg("--data").arg(folder).output().await.unwrap()
}

async fn json(folder: &Path, what: &[&str]) -> Vec<Value> {
    let output = audit(folder, what).await;
    let said = String::from_utf8(output.stdout).unwrap();
    said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[tokio::test]
async fn an_operator_lists_what_was_done_and_sees_whether_it_was_touched() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let running = start(path).await;
    for name in ["ginza", "osaka"] {
        let add = Request::TenantAdd { name: name.into(), accounts: None };
        request(path, add).await.ok().unwrap();
    }
    let rows = json(path, &["list", "--json", "--count", "3"]).await;
    let said: Vec<_> = rows.iter().map(|row| (&row["seq"], &row["outcome"])).collect();
    assert_eq!(
        serde_json::json!(said),
        serde_json::json!([[4, "done"], [3, "begun"], [2, "done"]])
    );
    let listed = String::from_utf8(audit(path, &["list"]).await.stdout).unwrap();
    assert!(listed.contains("tenant_add") && listed.contains("osaka"), "{listed}");
    let verdict = json(path, &["verify", "--json"]).await.remove(0);
    assert_eq!((&verdict["intact"], &verdict["broken_at"]), (&Value::from(true), &Value::Null));
    assert_eq!(verdict["archived"], Value::Null, "there is no other disk");
    for (what, expected) in [
        ("tenant list", "\"name\":\"ginza\""),
        ("account add ginza anna", "\"one_time\":true"),
        ("account list ginza", "\"login\":\"anna\""),
        ("account role ginza anna concierge", "\"role\":\"concierge\""),
        ("account suspend ginza anna", "\"standing\":\"suspended\""),
        ("tenant suspend osaka", "\"standing\":\"suspended\""),
        ("tenant policy ginza", "\"limits\""),
    ] {
        let words: Vec<_> = what.split(' ').chain(["--json"]).collect();
        let said = run(path, &words).await.unwrap();
        assert!(said.contains(expected), "{what}: {said}");
        assert!(said.trim_start().starts_with('{'), "{said}");
    }
    let busy = audit(path, &["verify", "--offline"]).await;
    let said = String::from_utf8(busy.stderr).unwrap();
    assert!(!busy.status.success() && said.contains("another kakehashi-control"), "{said}");
    running.stop().await;

    let whole = audit(path, &["verify", "--offline"]).await;
    assert!(whole.status.success(), "{}", String::from_utf8_lossy(&whole.stderr));
    let rows = json(path, &["list", "--offline", "--json"]).await;
    assert_eq!(rows.last().unwrap()["tenant"], "ginza");
    let store = Embedded::open(&path.join("store.redb")).unwrap();
    let third = store.get(&record_key(3)).await.unwrap().unwrap();
    let text = String::from_utf8(third.value).unwrap().replace("osaka", "kyoto");
    store.transact(Transaction::new().put(third.key, text.into_bytes())).await.unwrap();
    drop(store);
    let broken = audit(path, &["verify", "--offline"]).await;
    assert!(!broken.status.success());
    let said = String::from_utf8(broken.stdout).unwrap();
    assert_eq!(said, "BROKEN at record 3: its content was changed\n");

    // Online it is found as well, by a node that only looked at the end when it started.
    let running = start(path).await;
    let verdict = json(path, &["verify", "--json"]).await.remove(0);
    assert_eq!((&verdict["intact"], &verdict["broken_at"]), (&false.into(), &3.into()));
    assert_eq!(verdict["how"], "altered");
    running.stop().await;
    let store = Embedded::open(&path.join("store.redb")).unwrap();
    store.transact(Transaction::new().delete(head_key())).await.unwrap();
    drop(store);
    assert!(!audit(path, &["verify", "--offline"]).await.status.success());
    assert!(!audit(&path.join("pki"), &["verify", "--offline"]).await.status.success());
}

#[tokio::test]
async fn what_a_node_with_a_lost_disk_did_is_in_the_archive() {
    let folder = tempfile::tempdir().unwrap();
    let (data, archive) = (folder.path().join("data"), folder.path().join("archive"));
    let settings = folder.path().join("control.toml");
    let text = format!("data = {data:?}\nnode.name = \"osaka\"\narchive.folder = {archive:?}\n");
    std::fs::write(&settings, text).unwrap();
    let running = start_with(Config::read(&settings).unwrap()).await;
    let add = Request::TenantAdd { name: "ginza".into(), accounts: None };
    request(&data, add).await.ok().unwrap();
    let verdict = json(&data, &["verify", "--json"]).await.remove(0);
    assert!(verdict["archived"].is_u64(), "{verdict}");
    running.stop().await;
    let kept = folder.path().join("checkpoints");
    std::fs::rename(data.join("audit-checkpoints"), &kept).unwrap();
    let public = std::fs::read_to_string(data.join("audit.pub")).unwrap();
    std::fs::remove_dir_all(&data).unwrap();

    let (settings, kept) = (settings.to_str().unwrap(), kept.to_str().unwrap());
    let verify = ["verify", "--archive", settings, "--checkpoints", kept];
    let said = audit(&data, &verify).await;
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(said.status.success() && text.contains("osaka"), "{text}");
    assert!(text.contains(public.trim_end()), "{text}");
    let found = json(&data, &[&verify[..], &["--json"]].concat()).await.remove(0);
    let run = &found["runs"][0];
    assert_eq!((&found["intact"], &run["first"]), (&true.into(), &1.into()));
    assert_eq!(run["head"]["seq"], 3, "its beginning, its end, and a verification: {found}");

    let objects = std::fs::read_dir(archive.join("audit/osaka")).unwrap();
    for object in objects.map(|object| object.unwrap().path()) {
        let good = std::fs::read_to_string(&object).unwrap();
        std::fs::write(&object, good.replace("ginza", "osaka")).unwrap();
    }
    let said = audit(&data, &verify).await;
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(!said.status.success() && text.contains("BROKEN at record"), "{text}");
    assert!(text.contains("its content was changed"), "{text}");
    std::fs::remove_dir_all(archive.join("audit")).unwrap();
    let said = audit(&data, &verify[..3]).await;
    let text = String::from_utf8(said.stdout).unwrap();
    assert!(!said.status.success() && text.contains("nothing of an audit log"), "{text}");
}
