//! What this terminal sends: which frames leave, when, and over which relays.

use super::Engine;
use crate::capacity::PLAIN_BYTES_MAX;
use crate::clock::Moment;
use crate::media::MediaEvent;
use crate::media::binding::Binding;
use crate::media::gate::Admission;
use crate::packets::{self, PacketiseError};
use core::net::SocketAddr;
use kakehashi_srtp::SrtpError;
use kakehashi_wire::media::{StreamKind, StreamPlan};
use kakehashi_wire::rtp::RtpView;

fn is_voice(plan: StreamPlan) -> bool {
    plan.kind == StreamKind::Audio
}

impl Engine {
    /// Whether stream number `stream` does not leave now. If so, it goes on with a key frame.
    fn keeps_back(&mut self, stream: usize) -> bool {
        let keeps = self.plan(stream).is_some_and(|plan| self.manners.keeps(plan.kind));
        if keeps {
            self.governor.break_off(stream);
        }
        keeps
    }

    /// Sends a frame of this terminal's stream number `stream`; nothing unless media flows, or if
    /// the network carries too little and the frame is held back.
    ///
    /// # Errors
    /// [`PacketiseError`] if the frame is none of its codec, or too large.
    pub fn send_frame(
        &mut self,
        stream: usize,
        data: &[u8],
        timestamp: u32,
        now: Moment,
    ) -> Result<(), PacketiseError> {
        if self.keeps_back(stream) {
            return Ok(());
        }
        let key = self.plan(stream).is_none_or(|plan| packets::is_key(plan.codec, data));
        let admission = self.governor.admits(stream, key, now);
        if admission != Admission::Leaves {
            self.outgoing.hold_back(stream);
            self.want_key_frame(admission, stream, now);
            return Ok(());
        }
        let mut sealed = Vec::new();
        self.outgoing.frame(stream, data, timestamp, now, |packet| sealed.push(packet.to_vec()))?;
        self.dispatch(stream, sealed, now);
        Ok(())
    }

    /// Sends a plain RTP packet as part of stream number `stream`; nothing unless media flows, or
    /// if the network carries too little and the packet's frame is held back.
    ///
    /// # Errors
    /// [`SrtpError`] if its number lies before one that was sent, or no relay takes one as long.
    pub fn send_packet(
        &mut self,
        stream: usize,
        packet: &RtpView<'_>,
        now: Moment,
    ) -> Result<(), SrtpError> {
        if packet.bytes().len() > PLAIN_BYTES_MAX {
            self.drops.too_long += 1;
            return Err(SrtpError::TooLong);
        }
        if self.keeps_back(stream) {
            self.outgoing.hold_back_packet(stream, false);
            return Ok(());
        }
        let admission = self.governor.admits_packet(stream, packet, now);
        if admission != Admission::Leaves {
            self.outgoing.hold_back_packet(stream, packet.header().marker);
            self.want_key_frame(admission, stream, now);
            return Ok(());
        }
        let mut sealed = Vec::new();
        self.outgoing.passed(stream, packet, now, |packet| sealed.push(packet.to_vec()))?;
        self.dispatch(stream, sealed, now);
        Ok(())
    }

    /// An encoder may wait for being asked before it makes the key frame that could leave.
    fn want_key_frame(&mut self, admission: Admission, stream: usize, now: Moment) {
        let plan = self.plan(stream).filter(|_| admission == Admission::KeyWanted);
        if let Some(plan) = plan {
            self.key_frame_wanted(plan.ssrc, now);
        }
    }

    /// Hands the sealed packets of a frame to the outbox: all for the relays in use, and now and
    /// then the first of them for the others.
    fn dispatch(&mut self, stream: usize, sealed: Vec<Vec<u8>>, now: Moment) {
        let over = self.in_use(self.relays.hitless, now);
        if !self.timeline.may_send() || over.is_empty() || sealed.is_empty() {
            return;
        }
        if self.copies.is_due(stream, now) {
            let usable = self.bindings.iter().filter(|path| path.usable(now)).map(Binding::address);
            for to in usable.filter(|to| !over.contains(to)) {
                self.outbox.push(to, &sealed[0]);
            }
        }
        self.mover.sent(now);
        let pace = self.governor.pace(stream, now);
        let is_kept = !self.relays.hitless && self.plan(stream).is_some_and(is_voice);
        let Self { outbox, governor, copies, .. } = self;
        outbox.frame(stream, sealed, &over, pace, now, |packet, due| {
            governor.sent(stream, packet, due, now);
            if is_kept {
                copies.said(stream, packet, now);
            }
        });
        self.drops.not_sent += self.outbox.bound();
    }

    /// What was said last goes over the relays it has not left over: those beside the one in doubt,
    /// or the one that this terminal has moved to.
    pub(super) fn say_again(&mut self, now: Moment) {
        let Self { copies, bindings, mover, outbox, governor, .. } = self;
        let is_new = |at: usize| (at == mover.active()) != mover.is_in_doubt();
        let paths = bindings.iter().enumerate();
        let paths = paths.filter(|(at, path)| is_new(*at) && path.usable(now));
        let over: Vec<_> = paths.map(|(_, path)| path.address()).collect();
        for said in copies.take_said(now) {
            governor.sent(said.stream, &said.packet, now, now);
            over.iter().for_each(|to| outbox.push(*to, &said.packet));
        }
    }

    /// Where things go: to the active relay; to every one that answers while it is in doubt, or if
    /// `all` are wanted.
    pub(super) fn in_use(&self, all: bool, now: Moment) -> Vec<SocketAddr> {
        if all || self.mover.is_in_doubt() {
            let usable = self.bindings.iter().filter(|path| path.usable(now));
            return usable.map(Binding::address).collect();
        }
        self.active(now).map(|path| self.bindings[path].address()).into_iter().collect()
    }

    /// Follows the receivers' reports, or their silence; tells the encoders.
    pub(super) fn govern(&mut self, now: Moment) {
        let Some(bits_per_second) = self.governor.tick(now) else { return };
        self.tell(MediaEvent::TargetRate { bits_per_second });
    }
}
