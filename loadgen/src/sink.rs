//! The sink: takes every datagram as it comes, opens it with its sender's key, and counts.

use crate::batch_socket::BatchSocket;
use crate::clock::{Clock, thread_cpu};
use crate::engine::{Keys, Load, Progress};
use crate::flows::{Opened, ReceiveFlow};
use crate::measure::{Delays, Oddities, Received, ReceivedInterval};
use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_srtp::Scratch;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::rtp::Ssrc;
use rustix::buffer::spare_capacity;
use rustix::event::{Timespec, epoll};
use rustix::fd::OwnedFd;
use std::collections::HashMap;
use std::sync::atomic::Ordering;

/// How long one wait lasts at most, so that the end is noticed.
const WAIT: Timespec = Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

/// Silence after the last packet that ends a run: ten times what a packet may take.
const SILENCE: Duration = Duration::from_millis(500);

/// How long arrivals may go on after the end; a relay with a longer queue is lost anyway.
const DRAIN_MAX: Duration = Duration::from_secs(5);

/// A socket on which some legs receive, never two of one call.
pub(crate) struct Seat {
    pub(crate) socket: BatchSocket,
    pub(crate) flows: HashMap<Ssrc, ReceiveFlow>,
}

/// What the sink's thread works with.
pub(crate) struct Sink<'a> {
    pub(crate) keys: &'a Keys,
    pub(crate) seats: &'a mut [Seat],
    pub(crate) readiness: &'a OwnedFd,
}

/// An epoll that tells the seat whose socket has something.
pub(crate) fn readiness(seats: &[Seat]) -> Result<OwnedFd> {
    let epoll = epoll::create(epoll::CreateFlags::CLOEXEC).context("no epoll to be had")?;
    for (at, seat) in seats.iter().enumerate() {
        let data = epoll::EventData::new_u64(at as u64);
        epoll::add(&epoll, seat.socket.as_fd(), data, epoll::EventFlags::IN)
            .context("cannot watch a socket")?;
    }
    Ok(epoll)
}

/// The seats that have something to take, after at most `wait`.
pub(crate) fn ready(
    epoll: &OwnedFd,
    events: &mut Vec<epoll::Event>,
    wait: &Timespec,
) -> Result<()> {
    events.clear();
    match epoll::wait(epoll, spare_capacity(events), Some(wait)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error).context("cannot wait for packets"),
    }
}

/// Takes arrivals until the generator is done and nothing comes any more.
pub(crate) fn sink(
    work: Sink<'_>,
    load: &Load,
    clock: Clock,
    progress: &Progress,
) -> Result<Received> {
    let cpu = thread_cpu();
    let mut tally = Tally::new(load);
    let mut events = Vec::with_capacity(work.seats.len());
    let mut last = Duration::ZERO;
    loop {
        let finished = progress.sent_all.load(Ordering::Acquire);
        ready(work.readiness, &mut events, &WAIT)?;
        let mut taken = 0;
        for event in &events {
            let seat = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let Some(Seat { socket, flows }) = work.seats.get_mut(seat) else { continue };
            taken += socket
                .receive(|_, packet| tally.take(flows, work.keys, packet, clock.now()))
                .context("cannot receive")?;
        }
        progress.received.store(tally.packets, Ordering::Relaxed);
        let now = clock.now();
        if taken > 0 {
            last = now;
        }
        let silent = now > last.max(load.duration) + SILENCE;
        if finished && (silent || now > load.duration + DRAIN_MAX) {
            break;
        }
    }
    tally.received.cpu = thread_cpu().saturating_sub(cpu);
    Ok(tally.received)
}

/// The counting part of the sink.
struct Tally<'a> {
    load: &'a Load,
    received: Received,
    packets: u64,
    scratch: Scratch,
}

impl<'a> Tally<'a> {
    fn new(load: &'a Load) -> Self {
        let received = Received {
            intervals: vec![ReceivedInterval::default(); load.intervals.count()],
            from_send: Delays::default(),
            odd: Oddities::default(),
            cpu: Duration::ZERO,
        };
        Self { load, received, packets: 0, scratch: Scratch::new() }
    }

    fn take(
        &mut self,
        flows: &mut HashMap<Ssrc, ReceiveFlow>,
        keys: &Keys,
        packet: &mut [u8],
        now: Duration,
    ) {
        if DatagramKind::of(packet) == DatagramKind::Stun {
            // The answer to a leg that joined.
            return;
        }
        let ssrc = packet.get(8..12).and_then(|ssrc| ssrc.try_into().ok());
        let flow = ssrc.and_then(|ssrc| flows.get_mut(&Ssrc(u32::from_be_bytes(ssrc))));
        let Some(flow) = flow else {
            self.received.odd.refused += 1;
            return;
        };
        let bytes = packet.len() as u64;
        let Some(keys) = keys.of(flow.sealer) else {
            self.received.odd.refused += 1;
            return;
        };
        match flow.open(keys, packet, &mut self.scratch) {
            Opened::Refused => self.received.odd.refused += 1,
            Opened::Duplicate => self.received.odd.duplicates += 1,
            Opened::Media { stamp, .. } if stamp.run != self.load.run => {
                self.received.odd.stale += 1;
            }
            Opened::Media { stamp, reordered } => {
                self.packets += 1;
                self.received.odd.reordered += u64::from(reordered);
                self.received.from_send.record(now.saturating_sub(stamp.sent));
                let interval = &mut self.received.intervals[self.load.intervals.at(stamp.due)];
                interval.packets += 1;
                interval.bytes += bytes;
                interval.delays.record(now.saturating_sub(stamp.due));
            }
        }
    }
}
