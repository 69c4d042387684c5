//! Receivers that do not read, or are not there any more, harm no other.

use super::*;

/// Packets sent in each test, and how many at once: what a receiver's default buffer holds.
const PACKETS: usize = 3_000;
const AT_ONCE: usize = 30;

/// Sends through the shard and requires that `to` gets every packet, in order.
fn all_arrive(phone: &mut Phone, from: &UdpSocket, to: &UdpSocket) {
    for _ in 0..PACKETS / AT_ONCE {
        let packets: Vec<_> = (0..AT_ONCE).map(|_| phone.rtp_of(0, &[8; 1_000])).collect();
        for packet in &packets {
            from.send(packet).unwrap();
        }
        for packet in &packets {
            let mut got = [0; 2_048];
            let length = to.recv(&mut got).expect("a packet that everyone should get");
            assert_eq!(got[..length], packet[..], "another came before it");
        }
    }
}

#[test]
fn a_receiver_that_never_reads_harms_no_other() {
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3), Phone::new(1, 4)];
        phones[3] = Phone::new(1, 4).sealed();
        let sockets = shard.connect(&phones);
        // The last two never read: 3 MB are many times what their sockets' buffers take.
        all_arrive(&mut phones[0], &sockets[0], &sockets[1]);
        let mut waiting = 0;
        sockets[2].set_nonblocking(true).unwrap();
        while sockets[2].recv(&mut [0; 2_048]).is_ok() {
            waiting += 1;
        }
        assert!(waiting < PACKETS, "its buffer was full: {waiting}");
        let counters = shard.end();
        assert_eq!(counters["forwarded"], PACKETS as u64);
        assert_eq!(counters["hops"], 3 * PACKETS as u64);
        assert_eq!(counters["receive_queue_overflowed"], 0);
    });
}

#[test]
fn a_receiver_that_is_gone_harms_no_other() {
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(1, 3), Phone::new(1, 4)];
        phones[3] = Phone::new(1, 4).sealed();
        let mut sockets = shard.connect(&phones);
        // Their ports are closed: what is sent there is refused by the machine itself.
        drop(sockets.split_off(2));
        all_arrive(&mut phones[0], &sockets[0], &sockets[1]);
        let counters = shard.end();
        assert_eq!(counters["forwarded"], PACKETS as u64);
    });
}

/// The shard does not fall behind for one leg's sake either: others in other calls go on.
#[test]
fn a_slow_receiver_of_one_call_is_not_felt_in_another() {
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2), Phone::new(2, 3), Phone::new(2, 4)];
        let sockets = shard.connect(&phones);
        for _ in 0..PACKETS / AT_ONCE {
            for _ in 0..AT_ONCE {
                sockets[0].send(&phones[0].rtp_of(0, &[8; 1_000])).unwrap();
            }
            let packet = phones[2].rtp();
            sockets[2].send(&packet).unwrap();
            let mut got = [0; 2_048];
            let length = sockets[3].recv(&mut got).expect("another call's packet");
            assert_eq!(got[..length], packet[..]);
        }
        shard.end();
    });
}
