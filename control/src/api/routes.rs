//! Every route of the API, in one table.

use super::asked::Asked;
use super::bodies::{
    NewAccount, NewDesk, NewPassword, NewPolicy, NewRole, NewSuspension, NewTenant,
};
use super::problem::Problem;
use crate::accounts::Subject;
use crate::admin::Request;
use crate::audit::{Digest, Head};
use crate::capacity::ADMIN_ROWS_MAX;
use Verb::{Delete, Get, Post, Put};

/// What a route does to what its path names.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    /// Shows it.
    Get,
    /// Adds to it.
    Post,
    /// Makes it so; twice is as good as once.
    Put,
    /// Makes it not so; twice is as good as once.
    Delete,
}

/// One thing that can be asked.
pub(super) struct Route {
    /// With which method.
    pub(super) verb: Verb,
    /// At which path; `{name}` stands for a segment.
    pub(super) path: &'static str,
    /// Its name in the document; never changes.
    pub(super) name: &'static str,
    /// What it does, for people.
    pub(super) text: &'static str,
    /// What its query may say.
    pub(super) query: &'static [&'static str],
    /// The schema of its body, if it has one.
    pub(super) body: Option<&'static str>,
    /// Whether that may be left out.
    pub(super) is_body_optional: bool,
    /// The schema of its answer.
    pub(super) answer: &'static str,
    /// What it is.
    pub(super) what: What,
}

/// What a route leads to.
#[derive(Clone, Copy)]
pub(super) enum What {
    /// A request, which this understands.
    Ask(fn(&Asked<'_>) -> Result<Request, Problem>),
    /// The document, for anybody.
    Document,
    /// Somebody gives a password for a token.
    SignIn,
    /// Somebody gives a token back.
    SignOut,
}

impl Route {
    const fn new(verb: Verb, path: &'static str, name: &'static str, what: What) -> Self {
        let (text, query, body, is_body_optional, answer) = ("", &[], None, false, "Done");
        Self { verb, path, name, text, query, body, is_body_optional, answer, what }
    }

    const fn ask(
        verb: Verb,
        path: &'static str,
        name: &'static str,
        read: fn(&Asked<'_>) -> Result<Request, Problem>,
    ) -> Self {
        Self::new(verb, path, name, What::Ask(read))
    }

    const fn text(self, text: &'static str) -> Self {
        Self { text, ..self }
    }

    const fn query(self, query: &'static [&'static str]) -> Self {
        Self { query, ..self }
    }

    const fn body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), ..self }
    }

    const fn optional_body(self, schema: &'static str) -> Self {
        Self { body: Some(schema), is_body_optional: true, ..self }
    }

    const fn answer(self, schema: &'static str) -> Self {
        Self { answer: schema, ..self }
    }
}

const DRAIN: &str = "/v1/relays/{relay}/drain";
const TOKENS: &str = "/v1/tokens";
const TENANTS: &str = "/v1/tenants";
const POLICY: &str = "/v1/tenants/{tenant}/policy";
const TENANT_SUSPENSION: &str = "/v1/tenants/{tenant}/suspension";
const ACCOUNTS: &str = "/v1/tenants/{tenant}/accounts";
const PASSWORD: &str = "/v1/tenants/{tenant}/accounts/{login}/password";
const DESKS: &str = "/v1/tenants/{tenant}/desks";
const DESK: &str = "/v1/tenants/{tenant}/desks/{desk}";
const ROLE: &str = "/v1/tenants/{tenant}/accounts/{login}/role";
const SECOND: &str = "/v1/tenants/{tenant}/accounts/{login}/authenticator";
const ACCOUNT_SUSPENSION: &str = "/v1/tenants/{tenant}/accounts/{login}/suspension";
const DEVICE_SUSPENSION: &str = "/v1/tenants/{tenant}/accounts/{login}/devices/{device}/suspension";

/// Ended calls that are listed of each tenant unless the query says otherwise.
const ENDED_CALLS: usize = 50;

/// Audit records that are listed unless the query says otherwise.
const AUDIT_RECORDS: usize = 50;

