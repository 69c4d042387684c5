//! One direction of one stream: trains that are stamped and sealed, packets that are opened and
//! whose stamps are read.

use crate::measure::nanos;
use crate::member::{Member, MemberStream};
use crate::mix::{Burst, PAYLOAD_BYTES_MAX, PAYLOAD_BYTES_MIN, Source};
use anyhow::Result;
use core::time::Duration;
use kakehashi_srtp::{
    PacketIndex, RTP_OVERHEAD_BYTES, Scratch, SessionKeys, SrtpError, StreamOpener, StreamSealer,
};
use kakehashi_wire::media::Codec;
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader, Ssrc};

/// Bytes of the stamp every payload begins with: the run, when the packet was due, when it was
/// handed to the kernel.
pub const STAMP_BYTES: usize = 4 + 8 + 8;

/// Bytes of a full packet as it is sent.
pub const SEGMENT_BYTES: usize = FIXED_HEADER_BYTES + PAYLOAD_BYTES_MAX + RTP_OVERHEAD_BYTES;

/// Packets of the longest train: what the 65,507 bytes of one send hold.
pub const TRAIN_PACKETS_MAX: usize = 65_507 / SEGMENT_BYTES;

/// Room for the longest train.
pub const TRAIN_BYTES_MAX: usize = TRAIN_PACKETS_MAX * SEGMENT_BYTES;

/// What a packet says of itself.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stamp {
    /// Number of the run within the program.
    pub run: u32,
    /// When it was due, from the beginning of the run.
    pub due: Duration,
    /// When it was handed to the kernel.
    pub sent: Duration,
}

impl Stamp {
    fn write(self, out: &mut [u8]) {
        out[..4].copy_from_slice(&self.run.to_be_bytes());
        out[4..12].copy_from_slice(&nanos(self.due).to_be_bytes());
        out[12..STAMP_BYTES].copy_from_slice(&nanos(self.sent).to_be_bytes());
    }

    fn read(payload: &[u8]) -> Option<Self> {
        let (run, rest) = payload.split_first_chunk()?;
        let (due, rest) = rest.split_first_chunk()?;
        let (sent, _) = rest.split_first_chunk()?;
        Some(Self {
            run: u32::from_be_bytes(*run),
            due: Duration::from_nanos(u64::from_be_bytes(*due)),
            sent: Duration::from_nanos(u64::from_be_bytes(*sent)),
        })
    }
}

/// A stream as it is sent.
pub struct SendFlow {
    /// The member that sends.
    pub member: usize,
    /// What the stream carries.
    pub source: Source,
    /// Members that are to receive each packet.
    pub copies: u64,
    sealer: StreamSealer,
    codec: Codec,
}

/// A train in a buffer.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Train {
    /// All its bytes.
    pub bytes: usize,
    /// Bytes of each packet but the last, which may be shorter.
    pub segment_bytes: usize,
    /// Its packets.
    pub packets: usize,
}

impl SendFlow {
    /// The flow of one stream of member number `member`.
    pub fn new(member: usize, stream: MemberStream, copies: u64) -> Self {
        let codec = match stream.source {
            Source::Voice => Codec::Opus,
            Source::Camera | Source::Screen => Codec::Vp8,
        };
        let sealer = StreamSealer::new(stream.ssrc, stream.first_sequence);
        Self { member, source: stream.source, copies, sealer, codec }
    }

    /// Seals the next train of `burst` into `buffer`: what is left of it after the `done` bytes of
    /// payload that went before, but no more than [`TRAIN_PACKETS_MAX`] packets.
    ///
    /// # Errors
    /// If the key is used up.
    pub fn seal(
        &mut self,
        keys: &SessionKeys,
        burst: Burst,
        done: usize,
        stamp: Stamp,
        buffer: &mut [u8; TRAIN_BYTES_MAX],
    ) -> Result<Train> {
        let left = burst.payload_bytes.saturating_sub(done).max(PAYLOAD_BYTES_MIN);
        let packets = left.div_ceil(PAYLOAD_BYTES_MAX).min(TRAIN_PACKETS_MAX);
        let mut train = Train { bytes: 0, segment_bytes: 0, packets };
        for packet in 0..packets {
            let rest = left - packet * PAYLOAD_BYTES_MAX;
            // The last packet carries what is left, and at least its stamp.
            let payload = rest.clamp(PAYLOAD_BYTES_MIN, PAYLOAD_BYTES_MAX);
            let last = rest <= PAYLOAD_BYTES_MAX;
            let out = &mut buffer[train.bytes..];
            out[..FIXED_HEADER_BYTES].copy_from_slice(&self.header(stamp.due, last)?.to_bytes());
            stamp.write(&mut out[FIXED_HEADER_BYTES..]);
            let sealed = self.sealer.protect_rtp(keys, out, FIXED_HEADER_BYTES + payload)?;
            train.segment_bytes = train.segment_bytes.max(sealed);
            train.bytes += sealed;
        }
        Ok(train)
    }

