//! Two calls at once, of which one is on hold: to ask somebody first, and to join the two.

use super::{Current, Goal, Note, Runner, tolerate};
use crate::media::{CallSummary, MediaError};
use anyhow::{Context as _, Result, bail};
use core::mem;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{Members, Merged, PathRenewed, PathsChanged};

/// The one of the two that is a call's.
pub(super) fn part_in<'a>(
    current: &'a mut Option<Current>,
    aside: &'a mut Option<Current>,
    call: CallId,
) -> Option<&'a mut Current> {
    current.iter_mut().chain(aside).find(|part| part.call == call)
}

impl Runner {
    /// This terminal's part in a call.
    pub(super) fn of_call(&mut self, call: CallId) -> Option<&mut Current> {
        part_in(&mut self.current, &mut self.aside, call)
    }

    /// Puts the call on hold and calls somebody beside it.
    pub(super) async fn consult(&mut self, login: String) -> Result<()> {
        if !matches!(self.goal, Goal::Wait { .. }) || self.aside.is_some() {
            bail!("there is no second call here now");
        }
        let call = self.current.as_ref().context("there is no call")?.call;
        self.terminal.hold(call, true).await?;
        self.aside = self.current.take();
        if let Err(error) = self.invite(login).await {
            self.current = self.aside.take();
            tolerate(self.terminal.hold(call, false).await, self.voice);
            return Err(error);
        }
        Ok(())
    }

    /// Goes on in the call on hold, and holds the other.
    pub(super) async fn swap(&mut self) -> Result<()> {
        let (current, aside) = self.both()?;
        self.terminal.hold(current, true).await?;
        self.terminal.hold(aside, false).await?;
        mem::swap(&mut self.current, &mut self.aside);
        Ok(())
    }

    /// Joins the call on hold to the other.
    pub(super) async fn merge(&mut self, then_leave: bool) -> Result<()> {
        let (current, aside) = self.both()?;
        Ok(self.terminal.merge(current, aside, then_leave).await?)
    }

    fn both(&self) -> Result<(CallId, CallId)> {
        let both = self.current.as_ref().zip(self.aside.as_ref());
        let (current, aside) = both.context("there are no two calls: `consult` begins a second")?;
        Ok((current.call, aside.call))
    }

    pub(super) fn on_merged(&mut self, Merged { call, into }: Merged) {
        let (was, is) = (call.to_string(), into.to_string());
        self.voice.say(&Note::Merged { call: &was, into: &is });
        if let Some(aside) = self.aside.as_mut().filter(|aside| aside.call == call) {
            // What was said in it is said in the other from now on.
            aside.ended = true;
            aside.media.iter().for_each(|media| media.leave());
        } else if let Some(current) = self.current.as_mut().filter(|it| it.call == call) {
            current.call = into;
        }
    }

    pub(super) async fn on_aside_end(
        &mut self,
        done: Result<CallSummary, MediaError>,
    ) -> Result<()> {
        match self.aside.take() {
            Some(aside) => self.over(aside, done).await,
            None => Ok(()),
        }
    }

    /// What nobody would receive is not sent, and what is not to come is not missed.
    pub(super) fn on_members(&mut self, members: &Members) {
        let own = self.config.login.clone().unwrap_or_default();
        let voice = self.voice;
        let Some(current) = self.of_call(members.call) else { return };
        voice.say(&Note::Members { members });
        current.members = Some(members.clone());
        current.tell_media(&own);
    }

    /// Before media starts nothing is opened yet, and control tells the epoch of that moment.
    pub(super) fn on_path_renewed(&mut self, renewed: PathRenewed) {
        let media = self.of_call(renewed.call).and_then(|current| current.media.as_ref());
        if let Some(media) = media {
            media.renew_path(renewed.leg, renewed.epoch);
        }
    }

    /// A call of this terminal's goes over other relays.
    pub(super) fn on_paths_changed(&mut self, changed: PathsChanged) {
        let media = self.of_call(changed.call).and_then(|current| current.media.as_ref());
        if let Some(media) = media {
            media.change_paths(changed);
        }
    }
}
