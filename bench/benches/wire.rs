//! What reading one packet or one message costs.

use criterion::Criterion;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::frame::FrameHeader;
use kakehashi_wire::id::{CallId, Generation, LegId, RequestId, ShardIndex, Term, TraceId};
use kakehashi_wire::media::Host;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::relay::{InstallLeg, LegLane, LegStream, Order, Orders, ToRelay};
use kakehashi_wire::rtp::{RtpHeader, RtpView, Ssrc};
use kakehashi_wire::secret::{IcePassword, MasterKey, Suite};
use kakehashi_wire::stun::{StunMessage, StunView, TransactionId};
use kakehashi_wire::terminal::{
    FromTerminal, Invite, Presence, PresenceEntry, PresenceState, ToTerminal,
};
use std::hint::black_box;

fn packets(criterion: &mut Criterion) {
    let header =
        RtpHeader { marker: true, payload_type: 96, sequence: 7, timestamp: 9, ssrc: Ssrc(11) };
    let mut rtp = header.to_bytes().to_vec();
    rtp.resize(1200, 0x5a);
    criterion.bench_function("wire/demux", |bencher| {
        bencher.iter(|| DatagramKind::of(black_box(&rtp)));
    });
    criterion.bench_function("wire/rtp/parse", |bencher| {
        bencher.iter(|| RtpView::parse(black_box(&rtp)).map(|view| view.header()));
    });
}

fn bindings(criterion: &mut Criterion) {
    let key = IcePassword::from_random([3; 24]);
    let (leg, transaction) = (LegId(5).fragment(), TransactionId([1; 12]));
    let check = StunMessage::check(transaction, &leg, &leg, 7, key.as_bytes());
    criterion.bench_function("wire/stun/parse", |bencher| {
        bencher.iter(|| StunView::parse(black_box(check.bytes())).map(|view| view.transaction()));
    });
    let view = StunView::parse(check.bytes()).expect("the request is good");
    criterion.bench_function("wire/stun/verify", |bencher| {
        bencher.iter(|| black_box(view).is_keyed_by(key.as_bytes()));
    });
}

fn messages(criterion: &mut Criterion) {
    let streams = vec![StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus }];
    let invite = Invite { request: RequestId(1), login: "concierge-1".into(), streams };
    let (kind, body) = body(FromTerminal::from(invite).encode());
    criterion.bench_function("wire/invite/decode", |bencher| {
        bencher.iter(|| FromTerminal::decode(kind, black_box(&body)).is_ok());
    });

    let entry = |number: u32| PresenceEntry {
        login: format!("concierge-{number}"),
        display: format!("Concierge {number}"),
        state: PresenceState::Waiting,
    };
    let presence = Presence { complete: true, entries: (0..64).map(entry).collect() };
    let (kind, body) = self::body(ToTerminal::from(presence).encode());
    criterion.bench_function("wire/presence of 64/decode", |bencher| {
        bencher.iter(|| ToTerminal::decode(kind, black_box(&body)).is_ok());
    });

    let orders = Orders { term: Term::ALONE, orders: (0..32).map(order).collect() };
    let (kind, body) = self::body(ToRelay::from(orders).encode());
    criterion.bench_function("wire/orders of 32/decode", |bencher| {
        bencher.iter(|| ToRelay::decode(kind, black_box(&body)).is_ok());
    });
}

fn order(number: u32) -> Order {
    Order::Install(InstallLeg {
        leg: LegId(u64::from(number)),
        call: CallId(u64::from(number / 2)),
        trace: TraceId(u64::from(number / 2)),
        generation: Generation(1),
        shard: ShardIndex(0),
        key: MasterKey::new(Suite::AeadAes128Gcm, &[7; 32], &[9; 12]),
        relay_password: IcePassword::from_random([1; 24]),
        terminal_password: IcePassword::from_random([2; 24]),
        streams: [2 * number, 2 * number + 1].map(stream).to_vec(),
        lane: LegLane::Pass,
        receives: None,
        rate_kbps: 0,
        lifetime_ms: 60_000,
        seen_at: Host::UNKNOWN,
    })
}

fn stream(ssrc: u32) -> LegStream {
    LegStream { ssrc: Ssrc(ssrc), rollover: 0 }
}

/// Type code and body of an encoded message.
fn body<E: core::fmt::Debug>(message: Result<Vec<u8>, E>) -> (u16, Vec<u8>) {
    let message = message.expect("the message is within its limits");
    let (header, body) =
        message.split_first_chunk::<{ FrameHeader::BYTES }>().expect("a message has a header");
    let kind = FrameHeader::parse(header).expect("the header is good").kind();
    (kind, body.to_vec())
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    packets(&mut criterion);
    bindings(&mut criterion);
    messages(&mut criterion);
    criterion.final_summary();
}
