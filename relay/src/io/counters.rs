//! What a shard's packet I/O counts. Plain integers: only their shard touches them.

use crate::counting::counters;
use std::io;

counters! {
    /// Events of one shard's packet I/O since the process began.
    pub IoCounters {
        /// Packets taken from the socket; a train's are counted one by one.
        packets_received: Event,
        /// Their UDP payload in bytes.
        bytes_received: Event,
        /// Receives that brought a datagram or a train.
        datagrams_received: Event,
        /// Packets that came in trains: with `packets_received` the share of `UDP_GRO`.
        packets_received_in_trains: Event,
        /// Turns that found packets: with `packets_received` the occupancy of batches.
        batches: Event,
        /// Packets the kernel accepted for sending.
        packets_sent: Event,
        /// Their UDP payload in bytes.
        bytes_sent: Event,
        /// Sends the kernel accepted: a packet or a whole train.
        sends: Event,
        /// Packets that left in trains: with `packets_sent` the share of `UDP_SEGMENT`.
        packets_sent_in_trains: Event,
        /// Trains whose packets left one by one, because they could not leave whole.
        trains_sent_singly: Event,
        /// Datagrams dropped because they were longer than a receive buffer.
        dropped_truncated: Dropped,
        /// Datagrams dropped because their source was neither IPv4 nor IPv6.
        dropped_unaddressed: Dropped,
        /// Datagrams the kernel dropped because the socket's own queue was full.
        receive_queue_overflowed: Dropped,
        /// Receive operations that failed for any other reason.
        receive_failed: Event,
        /// Sends refused because the socket's send queue was full (EAGAIN).
        send_queue_full: Unsent,
        /// Sends refused for lack of memory or room in the device queue (ENOBUFS, ENOMEM).
        send_no_memory: Unsent,
        /// Sends without a route (ENETUNREACH, EHOSTUNREACH, and IPv6 from an IPv4 socket).
        send_unreachable: Unsent,
        /// Sends a firewall forbade (EPERM, EACCES).
        send_forbidden: Unsent,
        /// Sends longer than the path takes (EMSGSIZE).
        send_oversize: Unsent,
        /// Sends that failed for any other reason.
        send_failed_otherwise: Unsent,
        /// Packets of those received that came over the NIC's own queue (`io = "xdp"`).
        packets_received_nic: Event,
        /// Packets of those sent that left over the NIC's own queue.
        packets_sent_nic: Event,
        /// Packets that were copied to leave over the NIC: not the last copy of a received packet,
        /// or written by the relay.
        packets_copied: Event,
        /// Frames dropped because they hold no plain UDP packet: the gate lets none through.
        dropped_odd_frame: Dropped,
        /// Packets the kernel dropped because it had no frame for them, or none that is so long.
        nic_dropped: Dropped,
        /// Packets dropped because the receive ring was full: the shard does not keep up.
        nic_receive_ring_full: Dropped,
        /// Times the kernel found no frame to receive into; packets lost by that are counted above.
        nic_fill_ring_empty: Event,
        /// Calls to send over the NIC that the kernel refused.
        nic_send_failed: Event,
        /// Media that came on another queue than its shard's and went through the kernel.
        gate_to_kernel: Event,
        /// Media dropped in the driver because its lengths contradict each other.
        gate_malformed: Dropped,
        /// UDP dropped in the driver because nobody listens to its port.
        gate_unknown_port: Dropped,
        /// Media dropped in the driver because no terminal is seen where it comes from
        /// (`xdp.signed_in_only`).
        gate_unknown_source: Dropped,
        /// System calls made to receive.
        receive_calls: Event,
        /// System calls made to send.
        send_calls: Event,
        /// System calls made to wait.
        ring_enters: Event,
    }
}

impl IoCounters {
    /// Counts a send of `packets` packets, together `bytes` bytes, that the kernel took.
    pub(crate) fn sent(&mut self, packets: u64, bytes: u64) {
        self.sends += 1;
        self.packets_sent += packets;
        self.bytes_sent += bytes;
        if packets > 1 {
            self.packets_sent_in_trains += packets;
        }
    }

    /// Counts `packets` packets whose send failed with `errno`.
    pub(crate) fn send_failed(&mut self, errno: i32, packets: u64) {
        let counter = match errno {
            libc::EAGAIN => &mut self.send_queue_full,
            libc::ENOBUFS | libc::ENOMEM => &mut self.send_no_memory,
            libc::ENETUNREACH | libc::EHOSTUNREACH => &mut self.send_unreachable,
            libc::EPERM | libc::EACCES => &mut self.send_forbidden,
            libc::EMSGSIZE => &mut self.send_oversize,
            _ => &mut self.send_failed_otherwise,
        };
        *counter += packets;
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

    /// Counts a receive that failed, unless there was only nothing to receive.
    pub(crate) fn receive_failed(&mut self, error: &io::Error) {
        if !matches!(error.raw_os_error(), Some(libc::EAGAIN | libc::EINTR)) {
            self.receive_failed += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counter_has_a_name() {
        assert_eq!(IoCounters::COUNTED.len(), IoCounters::default().values().count());
        assert_eq!(IoCounters::COUNTED[0].name, "packets_received");
        assert_eq!(IoCounters::COUNTED[1].says, " Their UDP payload in bytes.");
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
            counters.send_failed(errno, 1);
        }
        assert_eq!(counters.sends_failed(), errnos.len() as u64);
        assert_eq!((counters.packets_sent, counters.bytes_sent), (0, 0));
        assert_eq!((counters.send_queue_full, counters.send_no_memory), (1, 2));
        assert_eq!((counters.send_oversize, counters.send_failed_otherwise), (1, 1));
    }
}
