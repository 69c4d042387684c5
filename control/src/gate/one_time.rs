//! Changing passwords, and what a one-time password opens: nothing but its change.

use super::connection::Gate;
use super::pace::Pace;
use super::sign_in::{NoSession, request_of};
use crate::accounts::ChangeRefusal;
use crate::admin::Live;
use crate::coordinator::{Rejection, rejected};
use crate::framing;
use crate::sessions::{AccountKey, Revocation};
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{
    ChangePassword, Done, FromTerminal, Refusal, Refused, Role, SessionEnd, SignedIn, ToTerminal,
};
use quinn::{RecvStream, SendStream};

/// A good sign-in with a one-time password. The core never hears of it: nobody sees or calls the
/// account before it has a password of its own.
pub(super) struct OneTime {
    pub(super) request: RequestId,
    pub(super) session: SessionId,
    pub(super) account: AccountKey,
    pub(super) display: String,
    pub(super) role: Role,
}

/// Waits until the password is changed, or the terminal signs out. The caller limits the time.
pub(super) async fn until_changed(
    send: &mut SendStream,
    recv: &mut RecvStream,
    one_time: OneTime,
    gate: &Gate,
) -> Result<SessionEnd, NoSession> {
    let AccountKey { tenant, account } = one_time.account;
    let begun = SignedIn {
        request: one_time.request,
        session: one_time.session,
        tenant,
        account,
        display: one_time.display,
        must_change_password: true,
        role: one_time.role,
        token: ResumeToken::none(),
        grace_ms: 0,
    };
    framing::write(send, ToTerminal::from(begun).encode()).await?;
    let mut pace = Pace::new();
    loop {
        pace.wait().await;
        let message = framing::read(recv, FromTerminal::decode).await?;
        let request = request_of(&message);
        let refused = match message {
            FromTerminal::SignOut(_) => return Ok(SessionEnd::SignedOut),
            FromTerminal::ReportQuality(_) | FromTerminal::Ping(_) => continue,
            FromTerminal::ChangePassword(ask) => match change(ask, one_time.account, gate).await {
                Ok(revocation) => {
                    // Another device may have got in with the same password meanwhile.
                    if let Err(error) = gate.helm.revoke(revocation).await {
                        tracing::error!(event = "old_sessions_not_ended",
                            %error, session = %one_time.session,
                            "sessions begun with the old password may go on");
                    }
                    framing::write(send, ToTerminal::from(Done { request }).encode()).await?;
                    return Ok(SessionEnd::PasswordChanged);
                }
                Err(rejection) => rejection,
            },
            _ => rejected(Refusal::PasswordMustChange),
        };
        let Rejection { reason, retry_after_ms } = refused;
        let refused = ToTerminal::from(Refused { request, reason, retry_after_ms });
        framing::write(send, refused.encode()).await?;
    }
}

/// Changes the password of `account`; what its sessions are to end with is returned.
pub(super) async fn change(
    ask: ChangePassword,
    account: AccountKey,
    gate: &Gate,
) -> Result<Revocation, Rejection> {
    let ChangePassword { old, new, .. } = ask;
    let changed = gate.accounts.change_password(account, &old, new, || gate.clock.now()).await;
    changed.map_err(|refusal| match refusal {
        ChangeRefusal::WrongPassword => rejected(Refusal::BadCredentials),
        ChangeRefusal::Same | ChangeRefusal::Bad(_) => rejected(Refusal::BadPassword),
        ChangeRefusal::Busy { retry_after_ms } => {
            Rejection { reason: Refusal::Busy, retry_after_ms }
        }
        ChangeRefusal::StoreUnavailable => rejected(Refusal::StoreUnavailable),
    })
}
