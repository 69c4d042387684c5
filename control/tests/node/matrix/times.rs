//! How long answers take says no more than they do.

use super::super::api::{administrator, client, url};
use super::super::common::relay::Relay;
use super::*;
use kakehashi_control::admin::Why;
use kakehashi_control::api::client::{Client, ClientError};
use std::time::Duration;
use tokio::time::Instant;

/// The two medians differ by less than this factor. They lie within a few per cent; twice is what a
/// busy machine may add.
const FACTOR: u32 = 2;

/// Pairs of each kind: as many requests as a session may send in one burst.
const PAIRS: usize = 48;

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// Neither takes twice as long as the other.
fn compare(what: &str, times: [Vec<Duration>; 2]) {
    let [one, other] = times.map(median);
    assert!(one < other * FACTOR, "{what}: {one:?} and {other:?}");
    assert!(other < one * FACTOR, "{what}: {one:?} and {other:?}");
}

async fn time(terminal: &mut Terminal, message: FromTerminal) -> Duration {
    let bytes = message.encode().unwrap();
    let begun = Instant::now();
    terminal.say_bytes(&bytes).await;
    within(frame(&mut terminal.recv)).await.unwrap();
    begun.elapsed()
}

#[tokio::test]
async fn what_is_another_tenants_takes_as_long_as_what_is_not_there() {
    let platform = platform().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut stranger = platform.terminal("bank", "z").await;
    let _peer = platform.terminal("bank", "a").await;
    let theirs = stranger.invite("a").await.unwrap();
    let other = Named { tenant: "bank", login: "z", call: theirs };
    let nobody = Named { tenant: "nowhere", login: "y", call: NEVER };
    for act in [Act::Invite, Act::Accept, Act::HangUp, Act::Hold] {
        let mut terminal = platform.terminal("shop", "a").await;
        let mut times = [Vec::new(), Vec::new()];
        for pair in 0..PAIRS {
            // Whoever comes first after a pause would be the slower.
            for nth in [pair % 2, 1 - pair % 2] {
                let named = [other, nobody][nth];
                let Asked::Terminal(said) = asked(act, named, NEVER) else { unreachable!() };
                for message in said {
                    times[nth].push(time(&mut terminal, message).await);
                }
            }
        }
        compare(act.name(), times);
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn the_same_holds_at_the_operators_door() {
    let platform = platform().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut stranger = platform.terminal("bank", "z").await;
    let _peer = platform.terminal("bank", "a").await;
    let theirs = stranger.invite("a").await.unwrap();
    let token = administrator(&platform, "shop", "a").await;
    let named = |tenant| Named { tenant, login: "", call: NEVER };
    let one_of = |act, tenant| admin(act, named(tenant)).unwrap();
    let end = |call| Request::CallEnd { tenant: None, call };
    for act in [Act::AccountList, Act::AccountSuspend, Act::DeskList, Act::Calls, Act::CallEnd] {
        let mut door = client(&platform, &token);
        let mut times = [Vec::new(), Vec::new()];
        for pair in 0..PAIRS {
            for nth in [pair % 2, 1 - pair % 2] {
                let request = match act {
                    Act::CallEnd => end([theirs, NEVER][nth]),
                    act => one_of(act, ["bank", "nowhere"][nth]),
                };
                let begun = Instant::now();
                let refused = within(door.ask(request)).await.err();
                times[nth].push(begun.elapsed());
                assert!(matches!(refused, Some(ClientError::Refused { why: Why::Absent, .. })));
            }
        }
        compare(act.name(), times);
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn a_wrong_password_takes_as_long_as_a_login_id_that_is_not_there() {
    /// Of each of three, and of as many that are not there: no more than an address has free.
    const GUESSES: usize = 3;
    let platform = platform().await;
    let mut times = [Vec::new(), Vec::new()];
    for (login, unknown) in [("a", "k"), ("b", "l"), ("c", "m")] {
        for _ in 0..GUESSES {
            for (login, times) in [login, unknown].into_iter().zip(&mut times) {
                let (roots, wrong) = (platform.pki().roots().unwrap(), "wrong horse battery");
                let (url, wrong) = (url(&platform), Password::new(wrong.into()));
                let begun = Instant::now();
                let refused = within(Client::sign_in(&url, roots, ("shop", login), wrong)).await;
                times.push(begun.elapsed());
                let Err(ClientError::Refused { why: Why::NotAllowed, .. }) = refused else {
                    panic!("{login} has to wait, or is let in")
                };
            }
        }
    }
    compare("sign-ins", times);
    platform.node.stop().await;
}
