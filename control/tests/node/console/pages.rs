//! What is done on single pages, from the form to the store.

use super::super::common::{Platform, within};
use super::browser::{Browser, between};
use super::{add, operator, people, policy_of};
use kakehashi_control::accounts::{OPERATORS, Standing};
use kakehashi_wire::terminal::{Role, SessionEnd};

#[tokio::test]
async fn a_tenant_is_added_suspended_and_let_in_again() {
    let platform = Platform::start().await;
    let mut olga = operator(&platform).await;
    let mut a = platform.terminal("shop", "a").await;
    let page = olga.get("/tenants").await.body;
    let row = between(&page, "data-tenant=\"shop\"", "</tr>");
    assert!(row.contains("<td class=\"number\">1</td><td class=\"number\">0</td>"), "{row}");
    let answered = olga.post("/tenants/add", &[("tenant", "Cafe")]).await;
    assert_eq!(answered.location(), "/tenants?done=added", "{}", answered.body);
    assert!(olga.get("/tenants?done=added").await.body.contains("data-tenant=\"cafe\""));
    assert_eq!(olga.post("/tenants/add", &[("tenant", "cafe")]).await.status, 409);
    assert_eq!(olga.post("/tenants/add", &[("tenant", "a b")]).await.status, 400);

    let answered = olga.post("/tenants/suspend", &[("tenant", "shop")]).await;
    assert_eq!(answered.location(), "/tenants?done=suspended");
    assert_eq!(a.session_ended().await, SessionEnd::Suspended);
    let standing =
        async || platform.node.accounts.find_tenant("shop").await.unwrap().unwrap().standing;
    assert!(matches!(standing().await, Standing::Suspended { .. }));
    olga.post("/tenants/reactivate", &[("tenant", "shop")]).await;
    assert_eq!(standing().await, Standing::Active);
    platform.terminal("shop", "a").await;
    platform.node.stop().await;
}

