//! The RTCP of a call's media: reports, hello and goodbye, requests, and what comes of others'.

use super::Engine;
use super::relays::Way;
use crate::capacity::{FEEDBACK_INTERVAL, FEEDBACK_INTERVAL_MAX};
use crate::clock::{Moment, NtpTime};
use crate::media::binding::Binding;
use crate::media::incoming::Member;
use crate::media::outgoing::Outgoing;
use crate::media::{MediaEvent, Phase};
use crate::stats::receive::round_trip;
use core::time::Duration;
use kakehashi_srtp::SrtpError;
use kakehashi_wire::id::RelayId;
use kakehashi_wire::rtcp::{ReportBlock, ReportBlocks, RtcpPacket, RtcpView, RtcpWriter};
use kakehashi_wire::rtp::Ssrc;

/// Mean time between reports; each is drawn from half to one and a half (RFC 3550 6.2, 6.3.1).
pub(super) const REPORT_INTERVAL: Duration = Duration::from_secs(1);

/// The hello between terminals: an RTCP packet of this name (RFC 3550 6.7).
const GREETING: [u8; 4] = *b"KKRD";

/// The relays that a terminal cannot use although another answers it, by their numbers: who sends
/// over one of them is not heard there (`wire/FORMAT.md` 2.3).
const UNUSABLE: [u8; 4] = *b"KKNR";

/// Who a sealed RTCP packet says sent it (RFC 3711 3.4).
pub(super) fn sender(datagram: &[u8]) -> Result<Ssrc, SrtpError> {
    let ssrc = datagram.get(4..).and_then(|rest| rest.first_chunk::<4>());
    Ok(Ssrc(u32::from_be_bytes(*ssrc.ok_or(SrtpError::TooShort)?)))
}

impl Engine {
    /// Takes an RTCP packet that came this way.
    pub(super) fn rtcp(
        &mut self,
        way: Way,
        datagram: &mut [u8],
        now: Moment,
    ) -> Result<(), SrtpError> {
        let ssrc = sender(datagram)?;
        let from = self.members.iter().position(|member| member.sends(ssrc));
        let from = from.ok_or(SrtpError::UnknownSsrc)?;
        let downlink = way.downlink(&mut self.downlinks, &mut self.relays.left);
        let bytes = self.members[from].rtcp(ssrc, datagram, downlink)?;
        let view = RtcpView::parse(&datagram[..bytes]).map_err(|_| SrtpError::NotRtcp)?;
        for packet in view.packets() {
            self.heard(from, packet, now);
        }
        Ok(())
    }

    /// Takes in what member number `from` says. That it lost packets is for the relay to know, if
    /// the relay passes that on.
    fn heard(&mut self, from: usize, packet: RtcpPacket<'_>, now: Moment) {
        let member = &mut self.members[from];
        match packet {
            RtcpPacket::SenderReport { sender, info, blocks } => {
                member.sender_reported(sender, info, now);
                self.reported(blocks, now);
            }
            RtcpPacket::ReceiverReport { blocks, .. } => self.reported(blocks, now),
            // A member speaks only for its own streams.
            RtcpPacket::Bye { sender } if member.sends(sender) => member.leaves(),
            RtcpPacket::PictureLoss { media, .. } => self.key_frame_wanted(media, now),
            RtcpPacket::FullIntra(intra) => {
                intra.requests().for_each(|request| self.key_frame_wanted(request.media, now));
            }
            RtcpPacket::Congestion(feedback) => {
                self.governor.feedback(from, &feedback, now);
                if self.outgoing.some_came(&feedback) {
                    self.mover.confirmed();
                }
            }
            RtcpPacket::Application { name: UNUSABLE, data, .. } => self.blamed(data, now),
            _ => {}
        }
    }

    /// A member cannot use these relays.
    fn blamed(&mut self, relays: &[u8], now: Moment) {
        for relay in relays.as_chunks::<4>().0 {
            let relay = RelayId(u32::from_be_bytes(*relay));
            let path = self.bindings.iter().position(|binding| binding.relay() == relay);
            if let Some(path) = path {
                self.mover.blamed(path, now);
            }
        }
    }

    fn reported(&mut self, blocks: ReportBlocks<'_>, now: Moment) {
        let arrived = self.ntp(now).middle();
        for block in blocks.iter() {
            if self.outgoing.reported(&block) {
                self.governor.reception(block.fraction_lost, now);
                let trip = round_trip(arrived, block.last_report, block.delay);
                self.round_trip = trip.or(self.round_trip);
            }
        }
    }

    /// Tells source and application, unless they were told just now.
    pub(super) fn key_frame_wanted(&mut self, media: Ssrc, now: Moment) {
        if let Some(stream) = self.outgoing.key_frame_wanted(media, now) {
            self.tell(MediaEvent::KeyFrameWanted { stream });
        }
    }

    fn ntp(&self, now: Moment) -> NtpTime {
        NtpTime::from_unix(self.unix_at_zero + now.since(Moment::ZERO))
    }

