//! Where received frames go, on a thread of their own: a slow disk never delays media.

use super::StreamId;
use super::summary::RecordingSummary;
use crate::capacity::RECORDED_FRAMES_MAX;
use crate::files::ivf::{IvfError, IvfWriter};
use crate::files::ogg::{OggError, OpusHead, OpusWriter};
use crate::packets::counter::TimestampCounter;
use crate::packets::{Frame, opus};
use kakehashi_wire::media::{Codec, StreamKind, StreamPlan};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;

/// Takes the frames of one stream.
pub trait FrameSink: Send {
    /// Takes a frame.
    ///
    /// # Errors
    /// A sentence why it could not be kept; the sink gets no more frames then.
    fn put(&mut self, frame: &Frame) -> Result<(), String>;

    /// Ends the stream; gives the file, if there is one.
    ///
    /// # Errors
    /// A sentence why the end could not be written.
    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String>;
}

/// Makes the sinks of a call.
pub trait SinkFactory: Send {
    /// A sink for a stream of the member `login`; `None` if nobody wants it.
    ///
    /// # Errors
    /// A sentence why there can be none.
    fn sink(&mut self, login: &str, plan: StreamPlan)
    -> Result<Option<Box<dyn FrameSink>>, String>;
}

/// What the recorder's thread is told.
enum Item {
    /// Frames of this stream go there.
    Sink(StreamId, Box<dyn FrameSink>),
    /// A frame.
    Frame(StreamId, Frame),
}

/// A stream that is recorded: by whose it is, its number and that of the sink it goes to.
struct Recorded {
    login: String,
    kind: StreamKind,
    stream: StreamId,
    sink: StreamId,
    round: u32,
}

/// The thread that hands frames to their sinks: one for each stream of each member, over all rounds
/// of the call in which it takes part without a break.
pub struct Recorder {
    factory: Option<Box<dyn SinkFactory>>,
    /// Of the rounds that are not over.
    streams: Vec<Recorded>,
    round: u32,
    items: Option<SyncSender<Item>>,
    thread: Option<JoinHandle<RecordingSummary>>,
    skipped: u64,
    errors: Vec<String>,
}

impl Recorder {
    /// Starts a recorder; without a factory it takes nothing.
    pub fn start(factory: Option<Box<dyn SinkFactory>>) -> Self {
        let mut recorder = Self {
            factory,
            streams: Vec::new(),
            round: 0,
            items: None,
            thread: None,
            skipped: 0,
            errors: Vec::new(),
        };
        if recorder.factory.is_none() {
            return recorder;
        }
        let (items, inbox) = sync_channel(RECORDED_FRAMES_MAX);
        let spawned =
            std::thread::Builder::new().name("recorder".into()).spawn(move || record(&inbox));
        match spawned {
            Ok(thread) => {
                recorder.thread = Some(thread);
                recorder.items = Some(items);
            }
            Err(error) => recorder.errors.push(format!("no thread for the recording: {error}")),
        }
        recorder
    }

    /// A round begins with these streams. Those of members of the round before go on where they
    /// went.
    pub fn begin_round<'a>(
        &mut self,
        streams: impl Iterator<Item = (StreamId, &'a str, StreamPlan)>,
    ) {
        self.round += 1;
        let round = self.round;
        // What is under way of the round before is kept, too.
        self.streams.retain(|it| it.round + 1 == round);
        let before = self.streams.len();
        let mut taken = vec![false; before];
        for (stream, login, plan) in streams {
            let same = |(at, it): &(usize, &Recorded)| {
                !taken[*at] && it.login == login && it.kind == plan.kind
            };
            let sink = match self.streams[..before].iter().enumerate().find(same) {
                Some((at, it)) => {
                    taken[at] = true;
                    Some(it.sink)
                }
                None => self.open(stream, login, plan).then_some(stream),
            };
            let (login, kind) = (login.to_owned(), plan.kind);
            self.streams.extend(sink.map(|sink| Recorded { login, kind, stream, sink, round }));
        }
    }

    fn open(&mut self, stream: StreamId, login: &str, plan: StreamPlan) -> bool {
        let (Some(factory), Some(items)) = (&mut self.factory, &self.items) else { return false };
        match factory.sink(login, plan) {
            Ok(Some(sink)) => return items.send(Item::Sink(stream, sink)).is_ok(),
            Ok(None) => {}
            Err(why) => self.errors.push(why),
        }
        false
    }

