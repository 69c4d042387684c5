//! Calls of a tenant, live and ended: searched, shown one by one, given out as CSV.

mod filter;
mod one;

use super::chrome::{Chrome, Notice, page_with, status};
use super::csv_text;
use super::server::Console;
use super::visitor::{Asked, Visitor};
use super::words::Words;
use crate::admin::{Answer, CallRow, Refused, Request, answer};
use crate::capacity::{CONSOLE_PAGE_ROWS, CONSOLE_RECORDS_MAX};
use crate::clock::UnixMs;
use crate::records::{CallRecord, PartyRole};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::get;
use filter::Filter;
use kakehashi_wire::terminal::CallEnd;
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/records", get(show))
        .route("/records/one", get(one::show))
        .route("/records/export", get(export))
}

#[derive(Template)]
#[template(path = "records.html")]
struct RecordsPage {
    chrome: Chrome,
    tenant: Option<String>,
    tenants: Vec<String>,
    filter: Filter,
    rows: Vec<RecordView>,
    found: usize,
    /// Says how far back the search goes.
    window: String,
    page: usize,
    has_next: bool,
    reasons: [CallEnd; 12],
}

/// A call, as a row shows it.
struct RecordView {
    call: String,
    started: UnixMs,
    caller: String,
    others: String,
    desk: String,
    /// How long it went on; empty if it never did.
    lasted: String,
    state: &'static str,
    /// The state's class in the style sheet.
    kind: &'static str,
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let (tenant, filter) = (by.tenant_of(query.get("tenant")), Filter::of(&query));
    let (mut notice, mut code, mut rows) = (None, StatusCode::OK, Vec::new());
    if !filter.is_good() {
        code = StatusCode::BAD_REQUEST;
        notice = Some(Notice::failed(words.refused_wrong));
    } else if let Some(tenant) = &tenant {
        match console.records_of(&by, tenant).await {
            Ok(found) => rows = found,
            Err(refused) => {
                code = status(refused.why);
                notice = Some(Notice::refused(words, refused));
            }
        }
    }
    rows.retain(|row| filter.takes(&row.record));
    let (found, page) = (rows.len(), query.number("page").unwrap_or(0_usize));
    let first = page.saturating_mul(CONSOLE_PAGE_ROWS);
    let view = |row: &CallRow| RecordView::of(&row.record, words);
    let rows: Vec<_> = rows.iter().skip(first).take(CONSOLE_PAGE_ROWS).map(view).collect();
    let tenants = console.tenants(&by).await;
    page_with(
        code,
        &RecordsPage {
            chrome: Chrome::of(&by, words.records, "/records").with(notice),
            has_next: first.saturating_add(rows.len()) < found,
            tenant,
            tenants,
            filter,
            rows,
            found,
            window: words.records_window.replace("{}", &CONSOLE_RECORDS_MAX.to_string()),
            page,
            reasons: CallEnd::ALL,
        },
    )
}

/// The calls that are looked for, as CSV.
async fn export(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let (tenant, filter) = (by.tenant_of(query.get("tenant")), Filter::of(&query));
    let mut rows = match console.records_of(&by, &tenant.unwrap_or_default()).await {
        Ok(rows) => rows,
        Err(refused) => return (status(refused.why), refused.message).into_response(),
    };
    rows.retain(|row| filter.takes(&row.record));
    csv_text::file("calls.csv", as_csv(rows.iter().map(|row| &row.record)))
}

fn as_csv<'a>(records: impl Iterator<Item = &'a CallRecord>) -> Option<Vec<u8>> {
    let head = [
        "call",
        "started",
        "answered",
        "ended",
        "seconds",
        "caller",
        "others",
        "desk",
        "waited_ms",
        "reason",
    ];
    let time = |at: Option<UnixMs>| at.map(UnixMs::utc).unwrap_or_default();
    let row = |record: &CallRecord| {
        let seconds = lasted_ms(record).map(|ms| (ms / 1000).to_string());
        let (desk, waited) = match &record.desk {
            Some(desk) => (desk.last.clone(), desk.waited_ms.to_string()),
            None => Default::default(),
        };
        [
            record.call.to_string(),
            record.started.utc(),
            time(record.answered),
            time(record.ended),
            seconds.unwrap_or_default(),
            record.login(PartyRole::Caller).to_owned(),
            others(record),
            desk,
            waited,
            record.reason.map(CallEnd::name).unwrap_or_default().to_owned(),
        ]
    };
    csv_text::table(head, records.map(row))
}

/// Everybody in a call but the caller.
fn others(record: &CallRecord) -> String {
    let others = record.members.iter().filter(|member| member.role != PartyRole::Caller);
    others.map(|member| member.login.as_str()).collect::<Vec<_>>().join(", ")
}

/// How long a call went on that was answered and is over.
fn lasted_ms(record: &CallRecord) -> Option<u64> {
    Some(record.ended?.0.saturating_sub(record.answered?.0))
}

/// A time as `1:02:03` or `2:03`.
fn clock_of(ms: u64) -> String {
    let seconds = ms / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 {
        format!("{hours}:{minutes:02}:{seconds:02}")
    } else {
        format!("{minutes}:{seconds:02}")
    }
}

impl RecordView {
    fn of(record: &CallRecord, words: &'static Words) -> Self {
        let (state, kind) = match record.reason {
            Some(reason) if record.answered.is_some() => (words.call_end(&reason), "over"),
            Some(reason) => (words.call_end(&reason), "bad"),
            None => words.call_state(record.state),
        };
        Self {
            call: record.call.to_string(),
            started: record.started,
            caller: record.login(PartyRole::Caller).to_owned(),
            others: others(record),
            desk: record.desk.as_ref().map(|desk| desk.last.clone()).unwrap_or_default(),
            lasted: lasted_ms(record).map(clock_of).unwrap_or_default(),
            state,
            kind,
        }
    }
}

impl Console {
    /// The calls of a tenant, newest first: those that go on, and as many ended ones as are
    /// searched.
    async fn records_of(&self, by: &Visitor, tenant: &str) -> Result<Vec<CallRow>, Refused> {
        let request =
            Request::Calls { tenant: Some(tenant.to_owned()), ended: CONSOLE_RECORDS_MAX };
        match answer(&self.service, &by.asker, request).await? {
            Answer::Calls { mut live, ended } => {
                live.sort_by_key(|row| core::cmp::Reverse(row.record.started));
                live.extend(ended);
                Ok(live)
            }
            _ => Ok(Vec::new()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_as_people_read_them() {
        for (ms, text) in [(0, "0:00"), (61_999, "1:01"), (3_600_000, "1:00:00")] {
            assert_eq!(clock_of(ms), text);
        }
    }

    #[test]
    fn a_call_is_one_line_that_no_spreadsheet_runs() {
        let sample = CallRecord::sample("=a", "@b,c");
        let record = CallRecord { answered: Some(UnixMs(1_000)), ..sample };
        let record = record.ended(UnixMs(62_000), CallEnd::HungUp);
        let text = String::from_utf8(as_csv([&record].into_iter()).unwrap()).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with(&record.call.to_string()), "{line}");
        assert!(line.contains(",61,'=a,\"'@b,c\",,,hung_up"), "{line}");
    }
}
