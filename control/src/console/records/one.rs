//! One call: who was in it, when, and how it was heard.

use super::super::chrome::{Chrome, Notice, page_with, status};
use super::super::fields::Fields;
use super::super::server::Console;
use super::super::visitor::Asked;
use super::{clock_of, lasted_ms};
use crate::records::{CallRecord, Quality};
use askama::Template;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use std::sync::Arc;

#[derive(Template)]
#[template(path = "record.html")]
struct RecordPage {
    chrome: Chrome,
    tenant: String,
    record: Option<CallRecord>,
    lasted: String,
    waited: String,
    /// Why it ended, or how far it has come.
    state: &'static str,
    kind: &'static str,
}

pub(super) async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let tenant = by.tenant_of(query.get("tenant")).unwrap_or_default();
    let call = query.text("call");
    let (mut notice, mut code) = (None, StatusCode::OK);
    let record = match console.records_of(&by, &tenant).await {
        Ok(rows) => {
            let found = rows.into_iter().find(|row| row.record.call.to_string() == call);
            if found.is_none() {
                code = StatusCode::NOT_FOUND;
                notice = Some(Notice::failed(words.refused_absent));
            }
            found.map(|row| row.record)
        }
        Err(refused) => {
            code = status(refused.why);
            notice = Some(Notice::refused(words, refused));
            None
        }
    };
    let (state, kind) = match &record {
        None => ("", ""),
        Some(record) => match record.reason {
            Some(reason) => (words.call_end(&reason), "over"),
            None => words.call_state(record.state),
        },
    };
    let waited = record.as_ref().and_then(|record| record.desk.as_ref());
    let here = format!("/records/one?{}", *Fields::query(&[("tenant", &tenant), ("call", &call)]));
    page_with(
        code,
        &RecordPage {
            chrome: Chrome::of(&by, words.one_call, &here).with(notice),
            lasted: record.as_ref().and_then(lasted_ms).map(clock_of).unwrap_or_default(),
            waited: waited.map(|desk| clock_of(desk.waited_ms)).unwrap_or_default(),
            tenant,
            record,
            state,
            kind,
        },
    )
}

impl RecordPage {
    /// Packets that never arrived, with their share.
    fn lost(&self, quality: &Quality) -> String {
        let due = quality.packets_received.saturating_add(quality.packets_lost);
        let share = per_mille(quality.packets_lost, due);
        format!("{} ({}.{}%)", quality.packets_lost, share / 10, share % 10)
    }

    /// Microseconds as milliseconds.
    fn millis(&self, micros: &u32) -> String {
        format!("{}.{} ms", micros / 1000, micros % 1000 / 100)
    }
}

/// The share of `part` in `whole`, in thousandths.
fn per_mille(part: u64, whole: u64) -> u64 {
    part.saturating_mul(1000).checked_div(whole).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_of_what_was_due() {
        assert_eq!((per_mille(0, 0), per_mille(1, 3), per_mille(5, 5)), (0, 333, 1000));
        assert_eq!(per_mille(u64::MAX, u64::MAX), 1);
    }
}