/// All of them.
pub(super) const ROUTES: &[Route] = &[
    Route::new(Get, "/v1/openapi.json", "document", What::Document)
        .text("Describes this API.")
        .answer("Document"),
    Route::new(Post, TOKENS, "sign_in", What::SignIn)
        .text("Gives a token for a tenant's login ID and password; it lasts 12 hours at most.")
        .body("SignIn")
        .answer("Token"),
    Route::new(Delete, TOKENS, "sign_out", What::SignOut).text("Ends the token it is asked with."),
    Route::ask(Get, TENANTS, "list_tenants", |_| Ok(Request::TenantList {}))
        .text("Lists tenants, in order of name.")
        .answer("Tenants"),
    Route::ask(Post, TENANTS, "add_tenant", |asked| {
        let NewTenant { name, accounts } = asked.body()?;
        Ok(Request::TenantAdd { name, accounts })
    })
    .text("Adds a tenant: the border that no call crosses.")
    .body("NewTenant")
    .answer("Tenants"),
    Route::ask(Get, POLICY, "show_policy", |asked| {
        let (limits, rules) = (None, None);
        Ok(Request::TenantPolicy { tenant: asked.name("tenant"), limits, rules })
    })
    .text("Shows what a tenant may have, and how it wants its calls.")
    .answer("TenantPolicy"),
    Route::ask(Put, POLICY, "set_policy", |asked| {
        let NewPolicy { limits, rules } = asked.body()?;
        Ok(Request::TenantPolicy { tenant: asked.name("tenant"), limits, rules })
    })
    .text("Says what a tenant may have, or how it wants its calls; it counts at once.")
    .body("NewPolicy")
    .answer("TenantPolicy"),
    Route::ask(Put, TENANT_SUSPENSION, "suspend_tenant", |asked| suspend(asked, tenant(asked)))
        .text("Ends all sessions, calls and media of a tenant, and takes no sign-in of it.")
        .optional_body("NewSuspension")
        .answer("Suspended"),
    Route::ask(Delete, TENANT_SUSPENSION, "reactivate_tenant", |asked| reactivate(tenant(asked)))
        .text("Takes sign-ins of a tenant again."),
    Route::ask(Get, ACCOUNTS, "list_accounts", |asked| {
        Ok(Request::AccountList { tenant: asked.name("tenant") })
    })
    .text("Lists a tenant's accounts, in order of login ID.")
    .answer("Accounts"),
    Route::ask(Post, ACCOUNTS, "add_account", add_account)
        .text("Adds an account; without a password one is made, and seen in this answer only.")
        .body("NewAccount")
        .answer("AccountAdded"),
    Route::ask(Post, PASSWORD, "set_password", set_password)
        .text("Gives an account a new password; without one, one is made, and seen only here.")
        .body("NewPassword")
        .answer("AccountAdded"),
    Route::ask(Put, ROLE, "set_role", |asked| {
        let NewRole { role } = asked.body()?;
        let (tenant, login) = (asked.name("tenant"), asked.name("login"));
        Ok(Request::AccountRole { tenant, login, role })
    })
    .text("Gives an account a role; if it is another than before, its sessions end.")
    .body("NewRole"),
    Route::ask(Delete, SECOND, "reset_second_factor", |asked| {
        Ok(Request::SecondReset { tenant: asked.name("tenant"), login: asked.name("login") })
    })
    .text("Has an account enrol its second factor anew at its next sign-in to the console."),
    Route::ask(Put, ACCOUNT_SUSPENSION, "suspend_account", |asked| suspend(asked, account(asked)))
        .text("Ends sessions, calls and media of an account, and takes no sign-in of it.")
        .optional_body("NewSuspension")
        .answer("Suspended"),
    Route::ask(Delete, ACCOUNT_SUSPENSION, "reactivate_account", |asked| {
        reactivate(account(asked))
    })
    .text("Takes sign-ins of an account again."),
    Route::ask(Put, DEVICE_SUSPENSION, "suspend_device", |asked| suspend(asked, device(asked)?))
        .text("Ends an account's session on one device, and takes no sign-in of it there.")
        .optional_body("NewSuspension")
        .answer("Suspended"),
    Route::ask(Delete, DEVICE_SUSPENSION, "reactivate_device", |asked| reactivate(device(asked)?))
        .text("Takes sign-ins of an account on one device again."),
    Route::ask(Get, DESKS, "list_desks", |asked| {
        Ok(Request::DeskList { tenant: asked.name("tenant") })
    })
    .text("Lists a tenant's desks, in order of name.")
    .answer("Desks"),
    Route::ask(Post, DESKS, "add_desk", |asked| {
        let NewDesk { desk, settings: change } = asked.body()?;
        Ok(Request::DeskAdd { tenant: asked.name("tenant"), desk, change })
    })
    .text("Adds a desk: a name that many agents answer to.")
    .body("NewDesk")
    .answer("Desks"),
    Route::ask(Put, DESK, "set_desk", |asked| {
        let (tenant, desk) = (asked.name("tenant"), asked.name("desk"));
        Ok(Request::DeskSet { tenant, desk, change: asked.body()? })
    })
    .text("Changes what is named of a desk.")
    .body("DeskSettings")
    .answer("Desks"),
    Route::ask(Delete, DESK, "remove_desk", |asked| {
        Ok(Request::DeskRemove { tenant: asked.name("tenant"), desk: asked.name("desk") })
    })
    .text("Removes a desk."),
    Route::ask(Get, "/v1/sessions", "list_sessions", |_| Ok(Request::Sessions { tenant: None }))
        .text("Lists who is signed in, and on which device.")
        .answer("Sessions"),
    Route::ask(Get, "/v1/tenants/{tenant}/sessions", "list_sessions_of_tenant", |asked| {
        Ok(Request::Sessions { tenant: Some(asked.name("tenant")) })
    })
    .text("Lists who of a tenant is signed in, and on which device.")
    .answer("Sessions"),
    Route::ask(Get, "/v1/calls", "list_calls", |asked| calls(asked, None))
        .text("Lists calls that go on, and the records of those that ended, newest first.")
        .query(&["ended"])
        .answer("Calls"),
    Route::ask(Get, "/v1/tenants/{tenant}/calls", "list_calls_of_tenant", |asked| {
        calls(asked, Some(asked.name("tenant")))
    })
    .text("Lists calls of a tenant that go on, and the records of those that ended.")
    .query(&["ended"])
    .answer("Calls"),
    Route::ask(Delete, "/v1/calls/{call}", "end_call", |asked| {
        Ok(Request::CallEnd { tenant: None, call: asked.call()? })
    })
    .text("Ends a call that goes on, and its media."),
    Route::ask(Delete, "/v1/tenants/{tenant}/calls/{call}", "end_call_of_tenant", |asked| {
        Ok(Request::CallEnd { tenant: Some(asked.name("tenant")), call: asked.call()? })
    })
    .text("Ends a call of a tenant that goes on, and its media."),
    Route::ask(Get, "/v1/relays", "list_relays", |_| Ok(Request::Relays {}))
        .text("Lists relays, their load and their counters.")
        .answer("Relays"),
    Route::ask(Put, DRAIN, "drain_relay", |asked| {
        Ok(Request::RelayDrain { relay: asked.relay()?, on: true })
    })
    .text("Takes a relay out of use: its calls go over to others, and no new ones come."),
    Route::ask(Delete, DRAIN, "undrain_relay", |asked| {
        Ok(Request::RelayDrain { relay: asked.relay()?, on: false })
    })
    .text("Puts a relay back into use."),
    Route::ask(Get, "/v1/status", "status", |_| Ok(Request::Status {}))
        .text("Says how the node is.")
        .answer("Status"),
    Route::ask(Get, "/v1/audit", "list_audit", |asked| {
        let (before, limit) = (asked.query("before")?, asked.query("limit")?);
        Ok(Request::AuditList { before, limit: limit.unwrap_or(AUDIT_RECORDS) })
    })
    .text("Lists what was done and by whom, newest first.")
    .query(&["before", "limit"])
    .answer("Audit"),
    Route::ask(Get, "/v1/audit/verification", "verify_audit", verify_audit)
        .text("Verifies some of the audit log; go on from the head that is answered.")
        .query(&["seq", "hash"])
        .answer("AuditVerdict"),
];

