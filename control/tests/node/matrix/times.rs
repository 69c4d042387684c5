//! How long answers take says no more than they do.

use super::super::common::relay::Relay;
use super::*;
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
        let [of_other, of_nobody] = times.map(median);
        assert!(of_other < of_nobody * FACTOR, "{act:?}: {of_other:?} and {of_nobody:?}");
        assert!(of_nobody < of_other * FACTOR, "{act:?}: {of_other:?} and {of_nobody:?}");
    }
    platform.node.stop().await;
}
