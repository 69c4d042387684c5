//! The sending rate follows what the network carries.

use crate::relay::{Conduct, Fate, QUEUE_MOST, Relay};
use crate::sides::{call, start_with, stream};
use kakehashi_terminal::media::pacer::{IvfSource, MediaFile, OpusSource, Repeat};
use kakehashi_terminal::media::{Feed, MediaEvent, MediaInput};
use kakehashi_terminal::samples::{SPEECH_OPUS, STORE_IVF};
use kakehashi_wire::media::{Codec, StreamKind};
use std::time::Duration;

const KINDS: [(StreamKind, Codec); 2] =
    [(StreamKind::Audio, Codec::Opus), (StreamKind::Camera, Codec::Vp8)];

/// About 200 kbit/s.
fn inputs() -> Vec<MediaInput> {
    let speech = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever).unwrap();
    let picture = IvfSource::open(MediaFile::Embedded(STORE_IVF), Repeat::Forever).unwrap();
    let feeds = [Feed::Frames(Box::new(speech)), Feed::Frames(Box::new(picture))];
    KINDS
        .into_iter()
        .zip(feeds)
        .map(|((kind, codec), feed)| MediaInput { kind, codec, feed })
        .collect()
}

/// 1 of 100.
const RADIO: Fate = |n| if n % 100 == 50 { &[] } else { &[0] };

#[tokio::test]
async fn on_a_slow_lossy_link_voice_goes_on_and_pictures_become_fewer() {
    const LINK: u64 = 120_000;
    let conduct = Conduct { fate: RADIO, slow: Some(LINK), answers: true, ..Conduct::default() };
    let relay = Relay::that(10, conduct).await;
    let [first, second] = call(&KINDS, &[&relay]);
    let mut a = start_with(&first, inputs(), Some(14_000));
    let mut b = start_with(&second, inputs(), None);
    let mut events = a.media.events().unwrap();
    tokio::time::sleep(Duration::from_secs(7)).await;
    let (settled, waits) = {
        let waits = relay.seen.lock().unwrap().waits.len();
        (b.media.snapshot(), waits)
    };
    let at_a = a.media.finished().await.unwrap();
    let at_b = b.media.finished().await.unwrap();

    assert!(at_a.sent[1].frames_held_back > 20 && at_a.sent[0].frames_held_back == 0, "{at_a:?}");
    assert!(at_a.target_bits_per_second < LINK * 12 / 10, "{}", at_a.target_bits_per_second);
    // The rate is found in the first half: then little is lost and the queue is mostly short.
    for kind in ["audio", "camera"] {
        let (before, after) = (stream(&settled, kind), stream(&at_b, kind));
        let packets = after.packets - before.packets;
        let lost = after.lost.saturating_sub(before.lost);
        assert!(lost * 20 <= packets, "{kind}: {lost} of {packets}");
        assert!(after.frames_incomplete - before.frames_incomplete <= 3, "{after:?}");
    }
    let mut waits = relay.seen.lock().unwrap().waits[waits..].to_vec();
    waits.sort_unstable();
    let median = waits[waits.len() / 2];
    assert!(median < QUEUE_MOST / 3, "{median:?}");
    // Voice: 50 packets a second all the time.
    let spoken = stream(&at_b, "audio").packets - stream(&settled, "audio").packets;
    assert!(spoken > 320, "{spoken} packets in 7 s");

    let mut told = Vec::new();
    while let Some(event) = events.next().await {
        if let MediaEvent::TargetRate { bits_per_second } = event {
            told.push(bits_per_second);
        }
    }
    assert!(told.len() >= 3 && told.iter().min().is_some_and(|least| *least < LINK), "{told:?}");
}

#[tokio::test]
async fn a_wide_link_holds_nothing_back() {
    let relay = Relay::that(10, Conduct { fate: RADIO, ..Conduct::default() }).await;
    let [first, second] = call(&KINDS, &[&relay]);
    let mut a = start_with(&first, inputs(), Some(3_000));
    let mut b = start_with(&second, inputs(), None);
    let at_a = a.media.finished().await.unwrap();
    b.media.finished().await.unwrap();
    assert_eq!(at_a.frames_held_back(), 0);
    assert!(at_a.target_bits_per_second >= 2_000_000, "{at_a:?}");
}
