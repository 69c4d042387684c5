//! The console over real TLS: who sees which page, who may do what there, and what comes back of
//! hostile words.

mod browser;
mod pages;

use super::common::relay::Relay;
use super::common::{PASSWORD, Platform};
use super::desks::add_desk;
use browser::{Browser, between};
use kakehashi_control::accounts::{NewAccount, OPERATORS};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::policy::TenantPolicy;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{Role, SetAway};

/// Adds an account whose password is for good.
async fn add(platform: &Platform, tenant: &str, login: &str, role: Role) {
    let accounts = &platform.node.accounts;
    let tenant = accounts.find_tenant(tenant).await.unwrap().unwrap().id;
    let new = NewAccount {
        login: login.to_owned(),
        display: None,
        password: Some(Password::new(PASSWORD.into())),
        one_time: false,
        role,
    };
    accounts.add_account(tenant, new, UnixMs::now()).await.unwrap();
}

/// Somebody of each rank that has pages: an operator, an observer, an administrator, a supervisor.
async fn people(platform: &Platform) -> [Browser<'_>; 4] {
    add(platform, OPERATORS, "olga", Role::TenantAdmin).await;
    add(platform, OPERATORS, "otto", Role::Supervisor).await;
    add(platform, "shop", "boss", Role::TenantAdmin).await;
    add(platform, "shop", "super", Role::Supervisor).await;
    [
        Browser::signed_in(platform, "", "olga").await,
        Browser::signed_in(platform, "", "otto").await,
        Browser::signed_in(platform, "shop", "boss").await,
        Browser::signed_in(platform, "shop", "super").await,
    ]
}

async fn operator(platform: &Platform) -> Browser<'_> {
    add(platform, OPERATORS, "olga", Role::TenantAdmin).await;
    Browser::signed_in(platform, "", "olga").await
}

async fn policy_of(platform: &Platform) -> TenantPolicy {
    platform.node.accounts.find_tenant("shop").await.unwrap().unwrap().policy()
}

/// Each page, and what an operator, an observer, an administrator and a supervisor get there.
const PAGES: [(&str, [u16; 4]); 17] = [
    ("/now", [200; 4]),
    ("/records?tenant=shop", [200; 4]),
    ("/records/export?tenant=shop", [200; 4]),
    ("/accounts?tenant=shop", [200; 4]),
    ("/accounts/one?tenant=shop&login=a", [200; 4]),
    ("/desks?tenant=shop", [200; 4]),
    ("/policy?tenant=shop", [200; 4]),
    ("/reports", [200; 4]),
    ("/me", [200; 4]),
    ("/tenants", [200, 200, 403, 403]),
    ("/fleet", [200, 200, 403, 403]),
    ("/status", [200, 200, 403, 403]),
    ("/audit", [200, 200, 403, 403]),
    ("/audit/export", [200, 200, 403, 403]),
    ("/updates", [200, 200, 403, 403]),
    ("/operators", [200, 200, 404, 404]),
    ("/nowhere", [404; 4]),
];

