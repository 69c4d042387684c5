//! What a leg sends and when: voice with silence, video in trains with key frames, bursts of a
//! shared screen, legs that leave and join. Pure: the same seed gives the same load.

use core::time::Duration;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;

/// Payload of a full packet: with header and tag a datagram of 1,200 bytes, as WebRTC stacks send
/// to stay below any path's MTU.
pub const PAYLOAD_BYTES_MAX: usize = 1_172;

/// Smallest payload a burst's packet has: the stamps must fit.
pub const PAYLOAD_BYTES_MIN: usize = crate::flows::STAMP_BYTES;

/// One Opus frame of 20 ms at 64 kbit/s.
const VOICE_BYTES: usize = 160;
const VOICE_PERIOD: Duration = Duration::from_millis(20);

/// While nobody speaks Opus sends one small frame every 400 ms (RFC 6716 2.1.9).
const SILENCE_BYTES: usize = PAYLOAD_BYTES_MIN;
const SILENCE_PERIOD: Duration = Duration::from_millis(400);

/// Mean length of a silence between two spurts of talk (ITU-T P.59 measures 1.6 s of pauses).
const SILENCE_MEAN: Duration = Duration::from_millis(1_600);

const FRAME_PERIOD: Duration = Duration::from_nanos(1_000_000_000 / 30);

/// A key frame for every 3 s of video, eight times the others' size.
const KEY_FRAME_EVERY: u32 = 90;
const KEY_FRAME_WEIGHT: usize = 8;

/// A shared screen: the pointer moves five times a second, a page changes every few seconds and
/// is sent as fast as a pacer of 25 Mbit/s lets it.
const POINTER_BYTES: usize = 200;
const POINTER_PERIOD: Duration = Duration::from_millis(200);
const PAGE_BYTES: core::ops::Range<usize> = 40_000..120_000;
const PAGE_PAUSE_MS: core::ops::Range<u64> = 2_000..8_000;
const PAGE_TRAIN_BYTES: usize = 14 * PAYLOAD_BYTES_MAX;
const PAGE_TRAIN_PERIOD: Duration = Duration::from_millis(5);

/// How long a leg that has left stays away.
const AWAY: Duration = Duration::from_secs(2);

/// What the legs of a run send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
pub struct Mix {
    /// Legs that speak, in percent.
    pub voice_percent: u8,
    /// Legs with a camera, in percent.
    pub camera_percent: u8,
    /// Legs that share a screen, in percent.
    pub screen_percent: u8,
    /// Part of the time in which a voice is silent, in percent.
    pub silence_percent: u8,
    /// Bit rate of a camera in kbit/s of payload.
    pub camera_kbps: u32,
    /// Mean time in seconds after which a leg leaves, to join again 2 s later. 0: never.
    pub leave_after_s: u32,
}

/// A kind of stream.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize)]
pub enum Source {
    /// A microphone.
    Voice,
    /// A camera.
    Camera,
    /// A shared screen.
    Screen,
}

/// Packets of one stream that are due at one time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Burst {
    /// When, from the beginning of the run.
    pub due: Duration,
    /// Payload of all its packets together.
    pub payload_bytes: usize,
    /// The first of a leg that joins: it says anew where it is before it sends.
    pub joins: bool,
}

impl Burst {
    /// Packets it takes.
    pub fn packets(&self) -> usize {
        self.payload_bytes.div_ceil(PAYLOAD_BYTES_MAX).max(1)
    }
}

impl Mix {
    /// Which legs of a run send streams of a kind: the share asked for, spread evenly.
    pub fn sends(&self, leg: usize, source: Source) -> bool {
        let percent = usize::from(match source {
            Source::Voice => self.voice_percent,
            Source::Camera => self.camera_percent,
            Source::Screen => self.screen_percent,
        });
        (leg + 1) * percent / 100 > leg * percent / 100
    }

    /// Bytes of a camera's frame that is no key frame, on average.
    fn frame_bytes(&self) -> usize {
        let weights = u64::from(KEY_FRAME_EVERY) - 1 + KEY_FRAME_WEIGHT as u64;
        let bytes = u64::from(self.camera_kbps) * 125 * u64::from(KEY_FRAME_EVERY) / 30 / weights;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }
}

/// When one stream sends, and how much.
pub struct Schedule {
    random: StdRng,
    mix: Mix,
    state: State,
    next: Duration,
    presence: Presence,
}

enum State {
    Voice { talks: bool, until: Duration },
    Camera { frame: u32 },
    Screen { page_left: usize, page_at: Duration },
}

