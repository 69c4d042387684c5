//! What a program tells whoever runs it as a service (systemd's `Type=notify`): that it serves,
//! that it works, and that it stops. Where nobody asked for that, nobody is told.

use sd_notify::NotifyState;
use tokio::time::sleep;

/// Words within the time that the manager waits for one: two may be lost.
const WORDS_PER_WAIT: u32 = 3;

/// It serves.
pub fn ready() {
    tell(NotifyState::Ready);
}

/// It stops.
pub fn stopping() {
    tell(NotifyState::Stopping);
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(event = "service_not_told", %error,
            "the manager of services cannot be told how the program is");
    }
}

/// Says, as often as the manager wants to hear it, that the program works, whenever `works` says
/// so. Never returns.
pub async fn guard(mut works: impl AsyncFnMut() -> bool) {
    let Some(wait) = sd_notify::watchdog_enabled().filter(|wait| !wait.is_zero()) else {
        return core::future::pending().await;
    };
    loop {
        if works().await {
            tell(NotifyState::Watchdog);
        }
        sleep(wait / WORDS_PER_WAIT).await;
    }
}
