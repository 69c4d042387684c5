//! What is lost, and what was only not to come.

use super::*;
use kakehashi_wire::media::Codec;
use kakehashi_wire::rtp::FIXED_HEADER_BYTES;

const FIRST: u16 = 0xff00;

struct Heard {
    stream: Stream,
    now: u64,
    out: VecDeque<Arrival>,
}

impl Heard {
    fn new(kind: StreamKind) -> Self {
        let codec = if kind == StreamKind::Audio { Codec::Opus } else { Codec::Vp8 };
        let plan = StreamPlan { kind, codec, ssrc: Ssrc(7), first_sequence: FIRST, rollover: 0 };
        Self { stream: Stream::new(StreamId(0), plan), now: 0, out: VecDeque::new() }
    }

    /// The packets of these numbers, counted from the stream's first, come 20 ms apart.
    fn take(&mut self, numbers: impl IntoIterator<Item = u64>) {
        for number in numbers {
            self.now += 20_000;
            let index = u64::from(FIRST) + number;
            let codec = self.stream.plan.codec;
            let header = RtpHeader {
                marker: true,
                payload_type: codec.payload_type(),
                sequence: u16::try_from(index & 0xffff).unwrap(),
                timestamp: u32::try_from(number * 960).unwrap(),
                ssrc: Ssrc(7),
            };
            let mut bytes = header.to_bytes().to_vec();
            assert_eq!(bytes.len(), FIXED_HEADER_BYTES);
            // One frame of Opus, or a whole key frame of VP8.
            bytes.extend_from_slice(if codec == Codec::Opus { &[8, 1] } else { &[0x10, 0, 0, 0] });
            let view = RtpView::parse(&bytes).unwrap();
            let index = PacketIndex::new(u32::try_from(index >> 16).unwrap(), header.sequence);
            let now = Moment::from_micros(self.now);
            let _taken = self.stream.take(&view, index, now, &mut self.out);
        }
    }

    /// Packets lost, made up, and numbers to ask for; time goes on by a second.
    fn lacks(&mut self) -> (u64, u64, usize) {
        self.now += 1_000_000;
        let now = Moment::from_micros(self.now);
        let asked = self.stream.repair.ask(now, Duration::ZERO).len();
        self.stream.release(now, &mut self.out);
        let summary = self.stream.summary("other", true);
        (summary.lost, summary.concealed, asked)
    }
}

#[test]
fn what_was_not_to_come_is_neither_lost_nor_made_up_nor_asked_for() {
    for kind in [StreamKind::Audio, StreamKind::Camera, StreamKind::Screen] {
        let mut heard = Heard::new(kind);
        heard.take(0..100);
        heard.stream.expect(false);
        // Control's word was faster than the relay, or slower.
        heard.take([100, 101]);
        heard.stream.expect(true);
        heard.take(5_000..5_100);
        assert_eq!(heard.lacks(), (0, 0, 0), "{kind:?}");
        assert_eq!(heard.stream.stats.report().unwrap().cumulative_lost, 0);
        heard.stream.expect(false);
        // Comes again before control says so, and a hundred thousand packets later.
        heard.take(105_000..105_050);
        heard.stream.expect(true);
        heard.take(105_050..105_100);
        assert_eq!(heard.lacks(), (0, 0, 0), "{kind:?}");
        assert_eq!(heard.stream.summary("other", true).packets, 302);
        let report = heard.stream.stats.report().unwrap();
        assert_eq!((report.fraction_lost, report.cumulative_lost), (0, 0));
        // From there on a loss is one again.
        heard.take([105_100, 105_102, 105_104]);
        let (lost, _, asked) = heard.lacks();
        assert_eq!((lost, asked), (2, 2), "{kind:?}");
        let (lost, concealed, _) = heard.lacks();
        assert_eq!((lost, concealed), (2, 2), "{kind:?}");
    }
}

#[test]
fn a_loss_before_and_a_packet_that_comes_late_count_as_what_they_are() {
    let mut heard = Heard::new(StreamKind::Audio);
    heard.take([0, 1, 3]);
    heard.lacks();
    heard.stream.expect(false);
    heard.stream.expect(true);
    // The second of those that come again is there first, and then one more from before them.
    heard.take([501, 500, 499, 502]);
    let summary = heard.stream.summary("other", true);
    assert_eq!((summary.lost, summary.packets, summary.duplicates), (1, 7, 0));
}

#[test]
fn a_stream_that_is_to_come_later_misses_nothing_of_what_was_before() {
    let mut heard = Heard::new(StreamKind::Screen);
    let info = SenderInfo { ntp: 0, rtp_timestamp: 0, packets: 40, bytes: 40 };
    heard.stream.expect(false);
    heard.stream.sender_reported(info, Moment::ZERO);
    assert_eq!(heard.lacks(), (0, 0, 0), "nothing of it was to come");
    heard.stream.expect(true);
    heard.take(30..40);
    assert_eq!(heard.lacks(), (0, 0, 0));
}

#[test]
fn what_was_to_come_all_the_time_is_missed_by_the_senders_count() {
    let mut heard = Heard::new(StreamKind::Audio);
    let info = SenderInfo { ntp: 0, rtp_timestamp: 0, packets: 40, bytes: 40 };
    heard.take(5..30);
    heard.stream.sender_reported(info, Moment::ZERO);
    let (lost, ..) = heard.lacks();
    assert_eq!(lost, 15);
}
