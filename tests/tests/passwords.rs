//! One-time passwords and their change, by the operator's and the terminal's command lines.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::{Account, Platform};
use std::process::Output;

const TENANT: &str = "ginza";
const NEW: &str = "tangerine umbrella";
const NEWER: &str = "lantern seventeen teapot";

/// The account that an operator's command has printed with its password.
fn printed(line: &str) -> Account {
    let password = line.split_whitespace().last().unwrap().to_owned();
    Account { tenant: TENANT.into(), login: "store-1".into(), password }
}

fn with(password: &str) -> Account {
    Account { tenant: TENANT.into(), login: "store-1".into(), password: password.into() }
}

fn presence(platform: &Platform, account: &Account) -> Output {
    platform.terminal(account).args(["--json", "presence"]).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_one_time_password_is_changed_by_the_terminal_and_given_anew_by_the_operator() {
    let platform = Platform::start(1);
    platform.add_tenant(TENANT);
    let line = platform.run_well(&["account", "add", TENANT, "store-1"]);
    assert!(line.contains("one-time password"), "{line}");
    let once = printed(&line);

    let refused = presence(&platform, &once);
    assert!(!refused.status.success());
    assert!(text(&refused.stderr).contains("KAKEHASHI_NEW_PASSWORD"), "{}", text(&refused.stderr));

    let mut first = platform.terminal(&once);
    let first = first.env("KAKEHASHI_NEW_PASSWORD", NEW).args(["--json", "presence"]);
    let first = first.output().unwrap();
    assert!(first.status.success(), "{}", text(&first.stderr));
    let said = text(&first.stdout);
    let (changed, shown) = (said.find("password_changed"), said.find("\"presence\""));
    assert!(changed.is_some() && changed < shown, "{said}");
    assert!(!presence(&platform, &once).status.success(), "the old one is over");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("new-password");
    std::fs::write(&file, NEWER).unwrap();
    let mut change = platform.terminal(&with(NEW));
    let change = change.args(["password", "--new-password-file"]).arg(&file).output().unwrap();
    assert!(change.status.success(), "{}", text(&change.stderr));
    assert!(presence(&platform, &with(NEWER)).status.success());

    let line = platform.run_well(&["account", "password", TENANT, "store-1", "--permanent"]);
    assert!(!line.contains("one-time"), "{line}");
    assert!(presence(&platform, &printed(&line)).status.success());
    assert!(!presence(&platform, &with(NEWER)).status.success());
}
