//! What is tried on the machine this runs on; nothing is left behind.

use super::machine::{Machine, Read, Unread};
use super::scene::{Probes, Store};
use kakehashi_control::api::client::{place_of, skew_ms};
use kakehashi_control::config::Config as Control;
use kakehashi_control::pki::load_roots;
use kakehashi_control::store::{self, Embedded, Engine, StoreError};
use kakehashi_relay::config::Config as Relay;
use kakehashi_relay::host::{Finding, check, examine};
use std::path::{Path, PathBuf};

/// Tries on this machine.
pub(super) struct Real {
    /// Where control's API is, and who vouches for it, if that was said.
    pub(super) api: Option<(String, PathBuf)>,
}

fn unread(error: impl ToString) -> Unread {
    Unread(error.to_string())
}

fn runtime() -> Read<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(unread)
}

impl Probes for Real {
    fn io_uring(&self) -> Read<Result<(), String>> {
        Ok(check().map_err(|error| error.to_string()))
    }

    fn nic(&self, relay: &Relay) -> Read<Vec<Finding>> {
        Ok(examine(relay))
    }

    fn space(&self, path: &Path) -> Read<(u64, u64)> {
        let found = rustix::fs::statvfs(path).map_err(unread)?;
        Ok((found.f_bavail * found.f_frsize, found.f_blocks * found.f_frsize))
    }

    fn store(&self, control: &Control) -> Read<Store> {
        match control.store.engine {
            Engine::Embedded => Ok(match Embedded::look(&control.store_file()) {
                Ok(None) => Store::None,
                Ok(Some(revision)) => Store::Opens(revision.0),
                Err(StoreError::Locked { .. }) => Store::Locked,
                Err(StoreError::Io { path, what }) if what.contains("ermission") => {
                    let why = format!("{}: {what}; ask as its user", path.display());
                    return Err(Unread(why));
                }
                Err(error) => Store::Broken(error.to_string()),
            }),
            Engine::Etcd => runtime()?.block_on(cluster(control)),
        }
    }

    fn skew_ms(&self, control: Option<&Control>) -> Read<i64> {
        let (url, roots) = match (&self.api, control) {
            (Some((url, ca)), _) => (url.clone(), load_roots(ca).map_err(unread)?),
            (None, Some(control)) => place_of(&control.data).map_err(unread)?,
            (None, None) => {
                let why = "it is not said where control's API is: give --api URL --ca FILE";
                return Err(Unread(why.to_owned()));
            }
        };
        runtime()?.block_on(skew_ms(&url, roots)).map_err(unread)
    }
}

async fn cluster(control: &Control) -> Read<Store> {
    let opened = match store::open(&control.store, &control.store_file()).await {
        Ok(opened) => opened,
        #[cfg(not(feature = "etcd"))]
        Err(error @ StoreError::NoEtcd) => return Err(unread(error)),
        Err(error) => return Ok(Store::Broken(error.to_string())),
    };
    let found = opened.condition().await.map_err(unread)?;
    if let Some(problem) = found.problem {
        return Ok(Store::Broken(problem));
    }
    let said = |member: &store::MemberCondition| {
        let problem = member.problem.as_ref()?;
        Some(format!("{}: {problem}", member.name))
    };
    Ok(Store::Cluster {
        members: found.members.len(),
        problems: found.members.iter().filter_map(said).collect(),
        bytes: found.members.iter().map(|member| member.bytes).max().unwrap_or(0),
    })
}

/// Tries nothing: of a machine that is played.
pub(super) struct Nothing;

impl Nothing {
    fn why<T>() -> Read<T> {
        Err(Unread("not tried: it is another machine that was read".to_owned()))
    }
}

impl Probes for Nothing {
    fn io_uring(&self) -> Read<Result<(), String>> {
        Self::why()
    }

    fn nic(&self, _: &Relay) -> Read<Vec<Finding>> {
        Self::why()
    }

    fn space(&self, _: &Path) -> Read<(u64, u64)> {
        Self::why()
    }

    fn store(&self, _: &Control) -> Read<Store> {
        Self::why()
    }

    fn skew_ms(&self, _: Option<&Control>) -> Read<i64> {
        Self::why()
    }
}

/// What is tried of `machine`.
pub(super) fn of(machine: &Machine, api: Option<(String, PathBuf)>) -> Box<dyn Probes> {
    if machine.is_played() { Box::new(Nothing) } else { Box::new(Real { api }) }
}
