//! GStreamer on both legs: live VP8 and Opus, sealed by `srtpenc` with a call's keys, through the
//! relay, opened by `srtpdec` and decoded. Frames are compared by count and content.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_loadgen::signed_in;
use kakehashi_tests::children::{Program, pause};
use kakehashi_tests::ethernet::{run_on, with_media};
use kakehashi_tests::forwarder::Forwarder;
use kakehashi_tests::gstreamer::{self, pipeline};
use kakehashi_tests::platform::{Account, Platform, key_and_salt};
use kakehashi_wire::media::{Codec, StreamPlan};
use kakehashi_wire::secret::MasterKey;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::path::Path;
use std::time::Duration;

const VIDEO_FRAMES: usize = 120;
const AUDIO_FRAMES: usize = 200;
const WIDTH: usize = 320;
const HEIGHT: usize = 240;
/// I420: a byte of luma a pixel, two of chroma for four.
const FRAME_BYTES: usize = WIDTH * HEIGHT * 3 / 2;

#[test]
fn gstreamer_frames_pass_the_relay_unchanged_through_the_kernel() {
    frames_pass_the_relay_unchanged("uring");
}

#[test]
fn gstreamer_frames_pass_the_relay_unchanged_past_the_kernel() {
    frames_pass_the_relay_unchanged("xdp");
}

fn frames_pass_the_relay_unchanged(io: &str) {
    gstreamer::require();
    with_media(io, |platform, link| {
        let (store, concierge) = platform.add_pair();
        run_on(&link.load, async || film_and_talk(platform, &store, &concierge).await);
    });
}

async fn film_and_talk(platform: &Platform, store: &Account, concierge: &Account) {
    let call = signed_in::call(platform.settings(store), platform.settings(concierge));
    let call = call.await.unwrap();
    let (sender, receiver) = (&call.caller.ready, &call.callee.ready);
    let (voice, camera) = (sender.streams[0], sender.streams[1]);
    assert_eq!((voice.codec, camera.codec), (Codec::Opus, Codec::Vp8));

    let folder = tempfile::tempdir().unwrap();
    let (voice_port, camera_port) = (free_port(), free_port());
    let outputs = [(voice.ssrc, voice_port), (camera.ssrc, camera_port)];
    let far = Forwarder::start(SocketAddr::from(receiver.paths[0].address), &outputs);
    let near = Forwarder::start(SocketAddr::from(sender.paths[0].address), &[]);

    let key = receiver.senders[0].key.as_ref().unwrap();
    let decoded = folder.path().join("got.opus.pcm");
    let depay = format!(
        "rtpopusdepay ! tee name=t t. ! queue ! opusdec ! filesink location={} t. ! queue",
        decoded.display()
    );
    let listen_voice = listen(key, voice, voice_port, &depay, &folder.path().join("got.opus"));
    let depay = "rtpvp8depay ! vp8dec";
    let listen_camera = listen(key, camera, camera_port, depay, &folder.path().join("got.raw"));
    // The receiving leg speaks no STUN: its first authentic packet teaches the relay its address.
    let own_voice = receiver.streams[0];
    let own = folder.path().join("own.opus");
    let keep_talking = talk(&receiver.key, own_voice, far.input_port(), 1_000, &own);
    wait_until("the receiving leg speaks", || far.to_relay() > 5);

    let talking =
        talk(&sender.key, voice, near.input_port(), AUDIO_FRAMES, &folder.path().join("sent.opus"));
    let filming = film(&sender.key, camera, near.input_port(), &folder.path().join("sent.raw"));
    finish(talking);
    finish(filming);
    wait_until("all packets have come through", || far.from_relay() == near.to_relay());
    pause(Duration::from_millis(500));
    for pipeline in [listen_voice, listen_camera, keep_talking] {
        gstreamer::interrupt(pipeline);
    }

    compare_pictures(folder.path());
    let sent = std::fs::read(folder.path().join("sent.opus")).unwrap();
    let got = std::fs::read(folder.path().join("got.opus")).unwrap();
    assert!(sent.len() > AUDIO_FRAMES * 20, "only {} bytes of Opus", sent.len());
    assert_eq!(sent, got, "Opus packets differ");
    compare_sound(folder.path());
    assert_eq!(near.to_relay(), far.from_relay(), "packets were lost");
}

/// Compares the decoded pictures of both ends; a counter is burnt into each, so all differ.
fn compare_pictures(folder: &Path) {
    let hashes = |name: &str| -> Vec<[u8; 32]> {
        let pictures = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(pictures.len() % FRAME_BYTES, 0, "{name} ends inside a picture");
        pictures.chunks(FRAME_BYTES).map(|picture| Sha256::digest(picture).into()).collect()
    };
    let (sent, got) = (hashes("sent.raw"), hashes("got.raw"));
    assert_eq!(sent.len(), VIDEO_FRAMES);
    let different: HashSet<_> = sent.iter().collect();
    assert_eq!(different.len(), VIDEO_FRAMES, "the test pictures repeat");
    assert_eq!(sent, got, "pictures differ: {} sent, {} decoded", sent.len(), got.len());
}