    fn header(&self, due: Duration, last: bool) -> Result<RtpHeader> {
        let ticks = due.as_micros() * u128::from(self.codec.clock_hz()) / 1_000_000;
        Ok(RtpHeader {
            marker: last && self.source != Source::Voice,
            payload_type: self.codec.payload_type(),
            sequence: self.sealer.next_sequence()?,
            // The media clock wraps (RFC 3550 5.1).
            timestamp: u32::try_from(ticks & 0xffff_ffff).unwrap_or(0),
            ssrc: self.sealer.ssrc(),
        })
    }
}

/// Whose keys open a packet.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum KeysOf {
    /// Those this member sends with: the pass lane.
    Sender(usize),
    /// Those the relay seals with for this member: the seal lane.
    Receiver(usize),
}

/// A stream as one receiver hears it.
pub struct ReceiveFlow {
    /// The member whose keys its packets come sealed with.
    pub sealer: KeysOf,
    opener: StreamOpener,
    highest: Option<PacketIndex>,
}

/// What a packet turned out to be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Opened {
    /// Authentic and new.
    Media {
        /// Its stamp.
        stamp: Stamp,
        /// A later packet of its stream came before it.
        reordered: bool,
    },
    /// Authentic once, but it came before.
    Duplicate,
    /// Not what its sender sealed.
    Refused,
}

impl ReceiveFlow {
    /// The flow of the stream `ssrc`, whose packets come sealed with the keys of `sealer`.
    pub fn new(sealer: KeysOf, ssrc: Ssrc) -> Self {
        Self { sealer, opener: StreamOpener::new(ssrc), highest: None }
    }

    /// Opens a packet in place.
    pub fn open(&mut self, keys: &SessionKeys, packet: &mut [u8], scratch: &mut Scratch) -> Opened {
        let opened = match self.opener.unprotect_rtp(keys, packet, scratch) {
            Ok(opened) => opened,
            Err(SrtpError::Replayed) => return Opened::Duplicate,
            Err(_) => return Opened::Refused,
        };
        let reordered = self.highest.is_some_and(|highest| opened.index < highest);
        self.highest = self.highest.max(Some(opened.index));
        let payload = packet.get(FIXED_HEADER_BYTES..opened.bytes);
        match payload.and_then(Stamp::read) {
            Some(stamp) => Opened::Media { stamp, reordered },
            None => Opened::Refused,
        }
    }
}

/// All flows of some calls: what each member sends, and what each hears.
///
/// `heard(receiver, ssrc, flow)` is called for each stream that a receiver hears.
pub fn connect(
    members: &[Member],
    first: usize,
    mut heard: impl FnMut(usize, Ssrc, ReceiveFlow),
) -> Vec<SendFlow> {
    let mut sending = Vec::new();
    for call in members.chunk_by(|a, b| a.call == b.call) {
        let begin = first + sending_members(members, call);
        for (at, member) in call.iter().enumerate() {
            let sender = begin + at;
            for stream in &member.streams {
                sending.push(SendFlow::new(sender, *stream, call.len() as u64 - 1));
                for (other, hearing) in call.iter().enumerate().filter(|(other, _)| *other != at) {
                    let receiver = begin + other;
                    let sealer = match hearing.downlink {
                        Some(_) => KeysOf::Receiver(receiver),
                        None => KeysOf::Sender(sender),
                    };
                    heard(receiver, stream.ssrc, ReceiveFlow::new(sealer, stream.ssrc));
                }
            }
        }
    }
    sending
}

