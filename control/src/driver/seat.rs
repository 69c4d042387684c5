//! A session that was let in has an owner, or is over.

use crate::coordinator::Input;
use kakehashi_wire::id::SessionId;
use tokio::sync::mpsc::UnboundedSender;

/// A session that the core let in. Whoever drops it ends the session: its verdict may come too
/// late for a connection that has given up, and nobody else could end it.
pub(crate) struct Seat {
    session: SessionId,
    core: Option<UnboundedSender<Input>>,
}

impl Seat {
    pub(super) fn new(session: SessionId, core: UnboundedSender<Input>) -> Self {
        Self { session, core: Some(core) }
    }

    /// Whose it is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// The core knows already that the session is over.
    pub(crate) fn settled(mut self) {
        self.core = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(core) = self.core.take() {
            let _stopping = core.send(Input::Gone(self.session));
        }
    }
}