fn tenant(asked: &Asked<'_>) -> Subject {
    Subject::Tenant { tenant: asked.name("tenant") }
}

fn account(asked: &Asked<'_>) -> Subject {
    Subject::Account { tenant: asked.name("tenant"), login: asked.name("login") }
}

fn device(asked: &Asked<'_>) -> Result<Subject, Problem> {
    let (tenant, login) = (asked.name("tenant"), asked.name("login"));
    Ok(Subject::Device { tenant, login, device: asked.device()? })
}

fn suspend(asked: &Asked<'_>, subject: Subject) -> Result<Request, Problem> {
    let NewSuspension { reason } = asked.body_or_default()?;
    Ok(Request::Suspend { subject, reason })
}

fn reactivate(subject: Subject) -> Result<Request, Problem> {
    Ok(Request::Reactivate { subject })
}

fn add_account(asked: &Asked<'_>) -> Result<Request, Problem> {
    let NewAccount { login, display, password, permanent, role } = asked.body()?;
    let tenant = asked.name("tenant");
    Ok(Request::AccountAdd { tenant, login, display, password, permanent, role })
}

fn set_password(asked: &Asked<'_>) -> Result<Request, Problem> {
    let NewPassword { password, permanent } = asked.body()?;
    let (tenant, login) = (asked.name("tenant"), asked.name("login"));
    Ok(Request::AccountPassword { tenant, login, password, permanent })
}

fn calls(asked: &Asked<'_>, tenant: Option<String>) -> Result<Request, Problem> {
    let ended = asked.query("ended")?.unwrap_or(ENDED_CALLS).min(ADMIN_ROWS_MAX);
    Ok(Request::Calls { tenant, ended })
}

fn verify_audit(asked: &Asked<'_>) -> Result<Request, Problem> {
    let from = match (asked.query("seq")?, asked.query::<Digest>("hash")?) {
        (None, None) => Head::START,
        (Some(seq), Some(hash)) => Head { seq, hash },
        _ => return Err(Problem::wrong("`seq` and `hash` belong together: give both or none")),
    };
    Ok(Request::AuditVerify { from })
}
