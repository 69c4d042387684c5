//! How calls begin: made here, or taken.

use super::{Current, DESK, Goal, Note, Runner, streams, tolerate};
use crate::media::MediaInput;
use crate::program::announcement::Announcement;
use crate::session::TerminalError;
use anyhow::Result;
use kakehashi_wire::id::CallId;
use kakehashi_wire::media::StreamOffer;
use kakehashi_wire::terminal::{Incoming, Queued, Refusal};

impl Runner {
    /// Calls `login`; it rings when this returns.
    pub(super) async fn invite(&mut self, login: String) -> Result<()> {
        self.voice.say(&Note::Calling { login: &login });
        let inputs = streams::inputs(&self.config)?;
        let offers = inputs.iter().map(MediaInput::offer).collect();
        let call = match login.strip_prefix(DESK) {
            Some(desk) => self.terminal.invite_desk(desk, offers).await?,
            None => self.terminal.invite(&login, offers).await?,
        };
        self.current = Some(Current::new(call, login, inputs));
        Ok(())
    }

    /// The call waits at a desk; with the desk's announcement, if it asks for one.
    pub(super) fn on_queued(&mut self, queued: Queued) {
        self.voice.say(&Note::Queued { call: &queued.call.to_string(), queued: &queued });
        let current = self.current.as_mut().filter(|current| current.call == queued.call);
        let Some(current) = current.filter(|_| queued.announce) else { return };
        match Announcement::begin(&self.config) {
            Ok(announcement) => current.announcement = announcement,
            Err(error) => self.voice.say(&Note::Trouble { why: &format!("{error:#}") }),
        }
    }

    pub(super) async fn on_incoming(&mut self, incoming: Incoming) -> Result<()> {
        let call = incoming.call;
        if let Some(current) = self.current.as_ref().filter(|current| current.call == call) {
            // Taken just when the connection was lost, it may ring on. Else both have called each
            // other, and it is taken already.
            let offers = current.inputs.iter().map(MediaInput::offer).collect();
            return if current.unsure { self.accept(call, offers).await } else { Ok(()) };
        }
        if self.ringing.as_ref().is_some_and(|ringing| ringing.call == call) {
            return Ok(());
        }
        self.voice.say(&Note::Incoming { call: &call.to_string(), incoming: &incoming });
        let wanted = matches!(self.goal, Goal::Wait { reject: false, .. })
            && self.current.is_none()
            && self.ringing.is_none()
            && self.outcome.is_none();
        if !wanted {
            tolerate(self.terminal.reject(call).await, self.voice);
            return self.count_call().await;
        }
        if matches!(self.goal, Goal::Wait { ask: true, .. }) {
            self.ringing = Some(incoming);
            return Ok(());
        }
        self.take_call(incoming).await
    }

    pub(super) async fn take_call(&mut self, incoming: Incoming) -> Result<()> {
        let call = incoming.call;
        let inputs = match streams::inputs(&self.config) {
            Ok(inputs) => inputs,
            Err(error) => {
                self.voice.say(&Note::Trouble { why: &format!("{error:#}") });
                tolerate(self.terminal.reject(call).await, self.voice);
                return self.count_call().await;
            }
        };
        let offers = inputs.iter().map(MediaInput::offer).collect();
        self.current = Some(Current::new(call, incoming.login, inputs));
        self.accept(call, offers).await
    }

    async fn accept(&mut self, call: CallId, offers: Vec<StreamOffer>) -> Result<()> {
        match self.terminal.accept(call, offers).await {
            // The call is there, or its end or its other taker is told of in a moment.
            Ok(()) | Err(TerminalError::Refused { reason: Refusal::TooLate, .. }) => {}
            Err(error @ (TerminalError::Refused { .. } | TerminalError::Over)) => {
                self.voice.say(&Note::Trouble { why: &error.to_string() });
                self.current = None;
            }
            // Whether control has heard it shows when the connection is back.
            Err(error) => {
                self.voice.say(&Note::Trouble { why: &error.to_string() });
                let current = self.current.as_mut().filter(|current| current.call == call);
                current.into_iter().for_each(|current| current.unsure = true);
            }
        }
        Ok(())
    }
}
