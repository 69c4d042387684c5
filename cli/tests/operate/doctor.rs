//! `kakehashi doctor` on the machine that tests run on, whatever it is.

use super::{kakehashi, start};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;

/// Every item of a part by its name, and whether the exit code says that nothing is wrong.
async fn doctor(part: &str, config: &Path) -> (BTreeMap<String, Value>, bool) {
    let mut command = kakehashi();
    command.args(["doctor", part, "--json", "--config"]).arg(config);
    let output = command.output().await.unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(&output.stderr));
    });
    let by_name = |row: Value| (row["item"].as_str().unwrap().to_owned(), row);
    (rows.into_iter().map(by_name).collect(), output.status.success())
}

fn state<'a>(items: &'a BTreeMap<String, Value>, item: &str) -> &'a str {
    items[item]["state"].as_str().unwrap()
}

/// What holds of whatever machine.
fn is_sound(items: &BTreeMap<String, Value>, is_well: bool) {
    for (name, row) in items {
        let text = |key: &str| row[key].as_str().unwrap_or_default();
        assert!(!text("should").is_empty() && !text("why").is_empty(), "{name}: {row}");
        match text("state") {
            "ok" => assert!(!text("is").is_empty() && row["fix"].is_null(), "{row}"),
            "advice" | "wrong" => {
                assert!(!text("is").is_empty() && !text("fix").is_empty(), "{row}")
            }
            "unknown" => assert!(row["is"].is_null() && !text("reason").is_empty(), "{row}"),
            other => panic!("{name}: {other}"),
        }
    }
    let wrong: Vec<_> = items.values().filter(|row| row["state"] == "wrong").collect();
    assert_eq!(wrong.is_empty(), is_well, "{wrong:?}");
}

/// The items that the documents name for operators.
fn documented() -> Vec<&'static str> {
    let text = include_str!("../../../OPERATING.md");
    let begin = text.find("| whose | items |").unwrap();
    let table = text[begin..].split("\n\n").next().unwrap();
    let items = table.split('`').skip(1).step_by(2);
    items.filter(|item| !item.contains([' ', '='])).collect()
}

#[tokio::test]
async fn every_item_is_told_and_what_is_said_holds_together() {
    let folder = tempfile::tempdir().unwrap();
    let relay = folder.path().join("relay.toml");
    std::fs::write(&relay, "certificate_file = \"nowhere.pem\"\n").unwrap();
    let (relay, is_well) = doctor("relay", &relay).await;
    is_sound(&relay, is_well);
    assert_eq!(state(&relay, "relay-certificate"), "wrong");
    assert!(!is_well);
    // Tests need a kernel that a relay runs on.
    assert_eq!((state(&relay, "kernel"), state(&relay, "io-uring")), ("ok", "ok"));
    assert_eq!(state(&relay, "clock-skew"), "unknown", "nobody said where control is");

    let settings = folder.path().join("control.toml");
    std::fs::write(&settings, format!("data = {:?}\n", folder.path().join("none"))).unwrap();
    let (control, is_well) = doctor("control", &settings).await;
    is_sound(&control, is_well);
    for item in ["store", "control-certificates"] {
        assert_eq!(state(&control, item), "ok", "{item}: the first start makes it");
    }
    let told: Vec<_> = relay.keys().chain(control.keys()).collect();
    for item in documented() {
        assert!(told.iter().any(|known| *known == item), "{item}");
    }
    for item in told {
        assert!(documented().iter().any(|known| known == item), "{item} is in no document");
    }
}

#[tokio::test]
async fn a_node_that_runs_is_seen_to_run() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let node = start(&data).await;
    let settings = folder.path().join("control.toml");
    let listen = |section: &str, address| format!("[{section}]\nlisten = \"{address}\"\n");
    let text = format!("data = {data:?}\n")
        + &listen("terminals", node.terminal_addr)
        + &listen("relays", node.relay_addr)
        + &listen("api", node.api_addr);
    std::fs::write(&settings, text).unwrap();
    let (items, is_well) = doctor("control", &settings).await;
    is_sound(&items, is_well);
    assert_eq!(state(&items, "clock-skew"), "ok", "{}", items["clock-skew"]);
    assert_eq!(state(&items, "control-certificates"), "ok", "{}", items["control-certificates"]);
    // The node runs in this test's process, which has another name than a node's.
    assert_eq!(state(&items, "store"), "wrong");
    assert!(items["store"]["is"].as_str().unwrap().starts_with("in use"), "{}", items["store"]);
    assert_eq!(state(&items, "control-ports"), "wrong", "{}", items["control-ports"]);
    node.stop().await;
    let (items, _) = doctor("control", &settings).await;
    assert_eq!((state(&items, "store"), state(&items, "control-ports")), ("ok", "ok"));
}

#[tokio::test]
async fn settings_that_cannot_be_used_are_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let settings = folder.path().join("relay.toml");
    std::fs::write(&settings, "shard = 1\n").unwrap();
    let mut command = kakehashi();
    command.args(["doctor", "relay", "--config"]).arg(&settings);
    let output = command.output().await.unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("shard"));
}
