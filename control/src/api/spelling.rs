//! Requests as they are asked: the other direction of the table of routes.

use super::bodies::{
    NewAccount, NewDesk, NewPassword, NewPolicy, NewRole, NewSuspension, NewTenant, SignIn,
};
use super::routes::Verb;
use crate::accounts::Subject;
use crate::admin::Request;
use crate::audit::Head;
use crate::capacity::API_BODY_BYTES_MAX;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;
use zeroize::Zeroizing;

/// A request, spelled out.
pub(super) struct Spelled {
    pub(super) verb: Verb,
    /// Its path and query.
    pub(super) path: String,
    /// Its body, if it has one.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

impl Spelled {
    fn new(verb: Verb, segments: &[&str]) -> Self {
        let mut path = String::from("/v1");
        for segment in segments {
            path.push('/');
            path.extend(utf8_percent_encode(segment, NON_ALPHANUMERIC));
        }
        Self { verb, path, body: None }
    }

    fn query(mut self, name: &str, value: impl ToString) -> Self {
        self.path.push(if self.path.contains('?') { '&' } else { '?' });
        self.path.push_str(name);
        self.path.push('=');
        self.path.push_str(&value.to_string());
        self
    }

    fn body(self, body: &impl Serialize) -> Self {
        // Passwords pass through here: memory that never moves leaves no copies behind.
        let mut text = Zeroizing::new(Vec::with_capacity(API_BODY_BYTES_MAX));
        serde_json::to_writer(&mut *text, body).expect("invariant: bodies are structs of texts");
        Self { body: Some(text), ..self }
    }
}

/// How somebody signs in.
pub(super) fn sign_in(who: &SignIn) -> Spelled {
    Spelled::new(Verb::Post, &["tokens"]).body(who)
}

/// How the token that it is asked with is given back.
pub(super) fn sign_out() -> Spelled {
    Spelled::new(Verb::Delete, &["tokens"])
}

/// How what anybody may read is asked for.
pub(super) fn document() -> Spelled {
    Spelled { verb: Verb::Get, path: "/v1/openapi.json".to_owned(), body: None }
}

/// How `request` is asked.
pub(super) fn spell(request: Request) -> Spelled {
    use Verb::{Delete, Get, Post, Put};
    match request {
        Request::TenantAdd { name, accounts } => {
            Spelled::new(Post, &["tenants"]).body(&NewTenant { name, accounts })
        }
        Request::TenantList {} => Spelled::new(Get, &["tenants"]),
        Request::TenantPolicy { tenant, limits: None, rules: None } => {
            Spelled::new(Get, &["tenants", &tenant, "policy"])
        }
        Request::TenantPolicy { tenant, limits, rules } => {
            Spelled::new(Put, &["tenants", &tenant, "policy"]).body(&NewPolicy { limits, rules })
        }
        Request::AccountAdd { tenant, login, display, password, permanent, role } => {
            let body = NewAccount { login, display, password, permanent, role };
            Spelled::new(Post, &["tenants", &tenant, "accounts"]).body(&body)
        }
        Request::AccountPassword { tenant, login, password, permanent } => {
            Spelled::new(Post, &["tenants", &tenant, "accounts", &login, "password"])
                .body(&NewPassword { password, permanent })
        }
        Request::AccountRole { tenant, login, role } => {
            Spelled::new(Put, &["tenants", &tenant, "accounts", &login, "role"])
                .body(&NewRole { role })
        }
        Request::SecondReset { tenant, login } => {
            Spelled::new(Delete, &["tenants", &tenant, "accounts", &login, "authenticator"])
        }
        Request::DeskAdd { tenant, desk, change } => {
            let body = NewDesk { desk, settings: change };
            Spelled::new(Post, &["tenants", &tenant, "desks"]).body(&body)
        }
        Request::DeskSet { tenant, desk, change } => {
            Spelled::new(Put, &["tenants", &tenant, "desks", &desk]).body(&change)
        }
        Request::DeskList { tenant } => Spelled::new(Get, &["tenants", &tenant, "desks"]),
        Request::DeskRemove { tenant, desk } => {
            Spelled::new(Delete, &["tenants", &tenant, "desks", &desk])
        }
        Request::AccountList { tenant } => Spelled::new(Get, &["tenants", &tenant, "accounts"]),
        Request::Suspend { subject, reason } => {
            suspension(Put, &subject).body(&NewSuspension { reason })
        }
        Request::Reactivate { subject } => suspension(Delete, &subject),
        Request::Calls { tenant, ended } => {
            of_tenant(Get, tenant.as_deref(), &["calls"]).query("ended", ended)
        }
        Request::CallEnd { tenant, call } => {
            of_tenant(Delete, tenant.as_deref(), &["calls", &call.to_string()])
        }
        Request::Sessions { tenant } => of_tenant(Get, tenant.as_deref(), &["sessions"]),
        Request::Relays {} => Spelled::new(Get, &["relays"]),
        Request::RelayDrain { relay, on } => {
            let verb = if on { Put } else { Delete };
            Spelled::new(verb, &["relays", &relay.0.to_string(), "drain"])
        }
        Request::Status {} => Spelled::new(Get, &["status"]),
        Request::AuditList { before, limit } => {
            let list = Spelled::new(Get, &["audit"]).query("limit", limit);
            match before {
                Some(before) => list.query("before", before),
                None => list,
            }
        }
        Request::AuditVerify { from: Head { seq, hash } } => {
            Spelled::new(Get, &["audit", "verification"]).query("seq", seq).query("hash", hash)
        }
    }
}

/// Of one tenant, or of all.
fn of_tenant(verb: Verb, tenant: Option<&str>, what: &[&str]) -> Spelled {
    let place = tenant.map_or_else(Vec::new, |tenant| vec!["tenants", tenant]);
    Spelled::new(verb, &[&place, what].concat())
}

fn suspension(verb: Verb, subject: &Subject) -> Spelled {
    match subject {
        Subject::Tenant { tenant } => Spelled::new(verb, &["tenants", tenant, "suspension"]),
        Subject::Account { tenant, login } => {
            Spelled::new(verb, &["tenants", tenant, "accounts", login, "suspension"])
        }
        Subject::Device { tenant, login, device } => {
            let device = device.to_string();
            let account = ["tenants", tenant, "accounts", login];
            Spelled::new(verb, &[&account[..], &["devices", &device, "suspension"]].concat())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::asked::Asked;
    use crate::api::problem::Problem;
    use crate::api::routes::{ROUTES, Route, What};
    use crate::audit::Digest;
    use crate::desks::{DeskChange, Overflow, OverflowChange, RingOrder};
    use kakehashi_wire::id::{CallId, DeviceId, RelayId};
    use kakehashi_wire::secret::Password;
    use kakehashi_wire::terminal::Role;
    use percent_encoding::percent_decode_str;
    use std::collections::BTreeSet;

    /// The route of a spelled request, and the names in its path, as a router finds them.
    fn route(spelled: &Spelled) -> (&'static Route, Vec<(String, String)>) {
        let path = spelled.path.split('?').next().unwrap();
        let said: Vec<_> = path.split('/').collect();
        let names = |route: &Route| {
            let known: Vec<_> = route.path.split('/').collect();
            let pairs = known.iter().zip(&said).map(|(known, said)| {
                match known.strip_prefix('{').and_then(|it| it.strip_suffix('}')) {
                    Some(name) => {
                        let value = percent_decode_str(said).decode_utf8().unwrap();
                        Some(Some((name.to_owned(), value.into_owned())))
                    }
                    None => (known == said).then_some(None),
                }
            });
            (known.len() == said.len() && route.verb == spelled.verb)
                .then(|| pairs.collect::<Option<Vec<_>>>())
                .flatten()
        };
        let found = ROUTES.iter().find_map(|route| Some((route, names(route)?)));
        let (route, names) = found.unwrap_or_else(|| panic!("no route for {}", spelled.path));
        (route, names.into_iter().flatten().collect())
    }

    fn read(
        route: &Route,
        names: &[(String, String)],
        query: &str,
        body: &[u8],
    ) -> Result<Request, Problem> {
        let What::Ask(understand) = route.what else { panic!("{} asks nothing", route.name) };
        understand(&Asked { names, query, body })
    }

    fn samples() -> Vec<Request> {
        let (tenant, login, desk) = (String::from("gi/n%za?"), String::from("架"), "d".to_owned());
        let password = || Some(Password::new("correct horse battery".into()));
        let device = DeviceId(0xab);
        let subjects = [
            Subject::Tenant { tenant: tenant.clone() },
            Subject::Account { tenant: tenant.clone(), login: login.clone() },
            Subject::Device { tenant: tenant.clone(), login: login.clone(), device },
        ];
        let change = DeskChange {
            agents: Some(vec![login.clone()]),
            order: Some(RingOrder::RingAll),
            overflow: Some(OverflowChange::To(Overflow { desk: desk.clone(), after_s: 9 })),
            ..DeskChange::default()
        };
        let of = |subject: &Subject| subject.clone();
        let suspensions = subjects.iter().map(|it| {
            let reason = Some(String::from("a\"架"));
            Request::Suspend { subject: of(it), reason }
        });
        let ends = subjects.iter().map(|it| Request::Reactivate { subject: of(it) });
        let (t, l, d) = (|| tenant.clone(), || login.clone(), || desk.clone());
        let (role, display, permanent) = (Role::TenantAdmin, Some(String::from("D")), true);
        let others = [
            Request::TenantAdd { name: t(), accounts: Some(3) },
            Request::TenantList {},
            Request::TenantPolicy { tenant: t(), limits: None, rules: None },
            Request::TenantPolicy { tenant: t(), limits: None, rules: Some(Box::default()) },
            Request::AccountAdd {
                tenant: t(),
                login: l(),
                display,
                password: password(),
                permanent,
                role,
            },
            Request::AccountPassword { tenant: t(), login: l(), password: password(), permanent },
            Request::AccountRole { tenant: t(), login: l(), role },
            Request::SecondReset { tenant: t(), login: l() },
            Request::AccountList { tenant: t() },
            Request::DeskAdd { tenant: t(), desk: d(), change: change.clone() },
            Request::DeskSet { tenant: t(), desk: d(), change },
            Request::DeskList { tenant: t() },
            Request::DeskRemove { tenant: t(), desk: d() },
            Request::Calls { tenant: None, ended: 7 },
            Request::Calls { tenant: Some(t()), ended: 7 },
            Request::CallEnd { tenant: None, call: CallId(0xcd) },
            Request::CallEnd { tenant: Some(t()), call: CallId(0xcd) },
            Request::Sessions { tenant: None },
            Request::Sessions { tenant: Some(t()) },
            Request::Relays {},
            Request::RelayDrain { relay: RelayId(2), on: true },
            Request::RelayDrain { relay: RelayId(2), on: false },
            Request::Status {},
            Request::AuditList { before: Some(4), limit: 5 },
            Request::AuditVerify { from: Head { seq: 6, hash: Digest([7; 32]) } },
        ];
        others.into_iter().chain(suspensions).chain(ends).collect()
    }

    fn shown(spelled: &Spelled) -> String {
        let body = spelled.body.as_deref().map(|body| String::from_utf8_lossy(body).into_owned());
        format!("{:?} {} {body:?}", spelled.verb, spelled.path)
    }

    #[test]
    fn what_is_asked_is_understood_and_every_route_can_be_asked() {
        let mut reached = BTreeSet::new();
        for request in samples() {
            let spelled = spell(request);
            let said = shown(&spelled);
            let (route, names) = route(&spelled);
            let query = spelled.path.split_once('?').map_or("", |(_, query)| query);
            let body = spelled.body.as_deref().map_or(&[][..], Vec::as_slice);
            assert_eq!(spelled.body.is_some(), route.body.is_some(), "{said}");
            let asked = Asked { names: &names, query, body };
            assert_eq!(asked.only(route.query), Ok(()), "{said}");
            let again = read(route, &names, query, body).unwrap_or_else(|it| panic!("{it:?}"));
            assert_eq!(shown(&spell(again)), said);
            reached.insert(route.name);
        }
        let asks = ROUTES.iter().filter(|route| matches!(route.what, What::Ask(_)));
        assert_eq!(reached, asks.map(|route| route.name).collect());
    }

    #[test]
    fn whatever_is_asked_is_survived() {
        let asks = || ROUTES.iter().filter(|route| matches!(route.what, What::Ask(_)));
        bolero::check!().with_type::<(String, String, String, Vec<u8>)>().for_each(
            |(one, two, query, body)| {
                let names = ["tenant", "login", "device", "desk", "call", "relay"];
                let values = [one, two, query, one, two, one];
                let names = names.into_iter().zip(values);
                let names: Vec<_> = names.map(|(k, v)| (k.to_owned(), v.clone())).collect();
                for route in asks() {
                    let _ = read(route, &names, query, body);
                }
            },
        );
    }
}
