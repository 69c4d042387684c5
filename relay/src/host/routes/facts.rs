//! What the kernel says, in the terms of `table`.

use super::Mac;
use super::links::{Link, LinkAddress, LinkId};
use std::net::IpAddr;

/// A neighbour: whom packets go to on a link.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(super) struct Hop {
    pub(super) link: LinkId,
    pub(super) ip: IpAddr,
}

/// What the kernel says about a neighbour.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Seen {
    /// It is reached at this address.
    At(Mac),
    /// The same, but somebody else sees to it: an operator, or another program.
    Fixed(Mac),
    /// It is looked for, or does not answer.
    Unresolved,
    /// Nothing any more.
    Gone,
}

/// What the kernel says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Event {
    /// A link is like this, or gone.
    Link(LinkId, Option<Link>),
    /// An address is there and may be used, or not.
    Address(LinkAddress, bool),
    /// A neighbour.
    Neighbour(Hop, Seen),
    /// Some route or some rule changed.
    Routes,
}

/// Where the kernel sends packets for a destination.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Route {
    /// A gateway, or the destination itself.
    pub(super) hop: Hop,
    /// The source address the kernel would choose.
    pub(super) source: IpAddr,
    /// Bytes of the longest IP packet, if the route says so.
    pub(super) mtu: Option<u32>,
}
