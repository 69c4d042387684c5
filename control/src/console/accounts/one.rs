//! One account.

use super::super::chrome::{Chrome, Notice, page_with, status};
use super::super::fields::Fields;
use super::super::server::Console;
use super::super::visitor::Visitor;
use crate::accounts::{Account, OPERATORS, Standing};
use crate::admin::{Answer, Request, SessionRow, answer};
use crate::policy::Act;
use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use kakehashi_wire::terminal::Role;
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Template)]
#[template(path = "account.html")]
struct AccountPage {
    chrome: Chrome,
    tenant: String,
    account: Option<Account>,
    sessions: Vec<SessionRow>,
    /// A password that is seen this once.
    password: Option<Zeroizing<String>>,
    may_suspend: bool,
    may_change: bool,
    is_self: bool,
    /// It is of the operators' house.
    is_staff: bool,
    roles: &'static [Role],
}

/// An operator's role, and an observer's.
const STAFF_ROLES: [Role; 2] = [Role::TenantAdmin, Role::Supervisor];

impl AccountPage {
    /// What a role is called here.
    fn role(&self, role: &Role) -> &'static str {
        self.chrome.words.role_in(&self.tenant, role)
    }
}

/// What a page of one account is about.
pub(super) struct About {
    pub(super) tenant: String,
    pub(super) login: String,
}

impl About {
    /// What a form or a query says it is about.
    pub(super) fn of(visitor: &Visitor, fields: &Fields) -> Self {
        let tenant = visitor.tenant_of(fields.get("tenant")).unwrap_or_default();
        Self { tenant, login: fields.text("login") }
    }

    /// Where its page is, which says what was `done`.
    pub(super) fn path(&self, done: &str) -> String {
        let query = [("login", &*self.login), ("tenant", &*self.tenant), ("done", done)];
        format!("/accounts/one?{}", *Fields::query(&query))
    }
}

pub(super) async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let words = visitor.lang.words();
    let done = match query.get("done") {
        "suspended" => Some(words.is_suspended),
        "reactivated" => Some(words.reactivated),
        "role" => Some(words.role_changed),
        "second" => Some(words.second_was_reset),
        "device" => Some(words.device_suspended),
        _ => None,
    };
    let notice = match query.some("silent") {
        Some(relays) => Some(Notice::failed(words.relays_silent.replace("{}", &relays))),
        None => done.map(Notice::done),
    };
    shown(&console, &visitor, &About::of(&visitor, &query), notice, None).await
}

/// The page of an account, with something to say first.
pub(super) async fn shown(
    console: &Console,
    visitor: &Visitor,
    about: &About,
    notice: Option<Notice>,
    password: Option<Zeroizing<String>>,
) -> Response<Body> {
    let words = visitor.lang.words();
    let (mut notice, mut code) = (notice, StatusCode::OK);
    if notice.as_ref().is_some_and(|notice| !notice.is_good) {
        code = StatusCode::BAD_REQUEST;
    }
    let found = console.accounts_of(visitor, &about.tenant).await;
    let account = match found {
        Ok(rows) => {
            let account = rows.into_iter().find(|row| row.login == about.login);
            if account.is_none() {
                code = StatusCode::NOT_FOUND;
                notice = notice.or_else(|| Some(Notice::failed(words.refused_absent)));
            }
            account
        }
        Err(refused) => {
            code = status(refused.why);
            notice = Some(Notice::refused(words, refused));
            None
        }
    };
    let sessions = console.sessions_of(visitor, about).await;
    let is_self = visitor.grant.account.account
        == account.as_ref().map_or_else(|| kakehashi_wire::id::AccountId(0), |account| account.id);
    let path = about.path("");
    let is_staff = about.tenant == OPERATORS;
    let title = if is_staff { words.operators } else { words.accounts };
    let chrome = Chrome::of(visitor, title, &path).with(notice);
    page_with(
        code,
        &AccountPage {
            chrome: if is_staff { chrome.at("/operators") } else { chrome },
            is_staff,
            tenant: about.tenant.clone(),
            account,
            sessions,
            password,
            may_suspend: visitor.may(Act::AccountSuspend),
            may_change: visitor.may(Act::AccountPassword),
            is_self,
            roles: if is_staff { &STAFF_ROLES } else { &Role::ALL },
        },
    )
}

impl Console {
    async fn sessions_of(&self, visitor: &Visitor, about: &About) -> Vec<SessionRow> {
        if !visitor.may(Act::Sessions) || about.tenant == OPERATORS {
            return Vec::new();
        }
        let request = Request::Sessions { tenant: Some(about.tenant.clone()) };
        match answer(&self.service, &visitor.asker, request).await {
            Ok(Answer::Sessions { rows }) => {
                rows.into_iter().filter(|row| row.login == about.login).collect()
            }
            _ => Vec::new(),
        }
    }
}
