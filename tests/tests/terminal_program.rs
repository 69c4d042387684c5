//! `kakehashi-terminal` between live GStreamer pipelines: what is filmed and said into one
//! terminal comes out of the other, picture for picture and packet for packet. And what it says
//! when it is started wrongly.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::gstreamer::{self, pipeline};
use kakehashi_tests::platform::{Platform, program};
use kakehashi_wire::media::Codec;
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::net::{Ipv4Addr, UdpSocket};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);
const CALL_SECONDS: usize = 5;
const PICTURES_A_SECOND: usize = 30;
/// A receiver that joins late waits at most this long for a picture to begin with.
const KEY_FRAME_INTERVAL: usize = 30;
const WIDTH: usize = 320;
const HEIGHT: usize = 240;
/// I420: a byte of luma a pixel, two of chroma for four.
const PICTURE_BYTES: usize = WIDTH * HEIGHT * 3 / 2;
/// 20 ms of 16-bit mono at 48 kHz.
const SOUND_BYTES: usize = 960 * 2;

#[test]
fn live_pipelines_talk_through_two_terminals() {
    gstreamer::require();
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    for name in ["film", "said", "heard"] {
        std::fs::create_dir(at(name)).unwrap();
    }
    let [video_in, audio_in, video_out, audio_out] = free_ports();

    let watching = watch(video_out, &at("seen.raw"));
    let listening = listen(audio_out, &at("heard"), &at("heard.raw"));
    let mut waiting = platform.terminal(&concierge);
    waiting.args(["--rtp-out", &format!("video={video_out}")]);
    waiting.args(["--rtp-out", &format!("audio={audio_out}"), "wait", "--calls", "1"]);
    let mut waiting = Program::start(waiting.stdout(Stdio::piped()));
    let callee = Lines::of(waiting.stdout.take().unwrap());
    callee.until("Signed in as concierge-1", SOON);

    // The camera and the microphone run before the call and after it.
    let filming = film(video_in, &at("film"), &at("filmed.raw"));
    let talking = talk(audio_in, &at("said"));
    pause(Duration::from_millis(1_500));
    let mut calling = platform.terminal(&store);
    calling.args(["--rtp-in", &format!("video={video_in}")]);
    calling.args(["--rtp-in", &format!("audio={audio_in}"), "call", "concierge-1"]);
    let caller = calling.args(["--seconds", &CALL_SECONDS.to_string()]).output().unwrap();
    assert!(caller.status.success(), "{}", text(&caller.stderr));
    assert!(waiting.wait().unwrap().success(), "{}", callee.so_far());
    pause(Duration::from_millis(500));
    for pipeline in [filming, talking, watching, listening] {
        gstreamer::interrupt(pipeline);
    }

    let (caller, callee) = (text(&caller.stdout), callee.so_far());
    println!("{caller}\n{callee}");
    for stream in ["audio  opus", "camera vp8"] {
        let sent = line(&caller, &format!("  sent     {stream}"));
        let got = line(&callee, &format!("  received {stream}"));
        assert_eq!(number_before(sent, " packets"), number_before(got, " packets"));
        assert_eq!(number_before(got, " lost (0.00 %)"), 0.0);
        assert_eq!(number_before(sent, " missed there"), 0.0);
        // The numbers a person looks for; real pipelines have some jitter.
        for line in [sent, got] {
            assert!(line.contains("jitter "), "{line}");
            assert!((0.0..1_000.0).contains(&number_before(line, " ms")), "{line}");
        }
    }
    let round_trip = number_before(line(&caller, "  round trip"), " ms");
    assert!((0.0..1_000.0).contains(&round_trip), "{round_trip}");

    compare_pictures(folder.path());
    compare_sound(folder.path());
}

