//! Frames byte by byte, against the definitions of their checksums.

use super::*;
use proptest::prelude::*;

fn hop(vlan: Option<u16>) -> NextHop {
    NextHop { to: Mac([2; 6]), from: Mac([4; 6]), vlan: vlan.map(VlanId), mtu: 1_500 }
}

fn header(from: &str, to: &str, vlan: Option<u16>, class: u8) -> Header {
    let (from, to) = (from.parse().unwrap(), to.parse().unwrap());
    Header { hop: hop(vlan), from, to, class: TrafficClass(class) }
}

/// The frame of a datagram.
fn frame(header: &Header, datagram: &[u8]) -> Vec<u8> {
    let mut frame = vec![0xee; HEADER_BYTES_MAX];
    frame.extend(datagram);
    let (room, datagram) = frame.split_at_mut(HEADER_BYTES_MAX);
    let bytes = header.write(room, datagram.len(), Summed::Here(Sum::of(datagram))).unwrap();
    frame.split_off(HEADER_BYTES_MAX - bytes)
}

/// The ones' complement sum of RFC 1071, word by word: 0xffff if a checksum in it is right.
fn sum(parts: &[&[u8]]) -> u32 {
    let mut sum: u32 = 0;
    for pair in parts.iter().flat_map(|part| part.chunks(2)) {
        sum += u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0));
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum
}

#[test]
fn a_frame_is_these_bytes() {
    let header = header("192.0.2.1:40000", "198.51.100.7:9", None, 0xb8);
    // Bytes as RFC 791, RFC 768 and IEEE 802.3 lay them out; the checksums were added up by another
    // program.
    let wanted = [
        &[2, 2, 2, 2, 2, 2, 4, 4, 4, 4, 4, 4, 0x08, 0x00][..],
        &[0x45, 0xb8, 0x00, 0x1f, 0x00, 0x00, 0x40, 0x00, 64, 17, 0x4d, 0xda],
        &[192, 0, 2, 1, 198, 51, 100, 7],
        &[0x9c, 0x40, 0x00, 0x09, 0x00, 0x0b, 0xb2, 0xef],
        b"abc",
    ];
    let frame = frame(&header, b"abc");
    assert_eq!(sum(&[&frame[14..34]]), 0xffff, "{:02x?}", &frame[14..34]);
    let pseudo = [&frame[26..34], &[0, 17, 0, 11]].concat();
    assert_eq!(sum(&[&pseudo, &frame[34..]]), 0xffff, "{:02x?}", &frame[34..]);
    assert_eq!(frame, wanted.concat());
}

#[test]
fn a_tag_and_ipv6_are_written_and_read() {
    let header = header("[2001:db8::1]:40001", "[2001:db8::2]:7", Some(7), 0x2d);
    let frame = frame(&header, b"datagram");
    assert_eq!(frame[12..18], [0x81, 0x00, 0x00, 0x07, 0x86, 0xdd]);
    assert_eq!(frame.len(), HEADER_BYTES_MAX + 8);
    let read = read(&frame).unwrap();
    assert_eq!(read.source, header.from);
    assert_eq!((&frame[read.datagram], read.class), (&b"datagram"[..], TrafficClass(0x2d)));
}

#[test]
fn addresses_of_two_families_and_short_rooms_are_refused() {
    let mixed = header("192.0.2.1:1", "[2001:db8::2]:7", None, 0);
    assert_eq!(mixed.bytes(), None);
    assert_eq!(mixed.write(&mut [0; 100], 3, Summed::OnTheWay), None);
    let header = header("192.0.2.1:1", "192.0.2.2:2", None, 0);
    assert_eq!(header.write(&mut [0; 41], 3, Summed::OnTheWay), None);
    assert_eq!(header.write(&mut [0; 42], 3, Summed::OnTheWay), Some(42));
    assert!(header.fits(1_472) && !header.fits(1_473));
}

