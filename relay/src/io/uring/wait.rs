//! Waiting: for an arrival at the socket, for the bell, or for a time, in one enter of the ring.
//!
//! The socket is polled only while a shard waits. A busy shard finds its packets by asking for
//! them, and then an armed poll would cost each arriving packet a wake-up's bookkeeping.

#![expect(unsafe_code, reason = "submissions carry raw pointers")]

use super::setup;
use super::token::Token;
use crate::io::socket::MediaSocket;
use crate::orders::bell::Bell;
use core::mem::ManuallyDrop;
use core::time::Duration;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, SubmissionQueue, Submitter, opcode};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

/// Completions a wait would like to see: more than can come, so that it gathers for a while.
const GATHER_COMPLETIONS: usize = 3;

/// Enters in which the two cancelled operations of a ring complete when it is closed, and how long
/// each waits for one at most.
const CLOSING_ENTERS: usize = 2;
const CLOSING_WAIT: Duration = Duration::from_millis(5);

/// Everything the kernel may write while an operation is under way.
struct Lent {
    bell: Arc<Bell>,
    /// The bell's count; only that it was written matters.
    rings: u64,
}

/// The ring, as something to wait with.
pub(super) struct Waiter<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    lent: ManuallyDrop<Box<Lent>>,
    can_gather: bool,
    polling: bool,
    bell_armed: bool,
}

impl<'ring> Waiter<'ring> {
    /// A waiter for arrivals and rings of `bell`.
    pub(super) fn new(ring: &'ring mut setup::Ring, bell: Arc<Bell>) -> io::Result<Self> {
        let can_gather = ring.features.min_wait;
        setup::prepare(ring, bell.as_fd())?;
        let (mut submitter, submissions, completions) = ring.inner.split();
        submitter.register_ring_fd()?;
        let lent = ManuallyDrop::new(Box::new(Lent { bell, rings: 0 }));
        let (polling, bell_armed) = (false, false);
        let waiter =
            Self { submitter, submissions, completions, lent, can_gather, polling, bell_armed };
        setup::confine(&waiter.submitter)?;
        waiter.completions.disable_eventfd();
        Ok(waiter)
    }

    fn bell(&self) -> BorrowedFd<'_> {
        self.lent.bell.as_fd()
    }

    /// Lines up the poll and the bell's read where they are not under way.
    fn arm(&mut self, socket: &MediaSocket) -> io::Result<()> {
        let full = || io::Error::other("the ring takes no submissions");
        if !self.polling {
            let events = u32::try_from(libc::POLLIN).map_err(io::Error::other)?;
            let poll = opcode::PollAdd::new(Fd(socket.raw()), events);
            let poll = poll.build().user_data(Token::Arrival.bits());
            // SAFETY: a poll points to no memory.
            unsafe { self.submissions.push(&poll) }.map_err(|_| full())?;
            self.polling = true;
        }
        if !self.bell_armed {
            let bell = Fd(self.bell().as_raw_fd());
            let read = opcode::Read::new(bell, (&raw mut self.lent.rings).cast(), 8);
            let read = read.build().user_data(Token::Bell.bits());
            // SAFETY: the eight bytes are boxed in `lent`, which is dropped only after every
            // operation has ended, and leaked otherwise.
            unsafe { self.submissions.push(&read) }.map_err(|_| full())?;
            self.bell_armed = true;
        }
        self.submissions.sync();
        Ok(())
    }

    /// Takes in completions; returns whether there were any.
    fn drain(&mut self) -> bool {
        self.completions.sync();
        let mut any = false;
        for entry in self.completions.by_ref() {
            any = true;
            match Token::from_bits(entry.user_data()) {
                Some(Token::Arrival) => self.polling = false,
                Some(Token::Bell) => self.bell_armed = false,
                None => {}
            }
        }
        self.completions.sync();
        any
    }

    /// Waits until a packet has arrived or the bell rings, but no longer than `at_most`; what
    /// comes within the first `gather` of it is waited for together.
    pub(super) fn wait(
        &mut self,
        socket: &MediaSocket,
        at_most: Duration,
        gather: Duration,
    ) -> io::Result<()> {
        self.arm(socket)?;
        let timeout = Timespec::from(at_most);
        let args = SubmitArgs::new().timespec(&timeout);
        let gather = u32::try_from(gather.as_micros()).unwrap_or(u32::MAX);
        let waited = if self.can_gather && gather > 0 {
            self.submitter.submit_with_args(GATHER_COMPLETIONS, &args.min_wait_usec(gather))
        } else {
            self.submitter.submit_with_args(1, &args)
        };
        self.submissions.sync();
        match waited {
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        self.drain();
        Ok(())
    }

    /// Has the bell ring at the next arrival. `false` if there is something to do already.
    pub(super) fn arm_bell(&mut self, socket: &MediaSocket) -> io::Result<bool> {
        self.completions.enable_eventfd();
        core::sync::atomic::fence(core::sync::atomic::Ordering::SeqCst);
        self.arm(socket)?;
        // The kernel rings when the first of several completions comes, so one that came before
        // the line above never rings. An enter takes it in, and polls a socket that has become
        // readable meanwhile. Whatever comes after the enter rings.
        match self.submitter.submit() {
            Ok(_) => {}
            Err(error) if is_passing(&error) => return Ok(false),
            Err(error) => return Err(error),
        }
        self.submissions.sync();
        Ok(!self.drain())
    }

    /// Silences the bell again.
    pub(super) fn silence_bell(&mut self) {
        self.completions.disable_eventfd();
    }

    #[cfg(test)]
    pub(super) fn parts(
        &mut self,
    ) -> (&Submitter<'ring>, &mut SubmissionQueue<'ring>, &mut CompletionQueue<'ring>) {
        (&self.submitter, &mut self.submissions, &mut self.completions)
    }
}

/// Whether a failed enter may simply be tried again.
fn is_passing(error: &io::Error) -> bool {
    matches!(error.raw_os_error(), Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ETIME))
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        let ended = setup::cancel_all(&self.submitter).is_ok();
        // A cancelled operation holds the socket, and so its port, until it has completed.
        for _ in 0..CLOSING_ENTERS {
            let patience = Timespec::from(CLOSING_WAIT);
            let args = SubmitArgs::new().timespec(&patience);
            let _ = self.submitter.submit_with_args(1, &args);
            self.drain();
        }
        // Otherwise the ring itself would live as long as the thread.
        let _ = self.submitter.unregister_ring_fd();
        if ended {
            // SAFETY: dropped once, here; the kernel said that every operation has ended.
            unsafe { ManuallyDrop::drop(&mut self.lent) };
        }
    }
}
