//! How a connection becomes a session: resumed with a token, or begun with the password.

use super::driver::{Admitted, Driver, unexpected, until_told_to_leave};
use super::error::TerminalError;
use super::machine::Signal;
use super::terminal::Event;
use core::time::Duration;
use kakehashi_wire::terminal::{
    FromTerminal, Refusal, Resume, Resumed, SignIn, SignedIn, ToTerminal,
};
use tracing::info;

impl Driver {
    /// With the token if there is one; with the password if control does not take it.
    pub(super) async fn sign_in(&mut self) -> Result<Signal, TerminalError> {
        if let Some(signal) = self.resume().await? {
            return Ok(signal);
        }
        let Some(conversation) = &mut self.conversation else {
            return Err(TerminalError::NotConnected);
        };
        let settings = &self.settings;
        let (device_key, device_proof) = settings.device_secret.prove(&conversation.exported()?);
        let message = FromTerminal::from(SignIn {
            request: self.requests.number(),
            tenant: settings.tenant.clone(),
            login: settings.login.clone(),
            password: settings.password.clone(),
            device: settings.device,
            device_key,
            device_proof,
            software: settings.software.clone(),
        });
        match self.exchange(&message, self.settings.timing.reply).await? {
            None => Ok(Signal::Leave),
            Some(ToTerminal::SignedIn(signed_in)) => {
                self.admitted = Some(Admitted::Anew(signed_in));
                Ok(Signal::Admitted)
            }
            Some(other) => Err(refusal(&other)),
        }
    }

    /// `None` if there is nothing to resume with, or no longer.
    async fn resume(&mut self) -> Result<Option<Signal>, TerminalError> {
        let Some(token) = self.token.clone() else { return Ok(None) };
        let Some(conversation) = &mut self.conversation else {
            return Err(TerminalError::NotConnected);
        };
        let (_, device_proof) = self.settings.device_secret.prove(&conversation.exported()?);
        let request = self.requests.number();
        let software = self.settings.software.clone();
        let message = Resume { request, token, device_proof, software };
        let timing = &self.settings.timing;
        let patience = if self.dialler.has_others() { timing.resume } else { timing.reply };
        match self.exchange(&message.into(), patience).await? {
            None => Ok(Some(Signal::Leave)),
            Some(ToTerminal::Resumed(resumed)) => {
                self.admitted = Some(Admitted::Again(resumed));
                Ok(Some(Signal::Admitted))
            }
            Some(ToTerminal::Refused(no)) if no.reason == Refusal::Expired => {
                info!(event = "session_not_resumable", "the session cannot be resumed");
                self.token = None;
                Ok(None)
            }
            Some(other) => Err(refusal(&other)),
        }
    }

    /// Says the first message and hears the answer; `None` if the application wants to leave.
    async fn exchange(
        &mut self,
        message: &FromTerminal,
        patience: Duration,
    ) -> Result<Option<ToTerminal>, TerminalError> {
        let Some(conversation) = &mut self.conversation else {
            return Err(TerminalError::NotConnected);
        };
        let exchange = async {
            conversation.say(message).await?;
            tokio::time::timeout(patience, conversation.hear())
                .await
                .unwrap_or_else(|_| Err(TerminalError::NoReply))
        };
        let commands = (&mut self.commands, &mut self.known);
        until_told_to_leave(commands, exchange).await.transpose()
    }

    /// Tells the application that it is signed in, and what that means for its calls.
    pub(super) async fn admit(&mut self) -> Result<(), TerminalError> {
        match self.admitted.take() {
            Some(Admitted::Anew(signed_in)) => self.begin(signed_in).await,
            Some(Admitted::Again(resumed)) => self.go_on(resumed).await,
            None => Ok(()),
        }
    }

    async fn begin(&mut self, signed_in: SignedIn) -> Result<(), TerminalError> {
        info!(event = "session_signed_in", session = %signed_in.session, "signed in");
        let has_token = !signed_in.token.as_bytes().is_empty();
        self.token = has_token.then(|| signed_in.token.clone());
        for call in self.known.forget() {
            self.pass_on(Event::Lost { call }).await?;
        }
        self.pass_on(Event::SignedIn(signed_in)).await
    }

    async fn go_on(&mut self, resumed: Resumed) -> Result<(), TerminalError> {
        info!(event = "session_resumed", session = %resumed.session, calls = resumed.calls.len(),
            "resumed");
        self.pass_on(Event::Resumed).await?;
        self.settle(resumed).await
    }

    /// Sets the calls that the application knows of against those that control does.
    pub(super) async fn settle(&mut self, resumed: Resumed) -> Result<(), TerminalError> {
        let settled = self.known.resumed(&resumed);
        if !resumed.token.as_bytes().is_empty() {
            self.token = Some(resumed.token);
        }
        for merged in settled.merged {
            self.pass_on(Event::Merged(merged)).await?;
        }
        for (call, reason) in settled.over {
            let event = match reason {
                Some(reason) => Event::Ended { call, reason },
                None => Event::Lost { call },
            };
            self.pass_on(event).await?;
        }
        for call in settled.unwanted {
            self.leave(call).await?;
        }
        Ok(())
    }
}

fn refusal(answer: &ToTerminal) -> TerminalError {
    match answer {
        ToTerminal::Refused(no) => {
            TerminalError::Refused { reason: no.reason, retry_after_ms: no.retry_after_ms }
        }
        ToTerminal::SessionEnded(end) => TerminalError::SessionEnded { reason: end.reason },
        other => unexpected(other),
    }
}
