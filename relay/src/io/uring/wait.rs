//! Waiting: for an arrival at the socket, for the bell, or for a tick, in one enter of the ring.
//!
//! The socket, and a queue of the NIC beside it, is polled only while a shard waits. A busy shard
//! finds its packets by asking for them, and then an armed poll would cost each arriving packet a
//! wake-up's bookkeeping.
//!
//! No wait sets a timer of its own, unless it gathers: on a virtual machine that costs more than
//! the rest of the wait. One tick under way ends whichever wait it falls into.

#![expect(unsafe_code, reason = "submissions carry raw pointers")]

use super::setup;
use super::token::Token;
use crate::orders::bell::Bell;
use core::mem::ManuallyDrop;
use core::time::Duration;
use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{CompletionQueue, SubmissionQueue, Submitter, opcode};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::sync::Arc;

/// Completions a gathering wait would like to see: more than can come, so that it takes its time.
const GATHER_COMPLETIONS: usize = 5;

/// Enters in which the cancelled operations of a ring complete when it is closed, and how long each
/// waits for one at most.
const CLOSING_ENTERS: usize = 3;
const CLOSING_WAIT: Duration = Duration::from_millis(5);

/// Everything the kernel may write while an operation is under way.
struct Lent {
    bell: Arc<Bell>,
    /// The bell's count; only that it was written matters.
    rings: u64,
    tick: Timespec,
}

/// What packets come from: descriptors that stay open as long as the ring.
#[derive(Clone, Copy)]
pub(in crate::io) struct Doors<'a> {
    /// The shard's socket.
    pub(in crate::io) socket: BorrowedFd<'a>,
    /// Its queue of the NIC, if it has one.
    pub(in crate::io) nic: Option<BorrowedFd<'a>>,
}

/// Where packets have come while a shard waited.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(in crate::io) struct Woken {
    /// At the socket.
    pub(in crate::io) socket: bool,
    /// At the queue of the NIC.
    pub(in crate::io) nic: bool,
}

/// The ring, as something to wait with.
pub(in crate::io) struct Waiter<'ring> {
    submitter: Submitter<'ring>,
    submissions: SubmissionQueue<'ring>,
    completions: CompletionQueue<'ring>,
    lent: ManuallyDrop<Box<Lent>>,
    can_gather: bool,
    /// The polls that are under way.
    polling: Woken,
    woken: Woken,
    bell_armed: bool,
    ticking: bool,
}

impl<'ring> Waiter<'ring> {
    /// A waiter for arrivals and rings of `bell`, no wait of which lasts longer than `tick`.
    pub(super) fn new(
        ring: &'ring mut setup::Ring,
        bell: Arc<Bell>,
        tick: Duration,
    ) -> io::Result<Self> {
        let can_gather = ring.features.min_wait;
        let (mut submitter, submissions, completions) = ring.inner.split();
        submitter.register_ring_fd()?;
        let lent = Lent { bell, rings: 0, tick: Timespec::from(tick) };
        let waiter = Self {
            submitter,
            submissions,
            completions,
            lent: ManuallyDrop::new(Box::new(lent)),
            can_gather,
            polling: Woken::default(),
            woken: Woken::default(),
            bell_armed: false,
            ticking: false,
        };
        setup::confine(&waiter.submitter)?;
        Ok(waiter)
    }

    fn bell(&self) -> BorrowedFd<'_> {
        self.lent.bell.as_fd()
    }

    /// Lines up the polls and the bell's read where they are not under way.
    fn arm(&mut self, doors: Doors<'_>) -> io::Result<()> {
        if !self.polling.socket {
            self.arm_poll(doors.socket, Token::Arrival)?;
            self.polling.socket = true;
        }
        if !self.polling.nic
            && let Some(nic) = doors.nic
        {
            self.arm_poll(nic, Token::NicArrival)?;
            self.polling.nic = true;
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

    fn arm_poll(&mut self, door: BorrowedFd<'_>, token: Token) -> io::Result<()> {
        let events = u32::try_from(libc::POLLIN).map_err(io::Error::other)?;
        let poll = opcode::PollAdd::new(Fd(door.as_raw_fd()), events);
        let poll = poll.build().user_data(token.bits());
        // SAFETY: a poll points to no memory.
        unsafe { self.submissions.push(&poll) }.map_err(|_| full())
    }

    /// Lines up the tick where it is not under way.
    fn arm_tick(&mut self) -> io::Result<()> {
        if !self.ticking {
            let tick = opcode::Timeout::new(&raw const self.lent.tick);
            let tick = tick.build().user_data(Token::Tick.bits());
            // SAFETY: the time is boxed in `lent`, as above.
            unsafe { self.submissions.push(&tick) }.map_err(|_| full())?;
            self.ticking = true;
            self.submissions.sync();
        }
        Ok(())
    }

    /// Takes in completions; returns whether there were any.
    fn drain(&mut self) -> bool {
        self.completions.sync();
        let mut any = false;
        for entry in self.completions.by_ref() {
            any = true;
            match Token::from_bits(entry.user_data()) {
                Some(Token::Arrival) => {
                    (self.polling.socket, self.woken.socket) = (false, true);
                }
                Some(Token::NicArrival) => (self.polling.nic, self.woken.nic) = (false, true),
                Some(Token::Bell) => self.bell_armed = false,
                Some(Token::Tick) => self.ticking = false,
                None => {}
            }
        }
        self.completions.sync();
        any
    }

    /// Waits until a packet has arrived, the bell rings or the tick comes; what comes within the
    /// first `gather` of it is waited for together. Gives where packets have come.
    pub(in crate::io) fn wait(&mut self, doors: Doors<'_>, gather: Duration) -> io::Result<Woken> {
        self.arm(doors)?;
        self.arm_tick()?;
        let gather = u32::try_from(gather.as_micros()).unwrap_or(u32::MAX);
        let waited = if self.can_gather && gather > 0 {
            let at_most = self.lent.tick;
            let args = SubmitArgs::new().timespec(&at_most).min_wait_usec(gather);
            self.submitter.submit_with_args(GATHER_COMPLETIONS, &args)
        } else {
            self.submitter.submit_and_wait(1)
        };
        self.submissions.sync();
        match waited {
            Ok(_) => {}
            Err(error) if is_passing(&error) => {}
            Err(error) => return Err(error),
        }
        self.drain();
        Ok(core::mem::take(&mut self.woken))
    }

    #[cfg(test)]
    pub(super) fn parts(
        &mut self,
    ) -> (&Submitter<'ring>, &mut SubmissionQueue<'ring>, &mut CompletionQueue<'ring>) {
        (&self.submitter, &mut self.submissions, &mut self.completions)
    }
}

fn full() -> io::Error {
    io::Error::other("the ring takes no submissions")
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
