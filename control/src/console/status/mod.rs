//! How the platform looks from outside: the last rounds of a probe.

mod probe;

use super::chrome::{Chrome, Notice, page_with};
use super::server::Console;
use super::visitor::Visitor;
use crate::capacity::CONSOLE_STATUS_BYTES_MAX;
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::get;
use probe::{Probe, Round, Way};
use std::sync::Arc;

/// What this page is at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/status", get(show))
}

#[derive(Template)]
#[template(path = "status.html")]
struct StatusPage {
    chrome: Chrome,
    /// A probe's file is named in the settings.
    is_set: bool,
    is_old: bool,
    /// The newest first; none if there is no probe, or nothing could be read.
    rounds: Vec<Round>,
}

async fn show(State(console): State<Arc<Console>>, by: Visitor) -> Response<Body> {
    let words = by.lang.words();
    let chrome = |notice| Chrome::of(&by, words.status, "/status").with(notice);
    let nothing = |chrome, is_set| StatusPage { chrome, is_set, is_old: false, rounds: Vec::new() };
    if !by.may(Act::Status) {
        let notice = Some(Notice::failed(words.refused_not_allowed));
        return page_with(StatusCode::FORBIDDEN, &nothing(chrome(notice), true));
    }
    let path = &console.probe_status;
    if path.as_os_str().is_empty() {
        return page_with(StatusCode::OK, &nothing(chrome(None), false));
    }
    match Probe::read(path, CONSOLE_STATUS_BYTES_MAX).await {
        Ok(probe) => {
            let is_old = probe.is_old((console.service.now)());
            let rounds = probe.rounds.into_iter().rev().collect();
            let page = StatusPage { chrome: chrome(None), is_set: true, is_old, rounds };
            page_with(StatusCode::OK, &page)
        }
        Err(error) => {
            let detail = format!("{}: {error}", path.display());
            let notice = Notice { detail, ..Notice::failed(words.status_unreadable) };
            page_with(StatusCode::OK, &nothing(chrome(Some(notice)), true))
        }
    }
}

impl StatusPage {
    /// Milliseconds with one decimal; nothing if there are none.
    fn millis(&self, ms: &Option<f64>) -> String {
        ms.map(|ms| format!("{ms:.1} ms")).unwrap_or_default()
    }

    /// A share of packets as a percentage; nothing if none was sent.
    fn loss(&self, way: &Option<Way>) -> String {
        way.as_ref().map(|way| format!("{:.1}%", way.loss_ratio * 100.0)).unwrap_or_default()
    }
}
