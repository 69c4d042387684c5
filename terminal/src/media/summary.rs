//! What a call's media did, as numbers: for the live view, for machines, for the end.

use kakehashi_srtp::SrtpError;
use kakehashi_wire::id::{CallId, RelayId};
use kakehashi_wire::limits::RELAYS_PER_CALL_MAX;
use kakehashi_wire::media::{Codec, RelayRole, StreamKind};
use kakehashi_wire::terminal::{ReportQuality, WayToRelay};
use serde::Serialize;

/// A call's media so far, or at its end.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct CallSummary {
    /// The call.
    pub call: String,
    /// Where the exchange stands.
    pub phase: Phase,
    /// Seconds since media began to flow.
    pub seconds: f64,
    /// Round trip to the other terminal in microseconds (RFC 3550 6.4.1); none while unknown.
    pub round_trip_us: Option<u64>,
    /// What the network carries, by the receivers' reports, in bits a second of RTP datagrams.
    pub target_bits_per_second: u64,
    /// What this terminal sent.
    pub sent: Vec<SentStream>,
    /// What it received.
    pub received: Vec<ReceivedStream>,
    /// The relays.
    pub paths: Vec<PathSummary>,
    /// What arrived and was not taken.
    pub drops: Drops,
    /// What could not be recorded, and where recordings lie.
    pub recording: RecordingSummary,
}

/// Where the exchange of media stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// No relay has answered yet.
    #[default]
    Binding,
    /// Waits to hear from every other member.
    Greeting,
    /// Media flows.
    Flowing,
    /// Said goodbye; takes in what is still under way.
    Lingering,
    /// Finished.
    Over,
}

/// A stream this terminal sends.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct SentStream {
    /// `audio`, `camera` or `screen`.
    pub kind: &'static str,
    /// `opus`, `vp8` or `vp9`.
    pub codec: &'static str,
    /// Synchronisation source, hexadecimal.
    pub ssrc: String,
    /// Frames handed in; for plain RTP input, packets with the marker.
    pub frames: u64,
    /// Packets sent.
    pub packets: u64,
    /// Payload bytes sent.
    pub bytes: u64,
    /// Payload bits a second over the last interval.
    pub bits_per_second: u64,
    /// Packets the receiver misses, by its last report; none before one came.
    pub peer_lost: Option<i32>,
    /// Jitter at the receiver in microseconds, by its last report.
    pub peer_jitter_us: Option<u64>,
    /// Times that the source was told to make a key frame: receivers lost pictures, or pictures
    /// were held back.
    pub key_frames_wanted: u64,
    /// Frames that did not leave because the network carries too little.
    pub frames_held_back: u64,
}

/// A stream this terminal receives.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct ReceivedStream {
    /// Login ID of the sender.
    pub from: String,
    /// `audio`, `camera` or `screen`.
    pub kind: &'static str,
    /// `opus`, `vp8` or `vp9`.
    pub codec: &'static str,
    /// Synchronisation source, hexadecimal.
    pub ssrc: String,
    /// Complete frames.
    pub frames: u64,
    /// Frames of which a part was missing.
    pub frames_incomplete: u64,
    /// Different packets received.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Payload bits a second over the last interval.
    pub bits_per_second: u64,
    /// Packets that never came, by sequence numbers and the sender's own count.
    pub lost: u64,
    /// Packets the relay was asked to send again.
    pub asked: u64,
    /// Of those asked for, packets that came in time.
    pub repaired: u64,
    /// Of those asked for, packets that did not come in time.
    pub given_up: u64,
    /// Packets that were not there when their turn came, whether they came later or never. Of
    /// voice, a decoder makes up what they carried; a picture goes without.
    pub concealed: u64,
    /// Requests for a key frame, after losses that were not repaired.
    pub key_frames_asked: u64,
    /// Packets that came again.
    pub duplicates: u64,
    /// Packets that came out of order.
    pub reordered: u64,
    /// Interarrival jitter in microseconds (RFC 3550 6.4.1).
    pub jitter_us: u64,
    /// Longest time between two different packets in microseconds, pauses of the sender included.
    pub longest_silence_us: u64,
}

