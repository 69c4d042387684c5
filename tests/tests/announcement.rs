//! What a caller hears while it waits at a desk that asks for an announcement: played to a local
//! player and recorded, whole and in order, and nothing of it once an agent has answered.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_terminal::files::ogg::OpusReader;
use kakehashi_terminal::samples::REPLY_OPUS;
use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::platform::{Account, Platform, TENANT};
use kakehashi_wire::rtp::{RtpView, Ssrc};
use std::io::{Read, Write as _};
use std::net::UdpSocket;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// What a second of it has: 20 ms a packet.
const SECOND: usize = 50;

fn start(
    platform: &Platform,
    account: &Account,
    arguments: &[&str],
) -> (Program, ChildStdin, Lines) {
    let mut command = platform.terminal(account);
    command.arg("--json").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut program = Program::start(&mut command);
    let keys = program.stdin.take().unwrap();
    let said = Lines::of(program.stdout.take().unwrap());
    (program, keys, said)
}

fn packets(ogg: impl Read) -> Vec<Vec<u8>> {
    let mut reader = OpusReader::new(ogg).unwrap();
    std::iter::from_fn(|| reader.next_packet().unwrap()).map(|packet| packet.data).collect()
}

/// Source and payload of the next packet for the player; none if nothing comes for a while.
fn next(player: &UdpSocket) -> Option<(Ssrc, Vec<u8>)> {
    let mut buffer = [0; 2048];
    let bytes = player.recv(&mut buffer).ok()?;
    let view = RtpView::parse(&buffer[..bytes]).unwrap();
    Some((view.header().ssrc, view.payload().to_vec()))
}

#[test]
fn an_announcement_is_played_and_recorded_until_an_agent_answers() {
    let platform = Platform::start(1);
    let (store, _) = platform.add_pair();
    let agent = platform.add_account(TENANT, "agent-1");
    let desk = ["desk", "add", TENANT, "repairs", "--agents", "agent-1", "--announce", "true"];
    platform.run_well(&desk);
    let ask = ["--audio", "sample:speech", "--loop", "wait", "--ask"];
    let (mut agent, mut keys, agent_says) = start(&platform, &agent, &ask);
    agent_says.until(r#""event":"presence""#, SOON);

    let player = UdpSocket::bind("127.0.0.1:0").unwrap();
    player.set_read_timeout(Some(SOON)).unwrap();
    let (port, folder) = (player.local_addr().unwrap().port(), tempfile::tempdir().unwrap());
    let (play, record) = (format!("audio={port}"), folder.path().to_str().unwrap());
    let call = ["--announcement", "sample:reply", "--rtp-out", &play, "--record", record];
    let call = [&call[..], &["call", "desk:repairs", "--seconds", "3"]].concat();
    let (mut store, _keys, store_says) = start(&platform, &store, &call);
    let queued = store_says.until(r#""event":"queued""#, SOON);
    assert!(queued.contains(r#""announce":true"#), "{queued}");
    agent_says.until(r#""event":"incoming""#, SOON);

    // It rings; two seconds of it are what the sample begins with.
    let sample = packets(REPLY_OPUS);
    let (source, first) = next(&player).unwrap();
    let mut played = vec![first];
    while played.len() < 2 * SECOND {
        let (from, payload) = next(&player).unwrap();
        assert_eq!(from, source);
        played.push(payload);
    }
    assert_eq!(played, sample[..2 * SECOND]);

    writeln!(keys, "answer").unwrap();
    store_says.until(r#""event":"connected""#, SOON);
    // It goes on until then, and then there is the agent alone.
    let agents = loop {
        match next(&player).unwrap() {
            (from, payload) if from == source => played.push(payload),
            (from, _) => break from,
        }
    };
    for _ in 0..SECOND {
        assert_eq!(next(&player).unwrap().0, agents, "the announcement goes on in the call");
    }
    assert!(store.wait().unwrap().success(), "{}", store_says.so_far());
    let file = |name: &str| std::fs::File::open(folder.path().join(name)).unwrap();
    let looped = || sample.iter().cycle();
    assert!(played.iter().eq(looped().take(played.len())));
    let recorded = packets(file("announcement-audio.opus"));
    assert_eq!(recorded.len(), played.len());
    assert_eq!(recorded, played);
    assert!(packets(file("agent-1-audio.opus")).len() > SECOND);
    writeln!(keys, "quit").unwrap();
    assert!(agent.wait().unwrap().success(), "{}", agent_says.so_far());
}
