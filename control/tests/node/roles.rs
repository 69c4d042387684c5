//! Roles over the operators' door and the wire.

use super::common::relay::Relay;
use super::common::{Platform, close_code, within};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client;
use kakehashi_control::gate::CloseCode;
use kakehashi_wire::terminal::{CallEnd, Role, SessionEnd};

async fn ask(platform: &Platform, request: Request) -> Answer {
    within(client::request(platform.folder.path(), request)).await.unwrap()
}

async fn give(platform: &Platform, login: &str, role: Role) {
    let (tenant, login) = ("shop".to_owned(), login.to_owned());
    let answer = ask(platform, Request::AccountRole { tenant, login, role }).await;
    assert!(matches!(answer, Answer::Done {}));
}

#[tokio::test]
async fn a_terminal_hears_its_role_and_loses_its_session_with_it() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    give(&platform, "a", Role::Concierge).await;
    assert_eq!(a.call_ended().await, CallEnd::RightsChanged);
    assert_eq!(a.session_ended().await, SessionEnd::RoleChanged);
    assert_eq!(close_code(&a.connection).await, CloseCode::Done as u64);
    assert_eq!(b.call_ended().await, CallEnd::PeerLost);

    let mut a = platform.terminal("shop", "a").await;
    give(&platform, "a", Role::Concierge).await;
    a.invite("b").await.expect("the role it has already ends nothing");
    for (login, role) in [("a", Role::Concierge), ("b", Role::Store)] {
        let device = 1000;
        let mut terminal = super::Terminal::open(platform.connect().await).await;
        let password = super::PASSWORD;
        let signed_in = terminal.sign_in("shop", login, password, device).await.unwrap();
        assert_eq!(signed_in.role, role);
    }
    let Answer::Accounts { rows } =
        ask(&platform, Request::AccountList { tenant: "shop".into() }).await
    else {
        panic!("accounts were asked for")
    };
    let roles: Vec<_> = rows.iter().map(|account| account.role).collect();
    assert_eq!(roles, [Role::Concierge, Role::Store, Role::Store]);
    platform.node.stop().await;
}