/// Compares the decoded samples of both ends. The receiver knows neither that the sound is mono
/// nor how much of its beginning is to be left out (RFC 7845 4.2), so it decodes both.
fn compare_sound(folder: &Path) {
    const OPUS_PRE_SKIP: usize = 312;
    let samples = |name: &str| -> Vec<i16> {
        let bytes = std::fs::read(folder.join(name)).unwrap();
        bytes.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect()
    };
    let sent = samples("sent.opus.pcm");
    let left: Vec<i16> = samples("got.opus.pcm").into_iter().step_by(2).collect();
    assert_eq!(sent.len(), AUDIO_FRAMES * 960);
    let heard = &left[OPUS_PRE_SKIP..][..sent.len()];
    assert!(sent == heard, "decoded sound differs");
}

/// Seals with `key` and sends to the forwarder at `port`.
fn sealed(key: &MasterKey, port: u16) -> String {
    format!(
        "srtpenc key={} rtp-cipher=aes-128-gcm rtcp-cipher=aes-128-gcm rtp-auth=null \
         rtcp-auth=null ! udpsink host=127.0.0.1 port={port} sync=false",
        key_and_salt(key)
    )
}

fn film(key: &MasterKey, stream: StreamPlan, port: u16, copy: &Path) -> Program {
    pipeline(&format!(
        "videotestsrc is-live=true num-buffers={VIDEO_FRAMES} pattern=ball ! \
         video/x-raw,width={WIDTH},height={HEIGHT},framerate=30/1 ! timeoverlay ! \
         vp8enc deadline=1 keyframe-max-dist=30 ! tee name=t \
         t. ! queue ! vp8dec ! filesink location={copy} \
         t. ! queue ! rtpvp8pay ssrc={ssrc} pt={pt} mtu=1150 seqnum-offset={first} ! {sealed}",
        copy = copy.display(),
        ssrc = stream.ssrc.0,
        pt = stream.codec.payload_type(),
        first = stream.first_sequence,
        sealed = sealed(key, port),
    ))
}

fn talk(key: &MasterKey, stream: StreamPlan, port: u16, frames: usize, copy: &Path) -> Program {
    pipeline(&format!(
        "audiotestsrc is-live=true num-buffers={frames} samplesperbuffer=960 ! \
         audio/x-raw,rate=48000,channels=1 ! opusenc ! tee name=t \
         t. ! queue ! filesink location={copy} \
         t. ! queue ! opusdec ! filesink location={copy}.pcm \
         t. ! queue ! rtpopuspay ssrc={ssrc} pt={pt} seqnum-offset={first} ! {sealed}",
        copy = copy.display(),
        ssrc = stream.ssrc.0,
        pt = stream.codec.payload_type(),
        first = stream.first_sequence,
        sealed = sealed(key, port),
    ))
}

/// Opens what arrives at `port` with `key` and writes what `depay` makes of it to `copy`.
fn listen(key: &MasterKey, stream: StreamPlan, port: u16, depay: &str, copy: &Path) -> Program {
    let (media, encoding) = match stream.codec {
        Codec::Opus => ("audio", "OPUS"),
        Codec::Vp8 => ("video", "VP8"),
        Codec::Vp9 => ("video", "VP9"),
    };
    pipeline(&format!(
        "udpsrc port={port} buffer-size=4000000 caps=application/x-srtp,media={media},\
         encoding-name={encoding},payload={pt},clock-rate={clock},ssrc=(uint){ssrc},\
         srtp-key=(buffer){key},srtp-cipher=aes-128-gcm,srtcp-cipher=aes-128-gcm,srtp-auth=null,\
         srtcp-auth=null,roc=(uint)0 ! srtpdec ! {depay} ! filesink location={copy}",
        pt = stream.codec.payload_type(),
        clock = stream.codec.clock_hz(),
        ssrc = stream.ssrc.0,
        key = key_and_salt(key),
        copy = copy.display(),
    ))
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    socket.local_addr().unwrap().port()
}

fn wait_until(what: &str, reached: impl Fn() -> bool) {
    for _ in 0..300 {
        if reached() {
            return;
        }
        pause(Duration::from_millis(100));
    }
    panic!("waited 30 s in vain until {what}");
}

fn finish(mut pipeline: Program) {
    assert!(pipeline.wait().unwrap().success(), "a sending pipeline failed");
}