impl Schedule {
    /// The schedule of a leg's stream of kind `source`.
    pub fn new(mix: Mix, source: Source, seed: u64, leg: usize) -> Self {
        let own = match source {
            Source::Voice => 1,
            Source::Camera => 2,
            Source::Screen => 3,
        };
        let mut random = stream_random(seed, leg, own);
        let (state, period) = match source {
            Source::Voice => (State::Voice { talks: false, until: Duration::ZERO }, VOICE_PERIOD),
            // A call that has run for a while: cameras do not show their key frames in step.
            Source::Camera => {
                (State::Camera { frame: random.random_range(0..KEY_FRAME_EVERY) }, FRAME_PERIOD)
            }
            Source::Screen => {
                let page_at = Duration::from_millis(random.random_range(PAGE_PAUSE_MS));
                (State::Screen { page_left: 0, page_at }, POINTER_PERIOD)
            }
        };
        let next = period.mul_f64(random.random());
        Self { random, mix, state, next, presence: Presence::new(mix, seed, leg) }
    }

    /// The next burst. There is always one.
    pub fn next_burst(&mut self) -> Burst {
        let mut joins = false;
        if let Some(back) = self.presence.away_until(self.next) {
            (self.next, joins) = (back, true);
            if let State::Camera { frame } = &mut self.state {
                *frame = 0;
            }
        }
        let due = self.next;
        let (payload_bytes, pause) = self.step(due);
        self.next = due + pause;
        Burst { due, payload_bytes: payload_bytes.max(PAYLOAD_BYTES_MIN), joins }
    }

    /// Payload due at `due`, and the time from there to the next.
    fn step(&mut self, due: Duration) -> (usize, Duration) {
        match &mut self.state {
            State::Voice { talks, until } => {
                if due >= *until {
                    let silent = f64::from(self.mix.silence_percent.min(100)) / 100.0;
                    // A run begins in the middle of its conversations.
                    let begins = until.is_zero() && self.random.random::<f64>() >= silent;
                    *talks = if until.is_zero() { begins } else { !*talks };
                    *until = due.saturating_add(spurt(&mut self.random, silent, *talks));
                }
                if *talks {
                    (VOICE_BYTES, VOICE_PERIOD)
                } else {
                    // Talk begins in time, whenever the last silent frame was.
                    (SILENCE_BYTES, SILENCE_PERIOD.min(*until - due).max(VOICE_PERIOD))
                }
            }
            State::Camera { frame } => {
                let key = (*frame).is_multiple_of(KEY_FRAME_EVERY);
                *frame += 1;
                let mean = self.mix.frame_bytes() * if key { KEY_FRAME_WEIGHT } else { 1 };
                let bytes = self.random.random_range(mean * 3 / 5..=mean * 7 / 5);
                (bytes, FRAME_PERIOD)
            }
            State::Screen { page_left, page_at } => {
                if *page_left == 0 && due >= *page_at {
                    *page_left = self.random.random_range(PAGE_BYTES);
                    let pause = Duration::from_millis(self.random.random_range(PAGE_PAUSE_MS));
                    *page_at = due + pause;
                }
                let now = (*page_left).min(PAGE_TRAIN_BYTES);
                *page_left -= now;
                if now == 0 { (POINTER_BYTES, POINTER_PERIOD) } else { (now, PAGE_TRAIN_PERIOD) }
            }
        }
    }
}

/// How long a spurt of talk or a silence lasts, if a part `silent` of the time is silence.
fn spurt(random: &mut StdRng, silent: f64, talks: bool) -> Duration {
    if silent <= 0.0 || silent >= 1.0 {
        return Duration::MAX;
    }
    let mean = if talks { SILENCE_MEAN.mul_f64((1.0 - silent) / silent) } else { SILENCE_MEAN };
    exponential(random, mean)
}

/// When a leg is away. All streams of a leg agree on it.
struct Presence {
    random: StdRng,
    mean: Duration,
    leaves: Duration,
}

impl Presence {
    fn new(mix: Mix, seed: u64, leg: usize) -> Self {
        let mut random = stream_random(seed, leg, 0);
        let mean = Duration::from_secs(u64::from(mix.leave_after_s));
        let leaves = if mean.is_zero() { Duration::MAX } else { exponential(&mut random, mean) };
        Self { random, mean, leaves }
    }

    /// When the leg joins again, if it has left by `now`.
    fn away_until(&mut self, now: Duration) -> Option<Duration> {
        let mut back = None;
        while now.max(back.unwrap_or(now)) >= self.leaves {
            let joins = self.leaves + AWAY;
            self.leaves = joins + exponential(&mut self.random, self.mean);
            back = (joins > now).then_some(joins).or(back);
        }
        back
    }
}

/// A time with this mean, as events without memory have it; never longer than ten means.
fn exponential(random: &mut StdRng, mean: Duration) -> Duration {
    let uniform: f64 = random.random();
    mean.mul_f64((-(1.0 - uniform).ln()).min(10.0))
}

