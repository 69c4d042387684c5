//! Records of ended calls leave the store and the archive when their tenant's policy keeps them no
//! longer.

use crate::accounts::Accounts;
use crate::archive::KeptError;
use crate::capacity::RETENTION_EVERY;
use crate::clock::UnixMs;
use crate::records::Records;
use std::sync::Arc;
use tokio::sync::watch;
use tokio::time::{MissedTickBehavior, interval};

/// Removes old records of all tenants, at once and every [`RETENTION_EVERY`], until `stopped`.
pub(crate) async fn serve(
    accounts: Arc<Accounts>,
    records: Arc<Records>,
    mut stopped: watch::Receiver<bool>,
) {
    let mut due = interval(RETENTION_EVERY);
    due.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = due.tick() => {}
        }
        if let Err(error) = forget_old(&accounts, &records).await {
            tracing::warn!(event = "old_records_not_removed", %error,
                "old call records were not removed; they are within an hour");
        }
    }
}

async fn forget_old(accounts: &Accounts, records: &Records) -> Result<(), KeptError> {
    for tenant in accounts.tenants().await? {
        records.forget_old(&tenant, UnixMs::now()).await?;
    }
    Ok(())
}
