//! Packet I/O on a ring of our own.
//!
//! One multishot receive fills buffers the shard has lined up; each turn's sends are submitted
//! with the enter that also collects the next turn's arrivals, or waits for them: one system call
//! a turn.
//!
//! Why a send never reads a buffer that receives again: every send carries `MSG_DONTWAIT`, with
//! which the kernel neither retries nor hands it to a worker, but completes it inside the enter
//! that submits it, successful or not; UDP copies the payload into its own memory on the way.
//! [`finish`](PacketIo::finish) gives buffers back only after the submission queue is empty.
//! `a_refused_send_is_known_when_finish_returns` in the tests watches that.

mod receive;
mod send;
mod setup;
#[cfg(test)]
mod tests;
mod token;

pub(crate) use setup::{Ring, adopt, trial};

use super::socket::MediaSocket;
use super::{IoCounters, PacketIo};
use crate::orders::bell::Bell;
use crate::path::batch::{Hop, Outgoing, Received};
use core::time::Duration;
use io_uring::types::{SubmitArgs, Timespec};
use io_uring::{CompletionQueue, SubmissionQueue, Submitter};
use receive::Receiver;
use send::SendTable;
use setup::Features;
use std::io;
use std::sync::Arc;
use token::Token;

/// For the first [`GATHER_MICROSECONDS`] a wait ends only at this many arrivals.
const GATHER_PACKETS: usize = 8;

/// How long a wait gathers arrivals; after that it ends with the first. Under load this saves a
/// wake-up for each packet of a burst; a lone packet, long after the wait began, waits for nothing.
const GATHER_MICROSECONDS: u32 = 50;

/// Enters in which the two cancelled operations of a ring complete when it is closed, and how long
/// each waits for one at most.
const CLOSING_ENTERS: usize = 2;
const CLOSING_WAIT: Duration = Duration::from_millis(5);

/// Tries of one submission before the ring counts as broken.
const SUBMIT_TRIES: usize = 64;

/// Packet I/O of one shard. Lives and dies on the thread that made its [`Ring`].
pub(crate) struct UringIo<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    features: Features,
    receiver: Receiver,
    sends: SendTable,
    counters: IoCounters,
    /// Last, so that it is closed after the ring was told to let go of it.
    socket: MediaSocket,
}

impl<'ring> UringIo<'ring> {
    /// Starts receiving on `socket` into `buffers` buffers. Ringing `bell` ends a wait; the kernel
    /// rings it too, at an arrival while it is armed.
    ///
    /// One bell for both on purpose: were the ring to ring a second one when its read of the first
    /// completes, the kernel would put that off by an RCU grace period, some 100 ms, because an
    /// eventfd may not signal another from within its own wake-up.
    pub(crate) fn new(
        ring: &'ring mut Ring,
        socket: MediaSocket,
        bell: Arc<Bell>,
        buffers: u16,
    ) -> io::Result<Self> {
        let features = ring.features;
        let receiver = Receiver::new(bell, buffers)?;
        setup::prepare(ring, &receiver)?;
        let (mut submitter, submissions, completions) = ring.inner.split();
        submitter.register_ring_fd()?;
        let mut io = Self {
            submitter,
            submissions,
            completions,
            features,
            receiver,
            sends: SendTable::new(),
            counters: IoCounters::default(),
            socket,
        };
        setup::confine(&io.submitter)?;
        io.completions.disable_eventfd();
        io.finish()?;
        Ok(io)
    }

    /// Hands everything lined up to the kernel.
    fn submit(&mut self) -> io::Result<()> {
        self.submissions.sync();
        for _ in 0..SUBMIT_TRIES {
            if self.submissions.is_empty() && !self.submissions.taskrun() {
                self.sends.clear();
                return Ok(());
            }
            self.counters.ring_enters += 1;
            match self.submitter.submit() {
                Ok(_) => {}
                Err(error) if is_passing(&error) => {}
                Err(error) => return Err(error),
            }
            self.submissions.sync();
            if self.submissions.is_empty() {
                self.sends.clear();
                return Ok(());
            }
        }
        Err(io::Error::other("the ring takes no submissions"))
    }

    /// Makes room for one more submission.
    fn make_room(&mut self) -> io::Result<()> {
        if self.sends.is_full() || self.submissions.is_full() {
            self.submit()?;
        }
        Ok(())
    }

