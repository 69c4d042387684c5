//! One of the probe's two terminals: signs in through one door, and tells faults by name.

use super::fault::{Fault, Finding};
use crate::capacity::{SIGN_IN_WITHIN, STEP_WITHIN};
use crate::clock::Clock;
use core::time::Duration;
use kakehashi_terminal::media::CallMedia;
use kakehashi_terminal::{Event, Events, Settings, Terminal, TerminalError};
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{CallReady, Refusal};
use tokio::time::timeout;

/// A terminal that is signed in. Dropping it ends its session.
pub(super) struct Session {
    pub(super) terminal: Terminal,
    events: Events,
    pub(super) login: String,
}

impl Session {
    /// Signs in; gives the session and how long that took.
    pub(super) async fn start(settings: Settings) -> Result<(Self, Duration), Finding> {
        let (login, node) = (settings.login.clone(), settings.control.join(", "));
        let who = format!("{login} at {node}");
        let clock = Clock::start();
        let fault = |error: &TerminalError| Finding::of_sign_in(&who, error);
        let (terminal, mut events) = Terminal::start(settings).map_err(|error| fault(&error))?;
        let mut trouble = TerminalError::NoAnswer { control: node };
        loop {
            let left = SIGN_IN_WITHIN.saturating_sub(clock.now());
            let Ok(event) = timeout(left, events.next()).await else { return Err(fault(&trouble)) };
            match event {
                Some(Event::SignedIn(signed_in)) if signed_in.must_change_password => {
                    let (reason, retry_after_ms) = (Refusal::PasswordMustChange, 0);
                    return Err(fault(&TerminalError::Refused { reason, retry_after_ms }));
                }
                Some(Event::SignedIn(_)) => {
                    return Ok((Self { terminal, events, login }, clock.now()));
                }
                Some(Event::Reconnecting { why, next_try }) => {
                    trouble = why;
                    if next_try > SIGN_IN_WITHIN.saturating_sub(clock.now()) {
                        return Err(fault(&trouble));
                    }
                }
                Some(Event::SessionEnded { why }) => {
                    return Err(fault(&why.unwrap_or(trouble)));
                }
                Some(_) => {}
                None => return Err(fault(&trouble)),
            }
        }
    }

    /// Signs out. Whoever cannot has lost the connection, which was noticed before or does not
    /// matter any more.
    pub(super) async fn end(mut self) {
        if self.terminal.sign_out().await.is_ok() {
            let farewell = async { while self.events.next().await.is_some() {} };
            let _ = timeout(STEP_WITHIN, farewell).await;
        }
    }

    /// Waits for `call` to come in.
    pub(super) async fn incoming(&mut self, call: CallId) -> Result<(), Finding> {
        let rings = |event| matches!(event, Event::Incoming(incoming) if incoming.call == call);
        self.until(call, "rings", |event| rings(event).then_some(())).await
    }

    /// Waits for the keys and relays of `call`.
    pub(super) async fn ready(&mut self, call: CallId) -> Result<Box<CallReady>, Finding> {
        let what = "is told keys and relays";
        self.until(call, what, |event| match event {
            Event::Ready(ready) if ready.call == call => Some(ready),
            _ => None,
        })
        .await
    }

    /// Waits for the end of `call`, which somebody has asked for.
    pub(super) async fn ended(&mut self, call: CallId) -> Result<(), Finding> {
        let ended = async {
            while let Some(event) = self.events.next().await {
                match event {
                    Event::Ended { call: over, .. } | Event::Lost { call: over }
                        if over == call =>
                    {
                        return Ok(());
                    }
                    Event::SessionEnded { why: Some(why) } => {
                        return Err(Finding::of_request(&self.login, &why));
                    }
                    _ => {}
                }
            }
            Err(self.is_over())
        };
        match timeout(STEP_WITHIN, ended).await {
            Ok(ended) => ended,
            Err(_) => Err(self.late(Fault::CallBroken, "is told that the call is over")),
        }
    }

    async fn until<T>(
        &mut self,
        call: CallId,
        what: &str,
        mut wanted: impl FnMut(Event) -> Option<T>,
    ) -> Result<T, Finding> {
        let wait = async {
            while let Some(event) = self.events.next().await {
                match event {
                    Event::Ended { call: over, reason } if over == call => {
                        return Err(Finding::of_end(&self.login, reason));
                    }
                    Event::SessionEnded { why: Some(why) } => {
                        return Err(Finding::of_request(&self.login, &why));
                    }
                    event => {
                        if let Some(found) = wanted(event) {
                            return Ok(found);
                        }
                    }
                }
            }
            Err(self.is_over())
        };
        match timeout(STEP_WITHIN, wait).await {
            Ok(found) => found,
            Err(_) => Err(self.late(Fault::CallNotSetUp, what)),
        }
    }

    fn late(&self, fault: Fault, what: &str) -> Finding {
        Finding::new(fault, format!("not within {STEP_WITHIN:?}: {} {what}", self.login))
    }

    fn is_over(&self) -> Finding {
        Finding::of_request(&self.login, &TerminalError::Over)
    }

    /// Follows `call` while its `media` runs, which goes over the relay of one leg alone: other
    /// relays that control has for it meanwhile are no business of the probe. Returns only if the
    /// call breaks.
    pub(super) async fn follow(&mut self, call: CallId, media: &CallMedia) -> Finding {
        loop {
            match self.events.next().await {
                Some(Event::PathRenewed(renewed)) if renewed.call == call => {
                    media.renew_path(renewed.leg, renewed.epoch);
                }
                Some(Event::Members(members)) if members.call == call => {
                    media.members(members, &self.login);
                }
                Some(Event::Ended { call: over, reason }) if over == call => {
                    return Finding::of_end(&self.login, reason);
                }
                Some(Event::Lost { call: over }) if over == call => {
                    let what = format!("{} lost its session for too long", self.login);
                    return Finding::new(Fault::CallBroken, what);
                }
                Some(Event::SessionEnded { why }) => {
                    let why = why.unwrap_or(TerminalError::Over);
                    return Finding::of_request(&self.login, &why);
                }
                Some(_) => {}
                None => return self.is_over(),
            }
        }
    }
}
