//! What is sent and what is heard: voice whose every packet has a number, and a book of what came.

use crate::clock::now;
use core::time::Duration;
use kakehashi_terminal::media::{FrameSink, FrameSource, SinkFactory, SourceError, TimedFrame};
use kakehashi_terminal::packets::Frame;
use kakehashi_wire::media::{Codec, StreamPlan};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// A voice packet lasts so long.
pub(crate) const INTERVAL: Duration = Duration::from_millis(20);

/// The same, in samples at 48 kHz.
const SAMPLES: u64 = 960;

/// Table of contents of an Opus packet: CELT, 20 ms, one frame (RFC 6716 3.1).
const TOC: u8 = 31 << 3;

/// What a voice sends at 64 kbit/s in 20 ms.
const FRAME_BYTES: usize = 160;

/// Packets without end; each bears its number behind its first byte.
#[derive(Default)]
pub(crate) struct Speech {
    sent: u64,
}

impl FrameSource for Speech {
    fn codec(&self) -> Codec {
        Codec::Opus
    }

    fn next_frame(&mut self) -> Result<Option<TimedFrame>, SourceError> {
        let mut data = vec![0; FRAME_BYTES];
        data[0] = TOC;
        data[1..9].copy_from_slice(&self.sent.to_be_bytes());
        let frame = TimedFrame { at: self.sent * SAMPLES, data };
        self.sent += 1;
        Ok(Some(frame))
    }
}

/// A packet that was heard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Heard {
    /// When.
    pub(crate) at: Instant,
    /// Its number.
    pub(crate) number: u64,
}

/// What one listener has heard of one speaker, in the order it came.
#[derive(Clone, Default)]
pub(crate) struct Book(Arc<Mutex<Vec<Heard>>>);

impl Book {
    fn open(&self) -> MutexGuard<'_, Vec<Heard>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything that was heard since it was last taken.
    pub(crate) fn take(&self) -> Vec<Heard> {
        std::mem::take(&mut *self.open())
    }

    /// When something was last heard.
    pub(crate) fn last(&self) -> Option<Instant> {
        self.open().last().map(|heard| heard.at)
    }
}

impl FrameSink for Book {
    fn put(&mut self, frame: &Frame) -> Result<(), String> {
        let at = now();
        if let Some(number) = frame.data.get(1..9).and_then(|bytes| bytes.try_into().ok()) {
            self.open().push(Heard { at, number: u64::from_be_bytes(number) });
        }
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<Option<PathBuf>, String> {
        Ok(None)
    }
}

impl SinkFactory for Book {
    fn sink(&mut self, _: &str, _: StreamPlan) -> Result<Option<Box<dyn FrameSink>>, String> {
        Ok(Some(Box::new(self.clone())))
    }
}

/// What a listener noticed of a fault.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Noticed {
    /// The longest silence beyond the normal interval.
    pub(crate) gap: Duration,
    /// Packets that never came.
    pub(crate) lost: u64,
}

/// What `heard` says about a fault: everything that was heard from before it until after it.
/// `None` if nothing was heard for as long as the fault was watched.
pub(crate) fn noticed(heard: &[Heard], watched_until: Instant) -> Option<Noticed> {
    let first = heard.first()?;
    let mut numbers: Vec<u64> = heard.iter().map(|heard| heard.number).collect();
    numbers.sort_unstable();
    numbers.dedup();
    let sent = numbers.last()? - numbers.first()? + 1;
    let silences = heard.windows(2).map(|pair| pair[1].at - pair[0].at);
    let last = heard.last().unwrap_or(first).at;
    let longest = silences.chain([watched_until.saturating_duration_since(last)]).max()?;
    Some(Noticed {
        gap: longest.saturating_sub(INTERVAL),
        lost: sent.saturating_sub(numbers.len() as u64),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(begin: Instant, packets: &[(u64, u64)]) -> Vec<Heard> {
        let heard = |&(ms, number)| Heard { at: begin + Duration::from_millis(ms), number };
        packets.iter().map(heard).collect()
    }

    #[test]
    fn the_longest_silence_and_the_numbers_between_count() {
        let begin = now();
        let until = begin + Duration::from_millis(300);
        let book = heard(begin, &[(0, 7), (20, 8), (240, 11), (241, 10), (280, 13)]);
        let noticed = noticed(&book, until).unwrap();
        assert_eq!(noticed, Noticed { gap: Duration::from_millis(200), lost: 2 });
    }

    #[test]
    fn a_silence_that_does_not_end_counts_to_the_end() {
        let begin = now();
        let book = heard(begin, &[(0, 1), (20, 2)]);
        let until = begin + Duration::from_millis(1_020);
        assert_eq!(noticed(&book, until).unwrap().gap, Duration::from_millis(980));
        assert_eq!(noticed(&[], until), None);
    }

    #[test]
    fn speech_is_numbered_and_on_time() {
        let mut speech = Speech::default();
        let mut next = || speech.next_frame().unwrap().unwrap();
        let (first, second) = (next(), next());
        assert_eq!((first.at, second.at), (0, 960));
        assert_eq!(second.data[..9], [TOC, 0, 0, 0, 0, 0, 0, 0, 1]);
    }
}
