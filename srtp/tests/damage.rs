//! Whatever fails leaves everything as it was: damaged packets, arbitrary bytes, misuse.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod common;

use common::{SSRC, SUITES, auth, keys, rtcp, rtp, seal_rtcp, seal_rtp};
use kakehashi_srtp::capacity::{PACKET_BYTES_MAX, STREAMS_PER_LEG_MAX};
use kakehashi_srtp::{
    AuthKeys, Provider, ReceivingSession, RtcpPrivacy, Scratch, SendingSession, SessionKeys,
    SrtpError, StreamOpener, StreamSealer,
};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::Suite;
use proptest::prelude::*;

/// Gives `bytes` to all six operations; when one fails, bytes and state must be untouched.
fn offer(
    (keys, auth): &(SessionKeys, AuthKeys),
    opener: &StreamOpener,
    bytes: &[u8],
    scratch: &mut Scratch,
) -> usize {
    let mut accepted = 0;
    let mut judge = |ok: bool, after: &StreamOpener, kept: bool| {
        accepted += usize::from(ok);
        assert_eq!(*after != *opener, ok, "state moves exactly when a packet is accepted");
        assert!(ok || kept, "a refused packet was changed");
    };
    let (mut state, mut packet) = (opener.clone(), bytes.to_vec());
    let ok = state.unprotect_rtp(keys, &mut packet, scratch).is_ok();
    judge(ok, &state, packet == bytes);
    let (mut state, mut packet) = (opener.clone(), bytes.to_vec());
    let ok = state.unprotect_rtcp(keys, &mut packet, scratch).is_ok();
    judge(ok, &state, packet == bytes);
    let (mut state, mut out) = (opener.clone(), vec![0; bytes.len()]);
    let ok = state.unprotect_rtp_into(keys, bytes, &mut out).is_ok();
    judge(ok, &state, true);
    let (mut state, mut out) = (opener.clone(), vec![0; bytes.len()]);
    let ok = state.unprotect_rtcp_into(keys, bytes, &mut out).is_ok();
    judge(ok, &state, true);
    let mut state = opener.clone();
    let ok = state.authenticate_rtp(auth, bytes, scratch).is_ok();
    judge(ok, &state, true);
    let mut state = opener.clone();
    let ok = state.authenticate_rtcp(keys, bytes, scratch).is_ok();
    judge(ok, &state, true);
    accepted
}

#[test]
fn arbitrary_bytes_change_nothing() {
    let mut scratch = Scratch::new();
    let suite = Suite::AeadAes128Gcm;
    let keys = Provider::ALL.map(|provider| (keys(provider, suite), auth(provider, suite)));
    let mut fresh = StreamOpener::new(SSRC);
    let mut running = StreamOpener::joining(SSRC, 0);
    let mut sealer = StreamSealer::new(SSRC, 65_000);
    let first = seal_rtp(&keys[0].0, &mut sealer, &rtp(SSRC, 65_000, 10));
    running.authenticate_rtp(&keys[0].1, &first, &mut scratch).unwrap();
    assert_eq!(offer(&keys[1], &fresh, &first, &mut scratch), 3, "the harness sees acceptance");
    bolero::check!().for_each(|bytes: &[u8]| {
        let mut scratch = Scratch::new();
        // As they come, and with the SSRC of the stream so that they get further.
        let mut aimed = bytes.to_vec();
        for keys in &keys {
            for opener in [&fresh, &running] {
                assert_eq!(offer(keys, opener, bytes, &mut scratch), 0);
                for at in [4, 8] {
                    if let Some(ssrc) = aimed.get_mut(at..at + 4) {
                        ssrc.copy_from_slice(&SSRC.0.to_be_bytes());
                    }
                }
                assert_eq!(offer(keys, opener, &aimed, &mut scratch), 0);
            }
        }
    });
    fresh.authenticate_rtp(&keys[1].1, &first, &mut scratch).unwrap();
}

