//! Sessions that come back on another connection, over real QUIC, and tokens that must not count.

use super::common::relay::Relay;
use super::common::terminal::{Terminal, prove};
use super::common::{PASSWORD, Platform, close_code, device_of};
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::Request;
use kakehashi_control::api::client;
use kakehashi_control::gate::CloseCode;
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{
    CallEnd, FromTerminal, HangUp, MemberPhase, Refusal, Resume, SessionEnd, SignOut, ToTerminal,
};

async fn ask(platform: &Platform, request: Request) {
    client::request(platform.folder.path(), request).await.unwrap();
}

/// What a new connection is answered that resumes with `token` on `device`.
async fn resumed(platform: &Platform, token: &ResumeToken, device: u64) -> Result<(), Refusal> {
    let mut terminal = Terminal::open(platform.connect().await).await;
    terminal.resume(token, device).await.map(drop).map_err(|refused| {
        assert_eq!(refused.retry_after_ms, 0, "waiting does not help");
        refused.reason
    })
}

const EXPIRED: Result<(), Refusal> = Err(Refusal::Expired);

#[tokio::test]
async fn a_cut_connection_comes_back_into_its_call() {
    use MemberPhase::{In, Reconnecting};
    let platform = Platform::start().await;
    let relay = Relay::start(&platform, 1).await;
    let (mut a, token) = platform.terminal_with_token("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let ready = a.ready().await;
    b.ready().await;
    a.connection.close(0_u32.into(), b"cut");
    assert_eq!(b.members().await, [Reconnecting, In]);
    relay.until_it_holds(2).await;

    let mut a = Terminal::open(platform.connect().await).await;
    let resumed = a.resume(&token, device_of("a")).await.unwrap();
    assert_eq!((&resumed.calls[..], resumed.grace_ms), (&[call][..], 2_000));
    assert_eq!(a.members().await, [In, In]);
    let again = a.ready().await;
    assert!(again.key == ready.key && again.streams == ready.streams);
    assert_eq!(b.members().await, [In, In]);
    relay.until_it_holds(2).await;
    let request = a.request();
    a.say(HangUp { request, call }).await;
    a.done(request).await;
    assert_eq!(a.call_ended().await, CallEnd::HungUp);
    assert_eq!(b.call_ended().await, CallEnd::HungUp);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_member_that_stays_away_leaves_the_call() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let (mut a, token) = platform.terminal_with_token("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    a.ready().await;
    b.ready().await;
    a.connection.close(0_u32.into(), b"gone");
    assert_eq!(b.members().await, [MemberPhase::Reconnecting, MemberPhase::In]);
    assert_eq!(b.call_ended().await, CallEnd::PeerLost);
    assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable));
    // Its token is good for a new session.
    let mut a = Terminal::open(platform.connect().await).await;
    let resumed = a.resume(&token, device_of("a")).await.unwrap();
    assert!(resumed.calls.is_empty());
    b.invite("a").await.unwrap();
    a.incoming().await;
    platform.node.stop().await;
}

#[tokio::test]
async fn a_second_connection_of_the_terminal_takes_the_session_over() {
    let platform = Platform::start().await;
    let (mut first, token) = platform.terminal_with_token("shop", "a").await;
    let mut second = Terminal::open(platform.connect().await).await;
    second.resume(&token, device_of("a")).await.unwrap();
    assert_eq!(first.session_ended().await, SessionEnd::Replaced);
    assert_eq!(close_code(&first.connection).await, CloseCode::Replaced as u64);
    // In a session that goes on there is nothing to resume, and it goes on.
    let refused = second.resume(&token, device_of("a")).await.err().unwrap();
    assert_eq!(refused.reason, Refusal::BadRequest);
    assert_eq!(second.invite("nobody").await, Err(Refusal::NoSuchLogin));
    platform.node.stop().await;
}

