//! The audit log: read from its end, searched, given out as CSV, and verified.

use super::chrome::{Chrome, Notice, page_with, status};
use super::csv_text;
use super::fields::Fields;
use super::server::Console;
use super::visitor::{Asked, Posted, Visitor};
use crate::admin::{Answer, Refused, Request, answer};
use crate::audit::{AuditRecord, Digest, Head, Outcome, Verdict};
use crate::capacity::{CONSOLE_AUDIT_ROWS, CONSOLE_VERIFY_STEPS};
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/audit", get(show))
        .route("/audit/verify", post(verify))
        .route("/audit/export", get(export))
}

#[derive(Template)]
#[template(path = "audit.html")]
struct AuditPage {
    chrome: Chrome,
    filter: Filter,
    filter_help: String,
    rows: Vec<AuditRecord>,
    /// The record before which the next page begins, if there is one.
    older: Option<u64>,
    may_verify: bool,
    verdict: Option<VerdictView>,
}

/// What a verification found, as it is shown.
struct VerdictView {
    verdict: Verdict,
    text: String,
}

/// Which records are looked for, among those before a number.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
struct Filter {
    before: Option<u64>,
    /// Part of the name of the act.
    act: String,
    /// Part of who acted, or from where.
    actor: String,
    /// Part of the tenant's name.
    tenant: String,
}

impl Filter {
    fn of(query: &Fields) -> Self {
        Self {
            before: query.number("before"),
            act: query.text("act"),
            actor: query.text("actor"),
            tenant: query.text("tenant"),
        }
    }

    /// The same as a query, before another record.
    fn query(&self, before: Option<u64>) -> String {
        let before = before.map(|before| before.to_string()).unwrap_or_default();
        let own = [("act", &*self.act), ("actor", &*self.actor), ("tenant", &*self.tenant)];
        Fields::query(&[&[("before", &*before)], &own[..]].concat()).to_string()
    }

    fn takes(&self, record: &AuditRecord) -> bool {
        let has = |text: &str, part: &str| text.to_lowercase().contains(&part.to_lowercase());
        let by = has(record.actor.as_str(), &self.actor) || has(record.from.as_str(), &self.actor);
        has(record.act.as_str(), &self.act) && by && has(record.tenant.as_str(), &self.tenant)
    }
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    shown(&console, &asked.by, Filter::of(&asked.query), None).await
}

async fn shown(
    console: &Console,
    by: &Visitor,
    filter: Filter,
    verdict: Option<Result<Verdict, Refused>>,
) -> Response<Body> {
    let words = by.lang.words();
    let (mut notice, mut code) = (None, StatusCode::OK);
    let mut told = |refused: Refused| {
        code = status(refused.why);
        notice = Some(Notice::refused(words, refused));
    };
    let verdict = match verdict {
        Some(Ok(verdict)) => Some(VerdictView::of(verdict, by)),
        Some(Err(refused)) => {
            told(refused);
            None
        }
        None => None,
    };
    let mut rows = Vec::new();
    match console.audit_rows(by, filter.before).await {
        Ok(found) => rows = found,
        Err(refused) => told(refused),
    }
    let older = rows.last().map(|record| record.seq).filter(|seq| *seq > 1);
    rows.retain(|record| filter.takes(record));
    let filter_help = words.audit_filter_help.replace("{}", &CONSOLE_AUDIT_ROWS.to_string());
    let chrome = Chrome::of(by, words.audit, "/audit").with(notice);
    let may_verify = by.may(Act::AuditVerify);
    page_with(code, &AuditPage { chrome, filter, filter_help, rows, older, may_verify, verdict })
}

/// Follows the chain from its beginning, or from where a page before came to.
async fn verify(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let from = known(&fields).unwrap_or(Head::START);
    let found = console.verified(&by, from).await;
    shown(&console, &by, Filter::default(), Some(found)).await
}

/// The record that is known to be right, as a form says it.
fn known(fields: &Fields) -> Option<Head> {
    let hash: Digest = fields.get("hash").parse().ok()?;
    Some(Head { seq: fields.number("seq")?, hash })
}

async fn export(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let filter = Filter::of(&query);
    match console.audit_rows(&by, filter.before).await {
        Ok(mut rows) => {
            rows.retain(|record| filter.takes(record));
            csv_text::file("audit.csv", as_csv(&rows))
        }
        Err(refused) => (status(refused.why), refused.message).into_response(),
    }
}

