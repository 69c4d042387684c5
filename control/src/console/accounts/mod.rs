//! A tenant's accounts: found, added, suspended, let in again.

mod acts;
mod many;
mod one;

use super::chrome::{Chrome, Notice, page_with, status};
use super::fields::Fields;
use super::server::Console;
use super::visitor::Visitor;
use crate::accounts::{Account, Standing};
use crate::admin::{Answer, Refused, Request, answer};
use crate::capacity::CONSOLE_PAGE_ROWS;
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use kakehashi_wire::terminal::Role;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/accounts", get(show))
        .route("/accounts/one", get(one::show))
        .route("/accounts/add", post(acts::add))
        .route("/accounts/suspend", post(acts::suspend))
        .route("/accounts/reactivate", post(acts::reactivate))
        .route("/accounts/password", post(acts::reset_password))
        .route("/accounts/second-factor", post(acts::reset_second))
        .route("/accounts/role", post(acts::change_role))
        .route("/accounts/import", post(many::import))
        .route("/accounts/export", get(many::export))
}

#[derive(Template)]
#[template(path = "accounts.html")]
struct AccountsPage {
    chrome: Chrome,
    /// The tenant's name, if one was chosen.
    tenant: Option<String>,
    /// Whom one may choose from.
    tenants: Vec<String>,
    search: String,
    rows: Vec<Account>,
    found: usize,
    page: usize,
    has_next: bool,
    may_change: bool,
    roles: [Role; 4],
}

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    listed(&console, &visitor, &query, None).await
}

/// The page with the accounts that are searched for.
async fn listed(
    console: &Console,
    visitor: &Visitor,
    query: &Fields,
    refused: Option<Notice>,
) -> Response<Body> {
    let words = visitor.lang.words();
    let tenant = visitor.tenant_of(query.get("tenant"));
    let (mut notice, mut code) = (refused, StatusCode::OK);
    if notice.is_some() {
        code = StatusCode::BAD_REQUEST;
    }
    let rows = match &tenant {
        None => Vec::new(),
        Some(tenant) => match console.accounts_of(visitor, tenant).await {
            Ok(rows) => rows,
            Err(refused) => {
                code = status(refused.why);
                notice = Some(Notice::refused(words, refused));
                Vec::new()
            }
        },
    };
    let search = query.text("q");
    let rows: Vec<_> = rows.into_iter().filter(|row| is_match(row, &search)).collect();
    let (found, page) = (rows.len(), query.number("page").unwrap_or(0_usize));
    let first = page.saturating_mul(CONSOLE_PAGE_ROWS);
    let rows: Vec<_> = rows.into_iter().skip(first).take(CONSOLE_PAGE_ROWS).collect();
    let tenants = console.tenants(visitor).await;
    page_with(
        code,
        &AccountsPage {
            chrome: Chrome::of(visitor, words.accounts, "/accounts").with(notice),
            has_next: first + rows.len() < found,
            tenant,
            tenants,
            search,
            rows,
            found,
            page,
            may_change: visitor.may(Act::AccountAdd),
            roles: Role::ALL,
        },
    )
}

/// Whether a login ID or a name holds what is searched for, whatever its case.
fn is_match(account: &Account, search: &str) -> bool {
    let search = search.to_lowercase();
    [&account.login, &account.display].iter().any(|text| text.to_lowercase().contains(&search))
}

impl Console {
    /// The accounts of a tenant, as far as the visitor may see them.
    pub(super) async fn accounts_of(
        &self,
        visitor: &Visitor,
        tenant: &str,
    ) -> Result<Vec<Account>, Refused> {
        let request = Request::AccountList { tenant: tenant.to_owned() };
        match answer(&self.service, &visitor.asker, request).await? {
            Answer::Accounts { rows } => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }
}