/// Everything seen is what was filmed, without a hole, from a key frame of the running film on.
fn compare_pictures(folder: &Path) {
    let hashes = |name: &str| -> Vec<[u8; 32]> {
        let pictures = std::fs::read(folder.join(name)).unwrap();
        assert_eq!(pictures.len() % PICTURE_BYTES, 0, "{name} ends inside a picture");
        pictures.chunks(PICTURE_BYTES).map(|picture| Sha256::digest(picture).into()).collect()
    };
    let (filmed, seen) = (hashes("filmed.raw"), hashes("seen.raw"));
    let different: HashSet<_> = filmed.iter().collect();
    assert_eq!(different.len(), filmed.len(), "the test pictures repeat");
    let first = run_within(&filmed, &seen).expect("what is seen is one run of what was filmed");
    println!("{} pictures filmed, {} seen from number {first} on", filmed.len(), seen.len());
    assert!(first > 0, "the call starts in the middle of the film");
    // RFC 6386 9.1: the lowest bit of a key frame is 0.
    let encoded = numbered(&folder.join("film"));
    assert_eq!(encoded[first][0] & 1, 0, "a decoder begins with a key frame");
    let least = (CALL_SECONDS - 1) * PICTURES_A_SECOND - KEY_FRAME_INTERVAL;
    assert!(seen.len() >= least, "only {} pictures seen", seen.len());
}

/// Every Opus packet heard was said, without a hole, and all of them decode.
fn compare_sound(folder: &Path) {
    let (said, heard) = (numbered(&folder.join("said")), numbered(&folder.join("heard")));
    let first = run_within(&said, &heard).expect("what is heard is one run of what was said");
    println!("{} packets said, {} heard from number {first} on", said.len(), heard.len());
    assert!(first > 0, "the call starts while somebody speaks");
    assert!(heard.len() >= (CALL_SECONDS - 1) * 50, "only {} packets heard", heard.len());
    let sound = std::fs::metadata(folder.join("heard.raw")).unwrap().len();
    let missing = (heard.len() * SOUND_BYTES) as u64 - sound;
    assert!(missing <= 2 * SOUND_BYTES as u64, "{missing} bytes of sound are not decoded");
}

/// Where `part` lies in `whole`.
fn run_within<T: PartialEq>(whole: &[T], part: &[T]) -> Option<usize> {
    whole.windows(part.len().max(1)).position(|run| run == part)
}

#[test]
fn a_local_port_in_use_is_named() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let taken = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = taken.local_addr().unwrap();
    let mut command = platform.terminal(&store);
    command.args(["--rtp-in", &format!("audio={port}"), "call", &concierge.login]);
    let errors = complaint(&mut command);
    assert!(errors.contains(&port.to_string()) && errors.contains("another port"), "{errors}");
}

#[test]
fn files_that_cannot_be_used_are_named_with_their_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let missing = "/no/such/file".to_owned();
    let directory = folder.path().to_str().unwrap().to_owned();
    let unknown = file("unknown.toml", b"tenant = \"ginza\"\nno_such_key = 1\n");
    let broken = file("broken.toml", b"tenant = \n");
    let binary = file("binary.toml", &[0xff, 0xfe, 0]);
    let large = file("large.toml", &vec![b'#'; 2 << 20]);
    let port = file("port.toml", b"rtp_in = [\"video=192.0.2.1:5004\"]\n");
    for (config, fault) in [
        (&missing, "No such file"),
        (&directory, "directory"),
        (&unknown, "no_such_key"),
        (&broken, "line 1"),
        (&binary, "not text"),
        (&large, "larger than"),
        (&port, "192.0.2.1:5004"),
    ] {
        let errors = complaint(terminal().args(["--config", config, "presence"]));
        assert!(errors.contains(config.as_str()) && errors.contains(fault), "{errors}");
    }

    let empty = file("empty.pem", b"");
    let words = file("words.pem", b"no certificate here\n");
    let cut = file("cut.pem", b"-----BEGIN CERTIFICATE-----\nMIIB\n");
    let rubbish =
        file("rubbish.pem", b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    for (ca, fault) in [
        (&missing, "No such file"),
        (&directory, "directory"),
        (&empty, "holds no certificate"),
        (&words, "holds no certificate"),
        (&cut, "not valid PEM"),
        (&rubbish, "malformed"),
    ] {
        let arguments = ["--ca", ca, "--tenant", "ginza", "--login", "x", "presence"];
        let errors = complaint(terminal().args(arguments));
        assert!(errors.contains(ca.as_str()) && errors.contains(fault), "{errors}");
        assert!(errors.contains("ca.pem"), "what to give instead: {errors}");
    }
}

