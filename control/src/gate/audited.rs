//! Every sign-in lands in the audit log before it is answered.

use super::connection::Gate;
use super::sign_in::{Begun, Caller, NoSession, decide};
use crate::accounts::Verified;
use crate::audit::{Actor, Entry, NotAudited, Outcome, Plain};
use crate::coordinator::{Rejection, rejected};
use crate::policy::Act;
use crate::sessions::{AccountKey, TokenClaims};
use kakehashi_wire::terminal::{Refusal, SignIn};
use std::net::SocketAddr;

/// Decides on a sign-in of `caller` and notes what became of it.
pub(super) async fn attempt(
    ask: SignIn,
    gate: &Gate,
    caller: &Caller,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let entry = about(&ask, caller.address);
    let decided = decide(ask, gate, caller).await;
    noted(entry, decided, gate).await
}

/// What was decided, once the log has it. A session of which there is no record is over before its
/// terminal has heard of it.
pub(super) async fn noted(
    entry: Entry,
    decided: Result<Result<Begun, Rejection>, NoSession>,
    gate: &Gate,
) -> Result<Result<Begun, Rejection>, NoSession> {
    let decided = decided?;
    let refused = decided.as_ref().err().map(|rejection| rejection.reason);
    match gate.audit.note(ended(entry, refused)).await {
        Ok(_) => Ok(decided),
        Err(NotAudited::Stopped) => Err(NoSession::NodeStopping),
        Err(NotAudited::Busy) => Ok(Err(rejected(Refusal::Busy))),
        Err(NotAudited::Store(_)) => Ok(Err(rejected(Refusal::StoreUnavailable))),
    }
}

/// A session is to be resumed. Before its account has been read it is known by numbers, if at all.
pub(super) fn resumed(address: SocketAddr, claims: Option<&TokenClaims>) -> Entry {
    let entry = Entry::new(Actor::Terminal { address }, Act::Resume.name());
    let Some(AccountKey { tenant, account }) = claims.map(|claims| claims.account) else {
        return entry;
    };
    let (tenant, target) = (Plain::of(&tenant.to_string()), Plain::of(&account.to_string()));
    Entry { tenant, target, ..entry }
}

/// The same by the names of the account.
pub(super) fn of(entry: Entry, verified: &Verified) -> Entry {
    let (tenant, target) = (Plain::name(&verified.tenant_name), Plain::name(&verified.login));
    Entry { tenant, target, ..entry }
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
        Refusal::Expired => "expired",
        Refusal::Busy => "busy",
        Refusal::SignedInElsewhere => "signed_in_elsewhere",
        Refusal::StoreUnavailable => "store_unavailable",
        Refusal::Outdated => "outdated",
        Refusal::TenantFull => "tenant_full",
        _ => "other",
    }
}