    fn send_hop(&mut self, hop: &Hop) -> io::Result<()> {
        self.make_room()?;
        let Some(payload) = self.receiver.payload(hop.slot) else {
            debug_assert!(false, "a hop names a buffer of this turn's batch");
            return Ok(());
        };
        let sent = self.sends.push(&mut self.submissions, &self.socket, payload, hop.destination);
        let bytes = payload.len();
        self.count(sent, bytes);
        Ok(())
    }

    fn count(&mut self, sent: Result<(), i32>, bytes: usize) {
        match sent {
            Ok(()) => self.counters.sent(bytes),
            Err(errno) => self.counters.send_failed(errno),
        }
    }

    /// Takes in completions until the batch is full or none is left.
    fn drain(&mut self) {
        self.completions.sync();
        while !self.receiver.is_full() {
            let Some(entry) = self.completions.next() else { break };
            match Token::from_bits(entry.user_data()) {
                Token::Receive(generation) => {
                    self.receiver.completed(generation, &entry, &mut self.counters);
                }
                Token::Send { bytes } => {
                    self.counters.unsent(u64::from(bytes), -entry.result());
                }
                Token::Bell => self.receiver.bell_rang(),
            }
        }
        self.completions.sync();
    }
}

/// Whether a failed enter may simply be tried again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

impl PacketIo for UringIo<'_> {
    fn receive(&mut self) -> usize {
        self.drain();
        self.receiver.batch_length()
    }

    fn packets(&self) -> impl Iterator<Item = Received<'_>> {
        self.receiver.packets()
    }

    fn send(&mut self, outgoing: &Outgoing) -> io::Result<()> {
        for hop in outgoing.hops() {
            self.send_hop(hop)?;
        }
        for answer in outgoing.answers() {
            self.make_room()?;
            let sent = self.sends.push_copy(
                &mut self.submissions,
                &self.socket,
                answer.bytes(),
                answer.destination,
            );
            self.count(sent, answer.bytes().len());
        }
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.submit()?;
        self.receiver.recycle();
        if self.receiver.arm(&mut self.submissions, &self.socket) {
            self.submit()?;
        }
        Ok(())
    }

    fn has_work(&mut self) -> bool {
        self.completions.sync();
        !self.completions.is_empty() || self.submissions.taskrun()
    }

    fn finish_and_wait(&mut self, at_most: Duration) -> io::Result<()> {
        if self.receiver.needs_arming() {
            self.finish()?;
        }
        self.submissions.sync();
        self.counters.ring_enters += 1;
        let timeout = Timespec::from(at_most);
        let args = SubmitArgs::new().timespec(&timeout);
        let waited = if self.features.min_wait {
            let args = args.min_wait_usec(GATHER_MICROSECONDS);
            self.submitter.submit_with_args(GATHER_PACKETS, &args)
        } else {
            self.submitter.submit_with_args(1, &args)
        };
        match waited {
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        self.submissions.sync();
        if !self.submissions.is_empty() {
            return self.finish();
        }
        self.sends.clear();
        self.receiver.recycle();
        Ok(())
    }

    fn arm_bell(&mut self) -> io::Result<bool> {
        self.completions.enable_eventfd();
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        // The kernel rings when the first of several arrivals comes, so one that came before the
        // line above never rings. An enter takes it in. Whatever comes after the enter finds the
        // list of arrivals empty, and rings. The flag itself is not to be trusted: the kernel may
        // set it late, for an arrival that has been taken in already.
        if self.submissions.taskrun() {
            self.submit()?;
        }
        self.completions.sync();
        Ok(self.completions.is_empty())
    }

    fn silence_bell(&mut self) {
        self.completions.disable_eventfd();
    }

    fn counters(&self) -> &IoCounters {
        &self.counters
    }

    fn refresh_counters(&mut self) {
        if let Some(dropped) = setup::queue_drops(&self.socket) {
            self.counters.receive_queue_overflowed = u64::from(dropped);
        }
    }
}

impl Drop for UringIo<'_> {
    fn drop(&mut self) {
        if setup::cancel_all(&self.submitter).is_err() {
            // The kernel may still write to the buffers: they must outlive it.
            self.receiver.leak();
        }
        // A cancelled operation holds the socket, and so its port, until it has completed.
        for _ in 0..CLOSING_ENTERS {
            let patience = Timespec::from(CLOSING_WAIT);
            let args = SubmitArgs::new().timespec(&patience);
            let _ = self.submitter.submit_with_args(1, &args);
            self.completions.sync();
            self.completions.by_ref().for_each(drop);
            self.completions.sync();
        }
        // Otherwise the ring itself would live as long as the thread.
        let _ = self.submitter.unregister_ring_fd();
    }
}
