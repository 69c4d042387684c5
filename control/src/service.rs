//! What a node tells whoever runs it as a service: that what decides in it answers.

use crate::capacity::DECIDES_WITHIN;
use kakehashi_log::service;
use tokio::time::timeout;

/// Says that the node decides, as long as it `answers` that it does. Never returns.
pub(crate) async fn guard(answers: impl AsyncFn() -> bool) {
    service::guard(async || {
        let is_well = is_well(&answers).await;
        if !is_well {
            tracing::error!(
                event = "node_decides_nothing",
                "nothing is decided here: whoever runs the node should restart it"
            );
        }
        is_well
    })
    .await;
}

async fn is_well(answers: &impl AsyncFn() -> bool) -> bool {
    timeout(DECIDES_WITHIN, answers()).await.unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::time::sleep;

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
