//! Which engine keeps the store, and where: `[store]` of the node's settings.

use crate::capacity::{STORE_KEY_BYTES_MAX, STORE_MEMBERS_MAX};
use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The store.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct StoreSettings {
    /// Which engine keeps it.
    pub engine: Engine,
    /// The cluster, if it is one.
    pub etcd: EtcdSettings,
}

/// What keeps the store.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Engine {
    /// One file in the data folder, for one node.
    #[default]
    Embedded,
    /// A cluster that several nodes share.
    Etcd,
}

/// Where the cluster is, and how this node shows who it is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EtcdSettings {
    /// Its members, as URLs; the one at this node's site first, so that the loss of another site
    /// takes away nobody that this node asks.
    pub endpoints: Vec<String>,
    /// What all keys begin with.
    pub prefix: String,
    /// The authority of the members' certificates.
    pub ca: PathBuf,
    /// This node's certificate for them; empty for none.
    pub certificate: PathBuf,
    /// The key of that certificate.
    pub key: PathBuf,
    /// This node's user in etcd; empty for none.
    pub user: String,
    /// The file that holds the password of that user.
    pub password_file: PathBuf,
}

impl Default for EtcdSettings {
    fn default() -> Self {
        Self {
            endpoints: Vec::new(),
            prefix: "kakehashi/".to_owned(),
            ca: PathBuf::new(),
            certificate: PathBuf::new(),
            key: PathBuf::new(),
            user: String::new(),
            password_file: PathBuf::new(),
        }
    }
}

impl StoreSettings {
    /// What must hold: whether it does, which setting, and what would be right.
    pub(crate) fn checks(&self) -> [(bool, &'static str, &'static str); 6] {
        let (etcd, is_used) = (&self.etcd, self.engine == Engine::Etcd);
        let set = |path: &PathBuf| !path.as_os_str().is_empty();
        let schemes = ["http://", "https://"];
        let known = |url: &String| schemes.iter().any(|scheme| url.starts_with(scheme));
        let has_tls = etcd.endpoints.iter().any(|url| url.starts_with("https://"));
        let is_mixed = has_tls && etcd.endpoints.iter().any(|url| url.starts_with("http://"));
        let prefix = etcd.prefix.as_bytes();
        let prefix_fits = prefix.len() <= STORE_KEY_BYTES_MAX / 4
            && prefix.ends_with(b"/")
            && prefix.iter().all(u8::is_ascii_graphic);
        [
            (
                !is_used || (1..=STORE_MEMBERS_MAX).contains(&etcd.endpoints.len()),
                "store.etcd.endpoints",
                "must name the members of the cluster, 9 at most",
            ),
            (
                etcd.endpoints.iter().all(known) && !is_mixed,
                "store.etcd.endpoints",
                "must be URLs, all with https:// or all with http://",
            ),
            (
                !has_tls || set(&etcd.ca),
                "store.etcd.ca",
                "must be the authority of the members' certificates, as PEM",
            ),
            (
                set(&etcd.certificate) == set(&etcd.key) && (has_tls || !set(&etcd.key)),
                "store.etcd.certificate",
                "and its `key` belong together, and to https:// endpoints",
            ),
            (
                etcd.user.is_empty() != set(&etcd.password_file),
                "store.etcd.user",
                "and `password_file` belong together: set both or neither",
            ),
            (prefix_fits, "store.etcd.prefix", "must be up to 128 ASCII characters and end with /"),
        ]
    }
}