/// Members before `call`, which is a part of `members`.
fn sending_members(members: &[Member], call: &[Member]) -> usize {
    members.iter().take_while(|member| member.call != call[0].call).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::orders::{Direct, Lane};
    use kakehashi_srtp::Provider;

    fn burst(payload_bytes: usize) -> Burst {
        Burst { due: Duration::from_millis(40), payload_bytes, joins: false }
    }

    fn stamp() -> Stamp {
        let ms = Duration::from_millis;
        Stamp { run: 3, due: ms(40), sent: ms(41) }
    }

    fn members() -> Vec<Member> {
        let lane = Lane::Pass;
        let seen_at = kakehashi_wire::media::Host::UNKNOWN;
        let direct = Direct { legs: 5, legs_per_call: 3, shards: 1, seed: 1, lane, seen_at };
        direct.members("127.0.0.1:9".parse().unwrap())
    }

    #[test]
    fn a_train_is_opened_packet_by_packet() {
        let members = members();
        let keys = SessionKeys::derive(Provider::AwsLcRs, &members[0].key);
        let stream = members[0].streams[1];
        let mut buffer = Box::new([0; TRAIN_BYTES_MAX]);
        let mut scratch = Scratch::new();
        for payload in [0, 160, 1_172, 1_173, 46_000] {
            let mut flow = SendFlow::new(0, stream, 2);
            let mut receiver = ReceiveFlow::new(KeysOf::Sender(0), stream.ssrc);
            let train = flow.seal(&keys, burst(payload), 0, stamp(), &mut buffer).unwrap();
            assert_eq!(train.packets, burst(payload).packets());
            let mut packets: Vec<Vec<u8>> =
                buffer[..train.bytes].chunks(train.segment_bytes).map(<[u8]>::to_vec).collect();
            assert_eq!(packets.len(), train.packets);
            let again = packets[0].clone();
            for packet in &mut packets {
                let opened = receiver.open(&keys, packet, &mut scratch);
                assert_eq!(opened, Opened::Media { stamp: stamp(), reordered: false });
            }
            let twice = receiver.open(&keys, &mut again.clone(), &mut scratch);
            assert_eq!(twice, Opened::Duplicate);
            let mut forged = again;
            forged[20] ^= 1;
            let mut fresh = ReceiveFlow::new(KeysOf::Sender(0), stream.ssrc);
            assert_eq!(fresh.open(&keys, &mut forged, &mut scratch), Opened::Refused);
        }
    }

    #[test]
    fn a_burst_longer_than_a_train_goes_in_pieces() {
        let members = members();
        let keys = SessionKeys::derive(Provider::AwsLcRs, &members[0].key);
        let mut flow = SendFlow::new(0, members[0].streams[1], 2);
        let mut buffer = Box::new([0; TRAIN_BYTES_MAX]);
        let long = burst(100 * PAYLOAD_BYTES_MAX);
        let first = flow.seal(&keys, long, 0, stamp(), &mut buffer).unwrap();
        assert_eq!(first.packets, TRAIN_PACKETS_MAX);
        let done = TRAIN_PACKETS_MAX * PAYLOAD_BYTES_MAX;
        let second = flow.seal(&keys, long, done, stamp(), &mut buffer).unwrap();
        assert_eq!(first.packets + second.packets, long.packets());
    }

    #[test]
    fn what_overtakes_is_told() {
        let members = members();
        let keys = SessionKeys::derive(Provider::AwsLcRs, &members[0].key);
        let stream = members[0].streams[0];
        let (mut flow, mut receiver) =
            (SendFlow::new(0, stream, 1), ReceiveFlow::new(KeysOf::Sender(0), stream.ssrc));
        let mut buffer = Box::new([0; TRAIN_BYTES_MAX]);
        let mut scratch = Scratch::new();
        let mut packet = || {
            let train = flow.seal(&keys, burst(160), 0, stamp(), &mut buffer).unwrap();
            buffer[..train.bytes].to_vec()
        };
        let (mut one, mut two) = (packet(), packet());
        let order = [&mut two, &mut one].map(|packet| {
            let opened = receiver.open(&keys, packet, &mut scratch);
            matches!(opened, Opened::Media { reordered: true, .. })
        });
        assert_eq!(order, [false, true]);
    }

    #[test]
    fn every_member_hears_all_others_of_its_call_only() {
        let mut heard = Vec::new();
        let sending = connect(&members(), 10, |receiver, ssrc, flow| {
            let KeysOf::Sender(sender) = flow.sealer else { panic!("it is the pass lane") };
            heard.push((receiver, sender, ssrc));
        });
        assert_eq!(sending.len(), 15);
        assert_eq!(sending[0].copies, 2);
        assert_eq!(sending[14].copies, 1);
        // Three legs that hear two each, two that hear one each; three streams.
        assert_eq!(heard.len(), (3 * 2 + 2) * 3);
        assert!(heard.iter().all(|(receiver, sender, _)| receiver != sender
            && (*receiver < 13) == (*sender < 13)
            && *receiver >= 10));
    }
}
