//! What the audit log says of each request.

use super::{Refused, Request};
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
    let entry = Entry::new(actor, request.act().name());
    let change = |entry, tenant: &str, target: &str| {
        let (tenant, target) = (Plain::of(tenant), Plain::of(target));
        Audited::Change(Entry { tenant, target, ..entry })
    };
    let look = |entry, tenant: &str| {
        let tenant = Plain::of(tenant);
        Audited::Look(Entry { tenant, may_share: true, ..entry })
    };
    match request {
        Request::TenantAdd { name, .. } => change(entry, name, ""),
        Request::AccountAdd { tenant, login, .. }
        | Request::AccountPassword { tenant, login, .. }
        | Request::SecondReset { tenant, login } => change(entry, tenant, login),
        Request::AccountRole { tenant, login, role } => {
            change(entry, tenant, &format!("{login} {}", role.name()))
        }
        Request::Suspend { subject, reason } => {
            let detail = Plain::of(reason.as_deref().unwrap_or_default());
            of_subject(Entry { detail, ..entry }, subject)
        }
        Request::Reactivate { subject } => of_subject(entry, subject),
        Request::DeskAdd { tenant, desk, .. }
        | Request::DeskSet { tenant, desk, .. }
        | Request::DeskRemove { tenant, desk } => change(entry, tenant, desk),
        Request::TenantPolicy { tenant, limits: None, rules: None }
        | Request::AccountList { tenant }
        | Request::DeskList { tenant } => look(entry, tenant),
        Request::CallEnd { tenant, call } => {
            change(entry, tenant.as_deref().unwrap_or_default(), &call.to_string())
        }
        Request::Calls { tenant, .. } | Request::Sessions { tenant } => {
            look(entry, tenant.as_deref().unwrap_or_default())
        }
        Request::TenantList {} | Request::AuditList { .. } | Request::AuditVerify { .. } => {
            look(entry, "")
        }
        Request::TenantPolicy { tenant, .. } => change(entry, tenant, ""),
        Request::RelayDrain { relay, on } => {
            let what = if *on { "drained" } else { "in use" };
            change(entry, "", &format!("relay {} {what}", relay.0))
        }
        Request::Relays {} | Request::Status {} => Audited::Nothing,
    }
}

/// A change of somebody's standing.
fn of_subject(entry: Entry, subject: &Subject) -> Audited {
    let (tenant, target) = match subject {
        Subject::Tenant { tenant } => (tenant, String::new()),
        Subject::Account { tenant, login } => (tenant, login.clone()),
        Subject::Device { tenant, login, device } => (tenant, on_device(login, *device)),
    };
    Audited::Change(Entry { tenant: Plain::of(tenant), target: Plain::of(&target), ..entry })
}

/// An account on one of its devices.
fn on_device(login: &str, device: DeviceId) -> String {
    format!("{login} {:032x}", device.0)
}

/// What became of the act of which `entry` tells.
pub(super) fn ended(entry: Entry, refused: Option<&Refused>) -> Entry {
    match refused {
        Some(Refused { message, .. }) => {
            Entry { outcome: Outcome::Refused, detail: Plain::of(message), ..entry }
        }
        None => Entry { outcome: Outcome::Done, ..entry },
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
    use kakehashi_wire::terminal::Role;

    #[test]
    fn a_record_of_a_suspension_says_why_until_it_is_refused() {
        let subject = Subject::Account { tenant: "shop".into(), login: "a".into() };
        let request = Request::Suspend { subject, reason: Some("lost\ndevice".into()) };
        let operator = Actor::Operator { address: ([127, 0, 0, 1], 5).into() };
        let Audited::Change(entry) = audited(operator, &request) else {
            panic!("a suspension changes something")
        };
        assert_eq!((entry.target.as_str(), entry.detail.as_str()), ("a", "lost\\ndevice"));
        assert_eq!(ended(entry.clone(), None).detail, entry.detail);
        let refused = ended(entry, Some(&Refused::failed("no room".to_owned())));
        assert_eq!(refused.detail.as_str(), "no room");
    }

    #[test]
    fn a_record_of_an_account_names_it_and_not_its_password() {
        let request = Request::AccountAdd {
            tenant: "shop".into(),
            login: "a\n".into(),
            display: None,
            password: Some(Password::new("correct horse battery".into())),
            permanent: false,
            role: Role::Store,
        };
        let Audited::Change(entry) =
            audited(Actor::Operator { address: ([127, 0, 0, 1], 5).into() }, &request)
        else {
            panic!("adding an account changes something")
        };
        assert_eq!((entry.tenant.as_str(), entry.target.as_str()), ("shop", "a\\n"));
        assert_eq!((entry.act, entry.may_share), ("account_add", false));
        let no_room = Refused::failed("no\nroom".to_owned());
        let refused = ended(entry.clone(), Some(&no_room));
        assert_eq!((refused.outcome, refused.detail.as_str()), (Outcome::Refused, "no\\nroom"));
        let done = ended(entry, None);
        assert_eq!((done.outcome, done.detail.as_str()), (Outcome::Done, ""));
        assert!(!format!("{done:?}{refused:?}").contains("horse"));
    }
}
