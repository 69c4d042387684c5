//! The two terminals of these tests, what control would tell them, what they send and remember.

use crate::relay::Relay;
use kakehashi_terminal::media::pacer::{IvfSource, MediaFile, OpusSource, Repeat};
use kakehashi_terminal::media::summary::ReceivedStream;
use kakehashi_terminal::media::{
    CallMedia, CallOptions, CallSummary, Feed, FrameSink, FrameSource, MediaInput, MediaOutput,
    SinkFactory,
};
use kakehashi_terminal::packets::Frame;
use kakehashi_terminal::samples::{SPEECH_OPUS, VP9_IVF};
use kakehashi_wire::id::{CallId, MemberId};
use kakehashi_wire::media::{Codec, RelayPath, RelayRole, Sender, StreamKind, StreamPlan};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{MasterKey, Suite};
use kakehashi_wire::terminal::CallReady;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub(crate) fn key(of: u8) -> MasterKey {
    MasterKey::new(Suite::AeadAes128Gcm, &[of; 32], &[of; 12])
}

pub(crate) fn plans(first_ssrc: u32, kinds: &[(StreamKind, Codec)]) -> Vec<StreamPlan> {
    let plan = |(at, &(kind, codec)): (usize, &(StreamKind, Codec))| {
        let ssrc = Ssrc(first_ssrc + at as u32);
        // Close to the first wrap of the sequence number.
        StreamPlan { kind, codec, ssrc, first_sequence: 32_700, rollover: 0 }
    };
    kinds.iter().enumerate().map(plan).collect()
}

/// What control would tell the two members, with a primary and maybe a standby.
pub(crate) fn call(kinds: &[(StreamKind, Codec)], relays: &[&Relay]) -> [CallReady; 2] {
    let sealed = relays.iter().any(|relay| relay.seals());
    call_over(kinds, sealed, |own| {
        let relays = relays.iter().enumerate();
        let path = |(at, relay): (usize, &&Relay)| relay.path(leg(own, at), role(at));
        relays.map(path).collect()
    })
}

/// The leg of a member at a relay.
pub(crate) fn leg(own: u8, relay: usize) -> u64 {
    10 * (relay as u64 + 1) + u64::from(own)
}

/// The first relay is the primary.
pub(crate) fn role(relay: usize) -> RelayRole {
    if relay == 0 { RelayRole::Primary } else { RelayRole::Standby }
}

/// What control would tell the two members, each of which has these paths.
pub(crate) fn call_over(
    kinds: &[(StreamKind, Codec)],
    sealed: bool,
    paths: impl Fn(u8) -> Vec<RelayPath>,
) -> [CallReady; 2] {
    let side = |own: u8, other: u8| CallReady {
        call: CallId(77),
        round: 0,
        key: key(own),
        streams: plans(100 * u32::from(own), kinds),
        senders: vec![Sender {
            member: MemberId(other),
            login: format!("member-{other}"),
            key: (!sealed).then(|| key(other)),
            streams: plans(100 * u32::from(other), kinds),
        }],
        paths: paths(own),
        hitless: false,
    };
    [side(0, 1), side(1, 0)]
}

pub(crate) const BOTH: [(StreamKind, Codec); 2] =
    [(StreamKind::Audio, Codec::Opus), (StreamKind::Camera, Codec::Vp9)];

pub(crate) type Recorded = Arc<Mutex<BTreeMap<&'static str, Vec<Vec<u8>>>>>;

/// Remembers frames by the kind of their stream.
#[derive(Clone, Default)]
pub(crate) struct Memory(pub(crate) Recorded);

struct MemorySink {
    kind: &'static str,
    to: Recorded,
}

impl SinkFactory for Memory {
    fn sink(&mut self, _: &str, plan: StreamPlan) -> Result<Option<Box<dyn FrameSink>>, String> {
        let kind = if plan.kind == StreamKind::Audio { "audio" } else { "camera" };
        Ok(Some(Box::new(MemorySink { kind, to: Arc::clone(&self.0) })))
    }
}

impl FrameSink for MemorySink {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        let mut to = self.to.lock().unwrap();
        to.entry(self.kind).or_default().push(frame.data.clone());
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }
}

pub(crate) fn sample_sources() -> Vec<MediaInput> {
    let speech = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap();
    let picture = IvfSource::open(MediaFile::Embedded(VP9_IVF), Repeat::Forever).unwrap();
    vec![
        MediaInput {
            kind: StreamKind::Audio,
            codec: Codec::Opus,
            feed: Feed::Frames(Box::new(speech)),
        },
        MediaInput {
            kind: StreamKind::Camera,
            codec: Codec::Vp9,
            feed: Feed::Frames(Box::new(picture)),
        },
    ]
}

/// The first frames of the samples, as they were sent.
pub(crate) fn sent_frames(kind: &str, count: u64) -> Vec<Vec<u8>> {
    let mut source: Box<dyn FrameSource> = match kind {
        "audio" => {
            Box::new(OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap())
        }
        _ => Box::new(IvfSource::open(MediaFile::Embedded(VP9_IVF), Repeat::Forever).unwrap()),
    };
    (0..count).map(|_| source.next_frame().unwrap().unwrap().data).collect()
}

pub(crate) struct Side {
    pub(crate) media: CallMedia,
    pub(crate) memory: Memory,
}

pub(crate) fn start(ready: &CallReady, millis: Option<u64>) -> Side {
    start_with(ready, sample_sources(), millis)
}

pub(crate) fn start_with(ready: &CallReady, inputs: Vec<MediaInput>, millis: Option<u64>) -> Side {
    let memory = Memory::default();
    let output = MediaOutput { sinks: Some(Box::new(memory.clone())), plain: Vec::new() };
    let options =
        CallOptions { send_for: millis.map(Duration::from_millis), ..CallOptions::default() };
    Side { media: CallMedia::start(ready, inputs, output, options).unwrap(), memory }
}

/// Waits for both ends; the second member ends because the first says goodbye.
pub(crate) async fn finish(a: &mut Side, b: &mut Side) -> (CallSummary, CallSummary) {
    let ends = async { (a.media.finished().await.unwrap(), b.media.finished().await.unwrap()) };
    tokio::time::timeout(Duration::from_secs(20), ends).await.unwrap()
}

pub(crate) fn stream<'a>(summary: &'a CallSummary, kind: &str) -> &'a ReceivedStream {
    summary.received.iter().find(|stream| stream.kind == kind).unwrap()
}
