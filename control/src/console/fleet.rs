//! Relays and this node: what they run and do, and taking a relay out of use. Kept fresh.

use super::chrome::{Chrome, Notice, page_with, status};
use super::now::{Part, part};
use super::server::{Console, see};
use super::visitor::{Asked, Posted, Visitor};
use super::words::Words;
use crate::admin::{Answer, Refused, RelayRow, Request, StatusRow, answer};
use crate::capacity::CERTIFICATE_SOON;
use crate::clock::UnixMs;
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use kakehashi_log::millis;
use kakehashi_wire::id::RelayId;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/fleet", get(show)).route("/fleet/drain", post(drain))
}

#[derive(Template)]
#[template(path = "fleet.html")]
struct FleetPage {
    chrome: Chrome,
    parts: Vec<Part>,
}

#[derive(Template)]
#[template(path = "fleet_node.html")]
struct NodePart {
    words: &'static Words,
    row: StatusRow,
    now: UnixMs,
}

impl NodePart {
    fn ends_soon(&self, until: &UnixMs) -> bool {
        ends_soon(*until, self.now)
    }
}

#[derive(Template)]
#[template(path = "fleet_relays.html")]
struct RelaysPart {
    words: &'static Words,
    rows: Vec<RelayRow>,
    may_drain: bool,
    csrf: String,
    now: UnixMs,
}

impl RelaysPart {
    fn ends_soon(&self, until: &UnixMs) -> bool {
        ends_soon(*until, self.now)
    }
}

/// Whether a certificate is to be renewed.
fn ends_soon(until: UnixMs, now: UnixMs) -> bool {
    until.0.saturating_sub(now.0) < millis(CERTIFICATE_SOON)
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let done = match query.get("done") {
        "drained" => Some(words.drain_begun),
        "undrained" => Some(words.undrained),
        _ => None,
    };
    shown(&console, &by, done.map(Notice::done)).await
}

async fn shown(console: &Console, by: &Visitor, notice: Option<Notice>) -> Response<Body> {
    let words = by.lang.words();
    let is_bad = notice.as_ref().is_some_and(|notice| !notice.is_good);
    let code = if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let (parts, notice, code) = match console.fleet_parts(by).await {
        Ok(parts) => (parts, notice, code),
        Err(refused) => {
            let code = status(refused.why);
            (Vec::new(), Some(Notice::refused(words, refused)), code)
        }
    };
    let chrome = Chrome::of(by, words.fleet, "/fleet").with(notice);
    page_with(code, &FleetPage { chrome, parts })
}

async fn drain(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let relay = RelayId(fields.number("relay").unwrap_or_default());
    let on = fields.get("on") == "yes";
    match answer(&console.service, &by.asker, Request::RelayDrain { relay, on }).await {
        Ok(_) => see(if on { "/fleet?done=drained" } else { "/fleet?done=undrained" }),
        Err(refused) => shown(&console, &by, Some(Notice::refused(by.lang.words(), refused))).await,
    }
}

impl Console {
    /// The parts of the page, fresh.
    pub(super) async fn fleet_parts(&self, by: &Visitor) -> Result<Vec<Part>, Refused> {
        let words = by.lang.words();
        let ask = |request| answer(&self.service, &by.asker, request);
        let mut parts = Vec::new();
        let now = (self.service.now)();
        if let Answer::Status { row } = ask(Request::Status {}).await? {
            parts.push(part("node", &NodePart { words, row, now }));
        }
        if let Answer::Relays { mut rows } = ask(Request::Relays {}).await? {
            rows.sort_by(|a, b| (&a.site, a.id.0).cmp(&(&b.site, b.id.0)));
            for row in &mut rows {
                row.counters.retain(|(_, value)| *value > 0);
            }
            let (may_drain, csrf) = (by.may(Act::RelayDrain), by.csrf.to_string());
            parts.push(part("relays", &RelaysPart { words, rows, may_drain, csrf, now }));
        }
        Ok(parts)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_is_marked_a_month_before_its_end_and_after_it() {
        let day = 24 * 3600 * 1000;
        let now = UnixMs(1_000 * day);
        for (days, is_soon) in [(0, true), (999, true), (1_029, true), (1_030, false)] {
            assert_eq!(ends_soon(UnixMs(days * day), now), is_soon, "{days}");
        }
    }
}
