//! Guessing at passwords over real connections, and proofs of devices.

use crate::common::terminal::{Terminal, prove};
use crate::common::{PASSWORD, Platform};
use kakehashi_wire::device::{DeviceKey, DeviceProof};
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{Refusal, Refused, SignIn, SignedIn};

/// A sign-in of a's on a connection of its own.
async fn try_once(
    platform: &Platform,
    password: &str,
    device: u64,
) -> Result<(Terminal, SignedIn), Refused> {
    let mut terminal = Terminal::open(platform.connect().await).await;
    let signed_in = terminal.sign_in("shop", "a", password, device).await?;
    Ok((terminal, signed_in))
}

#[tokio::test(flavor = "multi_thread")]
async fn guesses_keep_strangers_out_and_not_the_owner_on_a_known_device() {
    let platform = Platform::start().await;
    drop(try_once(&platform, PASSWORD, 1).await.unwrap());
    for _ in 0..5 {
        let wrong = try_once(&platform, "wrong horse battery", 2).await.err().unwrap();
        assert_eq!((wrong.reason, wrong.retry_after_ms), (Refusal::BadCredentials, 0));
    }
    let early = try_once(&platform, PASSWORD, 2).await.err().unwrap();
    assert_eq!(early.reason, Refusal::Busy);
    assert!((1..=1000).contains(&early.retry_after_ms), "{}", early.retry_after_ms);
    let (mut owner, _) = try_once(&platform, PASSWORD, 1).await.unwrap();
    assert!(owner.invite("nobody").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proof_of_another_connection_or_none_is_refused() {
    let platform = Platform::start().await;
    let mut terminal = Terminal::open(platform.connect().await).await;
    let elsewhere = platform.connect().await;
    let (key, proof) = prove(&terminal.connection, 1);
    let (_, foreign) = prove(&elsewhere, 1);
    let zeros = (DeviceKey([0; 32]), DeviceProof([0; 64]));
    for (device_key, device_proof) in [(key, foreign), zeros] {
        let request = terminal.request();
        terminal.say(sign_in(request, device_key, device_proof)).await;
        assert_eq!(terminal.refused(request).await, Refusal::BadRequest);
    }
    let request = terminal.request();
    terminal.say(sign_in(request, key, proof)).await;
    assert_eq!(terminal.signed_in().await.request, request);
}

fn sign_in(
    request: kakehashi_wire::id::RequestId,
    device_key: DeviceKey,
    device_proof: DeviceProof,
) -> SignIn {
    SignIn {
        request,
        tenant: "shop".into(),
        login: "a".into(),
        password: Password::new(PASSWORD.into()),
        device: DeviceId(1),
        device_key,
        device_proof,
        software: "test".into(),
    }
}
