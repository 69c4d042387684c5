//! Several nodes over one store: one of them, the lead, decides; the others hand it what their
//! terminals ask, and say to them what it says.
//!
//! `Helm` is what the rest of the node speaks to: the core in this process, or wherever the lead
//! is. Behind it, `switch` keeps this node's sessions with what is known of them, so that a new
//! lead gets them at once; `peer` dials the other nodes and `door` serves those that dial; `guest`
//! is the lead's side of a link. `office` runs the election: `election` decides, `record` is what
//! stands in the store.

mod door;
pub mod election;
mod guest;
mod helm;
mod office;
mod peer;
mod queue;
pub mod record;
mod relays;
mod start;
mod switch;
mod untold;

pub(crate) use helm::Helm;
pub(crate) use queue::Queue;
pub(crate) use record::lead_key;
pub(crate) use start::{Cell, Seated, Start};

use kakehashi_wire::limits::NODE_NAME_BYTES_MAX;
use serde::{Deserialize, Serialize};

/// The name of a node in its cell: one label of a DNS name.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct NodeName(String);

/// Another node, and where it listens to nodes.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Peer {
    /// Its name.
    pub name: NodeName,
    /// Host and port.
    pub address: String,
}

impl NodeName {
    /// `text` as a name, if it can be one.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = (1..=NODE_NAME_BYTES_MAX).contains(&text.len());
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let edges = !text.starts_with('-') && !text.ends_with('-');
        (fits && edges && text.bytes().all(is_good)).then(|| Self(text.to_owned()))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl core::fmt::Display for NodeName {
    fn fmt(&self, out: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        out.write_str(&self.0)
    }
}

impl TryFrom<String> for NodeName {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        Self::parse(&text).ok_or_else(|| {
            format!("{text:?} is no name of a node: use small letters, digits and hyphens")
        })
    }
}

impl From<NodeName> for String {
    fn from(name: NodeName) -> Self {
        name.0
    }
}

impl TryFrom<String> for Peer {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let parts = text.split_once('@').filter(|(_, address)| address.contains(':'));
        let (name, address) =
            parts.ok_or_else(|| format!("{text:?} is no node: write \"name@host:port\""))?;
        Ok(Self { name: name.to_owned().try_into()?, address: address.to_owned() })
    }
}

impl From<Peer> for String {
    fn from(peer: Peer) -> Self {
        format!("{}@{}", peer.name, peer.address)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_and_peers_say_where_they_are() {
        for good in ["a", "tokyo-1", "0", &"x".repeat(63)] {
            assert_eq!(NodeName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "-a", "a-", "A", "a.b", "a b", "案", &"x".repeat(64)] {
            assert_eq!(NodeName::parse(bad), None, "{bad:?}");
        }
        let peer = Peer::try_from("b@[2001:db8::2]:4436".to_owned()).unwrap();
        assert_eq!((peer.name.as_str(), &*peer.address), ("b", "[2001:db8::2]:4436"));
        assert_eq!(String::from(peer), "b@[2001:db8::2]:4436");
        for bad in ["b", "b@host", "@host:1", "B@host:1"] {
            assert!(Peer::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }
}
