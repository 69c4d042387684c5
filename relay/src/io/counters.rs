//! What a shard's packet I/O counts. Plain integers: only their shard touches them.

use std::io;

/// Declares a struct of event counters that knows the name of each.
macro_rules! counters {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: u64,)*
        }

        impl $name {
            /// Name of each counter, in the order of [`values`](Self::values).
            pub const NAMES: &'static [&'static str] = &[$(stringify!($field)),*];

            /// Value of each counter.
            pub fn values(&self) -> impl Iterator<Item = u64> {
                [$(self.$field),*].into_iter()
            }
        }
    };
}

counters! {
    /// Events of one shard's packet I/O since the process began.
    IoCounters {
        /// Datagrams taken from the socket.
        packets_received,
        /// Their UDP payload in bytes.
        bytes_received,
        /// Datagrams the kernel accepted for sending.
        packets_sent,
        /// Their UDP payload in bytes.
        bytes_sent,
        /// Datagrams dropped because they were longer than a receive buffer.
        dropped_truncated,
        /// Datagrams dropped because their source was neither IPv4 nor IPv6.
        dropped_unaddressed,
        /// Times the kernel ran out of receive buffers; what arrives meanwhile waits in the
        /// socket.
        receive_buffers_exhausted,
        /// Datagrams the kernel dropped because the socket's own queue was full.
        receive_queue_overflowed,
        /// Receive operations that failed for any other reason.
        receive_failed,
        /// Sends refused because the socket's send queue was full (EAGAIN).
        send_queue_full,
        /// Sends refused for lack of memory or room in the device queue (ENOBUFS, ENOMEM).
        send_no_memory,
        /// Sends without a route (ENETUNREACH, EHOSTUNREACH, and IPv6 from an IPv4 socket).
        send_unreachable,
        /// Sends a firewall forbade (EPERM, EACCES).
        send_forbidden,
        /// Sends longer than the path takes (EMSGSIZE).
        send_oversize,
        /// Sends that failed for any other reason.
        send_failed_otherwise,
        /// System calls made to receive and send: at most one a turn, unless a turn sends more
        /// than one submission holds.
        ring_enters,
    }
}

impl IoCounters {
    /// Counts a send of `bytes` bytes that was handed to the kernel.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.packets_sent += 1;
        self.bytes_sent += bytes as u64;
    }

    /// Takes a send of `bytes` bytes back, because the kernel refused it with `errno`.
    pub(crate) fn unsent(&mut self, bytes: u64, errno: i32) {
        self.packets_sent = self.packets_sent.saturating_sub(1);
        self.bytes_sent = self.bytes_sent.saturating_sub(bytes);
        self.send_failed(errno);
    }

    /// Counts a send that failed with `errno`.
    pub(crate) fn send_failed(&mut self, errno: i32) {
        let counter = match errno {
            libc::EAGAIN => &mut self.send_queue_full,
            libc::ENOBUFS | libc::ENOMEM => &mut self.send_no_memory,
            libc::ENETUNREACH | libc::EHOSTUNREACH => &mut self.send_unreachable,
            libc::EPERM | libc::EACCES => &mut self.send_forbidden,
            libc::EMSGSIZE => &mut self.send_oversize,
            _ => &mut self.send_failed_otherwise,
        };
        *counter += 1;
    }

    /// Sends that failed, for whatever reason.
    pub fn sends_failed(&self) -> u64 {
        self.send_queue_full
            + self.send_no_memory
            + self.send_unreachable
            + self.send_forbidden
            + self.send_oversize
            + self.send_failed_otherwise
    }

    /// Counts a receive that failed.
    pub(crate) fn receive_failed(&mut self, error: &io::Error) {
        match error.raw_os_error() {
            Some(libc::ENOBUFS) => self.receive_buffers_exhausted += 1,
            _ => self.receive_failed += 1,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name() {
        assert_eq!(IoCounters::NAMES.len(), IoCounters::default().values().count());
        assert_eq!(IoCounters::NAMES.first(), Some(&"packets_received"));
    }

    #[test]
    fn each_refusal_is_counted_once_and_by_its_name() {
        let mut counters = IoCounters::default();
        let errnos = [
            libc::EAGAIN,
            libc::ENOBUFS,
            libc::ENOMEM,
            libc::ENETUNREACH,
            libc::EHOSTUNREACH,
            libc::EPERM,
            libc::EACCES,
            libc::EMSGSIZE,
            libc::EINVAL,
        ];
        for errno in errnos {
            counters.sent(10);
            counters.unsent(10, errno);
        }
        assert_eq!(counters.sends_failed(), errnos.len() as u64);
        assert_eq!((counters.packets_sent, counters.bytes_sent), (0, 0));
        assert_eq!((counters.send_queue_full, counters.send_no_memory), (1, 2));
        assert_eq!((counters.send_oversize, counters.send_failed_otherwise), (1, 1));
    }
}
