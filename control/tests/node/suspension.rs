//! Suspension over the operators' door, with terminals and relays that are really connected.

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, close_code, device_of, within};
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::{Answer, MediaEnd, Request};
use kakehashi_control::api::client;
use kakehashi_control::gate::CloseCode;
use kakehashi_wire::id::{CallId, DeviceId};
use kakehashi_wire::terminal::{CallEnd, Refusal, SessionEnd};
use std::time::Duration;

fn account(login: &str) -> Subject {
    Subject::Account { tenant: "shop".into(), login: login.into() }
}

async fn ask(platform: &Platform, request: Request) {
    let data = platform.folder.path().to_owned();
    let answer = client::request(&data, request).await.unwrap();
    assert!(matches!(answer, Answer::Done {}));
}

async fn suspend(platform: &Platform, subject: &Subject) -> MediaEnd {
    let request = Request::Suspend { subject: subject.clone(), reason: None };
    let answer = client::request(platform.folder.path(), request).await.unwrap();
    let Answer::Suspended { media: Some(media) } = answer else { panic!("not suspended") };
    media
}

async fn reactivate(platform: &Platform, subject: &Subject) {
    ask(platform, Request::Reactivate { subject: subject.clone() }).await;
}

/// A call between two of `shop`, whose relays hold its legs.
async fn call(a: &mut Terminal, b: &mut Terminal) -> CallId {
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    a.ready().await;
    b.ready().await;
    call
}

async fn is_refused(platform: &Platform, login: &str, device: u64) -> bool {
    let mut terminal = Terminal::open(platform.connect().await).await;
    match terminal.sign_in("shop", login, PASSWORD, device).await {
        Ok(_) => false,
        Err(refused) => {
            assert_eq!((refused.reason, refused.retry_after_ms), (Refusal::BadCredentials, 0));
            true
        }
    }
}

#[tokio::test]
async fn a_suspended_account_is_out_at_once_and_in_again_without_a_restart() {
    let platform = Platform::start().await;
    let relays = [Relay::start(&platform, 1).await, Relay::start(&platform, 2).await];
    let mut b = platform.terminal("shop", "b").await;
    for round in 0..2 {
        let mut a = platform.terminal("shop", "a").await;
        let id = call(&mut a, &mut b).await;
        suspend(&platform, &account("a")).await;
        for relay in &relays {
            relay.until_it_holds(0).await;
        }
        assert_eq!(a.call_ended().await, CallEnd::Suspended);
        assert_eq!(a.session_ended().await, SessionEnd::Suspended);
        assert_eq!(close_code(&a.connection).await, CloseCode::Suspended as u64);
        assert_eq!(b.call_ended().await, CallEnd::PeerLost, "no more than if it were lost");
        assert!(is_refused(&platform, "a", device_of("a")).await);
        assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable));
        reactivate(&platform, &account("a")).await;

        let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
        let records = platform.node.records.ended(tenant.id, 10).await.unwrap();
        assert_eq!(records.len(), round + 1);
        let record = records.iter().find(|record| record.call == id).unwrap();
        assert_eq!(record.reason, Some(CallEnd::Suspended));
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn a_device_or_a_tenant_is_suspended_and_nobody_else() {
    let platform = Platform::start().await;
    let relay = Relay::start(&platform, 1).await;
    let mut z = platform.terminal("bank", "z").await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    call(&mut a, &mut b).await;
    let (tenant, login, device) = ("shop".to_owned(), "a".to_owned(), device_of("a"));
    let on_device = Subject::Device { tenant, login, device: DeviceId(device) };
    suspend(&platform, &on_device).await;
    assert_eq!(a.call_ended().await, CallEnd::Suspended);
    assert_eq!(a.session_ended().await, SessionEnd::Suspended);
    assert_eq!(b.call_ended().await, CallEnd::PeerLost);
    assert!(is_refused(&platform, "a", device).await);
    assert!(!is_refused(&platform, "a", device + 1000).await, "another device of the account");

    let tenant = Subject::Tenant { tenant: "shop".into() };
    suspend(&platform, &tenant).await;
    assert_eq!(b.session_ended().await, SessionEnd::Suspended);
    relay.until_it_holds(0).await;
    for login in ["a", "b", "c"] {
        assert!(is_refused(&platform, login, 7).await, "{login}");
    }
    reactivate(&platform, &tenant).await;
    assert!(!is_refused(&platform, "b", 7).await);
    assert!(is_refused(&platform, "a", device).await, "the device still is");
    reactivate(&platform, &on_device).await;
    assert!(!is_refused(&platform, "a", device).await);
    assert_eq!(z.invite("a").await, Err(Refusal::NotAvailable), "another tenant goes on");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_relay_whose_link_is_down_drops_the_legs_when_it_is_back() {
    let platform = Platform::start().await;
    let [cut, other] = [Relay::start(&platform, 1).await, Relay::start(&platform, 2).await];
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    call(&mut a, &mut b).await;
    cut.die();
    let noticed = async {
        while platform
            .node
            .live()
            .relays()
            .await
            .unwrap()
            .iter()
            .filter(|row| row.connected)
            .count()
            > 1
        {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    within(noticed).await;
    suspend(&platform, &account("b")).await;
    other.until_it_holds(0).await;
    assert_eq!(b.call_ended().await, CallEnd::Suspended);
    assert_eq!(cut.held().len(), 2, "it has not heard of it");
    cut.reconnect(&platform, 1).await.until_it_holds(0).await;
    platform.node.stop().await;
}

#[tokio::test]
async fn a_suspension_outlives_the_node() {
    let platform = Platform::start().await;
    suspend(&platform, &account("a")).await;
    let Platform { node, folder } = platform;
    node.stop().await;
    let platform = Platform::start_in(folder).await;
    assert!(is_refused(&platform, "a", 1).await);
    assert!(!is_refused(&platform, "b", 1).await);
    platform.node.stop().await;
}