#[tokio::test]
async fn a_stolen_token_or_a_replayed_resume_is_refused() {
    let platform = Platform::start().await;
    let (a, token) = platform.terminal_with_token("shop", "a").await;
    let (_b, of_b) = platform.terminal_with_token("shop", "b").await;
    assert_eq!(resumed(&platform, &token, device_of("b")).await, EXPIRED, "another device's key");
    assert_eq!(resumed(&platform, &of_b, device_of("a")).await, EXPIRED);
    let bytes = token.as_bytes();
    let mut other = bytes.to_vec();
    other[9] ^= 1;
    for wrong in [other, bytes[..bytes.len() - 1].to_vec(), [bytes, &[0]].concat(), Vec::new()] {
        let wrong = ResumeToken::new(wrong);
        assert_eq!(resumed(&platform, &wrong, device_of("a")).await, EXPIRED);
    }
    // What was said on one connection is nothing on another.
    let mut honest = Terminal::open(platform.connect().await).await;
    let request = honest.request();
    let (_, device_proof) = prove(&honest.connection, device_of("a"));
    let (token, software) = (token.clone(), String::new());
    let said = FromTerminal::from(Resume { request, token, device_proof, software });
    let said = said.encode().unwrap();
    let mut thief = Terminal::open(platform.connect().await).await;
    thief.say_bytes(&said).await;
    assert_eq!(thief.refused(request).await, Refusal::Expired);
    // Whom it is refused may sign in with the password on the same connection.
    thief.sign_in("shop", "c", PASSWORD, device_of("c")).await.unwrap();
    honest.say_bytes(&said).await;
    assert!(matches!(honest.hear().await, Some(ToTerminal::Resumed(_))));
    drop(a);
    platform.node.stop().await;
}