#[tokio::test]
async fn a_policy_is_saved_after_its_meaning_was_seen_and_only_as_it_was_seen() {
    let platform = Platform::start().await;
    let [mut olga, _, mut boss, _] = people(&platform).await;
    let usual = policy_of(&platform).await;
    let wish = [
        ("tenant", "shop"),
        ("accounts", "20"),
        ("terminals", "5"),
        ("calls", "3"),
        ("rate", "0"),
        ("lane", "seal"),
        ("protection", "standard"),
        ("listening", "on"),
        ("records-days", "2"),
        ("may-call-store", "concierge"),
        ("desks-store", "all"),
        ("hours", "zone = \"Asia/Tokyo\"\r\nmonday = [\"09:00-18:00\"]\r\n"),
    ];
    let preview = olga.post("/policy/preview", &wish).await;
    assert_eq!(preview.status, 200, "{}", preview.body);
    assert!(preview.body.contains("removed at once and for good"), "{}", preview.body);
    assert!(preview.body.contains("no member has another"), "{}", preview.body);
    assert_eq!(policy_of(&platform).await, usual, "nothing is saved yet");
    let seen = between(&preview.body, "name=\"seen\" value=\"", "\"").to_owned();
    let again = [&wish[..], &[("seen", &*seen)][..]].concat();
    assert_eq!(
        olga.post("/policy/save", &again).await.location(),
        "/policy?tenant=shop&done=saved"
    );
    let saved = policy_of(&platform).await;
    assert_eq!((saved.limits.calls, saved.rules.records_days), (3, 2));
    assert!(saved.rules.listening && saved.rules.hours.is_some());

    let stale = olga.post("/policy/save", &again).await;
    assert!(stale.body.contains("meanwhile"), "it was seen against another policy");
    // An administrator's form may say limits, which do not count.
    let own = [("accounts", "999"), ("terminals", "9"), ("calls", "9"), ("rate", "0")];
    let own = [&own[..], &[("records-days", "9")][..]].concat();
    let preview = boss.post("/policy/preview", &own).await.body;
    let seen = between(&preview, "name=\"seen\" value=\"", "\"").to_owned();
    assert!(!preview.contains(">999<"), "{preview}");
    let answered = boss.post("/policy/save", &[&own[..], &[("seen", &*seen)][..]].concat()).await;
    assert_eq!(answered.status, 303, "{}", answered.body);
    let changed = policy_of(&platform).await;
    assert_eq!((changed.limits, changed.rules.records_days), (saved.limits, 9));
    assert_eq!(boss.post("/policy/preview", &[("records-days", "x")]).await.status, 400);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_desk_is_added_changed_and_removed() {
    let platform = Platform::start().await;
    add(&platform, "shop", "boss", Role::TenantAdmin).await;
    let mut boss = Browser::signed_in(&platform, "shop", "boss").await;
    let desk = [("desk", "sales"), ("agents", "a\r\nb"), ("order", "ring-all"), ("queue", "4")];
    let answered = boss.post("/desks/add", &desk).await;
    assert_eq!(answered.location(), "/desks?tenant=shop&done=added", "{}", answered.body);
    assert!(boss.get("/desks").await.body.contains("/desks/one?desk=sales"));
    let desks = async || {
        let shop = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
        platform.node.accounts.desks(shop.id).await.unwrap().desks
    };
    assert_eq!((desks().await[0].queue_max, desks().await[0].agents.len()), (4, 2));
    let change = [("desk", "sales"), ("agents", "b"), ("queue", "9"), ("overflow", "")];
    let answered = boss.post("/desks/change", &change).await;
    assert_eq!(answered.location(), "/desks/one?desk=sales&tenant=shop&done=changed");
    assert_eq!((desks().await[0].queue_max, desks().await[0].agents.len()), (9, 1));
    for bad in [("agents", "nobody"), ("queue", "many"), ("queue", "0"), ("overflow", "sales")] {
        let answered = boss.post("/desks/change", &[("desk", "sales"), bad]).await;
        assert_eq!(answered.status, 400, "{bad:?}");
    }
    assert_eq!(boss.post("/desks/remove", &[("desk", "sales")]).await.status, 303);
    assert!(desks().await.is_empty());
    assert_eq!(boss.get("/desks/one?desk=sales").await.status, 404);
    platform.node.stop().await;
}

#[tokio::test]
async fn calls_are_found_shown_and_given_out() {
    let platform = Platform::start().await;
    let _relay = super::Relay::start(&platform, 1).await;
    let mut olga = operator(&platform).await;
    let (mut a, mut b) =
        (platform.terminal("shop", "a").await, platform.terminal("shop", "b").await);
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    let live = olga.get("/records?tenant=shop&outcome=live").await.body;
    assert!(live.contains(&format!("data-call=\"{call}\"")), "{live}");
    let request = [("call", &*call.to_string())];
    let ended = olga.post("/now/end-call", &request).await;
    assert_eq!(ended.status, 303, "{}", ended.body);
    let found = async {
        let path = "/records?tenant=shop&login=b&reason=ended_by_operator";
        while !olga.get(path).await.body.contains(&format!("data-call=\"{call}\"")) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    within(found).await;
    let none = olga.get("/records?tenant=shop&login=c").await.body;
    assert!(!none.contains("data-call="), "{none}");
    let one = olga.get(&format!("/records/one?tenant=shop&call={call}")).await;
    assert!(one.status == 200 && one.body.contains("was called"), "{}", one.body);
    let other = olga.get(&format!("/records/one?tenant=bank&call={call}")).await;
    assert_eq!(other.status, 404);
    let csv = olga.get("/records/export?tenant=shop").await;
    assert!(csv.head.contains("text/csv") && csv.head.contains("attachment"), "{}", csv.head);
    let line = csv.body.lines().find(|line| line.starts_with(&call.to_string())).unwrap();
    assert!(line.contains(",a,b,") && line.ends_with("ended_by_operator"), "{line}");
    platform.node.stop().await;
}

#[tokio::test]
async fn the_audit_log_is_searched_given_out_and_verified() {
    let platform = Platform::start().await;
    let mut olga = operator(&platform).await;
    olga.post("/tenants/add", &[("tenant", "cafe")]).await;
    let page = olga.get("/audit?act=tenant_add&tenant=cafe&actor=olga").await.body;
    assert_eq!(page.matches("data-record=").count(), 2, "begun and done: {page}");
    let first = between(&page, "data-record=\"", "\"").to_owned();
    let before = olga.get(&format!("/audit?act=tenant_add&before={first}")).await.body;
    assert_eq!(before.matches("data-record=").count(), 1, "{before}");
    let csv = olga.get("/audit/export?act=tenant_add").await.body;
    assert_eq!(csv.lines().filter(|line| line.contains(",tenant_add,cafe,")).count(), 2, "{csv}");
    let verified = olga.post("/audit/verify", &[]).await.body;
    let chain = between(&verified, "id=\"chain\"", "</section>");
    assert!(chain.contains(">Intact<") && !chain.contains("BROKEN"), "{chain}");
    let hash = "1".repeat(64);
    let wrong = olga.post("/audit/verify", &[("seq", "1"), ("hash", &hash)]).await.body;
    let chain = between(&wrong, "id=\"chain\"", "</section>");
    assert!(chain.contains("BROKEN") && chain.contains("record is number 2"), "{chain}");
    platform.node.stop().await;
}

#[tokio::test]
async fn an_operator_is_added_by_another_and_signs_in() {
    let platform = Platform::start().await;
    let mut olga = operator(&platform).await;
    let new = [("tenant", OPERATORS), ("login", "oscar"), ("role", "supervisor")];
    let added = olga.post("/accounts/add", &new).await.body;
    assert!(added.contains("id=\"password\"") && added.contains("Observer"), "{added}");
    let list = olga.get("/operators").await.body;
    assert!(list.contains("login=oscar&amp;tenant=_operators"), "{list}");
    let one = olga.get("/accounts/one?login=oscar&tenant=_operators").await.body;
    assert!(one.contains("href=\"/operators\" aria-current=\"page\""), "{one}");
    assert!(!one.contains("value=\"concierge\""), "no roles of terminals");
    let who = [("tenant", OPERATORS), ("login", "oscar")];
    assert_eq!(olga.post("/accounts/suspend", &who).await.status, 303);
    assert!(olga.get("/operators").await.body.contains("suspended"));
    platform.node.stop().await;
}

#[tokio::test]
async fn the_status_of_a_probe_is_shown_and_a_bad_file_is_said_to_be_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("probe.json");
    let named = path.clone();
    let change = |config: &mut super::super::Config| config.console.probe_status = named;
    let platform = Platform::start_with(folder, change).await;
    let mut olga = operator(&platform).await;
    let absent = olga.get("/status").await;
    assert!(absent.status == 200 && absent.body.contains("cannot be read"), "{}", absent.body);
    let text = r#"{"format":1,"interval_s":60,"rounds":[{"began_unix_s":1764536400,
        "took_ms":8200,"ok":false,"sign_ins":[],"setup_ms":12.1,"relays":[{"relay":3,
        "site":"tokyo<b>","address":null,"ok":false,"seen_unix_s":null,"round_trip_ms":null,
        "to_callee":{"sent":150,"received":0,"loss_ratio":1.0,"delay_ms":null},
        "to_caller":null}],"faults":[{"fault":"one_way_audio","what":"<i>","next":"look"}]}]}"#;
    std::fs::write(&path, text).unwrap();
    let page = olga.get("/status").await.body;
    assert!(page.contains("one_way_audio") && page.contains("100.0%"), "{page}");
    assert!(page.contains("what follows is old") && !page.contains("<i>"), "{page}");
    platform.node.stop().await;
}
