//! Takes ended calls out of the store into the archive, while this node leads.

use super::Records;
use crate::archive::KeptError;
use crate::capacity::RECORDS_SHIP_EVERY;
use kakehashi_wire::id::TenantId;
use std::collections::BTreeSet;
use std::sync::Arc;
use tokio::time::{MissedTickBehavior, interval};

/// Takes over what there is of `tenants`, and then what comes, until it is stopped. What cannot be
/// taken waits in the store.
pub(crate) async fn run(records: Arc<Records>, tenants: BTreeSet<TenantId>) {
    records.mark_due(tenants);
    let mut due = interval(RECORDS_SHIP_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = due.tick() => {}
            () = records.are_many() => {}
        }
        if let Err(error) = ship_all(&records).await {
            tracing::warn!(event = "records_not_archived", %error,
                "records of calls were not archived; they wait in the store");
        }
    }
}

async fn ship_all(records: &Records) -> Result<(), KeptError> {
    let mut left = records.take_due();
    while let Some(tenant) = left.pop_first() {
        if let Err(error) = records.ship(tenant).await {
            left.insert(tenant);
            records.mark_due(left);
            return Err(error);
        }
    }
    Ok(())
}
