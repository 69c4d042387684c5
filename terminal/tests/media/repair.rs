//! Lost packets are asked for and come again; what is not repaired asks for a key frame.

use crate::relay::{Conduct, Fate, Relay, path};
use crate::sides::{BOTH, call, finish, key, sent_frames, start, stream};
use kakehashi_srtp::{Provider, RTCP_OVERHEAD_BYTES, SendingSession, SessionKeys, StreamSealer};
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::media::plain::bind_input;
use kakehashi_terminal::media::summary::Drops;
use kakehashi_terminal::media::{
    CallMedia, CallOptions, Engine, Feed, MediaEvent, MediaInput, MediaOutput, Phase,
};
use kakehashi_wire::feedback::{IntraRequest, NackEntry};
use kakehashi_wire::media::{Codec, RelayRole, StreamKind};
use kakehashi_wire::rtcp::{RtcpPacket, RtcpView, RtcpWriter};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;
use tokio::net::UdpSocket;

/// Loses 1 of 10, two in a row now and then.
const LOSSY: Fate = |n| match n {
    n if n % 10 == 5 || n % 40 == 6 => &[],
    _ => &[0],
};

#[tokio::test]
async fn every_lost_packet_comes_again_if_the_relay_has_it() {
    let conduct = Conduct { fate: LOSSY, answers: true, ..Conduct::default() };
    let relay = Relay::that(10, conduct).await;
    let [first, second] = call(&BOTH, &[&relay]);
    let (mut a, mut b) = (start(&first, Some(2500)), start(&second, None));
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    for (sender, receiver, memory) in [(&at_a, &at_b, &b.memory), (&at_b, &at_a, &a.memory)] {
        let recorded = memory.0.lock().unwrap();
        for sent in &sender.sent {
            let received = stream(receiver, sent.kind);
            assert!(received.repaired > 0, "{received:?}");
            assert_eq!(received.asked, received.repaired + received.given_up);
            assert_eq!(received.concealed, received.given_up, "what came in time was there");
            // What is lost behind the last packet shows no gap.
            assert!(received.lost <= 3, "{received:?}");
            assert_eq!(received.packets + received.lost, sent.packets);
            let frames = recorded[sent.kind].len();
            let same = sent_frames(sent.kind, sent.frames);
            assert!(received.given_up > 0 || recorded[sent.kind] == same[..frames]);
        }
    }
    let seen = relay.seen.lock().unwrap();
    assert!(seen.rtp_lost > 20 && seen.nacked >= seen.rtp_lost - 6, "{}", seen.rtp_lost);
}

#[tokio::test]
async fn what_is_not_repaired_is_given_up_and_asks_for_a_key_frame_within_bounds() {
    let conduct = Conduct { fate: LOSSY, ..Conduct::default() };
    let relay = Relay::that(10, conduct).await;
    let [first, second] = call(&BOTH, &[&relay]);
    let (mut a, mut b) = (start(&first, Some(2500)), start(&second, None));
    let mut events = a.media.events().unwrap();
    assert!(a.media.events().is_none());
    let (at_a, at_b) = finish(&mut a, &mut b).await;
    let video = stream(&at_b, "camera");
    assert!(video.given_up > 0 && video.asked == video.repaired + video.given_up, "{video:?}");
    // 2.5 s: at once, then every half second.
    assert!((1..=6).contains(&video.key_frames_asked), "{video:?}");
    let audio = stream(&at_b, "audio");
    assert_eq!(audio.key_frames_asked, 0);
    assert!(audio.concealed > 0 && audio.concealed <= audio.lost, "{audio:?}");
    assert_eq!(at_b.packets_concealed(), audio.concealed, "pictures are not made up");
    let told = at_a.sent[1].key_frames_wanted;
    assert!((1..=video.key_frames_asked).contains(&told), "{told}");
    let mut heard = 0;
    while let Some(event) = events.next().await {
        // So much is lost that the rate falls, too.
        heard += u64::from(event == MediaEvent::KeyFrameWanted { stream: 1 });
    }
    assert_eq!(heard, told);
}

