//! Pages that are kept fresh: server-sent events (HTML Living Standard 9.2), each a part of a page
//! that has changed.

use super::fields::Fields;
use super::now::Part;
use super::server::Console;
use super::visitor::{Visitor, address, broken};
use crate::admin::Refused;
use crate::capacity::CONSOLE_REFRESH;
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, RawQuery, Request, State};
use axum::http::header::{CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use core::convert::Infallible;
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use tokio::time::{MissedTickBehavior, interval};

/// What these streams are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/live/{page}", get(listen))
}

/// A page that is kept fresh.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Page {
    Now,
    Fleet,
}

impl Page {
    fn named(name: &str) -> Option<Self> {
        match name {
            "now" => Some(Self::Now),
            "fleet" => Some(Self::Fleet),
            _ => None,
        }
    }
}

/// Every so many looks without news a line is sent, so that a browser that is gone is noticed.
const BEAT_EVERY: u32 = 10;

/// What is said to whoever is not signed in any more.
const OVER: &[u8] = b"event: over\ndata:\n\n";

async fn listen(
    State(console): State<Arc<Console>>,
    Path(page): Path<String>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response<Body> {
    let Some(page) = Page::named(&page) else { return StatusCode::NOT_FOUND.into_response() };
    let (parts, _) = request.into_parts();
    let Some(address) = address(&parts) else { return broken() };
    // A browser asks anew whenever the connection has ended, whether anybody sits there or not.
    let visitor = match console.onlooker(&parts.headers, address).await {
        Ok(Some(visitor)) => visitor,
        Ok(None) => return events(Body::from(OVER)),
        Err(response) => return response,
    };
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let tenant = visitor.tenant_of(query.get("tenant"));
    let Ok(place) = Arc::clone(&console.streams).try_acquire_owned() else {
        let mut full = StatusCode::SERVICE_UNAVAILABLE.into_response();
        full.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("30"));
        return full;
    };
    let (told, heard) = mpsc::channel(1);
    tokio::spawn(keep_fresh(console, visitor, (page, tenant), told, place));
    let stream = futures_util::stream::unfold(heard, async |mut heard| {
        heard.recv().await.map(|event| (Ok::<_, Infallible>(event), heard))
    });
    events(Body::from_stream(stream))
}

fn events(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let kind = HeaderValue::from_static("text/event-stream");
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}

/// Looks anew until nobody listens or the sign-in counts no more.
async fn keep_fresh(
    console: Arc<Console>,
    visitor: Visitor,
    (page, tenant): (Page, Option<String>),
    told: mpsc::Sender<Bytes>,
    _place: OwnedSemaphorePermit,
) {
    let mut sent: HashMap<&str, String> = HashMap::new();
    let mut ticks = interval(CONSOLE_REFRESH);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = 0;
    while !told.is_closed() {
        ticks.tick().await;
        if !console.still_counts(&visitor).await {
            let _gone = told.send(Bytes::from_static(OVER)).await;
            return;
        }
        let Ok(parts) = console.fresh(page, &visitor, tenant.as_deref()).await else {
            // The browser sees that nothing comes, says so, and asks anew.
            return;
        };
        silent += 1;
        for Part { id, html } in parts {
            if sent.get(id) == Some(&html) {
                continue;
            }
            silent = 0;
            let event = event(id, &html);
            sent.insert(id, html);
            if told.send(event).await.is_err() {
                return;
            }
        }
        if silent == BEAT_EVERY {
            silent = 0;
            if told.send(Bytes::from_static(b"event: beat\ndata:\n\n")).await.is_err() {
                return;
            }
        }
    }
}

/// A part as an event of its name: each line of it is one of data.
fn event(id: &str, html: &str) -> Bytes {
    let mut text = format!("event: part\nid: {id}\n");
    for line in html.split(['\n', '\r']) {
        text.push_str("data: ");
        text.push_str(line);
        text.push('\n');
    }
    text.push('\n');
    text.into()
}

impl Console {
    /// The parts of a page as they are by now.
    async fn fresh(
        &self,
        page: Page,
        visitor: &Visitor,
        tenant: Option<&str>,
    ) -> Result<Vec<Part>, Refused> {
        match page {
            Page::Now => self.parts(visitor, tenant, false).await,
            Page::Fleet => self.fleet_parts(visitor).await,
        }
    }

    /// Whether the sign-in of `visitor` counts still. Looking on is no use of it: it ends when
    /// nobody has done anything for long.
    async fn still_counts(&self, visitor: &Visitor) -> bool {
        let now = self.clock.now().since_start;
        if self.visits().look(visitor.token, now).is_none() {
            return false;
        }
        let current = self.service.accounts.current(visitor.grant.account).await;
        let epochs = visitor.grant.epochs;
        current.is_ok_and(|current| {
            current.is_some_and(|now| {
                (now.epochs.tenant, now.epochs.account) == (epochs.tenant, epochs.account)
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_is_one_event_whatever_it_holds() {
        let event = event("calls", "<p>a\r\nevent: over\n\ndata: x</p>");
        let text = std::str::from_utf8(&event).unwrap();
        assert_eq!(text.matches("\n\n").count(), 1, "{text}");
        assert!(
            text.lines().skip(2).filter(|it| !it.is_empty()).all(|it| it.starts_with("data: "))
        );
    }
}
