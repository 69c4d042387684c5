//! What operators are shown of the core.

use super::Coordinator;
use crate::admin::{CallRow, RelayRow, SessionRow};
use crate::calls::{Call, CallMedia, Protected};
use crate::fleet::Relay;
use crate::sessions::Session;
use kakehashi_wire::id::{CallId, RelayId, TenantId};

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

    /// Whether a relay of that number has ever connected, or is out of use.
    pub fn knows_relay(&self, relay: RelayId) -> bool {
        self.fleet.iter().any(|known| known.id() == relay)
    }

    /// The relays, connected or not.
    pub fn relay_rows(&self) -> Vec<RelayRow> {
        self.fleet.iter().map(relay_row).collect()
    }
}

fn call_row(call: &Call) -> CallRow {
    let media = call.rounds().current();
    let relays = media.into_iter().flat_map(CallMedia::in_use).map(|place| place.seat.relay);
    let protection = media.map_or(Protected::None, CallMedia::protection);
    CallRow::live(call.record(), relays.collect(), protection)
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
        site: relay.site().to_owned(),
        addresses: relay.shards().iter().map(|offer| offer.address.into()).collect(),
        connected: relay.link().is_some(),
        drained: relay.is_drained(),
        legs: relay.loads().iter().map(|load| u64::from(load.legs)).sum(),
        counters: counters.map(|counter| (counter.name.clone(), counter.value)).collect(),
    }
}