#[test]
fn protecting_arbitrary_bytes_fails_cleanly_or_opens_again() {
    let keys = keys(Provider::AesGcm, Suite::AeadAes128Gcm);
    bolero::check!().with_type::<(Vec<u8>, u16)>().for_each(|(bytes, plain_bytes)| {
        let plain_bytes = usize::from(*plain_bytes);
        let ssrc = |at: usize| {
            let ssrc = bytes.get(at..at + 4).map_or([0; 4], |ssrc| ssrc.try_into().unwrap());
            Ssrc(u32::from_be_bytes(ssrc))
        };
        let mut scratch = Scratch::new();
        for (at, plain_bytes) in [(8, plain_bytes), (8, bytes.len().saturating_sub(16))] {
            let (mut packet, mut sealer) = (bytes.clone(), StreamSealer::new(ssrc(at), 0));
            if let Ok(length) = sealer.protect_rtp(&keys, &mut packet, plain_bytes) {
                let mut opener = StreamOpener::new(ssrc(at));
                opener.unprotect_rtp(&keys, &mut packet[..length], &mut scratch).unwrap();
                assert_eq!(packet[..plain_bytes], bytes[..plain_bytes]);
            } else {
                assert_eq!(packet, *bytes);
            }
        }
        let readable = bytes.len() % 2 == 0;
        let privacy = if readable { RtcpPrivacy::Readable } else { RtcpPrivacy::Encrypted };
        let (mut packet, mut sealer) = (bytes.clone(), StreamSealer::new(ssrc(4), 0));
        if let Ok(length) = sealer.protect_rtcp(&keys, &mut packet, plain_bytes, privacy) {
            let mut opener = StreamOpener::new(ssrc(4));
            opener.unprotect_rtcp(&keys, &mut packet[..length], &mut scratch).unwrap();
            assert_eq!(packet[..plain_bytes], bytes[..plain_bytes]);
        } else {
            assert_eq!(packet, *bytes);
        }
    });
}

/// What is done to an authentic packet.
#[derive(Clone, Debug)]
enum Damage {
    Flip(prop::sample::Index),
    Cut(prop::sample::Index),
    Append(Vec<u8>),
    Overwrite(prop::sample::Index, Vec<u8>),
}

impl Damage {
    fn apply(&self, packet: &mut Vec<u8>) {
        match self {
            Self::Flip(bit) => {
                let bit = bit.index(packet.len() * 8);
                packet[bit / 8] ^= 1 << (bit % 8);
            }
            Self::Cut(length) => packet.truncate(length.index(packet.len())),
            Self::Append(bytes) => packet.extend(bytes),
            Self::Overwrite(at, bytes) => {
                let at = at.index(packet.len());
                let end = packet.len().min(at + bytes.len());
                packet[at..end].copy_from_slice(&bytes[..end - at]);
            }
        }
    }
}

fn damages() -> impl Strategy<Value = Damage> {
    let bytes = || prop::collection::vec(any::<u8>(), 1..24);
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Damage::Flip),
        any::<prop::sample::Index>().prop_map(Damage::Cut),
        bytes().prop_map(Damage::Append),
        (any::<prop::sample::Index>(), bytes())
            .prop_map(|(at, bytes)| Damage::Overwrite(at, bytes)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_damaged_packet_changes_nothing(
        damage in damages(),
        sequence: u16,
        payload_bytes in 0_usize..1_400,
        provider in prop::sample::select(Provider::ALL.to_vec()),
        suite in prop::sample::select(SUITES.to_vec()),
        report: bool,
    ) {
        let (keys, mut scratch) = (keys(provider, suite), Scratch::new());
        let mut sealer = StreamSealer::new(SSRC, sequence);
        let authentic = if report {
            seal_rtcp(&keys, &mut sealer, &rtcp(SSRC, payload_bytes as u16 / 4))
        } else {
            seal_rtp(&keys, &mut sealer, &rtp(SSRC, sequence, payload_bytes))
        };
        let mut packet = authentic.clone();
        damage.apply(&mut packet);
        let opener = StreamOpener::new(SSRC);
        let expected = if packet == authentic { 3 } else { 0 };
        let keys = (keys, auth(provider, suite));
        prop_assert_eq!(offer(&keys, &opener, &packet, &mut scratch), expected);
    }

    #[test]
    fn what_is_protected_opens_to_the_same_bytes(
        sequence: u16,
        payload in prop::collection::vec(any::<u8>(), 0..1_400),
        contributors in 0_u8..16,
        extension in prop::option::of(0_u16..20),
        suite in prop::sample::select(SUITES.to_vec()),
    ) {
        let mut plain = rtp(SSRC, sequence, 0);
        plain[0] |= contributors;
        plain.extend(vec![0x77; usize::from(contributors) * 4]);
        if let Some(words) = extension {
            plain[0] |= 0x10;
            plain.extend([0xbe, 0xde]);
            plain.extend(words.to_be_bytes());
            plain.extend(vec![0x11; usize::from(words) * 4]);
        }
        let header_bytes = plain.len();
        plain.extend(&payload);
        for (sealing, opening) in [(0, 1), (1, 0)] {
            let sealing = keys(Provider::ALL[sealing], suite);
            let opening = keys(Provider::ALL[opening], suite);
            let mut sealer = StreamSealer::new(SSRC, sequence);
            let mut packet = seal_rtp(&sealing, &mut sealer, &plain);
            prop_assert_eq!(&packet[..header_bytes], &plain[..header_bytes]);
            let (mut opener, mut scratch) = (StreamOpener::new(SSRC), Scratch::new());
            let opened = opener.unprotect_rtp(&opening, &mut packet, &mut scratch).unwrap();
            prop_assert_eq!(&packet[..opened.bytes], &plain);
        }
    }
}

