//! The story of a call in the log: with its id, everything that is told of it and ordered for it
//! can be found.
//!
//! At `info` its first ring, or its taking in at a desk, and its end; at `debug` also what each
//! terminal and each relay hears of it. Nothing here is said for each packet or each renewal.

use crate::coordinator::Write;
use crate::fleet::LinkId;
use crate::records::CallRecord;
use kakehashi_wire::id::SessionId;
use kakehashi_wire::relay::{Order, ToRelay};
use kakehashi_wire::terminal::ToTerminal;

/// A record of a call goes to the store.
pub(super) fn written(write: &Write) {
    let record = write.record();
    let (call, tenant) = (record.call, record.tenant);
    match write {
        Write::Put(_) if record.ended.is_some() => tracing::info!(event = "call_ended",
            %call, %tenant, reason = record.reason.map(tracing::field::debug),
            answered = record.answered.is_some(), took_ms = took_ms(record), "a call ended"),
        Write::Put(_) => tracing::debug!(event = "call_written", %call, %tenant,
            state = ?record.state, members = record.members.len(), "a call goes on"),
        Write::Forget(_) => tracing::info!(event = "call_forgotten", %call, %tenant,
            "a call could not begin"),
    }
}

/// From the request for a call to its end.
fn took_ms(record: &CallRecord) -> Option<u64> {
    Some(record.ended?.0.saturating_sub(record.started.0))
}

/// A terminal hears this.
pub(super) fn said(session: SessionId, message: &ToTerminal) {
    let (call, what) = match message {
        ToTerminal::Ringing(ringing) => {
            let call = ringing.call;
            return tracing::info!(event = "call_began", %call, %session, "a call rings");
        }
        ToTerminal::Queued(queued) => {
            let call = queued.call;
            return tracing::info!(event = "call_queued", %call, %session, "a call waits at a desk");
        }
        ToTerminal::Incoming(incoming) => (incoming.call, "incoming"),
        ToTerminal::CallReady(ready) => (ready.call, "ready"),
        ToTerminal::PathsChanged(changed) => (changed.call, "paths_changed"),
        ToTerminal::PathRenewed(renewed) => (renewed.call, "path_renewed"),
        ToTerminal::Merged(merged) => (merged.call, "merged"),
        ToTerminal::Taken(taken) => (taken.call, "taken"),
        ToTerminal::CallEnded(ended) => (ended.call, "ended"),
        _ => return,
    };
    tracing::debug!(event = "call_told", %call, %session, what, "told of a call");
}

/// A relay hears this: which legs of which rounds of which calls it is to hold.
pub(super) fn ordered(link: LinkId, message: &ToRelay) {
    let ToRelay::Orders(orders) = message else { return };
    for order in &orders.orders {
        match order {
            Order::Install(install) => {
                let (call, round, leg) = (install.trace, install.call, install.leg);
                tracing::debug!(event = "leg_ordered", %call, %round, %leg, link = link.0,
                    "a leg is ordered");
            }
            Order::Remove(remove) => tracing::debug!(event = "leg_removal_ordered",
                leg = %remove.leg, link = link.0, "a leg's removal is ordered"),
            Order::Renew(_) | Order::Subscribe(_) => {}
        }
    }
}
