//! Every sign-in lands in the audit log before it is answered.

use super::connection::Gate;
use super::sign_in::{Begun, Caller, NoSession, decide};
use crate::audit::{Actor, Entry, NotAudited, Outcome, Plain};
use crate::coordinator::{Rejection, retry_after_ms};
use crate::policy::Act;
use kakehashi_wire::terminal::{Refusal, SignIn};
use std::net::SocketAddr;

/// Decides on a sign-in of `caller` and notes what became of it. A session of which there is
/// no record is over before its terminal has heard of it.
pub(super) async fn attempt(
    ask: SignIn,
    gate: &Gate,
    caller: &Caller,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let entry = about(&ask, caller.address);
    let decided = decide(ask, gate, caller).await?;
    let refused = decided.as_ref().err().map(|rejection| rejection.reason);
    let noted = gate.audit.note(ended(entry, refused)).await;
    match noted {
        Ok(_) => Ok(decided),
        Err(NotAudited::Stopped) => Err(NoSession::NodeStopping),
        Err(NotAudited::Busy) => Ok(Err(rejection(Refusal::Busy))),
        Err(NotAudited::Store(_)) => Ok(Err(rejection(Refusal::StoreUnavailable))),
    }
}

fn about(ask: &SignIn, address: SocketAddr) -> Entry {
    let (tenant, target) = (Plain::name(&ask.tenant), Plain::name(&ask.login));
    Entry { tenant, target, ..Entry::new(Actor::Terminal { address }, Act::SignIn.name()) }
}

/// Anybody can be refused without end, so refusals may share a record.
fn ended(entry: Entry, refused: Option<Refusal>) -> Entry {
    match refused {
        None => entry,
        Some(reason) => {
            let detail = Plain::of(reason_name(reason));
            Entry { outcome: Outcome::Refused, detail, may_share: true, ..entry }
        }
    }
}

fn reason_name(reason: Refusal) -> &'static str {
    match reason {
        Refusal::BadCredentials => "bad_credentials",
        Refusal::BadRequest => "bad_request",
        Refusal::Busy => "busy",
        Refusal::SignedInElsewhere => "signed_in_elsewhere",
        Refusal::StoreUnavailable => "store_unavailable",
        Refusal::Outdated => "outdated",
        Refusal::TenantFull => "tenant_full",
        _ => "other",
    }
}

fn rejection(reason: Refusal) -> Rejection {
    Rejection { reason, retry_after_ms: retry_after_ms(reason) }
}