#[tokio::test]
async fn each_page_is_for_whoever_may_and_hidden_from_others() {
    let platform = Platform::start().await;
    let mut nobody = Browser::new(&platform);
    let mut people = people(&platform).await;
    for (path, statuses) in PAGES {
        let unknown = nobody.get(path).await;
        let is_sent_away = unknown.location().starts_with("/sign-in?to=");
        assert!(is_sent_away || path == "/nowhere", "{path}: {}", unknown.head);
        for (browser, status) in people.iter_mut().zip(statuses) {
            let answered = browser.get(path).await;
            assert_eq!(answered.status, status, "{path}: {}", answered.body);
            assert!(answered.head.contains("content-security-policy: default-src 'none'"));
            assert!(!answered.body.contains("Display z"), "{path}: it is of another tenant");
        }
    }
    let ways = ["/tenants", "/fleet", "/status", "/audit", "/operators", "/updates"];
    for (at, browser) in people.iter_mut().enumerate() {
        let page = browser.get("/now").await.body;
        for way in ways {
            assert_eq!(page.contains(&format!("<a href=\"{way}\"")), at < 2, "{at}: {way}");
        }
        for way in ["/records", "/accounts", "/desks", "/policy", "/reports"] {
            assert!(page.contains(&format!("<a href=\"{way}\"")), "{at}: {way}");
        }
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn a_tenants_people_see_their_own_tenant_whatever_they_ask_for() {
    let platform = Platform::start().await;
    let [_, _, mut boss, _] = people(&platform).await;
    for path in ["/accounts", "/desks", "/policy", "/records", "/records/export"] {
        let own = boss.get(&format!("{path}?tenant=bank")).await;
        assert_eq!(own.status, 200, "{path}");
        assert!(!own.body.contains("bank") && !own.body.contains("Display z"), "{}", own.body);
    }
    let other = [("tenant", "_operators"), ("login", "eve"), ("role", "tenant-admin")];
    boss.post("/accounts/add", &other).await;
    let house = platform.node.accounts.find_tenant(OPERATORS).await.unwrap().unwrap().id;
    assert_eq!(platform.node.accounts.list(house).await.unwrap().len(), 2);
    platform.node.stop().await;
}

/// Each form with what would make it count.
const FORMS: [(&str, &[(&str, &str)]); 16] = [
    ("/tenants/add", &[("tenant", "new")]),
    ("/tenants/suspend", &[("tenant", "shop")]),
    ("/tenants/reactivate", &[("tenant", "shop")]),
    ("/policy/preview", &[("tenant", "shop"), ("records-days", "1")]),
    ("/policy/save", &[("tenant", "shop"), ("records-days", "1")]),
    ("/desks/add", &[("tenant", "shop"), ("desk", "sales")]),
    ("/desks/change", &[("tenant", "shop"), ("desk", "sales")]),
    ("/desks/remove", &[("tenant", "shop"), ("desk", "sales")]),
    ("/fleet/drain", &[("relay", "1"), ("on", "yes")]),
    ("/audit/verify", &[]),
    ("/accounts/add", &[("tenant", "shop"), ("login", "new")]),
    ("/accounts/suspend", &[("tenant", "shop"), ("login", "a")]),
    ("/accounts/password", &[("tenant", "shop"), ("login", "a")]),
    ("/accounts/role", &[("tenant", "shop"), ("login", "a"), ("role", "supervisor")]),
    ("/now/end-call", &[("call", "1")]),
    ("/sign-out", &[]),
];

#[tokio::test]
async fn a_form_from_elsewhere_or_without_its_token_does_nothing() {
    let platform = Platform::start().await;
    let mut olga = operator(&platform).await;
    let (own, csrf) = (olga.origin(), olga.csrf.clone());
    for (path, fields) in FORMS {
        let with = |csrf: &'static str| [&[("csrf", csrf)][..], fields].concat();
        for fields in [fields.to_vec(), with(""), with("0"), with(&"0".repeat(64).leak()[..])] {
            assert_eq!(olga.post_from(&own, path, &fields).await.status, 403, "{path}");
        }
        let good = [&[("csrf", csrf.as_str())][..], fields].concat();
        for origin in ["", "null", "https://evil.example", "http://localhost"] {
            assert_eq!(olga.post_from(origin, path, &good).await.status, 403, "{path} {origin}");
        }
    }
    assert_eq!(platform.node.accounts.tenants().await.unwrap().len(), 2);
    assert_eq!(policy_of(&platform).await, TenantPolicy::default());
    assert_eq!(olga.get("/now").await.status, 200, "still signed in");
    platform.node.stop().await;
}

#[tokio::test]
async fn whoever_only_looks_on_changes_nothing() {
    let platform = Platform::start().await;
    let [_, mut otto, mut boss, mut supervisor] = people(&platform).await;
    let before = policy_of(&platform).await;
    for (path, fields) in FORMS {
        if ["/audit/verify", "/sign-out"].contains(&path) {
            continue;
        }
        for browser in [&mut otto, &mut supervisor] {
            let answered = browser.post(path, fields).await;
            assert!((400..500).contains(&answered.status), "{path}: {}", answered.status);
        }
    }
    for path in ["/tenants/add", "/tenants/suspend", "/fleet/drain", "/audit/verify"] {
        let answered = boss.post(path, &[("tenant", "shop"), ("relay", "1")]).await;
        assert!((400..500).contains(&answered.status), "{path}: {}", answered.status);
    }
    assert_eq!(policy_of(&platform).await, before);
    let shop = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    let accounts = platform.node.accounts.list(shop.id).await.unwrap();
    assert_eq!(accounts.len(), 5);
    assert!(accounts.iter().take(3).any(|it| it.login == "a" && it.role == Role::Store));
    platform.node.stop().await;
}

const HOSTILE: &str = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>";

fn is_harmless(page: &str) -> bool {
    !page.contains("<script>") && !page.contains("<img src=x") && !page.contains("\"'>")
}

#[tokio::test]
async fn hostile_words_come_back_as_words() {
    let platform = Platform::start().await;
    let mut olga = operator(&platform).await;
    let encoded: String = form_urlencoded::byte_serialize(HOSTILE.as_bytes()).collect();
    for path in [
        "/accounts?tenant=shop&q=",
        "/accounts?tenant=",
        "/accounts/one?tenant=shop&login=",
        "/records?tenant=shop&login=",
        "/records?tenant=shop&desk=",
        "/records?tenant=shop&from=",
        "/records?tenant=",
        "/records/one?tenant=shop&call=",
        "/desks?tenant=",
        "/desks/one?tenant=shop&desk=",
        "/policy?tenant=",
        "/audit?act=",
        "/audit?actor=",
        "/audit?before=",
        "/tenants?done=",
        "/now?tenant=",
        "/sign-in?to=",
    ] {
        let answered = olga.get(&format!("{path}{encoded}")).await;
        assert!(is_harmless(&answered.body), "{path}: {}", answered.body);
        assert!(answered.body.contains("</html>"), "{path}");
    }
    for (path, field) in [
        ("/tenants/add", "tenant"),
        ("/desks/add", "desk"),
        ("/policy/preview", "software"),
        ("/policy/preview", "hours"),
        ("/accounts/import", "csv"),
    ] {
        let fields = [("records-days", "1"), (field, HOSTILE)];
        let own = if field == "tenant" { &fields[1..] } else { &fields[..] };
        let shop = [&[("tenant", "shop")][..], own].concat();
        let answered = olga.post(path, if field == "tenant" { own } else { &shop }).await;
        assert!(is_harmless(&answered.body), "{path}: {}", answered.body);
    }
    // A name may have any visible characters.
    let named = [("tenant", "shop"), ("login", "mallory"), ("display", HOSTILE)];
    olga.post("/accounts/add", &named).await;
    let page = olga.get("/accounts?tenant=shop").await.body;
    assert!(page.contains("mallory") && page.contains("&#60;script"), "{page}");
    assert!(is_harmless(&page));
    platform.node.stop().await;
}

#[tokio::test]
async fn terminals_people_have_no_pages() {
    let platform = Platform::start().await;
    add(&platform, "shop", "anna", Role::Concierge).await;
    for login in ["a", "anna"] {
        let mut browser = Browser::new(&platform);
        let fields = [("tenant", "shop"), ("login", login), ("password", PASSWORD)];
        assert_eq!(browser.post("/sign-in", &fields).await.status, 403, "{login}");
        assert!(browser.get("/now").await.location().starts_with("/sign-in"));
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn sign_ins_elsewhere_are_listed_and_ended_for_a_code() {
    let platform = Platform::start().await;
    let mut here = operator(&platform).await;
    let mut second = here.signed_in_again("", "olga").await;
    let mut third = here.signed_in_again("", "olga").await;
    let me = here.get("/me").await.body;
    assert_eq!(me.matches("this browser").count(), 1, "{me}");
    let named: Vec<_> = me.split("<option value=\"").skip(1).collect();
    assert_eq!(named.len(), 3, "all others, and each of them");
    let which = named[1].split('"').next().unwrap().to_owned();

    let wrong = [("which", "all"), ("code", "000000")];
    assert_eq!(here.post("/me/sign-out-others", &wrong).await.status, 403);
    assert_eq!(second.get("/me").await.status, 200, "a wrong code ends nothing");
    let code = here.recovery.pop().unwrap();
    let one = [("which", &*which), ("code", &*code)];
    assert_eq!(here.post("/me/sign-out-others", &one).await.status, 200);
    let gone = [second.get("/me").await.status, third.get("/me").await.status];
    assert_eq!(gone, [303, 200], "the one that was named, which signed in first");
    assert_eq!(here.post("/me/sign-out-others", &one).await.status, 403, "a code counts once");
    let code = here.recovery.pop().unwrap();
    let all = [("which", "all"), ("code", &*code)];
    assert_eq!(here.post("/me/sign-out-others", &all).await.status, 200);
    assert_eq!(third.get("/me").await.status, 303);
    assert_eq!(here.get("/me").await.status, 200, "not this one");
    platform.node.stop().await;
}

#[tokio::test]
async fn the_page_of_now_says_what_agents_of_desks_do() {
    let platform = Platform::start().await;
    add_desk(&platform, &["b"]).await;
    let mut olga = operator(&platform).await;
    let mut row = async || {
        let page = olga.get("/now").await.body;
        between(&page, "<section id=\"desks\"", "</section>").to_owned()
    };
    assert!(!row().await.contains(">reception<"), "nobody is there");
    let mut agent = platform.terminal("shop", "b").await;
    assert!(row().await.contains("<li>b <span class=\"tag good\">available</span></li>"));
    let _caller = platform.terminal("shop", "a").await;
    let request = agent.request();
    agent.say(SetAway { request, away: true }).await;
    agent.done(request).await;
    let shown = row().await;
    assert!(shown.contains("<li>b <span class=\"tag queued\">away</span></li>"), "{shown}");
    assert!(!shown.contains("<li>a "), "a is no agent: {shown}");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_relay_is_drained_and_put_back_and_the_page_says_so() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 7).await;
    let mut olga = operator(&platform).await;
    let page = olga.get("/fleet").await.body;
    assert!(page.contains("data-relay=\"7\"") && page.contains("data-stream=\"/live/fleet\""));
    for to in ["browsers", "operators", "terminals", "relays"] {
        let until = between(&page, &format!("data-certificate=\"{to}\">"), "</dd>");
        assert!(until.starts_with("20") && !until.contains("ends soon"), "{to}: {until}");
    }
    let node = between(&page, "data-node=\"", "</tr>");
    assert!(node.contains("this node") && node.contains(">leads<"), "{node}");
    let answered = olga.post("/fleet/drain", &[("relay", "7"), ("on", "yes")]).await;
    assert_eq!(answered.location(), "/fleet?done=drained", "{}", answered.body);
    let row = |page: &str| between(page, "data-relay=\"7\"", "</tr>").to_owned();
    let shown = row(&olga.get("/fleet").await.body);
    assert!(shown.contains(">drained<") && !shown.contains("unknown"), "{shown}");
    let answered = olga.post("/fleet/drain", &[("relay", "7"), ("on", "no")]).await;
    assert_eq!(answered.location(), "/fleet?done=undrained");
    assert!(row(&olga.get("/fleet").await.body).contains(">connected<"));
    assert_eq!(olga.post("/fleet/drain", &[("relay", "8"), ("on", "yes")]).await.status, 400);
    platform.node.stop().await;
}
