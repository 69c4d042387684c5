//! Which frames leave when the network carries less than the sources give. Pure.
//!
//! **Audio always leaves. Video leaves frame by frame or not at all, and after a frame that did not
//! leave only a key frame does**, so that no receiver gets half a picture, or one that it cannot
//! decode. A bucket drains at the target rate and everything that leaves fills it; the camera is
//! held back first, the screen, which is there to be read, only when the bucket is twice as full.

use crate::clock::Moment;
use core::time::Duration;
use kakehashi_wire::media::StreamKind;

/// How long what has left may take to drain before a camera's frame is held back: the key frame of
/// a small picture at 300 kbit/s.
const CAMERA_PATIENCE: Duration = Duration::from_millis(400);

/// The same for a frame of the screen.
const SCREEN_PATIENCE: Duration = Duration::from_millis(800);

/// How long after a frame was held back the sources count as wanting more than they get.
const HUNGRY: Duration = Duration::from_secs(2);

/// What becomes of a frame.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Admission {
    /// It leaves.
    Leaves,
    /// It does not: the network is busy.
    HeldBack,
    /// It does not, and there is room: a key frame would leave.
    KeyWanted,
}

/// Decides about the frames of all streams a terminal sends.
#[derive(Debug)]
pub(super) struct Gate {
    debt_bits: u64,
    drained: Moment,
    held_back: Option<Moment>,
    /// For each stream: the next frame to leave is a key frame.
    broken: Vec<bool>,
}

impl Gate {
    /// For so many streams.
    pub(super) fn new(streams: usize, now: Moment) -> Self {
        Self { debt_bits: 0, drained: now, held_back: None, broken: vec![false; streams] }
    }

    /// Whether a frame leaves. `target` is in bits a second, `None` while nothing limits.
    pub(super) fn admits(
        &mut self,
        stream: usize,
        kind: StreamKind,
        key: bool,
        target: Option<u64>,
        now: Moment,
    ) -> Admission {
        let patience = match kind {
            StreamKind::Audio => return Admission::Leaves,
            StreamKind::Camera => CAMERA_PATIENCE,
            StreamKind::Screen => SCREEN_PATIENCE,
        };
        self.drain(target, now);
        let Some(broken) = self.broken.get_mut(stream) else { return Admission::HeldBack };
        let patient = target.is_none_or(|target| {
            u128::from(self.debt_bits) * 1_000_000 < u128::from(target) * patience.as_micros()
        });
        let admission = match (patient, key || !*broken) {
            (true, true) => Admission::Leaves,
            (true, false) => Admission::KeyWanted,
            (false, _) => Admission::HeldBack,
        };
        *broken = admission != Admission::Leaves;
        if *broken {
            self.held_back = Some(now);
        }
        admission
    }

    /// The next frame of a stream that leaves is a key frame, if it is video.
    pub(super) fn break_off(&mut self, stream: usize) {
        if let Some(broken) = self.broken.get_mut(stream) {
            *broken = true;
        }
    }

    /// Counts what leaves, audio, too.
    pub(super) fn fill(&mut self, bytes: usize, target: Option<u64>, now: Moment) {
        self.drain(target, now);
        self.debt_bits = self.debt_bits.saturating_add(bytes as u64 * 8);
    }

    /// Whether the sources give more than leaves.
    pub(super) fn is_hungry(&self, now: Moment) -> bool {
        self.held_back.is_some_and(|held| now.since(held) < HUNGRY)
    }

    fn drain(&mut self, target: Option<u64>, now: Moment) {
        let micros = u64::try_from(now.since(self.drained).as_micros()).unwrap_or(u64::MAX);
        let drained = target.map_or(u64::MAX, |rate| rate.saturating_mul(micros) / 1_000_000);
        // Less than a bit is kept for the next time.
        if drained > 0 {
            self.debt_bits = self.debt_bits.saturating_sub(drained);
            self.drained = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ms(ms: u64) -> Moment {
        Moment::from_micros(ms * 1_000)
    }

    #[test]
    fn the_camera_yields_before_the_screen_and_both_before_audio() {
        let mut gate = Gate::new(3, ms(0));
        let target = Some(100_000);
        // Half a second's worth.
        gate.fill(6_250, target, ms(0));
        let mut admits = |stream, kind, key, at| gate.admits(stream, kind, key, target, ms(at));
        assert_eq!(admits(0, StreamKind::Audio, true, 0), Admission::Leaves);
        assert_eq!(admits(2, StreamKind::Screen, false, 0), Admission::Leaves);
        assert_eq!(admits(1, StreamKind::Camera, true, 0), Admission::HeldBack);
        assert_eq!(admits(1, StreamKind::Camera, false, 200), Admission::KeyWanted);
        assert_eq!(admits(1, StreamKind::Camera, true, 200), Admission::Leaves);
        assert_eq!(admits(1, StreamKind::Camera, false, 200), Admission::Leaves);
        assert!(gate.is_hungry(ms(2_199)) && !gate.is_hungry(ms(2_200)));
    }

    #[test]
    fn what_was_broken_off_goes_on_with_a_key_frame() {
        let mut gate = Gate::new(2, ms(0));
        gate.break_off(0);
        gate.break_off(1);
        let mut admits = |stream, kind, key| gate.admits(stream, kind, key, None, ms(1));
        assert_eq!(admits(0, StreamKind::Audio, false), Admission::Leaves);
        assert_eq!(admits(1, StreamKind::Screen, false), Admission::KeyWanted);
        assert_eq!(admits(1, StreamKind::Screen, true), Admission::Leaves);
        assert_eq!(admits(1, StreamKind::Screen, false), Admission::Leaves);
    }

    #[test]
    fn nothing_is_held_back_while_nothing_limits() {
        let mut gate = Gate::new(1, ms(0));
        for at in 0..1_000 {
            let admission = gate.admits(0, StreamKind::Camera, false, None, ms(at));
            assert_eq!(admission, Admission::Leaves);
            gate.fill(1_000_000, None, ms(at));
        }
        let admission = gate.admits(0, StreamKind::Camera, false, Some(50_000), ms(400_000));
        assert_eq!(admission, Admission::Leaves);
    }

    proptest! {
        #[test]
        fn what_leaves_is_decodable_and_not_more_than_the_target(
            frames in prop::collection::vec((1_usize..3_000, 0_u32..20), 100..600),
            target in 50_000_u64..500_000,
        ) {
            let mut gate = Gate::new(1, ms(0));
            let (mut whole, mut bits, mut largest) = (true, 0, 0);
            let count = frames.len() as u64;
            for (at, (bytes, key)) in frames.into_iter().enumerate() {
                let (now, key) = (ms(at as u64 * 40), key == 0 || at == 0);
                let admission = gate.admits(0, StreamKind::Camera, key, Some(target), now);
                if admission == Admission::Leaves {
                    prop_assert!(whole || key);
                    whole = true;
                    gate.fill(bytes, Some(target), now);
                    bits += bytes as u64 * 8;
                    largest = largest.max(bytes as u64 * 8);
                } else {
                    whole = false;
                }
            }
            let carried = target * count * 40 / 1_000;
            prop_assert!(bits <= carried + target * 4 / 10 + largest);
        }
    }
}
