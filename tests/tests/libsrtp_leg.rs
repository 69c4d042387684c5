//! libsrtp on one leg, our terminal on the other: what one seals the other opens, through the
//! relay, frame for frame.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::signed_in::voice_and_camera;
use kakehashi_terminal::files::ogg::OpusReader;
use kakehashi_terminal::samples;
use kakehashi_terminal::{Event, Events, Terminal};
use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::ethernet::{run_on, with_media};
use kakehashi_tests::platform::{Account, Platform, key_and_salt};
use kakehashi_tests::python::script;
use kakehashi_wire::terminal::CallReady;
use serde_json::{Value, json};
use std::fs::File;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;
use tokio::time::timeout;

const SOON: Duration = Duration::from_secs(30);

#[test]
fn libsrtp_and_our_terminal_understand_each_other_through_the_kernel() {
    understand_each_other("uring");
}

#[test]
fn libsrtp_and_our_terminal_understand_each_other_past_the_kernel() {
    understand_each_other("xdp");
}

fn understand_each_other(io: &str) {
    with_media(io, |platform, link| {
        let (store, concierge) = platform.add_pair();
        run_on(&link.load, async || converse(platform, &store, &concierge).await);
    });
}

async fn converse(platform: &Platform, store: &Account, concierge: &Account) {
    let (terminal, mut events) = Terminal::start(platform.settings(concierge)).unwrap();
    wait_for(&mut events, |event| matches!(event, Event::SignedIn(_)).then_some(())).await;

    let recordings = platform.data().join("recordings");
    let speech =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../terminal/samples").join("speech.opus");
    let mut caller = platform.terminal(store);
    caller.args(["--json", "call", "concierge-1", "--audio"]).arg(&speech);
    caller.arg("--record").arg(&recordings);
    let mut caller = Program::start(caller.stdout(Stdio::piped()));
    let said = Lines::of(caller.stdout.take().unwrap());

    let call = wait_for(&mut events, |event| match event {
        Event::Incoming(incoming) => Some(incoming.call),
        _ => None,
    })
    .await;
    let voice_only = voice_and_camera().into_iter().take(1).collect();
    terminal.accept(call, voice_only).await.unwrap();
    let ready = wait_for(&mut events, |event| match event {
        Event::Ready(ready) => Some(ready),
        _ => None,
    })
    .await;

    let reply = frames(samples::REPLY_OPUS);
    let task = task(&ready, &reply);
    let heard = tokio::task::spawn_blocking(move || play(&task)).await.unwrap();
    // The caller hangs up when its file has ended, and may have done so by now.
    let _ = terminal.hang_up(call).await;
    let ended = tokio::task::spawn_blocking(move || caller.wait()).await.unwrap();
    println!("{}", said.so_far());
    assert!(ended.unwrap().success(), "the terminal did not end well");

    assert_eq!(heard["rejected"], 0, "libsrtp refused packets of ours");
    let sent = frames(samples::SPEECH_OPUS);
    let voice = ready.senders[0].streams[0].ssrc.0.to_string();
    let opened: Vec<String> = serde_json::from_value(heard["received"][&voice].clone()).unwrap();
    assert_eq!(opened, hex_all(&sent), "what libsrtp opened is not what our terminal sent");
    let recorded = File::open(recordings.join("concierge-1-audio.opus")).unwrap();
    assert_eq!(hex_all(&frames(recorded)), hex_all(&reply), "our terminal recorded something else");
}

async fn wait_for<T>(events: &mut Events, pick: impl Fn(Event) -> Option<T>) -> T {
    loop {
        let event = timeout(SOON, events.next()).await.expect("an event within 30 s");
        if let Some(found) = pick(event.expect("the session lives")) {
            return found;
        }
    }
}

fn frames(input: impl Read) -> Vec<Vec<u8>> {
    let mut reader = OpusReader::new(input).unwrap();
    let mut frames = Vec::new();
    while let Some(packet) = reader.next_packet().unwrap() {
        frames.push(packet.data);
    }
    frames
}

fn hex_all(frames: &[Vec<u8>]) -> Vec<String> {
    frames.iter().map(hex::encode).collect()
}

fn task(ready: &CallReady, frames: &[Vec<u8>]) -> Value {
    let relay = SocketAddr::from(ready.paths[0].address);
    let own = ready.streams[0];
    let remote: Vec<u32> = ready.senders[0].streams.iter().map(|stream| stream.ssrc.0).collect();
    json!({
        "relay": [relay.ip().to_string(), relay.port()],
        "key": key_and_salt(&ready.key),
        "remote_key": key_and_salt(ready.senders[0].key.as_ref().unwrap()),
        "ssrc": own.ssrc.0,
        "payload_type": own.codec.payload_type(),
        "first_sequence": own.first_sequence,
        "remote_ssrcs": remote,
        "frames": hex_all(frames),
        "interval": 0.02,
    })
}

/// Plays the leg in Python; gives what it heard.
fn play(task: &Value) -> Value {
    let mut leg =
        script("libsrtp_leg.py").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    leg.stdin.take().unwrap().write_all(task.to_string().as_bytes()).unwrap();
    let output = leg.wait_with_output().unwrap();
    assert!(output.status.success(), "the libsrtp leg failed");
    serde_json::from_slice(&output.stdout).unwrap()
}