/// A relay as this terminal sees it.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct PathSummary {
    /// The relay's number.
    #[serde(skip)]
    pub number: RelayId,
    /// The same as text.
    pub relay: String,
    /// `primary` or `standby`.
    pub role: &'static str,
    /// Its address.
    pub address: String,
    /// Whether it answers.
    pub usable: bool,
    /// Whether media is sent over it.
    pub active: bool,
    /// Round trip of the last answered check in microseconds.
    pub round_trip_us: Option<u64>,
}

/// What arrived or was to be sent and was not taken, by reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Drops {
    /// From an address that is no relay of this call.
    pub foreign_source: u64,
    /// Neither STUN nor RTP nor RTCP.
    pub not_media: u64,
    /// STUN that is malformed or answers nothing.
    pub stun_unexpected: u64,
    /// STUN whose integrity does not hold.
    pub stun_forged: u64,
    /// RTP or RTCP that is malformed.
    pub malformed: u64,
    /// RTP or RTCP of a stream that is not of this call.
    pub unknown_stream: u64,
    /// RTP or RTCP that is not authentic.
    pub forged: u64,
    /// RTP or RTCP that came before.
    pub replayed: u64,
    /// RTP or RTCP from before the replay window.
    pub too_old: u64,
    /// Datagrams that waited for the socket longer than the outbox is.
    pub not_sent: u64,
    /// Packets of a local pipeline that are longer than a relay takes.
    pub too_long: u64,
}

impl SentStream {
    fn add(&mut self, before: &Self) {
        self.frames += before.frames;
        self.packets += before.packets;
        self.bytes += before.bytes;
        self.key_frames_wanted += before.key_frames_wanted;
        self.frames_held_back += before.frames_held_back;
    }
}

impl ReceivedStream {
    fn add(&mut self, before: &Self) {
        self.frames += before.frames;
        self.frames_incomplete += before.frames_incomplete;
        self.packets += before.packets;
        self.bytes += before.bytes;
        self.lost += before.lost;
        self.asked += before.asked;
        self.repaired += before.repaired;
        self.given_up += before.given_up;
        self.concealed += before.concealed;
        self.key_frames_asked += before.key_frames_asked;
        self.duplicates += before.duplicates;
        self.reordered += before.reordered;
        self.jitter_us = self.jitter_us.max(before.jitter_us);
        self.longest_silence_us = self.longest_silence_us.max(before.longest_silence_us);
    }
}

impl Drops {
    fn add(&mut self, before: &Self) {
        self.foreign_source += before.foreign_source;
        self.not_media += before.not_media;
        self.stun_unexpected += before.stun_unexpected;
        self.stun_forged += before.stun_forged;
        self.malformed += before.malformed;
        self.unknown_stream += before.unknown_stream;
        self.forged += before.forged;
        self.replayed += before.replayed;
        self.too_old += before.too_old;
        self.not_sent += before.not_sent;
        self.too_long += before.too_long;
    }

    /// Counts a packet that SRTP refused.
    pub fn refused(&mut self, reason: SrtpError) {
        let counter = match reason {
            SrtpError::Forged => &mut self.forged,
            SrtpError::Replayed => &mut self.replayed,
            SrtpError::TooOld => &mut self.too_old,
            SrtpError::UnknownSsrc | SrtpError::WrongSsrc => &mut self.unknown_stream,
            _ => &mut self.malformed,
        };
        *counter += 1;
    }
}

/// What became of the recordings.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct RecordingSummary {
    /// Files written.
    pub files: Vec<std::path::PathBuf>,
    /// Frames that the disk was too slow for.
    pub frames_skipped: u64,
    /// Why a recording is not complete.
    pub errors: Vec<String>,
}

