//! Real speech that is recognised where it arrives: what left when, what came when, and which is
//! which.

use crate::capacity::FRAMES_MAX;
use crate::clock::Clock;
use core::cmp::Reverse;
use core::time::Duration;
use kakehashi_terminal::media::pacer::{MediaFile, OpusSource, Repeat, TimedFrame};
use kakehashi_terminal::media::{
    Feed, FrameSink, FrameSource, MediaInput, MediaOutput, SinkFactory, SourceError,
};
use kakehashi_terminal::packets::Frame;
use kakehashi_terminal::samples::SPEECH_OPUS;
use kakehashi_wire::media::{Codec, StreamKind, StreamPlan};
use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A frame that left.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Sent {
    /// Media time since the source's beginning, in samples.
    media_time: u64,
    data: Vec<u8>,
    /// When it was handed to the network; none while it waits.
    left: Option<Duration>,
}

/// A frame that came.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Came {
    timestamp: u32,
    data: Vec<u8>,
    at: Duration,
}

/// One direction of one call.
#[derive(Default)]
struct Noted {
    sent: Vec<Sent>,
    came: Vec<Came>,
    is_over: bool,
}

/// What was noted of one direction; both ends write into it.
#[derive(Clone)]
pub(super) struct Direction {
    noted: Arc<Mutex<Noted>>,
    clock: Clock,
}

/// What became of one direction's frames.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(super) struct Heard {
    /// Frames that left.
    pub(super) sent: u64,
    /// Of those, frames that came as they were, each once.
    pub(super) received: u64,
    /// Frames that came and were not sent.
    pub(super) wrong: u64,
    /// Frames that left after the last one that came.
    pub(super) silent_at_end: u64,
    /// Half of the frames were under way for at most so long; none if none came.
    pub(super) delay: Option<Duration>,
}

impl Direction {
    /// Nothing yet.
    pub(super) fn new(clock: Clock) -> Self {
        Self { noted: Arc::default(), clock }
    }

    /// The microphone at its beginning: the sample's speech, over and over.
    pub(super) fn input(&self) -> Result<MediaInput, SourceError> {
        let speech = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever)?;
        let feed = Feed::Frames(Box::new(Microphone { speech, direction: self.clone() }));
        Ok(MediaInput { kind: StreamKind::Audio, codec: Codec::Opus, feed })
    }

    /// The loudspeaker at its end.
    pub(super) fn output(&self) -> MediaOutput {
        let sinks: Box<dyn SinkFactory> = Box::new(self.clone());
        MediaOutput { sinks: Some(sinks), ..MediaOutput::default() }
    }

    /// Nothing more is said.
    pub(super) fn hush(&self) {
        self.noted().is_over = true;
    }

    fn noted(&self) -> MutexGuard<'_, Noted> {
        self.noted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What became of the frames so far.
    pub(super) fn heard(&self) -> Heard {
        self.noted().heard()
    }
}

/// The sample's speech; notes each frame as it leaves.
struct Microphone {
    speech: OpusSource,
    direction: Direction,
}

impl FrameSource for Microphone {
    fn codec(&self) -> Codec {
        self.speech.codec()
    }

    /// A pacer asks for the next frame in the moment in which the one before leaves.
    fn next_frame(&mut self) -> Result<Option<TimedFrame>, SourceError> {
        let now = self.direction.clock.now();
        let mut noted = self.direction.noted();
        if let Some(before) = noted.sent.last_mut() {
            before.left.get_or_insert(now);
        }
        let is_over = noted.is_over || noted.sent.len() as u64 >= FRAMES_MAX;
        let frame = if is_over { None } else { self.speech.next_frame()? };
        if let Some(frame) = &frame {
            let (media_time, data) = (frame.at, frame.data.clone());
            noted.sent.push(Sent { media_time, data, left: None });
        }
        Ok(frame)
    }
}

impl SinkFactory for Direction {
    fn sink(&mut self, _: &str, _: StreamPlan) -> Result<Option<Box<dyn FrameSink>>, String> {
        Ok(Some(Box::new(self.clone())))
    }
}

impl FrameSink for Direction {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        let at = self.clock.now();
        let mut noted = self.noted();
        if (noted.came.len() as u64) < FRAMES_MAX {
            let (timestamp, data) = (frame.timestamp, frame.data.clone());
            noted.came.push(Came { timestamp, data, at });
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }
}

impl Noted {
    fn heard(&self) -> Heard {
        let left: Vec<&Sent> = self.sent.iter().filter(|frame| frame.left.is_some()).collect();
        let offset = self.offset(&left);
        let by_time: HashMap<u32, usize> =
            left.iter().enumerate().map(|(at, sent)| (timestamp(sent, offset), at)).collect();
        let mut seen = vec![false; left.len()];
        let (mut delays, mut wrong) = (Vec::with_capacity(left.len()), 0);
        for came in &self.came {
            let Some(&at) = by_time.get(&came.timestamp).filter(|at| !seen[**at]) else {
                wrong += 1;
                continue;
            };
            if left[at].data != came.data {
                wrong += 1;
                continue;
            }
            seen[at] = true;
            delays.push(came.at.saturating_sub(left[at].left.unwrap_or_default()));
        }
        delays.sort_unstable();
        let silent_at_end = seen.iter().rev().take_while(|seen| !**seen).count();
        Heard {
            sent: left.len() as u64,
            received: delays.len() as u64,
            wrong,
            silent_at_end: silent_at_end as u64,
            delay: delays.get(delays.len() / 2).copied(),
        }
    }