    /// Asks for packets and key frames that are missing, over the relay in use, each member in a
    /// datagram of its own (RFC 5506).
    pub(super) fn ask_for_missing(&mut self, now: Moment) {
        let Some(asker) = self.outgoing.first_ssrc() else { return };
        let path = self.active(now).map(|path| &self.bindings[path]);
        let round_trip = path.and_then(Binding::round_trip).unwrap_or_default();
        let mut requests = Vec::new();
        for member in &mut self.members {
            let mut plain = Vec::new();
            member.ask(asker, &mut RtcpWriter::new(&mut plain), now, round_trip);
            requests.push(plain);
        }
        requests.into_iter().for_each(|plain| self.send_feedback(plain, now));
    }

    /// Reports when packets came, each member's in a datagram of its own.
    pub(super) fn report_arrivals(&mut self, now: Moment) {
        let Some(reporter) = self.outgoing.first_ssrc() else { return };
        if now < self.next_feedback || !self.members.iter().any(Member::has_news) {
            return;
        }
        let thirds = u32::try_from(self.members.len().div_ceil(3)).unwrap_or(u32::MAX);
        let interval = FEEDBACK_INTERVAL.saturating_mul(thirds).min(FEEDBACK_INTERVAL_MAX);
        self.next_feedback = now.plus(interval);
        let timestamp = self.ntp(now).middle();
        let mut reports = Vec::new();
        for member in self.members.iter_mut().filter(|member| member.has_news()) {
            let mut plain = Vec::new();
            RtcpWriter::new(&mut plain)
                .congestion(reporter, timestamp, |blocks| member.report_arrivals(now, blocks));
            reports.push(plain);
        }
        reports.into_iter().for_each(|plain| self.send_feedback(plain, now));
    }

    /// Sends feedback alone, over the relays in use; nothing if there is none.
    fn send_feedback(&mut self, mut plain: Vec<u8>, now: Moment) {
        // Two relays that seal would make two reports of one.
        let over = self.in_use(false, now);
        if plain.is_empty() || over.is_empty() {
            return;
        }
        let outbox = &mut self.outbox;
        let sealed = self.outgoing.rtcp(&mut plain, |sealed| {
            over.iter().for_each(|to| outbox.push(*to, sealed));
        });
        if let Err(reason) = sealed {
            tracing::warn!(event = "feedback_not_sealed", %reason, "feedback could not be sealed");
        }
    }

    /// The regular report (RFC 3550 6.4), over every relay that answers.
    pub(super) fn report(&mut self, now: Moment) {
        let half = REPORT_INTERVAL / 2;
        let draw = u32::try_from((self.random)() >> 32).expect("32 bits are left");
        let jitter = REPORT_INTERVAL.mul_f64(f64::from(draw) / f64::from(u32::MAX));
        self.next_report = now.plus(half + jitter);
        let since = now.since(self.reported);
        self.reported = now;
        self.outgoing.measure_rates(since);
        self.members.iter_mut().for_each(|member| member.measure_rates(since));
        if matches!(self.phase(), Phase::Greeting | Phase::Flowing) {
            self.send_compound(now, |_, _| {});
        }
    }

    pub(super) fn greet(&mut self, now: Moment) {
        let Some(ssrc) = self.outgoing.first_ssrc() else { return };
        let mut plain = Vec::with_capacity(64);
        let mut writer = RtcpWriter::new(&mut plain);
        writer.receiver_report(ssrc, &[]);
        writer.canonical_name(ssrc, self.cname.as_bytes());
        writer.application(ssrc, GREETING, &[]);
        self.seal_compound(plain, now);
    }

    pub(super) fn say_goodbye(&mut self, now: Moment) {
        self.send_compound(now, |outgoing, writer| outgoing.byes(writer));
    }

    /// Sends reports and name, and what `more` adds behind them (RFC 3550 6.1).
    pub(super) fn send_compound(
        &mut self,
        now: Moment,
        more: impl FnOnce(&Outgoing, &mut RtcpWriter<'_>),
    ) {
        let Some(ssrc) = self.outgoing.first_ssrc() else { return };
        let mut blocks: Vec<ReportBlock> = Vec::new();
        self.members.iter_mut().for_each(|member| member.report(now, &mut blocks));
        let ntp = self.ntp(now);
        let mut plain = Vec::with_capacity(256);
        let mut writer = RtcpWriter::new(&mut plain);
        self.outgoing.reports(&mut writer, &blocks, now, ntp);
        writer.canonical_name(ssrc, self.cname.as_bytes());
        let relays = self.mover.unusable().map(|path| self.bindings[path].relay());
        let relays: Vec<u8> = relays.flat_map(|RelayId(relay)| relay.to_be_bytes()).collect();
        if !relays.is_empty() {
            writer.application(ssrc, UNUSABLE, &relays);
        }
        more(&self.outgoing, &mut writer);
        self.seal_compound(plain, now);
    }

    fn seal_compound(&mut self, mut plain: Vec<u8>, now: Moment) {
        let (bindings, outbox) = (&self.bindings, &mut self.outbox);
        let sealed = self.outgoing.rtcp(&mut plain, |sealed| {
            for path in bindings.iter().filter(|path| path.usable(now)) {
                outbox.push(path.address(), sealed);
            }
        });
        if let Err(reason) = sealed {
            tracing::warn!(event = "report_not_sealed", %reason, "a report could not be sealed");
        }
    }
}
