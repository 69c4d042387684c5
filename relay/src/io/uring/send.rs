//! Sends of one submission, and the memory they point to until the kernel has taken them.

#![expect(unsafe_code, reason = "submissions carry raw pointers")]

use super::setup::SUBMISSIONS;
use super::token::Token;
use crate::capacity::ANSWER_BYTES_MAX;
use crate::io::address::Name;
use crate::io::socket::MediaSocket;
use core::net::SocketAddr;
use core::ptr::null_mut;
use io_uring::squeue::Flags;
use io_uring::{SubmissionQueue, opcode, types};

const ENTRIES: usize = SUBMISSIONS as usize;

/// Everything a lined-up send points to. Entry `i` belongs to the `i`th send since the last
/// `clear`, which is called only when the kernel has consumed all of them.
pub(super) struct SendTable {
    used: usize,
    names: Box<[Name]>,
    vectors: Box<[libc::iovec]>,
    messages: Box<[libc::msghdr]>,
    copies: Box<[[u8; ANSWER_BYTES_MAX]]>,
}

impl SendTable {
    /// Room for one full submission.
    pub(super) fn new() -> Self {
        let vector = libc::iovec { iov_base: null_mut(), iov_len: 0 };
        Self {
            used: 0,
            names: vec![Name::EMPTY; ENTRIES].into_boxed_slice(),
            vectors: vec![vector; ENTRIES].into_boxed_slice(),
            messages: vec![empty_message(); ENTRIES].into_boxed_slice(),
            copies: vec![[0; ANSWER_BYTES_MAX]; ENTRIES].into_boxed_slice(),
        }
    }

    /// Whether the next send needs a submission first.
    pub(super) fn is_full(&self) -> bool {
        self.used == ENTRIES
    }

    /// Forgets all sends; the kernel has consumed them.
    pub(super) fn clear(&mut self) {
        self.used = 0;
    }

    /// Lines up a send of `payload`, which must stay as it is until the submission. The error is
    /// an errno.
    pub(super) fn push(
        &mut self,
        submissions: &mut SubmissionQueue<'_>,
        socket: &MediaSocket,
        payload: &[u8],
        destination: SocketAddr,
    ) -> Result<(), i32> {
        let name = Name::of(destination, socket.family()).ok_or(libc::ENETUNREACH)?;
        let entry = self.used;
        self.names[entry] = name;
        self.vectors[entry] =
            libc::iovec { iov_base: payload.as_ptr().cast_mut().cast(), iov_len: payload.len() };
        let message = &mut self.messages[entry];
        message.msg_name = (&raw mut self.names[entry].bytes).cast();
        message.msg_namelen = name.length;
        message.msg_iov = &raw mut self.vectors[entry];
        message.msg_iovlen = 1;

        let bytes = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        let send = opcode::SendMsg::new(types::Fd(socket.raw()), &raw const self.messages[entry])
            .flags(SEND_FLAGS)
            .build()
            .flags(Flags::SKIP_SUCCESS)
            .user_data(Token::Send { bytes }.bits());
        // SAFETY: header, vector, name and payload stay in place until the kernel has consumed
        // the entry: this table reuses them only after `clear`, and receive buffers are given
        // back only after the submission queue is empty (see the module's head).
        unsafe { submissions.push(&send) }.map_err(|_| libc::EAGAIN)?;
        self.used += 1;
        Ok(())
    }

    /// Lines up a send of a copy of `payload`.
    pub(super) fn push_copy(
        &mut self,
        submissions: &mut SubmissionQueue<'_>,
        socket: &MediaSocket,
        payload: &[u8],
        destination: SocketAddr,
    ) -> Result<(), i32> {
        let entry = self.used;
        let copy = self.copies[entry].get_mut(..payload.len()).ok_or(libc::EMSGSIZE)?;
        copy.copy_from_slice(payload);
        let copy: *const [u8] = copy;
        // SAFETY: the copy is this entry's own memory; `push` writes to other fields only.
        self.push(submissions, socket, unsafe { &*copy }, destination)
    }
}

/// `MSG_DONTWAIT`: done or refused inside the enter.
const SEND_FLAGS: u32 = (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as u32;

/// A message header that points to nothing.
pub(super) fn empty_message() -> libc::msghdr {
    // SAFETY: all fields are integers and pointers, for which zero is a value.
    unsafe { core::mem::zeroed() }
}
