//! What terminals were refused, in the log: a line for each at the level `debug`, and for whoever
//! does not look there a count from time to time, since anybody who has signed in can cause them
//! without end.
//!
//! Nothing that a peer has said is repeated: numbers and names of ours alone, so that no line can
//! be broken into two.

use crate::capacity::REFUSALS_LOG_EVERY;
use crate::policy::{Act, Reason};
use crate::seldom::Seldom;
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::terminal::{Refusal, Refused};
use tokio::time::Instant;
use tracing::field::debug;

/// Writes the lines.
pub(super) struct Refusals {
    seldom: Seldom,
    because: Option<(SessionId, Act, Reason)>,
}

impl Refusals {
    pub(super) fn new() -> Self {
        Self { seldom: Seldom::new(REFUSALS_LOG_EVERY), because: None }
    }

    /// The policy does not allow what `session` has asked for; the refusal follows.
    pub(super) fn because(&mut self, session: SessionId, act: Act, reason: Reason) {
        self.because = Some((session, act, reason));
    }

    /// A refusal was said.
    pub(super) fn said(&mut self, session: SessionId, refused: &Refused) {
        self.write(session, Some(refused.request), refused.reason);
    }

    /// A session was not let in.
    pub(super) fn turned_away(&mut self, session: SessionId, refusal: Refusal) {
        self.write(session, None, refusal);
    }

    fn write(&mut self, session: SessionId, request: Option<RequestId>, refusal: Refusal) {
        let request = request.map(|request| request.0);
        let because = self.because.take().filter(|(of, ..)| *of == session);
        let (act, policy) = (because.map(|it| it.1.name()), because.map(|it| debug(it.2)));
        tracing::debug!(event = "request_refused", %session, request, ?refusal, act, policy,
            "refused");
        if let Some(count) = self.seldom.note(Instant::now()) {
            tracing::info!(event = "requests_refused", count, last = %session, ?refusal,
                "requests were refused");
        }
    }
}
