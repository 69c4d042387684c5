//! Where the streams of a call come from: frames that are paced, or packets of a local pipeline.

use super::MediaError;
use super::pacer::{FrameSource, Pacer};
use super::plain::{self, PlainPacket};
use super::sockets::socket_error;
use crate::clock::Moment;
use core::net::SocketAddr;
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer, StreamPlan};
use kakehashi_wire::rtp::Ssrc;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Where one sent stream comes from.
pub enum Feed {
    /// Encoded frames, sent at their media time.
    Frames(Box<dyn FrameSource>),
    /// Plain RTP at a local socket, sent as it comes.
    Plain(std::net::UdpSocket),
    /// Nothing: the stream only carries this terminal's reports.
    Silence,
}

/// A stream to send.
pub struct MediaInput {
    /// What it shows or sounds.
    pub kind: StreamKind,
    /// How it is encoded.
    pub codec: Codec,
    /// Where it comes from.
    pub feed: Feed,
}

impl MediaInput {
    /// What to offer control for this input.
    pub fn offer(&self) -> StreamOffer {
        StreamOffer { kind: self.kind, codec: self.codec }
    }
}

/// One sent stream while it runs.
pub(super) struct ActiveFeed {
    /// Index in the plan.
    pub(super) stream: usize,
    ssrc: Ssrc,
    state: FeedState,
}

enum FeedState {
    Waiting(Box<dyn FrameSource>),
    Pacing(Pacer),
    Passing(Option<Pipeline>),
    Ended,
}

/// A local pipeline, and where its packets come from once there was one.
struct Pipeline {
    socket: Arc<UdpSocket>,
    source: Option<(SocketAddr, Ssrc)>,
}

impl ActiveFeed {
    /// Goes on in another round of the call, in which this stream is `plan`.
    pub(super) fn goes_on_as(&mut self, plan: StreamPlan) {
        self.ssrc = plan.ssrc;
    }

    /// Starts a source of frames at `start`, unless it was started.
    pub(super) fn begin(&mut self, start: Moment) {
        if !matches!(self.state, FeedState::Waiting(_)) {
            return;
        }
        let waiting = core::mem::replace(&mut self.state, FeedState::Ended);
        if let FeedState::Waiting(source) = waiting {
            // RFC 3550 5.1: timestamps begin at a random place.
            match Pacer::start(source, rand::random(), start) {
                Ok(pacer) => self.state = FeedState::Pacing(pacer),
                Err(error) => tracing::warn!(event = "source_unreadable", %error,
                    "a source cannot be read"),
            }
        }
    }

    /// The next frame and its timestamp, if it is due at `now`.
    pub(super) fn due(&mut self, now: Moment) -> Option<(Vec<u8>, u32)> {
        let FeedState::Pacing(pacer) = &mut self.state else { return None };
        let due = pacer.due(now);
        if pacer.next_deadline().is_none() {
            self.state = FeedState::Ended;
        }
        due.unwrap_or_else(|error| {
            tracing::warn!(event = "source_broke_off", %error, "a source broke off");
            self.state = FeedState::Ended;
            None
        })
    }

    /// When the next frame is due; `None` if there is none, or the source decides.
    pub(super) fn next_deadline(&self) -> Option<Moment> {
        match &self.state {
            FeedState::Pacing(pacer) => pacer.next_deadline(),
            _ => None,
        }
    }

    /// Whether it gave frames and has no more.
    pub(super) fn has_ended(&self) -> bool {
        matches!(self.state, FeedState::Ended)
    }

    /// Whether it gives frames now.
    pub(super) fn is_pacing(&self) -> bool {
        matches!(self.state, FeedState::Pacing(_))
    }

    /// Notes whom a packet of the local pipeline came from.
    pub(super) fn came_from(&mut self, from: SocketAddr, ssrc: Ssrc) {
        if let FeedState::Passing(Some(pipeline)) = &mut self.state {
            pipeline.source = Some((from, ssrc));
        }
    }

    /// Tells the source what the network carries, in bits a second of all streams together.
    pub(super) fn target_rate(&mut self, bits_per_second: u64) {
        if let FeedState::Pacing(pacer) = &mut self.state {
            pacer.target_rate(bits_per_second);
        }
    }

    /// Tells the source that a receiver can go on only with a key frame. A local pipeline is told
    /// where its RTP comes from, on the same port (RFC 5761).
    pub(super) fn key_frame_wanted(&mut self) {
        match &mut self.state {
            FeedState::Pacing(pacer) => pacer.key_frame_wanted(),
            FeedState::Passing(Some(Pipeline { socket, source: Some((to, media)) })) => {
                // A pipeline that does not listen misses nothing it could use.
                let _ = socket.try_send_to(&plain::picture_loss(self.ssrc, *media), *to);
            }
            _ => {}
        }
    }
}

/// Gives every input its place in the plan.
pub(super) fn match_inputs(
    inputs: Vec<MediaInput>,
    plans: &[StreamPlan],
    packets: &mpsc::Sender<PlainPacket>,
    readers: &mut JoinSet<()>,
) -> Result<Vec<ActiveFeed>, MediaError> {
    let mut taken = vec![false; plans.len()];
    let mut feeds = Vec::with_capacity(inputs.len());
    for input in inputs {
        let fits = |(at, plan): (usize, &StreamPlan)| {
            !taken[at] && plan.kind == input.kind && plan.codec == input.codec
        };
        let stream = plans.iter().enumerate().position(fits).ok_or_else(|| MediaError::Input {
            why: format!("control's call has no stream for an input ({:?})", input.kind),
        })?;
        taken[stream] = true;
        let state = match input.feed {
            Feed::Frames(source) => FeedState::Waiting(source),
            Feed::Plain(socket) => {
                let socket = Arc::new(UdpSocket::from_std(socket).map_err(socket_error)?);
                readers.spawn(plain::read_input(Arc::clone(&socket), stream, packets.clone()));
                FeedState::Passing(Some(Pipeline { socket, source: None }))
            }
            Feed::Silence => FeedState::Passing(None),
        };
        feeds.push(ActiveFeed { stream, ssrc: plans[stream].ssrc, state });
    }
    Ok(feeds)
}
