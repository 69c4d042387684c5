//! Packets at a known index, and opening beside the packet: the same bytes as in place, no state.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod common;

use common::{SSRC, SUITES, keys, rtcp, rtp, seal_rtcp, seal_rtp};
use kakehashi_srtp::{
    Opened, OpenedRtcp, PacketIndex, Provider, RTCP_OVERHEAD_BYTES, RTP_OVERHEAD_BYTES, RtcpIndex,
    RtcpPrivacy, Scratch, SealerPosition, SrtpError, StreamOpener, StreamSealer, reopen_rtp,
    seal_rtcp_at, seal_rtp_at,
};
use kakehashi_wire::secret::Suite;
use proptest::prelude::*;

fn with_room(plain: &[u8], room: usize) -> Vec<u8> {
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + room, 0);
    buffer
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rtp_beside_equals_in_place(
        rollover: u32,
        sequence: u16,
        payload_bytes in 0_usize..1_400,
        provider in prop::sample::select(Provider::ALL.to_vec()),
        suite in prop::sample::select(SUITES.to_vec()),
        flipped: prop::sample::Index,
        spare in 0_usize..40,
    ) {
        let (keys, index) = (keys(provider, suite), PacketIndex::new(rollover, sequence));
        let plain = rtp(SSRC, sequence, payload_bytes);
        let mut packet = with_room(&plain, RTP_OVERHEAD_BYTES);
        let sealed = seal_rtp_at(&keys, index, &mut packet, plain.len());
        prop_assert_eq!(sealed, Ok(packet.len()));
        let at = SealerPosition { rtp: index, rtcp: RtcpIndex::from_value(0).unwrap() };
        prop_assert_eq!(&packet, &seal_rtp(&keys, &mut StreamSealer::resume(SSRC, at), &plain));

        let joining = StreamOpener::joining(SSRC, rollover);
        let (mut beside, mut in_place) = (joining.clone(), joining.clone());
        let mut out = vec![0xee; plain.len() + spare];
        let opened = Ok(Opened { index, bytes: plain.len() });
        prop_assert_eq!(beside.unprotect_rtp_into(&keys, &packet, &mut out), opened);
        let mut changed = packet.clone();
        let got = in_place.unprotect_rtp(&keys, &mut changed, &mut Scratch::new());
        prop_assert_eq!(got, opened);
        prop_assert_eq!(&beside, &in_place);
        prop_assert_eq!(&out[..plain.len()], &changed[..plain.len()]);
        prop_assert_eq!(&out[..plain.len()], &plain);
        prop_assert!(out[plain.len()..].iter().all(|byte| *byte == 0xee), "spare room is kept");
        let again = beside.unprotect_rtp_into(&keys, &packet, &mut out);
        prop_assert_eq!(again, Err(SrtpError::Replayed));

        out.fill(0);
        prop_assert_eq!(reopen_rtp(&keys, &packet, index, &mut out), Ok(plain.len()));
        prop_assert_eq!(&out[..plain.len()], &plain);
        let other = PacketIndex::new(rollover ^ 1, sequence);
        let got = reopen_rtp(&keys, &packet, other, &mut out);
        prop_assert_eq!(got, Err(SrtpError::Forged));

        let bit = flipped.index(packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        let mut fresh = joining.clone();
        prop_assert!(fresh.unprotect_rtp_into(&keys, &packet, &mut out).is_err());
        prop_assert!(reopen_rtp(&keys, &packet, index, &mut out).is_err());
        prop_assert_eq!(fresh, joining);
    }

    #[test]
    fn rtcp_beside_equals_in_place(
        index in 0_u32..1 << 31,
        words in 0_u16..300,
        provider in prop::sample::select(Provider::ALL.to_vec()),
        suite in prop::sample::select(SUITES.to_vec()),
        readable: bool,
        flipped: prop::sample::Index,
    ) {
        let (keys, index) = (keys(provider, suite), RtcpIndex::from_value(index).unwrap());
        let plain = rtcp(SSRC, words);
        let at = SealerPosition { rtp: PacketIndex::new(0, 0), rtcp: index };
        let mut sealer = StreamSealer::resume(SSRC, at);
        let mut packet = with_room(&plain, RTCP_OVERHEAD_BYTES);
        if readable {
            sealer.protect_rtcp(&keys, &mut packet, plain.len(), RtcpPrivacy::Readable).unwrap();
        } else {
            let sealed = seal_rtcp_at(&keys, index, &mut packet, plain.len());
            prop_assert_eq!(sealed, Ok(packet.len()));
            prop_assert_eq!(&packet, &seal_rtcp(&keys, &mut sealer, &plain));
        }
        let mut opener = StreamOpener::new(SSRC);
        let mut out = vec![0xee; plain.len()];
        let opened = Ok(OpenedRtcp { index, bytes: plain.len() });
        prop_assert_eq!(opener.unprotect_rtcp_into(&keys, &packet, &mut out), opened);
        prop_assert_eq!(&out, &plain);
        let again = opener.unprotect_rtcp_into(&keys, &packet, &mut out);
        prop_assert_eq!(again, Err(SrtpError::Replayed));

        let bit = flipped.index(packet.len() * 8);
        packet[bit / 8] ^= 1 << (bit % 8);
        let (mut fresh, before) = (StreamOpener::new(SSRC), StreamOpener::new(SSRC));
        prop_assert!(fresh.unprotect_rtcp_into(&keys, &packet, &mut out).is_err());
        prop_assert_eq!(fresh, before);
    }
}

#[test]
fn misuse_is_named_and_changes_nothing() {
    let keys = keys(Provider::AwsLcRs, Suite::AeadAes128Gcm);
    let (index, plain) = (PacketIndex::new(3, 10), rtp(SSRC, 10, 20));
    for (room, index, plain_bytes, wanted) in [
        (16, PacketIndex::new(3, 11), plain.len(), SrtpError::WrongSequence),
        (15, index, plain.len(), SrtpError::NoRoom),
        (0, index, plain.len() + 1, SrtpError::NoRoom),
        (16, index, 11, SrtpError::TooShort),
    ] {
        let mut buffer = with_room(&plain, room);
        let before = buffer.clone();
        assert_eq!(seal_rtp_at(&keys, index, &mut buffer, plain_bytes), Err(wanted));
        assert_eq!(buffer, before, "{wanted:?}");
    }
    let mut report = with_room(&rtcp(SSRC, 2), 19);
    let (before, first) = (report.clone(), RtcpIndex::from_value(0).unwrap());
    assert_eq!(seal_rtcp_at(&keys, first, &mut report, 16), Err(SrtpError::NoRoom));
    assert_eq!(seal_rtcp_at(&keys, first, &mut report, 7), Err(SrtpError::TooShort));
    assert_eq!(report, before);

    let mut packet = with_room(&plain, 16);
    seal_rtp_at(&keys, index, &mut packet, plain.len()).unwrap();
    let (mut opener, mut short) = (StreamOpener::joining(SSRC, 3), vec![0; plain.len() - 1]);
    let got = opener.unprotect_rtp_into(&keys, &packet, &mut short);
    assert_eq!(got, Err(SrtpError::NoRoom));
    assert_eq!(reopen_rtp(&keys, &packet, index, &mut short), Err(SrtpError::NoRoom));
    assert_eq!(reopen_rtp(&keys, &packet[..20], index, &mut short), Err(SrtpError::TooShort));
    assert_eq!(opener, StreamOpener::joining(SSRC, 3));
}
