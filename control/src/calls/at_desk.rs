//! What a call that stands at a desk is beyond one to an account: the agents it rings at, and its
//! wait. A call to a desk stands there before it is taken, one whose member has asked a desk for
//! somebody while it goes on.

use super::{Brought, Member};
use crate::records::DeskPart;
use crate::sessions::{AccountKey, Session};
use kakehashi_wire::id::SessionId;
use std::time::Duration;

/// Who rings on after a device has stopped.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ringing {
    /// Other devices of the same account.
    Devices,
    /// Other agents.
    Agents,
    /// Nobody.
    Nobody,
}

/// A desk that a member of a call that goes on has asked for somebody.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct DeskAsk {
    /// The call's part there.
    pub at: AtDesk,
    /// Who asked, and whether it leaves when the agent is there.
    pub brought: Brought,
    /// When the wait, or the ringing, wants attention.
    #[rkyv(with = rkyv::with::Skip)]
    pub due: Option<Duration>,
}

/// A call's part at a desk.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct AtDesk {
    /// The desk that was called.
    called: String,
    /// The one where it stands, or stood last.
    last: String,
    waited: Duration,
    agents: Vec<Member>,
}

impl AtDesk {
    /// A call to the desk of this name.
    pub fn new(called: String) -> Self {
        Self { last: called.clone(), called, waited: Duration::ZERO, agents: Vec::new() }
    }

    /// The desk that was called.
    pub fn called(&self) -> &str {
        &self.called
    }

    /// The desk where it stands, or stood last.
    pub fn last(&self) -> &str {
        &self.last
    }

    /// It stood at the desk `last` when its wait ended, after `waited`.
    pub fn set_waited(&mut self, last: String, waited: Duration) {
        (self.last, self.waited) = (last, waited);
    }

    /// Whether it rings at this account.
    pub fn rings_at(&self, account: AccountKey) -> bool {
        self.agents.iter().any(|agent| agent.account == account)
    }

    /// The agents it rings at.
    pub fn agents(&self) -> &[Member] {
        &self.agents
    }

    /// It rings at these.
    pub fn offer(&mut self, agents: Vec<Member>) {
        self.agents = agents;
    }

    /// It rings at nobody any more; gives those it rang at.
    pub fn take_agents(&mut self) -> Vec<Member> {
        std::mem::take(&mut self.agents)
    }

    /// `session` signed in while its account's devices ring: it rings too, if they do.
    pub(super) fn ring_also(&mut self, session: &Session) -> bool {
        let agent = self.agents.iter_mut().find(|agent| agent.account == session.account);
        agent.map(|agent| agent.ring(session.id)).is_some()
    }

    /// `session` goes on in the place of `older`, and rings where that one did.
    pub(super) fn succeed(&mut self, older: &Session, session: &Session) {
        if let Some(agent) = self.agents.iter_mut().find(|it| it.account == session.account) {
            // An agent that rings takes part in nothing yet that it could be back in.
            let _is_back = agent.succeed(older.id, session.id);
        }
    }

    /// `session` rings no more, and with its last device the agent does not.
    pub fn stop_ringing(&mut self, session: SessionId) -> Ringing {
        let place = self.agents.iter().position(|agent| agent.sessions().contains(&session));
        // One that has declined before changes nothing.
        let Some(place) = place else { return Ringing::Devices };
        self.agents[place].stop_ringing(session);
        if !self.agents[place].sessions().is_empty() {
            return Ringing::Devices;
        }
        self.agents.remove(place);
        if self.agents.is_empty() { Ringing::Nobody } else { Ringing::Agents }
    }

    /// The agent whose device `session` is no longer rings but answers.
    pub(super) fn answered_by(&mut self, session: SessionId) -> Option<Member> {
        let place = self.agents.iter().position(|agent| agent.sessions().contains(&session))?;
        Some(self.agents.remove(place))
    }

    /// Its part of the call's record.
    pub(super) fn part(&self) -> DeskPart {
        DeskPart {
            called: self.called.clone(),
            last: self.last.clone(),
            waited_ms: u64::try_from(self.waited.as_millis()).unwrap_or(u64::MAX),
        }
    }
}
