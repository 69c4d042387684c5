//! Pages that are to come: each says what will be there, and what serves until then.

use super::chrome::{Chrome, page, page_with};
use super::server::Console;
use super::visitor::Visitor;
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/reports", get(reports)).route("/updates", get(updates))
}

#[derive(Template)]
#[template(path = "soon.html")]
struct SoonPage {
    chrome: Chrome,
    text: &'static str,
}

async fn reports(by: Visitor) -> Response<Body> {
    let words = by.lang.words();
    let chrome = Chrome::of(&by, words.reports, "/reports");
    page(&SoonPage { chrome, text: words.reports_soon })
}

async fn updates(by: Visitor) -> Response<Body> {
    let words = by.lang.words();
    let chrome = Chrome::of(&by, words.updates, "/updates");
    if !by.may(Act::Relays) {
        let text = words.refused_not_allowed;
        return page_with(StatusCode::FORBIDDEN, &SoonPage { chrome, text });
    }
    page(&SoonPage { chrome, text: words.updates_soon })
}
