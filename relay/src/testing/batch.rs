//! Many datagrams in one turn, and the trains that leave for them.

use super::World;
use crate::path::batch::{Memory, Outgoing, Place, Received, Slot};
use crate::path::forward;
use std::net::SocketAddr;

/// A train that left for one address.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Departure {
    pub(crate) to: SocketAddr,
    pub(crate) packets: Vec<Vec<u8>>,
}

/// Bytes of one receive buffer here.
const BUFFER_BYTES: usize = 60_000;

/// Datagrams as the kernel hands them over: neighbours of one sender lie in one buffer.
struct Buffers {
    bytes: Vec<Vec<u8>>,
    /// Buffer, first byte and length of each datagram.
    places: Vec<(usize, usize, usize)>,
}

impl Buffers {
    fn fill(datagrams: &[(SocketAddr, Vec<u8>)]) -> Self {
        let (mut bytes, mut places, mut last) = (Vec::<Vec<u8>>::new(), Vec::new(), None);
        for (source, datagram) in datagrams {
            let full = |buffer: &Vec<u8>| buffer.len() + datagram.len() > BUFFER_BYTES;
            if last != Some(source) || bytes.last().is_none_or(full) {
                bytes.push(Vec::new());
            }
            last = Some(source);
            let buffer = bytes.len() - 1;
            places.push((buffer, bytes[buffer].len(), datagram.len()));
            bytes[buffer].extend_from_slice(datagram);
        }
        Self { bytes, places }
    }

    fn at(&self, place: Place, own: &[u8]) -> Vec<u8> {
        let range = place.start as usize..(place.start + place.bytes) as usize;
        match place.memory {
            Memory::Batch(Slot(buffer)) => self.bytes[usize::from(buffer)][range].to_vec(),
            Memory::Own => own[range].to_vec(),
        }
    }
}

impl World {
    /// Sends datagrams in one batch; what leaves, in order. A train takes at most `train_max`.
    pub(crate) fn send_batch(
        &mut self,
        train_max: u16,
        datagrams: &[(SocketAddr, Vec<u8>)],
    ) -> Vec<Departure> {
        let buffers = Buffers::fill(datagrams);
        let (mut out, mut taken, mut left) = (Outgoing::new(train_max), 0, Vec::new());
        while taken < datagrams.len() {
            let rest = datagrams.iter().zip(&buffers.places).skip(taken);
            let received = rest.map(|((source, bytes), (buffer, start, _))| Received {
                slot: Slot(*buffer as u16),
                start: *start as u32,
                source: *source,
                bytes,
            });
            let (legs, counters) = (&mut self.legs, &mut self.counters);
            taken += forward(legs, received, self.now, &mut || 1, counters, &mut out);
            left.extend(out.hops().iter().map(|hop| departure(&out, *hop, &buffers, train_max)));
            out.clear();
        }
        assert_eq!(self.counters.verdicts(), self.counters.received());
        left
    }
}

/// A hop's train, cut apart as the kernel does.
fn departure(
    out: &Outgoing,
    hop: crate::path::batch::Hop,
    buffers: &Buffers,
    train_max: u16,
) -> Departure {
    let train = out.train(hop.train);
    let bytes: Vec<u8> = out.places(train).flat_map(|place| buffers.at(place, out.own())).collect();
    assert_eq!(bytes.len(), train.bytes as usize);
    let packets: Vec<_> =
        bytes.chunks(usize::from(train.packet_bytes)).map(<[u8]>::to_vec).collect();
    assert_eq!(packets.len(), usize::from(train.packets), "only the last may be shorter");
    assert!(train.packets <= train_max);
    Departure { to: hop.destination, packets }
}