#[test]
fn misuse_is_named_and_spends_no_index() {
    let keys = keys(Provider::AesGcm, Suite::AeadAes128Gcm);
    let mut sealer = StreamSealer::new(SSRC, 10);
    let room = |plain: &[u8], room: usize| {
        let mut buffer = plain.to_vec();
        buffer.resize(plain.len() + room, 0);
        buffer
    };
    let plain = rtp(SSRC, 10, 20);
    let mut not_rtp = room(&plain, 16);
    not_rtp[0] = 0x40;
    let large = rtp(SSRC, 10, PACKET_BYTES_MAX - 12 - 15);
    for (mut buffer, plain_bytes, wanted) in [
        (room(&plain, 15), plain.len(), SrtpError::NoRoom),
        (room(&plain, 0), plain.len() + 1, SrtpError::NoRoom),
        (room(&plain, 16), 11, SrtpError::TooShort),
        (not_rtp, plain.len(), SrtpError::NotRtp),
        (room(&large, 16), large.len(), SrtpError::TooLong),
        (room(&rtp(Ssrc(9), 10, 4), 16), 16, SrtpError::WrongSsrc),
        (room(&rtp(SSRC, 9, 4), 16), 16, SrtpError::NotIncreasing),
    ] {
        let before = buffer.clone();
        assert_eq!(sealer.protect_rtp(&keys, &mut buffer, plain_bytes), Err(wanted));
        assert_eq!((buffer, sealer.next_sequence()), (before, Ok(10)), "{wanted:?}");
    }
    let report = rtcp(SSRC, 5);
    let too_long = rtcp(SSRC, (PACKET_BYTES_MAX / 4 - 6) as u16);
    let mut not_rtcp = room(&report, 20);
    not_rtcp[1] = 111;
    for (mut buffer, plain_bytes, wanted) in [
        (room(&report, 19), report.len(), SrtpError::NoRoom),
        (room(&report, 20), 7, SrtpError::TooShort),
        (not_rtcp, report.len(), SrtpError::NotRtcp),
        (room(&rtcp(Ssrc(9), 5), 20), report.len(), SrtpError::WrongSsrc),
        (room(&too_long, 20), too_long.len(), SrtpError::TooLong),
    ] {
        let (before, position) = (buffer.clone(), sealer.position());
        let got = sealer.protect_rtcp(&keys, &mut buffer, plain_bytes, RtcpPrivacy::Encrypted);
        assert_eq!(got, Err(wanted));
        assert_eq!((buffer, sealer.position()), (before, position), "{wanted:?}");
    }
}

