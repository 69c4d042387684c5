//! Signing in: nothing else is listened to before.

use super::connection::Gate;
use super::outbox::{Outbox, Waiting};
use crate::accounts::{SignInRefusal, Verified};
use crate::capacity::LOGIN_ATTEMPTS_MAX;
use crate::coordinator::{Arrival, Rejection, retry_after_ms};
use crate::framing::{self, ReadFailure, WriteFailure};
use crate::sessions::AccountKey;
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::terminal::{FromTerminal, Refusal, Refused, SignIn, ToTerminal};
use quinn::{RecvStream, SendStream};

/// A session that the core let in.
pub(super) struct SignedIn {
    pub(super) session: SessionId,
    pub(super) account: AccountKey,
    pub(super) waiting: Waiting,
}

/// Why a connection got no session.
#[derive(Debug, thiserror::Error)]
pub(super) enum NoSession {
    #[error(transparent)]
    Read(#[from] ReadFailure),
    #[error(transparent)]
    Write(#[from] WriteFailure),
    #[error("no good sign-in within {LOGIN_ATTEMPTS_MAX} attempts")]
    TooManyAttempts,
    #[error("the node is shutting down")]
    NodeStopping,
}

/// Reads sign-ins until one is good. The caller limits the time.
pub(super) async fn sign_in(
    send: &mut SendStream,
    recv: &mut RecvStream,
    gate: &Gate,
) -> Result<SignedIn, NoSession> {
    for _ in 0..LOGIN_ATTEMPTS_MAX {
        let message = framing::read(recv, FromTerminal::decode).await?;
        let (request, refused) = match message {
            FromTerminal::SignIn(ask) => {
                let request = ask.request;
                match attempt(ask, gate).await? {
                    Ok(signed_in) => return Ok(signed_in),
                    Err(rejection) => (request, rejection),
                }
            }
            other => {
                let reason = Refusal::NotSignedIn;
                (request_of(&other), Rejection { reason, retry_after_ms: 0 })
            }
        };
        let Rejection { reason, retry_after_ms } = refused;
        let refused = ToTerminal::from(Refused { request, reason, retry_after_ms });
        framing::write(send, refused.encode()).await?;
    }
    Err(NoSession::TooManyAttempts)
}

async fn attempt(ask: SignIn, gate: &Gate) -> Result<Result<SignedIn, Rejection>, NoSession> {
    let verified = gate.accounts.verify(&ask.tenant, &ask.login, &ask.password).await;
    let Verified { tenant, account, login, display } = match verified {
        Ok(verified) => verified,
        Err(refusal) => return Ok(Err(rejection(refusal))),
    };
    let account = AccountKey { tenant, account };
    let session = SessionId(gate.entropy.nonzero());
    let (request, device) = (ask.request, ask.device);
    let arrival = Arrival { session, request, account, login, display, device };
    let (outbox, waiting) = Outbox::new();
    let verdict = gate.core.arrive(arrival, outbox).await.ok_or(NoSession::NodeStopping)?;
    Ok(verdict.map(|()| SignedIn { session, account, waiting }))
}

fn rejection(refusal: SignInRefusal) -> Rejection {
    let (reason, retry_after_ms) = match refusal {
        SignInRefusal::BadCredentials => (Refusal::BadCredentials, 0),
        SignInRefusal::Busy { retry_after_ms } => (Refusal::Busy, retry_after_ms),
        SignInRefusal::StoreUnavailable => {
            (Refusal::StoreUnavailable, retry_after_ms(Refusal::StoreUnavailable))
        }
    };
    Rejection { reason, retry_after_ms }
}

fn request_of(message: &FromTerminal) -> RequestId {
    match message {
        FromTerminal::SignIn(ask) => ask.request,
        FromTerminal::SignOut(ask) => ask.request,
        FromTerminal::WatchPresence(ask) => ask.request,
        FromTerminal::Invite(ask) => ask.request,
        FromTerminal::Accept(ask) => ask.request,
        FromTerminal::Reject(ask) => ask.request,
        FromTerminal::Cancel(ask) => ask.request,
        FromTerminal::HangUp(ask) => ask.request,
        FromTerminal::ReportQuality(_) => RequestId(0),
    }
}