#[test]
fn what_the_gate_leaves_to_the_kernel_is_not_read() {
    let whole = frame(&header("192.0.2.1:5", "192.0.2.2:2", None, 0), b"abc");
    assert!(read(&whole).is_some());
    let changed = |at: usize, byte: u8| {
        let mut frame = whole.clone();
        frame[at] = byte;
        read(&frame)
    };
    for (at, byte, what) in [
        (13, 0x06, "ARP"),
        (14, 0x46, "options"),
        (20, 0x20, "a first fragment"),
        (21, 0x01, "another fragment"),
        (23, 6, "TCP"),
        (17, 0x1a, "a total length without room for the header"),
        (35, 0, "source port 0"),
        (39, 8, "an empty datagram"),
        (39, 12, "a datagram longer than its packet"),
    ] {
        assert_eq!(changed(at, byte), None, "{what}");
    }
    // Ethernet fills short frames up.
    let filled = [&whole[..], &[0; 15]].concat();
    assert_eq!(read(&filled), read(&whole));
}

#[test]
fn any_bytes_are_read_or_refused() {
    bolero::check!().for_each(|frame: &[u8]| {
        if let Some(read) = read(frame) {
            assert!(read.datagram.end <= frame.len() && !read.datagram.is_empty());
            assert!(read.datagram.start >= ETHERNET_BYTES + IPV4_BYTES + UDP_BYTES);
            assert_ne!(read.source.port(), 0);
        }
    });
}

proptest! {
    #[test]
    fn what_is_written_is_read_and_its_checksums_are_right(
        v4 in any::<bool>(),
        vlan in proptest::option::of(1_u16..4_095),
        (class, ports) in (any::<u8>(), (1_u16.., 1_u16..)),
        (from, to) in (any::<[u8; 16]>(), any::<[u8; 16]>()),
        datagram in proptest::collection::vec(any::<u8>(), 1..1_400),
    ) {
        let ip = |bytes: [u8; 16]| match v4 {
            true => IpAddr::from([bytes[0], bytes[1], bytes[2], bytes[3]]),
            // Never IPv4-mapped.
            false => IpAddr::V6(Ipv6Addr::from(u128::from_be_bytes(bytes) | 1 << 127)),
        };
        let (from, to) = (SocketAddr::new(ip(from), ports.0), SocketAddr::new(ip(to), ports.1));
        let header = Header { hop: hop(vlan), from, to, class: TrafficClass(class) };
        let frame = frame(&header, &datagram);
        let read = read(&frame).unwrap();
        prop_assert_eq!((read.source, read.class), (from, TrafficClass(class)));
        prop_assert_eq!(&frame[read.datagram.clone()], &datagram[..]);
        let udp = read.datagram.start - UDP_BYTES;
        let addresses = if v4 { 8 } else { 32 };
        let length = u32::try_from(UDP_BYTES + datagram.len()).unwrap().to_be_bytes();
        let pseudo = [&frame[udp - addresses..udp], &length, &[0, 0, 0, PROTOCOL_UDP]].concat();
        prop_assert_eq!(sum(&[&pseudo, &frame[udp..]]), 0xffff);
        if v4 {
            prop_assert_eq!(sum(&[&frame[udp - IPV4_BYTES..udp]]), 0xffff);
        }
        // What a NIC would make of it that adds up from the UDP header on.
        let mut asked = frame.clone();
        header.write(&mut asked[..udp + UDP_BYTES], datagram.len(), Summed::OnTheWay).unwrap();
        let added = Sum::of(&asked[udp..]).finish();
        let added = if added == [0, 0] { [0xff, 0xff] } else { added };
        asked[udp + UDP_CHECKSUM_AT..udp + UDP_BYTES].copy_from_slice(&added);
        prop_assert_eq!(asked, frame);
    }
}

/// Prints what a header costs, its checksum over the whole datagram included. For
/// `cargo test --release -p kakehashi-relay measure_headers -- --ignored --nocapture`.
#[test]
#[ignore = "prints a measurement"]
fn measure_headers() {
    const TIMES: u32 = 1_000_000;
    let header = header("192.0.2.1:40000", "198.51.100.7:9", None, 0);
    for bytes in [160, 1_200] {
        let mut frame = vec![7; HEADER_BYTES_MAX + bytes];
        let clock = crate::shard::Clock::start();
        for _ in 0..TIMES {
            let (room, datagram) = frame.split_at_mut(HEADER_BYTES_MAX);
            let sum = Sum::of(core::hint::black_box(datagram));
            core::hint::black_box(header.write(room, bytes, Summed::Here(sum)));
        }
        println!("{bytes} B: {:?} a packet", clock.now().0 / TIMES);
    }
}
