//! Wakes a sleeping shard: an eventfd, so that it can be waited on inside a ring.

use rustix::event::{EventfdFlags, eventfd};
use rustix::io::{read, write};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// An eventfd. Rings before the first wait are not lost; several rings before one wait are one.
#[derive(Debug)]
pub struct Bell(OwnedFd);

impl Bell {
    /// Hangs up a bell.
    ///
    /// # Errors
    /// The kernel's, if the process has no file descriptor left.
    pub fn new() -> io::Result<Self> {
        // Blocking on purpose: a ring's read of a non-blocking eventfd completes with EAGAIN
        // instead of waiting for the first ring of the bell.
        Ok(Self(eventfd(0, EventfdFlags::CLOEXEC)?))
    }

    /// Wakes who waits, or the next who does.
    pub fn ring(&self) {
        // Fails only when the sum overflows u64, and then the bell is ringing anyway.
        let _ = write(&self.0, &1_u64.to_ne_bytes());
    }

    /// Sleeps until the bell has been rung since the last wait.
    ///
    /// # Errors
    /// The kernel's, if the read is interrupted by a signal.
    pub fn wait(&self) -> io::Result<()> {
        let mut sum = [0; 8];
        read(&self.0, &mut sum)?;
        Ok(())
    }
}

impl AsFd for Bell {
    /// For a read of 8 bytes inside a ring.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
