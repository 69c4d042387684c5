//! The operator of a site: asks its node over the API, from inside the site's network.

use anyhow::{Context, Result};
use core::time::Duration;
use kakehashi_control::admin::{Answer, RelayRow, Request, Why};
use kakehashi_control::api::client::{Client, ClientError};
use std::path::PathBuf;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::Mutex;
use tokio::time::timeout;

/// Where a node has its API, inside its network.
const API: &str = "127.0.0.1:4435";

/// Who asks one node. Keeps the connection; a node that starts anew is found again.
#[derive(Clone)]
pub(crate) struct Operator {
    /// Of its network.
    inside: Handle,
    folder: PathBuf,
    client: Arc<Mutex<Option<Client>>>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unanswered {
    /// The node says no, or is not there.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// It has been asked and does not answer.
    #[error("{API} does not answer within {0:?}")]
    Late(Duration),
    /// Nothing runs in its network.
    #[error("the network's runtime is gone")]
    Gone,
}

impl Unanswered {
    /// Whether what was asked about is not there.
    pub(crate) fn says_absent(&self) -> bool {
        matches!(self, Self::Client(ClientError::Refused { why: Why::Absent, .. }))
    }
}

impl Operator {
    /// Of the node in the network of the runtime `inside` whose data is in `folder`; it need not
    /// run yet.
    pub(crate) fn of(inside: Handle, folder: PathBuf) -> Self {
        Self { inside, folder, client: Arc::default() }
    }

    /// Asks, and waits for so long.
    ///
    /// # Errors
    /// [`Unanswered`]; what was asked may have been done all the same.
    pub(crate) async fn ask_within(
        &self,
        request: Request,
        within: Duration,
    ) -> Result<Answer, Unanswered> {
        let (client, folder) = (Arc::clone(&self.client), self.folder.clone());
        let asking = self.inside.spawn(async move {
            let mut kept = client.lock().await;
            // Taken, and put back if it answers: a node that starts anew has another token.
            let mut client = match kept.take() {
                Some(client) => client,
                None => Client::of_folder(&folder)?,
            };
            let answer = timeout(within, client.ask(request)).await;
            let answer = answer.map_err(|_elapsed| Unanswered::Late(within))??;
            *kept = Some(client);
            Ok::<Answer, Unanswered>(answer)
        });
        asking.await.map_err(|_stopped| Unanswered::Gone)?
    }

    /// Asks, and waits for as long as a node may take.
    ///
    /// # Errors
    /// [`Unanswered`].
    pub(crate) fn ask(&self, request: Request) -> Result<Answer, Unanswered> {
        self.inside.block_on(self.ask_within(request, Duration::from_secs(30)))
    }

    /// The runtime inside its network.
    pub(crate) fn inside(&self) -> &Handle {
        &self.inside
    }

    /// The relays, as the node that leads sees them.
    ///
    /// # Errors
    /// If there is no answer.
    pub(crate) fn relays(&self) -> Result<Vec<RelayRow>> {
        match self.ask(Request::Relays {}).context("no list of relays")? {
            Answer::Relays { rows } => Ok(rows),
            _ => anyhow::bail!("the node answers with something else than a list of relays"),
        }
    }
}
