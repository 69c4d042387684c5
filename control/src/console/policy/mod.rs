//! A tenant's policy: shown, and changed after a page that says what each change means.

mod changes;
mod form;

use super::chrome::{Chrome, Notice, page_with, status};
use super::fields::Fields;
use super::server::{Console, see};
use super::visitor::{Asked, Posted, Visitor};
use crate::admin::{Answer, Refused, Request, answer};
use crate::api::hash;
use crate::policy::{Act, Lane, Protection, TenantLimits, TenantPolicy};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use changes::{Change, changes};
use form::{typed_desks, typed_hours, typed_software};
use kakehashi_wire::terminal::Role;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/policy", get(show))
        .route("/policy/preview", post(preview))
        .route("/policy/save", post(save))
}

#[derive(Template)]
#[template(path = "policy.html")]
struct PolicyPage {
    chrome: Chrome,
    tenant: Option<String>,
    tenants: Vec<String>,
    policy: Option<TenantPolicy>,
    texts: Texts,
    may_limits: bool,
    may_rules: bool,
    roles: [Role; 4],
}

#[derive(Template)]
#[template(path = "policy_preview.html")]
struct PreviewPage {
    chrome: Chrome,
    tenant: String,
    changes: Vec<Change>,
    /// What the form said, to be said again.
    fields: Vec<(String, String)>,
    /// Of the policy that the changes were seen against.
    seen: String,
}

/// What is typed as text.
#[derive(Default)]
struct Texts {
    desks: Vec<(Role, String)>,
    software: String,
    hours: String,
}

impl Texts {
    /// As it was typed, else of the policy.
    fn of(policy: &TenantPolicy, typed: Option<&Fields>) -> Self {
        let rules = &policy.rules;
        let desks = |role: Role| match typed {
            Some(fields) => fields.text(&format!("desks-{}", role.name())),
            None => typed_desks(rules.may_call_desks.of(role)),
        };
        let text = |name: &str, usual: String| typed.map_or(usual, |fields| fields.text(name));
        Self {
            desks: Role::ALL.map(|role| (role, desks(role))).to_vec(),
            software: text("software", typed_software(&rules.software)),
            hours: text("hours", typed_hours(rules.hours.as_ref())),
        }
    }
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let notice = (query.get("done") == "saved").then(|| Notice::done(words.policy_saved));
    console.policy_page(&by, by.tenant_of(query.get("tenant")), notice, None).await
}

/// Says what would change. Nothing is saved.
async fn preview(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let tenant = by.tenant_of(fields.get("tenant")).unwrap_or_default();
    match console.wished(&by, &tenant, &fields).await {
        Ok((before, after)) => previewed(&by, tenant, (&before, &after), &fields, None),
        Err(notice) => console.policy_again(&by, tenant, notice, &fields).await,
    }
}

/// Saves what was previewed, if it would still change the same.
async fn save(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let words = by.lang.words();
    let tenant = by.tenant_of(fields.get("tenant")).unwrap_or_default();
    let (before, after) = match console.wished(&by, &tenant, &fields).await {
        Ok(wished) => wished,
        Err(notice) => return console.policy_again(&by, tenant, notice, &fields).await,
    };
    if fields.get("seen") != mark(&before) {
        let moved = Some(Notice::failed(words.policy_moved));
        return previewed(&by, tenant, (&before, &after), &fields, moved);
    }
    // Who may change only one of both sends only that.
    let limits = (after.limits != before.limits).then_some(after.limits);
    let rules = (after.rules != before.rules).then(|| Box::new(after.rules));
    let path = |done| format!("/policy?{}", *Fields::query(&[("tenant", &tenant), ("done", done)]));
    if limits.is_none() && rules.is_none() {
        return see(&path(""));
    }
    let request = Request::TenantPolicy { tenant: tenant.clone(), limits, rules };
    match answer(&console.service, &by.asker, request).await {
        Ok(_) => see(&path("saved")),
        Err(refused) => {
            let notice = Some(Notice::refused(words, refused));
            console.policy_page(&by, Some(tenant), notice, None).await
        }
    }
}

/// What stands for a policy, to notice that it is another by now.
fn mark(policy: &TenantPolicy) -> String {
    hash(&toml::to_string(policy).unwrap_or_default()).to_string()
}