impl CallSummary {
    /// This round's numbers, and those of the rounds before it.
    #[must_use]
    pub fn after(mut self, earlier: &Self) -> Self {
        self.seconds += earlier.seconds;
        self.drops.add(&earlier.drops);
        for (sent, before) in self.sent.iter_mut().zip(&earlier.sent) {
            sent.add(before);
        }
        let mut taken = vec![false; self.received.len()];
        for before in &earlier.received {
            let same = |(at, it): &(usize, &mut ReceivedStream)| {
                !taken[*at]
                    && (&it.from, it.kind, it.codec) == (&before.from, before.kind, before.codec)
            };
            match self.received.iter_mut().enumerate().find(same) {
                Some((at, stream)) => {
                    stream.add(before);
                    taken[at] = true;
                }
                None => {
                    self.received.push(ReceivedStream { bits_per_second: 0, ..before.clone() });
                    taken.push(true);
                }
            }
        }
        self
    }

    /// Packets of all received streams.
    pub fn packets_received(&self) -> u64 {
        self.received.iter().map(|stream| stream.packets).sum()
    }

    /// Packets of all sent streams.
    pub fn packets_sent(&self) -> u64 {
        self.sent.iter().map(|stream| stream.packets).sum()
    }

    /// Packets of all streams that never came.
    pub fn packets_lost(&self) -> u64 {
        self.received.iter().map(|stream| stream.lost).sum()
    }

    /// Packets of voice that were not there when their turn came to be heard.
    pub fn packets_concealed(&self) -> u64 {
        let voice = |stream: &&ReceivedStream| stream.kind == kind_name(StreamKind::Audio);
        self.received.iter().filter(voice).map(|stream| stream.concealed).sum()
    }

    /// What control is to hear of it: see [`Terminal::report_quality`](crate::Terminal).
    pub fn report(&self, call: CallId) -> ReportQuality {
        let micros = |value: u64| u32::try_from(value).unwrap_or(u32::MAX);
        let way = |path: &PathSummary| {
            let round_trip_us = path.round_trip_us.map_or(0, micros);
            WayToRelay { relay: path.number, round_trip_us }
        };
        ReportQuality {
            call,
            packets_sent: self.packets_sent(),
            packets_received: self.packets_received(),
            packets_lost: self.packets_lost(),
            jitter_us: micros(self.jitter_us()),
            round_trip_us: micros(self.round_trip_us.unwrap_or(0)),
            packets_concealed: self.packets_concealed(),
            ways: self.paths.iter().take(RELAYS_PER_CALL_MAX).map(way).collect(),
        }
    }

    /// Packets that came because the relay was asked to send them again.
    pub fn packets_repaired(&self) -> u64 {
        self.received.iter().map(|stream| stream.repaired).sum()
    }

    /// Frames of all sent streams that did not leave because the network carries too little.
    pub fn frames_held_back(&self) -> u64 {
        self.sent.iter().map(|stream| stream.frames_held_back).sum()
    }

    /// Jitter of the worst received stream, in microseconds.
    pub fn jitter_us(&self) -> u64 {
        self.received.iter().map(|stream| stream.jitter_us).max().unwrap_or(0)
    }
}

/// `audio`, `camera` or `screen`.
pub fn kind_name(kind: StreamKind) -> &'static str {
    match kind {
        StreamKind::Audio => "audio",
        StreamKind::Camera => "camera",
        StreamKind::Screen => "screen",
    }
}

/// `opus`, `vp8` or `vp9`.
pub fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::Opus => "opus",
        Codec::Vp8 => "vp8",
        Codec::Vp9 => "vp9",
    }
}

/// `primary` or `standby`.
pub fn role_name(role: RelayRole) -> &'static str {
    match role {
        RelayRole::Primary => "primary",
        RelayRole::Standby => "standby",
    }
}