#[tokio::test]
async fn a_token_is_dead_after_a_suspension_and_stays_so() {
    let platform = Platform::start().await;
    let account = Subject::Account { tenant: "shop".into(), login: "a".into() };
    let (tenant, login) = ("shop".to_owned(), "a".to_owned());
    let device = Subject::Device { tenant, login, device: DeviceId(device_of("a")) };
    let tenant = Subject::Tenant { tenant: "shop".into() };
    for subject in [account, device, tenant] {
        let (mut a, token) = platform.terminal_with_token("shop", "a").await;
        ask(&platform, Request::Suspend { subject: subject.clone(), reason: None }).await;
        assert_eq!(a.session_ended().await, SessionEnd::Suspended);
        assert_eq!(resumed(&platform, &token, device_of("a")).await, EXPIRED, "{subject:?}");
        ask(&platform, Request::Reactivate { subject: subject.clone() }).await;
        assert_eq!(resumed(&platform, &token, device_of("a")).await, EXPIRED, "{subject:?}");
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn another_devices_token_outlives_the_suspension_of_one() {
    let platform = Platform::start().await;
    let (_a, token) = platform.terminal_with_token("shop", "a").await;
    let mut other = Terminal::open(platform.connect().await).await;
    let of_other = other.sign_in("shop", "a", PASSWORD, 77).await.unwrap().token;
    let (tenant, login) = ("shop".to_owned(), "a".to_owned());
    let subject = Subject::Device { tenant, login, device: DeviceId(77) };
    ask(&platform, Request::Suspend { subject, reason: None }).await;
    assert_eq!(other.session_ended().await, SessionEnd::Suspended);
    assert_eq!(resumed(&platform, &of_other, 77).await, EXPIRED);
    assert_eq!(resumed(&platform, &token, device_of("a")).await, Ok(()));
    platform.node.stop().await;
}

#[tokio::test]
async fn a_token_is_dead_after_a_new_password_and_after_a_new_sign_in() {
    let platform = Platform::start().await;
    let (mut a, token) = platform.terminal_with_token("shop", "a").await;
    let (tenant, login) = ("shop".to_owned(), "a".to_owned());
    let password = Some(kakehashi_wire::secret::Password::new("tangerine umbrella".into()));
    ask(&platform, Request::AccountPassword { tenant, login, password, permanent: true }).await;
    assert_eq!(a.session_ended().await, SessionEnd::PasswordChanged);
    assert_eq!(resumed(&platform, &token, device_of("a")).await, EXPIRED);

    let (_b, older) = platform.terminal_with_token("shop", "b").await;
    let (_again, newer) = platform.terminal_with_token("shop", "b").await;
    assert_eq!(resumed(&platform, &older, device_of("b")).await, EXPIRED);
    assert_eq!(resumed(&platform, &newer, device_of("b")).await, Ok(()));
    platform.node.stop().await;
}

#[tokio::test]
async fn tokens_outlive_the_node_and_are_nothing_to_another() {
    let platform = Platform::start().await;
    let (_a, token) = platform.terminal_with_token("shop", "a").await;
    let Platform { node, folder } = platform;
    node.stop().await;
    let platform = Platform::start_in(folder).await;
    assert_eq!(resumed(&platform, &token, device_of("a")).await, Ok(()));
    let other = Platform::start().await;
    assert_eq!(resumed(&other, &token, device_of("a")).await, EXPIRED);
    platform.node.stop().await;
    other.node.stop().await;
}

#[tokio::test]
async fn a_token_is_dead_after_a_sign_out_of_its_device_and_of_no_other() {
    let platform = Platform::start().await;
    let (_a, first) = platform.terminal_with_token("shop", "a").await;
    let mut other = Terminal::open(platform.connect().await).await;
    let of_other = other.sign_in("shop", "a", PASSWORD, 77).await.unwrap().token;
    let mut a = Terminal::open(platform.connect().await).await;
    let latest = a.resume(&first, device_of("a")).await.unwrap().token;
    let request = a.request();
    a.say(SignOut { request }).await;
    assert_eq!(a.session_ended().await, SessionEnd::SignedOut);
    for token in [&first, &latest] {
        assert_eq!(resumed(&platform, token, device_of("a")).await, EXPIRED);
    }
    assert_eq!(resumed(&platform, &of_other, 77).await, Ok(()));
    let (_a, again) = platform.terminal_with_token("shop", "a").await;
    let Platform { node, folder } = platform;
    node.stop().await;

    let platform = Platform::start_in(folder).await;
    assert_eq!(resumed(&platform, &latest, device_of("a")).await, EXPIRED, "after a restart, too");
    assert_eq!(resumed(&platform, &again, device_of("a")).await, Ok(()));
    platform.node.stop().await;
}

#[tokio::test]
async fn who_signs_out_is_not_waited_for() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let (mut a, _token) = platform.terminal_with_token("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    a.invite("b").await.unwrap();
    b.incoming().await;
    let request = a.request();
    a.say(SignOut { request }).await;
    assert_eq!(b.call_ended().await, CallEnd::PeerLost);
    let mut c = platform.terminal("shop", "c").await;
    c.say_bytes(b"no message of ours").await;
    assert_eq!(c.session_ended().await, SessionEnd::Protocol);
    assert_eq!(b.invite("c").await, Err(Refusal::NotAvailable), "nor who breaks the protocol");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_device_that_resumes_without_end_is_told_to_wait() {
    let platform = Platform::start().await;
    let (_a, mut token) = platform.terminal_with_token("shop", "a").await;
    let mut refused = None;
    for _ in 0..200 {
        let mut terminal = Terminal::open(platform.connect().await).await;
        match terminal.resume(&token, device_of("a")).await {
            Ok(resumed) => token = resumed.token,
            Err(no) => {
                refused = Some(no);
                break;
            }
        }
    }
    let refused = refused.expect("nobody needs 200 at once");
    assert_eq!(refused.reason, Refusal::Busy);
    assert!((1..10_000).contains(&refused.retry_after_ms), "{}", refused.retry_after_ms);
    let (_b, of_b) = platform.terminal_with_token("shop", "b").await;
    assert_eq!(resumed(&platform, &of_b, device_of("b")).await, Ok(()), "others do not wait");
    platform.node.stop().await;
}
