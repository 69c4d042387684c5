//! Operators with names of their own: listed and added. What is done to one is done on the page of
//! that account.

use super::chrome::{Chrome, Notice, page_with, status};
use super::server::Console;
use super::visitor::{Asked, Visitor};
use crate::accounts::{Account, OPERATORS, Standing};
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use kakehashi_wire::terminal::Role;
use std::sync::Arc;

/// What this page is at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/operators", get(show))
}

#[derive(Template)]
#[template(path = "operators.html")]
struct OperatorsPage {
    chrome: Chrome,
    rows: Vec<Account>,
    may_add: bool,
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    listed(&console, &asked.by).await
}

async fn listed(console: &Console, by: &Visitor) -> Response<Body> {
    let words = by.lang.words();
    let (rows, notice, code) = match console.accounts_of(by, OPERATORS).await {
        Ok(rows) if by.is_of_platform() => (rows, None, StatusCode::OK),
        Ok(_) => {
            let notice = Notice::failed(words.refused_not_allowed);
            (Vec::new(), Some(notice), StatusCode::FORBIDDEN)
        }
        Err(refused) => {
            let code = status(refused.why);
            (Vec::new(), Some(Notice::refused(words, refused)), code)
        }
    };
    let chrome = Chrome::of(by, words.operators, "/operators").with(notice);
    page_with(
        code,
        &OperatorsPage { chrome, rows, may_add: by.is_of_platform() && by.may(Act::AccountAdd) },
    )
}