    /// Hands a frame over; skips it if the disk is too far behind.
    pub fn put(&mut self, stream: StreamId, frame: Frame) {
        let Some(items) = &self.items else { return };
        let Some(recorded) = self.streams.iter().find(|it| it.stream == stream) else { return };
        if let Err(TrySendError::Full(_)) = items.try_send(Item::Frame(recorded.sink, frame)) {
            self.skipped += 1;
        }
    }

    /// Waits until everything is written. Blocks.
    pub fn finish(mut self) -> RecordingSummary {
        drop(self.items.take());
        let written = self.thread.take().map(JoinHandle::join);
        let mut summary = match written {
            Some(Ok(summary)) => summary,
            Some(Err(_)) => RecordingSummary {
                errors: vec!["the recording thread failed".into()],
                ..RecordingSummary::default()
            },
            None => RecordingSummary::default(),
        };
        summary.frames_skipped = self.skipped;
        summary.errors.extend(self.errors);
        summary
    }
}

fn record(inbox: &Receiver<Item>) -> RecordingSummary {
    let mut sinks: BTreeMap<StreamId, Box<dyn FrameSink>> = BTreeMap::new();
    let mut summary = RecordingSummary::default();
    for item in inbox {
        match item {
            Item::Sink(stream, sink) => drop(sinks.insert(stream, sink)),
            Item::Frame(stream, frame) => {
                let Some(sink) = sinks.get_mut(&stream) else { continue };
                if let Err(why) = sink.put(&frame) {
                    // What is written so far still plays once its end is marked.
                    summary.errors.push(why);
                    finish(sinks.remove(&stream), &mut summary);
                }
            }
        }
    }
    while let Some((_, sink)) = sinks.pop_first() {
        finish(Some(sink), &mut summary);
    }
    summary
}

fn finish(sink: Option<Box<dyn FrameSink>>, summary: &mut RecordingSummary) {
    match sink.map_or(Ok(None), FrameSink::finish) {
        Ok(file) => summary.files.extend(file),
        Err(why) => summary.errors.push(why),
    }
}

/// Records each stream into a file of a directory.
#[derive(Clone, Debug)]
pub struct RecordingDirectory {
    directory: PathBuf,
}

impl RecordingDirectory {
    /// Records into `directory`, which is made if it is not there.
    ///
    /// # Errors
    /// As the system has it.
    pub fn new(directory: &Path) -> io::Result<Self> {
        std::fs::create_dir_all(directory)?;
        Ok(Self { directory: directory.to_owned() })
    }
}

impl SinkFactory for RecordingDirectory {
    fn sink(
        &mut self,
        login: &str,
        plan: StreamPlan,
    ) -> Result<Option<Box<dyn FrameSink>>, String> {
        let (kind, extension) = match plan.kind {
            StreamKind::Audio => ("audio", "opus"),
            StreamKind::Camera => ("video", "ivf"),
            StreamKind::Screen => ("screen", "ivf"),
        };
        let (file, path) = create(&self.directory, &file_name(login), kind, extension)?;
        let output = BufWriter::new(file);
        Ok(Some(match plan.codec {
            Codec::Opus => Box::new(OpusFile {
                path,
                serial: plan.ssrc.0,
                state: OpusState::Empty(output),
                next: None,
            }),
            codec => {
                let writer = IvfWriter::recording(output, codec).map_err(|e| named(&path, &e))?;
                Box::new(IvfFile { path, writer, time: TimestampCounter::default() })
            }
        }))
    }
}

/// Makes a file that was not there before: a recording never overwrites another.
fn create(
    directory: &Path,
    login: &str,
    kind: &str,
    extension: &str,
) -> Result<(File, PathBuf), String> {
    for number in 1..10_000 {
        let suffix = if number == 1 { String::new() } else { format!("-{number}") };
        let path = directory.join(format!("{login}-{kind}{suffix}.{extension}"));
        match File::create_new(&path) {
            Ok(file) => return Ok((file, path)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(named(&path, &error)),
        }
    }
    Err(format!("{}: too many recordings, move some away", directory.display()))
}

/// A login ID as part of a file name: no separators, no leading dot.
fn file_name(login: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '@' | '.');
    let name: String = login.chars().map(|c| if plain(c) { c } else { '_' }).collect();
    let name = name.trim_start_matches('.');
    if name.is_empty() { "unnamed".to_owned() } else { name.to_owned() }
}

fn named(path: &Path, error: &dyn core::fmt::Display) -> String {
    format!("{}: {error}", path.display())
}

struct IvfFile {
    path: PathBuf,
    writer: IvfWriter<BufWriter<File>>,
    time: TimestampCounter,
}

