//! One leg: its parts side by side, in the order in which a packet needs them. What concerns a
//! single part lives in that part's file.

use super::bucket::Bucket;
use super::calls::{CallSlot, Position};
use super::downlink::Downlink;
use super::latch::Latch;
use super::streams::{StreamIndex, Streams};
use crate::tick::{Stamp, Tick};
use core::mem::offset_of;
use core::net::SocketAddr;
use core::ops::Range;
use kakehashi_wire::id::{Generation, LegId};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{SealLane, Subscription};
use kakehashi_wire::secret::IcePassword;

/// A terminal's presence in a call, as this shard needs it.
#[repr(C, align(64))]
pub struct Leg {
    /// Read for every packet of the leg, and for every packet sent to it.
    pub(super) hot: Hot,
    /// Read for every packet of the leg.
    pub(super) streams: Streams,
    /// The rest: orders and rare packets.
    pub(super) id: LegId,
    /// Of the order that was last applied to it.
    pub(super) generation: Generation,
    /// Of the order that began its life: what it is sealed with comes of it.
    pub(super) life: Generation,
    /// The seal lane as ordered, to tell whether a newer order wants the same; `None`: the pass
    /// lane, which most legs are in.
    pub(super) lane: Option<Box<SealLane>>,
    pub(super) passwords: Passwords,
    /// In the seal lane, what is sealed for the leg.
    pub(super) downlink: Option<Box<Downlink>>,
    /// What the leg wants of the others; `None`: everything.
    pub(super) subscriptions: Option<Box<[Subscription]>>,
    /// Where control sees its terminal.
    pub(super) seen_at: Host,
}

/// The part of a leg that every packet touches.
#[repr(C)]
pub(super) struct Hot {
    pub(super) ends: Tick,
    pub(super) bucket: Bucket,
    /// When media of the leg was sent on last; the tick of its installation until then.
    pub(super) last_sent: Stamp,
    pub(super) call: CallSlot,
    pub(super) position: Position,
    /// Whether any was.
    pub(super) has_sent: bool,
    /// Begins with the address; the rest of it concerns only a leg that moves.
    pub(super) latch: Latch,
}

/// Where in a leg lies what every packet from it and to it touches: one cache line.
const EVERY_PACKET: Range<usize> = 0..64;

const _: () = assert!(offset_of!(Hot, latch) + size_of::<Option<SocketAddr>>() <= EVERY_PACKET.end);
const _: () = assert!(size_of::<Hot>() <= 128);
const _: () = assert!(offset_of!(Leg, hot) == 0);

/// The two short-term credentials of a leg (RFC 8489 9.1).
pub struct Passwords {
    /// Keys the terminal's binding requests and the relay's answers.
    pub relay: IcePassword,
    /// Keys the relay's challenges and the terminal's answers.
    pub terminal: IcePassword,
}

impl Leg {
    /// Where in a leg lies what a packet to it needs.
    pub(super) const OF_A_RECEIVER: Range<usize> = EVERY_PACKET;

    /// Where in a leg lies what a packet of one of its streams needs.
    pub(super) fn of_a_sender(stream: StreamIndex) -> [Range<usize>; 3] {
        let [auth, opener] = Streams::of_a_packet(stream);
        let from = offset_of!(Self, streams);
        let moved = |part: Range<usize>| from + part.start..from + part.end;
        [EVERY_PACKET, moved(auth), moved(opener)]
    }

    /// Its number.
    pub fn id(&self) -> LegId {
        self.id
    }

    /// Whether its lifetime is over.
    pub fn has_ended(&self, now: Tick) -> bool {
        self.hot.ends <= now
    }

    /// The order that began its life.
    pub fn life(&self) -> Generation {
        self.life
    }

    /// Where it is.
    pub fn latch(&self) -> &Latch {
        &self.hot.latch
    }

    /// Where it is, to be told of an authentic event.
    pub fn latch_mut(&mut self) -> &mut Latch {
        &mut self.hot.latch
    }

    /// What it may still send.
    pub fn bucket_mut(&mut self) -> &mut Bucket {
        &mut self.hot.bucket
    }

    /// Media of it is being sent on.
    pub fn note_sent(&mut self, now: Tick) {
        (self.hot.last_sent, self.hot.has_sent) = (now.stamp(), true);
    }

    /// How long before `now` media of it was sent on last, in milliseconds; none if none ever was.
    pub fn silent_ms(&self, now: Tick) -> Option<u32> {
        self.hot.has_sent.then(|| self.hot.last_sent.ms_until(now))
    }

    /// Its STUN credentials.
    pub fn passwords(&self) -> &Passwords {
        &self.passwords
    }

    /// Its seal lane, if that is how it receives.
    pub fn downlink(&self) -> Option<&Downlink> {
        self.downlink.as_deref()
    }

    /// Its seal lane, to be told of what is sealed.
    pub fn downlink_mut(&mut self) -> Option<&mut Downlink> {
        self.downlink.as_deref_mut()
    }
}
