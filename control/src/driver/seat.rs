//! A session that was let in has an owner, or is over.

use kakehashi_wire::id::SessionId;

/// Ends a session.
type Ending = Box<dyn FnOnce(SessionId) + Send>;

/// A session that the core let in. Whoever drops it ends the session: its verdict may come too
/// late for a connection that has given up, and nobody else could end it.
pub(crate) struct Seat {
    session: SessionId,
    end: Option<Ending>,
}

impl Seat {
    /// A seat that `end` ends.
    pub(crate) fn new(session: SessionId, end: impl FnOnce(SessionId) + Send + 'static) -> Self {
        Self { session, end: Some(Box::new(end)) }
    }

    /// Whose it is.
    pub(crate) fn session(&self) -> SessionId {
        self.session
    }

    /// The core knows already that the session is over.
    pub(crate) fn settled(mut self) {
        self.end = None;
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        if let Some(end) = self.end.take() {
            end(self.session);
        }
    }
}