impl FrameSink for IvfFile {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        let time = self.time.extend(frame.timestamp);
        self.writer.write(time, &frame.data).map_err(|error: IvfError| named(&self.path, &error))
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        match self.writer.finish() {
            Ok(_) => Ok(Some(self.path)),
            Err(error) => Err(named(&self.path, &error)),
        }
    }
}

struct OpusFile {
    path: PathBuf,
    /// The plan's SSRC: as good as random, and another for each file (RFC 3533 6).
    serial: u32,
    state: OpusState,
    /// The timestamp that follows the last packet without a gap.
    next: Option<u32>,
}

enum OpusState {
    Empty(BufWriter<File>),
    Writing(OpusWriter<BufWriter<File>>),
    Broken,
}

impl OpusFile {
    /// The writer; the header needs the first packet, which tells mono from stereo.
    fn writer(&mut self, first: &[u8]) -> Result<&mut OpusWriter<BufWriter<File>>, OggError> {
        /// RFC 6716 3.1: the s bit of the first byte.
        const STEREO: u8 = 4;
        if let OpusState::Empty(_) = self.state
            && let OpusState::Empty(output) = core::mem::replace(&mut self.state, OpusState::Broken)
        {
            let stereo = first.first().is_some_and(|toc| toc & STEREO != 0);
            let head = OpusHead {
                channels: if stereo { 2 } else { 1 },
                // RFC 7845 5.1: what encoders usually need, 6.5 ms.
                pre_skip: 312,
                input_hz: 48_000,
                output_gain: 0,
            };
            self.state = OpusState::Writing(OpusWriter::new(output, head, self.serial)?);
        }
        match &mut self.state {
            OpusState::Writing(writer) => Ok(writer),
            _ => Err(io::Error::other("the file could not be begun").into()),
        }
    }

    fn append(&mut self, frame: &Frame) -> Result<(), OggError> {
        let gap = self.next.map_or(0, |next| frame.timestamp.wrapping_sub(next));
        let samples = opus::samples(&frame.data).unwrap_or(0);
        let writer = self.writer(&frame.data)?;
        // A gap that reads as more than half the range is a step back, which Ogg cannot say.
        if gap != 0 && gap < 1 << 31 {
            writer.conceal(u64::from(gap))?;
        }
        writer.write(&frame.data)?;
        self.next = Some(frame.timestamp.wrapping_add(samples));
        Ok(())
    }
}

impl FrameSink for OpusFile {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        self.append(frame).map_err(|error| named(&self.path, &error))
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        match self.state {
            OpusState::Writing(writer) => match writer.finish() {
                Ok(_) => Ok(Some(self.path)),
                Err(error) => Err(named(&self.path, &error)),
            },
            // Nothing came: no file is better than one that does not play.
            OpusState::Empty(_) | OpusState::Broken => {
                let _ = std::fs::remove_file(&self.path);
                Ok(None)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::rtp::Ssrc;

    #[test]
    fn a_login_cannot_leave_the_directory() {
        assert_eq!(file_name("store-1"), "store-1");
        assert_eq!(file_name("../../etc/passwd"), "_.._etc_passwd");
        assert_eq!(file_name("..."), "unnamed");
        assert_eq!(file_name("店舗\n1"), "店舗_1");
    }

    #[test]
    fn a_second_recording_gets_its_own_file_and_an_empty_one_none() {
        let directory = tempfile::tempdir().unwrap();
        let mut factory = RecordingDirectory::new(directory.path()).unwrap();
        let plan =
            |kind, codec| StreamPlan { kind, codec, ssrc: Ssrc(1), first_sequence: 0, rollover: 0 };
        let audio = plan(StreamKind::Audio, Codec::Opus);
        let frame =
            Frame { timestamp: 0, key: true, lost_before: false, data: vec![15 << 3, 1, 2] };
        for _ in 0..2 {
            let streams = [(StreamId(0), "store", audio)];
            let mut recorder = Recorder::start(Some(Box::new(factory.clone())));
            recorder.begin_round(streams.into_iter());
            recorder.put(StreamId(0), frame.clone());
            let summary = recorder.finish();
            assert_eq!((summary.files.len(), summary.errors.len()), (1, 0));
        }
        let empty = factory.sink("other", audio).unwrap().unwrap();
        assert_eq!(empty.finish(), Ok(None));
        let mut names: Vec<_> = std::fs::read_dir(directory.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["store-audio-2.opus", "store-audio.opus"]);
    }
}