#[test]
fn a_packet_too_long_is_refused_before_any_work() {
    let keys = keys(Provider::AwsLcRs, Suite::AeadAes128Gcm);
    let (mut opener, mut scratch) = (StreamOpener::new(SSRC), Scratch::new());
    let mut sealer = StreamSealer::new(SSRC, 0);
    let mut largest = seal_rtp(&keys, &mut sealer, &rtp(SSRC, 0, PACKET_BYTES_MAX - 28));
    assert_eq!(largest.len(), PACKET_BYTES_MAX);
    let words = (PACKET_BYTES_MAX - 8 - 20) / 4;
    let mut report = seal_rtcp(&keys, &mut sealer, &rtcp(SSRC, words as u16));
    assert_eq!(report.len(), PACKET_BYTES_MAX);
    let mut longer = [largest.clone(), vec![0]].concat();
    let got = opener.unprotect_rtp(&keys, &mut longer, &mut scratch);
    assert_eq!(got, Err(SrtpError::TooLong));
    opener.unprotect_rtp(&keys, &mut largest, &mut scratch).unwrap();
    opener.unprotect_rtcp(&keys, &mut report, &mut scratch).unwrap();
}

#[test]
fn sessions_route_by_ssrc_and_hold_a_bounded_number() {
    let suite = Suite::AeadAes256Gcm;
    let mut sending = SendingSession::new(keys(Provider::AesGcm, suite));
    let mut receiving = ReceivingSession::new(keys(Provider::AwsLcRs, suite));
    let mut buffer = rtp(Ssrc(0), 5, 50);
    assert_eq!(sending.protect_rtp(&mut buffer, 40), Err(SrtpError::UnknownSsrc));
    for ssrc in (0..STREAMS_PER_LEG_MAX as u32).map(Ssrc) {
        sending.add(StreamSealer::new(ssrc, 5)).unwrap();
        receiving.add(StreamOpener::new(ssrc)).unwrap();
        assert_eq!(sending.add(StreamSealer::new(ssrc, 5)), Err(SrtpError::SsrcTaken));
        assert_eq!(receiving.add(StreamOpener::new(ssrc)), Err(SrtpError::SsrcTaken));
    }
    assert_eq!(sending.add(StreamSealer::new(SSRC, 5)), Err(SrtpError::TooManyStreams));
    assert_eq!(receiving.add(StreamOpener::new(SSRC)), Err(SrtpError::TooManyStreams));

    for ssrc in (0..STREAMS_PER_LEG_MAX as u32).map(Ssrc) {
        let sequence = sending.stream(ssrc).unwrap().next_sequence().unwrap();
        let plain = rtp(ssrc, sequence, 50);
        let mut packet = plain.clone();
        packet.resize(plain.len() + 16, 0);
        sending.protect_rtp(&mut packet, plain.len()).unwrap();
        let opened = receiving.unprotect_rtp(&mut packet).unwrap();
        assert_eq!(&packet[..opened.bytes], plain);
        assert_eq!(receiving.stream(ssrc).unwrap().position().rtp, Some(opened.index));

        let plain = rtcp(ssrc, 6);
        let mut packet = plain.clone();
        packet.resize(plain.len() + 20, 0);
        sending.protect_rtcp(&mut packet, plain.len()).unwrap();
        assert_ne!(packet[8..plain.len()], plain[8..], "the report is not readable");
        let opened = receiving.unprotect_rtcp(&mut packet).unwrap();
        assert_eq!(&packet[..opened.bytes], plain);
    }
}

#[cfg(feature = "danger-null")]
#[test]
fn null_keys_keep_sizes_and_windows() {
    let (keys, mut scratch) = (SessionKeys::null(), Scratch::new());
    let (mut sealer, mut opener) = (StreamSealer::new(SSRC, 3), StreamOpener::new(SSRC));
    let plain = rtp(SSRC, 3, 30);
    let mut packet = seal_rtp(&keys, &mut sealer, &plain);
    assert_eq!((packet.len(), &packet[..plain.len()]), (plain.len() + 16, &plain[..]));
    opener.unprotect_rtp(&keys, &mut packet, &mut scratch).unwrap();
    let again = opener.unprotect_rtp(&keys, &mut packet, &mut scratch);
    assert_eq!(again, Err(SrtpError::Replayed));
    let mut report = seal_rtcp(&keys, &mut sealer, &rtcp(SSRC, 4));
    opener.unprotect_rtcp(&keys, &mut report, &mut scratch).unwrap();
}
