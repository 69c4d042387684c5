//! Tenants: listed, added, suspended, let in again. For operators.

use super::chrome::{Chrome, Notice, page_with, status};
use super::server::{Console, see};
use super::visitor::{Asked, Posted, Visitor};
use crate::accounts::{Standing, Subject, Tenant};
use crate::admin::{Answer, Refused, Request, answer};
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use std::collections::HashMap;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/tenants", get(show))
        .route("/tenants/add", post(add))
        .route("/tenants/suspend", post(suspend))
        .route("/tenants/reactivate", post(reactivate))
}

#[derive(Template)]
#[template(path = "tenants.html")]
struct TenantsPage {
    chrome: Chrome,
    rows: Vec<Row>,
    may_add: bool,
    may_suspend: bool,
}

/// A tenant, and what goes on there.
struct Row {
    tenant: Tenant,
    sessions: usize,
    calls: usize,
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let done = match query.get("done") {
        "added" => Some(words.tenant_added),
        "suspended" => Some(words.tenant_suspended),
        "reactivated" => Some(words.tenant_reactivated),
        _ => None,
    };
    listed(&console, &by, done.map(Notice::done), StatusCode::OK).await
}

async fn listed(
    console: &Console,
    by: &Visitor,
    notice: Option<Notice>,
    code: StatusCode,
) -> Response<Body> {
    let words = by.lang.words();
    let (rows, notice, code) = match console.tenant_rows(by).await {
        Ok(rows) => (rows, notice, code),
        Err(refused) => {
            let code = status(refused.why);
            (Vec::new(), Some(Notice::refused(words, refused)), code)
        }
    };
    let chrome = Chrome::of(by, words.tenants, "/tenants").with(notice);
    let (may_add, may_suspend) = (by.may(Act::TenantAdd), by.may(Act::TenantSuspend));
    page_with(code, &TenantsPage { chrome, rows, may_add, may_suspend })
}

async fn add(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let request = Request::TenantAdd { name: fields.text("tenant"), accounts: None };
    told(&console, &by, request, "added").await
}

async fn suspend(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let subject = Subject::Tenant { tenant: fields.text("tenant") };
    let request = Request::Suspend { subject, reason: fields.some("reason") };
    told(&console, &by, request, "suspended").await
}

async fn reactivate(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let subject = Subject::Tenant { tenant: fields.text("tenant") };
    told(&console, &by, Request::Reactivate { subject }, "reactivated").await
}

async fn told(console: &Console, by: &Visitor, request: Request, done: &str) -> Response<Body> {
    match answer(&console.service, &by.asker, request).await {
        Ok(_) => see(&format!("/tenants?done={done}")),
        Err(refused) => {
            let code = status(refused.why);
            listed(console, by, Some(Notice::refused(by.lang.words(), refused)), code).await
        }
    }
}

impl Console {
    /// All tenants with what goes on there: two looks for all of them.
    async fn tenant_rows(&self, by: &Visitor) -> Result<Vec<Row>, Refused> {
        let ask = |request| answer(&self.service, &by.asker, request);
        let tenants = match ask(Request::TenantList {}).await? {
            Answer::Tenants { rows } => rows,
            _ => Vec::new(),
        };
        let (mut sessions, mut calls) = (HashMap::new(), HashMap::new());
        if let Answer::Sessions { rows } = ask(Request::Sessions { tenant: None }).await? {
            rows.iter().for_each(|row| *sessions.entry(row.tenant).or_insert(0_usize) += 1);
        }
        if let Answer::Calls { live, .. } = ask(Request::Calls { tenant: None, ended: 0 }).await? {
            live.iter().for_each(|row| *calls.entry(row.record.tenant).or_insert(0_usize) += 1);
        }
        let row = |tenant: Tenant| {
            let of = |counts: &HashMap<_, usize>| counts.get(&tenant.id).copied().unwrap_or(0);
            Row { sessions: of(&sessions), calls: of(&calls), tenant }
        };
        Ok(tenants.into_iter().map(row).collect())
    }
}
