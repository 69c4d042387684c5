//! What each request does.

use super::audited::{Audited, audited, begin, ended};
use super::rights::NotAllowed;
use super::{Answer, Asker, CallRow, NoLead, Refused, Request, Service, SessionRow, StatusRow};
use crate::accounts::{AccountError, Added, NewAccount, Subject, Tenant};
use crate::archive::KeptError;
use crate::audit::{Audit, Entry};
use crate::capacity::ADMIN_ROWS_MAX;
use crate::desks::Desk;
use crate::policy::{TenantLimits, TenantRules};
use crate::sessions::{AccountKey, Revocation};
use kakehashi_wire::id::{CallId, RelayId, TenantId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use std::collections::HashMap;

/// Does what `request` of `asker` asks, if it may. The audit log has it before this answers.
///
/// # Errors
/// [`Refused`] if it was not done.
pub async fn answer(service: &Service, asker: &Asker, request: Request) -> Result<Answer, Refused> {
    let audit = &service.audit;
    let audited = audited(asker.actor(), &request);
    let request = match asker.may(request) {
        Ok(request) => request,
        Err(error) => return Err(not_allowed(audit, audited, error).await),
    };
    let (entry, is_change) = match audited {
        Audited::Nothing => return act(service, request).await,
        Audited::Look(entry) => (entry, false),
        Audited::Change(entry) => match begin(audit, entry).await {
            Ok(entry) => (entry, true),
            Err(error) => return Err(Refused::busy(format!("{error}; nothing was changed"))),
        },
    };
    let answer = act(service, request).await;
    match audit.note(ended(entry, answer.as_ref().err())).await {
        Ok(_) => answer,
        Err(error) if is_change && answer.is_ok() => {
            let message = format!("{error}; the change was made: look before you try again");
            Err(Refused::busy(message))
        }
        Err(error) => Err(Refused::busy(error.to_string())),
    }
}

/// The same for whoever looks on at what it has been answered before: that has been noted. Nothing
/// is changed here.
///
/// # Errors
/// [`Refused`] if it may not be seen any more, or was never only to be seen.
pub async fn answer_again(
    service: &Service,
    asker: &Asker,
    request: Request,
) -> Result<Answer, Refused> {
    match audited(asker.actor(), &request) {
        Audited::Change(_) => return answer(service, asker, request).await,
        Audited::Look(_) | Audited::Nothing => {}
    }
    act(service, asker.may(request)?).await
}

/// Anybody who has signed in can be refused without end, so such refusals may share a record.
async fn not_allowed(audit: &Audit, audited: Audited, error: NotAllowed) -> Refused {
    let refused = Refused::from(error);
    let (Audited::Change(entry) | Audited::Look(entry)) = audited else { return refused };
    let entry = Entry { may_share: true, ..ended(entry, Some(&refused)) };
    match audit.note(entry).await {
        Ok(_) => refused,
        Err(error) => Refused::busy(error.to_string()),
    }
}

async fn act(service: &Service, request: Request) -> Result<Answer, Refused> {
    let accounts = &service.accounts;
    match request {
        Request::TenantAdd { name, accounts } => add_tenant(service, &name, accounts).await,
        Request::TenantPolicy { tenant, limits, rules } => {
            policy(service, &tenant, limits, rules.map(|rules| *rules)).await
        }
        Request::TenantList {} => Ok(Answer::Tenants { rows: accounts.tenants().await? }),
        Request::AccountAdd { tenant, login, display, password, permanent, role } => {
            let tenant = find(service, &tenant).await?;
            let new = NewAccount { login, display, password, one_time: !permanent, role };
            added(accounts.add_account(tenant.id, new, (service.now)()).await?)
        }
        Request::AccountPassword { tenant, login, password, permanent } => {
            set_password(service, (&tenant, &login), password, !permanent).await
        }
        Request::AccountRole { tenant, login, role } => {
            set_role(service, (&tenant, &login), role).await
        }
        Request::SecondReset { tenant, login } => reset_second(service, &tenant, login).await,
        Request::AccountList { tenant } => {
            let tenant = find(service, &tenant).await?;
            Ok(Answer::Accounts { rows: accounts.list(tenant.id).await? })
        }
        Request::Suspend { subject, reason } => suspend(service, &subject, reason.as_deref()).await,
        Request::Reactivate { subject } => {
            accounts.reactivate(&subject).await?;
            Ok(Answer::Done {})
        }
        Request::DeskAdd { tenant, desk, change } => {
            let tenant = find(service, &tenant).await?.id;
            desk_changed(service, tenant, accounts.add_desk(tenant, &desk, change).await?).await
        }
        Request::DeskSet { tenant, desk, change } => {
            let tenant = find(service, &tenant).await?.id;
            desk_changed(service, tenant, accounts.set_desk(tenant, &desk, change).await?).await
        }
        Request::DeskList { tenant } => {
            let tenant = find(service, &tenant).await?;
            Ok(Answer::Desks { rows: accounts.desks(tenant.id).await?.desks })
        }
        Request::DeskRemove { tenant, desk } => {
            let tenant = find(service, &tenant).await?;
            accounts.remove_desk(tenant.id, &desk).await?;
            desks_changed(service, tenant.id).await.map(|()| Answer::Done {})
        }
        Request::Calls { tenant, ended } => calls(service, tenant.as_deref(), ended).await,
        Request::CallEnd { tenant, call } => end_call(service, tenant.as_deref(), call).await,
        Request::Sessions { tenant } => sessions(service, tenant.as_deref()).await,
        Request::Relays {} => relays(service).await,
        Request::RelayDrain { relay, on } => drain(service, relay, on).await,
        Request::Status {} => status(service).await,
        Request::AuditList { before, limit } => {
            let rows = service.audit.newest(before, limit.min(ADMIN_ROWS_MAX)).await?;
            Ok(Answer::Audit { rows })
        }
        Request::AuditVerify { from } => match service.audit.verify(from).await {
            Ok(verdict) => Ok(Answer::AuditVerdict { verdict }),
            Err(error) => Err(Refused::failed(error.to_string())),
        },
    }
}

async fn suspend(
    service: &Service,
    subject: &Subject,
    reason: Option<&str>,
) -> Result<Answer, Refused> {
    let accounts = &service.accounts;
    let revocation = accounts.suspend(subject, reason, (service.now)()).await?;
    let media = service.live.revoke(revocation).await.map_err(written)?;
    if let Some(ended) = media.as_ref().and_then(|media| media.ended)
        && let Err(error) = accounts.note_media_end(subject, ended).await
    {
        // The suspension holds, and this answer says it.
        tracing::warn!(event = "media_end_not_kept", %error,
            "when the media of who was suspended ended is not kept");
    }
    Ok(Answer::Suspended { media })
}

async fn add_tenant(
    service: &Service,
    name: &str,
    accounts: Option<u32>,
) -> Result<Answer, Refused> {
    let usual = TenantLimits::default();
    let limits = TenantLimits { accounts: accounts.unwrap_or(usual.accounts), ..usual };
    let tenant = service.accounts.add_tenant(name, limits, (service.now)()).await?;
    Ok(Answer::Tenants { rows: vec![tenant] })
}

/// The store has a change that nobody could be told of.
fn written(error: NoLead) -> Refused {
    let message = format!("the change is written, but {error}, and it counts everywhere then");
    Refused::busy(message)
}

async fn find(service: &Service, name: &str) -> Result<Tenant, AccountError> {
    let found = service.accounts.find_tenant(name).await?;
    found.ok_or_else(|| AccountError::NoSuchTenant(name.to_owned()))
}

/// The one tenant that was asked about, or all.
async fn asked(service: &Service, tenant: Option<&str>) -> Result<Vec<Tenant>, AccountError> {
    match tenant {
        Some(name) => Ok(vec![find(service, name).await?]),
        None => Ok(service.accounts.tenants().await?),
    }
}

/// Sessions and calls that there are go on when a limit falls below their number.
async fn policy(
    service: &Service,
    tenant: &str,
    limits: Option<TenantLimits>,
    rules: Option<TenantRules>,
) -> Result<Answer, Refused> {
    if limits.is_none() && rules.is_none() {
        let policy = find(service, tenant).await?.policy();
        return Ok(Answer::TenantPolicy { policy: Box::new(policy) });
    }
    let known = service.accounts.set_policy(tenant, limits, rules).await?;
    let policy = known.tenant.policy();
    match service.records.forget_old(&known.tenant, (service.now)()).await {
        // The policy holds; there is another time to remove what it keeps no longer.
        Err(KeptError::Archive(error)) => {
            tracing::warn!(event = "old_records_not_removed", %error, tenant,
                "old call records were not removed");
        }
        removed => removed?,
    }
    service.live.know(known).await.map_err(written)?;
    Ok(Answer::TenantPolicy { policy: Box::new(policy) })
}

async fn set_password(
    service: &Service,
    (tenant, login): (&str, &str),
    password: Option<Password>,
    one_time: bool,
) -> Result<Answer, Refused> {
    let tenant = find(service, tenant).await?;
    let set = service.accounts.set_password(tenant.id, login, password, one_time).await?;
    let account = AccountKey { tenant: tenant.id, account: set.account.id };
    let revocation = Revocation::of_password(account, set.account.epoch);
    service.live.revoke(revocation).await.map_err(written)?;
    added(set)
}

async fn set_role(
    service: &Service,
    (tenant, login): (&str, &str),
    role: Role,
) -> Result<Answer, Refused> {
    if let Some(revocation) = service.accounts.set_role(tenant, login, role).await? {
        service.live.revoke(revocation).await.map_err(written)?;
    }
    Ok(Answer::Done {})
}

async fn reset_second(service: &Service, tenant: &str, login: String) -> Result<Answer, Refused> {
    let tenant = find(service, tenant).await?.id;
    let found = service.accounts.find_login(tenant, &login).await?;
    let account = found.ok_or(AccountError::NoSuchAccount(login))?.id;
    service.accounts.forget_second(AccountKey { tenant, account }).await?;
    Ok(Answer::Done {})
}

fn added(Added { account, generated }: Added) -> Result<Answer, Refused> {
    Ok(Answer::AccountAdded { account, password: generated })
}

/// Answers with a desk that was changed, once the node knows of it.
async fn desk_changed(service: &Service, tenant: TenantId, desk: Desk) -> Result<Answer, Refused> {
    desks_changed(service, tenant).await?;
    Ok(Answer::Desks { rows: vec![desk] })
}

/// Tells the node of a tenant's desks as they are kept by now.
async fn desks_changed(service: &Service, tenant: TenantId) -> Result<(), Refused> {
    let desks = service.accounts.desks(tenant).await?;
    service.live.set_desks(tenant, desks).await.map_err(written)
}

async fn drain(service: &Service, relay: RelayId, on: bool) -> Result<Answer, Refused> {
    if service.live.drain(relay, on).await? {
        return Ok(Answer::Done {});
    }
    let message =
        format!("no relay {} has connected: `kakehashi relays` shows those that have", relay.0);
    Err(Refused::absent(message))
}

async fn end_call(
    service: &Service,
    tenant: Option<&str>,
    call: CallId,
) -> Result<Answer, Refused> {
    let tenant = match tenant {
        Some(name) => Some(find(service, name).await?.id),
        None => None,
    };
    if service.live.end_call(tenant, call).await? {
        return Ok(Answer::Done {});
    }
    let message = format!("no call {call} goes on: `kakehashi call list` shows those that do");
    Err(Refused::absent(message))
}

async fn calls(service: &Service, tenant: Option<&str>, most: usize) -> Result<Answer, Refused> {
    let tenants = asked(service, tenant).await?;
    let names = names(&tenants);
    let named = |mut row: CallRow| {
        row.tenant_name = names.get(&row.record.tenant)?.clone();
        Some(row)
    };
    let live = service.live.live_calls().await?.into_iter().filter_map(named).collect();
    let mut ended = Vec::new();
    for tenant in &tenants {
        let left = ADMIN_ROWS_MAX - ended.len();
        let records = service.records.ended(tenant.id, most.min(left)).await?;
        let rows = records.into_iter().map(CallRow::ended);
        ended.extend(rows.filter_map(named));
    }
    Ok(Answer::Calls { live, ended })
}

async fn sessions(service: &Service, tenant: Option<&str>) -> Result<Answer, Refused> {
    let names = names(&asked(service, tenant).await?);
    let named = |mut row: SessionRow| {
        row.tenant_name = names.get(&row.tenant)?.clone();
        Some(row)
    };
    let rows = service.live.sessions().await?.into_iter().filter_map(named);
    Ok(Answer::Sessions { rows: rows.take(ADMIN_ROWS_MAX).collect() })
}

/// Each relay has a link to each node, so this one has seen the certificates of all.
async fn relays(service: &Service) -> Result<Answer, Refused> {
    let mut rows = service.live.relays().await?;
    for row in &mut rows {
        row.certificate_until = service.surroundings.relay_certificate(row.id);
    }
    Ok(Answer::Relays { rows })
}

async fn status(service: &Service) -> Result<Answer, Refused> {
    let relays = service.live.relays().await?;
    let row = StatusRow {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        tenants: service.accounts.tenants().await?.len(),
        sessions: service.live.sessions().await?.len(),
        calls: service.live.live_calls().await?.len(),
        relays_connected: relays.iter().filter(|relay| relay.connected).count(),
        relays: relays.len(),
        certificates: service.surroundings.certificates(),
        nodes: service.surroundings.nodes(),
    };
    Ok(Answer::Status { row })
}

fn names(tenants: &[Tenant]) -> HashMap<TenantId, String> {
    tenants.iter().map(|tenant| (tenant.id, tenant.name.clone())).collect()
}
