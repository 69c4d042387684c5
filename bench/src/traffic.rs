//! Generator and sink: seals and sends on schedule, receives and opens, on one core and one
//! clock.
//!
//! **Every packet is counted where it arrives, and counts only if it is authentic and new there.**

use crate::ends::{Arrived, Ends};
use crate::flood::Flood;
use crate::turn::{CHANNEL_HEADER_BYTES, Channel};
use crate::workload::{STAMP_BYTES, Workload};
use anyhow::{Result, bail};
use core::net::SocketAddr;
use core::time::Duration;
use hdrhistogram::Histogram;
use kakehashi_loadgen::clock::Clock;
use kakehashi_srtp::{Scratch, SessionKeys, SrtpError, StreamOpener, StreamSealer};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::rtp::{FIXED_HEADER_BYTES, RtpHeader};

/// Silence after which what has not arrived counts as lost.
const DRAIN: Duration = Duration::from_millis(200);

/// Payload type of every packet: the one rtpengine is told of (PCMA).
const PAYLOAD_TYPE: u8 = 8;

/// Rounds of single trains until every sink has heard its sender, before anything is measured.
const WARM_UP_ROUNDS: usize = 50;

/// The longest delay told apart, in nanoseconds: a second.
const DELAY_NANOS_MAX: u64 = 1_000_000_000;

/// One sender.
pub struct Sender {
    /// Where it sends to.
    pub to: SocketAddr,
    /// Set if every packet is wrapped in a `ChannelData` message.
    pub channel: Option<Channel>,
    /// What it seals with.
    pub keys: SessionKeys,
    /// Its stream.
    pub sealer: StreamSealer,
}

/// One receiver of one sender.
pub struct Sink {
    /// What opens its packets.
    pub keys: SessionKeys,
    /// The stream it receives.
    pub opener: StreamOpener,
    /// Packets that were authentic and new.
    pub delivered: u64,
}

/// What became of the packets of one run.
#[derive(Clone, PartialEq, Debug)]
pub struct Outcome {
    /// When the first packet was due.
    pub started: Duration,
    /// Packets sent.
    pub sent: u64,
    /// Authentic and new packets at the sinks.
    pub delivered: u64,
    /// Packets that did not open.
    pub forged: u64,
    /// Authentic packets that came twice.
    pub repeated: u64,
    /// Authentic packets of the run before, which had been given up.
    pub late: u64,
    /// From the first to the last send.
    pub sending: Duration,
    /// From send to receipt of each delivered packet, in nanoseconds.
    pub delay: Histogram<u64>,
}

impl Outcome {
    fn new(started: Duration) -> Result<Self> {
        let delay = Histogram::new_with_bounds(1, DELAY_NANOS_MAX, 3)?;
        let sending = Duration::ZERO;
        let (sent, delivered, forged, repeated, late) = (0, 0, 0, 0, 0);
        Ok(Self { started, sent, delivered, forged, repeated, late, sending, delay })
    }

    /// Fails if packets arrived that nobody sent, or more often than they were sent.
    ///
    /// # Errors
    /// What does not add up.
    pub fn check(&self, workload: &Workload) -> Result<()> {
        let expected = workload.expected(self.sent);
        if self.forged > 0 || self.repeated > 0 {
            bail!("{} packets were not authentic, {} came twice", self.forged, self.repeated);
        }
        if self.delivered > expected {
            bail!("{} packets arrived of {expected}", self.delivered);
        }
        Ok(())
    }
}

/// Everything that moves in one subject's run.
pub struct Traffic {
    workload: Workload,
    clock: Clock,
    ends: Ends,
    senders: Vec<Sender>,
    sinks: Vec<Sink>,
    scratch: Scratch,
    train: Vec<u8>,
    timestamp: u32,
    next_sender: usize,
}

impl Traffic {
    /// Takes the ends of a subject that is set up for `workload`, their senders and receivers in
    /// order.
    pub fn new(
        workload: Workload,
        clock: Clock,
        ends: Ends,
        senders: Vec<Sender>,
        sinks: Vec<Sink>,
    ) -> Self {
        let packet_bytes = workload.packet_bytes + CHANNEL_HEADER_BYTES;
        let train = vec![0; packet_bytes * usize::from(workload.train)];
        let scratch = Scratch::new();
        let (timestamp, next_sender) = (0, 0);
        Self { workload, clock, ends, senders, sinks, scratch, train, timestamp, next_sender }
    }

    /// What this traffic is.
    pub fn workload(&self) -> &Workload {
        &self.workload
    }

    /// Where the first sender sends to.
    pub fn first_destination(&self) -> Option<SocketAddr> {
        self.senders.first().map(|sender| sender.to)
    }

    /// Sends single trains until every sink has opened one: the subject is then set up, and every
    /// flow proven end to end.
    ///
    /// # Errors
    /// If a sink stays without.
    pub fn warm_up(&mut self) -> Result<()> {
        for _ in 0..WARM_UP_ROUNDS {
            let mut outcome = Outcome::new(self.clock.now())?;
            for _ in 0..self.senders.len() {
                self.send_next(&mut outcome)?;
                self.ends.flush()?;
                self.receive(&mut outcome)?;
            }
            self.drain(&mut outcome)?;
            outcome.check(&self.workload)?;
            if self.sinks.iter().all(|sink| sink.delivered > 0) {
                return Ok(());
            }
        }
        let deaf = self.sinks.iter().filter(|sink| sink.delivered == 0).count();
        bail!("{deaf} of {} receivers got nothing; see the subject's log", self.sinks.len())
    }

    /// Sends `rate` packets a second for `length`, evenly over all senders, and receives until all
    /// have arrived or nothing more comes.
    ///
    /// # Errors
    /// If a socket fails, or packets arrive that nobody sent.
    pub fn run(&mut self, rate: f64, length: Duration) -> Result<Outcome> {
        self.run_beside(rate, length, None)
    }