fn previewed(
    by: &Visitor,
    tenant: String,
    (before, after): (&TenantPolicy, &TenantPolicy),
    fields: &Fields,
    notice: Option<Notice>,
) -> Response<Body> {
    let words = by.lang.words();
    let own = ["csrf", "tenant", "seen"];
    let said = fields.pairs().filter(|(name, _)| !own.contains(name));
    let fields = said.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let changes = changes(before, after, words);
    let code = if notice.is_some() { StatusCode::CONFLICT } else { StatusCode::OK };
    let chrome = Chrome::of(by, words.preview_title, "/policy").with(notice);
    page_with(code, &PreviewPage { chrome, tenant, changes, fields, seen: mark(before) })
}

impl Console {
    /// The policy of a tenant as it is, and as a form wishes it; else what to say on its page.
    async fn wished(
        &self,
        by: &Visitor,
        tenant: &str,
        fields: &Fields,
    ) -> Result<(TenantPolicy, TenantPolicy), Notice> {
        let words = by.lang.words();
        if !by.may(Act::TenantRules) {
            return Err(Notice::failed(words.refused_not_allowed));
        }
        let before = self.policy_of(by, tenant).await;
        let before = before.map_err(|refused| Notice::refused(words, refused))?;
        let read = form::read(fields, &before, words);
        let mut after =
            read.map_err(|bad| Notice { detail: bad.detail, ..Notice::failed(bad.text) })?;
        if !by.may(Act::TenantLimits) {
            after.limits = before.limits;
        }
        Ok((before, after))
    }

    async fn policy_of(&self, by: &Visitor, tenant: &str) -> Result<TenantPolicy, Refused> {
        let (tenant, limits, rules) = (tenant.to_owned(), None, None);
        match answer(&self.service, &by.asker, Request::TenantPolicy { tenant, limits, rules })
            .await?
        {
            Answer::TenantPolicy { policy } => Ok(*policy),
            _ => Ok(TenantPolicy::default()),
        }
    }

    /// The page of a form that was refused, as it was filled in.
    async fn policy_again(
        &self,
        by: &Visitor,
        tenant: String,
        notice: Notice,
        typed: &Fields,
    ) -> Response<Body> {
        self.policy_page(by, Some(tenant), Some(notice), Some(typed)).await
    }

    async fn policy_page(
        &self,
        by: &Visitor,
        tenant: Option<String>,
        notice: Option<Notice>,
        typed: Option<&Fields>,
    ) -> Response<Body> {
        let words = by.lang.words();
        let mut notice = notice;
        let is_bad = notice.as_ref().is_some_and(|notice| !notice.is_good);
        let mut code = if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK };
        let mut policy = None;
        if let Some(tenant) = &tenant {
            match self.policy_of(by, tenant).await {
                Ok(found) => policy = Some(found),
                Err(refused) => {
                    code = status(refused.why);
                    notice = Some(Notice::refused(words, refused));
                }
            }
        }
        let tenants = if by.may(Act::TenantList) { self.tenants(by).await } else { vec![] };
        let texts = policy.as_ref().map(|policy| Texts::of(policy, typed)).unwrap_or_default();
        if let (Some(policy), Some(typed)) = (&mut policy, typed) {
            *policy = form::kept(typed, policy);
        }
        page_with(
            code,
            &PolicyPage {
                chrome: Chrome::of(by, words.policy, "/policy").with(notice),
                texts,
                tenant,
                tenants,
                policy,
                may_limits: by.may(Act::TenantLimits),
                may_rules: by.may(Act::TenantRules),
                roles: Role::ALL,
            },
        )
    }
}

impl PolicyPage {
    /// Whether one role may call another.
    fn may_call(&self, policy: &TenantPolicy, role: &Role, other: &Role) -> bool {
        policy.rules.may_call.of(*role).include(*other)
    }

    /// The numbers among the limits: field, label, value.
    fn numbers(&self, limits: &TenantLimits) -> [(&'static str, &'static str, u32); 4] {
        let words = self.chrome.words;
        [
            ("accounts", words.p_accounts, limits.accounts),
            ("terminals", words.p_terminals, limits.terminals),
            ("calls", words.p_calls, limits.calls),
            ("rate", words.p_rate, limits.leg_rate_max_kbps),
        ]
    }
}
