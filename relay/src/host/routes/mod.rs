//! How packets leave through one network interface without the kernel: to which Ethernet address,
//! over which VLAN, from which source. The kernel's own tables decide, and are followed.
//!
//! A thread named "routes" keeps two netlink sockets. One hears of changes: links, neighbours,
//! addresses, routes, rules. The other asks: a route for each destination that a shard wants to
//! reach, and for the neighbour behind it to be resolved. `table` decides, without any I/O.
//!
//! **Shards make no system call.** They leave their asks in a ring and look for answers once per
//! turn of their loop. Nothing wakes the thread for an ask, since that would be a system call of
//! the shard: it looks at the rings each time it wakes, which is every 2 ms while something was
//! asked lately and every 20 ms otherwise. Until an answer comes, packets go through the kernel,
//! which always works.
//!
//! What the kernel would do to a packet besides routing it does not happen on the direct way:
//! packet filters, traffic control, IPsec policies and the priorities of a VLAN device see nothing
//! of it. One route of several of equal cost is the one the kernel names for the destination alone.
//!
//! The kernel does not see this traffic either, so it never confirms a neighbour by itself. It is
//! told every 15 s which neighbours are in use, and probes those that it has not heard lately. One
//! that is gone is noticed 20 to 70 s later with the kernel's usual settings.

mod agenda;
mod facts;
mod links;
mod message;
mod netlink;
mod table;
#[cfg(test)]
mod tests;
mod thread;

use crate::capacity::{ROUTE_ASKS, ROUTES_TOLD};
use core::sync::atomic::{AtomicBool, Ordering};
use facts::Event;
use links::{LinkAddress, LinkId};
use netlink::Requests;
use rtrb::{Consumer, Producer, RingBuffer};
use std::collections::BTreeSet;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use thread::{Addresses, Worker, WorkerEnd};

/// An Ethernet address.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct Mac(pub(crate) [u8; 6]);

/// A VLAN's number, 1 to 4094.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub(crate) struct VlanId(pub(crate) u16);

/// How packets reach a next hop over the interface.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct NextHop {
    /// The next hop's Ethernet address.
    pub(crate) to: Mac,
    /// The Ethernet address of the interface, or of its VLAN.
    pub(crate) from: Mac,
    /// The VLAN it is in, if it is in one.
    pub(crate) vlan: Option<VlanId>,
    /// Bytes of the longest IP packet.
    pub(crate) mtu: u16,
}

/// What a destination's packets need.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Way {
    /// Over the interface, to a next hop, from the route's preferred source address.
    Direct { hop: NextHop, source: IpAddr },
    /// Through the kernel: another interface, local, no neighbour known (yet), no route.
    Kernel,
}

/// What a shard is told: always the newest for that destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Told {
    /// As it was asked for.
    pub(crate) destination: IpAddr,
    /// How it is reached from now on.
    pub(crate) way: Way,
}

/// What a shard asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Ask {
    Follow(IpAddr),
    Forget(IpAddr),
}

/// A shard's end: a bounded ring each way. No method makes a system call, locks or allocates.
pub(crate) struct RoutesEnd {
    asks: Producer<Ask>,
    told: Consumer<Told>,
}

impl RoutesEnd {
    /// Asks for a destination; false if the ring is full: ask again later. It is told at once and
    /// whenever it changes, until it is forgotten. Asking again has it told again.
    ///
    /// Beyond [`NEXT_HOPS_MAX`](crate::capacity::NEXT_HOPS_MAX) destinations the answer is
    /// [`Way::Kernel`], and the destination is not followed.
    pub(crate) fn ask(&mut self, destination: IpAddr) -> bool {
        self.asks.push(Ask::Follow(destination)).is_ok()
    }

    /// A destination is no longer needed, however often it was asked for; false if the ring is
    /// full: forget it later.
    pub(crate) fn forget(&mut self, destination: IpAddr) -> bool {
        self.asks.push(Ask::Forget(destination)).is_ok()
    }

    /// The next thing told, if any. It may be about a destination that was forgotten a moment ago.
    pub(crate) fn told(&mut self) -> Option<Told> {
        self.told.pop().ok()
    }
}

/// An interface of the machine, as it is now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Interface {
    /// Its number in the kernel.
    pub(crate) index: u32,
    /// Bytes of the longest IP packet.
    pub(crate) mtu: u32,
    /// Whether it carries Ethernet and is no VLAN on another.
    pub(crate) is_device: bool,
    /// Its addresses, without those of its VLANs.
    pub(crate) addresses: BTreeSet<IpAddr>,
}

/// Every interface of the calling thread's network namespace.
///
/// # Errors
/// The kernel's.
pub(crate) fn interfaces() -> io::Result<Vec<Interface>> {
    let mut found: Vec<Interface> = Vec::new();
    // Links come before their addresses.
    for event in Requests::open()?.dump()? {
        match event {
            Event::Link(LinkId(index), Some(link)) => {
                let is_device = link.mac.is_some() && link.tag.is_none();
                let addresses = BTreeSet::new();
                found.push(Interface { index, mtu: link.mtu, is_device, addresses });
            }
            Event::Address(LinkAddress { link, ip, .. }, true) => {
                let on = found.iter_mut().find(|interface| interface.index == link.0);
                on.into_iter().for_each(|interface| {
                    interface.addresses.insert(ip);
                });
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The thread that follows the kernel's tables. Ends when dropped.
pub(crate) struct Routes {
    stop: Arc<AtomicBool>,
    addresses: Arc<Mutex<BTreeSet<IpAddr>>>,
    thread: Option<JoinHandle<()>>,
}

impl Routes {
    /// Follows the tables of the calling thread's network namespace for the interface with this
    /// number, on behalf of so many shards. `on_addresses` is called with the IP addresses of the
    /// interface and of the VLANs on it: before this returns, and on the thread at each change.
    ///
    /// # Errors
    /// The kernel's, or that there is no such interface, or that it is not Ethernet.
    pub(crate) fn start(
        interface: u32,
        shards: usize,
        on_addresses: impl FnMut(&BTreeSet<IpAddr>) + Send + 'static,
    ) -> io::Result<(Self, Vec<RoutesEnd>)> {
        let (ends, worker_ends) = (0..shards).map(|_| ring_pair()).unzip();
        let stop = Arc::new(AtomicBool::new(false));
        let addresses = Addresses::new(on_addresses);
        let known = addresses.known();
        let worker = Worker::open(LinkId(interface), worker_ends, addresses)?;
        let flag = Arc::clone(&stop);
        let builder = std::thread::Builder::new().name("routes".into());
        let thread = builder.spawn(move || worker.run(&flag))?;
        Ok((Self { stop, addresses: known, thread: Some(thread) }, ends))
    }

    /// The IP addresses of the interface and of the VLANs on it, as they are now: those of IPv6
    /// that are valid on their link only as well, but not those still checked for duplicates.
    pub(crate) fn addresses(&self) -> BTreeSet<IpAddr> {
        self.addresses.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Routes {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // Why it broke off, if it did, has been printed.
            let _ = thread.join();
        }
    }
}

fn ring_pair() -> (RoutesEnd, WorkerEnd) {
    let (asks, asked) = RingBuffer::new(ROUTE_ASKS);
    let (tell, told) = RingBuffer::new(ROUTES_TOLD);
    (RoutesEnd { asks, told }, WorkerEnd { asked, tell })
}
