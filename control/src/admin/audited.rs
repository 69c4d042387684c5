//! What the audit log says of each request.

use super::{Answer, Request};
use crate::accounts::Subject;
use crate::audit::{Actor, Audit, Entry, NotAudited, Outcome, Plain};
use kakehashi_wire::id::DeviceId;

/// What a request does, as far as the audit log is concerned.
pub(super) enum Audited {
    /// It changes something: a record before it is done, and one after.
    Change(Entry),
    /// It shows what is known of tenants, people and calls: one record, before it is answered.
    Look(Entry),
    /// It shows how the machine is.
    Nothing,
}

/// What `request` of `actor` is.
pub(super) fn audited(actor: Actor, request: &Request) -> Audited {
    let change = |act, tenant: &str, target: &str| {
        let (tenant, target) = (Plain::of(tenant), Plain::of(target));
        Audited::Change(Entry { tenant, target, ..Entry::new(actor, act) })
    };
    let look = |act, tenant: &str| {
        let tenant = Plain::of(tenant);
        Audited::Look(Entry { tenant, may_share: true, ..Entry::new(actor, act) })
    };
    match request {
        Request::TenantAdd { name, .. } => change("tenant_add", name, ""),
        Request::TenantList {} => look("tenant_list", ""),
        Request::AccountAdd { tenant, login, .. } => change("account_add", tenant, login),
        Request::AccountPassword { tenant, login, .. } => change("account_password", tenant, login),
        Request::Suspend { subject } => match subject {
            Subject::Tenant { tenant } => change("tenant_suspend", tenant, ""),
            Subject::Account { tenant, login } => change("account_suspend", tenant, login),
            Subject::Device { tenant, login, device } => {
                change("device_suspend", tenant, &on_device(login, *device))
            }
        },
        Request::Reactivate { subject } => match subject {
            Subject::Tenant { tenant } => change("tenant_reactivate", tenant, ""),
            Subject::Account { tenant, login } => change("account_reactivate", tenant, login),
            Subject::Device { tenant, login, device } => {
                change("device_reactivate", tenant, &on_device(login, *device))
            }
        },
        Request::DeskAdd { tenant, desk, .. } => change("desk_add", tenant, desk),
        Request::DeskSet { tenant, desk, .. } => change("desk_set", tenant, desk),
        Request::DeskRemove { tenant, desk } => change("desk_remove", tenant, desk),
        Request::DeskList { tenant } => look("desk_list", tenant),
        Request::AccountList { tenant } => look("account_list", tenant),
        Request::Calls { tenant, .. } => look("calls", tenant.as_deref().unwrap_or_default()),
        Request::Sessions {} => look("sessions", ""),
        Request::AuditList { .. } => look("audit_list", ""),
        Request::AuditVerify { .. } => look("audit_verify", ""),
        Request::Relays {} | Request::Status {} => Audited::Nothing,
    }
}

/// An account on one of its devices.
fn on_device(login: &str, device: DeviceId) -> String {
    format!("{login} {:032x}", device.0)
}

/// What became of the act of which `entry` tells.
pub(super) fn ended(entry: Entry, answer: &Answer) -> Entry {
    match answer {
        Answer::Refused { message } => {
            Entry { outcome: Outcome::Refused, detail: Plain::of(message), ..entry }
        }
        _ => Entry { outcome: Outcome::Done, ..entry },
    }
}

/// Writes that a change is about to be made; the entry to end it with.
pub(super) async fn begin(audit: &Audit, entry: Entry) -> Result<Entry, NotAudited> {
    let begun = audit.note(Entry { outcome: Outcome::Begun, ..entry.clone() }).await?;
    Ok(Entry { begun, ..entry })
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::secret::Password;

    #[test]
    fn a_record_of_an_account_names_it_and_not_its_password() {
        let request = Request::AccountAdd {
            tenant: "shop".into(),
            login: "a\n".into(),
            display: None,
            password: Some(Password::new("correct horse battery".into())),
            permanent: false,
        };
        let Audited::Change(entry) = audited(Actor::Operator { user: 5 }, &request) else {
            panic!("adding an account changes something")
        };
        assert_eq!((entry.tenant.as_str(), entry.target.as_str()), ("shop", "a\\n"));
        assert_eq!((entry.act, entry.may_share), ("account_add", false));
        let message = "no\nroom".to_owned();
        let refused = ended(entry.clone(), &Answer::Refused { message });
        assert_eq!((refused.outcome, refused.detail.as_str()), (Outcome::Refused, "no\\nroom"));
        let done = ended(entry, &Answer::Sessions { rows: Vec::new() });
        assert_eq!((done.outcome, done.detail.as_str()), (Outcome::Done, ""));
        assert!(!format!("{done:?}{refused:?}").contains("horse"));
    }
}
