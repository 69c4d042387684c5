//! `kakehashi tenant policy` and `kakehashi account role` against a running control.

use super::{run, start};
use kakehashi_control::policy::TenantPolicy;
use serde_json::Value;

/// What is printed of a policy after some changes.
const CHANGED: &str = r#"[limits]
accounts = 10000
terminals = 20000
calls = 50
leg_rate_max_kbps = 0
lane = "seal"
protection = "standard"

[rules]
listening = true
records_days = 365

[rules.may_call]
store = ["concierge"]
concierge = ["store", "concierge", "supervisor", "tenant-admin"]
supervisor = ["store", "concierge", "supervisor", "tenant-admin"]
tenant-admin = ["store", "concierge", "supervisor", "tenant-admin"]

[rules.may_call_desks]
store = ["sales"]
concierge = "all"
supervisor = "all"
tenant-admin = "all"

[rules.software]
kakehashi-terminal = "0.1.0"

[rules.hours]
zone = "Asia/Tokyo"
monday = ["09:00-12:00", "13:00-18:00"]
tuesday = []
wednesday = []
thursday = []
friday = []
saturday = []
sunday = []
"#;

#[tokio::test]
async fn an_operator_shows_and_changes_a_policy_that_outlives_the_node() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let node = start(path).await;
    run(path, &["tenant", "add", "ginza"]).await.unwrap();
    let policy = async |what: &[&str]| {
        let what = [&["tenant", "policy", "ginza"], what].concat();
        run(path, &what).await
    };
    let usual = policy(&[]).await.unwrap();
    assert_eq!(toml::from_str::<TenantPolicy>(&usual).unwrap(), TenantPolicy::default());
    let set = [
        "limits.calls=50",
        "limits.lane=seal",
        "rules.listening=true",
        r#"rules.may_call.store=["concierge"]"#,
        r#"rules.may_call_desks.store=["Sales"]"#,
        "rules.software.kakehashi-terminal=0.1.0",
        "rules.hours.zone=Asia/Tokyo",
        r#"rules.hours.monday=["09:00-12:00", "13:00-18:00"]"#,
    ];
    let changed = policy(&set.map(|setting| ["--set", setting]).concat()).await.unwrap();
    assert_eq!(changed, CHANGED);
    node.stop().await;
    let node = start(path).await;
    assert_eq!(policy(&[]).await.unwrap(), CHANGED);
    let json = policy(&["--json", "--set", "rules.hours="]).await.unwrap();
    let json: Value = serde_json::from_str(&json).unwrap();
    assert_eq!((&json["limits"]["calls"], &json["rules"]["hours"]), (&50.into(), &Value::Null));
    let file = path.join("policy.toml");
    std::fs::write(&file, "[limits]\nterminals = 5\n").unwrap();
    let read = policy(&["--file", file.to_str().unwrap()]).await.unwrap();
    let read: TenantPolicy = toml::from_str(&read).unwrap();
    assert_eq!((read.limits.terminals, read.limits.calls), (5, 5000), "the rest is as usual");
    for (bad, why) in [
        ("limits.protection=twice", "unknown variant `twice`"),
        ("limits.leg_rate_max_kbps=10", "at least 64"),
        ("rules.hours.zone=Mars/Olympus", "is no time zone"),
        (r#"rules.may_call.store=["boss"]"#, "is no role"),
        ("rules.software.ours=1.x", "is no version"),
        ("limits.cals=5", "unknown field `cals`"),
        ("calls=5", "is no setting"),
    ] {
        let said = policy(&["--set", bad]).await.unwrap_err();
        assert!(said.contains(why), "{bad}: {said}");
    }
    let unknown = run(path, &["tenant", "policy", "osaka"]).await.unwrap_err();
    assert!(unknown.contains("there is no tenant osaka"), "{unknown}");
    node.stop().await;
}

#[tokio::test]
async fn an_operator_gives_roles() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path();
    let node = start(path).await;
    run(path, &["tenant", "add", "ginza"]).await.unwrap();
    run(path, &["account", "add", "ginza", "anna", "--role", "concierge"]).await.unwrap();
    run(path, &["account", "add", "ginza", "ben"]).await.unwrap();
    let said = run(path, &["account", "role", "ginza", "anna", "supervisor"]).await.unwrap();
    assert_eq!(said, "anna  supervisor\n");
    let listed = run(path, &["account", "list", "ginza"]).await.unwrap();
    let roles = |line: &str| line.split_whitespace().nth(2).map(str::to_owned);
    let roles: Vec<_> = listed.lines().skip(1).filter_map(roles).collect();
    assert_eq!(roles, ["supervisor", "store"], "{listed}");
    let bad = run(path, &["account", "role", "ginza", "anna", "boss"]).await.unwrap_err();
    assert!(bad.contains("store, concierge, supervisor, tenant-admin"), "{bad}");
    let absent = run(path, &["account", "role", "ginza", "carl", "store"]).await.unwrap_err();
    assert!(absent.contains("no account carl"), "{absent}");
    node.stop().await;
}
