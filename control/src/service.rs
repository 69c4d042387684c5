//! What a node tells whoever runs it as a service (systemd's `Type=notify`): that it serves, that
//! what decides in it answers, and that it stops. Where nobody asked for that, nobody is told.

use crate::capacity::DECIDES_WITHIN;
use sd_notify::NotifyState;
use tokio::time::{sleep, timeout};

/// Words within the time that the manager waits for one: two may be lost.
const WORDS_PER_WAIT: u32 = 3;

/// It serves.
pub(crate) fn ready() {
    tell(NotifyState::Ready);
}

/// It stops.
pub(crate) fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(event = "node_service_not_told", %error,
            "the manager of services cannot be told how the node is");
    }
}

/// Says, as often as the manager wants to hear it, that the node decides, as long as it `answers`
/// that it does. Never returns.
pub(crate) async fn guard(answers: impl AsyncFn() -> bool) {
    let Some(wait) = sd_notify::watchdog_enabled().filter(|wait| !wait.is_zero()) else {
        return core::future::pending().await;
    };
    loop {
        if is_well(&answers).await {
            tell(NotifyState::Watchdog);
        } else {
            tracing::error!(
                event = "node_decides_nothing",
                "nothing is decided here: whoever runs the node should restart it"
            );
        }
        sleep(wait / WORDS_PER_WAIT).await;
    }
}

async fn is_well(answers: &impl AsyncFn() -> bool) -> bool {
    timeout(DECIDES_WITHIN, answers()).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn whoever_does_not_answer_or_is_over_is_not_well() {
        assert!(is_well(&async || true).await);
        assert!(!is_well(&async || false).await);
        let late = async || {
            sleep(2 * DECIDES_WITHIN).await;
            true
        };
        assert!(!is_well(&late).await);
    }
}
