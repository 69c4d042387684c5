//! The generator: sends every burst when it is due, on an absolute schedule. A late burst does not
//! delay those behind it, and its lateness counts against the result.

use crate::batch_socket::BatchSocket;
use crate::clock::{Clock, thread_cpu};
use crate::engine::{Load, Progress};
use crate::flows::{SendFlow, Stamp, TRAIN_BYTES_MAX, TRAIN_PACKETS_MAX, Train};
use crate::measure::{Delays, Sent, SentInterval};
use crate::member::Member;
use crate::mix::{Burst, PAYLOAD_BYTES_MAX, Schedule, Source};
use anyhow::{Context, Result};
use core::cmp::Reverse;
use core::time::Duration;
use kakehashi_srtp::SessionKeys;
use kakehashi_wire::stun::{StunMessage, TransactionId};
use rustix::event::{PollFd, PollFlags, poll};
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::sync::atomic::Ordering;

/// What the generator's thread works with.
pub(crate) struct Generator<'a> {
    pub(crate) members: &'a [Member],
    pub(crate) keys: &'a [SessionKeys],
    pub(crate) flows: &'a mut [SendFlow],
    pub(crate) outlets: &'a [BatchSocket],
}

/// Sends `load` from now on until its duration is over.
pub(crate) fn generate(
    mut work: Generator<'_>,
    load: &Load,
    clock: Clock,
    progress: &Progress,
) -> Result<Sent> {
    let cpu = thread_cpu();
    let mut sent = Sent {
        intervals: vec![SentInterval::default(); load.intervals.count()],
        lateness: Delays::default(),
        held_up: 0,
        cpu: Duration::ZERO,
    };
    let mut schedules: Vec<(usize, Schedule, Burst)> = work.schedules(load);
    let mut queue: BinaryHeap<_> = (schedules.iter().enumerate())
        .map(|(at, (_, _, burst))| Reverse((burst.due, at)))
        .collect();
    let mut buffer = Box::new([0; TRAIN_BYTES_MAX]);
    while let Some(Reverse((due, at))) = queue.pop() {
        if due >= load.duration {
            break;
        }
        clock.wait_until(due);
        let (flow, schedule, burst) = &mut schedules[at];
        work.send(*flow, *burst, load, clock, &mut buffer, &mut sent)?;
        progress.due_ns.store(crate::measure::nanos(due), Ordering::Relaxed);
        let copies = work.flows[*flow].copies;
        progress.expected.fetch_add(burst.packets() as u64 * copies, Ordering::Relaxed);
        *burst = schedule.next_burst();
        queue.push(Reverse((burst.due, at)));
    }
    clock.wait_until(load.duration);
    sent.cpu = thread_cpu().saturating_sub(cpu);
    Ok(sent)
}

impl Generator<'_> {
    /// A schedule for each flow that takes part, with its first burst.
    fn schedules(&self, load: &Load) -> Vec<(usize, Schedule, Burst)> {
        let taking_part = self.flows.iter().enumerate().filter(|(_, flow)| {
            flow.member < load.members && load.mix.sends(flow.member, flow.source)
        });
        taking_part
            .map(|(at, flow)| {
                let seed = load.seed ^ u64::from(load.run) << 32;
                let mut schedule = Schedule::new(load.mix, flow.source, seed, flow.member);
                let burst = schedule.next_burst();
                (at, schedule, burst)
            })
            .collect()
    }

    fn send(
        &mut self,
        flow: usize,
        burst: Burst,
        load: &Load,
        clock: Clock,
        buffer: &mut [u8; TRAIN_BYTES_MAX],
        sent: &mut Sent,
    ) -> Result<()> {
        let flow = &mut self.flows[flow];
        let (member, outlet) = (&self.members[flow.member], flow.member % self.outlets.len());
        let outlet = &self.outlets[outlet];
        if burst.joins && flow.source == Source::Voice {
            // It is not waited for: the leg's address has not changed.
            let _ = outlet.send_train(member.relay, binding(member, 0).bytes(), usize::MAX);
        }
        let interval = &mut sent.intervals[load.intervals.at(burst.due)];
        let mut done = 0;
        while done < burst.payload_bytes {
            let now = clock.now();
            sent.lateness.record(now.saturating_sub(burst.due));
            let stamp = Stamp { run: load.run, due: burst.due, sent: now };
            let keys = &self.keys[flow.member];
            let train = flow.seal(keys, burst, done, stamp, buffer)?;
            sent.held_up += u64::from(!hand_over(outlet, member.relay, train, buffer)?);
            done += TRAIN_PACKETS_MAX * PAYLOAD_BYTES_MAX;
            interval.packets += train.packets as u64;
            interval.expected += train.packets as u64 * flow.copies;
            interval.bytes += train.bytes as u64;
            interval.trains += 1;
        }
        Ok(())
    }
}

/// Sends a train, waiting while the queue is full; `false` if it was.
fn hand_over(
    outlet: &BatchSocket,
    relay: SocketAddr,
    train: Train,
    buffer: &[u8; TRAIN_BYTES_MAX],
) -> Result<bool> {
    let mut at_once = true;
    loop {
        match outlet.send_train(relay, &buffer[..train.bytes], train.segment_bytes) {
            Ok(()) => return Ok(at_once),
            Err(error) if error.kind() == ErrorKind::WouldBlock => {
                at_once = false;
                let outlet = PollFd::from_borrowed_fd(outlet.as_fd(), PollFlags::OUT);
                poll(&mut [outlet], None).context("cannot wait for the socket")?;
            }
            // Someone refused an earlier datagram: that is loss, and counted as such.
            Err(error) if error.kind() == ErrorKind::ConnectionRefused => {}
            Err(error) => {
                return Err(error).with_context(|| format!("cannot send to the relay at {relay}"));
            }
        }
    }
}

/// The request with which `member` says where it is; `attempt` makes it another one.
pub(crate) fn binding(member: &Member, attempt: u32) -> StunMessage {
    let mut transaction = [0x4b; 12];
    transaction[..8].copy_from_slice(&member.leg.0.to_be_bytes());
    transaction[8..].copy_from_slice(&attempt.to_be_bytes());
    let (fragment, password) = (member.leg.fragment(), member.relay_password.as_bytes());
    StunMessage::check(TransactionId(transaction), &fragment, &fragment, 1, password)
}
