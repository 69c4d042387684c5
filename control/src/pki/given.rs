//! Folders for other machines: what a relay or a further node needs, and nothing more.

use super::cell::CellSecret;
use super::{Pki, PkiError, files};
use crate::clock::UnixMs;
use crate::nodes::NodeName;
use kakehashi_wire::id::RelayId;
use std::path::Path;

impl Pki {
    /// Puts into `folder` what the relay needs: `ca.pem`, and its certificate and key. What is good
    /// there already stays.
    ///
    /// # Errors
    /// [`PkiError`] if this machine does not have the key of the authority.
    pub fn give_relay(&self, relay: RelayId, folder: &Path, now: UnixMs) -> Result<(), PkiError> {
        self.give_root(folder)?;
        self.issue_relay_in(folder, relay, now).map(drop)
    }

    /// Puts into `folder` what a further node needs as its `pki/`: `ca.pem`, the secret of the
    /// cell, its certificate for terminals and relays, which dial it by `names`, and the one for
    /// other nodes. The key of the authority stays here.
    ///
    /// # Errors
    /// [`PkiError`] if this machine does not have the key of the authority.
    pub fn give_node(
        &self,
        (node, names): (&NodeName, &[String]),
        secret: &CellSecret,
        folder: &Path,
        now: UnixMs,
    ) -> Result<(), PkiError> {
        self.give_root(folder)?;
        secret.write(&folder.join("cell.key"))?;
        self.issue_server_in(folder, names, now)?;
        self.issue_node_in(folder, node, now).map(drop)
    }

    fn give_root(&self, folder: &Path) -> Result<(), PkiError> {
        self.may_issue()?;
        files::make_folder(folder)?;
        let pem = self.root_path();
        let content = std::fs::read(&pem).map_err(|error| PkiError::Io { path: pem, error })?;
        files::write(&folder.join("ca.pem"), &content, 0o644)
    }
}
