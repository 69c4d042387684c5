//! What a node sees of the programs around it, beside what they do: which other nodes there are,
//! who leads, and until when each certificate is good that was shown here. For whoever operates;
//! nothing is decided by it.

use crate::admin::{CertificateRow, NodeRow};
use crate::capacity::{RELAYS_MAX, nodes::NODES_MAX};
use crate::clock::UnixMs;
use crate::config::NodeSettings;
use crate::nodes::{NodeName, Peer};
use crate::pki::{Ends, good_until};
use kakehashi_wire::id::RelayId;
use rustls_pki_types::CertificateDer;
use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A node's surroundings.
#[derive(Debug)]
pub struct Surroundings {
    me: NodeName,
    peers: Vec<Peer>,
    certificates: Vec<CertificateRow>,
    seen: Mutex<Seen>,
}

#[derive(Debug, Default)]
struct Seen {
    lead: Option<NodeName>,
    nodes: BTreeMap<NodeName, Neighbour>,
    /// Until when the certificate is good that each relay showed last.
    relays: BTreeMap<RelayId, UnixMs>,
}

/// Another node.
#[derive(Debug, Default)]
struct Neighbour {
    /// A link to it stands.
    is_linked: bool,
    software: String,
    certificate_until: Option<UnixMs>,
}

impl Surroundings {
    /// Those of the node `me` among `peers`, whose own certificates end then.
    pub(crate) fn new(me: NodeName, peers: &[Peer], certificates: &[Ends]) -> Self {
        let certificates = certificates
            .iter()
            .map(|ends| CertificateRow { shown_to: ends.to.to_owned(), until: ends.until });
        let certificates = certificates.collect();
        Self { me, peers: peers.to_vec(), certificates, seen: Mutex::default() }
    }

    /// Those of a node that is alone and shows nobody a certificate.
    pub fn alone() -> Self {
        Self::new(NodeSettings::default().name, &[], &[])
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A relay proved which one it is by `certificate`.
    pub(crate) fn relay_came(&self, relay: RelayId, certificate: &CertificateDer<'_>) {
        let Some(until) = good_until(certificate) else { return };
        let mut seen = self.seen();
        if seen.relays.len() < RELAYS_MAX || seen.relays.contains_key(&relay) {
            seen.relays.insert(relay, until);
        }
    }

    /// Another node proved which one it is by `certificate`, and says what it runs.
    pub(crate) fn node_came(
        &self,
        node: &NodeName,
        software: &str,
        certificate: &CertificateDer<'_>,
    ) {
        self.of_node(node, |node| {
            software.clone_into(&mut node.software);
            node.certificate_until = good_until(certificate);
        });
    }

    /// The link to another node stands, or is gone.
    pub(crate) fn node_linked(&self, node: &NodeName, is_linked: bool) {
        self.of_node(node, |node| node.is_linked = is_linked);
    }

    fn of_node(&self, node: &NodeName, note: impl FnOnce(&mut Neighbour)) {
        let mut seen = self.seen();
        if seen.nodes.len() < NODES_MAX || seen.nodes.contains_key(node) {
            note(seen.nodes.entry(node.clone()).or_default());
        }
    }

    /// This node leads, as far as this one knows.
    pub(crate) fn led_by(&self, node: Option<&NodeName>) {
        let mut seen = self.seen();
        if seen.lead.as_ref() != node {
            seen.lead = node.cloned();
        }
    }

    /// Until when the certificate is good that a relay showed last; none if none has been seen.
    pub(crate) fn relay_certificate(&self, relay: RelayId) -> Option<UnixMs> {
        self.seen().relays.get(&relay).copied()
    }

    /// The certificates of this node.
    pub(crate) fn certificates(&self) -> Vec<CertificateRow> {
        self.certificates.clone()
    }

    /// All nodes of the cell: this one first, then the others by their names. A node alone leads.
    pub(crate) fn nodes(&self) -> Vec<NodeRow> {
        let seen = self.seen();
        let leads = |name: &NodeName| match self.peers.is_empty() {
            true => *name == self.me,
            false => seen.lead.as_ref() == Some(name),
        };
        let own = self.certificates.iter().find(|ends| ends.shown_to == "nodes");
        let me = NodeRow {
            name: self.me.to_string(),
            address: String::new(),
            is_this: true,
            is_linked: true,
            leads: leads(&self.me),
            software: concat!("kakehashi-control ", env!("CARGO_PKG_VERSION")).to_owned(),
            certificate_until: own.map(|ends| ends.until),
        };
        let peers: BTreeMap<_, _> = self.peers.iter().map(|peer| (&peer.name, peer)).collect();
        let others = peers.into_values().map(|peer| {
            let known = seen.nodes.get(&peer.name);
            NodeRow {
                name: peer.name.to_string(),
                address: peer.address.clone(),
                is_this: false,
                is_linked: known.is_some_and(|node| node.is_linked),
                leads: leads(&peer.name),
                software: known.map(|node| node.software.clone()).unwrap_or_default(),
                certificate_until: known.and_then(|node| node.certificate_until),
            }
        });
        [me].into_iter().chain(others).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> NodeName {
        NodeName::parse(text).unwrap()
    }

    fn peer(text: &str) -> Peer {
        Peer { name: name(text), address: format!("{text}.example:4440") }
    }

    #[test]
    fn a_node_alone_leads() {
        let ends = Ends { to: "browsers", until: UnixMs(1_800_000_000_000) };
        let alone = Surroundings::new(name("one"), &[], &[ends]);
        let [me] = &alone.nodes()[..] else { panic!("it is alone") };
        assert!(me.is_this && me.leads && me.certificate_until.is_none());
        let [shown] = &alone.certificates()[..] else { panic!("it has one") };
        assert_eq!((&*shown.shown_to, shown.until), ("browsers", UnixMs(1_800_000_000_000)));
    }

    #[test]
    fn others_are_told_apart_by_what_was_heard_of_them() {
        let peers = [peer("three"), peer("two"), peer("two")];
        let around = Surroundings::new(name("one"), &peers, &[]);
        let rows = || -> Vec<_> {
            let rows = around.nodes().into_iter();
            rows.map(|row| (row.name, row.leads, row.is_linked)).collect()
        };
        let row = |name: &str, leads, is_linked| (name.to_owned(), leads, is_linked);
        assert_eq!(
            rows(),
            [row("one", false, true), row("three", false, false), row("two", false, false)]
        );
        around.node_linked(&name("two"), true);
        around.led_by(Some(&name("two")));
        assert_eq!(rows()[2], row("two", true, true));
        around.node_linked(&name("two"), false);
        around.led_by(Some(&name("one")));
        assert_eq!((&rows()[0], &rows()[2]), (&row("one", true, true), &row("two", false, false)));
    }

    #[test]
    fn what_is_no_certificate_says_nothing_and_too_many_are_not_kept() {
        let around = Surroundings::new(name("one"), &[], &[]);
        around.relay_came(RelayId(1), &CertificateDer::from(&b"nonsense"[..]));
        assert_eq!(around.relay_certificate(RelayId(1)), None);
        for node in 0..2 * NODES_MAX {
            around.node_linked(&name(&format!("node-{node}")), true);
        }
        assert_eq!(around.seen().nodes.len(), NODES_MAX);
    }
}