fn as_csv(rows: &[AuditRecord]) -> Option<Vec<u8>> {
    let head = [
        "record", "at", "actor", "from", "act", "tenant", "target", "outcome", "detail", "times",
        "hash",
    ];
    let row = |record: &AuditRecord| {
        [
            record.seq.to_string(),
            record.at.utc(),
            record.actor.to_string(),
            record.from.to_string(),
            record.act.to_string(),
            record.tenant.to_string(),
            record.target.to_string(),
            record.outcome.name().to_owned(),
            record.detail.to_string(),
            record.times.to_string(),
            record.hash.to_string(),
        ]
    };
    csv_text::table(head, rows.iter().map(row))
}

impl VerdictView {
    fn of(verdict: Verdict, by: &Visitor) -> Self {
        let words = by.lang.words();
        let text = match verdict.broken {
            Some(broken) => words.broken_at.replace("{}", &broken.seq.to_string()),
            None => words.intact_help.replace("{}", &verdict.head.seq.to_string()),
        };
        Self { verdict, text }
    }
}

impl Console {
    /// The records that one page searches.
    async fn audit_rows(
        &self,
        by: &Visitor,
        before: Option<u64>,
    ) -> Result<Vec<AuditRecord>, Refused> {
        let request = Request::AuditList { before, limit: CONSOLE_AUDIT_ROWS };
        match answer(&self.service, &by.asker, request).await? {
            Answer::Audit { rows } => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// What is found from `from` on, in some steps.
    async fn verified(&self, by: &Visitor, from: Head) -> Result<Verdict, Refused> {
        let mut found = Verdict { head: from, broken: None, more: true, archived: None };
        for _ in 0..CONSOLE_VERIFY_STEPS {
            let request = Request::AuditVerify { from: found.head };
            match answer(&self.service, &by.asker, request).await? {
                Answer::AuditVerdict { verdict } => found = verdict,
                _ => break,
            }
            if !found.more {
                break;
            }
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::audit::Plain;
    use crate::clock::UnixMs;

    fn record() -> AuditRecord {
        AuditRecord {
            seq: 7,
            at: UnixMs(0),
            actor: Plain::of("account"),
            from: Plain::of("boss 192.0.2.1:4433"),
            act: Plain::of("account_add"),
            tenant: Plain::of("shop"),
            target: Plain::of("=anna"),
            outcome: Outcome::Refused,
            detail: Plain::of("why, not"),
            times: 1,
            begun: None,
            previous: Digest([0; 32]),
            hash: Digest([1; 32]),
        }
    }

    #[test]
    fn filters_look_at_act_actor_and_tenant() {
        for (query, is_taken) in [
            ("", true),
            ("act=account", true),
            ("act=desk", false),
            ("actor=Boss", true),
            ("actor=192.0.2.1", true),
            ("actor=account", true),
            ("actor=operator", false),
            ("tenant=sho", true),
            ("tenant=bank", false),
            ("act=account&tenant=bank", false),
        ] {
            let filter = Filter::of(&Fields::parse(query.as_bytes()));
            assert_eq!(filter.takes(&record()), is_taken, "{query}");
        }
        let filter = Filter::of(&Fields::parse(b"before=9&act=a%26b&actor=x"));
        let again = Filter::of(&Fields::parse(filter.query(filter.before).as_bytes()));
        assert_eq!((again, filter.before), (filter.clone(), Some(9)));
    }

    #[test]
    fn a_record_is_one_line_that_no_spreadsheet_runs() {
        let text = String::from_utf8(as_csv(&[record()]).unwrap()).unwrap();
        let line = text.lines().nth(1).unwrap();
        assert!(line.starts_with("7,1970-01-01 00:00:00,account,boss 192.0.2.1:4433,"), "{line}");
        assert!(line.contains(",shop,'=anna,refused,\"why, not\",1,0101"), "{line}");
    }

    #[test]
    fn where_to_go_on_is_a_number_and_a_hash() {
        let hash = Digest([3; 32]);
        let read = |text: String| known(&Fields::parse(text.as_bytes()));
        assert_eq!(read(format!("seq=5&hash={hash}")), Some(Head { seq: 5, hash }));
        for bad in ["", "seq=5", "seq=5&hash=zz", "seq=-1&hash=00"] {
            assert_eq!(read(bad.to_owned()), None, "{bad}");
        }
    }
}
