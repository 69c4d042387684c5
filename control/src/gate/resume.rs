//! Coming back with a token: no password, and no hash of one.
//!
//! The cheapest check comes first, and whatever is wrong, the answer is the same.

use super::audited::{noted, of, resumed};
use super::connection::Gate;
use super::sign_in::{Begun, Caller, NoSession, arrive};
use crate::accounts::{ProvenDevice, ResumeRefusal, Verified};
use crate::coordinator::{Arrival, Rejection, rejected};
use crate::sessions::TokenClaims;
use kakehashi_wire::id::SessionId;
use kakehashi_wire::terminal::{Refusal, Resume};

/// Decides on one attempt to resume a session, and notes what became of it.
pub(super) async fn attempt(
    ask: Resume,
    gate: &Gate,
    caller: &Caller,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let now = gate.clock.now();
    let claims = gate.tokens.read(&ask.token, now.wall);
    let proven = claims.filter(|claims| {
        let TokenClaims { device, device_key, .. } = *claims;
        ProvenDevice::check(device, device_key, &ask.device_proof, &caller.exported).is_some()
    });
    let entry = resumed(caller.address, claims.as_ref());
    let Some(claims) = proven else {
        return noted(entry, Ok(Err(rejection(ResumeRefusal::Expired))), gate).await;
    };
    match gate.accounts.resume(&claims, now).await {
        Ok(verified) => {
            let entry = of(entry, &verified);
            noted(entry, go_on(&ask, verified, (claims, caller), gate).await, gate).await
        }
        Err(refusal) => noted(entry, Ok(Err(rejection(refusal))), gate).await,
    }
}

async fn go_on(
    ask: &Resume,
    verified: Verified,
    (claims, caller): (TokenClaims, &Caller),
    gate: &Gate,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let claims = gate.tokens.from(claims, gate.clock.now().wall);
    let Verified { login, display, role, epochs, .. } = verified;
    let arrival = Arrival {
        session: SessionId(gate.entropy.nonzero()),
        request: ask.request,
        account: claims.account,
        login,
        display,
        role,
        device: claims.device,
        software: ask.software.clone(),
        epochs,
        token: gate.tokens.token(claims),
        resumes: Some(claims.session),
        is_handed_over: false,
        is_away: false,
        seen_at: caller.address.ip().into(),
        agent: None,
    };
    arrive(arrival, claims, gate).await
}

fn rejection(refusal: ResumeRefusal) -> Rejection {
    match refusal {
        ResumeRefusal::Expired => rejected(Refusal::Expired),
        ResumeRefusal::Busy { retry_after_ms } => {
            Rejection { reason: Refusal::Busy, retry_after_ms }
        }
        ResumeRefusal::StoreUnavailable => rejected(Refusal::StoreUnavailable),
    }
}
