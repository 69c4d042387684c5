//! One-time passwords, and people who change theirs.

use crate::common::terminal::Terminal;
use crate::common::{PASSWORD, Platform, device_of};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{ChangePassword, Refusal, SessionEnd};

const NEW: &str = "tangerine umbrella";

fn password(text: &str) -> Password {
    Password::new(text.to_owned())
}

/// What is answered to a change: nothing if it was done.
async fn change(terminal: &mut Terminal, old: &str, new: &str) -> Option<Refusal> {
    let request = terminal.request();
    terminal.say(ChangePassword { request, old: password(old), new: password(new) }).await;
    terminal.answer(request).await.err()
}

async fn refused_sign_in(platform: &Platform, password: &str) -> Refusal {
    let mut terminal = Terminal::open(platform.connect().await).await;
    terminal.sign_in("shop", "a", password, device_of("a")).await.err().unwrap().reason
}

#[tokio::test(flavor = "multi_thread")]
async fn a_one_time_password_opens_nothing_but_its_change() {
    let platform = Platform::start().await;
    let accounts = &platform.node.accounts;
    let shop = accounts.find_tenant("shop").await.unwrap().unwrap();
    let reset = accounts.set_password(shop.id, "a", None, true).await.unwrap();
    let once = reset.generated.unwrap().expose().to_owned();

    let mut a = Terminal::open(platform.connect().await).await;
    let signed_in = a.sign_in("shop", "a", &once, device_of("a")).await.unwrap();
    assert!(signed_in.must_change_password);
    let mut b = platform.terminal("shop", "b").await;
    assert_eq!(a.invite("b").await, Err(Refusal::PasswordMustChange));
    assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable), "nobody can call it yet");

    assert_eq!(change(&mut a, PASSWORD, NEW).await, Some(Refusal::BadCredentials));
    for bad in ["short", &once, "password 12345678", "my own shop umbrella"] {
        assert_eq!(change(&mut a, &once, bad).await, Some(Refusal::BadPassword), "{bad}");
    }
    assert_eq!(change(&mut a, &once, NEW).await, None);
    assert_eq!(a.session_ended().await, SessionEnd::PasswordChanged);

    let mut a = Terminal::open(platform.connect().await).await;
    let signed_in = a.sign_in("shop", "a", NEW, device_of("a")).await.unwrap();
    assert!(!signed_in.must_change_password);
    assert_eq!(b.invite("a").await, Err(Refusal::NoRelay), "it is there now");
    assert_eq!(refused_sign_in(&platform, &once).await, Refusal::BadCredentials);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_changes_its_password_and_ends() {
    let platform = Platform::start().await;
    let mut a = platform.terminal("shop", "a").await;
    assert_eq!(change(&mut a, "wrong horse battery", NEW).await, Some(Refusal::BadCredentials));
    assert_eq!(change(&mut a, PASSWORD, "short").await, Some(Refusal::BadPassword));
    assert_eq!(change(&mut a, PASSWORD, NEW).await, None);
    assert_eq!(a.session_ended().await, SessionEnd::PasswordChanged);
    assert_eq!(refused_sign_in(&platform, PASSWORD).await, Refusal::BadCredentials);
    let mut a = Terminal::open(platform.connect().await).await;
    assert!(a.sign_in("shop", "a", NEW, device_of("a")).await.is_ok());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_password_ends_the_sessions_of_every_device_whoever_gave_it() {
    let platform = Platform::start().await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let data = platform.folder.path().to_owned();
    let (tenant, login) = ("shop".to_owned(), "a".to_owned());
    let once = Some(password("one-time umbrella"));
    let reset = Request::AccountPassword { tenant, login, password: once, permanent: false };
    let answer = client::request(&data, reset).await.unwrap();
    assert!(matches!(answer, Answer::AccountAdded { .. }));
    assert_eq!(a.session_ended().await, SessionEnd::PasswordChanged);
    assert_eq!(b.invite("a").await, Err(Refusal::NotAvailable), "and nobody else's");

    let mut first = Terminal::open(platform.connect().await).await;
    first.sign_in("shop", "a", "one-time umbrella", 1).await.unwrap();
    assert_eq!(change(&mut first, "one-time umbrella", PASSWORD).await, None);
    assert_eq!(first.session_ended().await, SessionEnd::PasswordChanged);
    let mut first = Terminal::open(platform.connect().await).await;
    first.sign_in("shop", "a", PASSWORD, 1).await.unwrap();
    let mut second = Terminal::open(platform.connect().await).await;
    second.sign_in("shop", "a", PASSWORD, 2).await.unwrap();
    assert_eq!(change(&mut first, PASSWORD, NEW).await, None);
    assert_eq!(first.session_ended().await, SessionEnd::PasswordChanged);
    assert_eq!(second.session_ended().await, SessionEnd::PasswordChanged);
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_in_a_session_are_limited_too() {
    let platform = Platform::start().await;
    let mut a = platform.terminal("shop", "a").await;
    for _ in 0..5 {
        assert_eq!(change(&mut a, "wrong horse battery", NEW).await, Some(Refusal::BadCredentials));
    }
    assert_eq!(change(&mut a, PASSWORD, NEW).await, Some(Refusal::Busy));
    assert_eq!(a.invite("nobody").await, Err(Refusal::NoSuchLogin), "the session goes on");
}