fn terminal() -> Command {
    let mut command = Command::new(program("kakehashi-terminal"));
    command.env("KAKEHASHI_PASSWORD", "secret").args(["--device", "1"]).stdin(Stdio::null());
    command
}

/// What a program that must fail says about it, which is one sentence and no panic.
fn complaint(command: &mut Command) -> String {
    let Output { status, stderr, .. } = command.output().unwrap();
    let errors = text(&stderr);
    assert!(!status.success() && errors.starts_with("error: "), "{errors}");
    assert!(!errors.contains("panicked"), "{errors}");
    errors
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The one line of `printed` that starts so.
fn line<'a>(printed: &'a str, start: &str) -> &'a str {
    let found = printed.lines().find(|line| line.starts_with(start));
    found.unwrap_or_else(|| panic!("no line starts with `{start}` in:\n{printed}"))
}

/// The number right before the last `unit` of a line.
fn number_before(line: &str, unit: &str) -> f64 {
    let before = line.rsplit_once(unit).map(|(before, _)| before);
    let number = before.and_then(|before| before.split_whitespace().next_back());
    let number = number.and_then(|number| number.parse().ok());
    number.unwrap_or_else(|| panic!("no number before `{unit}` in: {line}"))
}

/// The numbered files GStreamer wrote, in order.
fn numbered(folder: &Path) -> Vec<Vec<u8>> {
    (0..).map_while(|at| std::fs::read(folder.join(format!("{at:05}"))).ok()).collect()
}

fn free_ports() -> [u16; 4] {
    let socket = || UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    // All are held at once, so that all differ.
    [socket(), socket(), socket(), socket()].map(|socket| socket.local_addr().unwrap().port())
}

/// A camera at `port`; keeps its frames, and the pictures in them.
fn film(port: u16, frames: &Path, pictures: &Path) -> Program {
    pipeline(&format!(
        "videotestsrc is-live=true pattern=ball ! \
         video/x-raw,width={WIDTH},height={HEIGHT},framerate={PICTURES_A_SECOND}/1 ! \
         timeoverlay ! vp8enc deadline=1 keyframe-max-dist={KEY_FRAME_INTERVAL} ! tee name=t \
         t. ! queue ! multifilesink location={frames}/%05d \
         t. ! queue ! vp8dec ! filesink location={pictures} \
         t. ! queue ! rtpvp8pay mtu=1200 ! udpsink host=127.0.0.1 port={port} sync=false",
        frames = frames.display(),
        pictures = pictures.display(),
    ))
}

/// A microphone at `port`, in a wind that never sounds the same; keeps its packets.
fn talk(port: u16, packets: &Path) -> Program {
    pipeline(&format!(
        "audiotestsrc is-live=true wave=white-noise volume=0.2 samplesperbuffer=960 ! \
         audio/x-raw,rate=48000,channels=1 ! opusenc ! tee name=t \
         t. ! queue ! multifilesink location={packets}/%05d \
         t. ! queue ! rtpopuspay ! udpsink host=127.0.0.1 port={port} sync=false",
        packets = packets.display(),
    ))
}

/// A screen at `port`; keeps its pictures.
fn watch(port: u16, pictures: &Path) -> Program {
    pipeline(&format!(
        "udpsrc address=127.0.0.1 port={port} buffer-size=4000000 caps=application/x-rtp,\
         media=video,encoding-name=VP8,payload={payload},clock-rate=90000 ! \
         rtpvp8depay ! vp8dec ! filesink location={pictures}",
        payload = Codec::Vp8.payload_type(),
        pictures = pictures.display(),
    ))
}

/// A loudspeaker at `port`; keeps its packets, and the sound in them.
fn listen(port: u16, packets: &Path, sound: &Path) -> Program {
    pipeline(&format!(
        "udpsrc address=127.0.0.1 port={port} buffer-size=4000000 caps=application/x-rtp,\
         media=audio,encoding-name=OPUS,payload={payload},clock-rate=48000 ! \
         rtpopusdepay ! tee name=t \
         t. ! queue ! multifilesink location={packets}/%05d \
         t. ! queue ! opusdec ! audio/x-raw,format=S16LE,rate=48000,channels=1 ! \
         filesink location={sound}",
        payload = Codec::Opus.payload_type(),
        packets = packets.display(),
        sound = sound.display(),
    ))
}