fn stream_random(seed: u64, leg: usize, own: u64) -> StdRng {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes[8..16].copy_from_slice(&(leg as u64).to_le_bytes());
    bytes[16..24].copy_from_slice(&own.to_le_bytes());
    StdRng::from_seed(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIX: Mix = Mix {
        voice_percent: 100,
        camera_percent: 50,
        screen_percent: 10,
        silence_percent: 0,
        camera_kbps: 1_500,
        leave_after_s: 0,
    };

    fn bursts(mix: Mix, source: Source, leg: usize, seconds: u64) -> Vec<Burst> {
        let mut schedule = Schedule::new(mix, source, 7, leg);
        let end = Duration::from_secs(seconds);
        core::iter::from_fn(|| Some(schedule.next_burst())).take_while(|b| b.due < end).collect()
    }

    #[test]
    fn a_voice_sends_fifty_packets_of_160_bytes_a_second() {
        let bursts = bursts(MIX, Source::Voice, 0, 10);
        assert_eq!(bursts.len(), 500);
        assert!(bursts.iter().all(|burst| burst.payload_bytes == 160 && burst.packets() == 1));
    }

    #[test]
    fn silence_takes_its_share_and_few_packets() {
        let mix = Mix { silence_percent: 60, ..MIX };
        let counts: usize = (0..50).map(|leg| bursts(mix, Source::Voice, leg, 100).len()).sum();
        let mean = counts / 50;
        // 40 % of 5,000 packets, and 60 s of silence with at least 2.5 packets a second.
        assert!((1_700..2_900).contains(&mean), "{mean}");
        let silent = bursts(Mix { silence_percent: 100, ..MIX }, Source::Voice, 0, 100);
        assert_eq!(silent.len(), 250);
    }

    #[test]
    fn a_camera_keeps_its_rate_and_shows_key_frames() {
        let bursts = bursts(MIX, Source::Camera, 3, 60);
        assert!((1_799..=1_801).contains(&bursts.len()), "{}", bursts.len());
        let bits = bursts.iter().map(|burst| burst.payload_bytes).sum::<usize>() * 8 / 60;
        assert!((1_400_000..1_600_000).contains(&bits), "{bits}");
        let key_frames = bursts.iter().filter(|burst| burst.packets() > 20).count();
        assert_eq!(key_frames, 20);
    }

    #[test]
    fn a_screen_sends_pages_in_bursts() {
        let bursts = bursts(MIX, Source::Screen, 3, 60);
        let trains = bursts.iter().filter(|burst| burst.packets() > 1).count();
        assert!(trains > 20, "{trains} trains");
        assert!(bursts.iter().filter(|burst| burst.payload_bytes == POINTER_BYTES).count() > 200);
    }

    #[test]
    fn legs_that_leave_come_back_with_a_key_frame() {
        let mix = Mix { leave_after_s: 5, ..MIX };
        let voice = bursts(mix, Source::Voice, 1, 60);
        let camera = bursts(mix, Source::Camera, 1, 60);
        let back: Vec<_> = voice.iter().filter(|burst| burst.joins).collect();
        assert!(!back.is_empty());
        assert!(voice.len() < 3_000 - 90 * back.len());
        for (joined, shown) in back.iter().zip(camera.iter().filter(|burst| burst.joins)) {
            assert_eq!(joined.due, shown.due);
            assert!(shown.packets() > 20);
        }
    }

    #[test]
    fn the_share_of_legs_is_the_one_asked_for() {
        let count = |source| (0..1_000).filter(|&leg| MIX.sends(leg, source)).count();
        assert_eq!([Source::Voice, Source::Camera, Source::Screen].map(count), [1_000, 500, 100]);
    }

    proptest! {
        #[test]
        fn any_mix_goes_on_in_order_and_repeats_with_its_seed(
            silence_percent in 0_u8..=100,
            camera_kbps in 0_u32..20_000,
            leave_after_s in 0_u32..10,
            leg in 0_usize..1_000,
            seed: u64,
        ) {
            let mix = Mix { silence_percent, camera_kbps, leave_after_s, ..MIX };
            for source in [Source::Voice, Source::Camera, Source::Screen] {
                let mut schedule = Schedule::new(mix, source, seed, leg);
                let mut again = Schedule::new(mix, source, seed, leg);
                let mut before = None;
                for _ in 0..300 {
                    let burst = schedule.next_burst();
                    prop_assert_eq!(burst, again.next_burst());
                    prop_assert!(before.is_none_or(|before| before < burst.due));
                    prop_assert!(burst.payload_bytes >= PAYLOAD_BYTES_MIN);
                    before = Some(burst.due);
                }
            }
        }
    }
}
