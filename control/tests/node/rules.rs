//! What a tenant's rules refuse, over real QUIC: the exact answer, and not a word more to anybody.

use super::common::relay::Relay;
use super::common::terminal::AUDIO;
use super::common::{Platform, device_of};
use super::desks::add_desk;
use super::policy::set;
use super::{PASSWORD, Terminal, is_silent};
use kakehashi_control::policy::TenantPolicy;
use kakehashi_wire::id::RequestId;
use kakehashi_wire::terminal::{
    AddDesk, FromTerminal, Invite, InviteDesk, Refusal, Refused, ToTerminal,
};

/// The whole answer to a request that is refused, apart from the request's number.
async fn refused(
    terminal: &mut Terminal,
    build: impl FnOnce(RequestId) -> FromTerminal,
) -> (Refusal, u32) {
    let request = terminal.request();
    terminal.say(build(request)).await;
    match terminal.hear().await {
        Some(ToTerminal::Refused(Refused { request: of, reason, retry_after_ms })) => {
            assert_eq!(of, request);
            (reason, retry_after_ms)
        }
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

fn invite(login: &str) -> impl FnOnce(RequestId) -> FromTerminal {
    let (login, streams) = (login.to_owned(), vec![AUDIO]);
    |request| Invite { request, login, streams }.into()
}

fn invite_desk(desk: &str) -> impl FnOnce(RequestId) -> FromTerminal {
    let (desk, streams) = (desk.to_owned(), vec![AUDIO]);
    |request| InviteDesk { request, desk, streams }.into()
}

#[tokio::test]
async fn outside_opening_hours_nothing_begins_and_what_goes_on_may() {
    let platform = Platform::start().await;
    let relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("shop", "c").await;
    let mut foreign = platform.terminal("bank", "a").await;
    add_desk(&platform, &["c"]).await;
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    let closed = |policy: &mut TenantPolicy| {
        policy.rules.hours = Some(serde_json::from_str(r#"{"zone":"Asia/Tokyo"}"#).unwrap());
    };
    set(&platform, closed).await.unwrap();
    // Whom or what it would reach does not matter: nothing is said of it.
    let hours = (Refusal::OutsideHours, 0);
    for login in ["a", "b", "nobody", "z"] {
        assert_eq!(refused(&mut c, invite(login)).await, hours, "{login}");
    }
    for desk in ["reception", "nowhere"] {
        assert_eq!(refused(&mut c, invite_desk(desk)).await, hours, "{desk}");
    }
    // What rang before may be taken, and somebody brought in.
    b.accept(call).await;
    relay.until_it_holds(2).await;
    a.ready().await;
    b.ready().await;
    let (request, then_leave) = (a.request(), false);
    a.say(AddDesk { request, call, desk: "reception".into(), then_leave }).await;
    a.done(request).await;
    assert_eq!(c.incoming().await, call);
    // Another tenant has hours of its own.
    assert_eq!(refused(&mut foreign, invite("nobody")).await, (Refusal::NoSuchLogin, 0));
    assert!(is_silent(&mut b).await && is_silent(&mut foreign).await);
}

#[tokio::test]
async fn a_desk_that_a_role_may_not_call_is_refused_whether_it_exists_or_not() {
    let platform = Platform::start().await;
    let relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("shop", "c").await;
    add_desk(&platform, &["c"]).await;
    let others = |policy: &mut TenantPolicy| {
        policy.rules.may_call_desks.store = serde_json::from_str(r#"["repairs"]"#).unwrap();
    };
    set(&platform, others).await.unwrap();
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    b.accept(call).await;
    relay.until_it_holds(2).await;
    a.ready().await;
    b.ready().await;
    let not_allowed = (Refusal::NotAllowed, 0);
    for desk in ["reception", "RECEPTION", "nowhere", "no such\nname"] {
        assert_eq!(refused(&mut a, invite_desk(desk)).await, not_allowed, "{desk}");
        let (desk, then_leave) = (desk.to_owned(), true);
        let add = |request| AddDesk { request, call, desk, then_leave }.into();
        assert_eq!(refused(&mut a, add).await, not_allowed);
    }
    // The one that it may call does not exist.
    assert_eq!(refused(&mut a, invite_desk("repairs")).await, (Refusal::NoSuchLogin, 0));
    assert!(is_silent(&mut b).await && is_silent(&mut c).await, "nobody rings");
}

#[tokio::test]
async fn software_that_is_too_old_is_told_so_only_with_the_right_password() {
    let platform = Platform::start().await;
    let mut watcher = platform.terminal("shop", "b").await;
    let outdated = |policy: &mut TenantPolicy| {
        policy.rules.software =
            [("test".to_owned(), "2.0.0".to_owned().try_into().unwrap())].into();
    };
    set(&platform, outdated).await.unwrap();
    let device = device_of("a");
    let mut a = Terminal::open(platform.connect().await).await;
    for (tenant, login, password, reason) in [
        ("shop", "a", "wrong horse battery", Refusal::BadCredentials),
        ("shop", "nobody", PASSWORD, Refusal::BadCredentials),
        ("shop", "a", PASSWORD, Refusal::Outdated),
    ] {
        let refused = a.sign_in(tenant, login, password, device).await.err().unwrap();
        assert_eq!((refused.reason, refused.retry_after_ms), (reason, 0), "{login}");
    }
    // It has no session, and nobody saw it come: only who was there before goes on.
    assert_eq!(watcher.invite("a").await, Err(Refusal::NotAvailable));
    assert!(is_silent(&mut watcher).await);
    let _other = platform.terminal("bank", "z").await;
}