    /// The same while a flood arrives.
    ///
    /// # Errors
    /// As for [`run`](Self::run).
    pub fn run_beside(
        &mut self,
        rate: f64,
        length: Duration,
        mut flood: Option<&mut Flood>,
    ) -> Result<Outcome> {
        let started = self.clock.now();
        let mut outcome = Outcome::new(started)?;
        let interval = Duration::from_secs_f64(f64::from(self.workload.train) / rate);
        let mut due = started;
        while due < started + length && self.clock.now() < started + length * 2 {
            let now = self.clock.now();
            for _ in 0..self.ends.trains_a_turn() {
                if due > now || due >= started + length {
                    break;
                }
                self.send_next(&mut outcome)?;
                due += interval;
            }
            self.ends.flush()?;
            if let Some(flood) = flood.as_deref_mut() {
                flood.send(now)?;
            }
            self.receive(&mut outcome)?;
        }
        outcome.sending = self.clock.now() - started;
        self.drain(&mut outcome)?;
        outcome.check(&self.workload)?;
        Ok(outcome)
    }

    /// Sends one train from every sender, and receives until all have arrived; gives how many
    /// packets did.
    ///
    /// # Errors
    /// If a socket fails, or a packet is lost.
    pub fn volley(&mut self) -> Result<u64> {
        let mut outcome = Outcome::new(self.clock.now())?;
        for _ in 0..self.senders.len() {
            self.send_next(&mut outcome)?;
        }
        self.ends.flush()?;
        self.drain(&mut outcome)?;
        outcome.check(&self.workload)?;
        let expected = self.workload.expected(outcome.sent);
        if outcome.delivered < expected {
            bail!("{} packets arrived of {expected}", outcome.delivered);
        }
        Ok(outcome.delivered)
    }

    /// Seals and sends the next sender's train.
    fn send_next(&mut self, outcome: &mut Outcome) -> Result<()> {
        let now = u64::try_from(self.clock.now().as_nanos())?;
        let sender = &mut self.senders[self.next_sender];
        let mut end = 0;
        for number in 1..=self.workload.train {
            let marker = number == self.workload.train;
            if let Some(channel) = sender.channel {
                let header = channel.header(self.workload.packet_bytes);
                self.train[end..end + CHANNEL_HEADER_BYTES].copy_from_slice(&header);
                end += CHANNEL_HEADER_BYTES;
            }
            let packet = &mut self.train[end..end + self.workload.packet_bytes];
            let header = RtpHeader {
                marker,
                payload_type: PAYLOAD_TYPE,
                sequence: sender.sealer.next_sequence()?,
                timestamp: self.timestamp,
                ssrc: sender.sealer.ssrc(),
            };
            packet[..FIXED_HEADER_BYTES].copy_from_slice(&header.to_bytes());
            packet[FIXED_HEADER_BYTES..FIXED_HEADER_BYTES + STAMP_BYTES]
                .copy_from_slice(&now.to_be_bytes());
            end += sender.sealer.protect_rtp(&sender.keys, packet, self.workload.plain_bytes())?;
        }
        let segment_bytes = end / usize::from(self.workload.train);
        let from = self.ends.sender(self.next_sender);
        self.ends.send(from, sender.to, &self.train[..end], segment_bytes)?;
        outcome.sent += u64::from(self.workload.train);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.next_sender = (self.next_sender + 1) % self.senders.len();
        Ok(())
    }

    /// Takes what has arrived at any sink; gives how many packets counted.
    fn receive(&mut self, outcome: &mut Outcome) -> Result<u64> {
        let Self { clock, ends, sinks, scratch, .. } = self;
        let before = outcome.delivered;
        let first_sink = ends.flows();
        // What came together came at the moment the first of it is looked at.
        let mut now = Duration::ZERO;
        ends.receive(|Arrived { end, is_first, packet }| {
            if is_first {
                now = clock.now();
            }
            let sink = end.0.checked_sub(first_sink).and_then(|number| sinks.get_mut(number));
            // Binding answers and path checks of the relay, at senders too.
            if let Some(sink) = sink
                && DatagramKind::of(packet) != DatagramKind::Stun
            {
                sink.take(packet, now, scratch, outcome);
            }
        })?;
        Ok(outcome.delivered - before)
    }

    fn drain(&mut self, outcome: &mut Outcome) -> Result<()> {
        let expected = self.workload.expected(outcome.sent);
        let mut heard = self.clock.now();
        while outcome.delivered < expected && self.clock.now() < heard + DRAIN {
            if self.receive(outcome)? > 0 {
                heard = self.clock.now();
            }
        }
        Ok(())
    }
}

impl Sink {
    /// Opens a packet.
    fn take(
        &mut self,
        packet: &mut [u8],
        now: Duration,
        scratch: &mut Scratch,
        outcome: &mut Outcome,
    ) {
        match self.opener.unprotect_rtp(&self.keys, packet, scratch) {
            Ok(_) => {
                let stamp = packet[FIXED_HEADER_BYTES..].first_chunk().copied();
                let sent = Duration::from_nanos(u64::from_be_bytes(stamp.unwrap_or_default()));
                if sent < outcome.started {
                    outcome.late += 1;
                    return;
                }
                let delay = now.saturating_sub(sent).as_nanos();
                let delay = u64::try_from(delay).unwrap_or(u64::MAX);
                outcome.delay.saturating_record(delay);
                outcome.delivered += 1;
                self.delivered += 1;
            }
            Err(SrtpError::Replayed) => outcome.repeated += 1,
            Err(_) => outcome.forged += 1,
        }
    }
}
