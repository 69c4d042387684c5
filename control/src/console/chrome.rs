//! What every page has around it: its language, who looks, and where else they may go.

use super::assets::{ICON, SCRIPT, STYLE};
use super::lang::Lang;
use super::visitor::Visitor;
use super::words::Words;
use crate::admin::{Refused, Why};
use crate::policy::Act;
use askama::Template;
use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;

/// A way to another page.
pub(super) struct Way {
    pub(super) path: &'static str,
    pub(super) label: &'static str,
    pub(super) is_here: bool,
}

/// What a page says first.
pub(super) struct Notice {
    /// It went as wished.
    pub(super) is_good: bool,
    /// In the language of the page.
    pub(super) text: String,
    /// The same as the log and the API say it; empty if there is nothing to add.
    pub(super) detail: String,
}

/// What is around a page.
pub(super) struct Chrome {
    pub(super) lang: Lang,
    pub(super) words: &'static Words,
    pub(super) title: &'static str,
    pub(super) ways: Vec<Way>,
    /// Who looks; nobody before they have signed in.
    pub(super) visitor: Option<Visitor>,
    pub(super) notice: Option<Notice>,
    /// Where the choice of a language leads back to.
    pub(super) here: String,
    pub(super) style: &'static str,
    pub(super) script: &'static str,
    pub(super) icon: &'static str,
}

/// Each page: its path, and what one may do who sees it.
fn pages(words: &'static Words) -> [(&'static str, &'static str, Act); 12] {
    [
        ("/now", words.now, Act::Calls),
        ("/records", words.records, Act::Calls),
        ("/accounts", words.accounts, Act::AccountList),
        ("/desks", words.desks, Act::DeskList),
        ("/policy", words.policy, Act::TenantPolicy),
        ("/tenants", words.tenants, Act::TenantList),
        ("/fleet", words.fleet, Act::Relays),
        ("/status", words.status, Act::Status),
        ("/audit", words.audit, Act::AuditList),
        ("/operators", words.operators, Act::TenantList),
        ("/reports", words.reports, Act::Calls),
        ("/updates", words.updates, Act::Relays),
    ]
}

/// Whether the page `here` belongs to the way that leads to `path`.
fn is_at(here: &str, path: &str) -> bool {
    here.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', '?']))
}

impl Chrome {
    /// Around a page for whoever has signed in; `here` is its path.
    pub(super) fn of(visitor: &Visitor, title: &'static str, here: &str) -> Self {
        let words = visitor.lang.words();
        let seen = pages(words).into_iter().filter(|(.., act)| visitor.may(*act));
        let ways = seen.map(|(path, label, _)| Way { path, label, is_here: is_at(here, path) });
        Self {
            ways: ways.collect(),
            visitor: Some(visitor.clone()),
            ..Self::bare(visitor.lang, title, here)
        }
    }

    /// The same of another way: a page that looks as another one, but is reached from here.
    pub(super) fn at(mut self, path: &str) -> Self {
        self.ways.iter_mut().for_each(|way| way.is_here = way.path == path);
        self
    }

    /// Around a page for anybody.
    pub(super) fn bare(lang: Lang, title: &'static str, here: &str) -> Self {
        Self {
            lang,
            words: lang.words(),
            title,
            ways: Vec::new(),
            visitor: None,
            notice: None,
            here: here.to_owned(),
            style: &STYLE.path,
            script: &SCRIPT.path,
            icon: &ICON.path,
        }
    }

    /// The same with something to say first.
    pub(super) fn with(self, notice: Option<Notice>) -> Self {
        Self { notice, ..self }
    }

    /// What each form of the page carries.
    pub(super) fn csrf(&self) -> &str {
        self.visitor.as_ref().map_or("", |visitor| &visitor.csrf)
    }
}

impl Notice {
    /// It was done.
    pub(super) fn done(text: impl Into<String>) -> Self {
        Self { is_good: true, text: text.into(), detail: String::new() }
    }

    /// It was not done.
    pub(super) fn failed(text: impl Into<String>) -> Self {
        Self { is_good: false, text: text.into(), detail: String::new() }
    }

    /// It was refused: the kind of reason in the page's language, the reason as every door says it.
    pub(super) fn refused(words: &'static Words, refused: Refused) -> Self {
        let text = match refused.why {
            Why::Wrong => words.refused_wrong,
            Why::NotAllowed => words.refused_not_allowed,
            Why::Absent => words.refused_absent,
            Why::Conflict => words.refused_conflict,
            Why::Busy => words.refused_busy,
            Why::Failed => words.refused_failed,
        };
        Self { is_good: false, text: text.to_owned(), detail: refused.message }
    }
}

/// A page, as it is sent.
pub(super) fn page(template: &impl Template) -> Response<Body> {
    page_with(StatusCode::OK, template)
}

/// The same with another status.
pub(super) fn page_with(status: StatusCode, template: &impl Template) -> Response<Body> {
    match template.render() {
        Ok(text) => {
            let mut response = (status, Body::from(text)).into_response();
            let html = HeaderValue::from_static("text/html; charset=utf-8");
            response.headers_mut().insert(CONTENT_TYPE, html);
            response
        }
        Err(error) => {
            tracing::error!(event = "console_page_failed", %error,
                "a console page could not be made");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The status of a page that tells of a refusal.
pub(super) const fn status(why: Why) -> StatusCode {
    match why {
        Why::Wrong => StatusCode::BAD_REQUEST,
        Why::NotAllowed => StatusCode::FORBIDDEN,
        Why::Absent => StatusCode::NOT_FOUND,
        Why::Conflict => StatusCode::CONFLICT,
        Why::Busy => StatusCode::SERVICE_UNAVAILABLE,
        Why::Failed => StatusCode::INTERNAL_SERVER_ERROR,
    }
}