    /// RTP timestamps begin at a random place (RFC 3550 5.1): the one under which most of what came
    /// is what was sent. The sample begins anew every few seconds; of places that are as likely it
    /// is the one under which nothing was under way for longer.
    fn offset(&self, left: &[&Sent]) -> u32 {
        let mut places: HashMap<&[u8], Vec<&Sent>> = HashMap::new();
        for sent in left {
            places.entry(&sent.data).or_default().push(sent);
        }
        let mut votes: HashMap<u32, (usize, Duration)> = HashMap::new();
        for came in &self.came {
            for sent in places.get(came.data.as_slice()).into_iter().flatten() {
                let delay = sent.left.and_then(|left| came.at.checked_sub(left));
                let Some(delay) = delay else { continue };
                let offset = came.timestamp.wrapping_sub(low(sent.media_time));
                let (count, total) = votes.entry(offset).or_default();
                *count += 1;
                *total += delay;
            }
        }
        let most = votes.into_iter().max_by_key(|(_, (count, total))| (*count, Reverse(*total)));
        most.map_or(0, |(offset, _)| offset)
    }
}

fn timestamp(sent: &Sent, offset: u32) -> u32 {
    offset.wrapping_add(low(sent.media_time))
}

fn low(time: u64) -> u32 {
    u32::try_from(time & 0xffff_ffff).expect("masked to 32 bits")
}

#[cfg(test)]
mod tests {
    use super::*;

    const OFFSET: u32 = u32::MAX - 1_000;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    /// A second of the sample, of which the last frame waits, and what came of it after 30 ms.
    fn second() -> Noted {
        let direction = Direction::new(Clock::start());
        let Feed::Frames(mut source) = direction.input().unwrap().feed else { panic!("frames") };
        for _ in 0..51 {
            source.next_frame().unwrap().unwrap();
        }
        let mut sent = core::mem::take(&mut direction.noted().sent);
        for (frame, at) in sent.iter_mut().zip(0..50) {
            assert!(frame.left.is_some());
            frame.left = Some(ms(at * 20));
        }
        let came = |sent: &Sent| Came {
            timestamp: timestamp(sent, OFFSET),
            data: sent.data.clone(),
            at: sent.left.unwrap() + ms(30),
        };
        let came = sent[..50].iter().map(came).collect();
        Noted { sent, came, is_over: false }
    }

    #[test]
    fn speech_is_recognised_wherever_its_timestamps_begin() {
        let heard = second().heard();
        let all = Heard { sent: 50, received: 50, delay: Some(ms(30)), ..Heard::default() };
        assert_eq!(heard, all);
    }

    #[test]
    fn losses_are_counted_and_those_at_the_end_apart() {
        let mut noted = second();
        noted.came.truncate(45);
        noted.came.remove(7);
        noted.came.remove(0);
        let heard = noted.heard();
        assert_eq!((heard.received, heard.silent_at_end, heard.wrong), (43, 5, 0));
        noted.came.clear();
        let heard = noted.heard();
        assert_eq!((heard.received, heard.silent_at_end, heard.delay), (0, 50, None));
    }

    #[test]
    fn the_sample_that_begins_anew_is_not_taken_for_its_beginning() {
        let mut noted = second();
        let again = noted.sent[..50].to_vec();
        noted.sent.pop();
        noted.sent.extend(again.into_iter().map(|frame| Sent {
            media_time: frame.media_time + 50 * 960,
            left: frame.left.map(|left| left + ms(1_000)),
            ..frame
        }));
        // Only the second turn comes.
        for came in &mut noted.came {
            came.timestamp = came.timestamp.wrapping_add(50 * 960);
            came.at += ms(1_000);
        }
        let heard = noted.heard();
        assert_eq!((heard.sent, heard.received, heard.silent_at_end), (100, 50, 0));
        assert_eq!(heard.delay, Some(ms(30)));
    }

    #[test]
    fn what_nobody_sent_is_told_apart() {
        let mut noted = second();
        noted.came[3].data[5] ^= 1;
        let twice = noted.came[9].clone();
        noted.came.push(twice);
        let heard = noted.heard();
        assert_eq!((heard.received, heard.wrong), (49, 2));
    }

    #[test]
    fn what_waits_when_it_is_hushed_still_leaves() {
        let direction = Direction::new(Clock::start());
        let Feed::Frames(mut source) = direction.input().unwrap().feed else { panic!("frames") };
        assert!(source.next_frame().unwrap().is_some());
        direction.hush();
        assert_eq!(direction.heard().sent, 0);
        assert!(source.next_frame().unwrap().is_none());
        assert_eq!(direction.heard().sent, 1);
    }

    #[test]
    fn no_more_is_noted_than_there_is_room_for() {
        let direction = Direction::new(Clock::start());
        let Feed::Frames(mut source) = direction.input().unwrap().feed else { panic!("frames") };
        let count = core::iter::from_fn(|| source.next_frame().unwrap()).count();
        assert_eq!(count as u64, FRAMES_MAX);
        let mut sink = direction.clone();
        let frame = Frame { timestamp: 0, key: true, lost_before: false, data: vec![1] };
        for _ in 0..FRAMES_MAX + 5 {
            sink.put(&frame).unwrap();
        }
        assert_eq!(direction.noted().came.len() as u64, FRAMES_MAX);
    }
}
