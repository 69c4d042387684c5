//! What operators are shown of the core.

use super::Coordinator;
use crate::admin::{CallRow, MemberQuality, RelayRow, SessionRow};
use crate::calls::{Call, CallMedia, Protected, State};
use crate::capacity::QUALITY_SAMPLES_SHOWN_MAX;
use crate::fleet::Relay;
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, RelayId, TenantId, Term};

/// How much there is of what, for whoever watches.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Tally {
    /// The term in which the core decides.
    pub term: Term,
    /// Sessions.
    pub sessions: usize,
    /// Those whose connection is lost.
    pub detached: usize,
    /// Calls in each state, by its name.
    pub calls: [(&'static str, usize); 5],
    /// Relays that have ever connected, or are out of use.
    pub relays: Vec<RelayTally>,
    /// The store does not answer.
    pub store_hangs: bool,
}

/// How much there is of a relay.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RelayTally {
    /// The relay.
    pub relay: RelayId,
    /// Where it is, as its operator says.
    pub site: String,
    /// Whether there is a link to it.
    pub is_connected: bool,
    /// Whether it is out of use.
    pub is_drained: bool,
    /// Legs it holds.
    pub legs: u64,
    /// Legs it may hold.
    pub legs_max: u64,
}

impl Coordinator {
    /// The live calls.
    pub fn call_rows(&self) -> Vec<CallRow> {
        let members: usize = self.calls.iter().map(|call| call.members().len()).sum();
        let samples = QUALITY_SAMPLES_SHOWN_MAX / members.max(1);
        self.calls.iter().map(|call| call_row(call, samples)).collect()
    }

    /// Whether a call goes on, of `tenant` if one is given.
    pub fn goes_on(&self, tenant: Option<TenantId>, call: CallId) -> bool {
        let found = self.calls.get(call);
        found.is_some_and(|call| tenant.is_none_or(|tenant| call.tenant() == tenant))
    }

    /// The live sessions.
    pub fn session_rows(&self) -> Vec<SessionRow> {
        self.sessions.iter().map(|session| self.session_row(session)).collect()
    }

    fn session_row(&self, session: &Session) -> SessionRow {
        let account = session.account;
        SessionRow {
            session: session.id,
            tenant: account.tenant,
            tenant_name: String::new(),
            login: session.login.clone(),
            device: session.device,
            since: session.since,
            state: self.doing(account),
            desks: self.desks.of_agent(account).cloned().collect(),
        }
    }

    /// Whether a relay of that number has ever connected, or is out of use.
    pub fn knows_relay(&self, relay: RelayId) -> bool {
        self.fleet.iter().any(|known| known.id() == relay)
    }

    /// How much there is of everything.
    pub fn tally(&self) -> Tally {
        let states = [
            ("inviting", State::Inviting),
            ("queued", State::Queued),
            ("ringing", State::Ringing),
            ("preparing", State::Preparing),
            ("connected", State::Connected),
        ];
        let mut in_state = [0; State::ALL.len()];
        for call in self.calls.iter() {
            in_state[call.state() as usize] += 1;
        }
        Tally {
            term: self.fleet.term(),
            sessions: self.sessions.iter().count(),
            detached: self.detached.count(),
            calls: states.map(|(name, state)| (name, in_state[state as usize])),
            relays: self.fleet.iter().map(relay_tally).collect(),
            store_hangs: self.store_hangs,
        }
    }

    /// The relays, connected or not.
    pub fn relay_rows(&self) -> Vec<RelayRow> {
        self.fleet.iter().map(relay_row).collect()
    }
}

/// With so many samples of each member at most.
fn call_row(call: &Call, samples: usize) -> CallRow {
    let media = call.rounds().current();
    let relays = media.into_iter().flat_map(CallMedia::in_use).map(|place| place.seat.relay);
    let protection = media.map_or(Protected::None, CallMedia::protection);
    let heard = call.members().iter().map(|member| MemberQuality {
        login: member.login.clone(),
        samples: member.heard().newest(samples),
    });
    let quality = heard.filter(|member| !member.samples.is_empty()).collect();
    CallRow { quality, ..CallRow::live(call.record(), relays.collect(), protection) }
}

fn relay_tally(relay: &Relay) -> RelayTally {
    RelayTally {
        relay: relay.id(),
        site: relay.site().to_owned(),
        is_connected: relay.link().is_some(),
        is_drained: relay.is_drained(),
        legs: relay.loads().iter().map(|load| u64::from(load.legs)).sum(),
        legs_max: relay.shards().iter().map(|offer| u64::from(offer.legs_max)).sum(),
    }
}

fn relay_row(relay: &Relay) -> RelayRow {
    let counters = relay.counters().iter();
    RelayRow {
        id: relay.id(),
        software: relay.software().to_owned(),
        site: relay.site().to_owned(),
        addresses: relay.shards().iter().map(|offer| offer.address.into()).collect(),
        connected: relay.link().is_some(),
        drained: relay.is_drained(),
        legs: relay.loads().iter().map(|load| u64::from(load.legs)).sum(),
        certificate_until: None,
        counters: counters.map(|counter| (counter.name.clone(), counter.value)).collect(),
    }
}
