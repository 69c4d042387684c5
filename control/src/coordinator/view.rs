//! What operators are shown of the core.

use super::Coordinator;
use crate::admin::{CallRow, RelayRow, SessionRow};
use crate::calls::{Call, CallMedia};
use crate::fleet::Relay;
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, TenantId};

impl Coordinator {
    /// The live calls.
    pub fn call_rows(&self) -> Vec<CallRow> {
        self.calls.iter().map(call_row).collect()
    }

    /// Whether a call goes on, of `tenant` if one is given.
    pub fn goes_on(&self, tenant: Option<TenantId>, call: CallId) -> bool {
        let found = self.calls.get(call);
        found.is_some_and(|call| tenant.is_none_or(|tenant| call.tenant() == tenant))
    }

    /// The live sessions.
    pub fn session_rows(&self) -> Vec<SessionRow> {
        self.sessions.iter().map(session_row).collect()
    }

    /// The relays, connected or not.
    pub fn relay_rows(&self) -> Vec<RelayRow> {
        self.fleet.iter().map(relay_row).collect()
    }
}

fn call_row(call: &Call) -> CallRow {
    let seats = call.rounds().current().into_iter().flat_map(CallMedia::seats);
    CallRow::new(call.record(), seats.map(|seat| seat.relay).collect())
}

fn session_row(session: &Session) -> SessionRow {
    SessionRow {
        session: session.id,
        tenant: session.account.tenant,
        tenant_name: String::new(),
        login: session.login.clone(),
        device: session.device,
        since: session.since,
    }
}

fn relay_row(relay: &Relay) -> RelayRow {
    let counters = relay.counters().iter();
    RelayRow {
        id: relay.id(),
        software: relay.software().to_owned(),
        addresses: relay.shards().iter().map(|offer| offer.address.into()).collect(),
        connected: relay.link().is_some(),
        legs: relay.loads().iter().map(|load| u64::from(load.legs)).sum(),
        counters: counters.map(|counter| (counter.name.clone(), counter.value)).collect(),
    }
}
