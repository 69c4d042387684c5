//! Making a ring, confining it, and the few system calls beside it.

#![expect(unsafe_code, reason = "registrations lend memory to the kernel; getsockopt is raw")]

use crate::io::socket::MediaSocket;
use io_uring::register::Restriction;
use io_uring::types::{CancelBuilder, Timespec};
use io_uring::{IoUring, Submitter, opcode};
use std::io;

/// Submissions that fit: poll of the socket, read of the bell and tick, with room to spare.
const SUBMISSIONS: u32 = 8;

/// The registrations a running ring may still make, both to close it:
/// `IORING_REGISTER_SYNC_CANCEL` and `IORING_UNREGISTER_RING_FDS`.
const REGISTER_SYNC_CANCEL: u8 = 24;
const UNREGISTER_RING_FDS: u8 = 21;

/// What this kernel offers beyond the minimum.
#[derive(Clone, Copy, Debug)]
pub(super) struct Features {
    /// A wait can gather completions for a while (Linux 6.12).
    pub(super) min_wait: bool,
}

/// A ring, switched off until [`UringIo`](super::UringIo) has set it up.
pub(crate) struct Ring {
    pub(super) inner: IoUring,
    pub(super) features: Features,
}

impl Ring {
    /// Makes a ring for the calling thread alone.
    pub(crate) fn new() -> io::Result<Self> {
        let inner = build(true).or_else(|error| match error.raw_os_error() {
            // Linux before 6.6 knows everything but NO_SQARRAY.
            Some(libc::EINVAL) => build(false),
            _ => Err(error),
        })?;
        let features = Features { min_wait: inner.params().is_feature_min_timeout() };
        Ok(Self { inner, features })
    }
}

/// Whether this kernel lets this process have such a ring.
pub(crate) fn trial() -> io::Result<()> {
    Ring::new().map(drop)
}

fn build(no_sqarray: bool) -> io::Result<IoUring> {
    let mut builder = IoUring::builder();
    builder
        .setup_single_issuer()
        .setup_defer_taskrun()
        // Without it `submit` cannot know that deferred work wants to run.
        .setup_taskrun_flag()
        .setup_submit_all()
        .setup_r_disabled();
    if no_sqarray {
        builder.setup_no_sqarray();
    }
    builder.build(SUBMISSIONS)
}

/// Lets the ring do nothing but its work from here on, and switches it on: system call filters do
/// not see what a ring does, so whoever takes over this process must not find one that opens
/// files.
pub(super) fn confine(submitter: &Submitter<'_>) -> io::Result<()> {
    submitter.register_restrictions(&mut [
        Restriction::sqe_op(opcode::PollAdd::CODE),
        Restriction::sqe_op(opcode::Read::CODE),
        Restriction::sqe_op(opcode::Timeout::CODE),
        Restriction::register_op(REGISTER_SYNC_CANCEL),
        Restriction::register_op(UNREGISTER_RING_FDS),
    ])?;
    submitter.register_enable_rings()
}

/// Ends every operation of the ring; none is under way any more if it succeeds.
pub(super) fn cancel_all(submitter: &Submitter<'_>) -> io::Result<()> {
    let patience = Timespec::new().sec(1);
    match submitter.register_sync_cancel(Some(patience), CancelBuilder::any()) {
        Err(error) if error.raw_os_error() == Some(libc::ENOENT) => Ok(()),
        other => other,
    }
}

/// Index of the drop counter in what `SO_MEMINFO` returns (`SK_MEMINFO_DROPS`).
const MEMINFO_DROPS: usize = 8;

/// Datagrams the kernel dropped because the socket's receive queue was full.
pub(super) fn queue_drops(socket: &MediaSocket) -> Option<u32> {
    let mut values = [0_u32; 9];
    let mut length = libc::socklen_t::try_from(size_of_val(&values)).ok()?;
    // SAFETY: the buffer is as long as `length` says, and both live through the call.
    let result = unsafe {
        libc::getsockopt(
            socket.raw(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            values.as_mut_ptr().cast(),
            &raw mut length,
        )
    };
    (result == 0 && length as usize == size_of_val(&values)).then_some(values[MEMINFO_DROPS])
}

/// Takes checksums from a socket's datagrams, which the kernel does not cut trains apart without.
#[cfg(test)]
pub(super) fn without_checksums(socket: &MediaSocket) {
    let on: libc::c_int = 1;
    let length = size_of_val(&on) as libc::socklen_t;
    let (level, name) = (libc::SOL_SOCKET, libc::SO_NO_CHECK);
    // SAFETY: the option's value is an int that lives through the call.
    let done =
        unsafe { libc::setsockopt(socket.raw(), level, name, (&raw const on).cast(), length) };
    assert_eq!(done, 0);
}

/// Tries to open a file, to connect and to send a command to a device, and returns what the ring
/// says to each.
#[cfg(test)]
pub(super) fn attempt_forbidden(io: &mut super::UringIo<'_>) -> Vec<i32> {
    use io_uring::types::Fd;
    let path = c"/etc/hostname";
    let name = crate::io::address::Name::EMPTY;
    let socket = Fd(io.socket.raw());
    let (submitter, submissions, completions) = io.waiter.parts();
    let entries = [
        opcode::OpenAt::new(Fd(libc::AT_FDCWD), path.as_ptr()).build(),
        opcode::Connect::new(socket, name.bytes.as_ptr().cast(), 16).build(),
        opcode::UringCmd16::new(socket, 0).build(),
    ];
    entries
        .into_iter()
        .map(|entry| {
            // SAFETY: path and address live until the submission below returns.
            unsafe { submissions.push(&entry.user_data(99)) }.unwrap();
            submissions.sync();
            submitter.submit().unwrap();
            submissions.sync();
            completions.sync();
            completions.find(|done| done.user_data() == 99).unwrap().result()
        })
        .collect()
}