#[tokio::test]
async fn a_local_pipeline_is_told_where_it_sends_from() {
    let kinds = [(StreamKind::Camera, Codec::Vp8)];
    // From the third packet on every other is lost.
    let fate: Fate = |n| if n > 2 && n % 2 == 0 { &[] } else { &[0] };
    let relay = Relay::start(10, fate, false).await;
    let [first, second] = call(&kinds, &[&relay]);
    let input = bind_input("video=0".parse().unwrap()).unwrap();
    let into = input.local_addr().unwrap();
    let start = |ready, feed| {
        let inputs = vec![MediaInput { kind: StreamKind::Camera, codec: Codec::Vp8, feed }];
        CallMedia::start(ready, inputs, MediaOutput::default(), CallOptions::default()).unwrap()
    };
    let (mut a, mut b) = (start(&first, Feed::Plain(input)), start(&second, Feed::Silence));
    a.watch().wait_for(|summary| summary.phase == Phase::Flowing).await.unwrap();
    let source = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut buffer = [0; 256];
    let mut told = None;
    for sequence in 0..200 {
        let header = RtpHeader {
            marker: true,
            payload_type: 96,
            sequence,
            timestamp: 3_000 * u32::from(sequence),
            ssrc: Ssrc(0xabcd),
        };
        source
            .send_to(&[&header.to_bytes()[..], &[0x90, 0x80, 1, 1]].concat(), into)
            .await
            .unwrap();
        let wait = Duration::from_millis(10);
        if let Ok(received) = tokio::time::timeout(wait, source.recv_from(&mut buffer)).await {
            told = Some(received.unwrap().0);
            break;
        }
    }
    let view = RtcpView::parse(&buffer[..told.expect("the pipeline hears of it")]).unwrap();
    let asked = |packet: RtcpPacket<'_>| {
        matches!(packet, RtcpPacket::PictureLoss { media: Ssrc(0xabcd), .. })
    };
    assert!(view.packets().any(asked));
    a.leave();
    a.finished().await.unwrap();
    b.finished().await.unwrap();
}

/// An engine with one relay, one member, and that member's key.
fn engine() -> (Engine, SocketAddr, SendingSession) {
    let [mut ready, _] = call(&BOTH, &[]);
    let address: SocketAddr = "192.0.2.7:4000".parse().unwrap();
    ready.paths = vec![path(10, RelayRole::Primary, address, None)];
    let engine = Engine::new(&ready, Moment::ZERO, Duration::ZERO, Box::new(|| 7)).ok().unwrap();
    let keys = SessionKeys::derive(Provider::AwsLcRs, &key(1));
    let mut member = SendingSession::new(keys);
    member.add(StreamSealer::new(Ssrc(100), 0)).unwrap();
    (engine, address, member)
}

fn sealed(member: &mut SendingSession, mut plain: Vec<u8>) -> Vec<u8> {
    let bytes = plain.len();
    plain.resize(bytes + RTCP_OVERHEAD_BYTES, 0);
    member.protect_rtcp(&mut plain, bytes).unwrap();
    plain
}

#[test]
fn a_command_for_a_key_frame_reaches_the_application_and_a_nack_harms_nobody() {
    let (mut engine, address, mut member) = engine();
    let mut ask = |member: &mut SendingSession, write: fn(&mut RtcpWriter<'_>), at| {
        let mut plain = Vec::new();
        write(&mut RtcpWriter::new(&mut plain));
        let now = Moment::ZERO.plus(Duration::from_millis(at));
        engine.handle_datagram(address, &mut sealed(member, plain), now);
        assert_eq!(engine.drops(), Drops::default());
        core::iter::from_fn(|| engine.poll_event()).collect::<Vec<_>>()
    };
    let wanted = [MediaEvent::KeyFrameWanted { stream: 1 }];
    let command: fn(&mut RtcpWriter<'_>) = |writer| {
        // Of audio, of a stream of another, of the camera.
        let requests = [0, 100, 1].map(|media| IntraRequest { media: Ssrc(media), command: 3 });
        writer.full_intra(Ssrc(100), requests);
    };
    assert_eq!(ask(&mut member, command, 0), wanted);
    assert_eq!(ask(&mut member, |writer| writer.picture_loss(Ssrc(100), Ssrc(1)), 100), []);
    assert_eq!(ask(&mut member, command, 400), wanted);
    let nack = |writer: &mut RtcpWriter<'_>| {
        writer.nack(Ssrc(100), Ssrc(1), NackEntry::pack(0..60_000));
    };
    assert_eq!(ask(&mut member, nack, 800), []);
}

#[test]
fn fuzz_no_authentic_feedback_disturbs_an_engine() {
    let (engine, address, member) = engine();
    let state = Mutex::new((engine, member, 0_u64));
    bolero::check!().with_type::<(u8, bool, Vec<u8>)>().for_each(|(format, payload, list)| {
        let (engine, member, at) = &mut *state.lock().unwrap();
        let format = [1, 4, 11, 15][usize::from(*format % 4)];
        let kind = 205 + u8::from(*payload);
        let mut plain = vec![0x80 | format, kind, 0, 0, 0, 0, 0, 100];
        plain.extend(list.iter().take(1_000));
        plain.resize(plain.len().next_multiple_of(4), 0);
        let words = u16::try_from(plain.len() / 4 - 1).unwrap();
        plain[2..4].copy_from_slice(&words.to_be_bytes());
        *at += 1;
        let now = Moment::from_micros(*at);
        engine.handle_datagram(address, &mut sealed(member, plain), now);
        assert_eq!(engine.phase(), Phase::Binding);
        while engine.poll_event().is_some() {}
    });
}
