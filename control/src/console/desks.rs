//! A tenant's desks: listed, added, changed, removed.

use super::chrome::{Chrome, Notice, page_with, status};
use super::fields::Fields;
use super::server::{Console, see};
use super::visitor::{Asked, Posted, Visitor};
use super::words::Words;
use crate::admin::{Answer, Refused, Request, answer};
use crate::desks::{Desk, DeskChange, Overflow, OverflowChange, RingOrder};
use crate::policy::Act;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use std::sync::Arc;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/desks", get(show))
        .route("/desks/one", get(one))
        .route("/desks/add", post(add))
        .route("/desks/change", post(change))
        .route("/desks/remove", post(remove))
}

#[derive(Template)]
#[template(path = "desks.html")]
struct DesksPage {
    chrome: Chrome,
    tenant: Option<String>,
    tenants: Vec<String>,
    rows: Vec<Desk>,
    may_add: bool,
    /// What the form for another one begins with.
    desk: Desk,
    orders: Vec<Order>,
}

#[derive(Template)]
#[template(path = "desk.html")]
struct DeskPage {
    chrome: Chrome,
    tenant: String,
    desk: Option<Desk>,
    may_change: bool,
    may_remove: bool,
    orders: Vec<Order>,
}

/// An order in which agents ring: its name in forms, and what it is called.
struct Order {
    order: RingOrder,
    name: &'static str,
    label: &'static str,
}

fn orders(words: &'static Words) -> Vec<Order> {
    let order = |order, name, label| Order { order, name, label };
    vec![
        order(RingOrder::LongestIdle, "longest-idle", words.longest_idle),
        order(RingOrder::RoundRobin, "round-robin", words.round_robin),
        order(RingOrder::RingAll, "ring-all", words.ring_all),
    ]
}

/// What a form wishes a desk to be; numbers that are none are named.
fn read(fields: &Fields, words: &'static Words) -> Result<DeskChange, Notice> {
    let number = |name: &str, label: &str| match fields.get(name).trim() {
        "" => Ok(None),
        text => text.parse().map(Some).map_err(|_| {
            let detail = text.to_owned();
            Notice { detail, ..Notice::failed(format!("{} {label}", words.bad_number)) }
        }),
    };
    let agents = fields.get("agents").lines().map(str::trim).filter(|line| !line.is_empty());
    let after = number("overflow-after", words.overflow_after_s)?;
    let overflow = match fields.some("overflow") {
        None => OverflowChange::Nowhere {},
        Some(desk) => OverflowChange::To(Overflow { desk, after_s: after.unwrap_or(60) }),
    };
    let order = orders(words).into_iter().find(|order| order.name == fields.get("order"));
    Ok(DeskChange {
        agents: Some(agents.map(str::to_owned).collect()),
        order: order.map(|order| order.order),
        queue_max: number("queue", words.queue_max)?,
        ring_s: number("ring", words.ring_s)?,
        wrap_up_s: number("wrap-up", words.wrap_up_s)?,
        wait_max_s: number("wait", words.wait_max_s)?,
        overflow: Some(overflow),
        announce: Some(fields.is_ticked("announce")),
    })
}

async fn show(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let words = by.lang.words();
    let done = match query.get("done") {
        "added" => Some(words.desk_added),
        "removed" => Some(words.desk_removed),
        _ => None,
    };
    listed(&console, &by, by.tenant_of(query.get("tenant")), done.map(Notice::done)).await
}

async fn listed(
    console: &Console,
    by: &Visitor,
    tenant: Option<String>,
    notice: Option<Notice>,
) -> Response<Body> {
    let words = by.lang.words();
    let is_bad = notice.as_ref().is_some_and(|notice| !notice.is_good);
    let mut code = if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let (mut notice, mut rows) = (notice, Vec::new());
    if let Some(tenant) = &tenant {
        match console.desks_of(by, tenant).await {
            Ok(found) => rows = found,
            Err(refused) => {
                code = status(refused.why);
                notice = Some(Notice::refused(words, refused));
            }
        }
    }
    let tenants = console.tenants(by).await;
    page_with(
        code,
        &DesksPage {
            chrome: Chrome::of(by, words.desks, "/desks").with(notice),
            tenant,
            tenants,
            rows,
            may_add: by.may(Act::DeskAdd),
            desk: Desk::new(String::new()),
            orders: orders(words),
        },
    )
}

async fn one(State(console): State<Arc<Console>>, asked: Asked) -> Response<Body> {
    let Asked { by, query } = asked;
    let tenant = by.tenant_of(query.get("tenant")).unwrap_or_default();
    let words = by.lang.words();
    let notice = (query.get("done") == "changed").then(|| Notice::done(words.desk_changed));
    shown(&console, &by, (&tenant, query.get("desk")), notice).await
}

async fn shown(
    console: &Console,
    by: &Visitor,
    (tenant, name): (&str, &str),
    notice: Option<Notice>,
) -> Response<Body> {
    let words = by.lang.words();
    let is_bad = notice.as_ref().is_some_and(|notice| !notice.is_good);
    let mut code = if is_bad { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let mut notice = notice;
    let desk = match console.desks_of(by, tenant).await {
        Ok(rows) => rows.into_iter().find(|desk| desk.name == name),
        Err(refused) => {
            code = status(refused.why);
            notice = Some(Notice::refused(words, refused));
            None
        }
    };
    if desk.is_none() && notice.is_none() {
        code = StatusCode::NOT_FOUND;
        notice = Some(Notice::failed(words.refused_absent));
    }
    page_with(
        code,
        &DeskPage {
            chrome: Chrome::of(by, words.desk, &path("/desks/one", tenant, name, "")).with(notice),
            tenant: tenant.to_owned(),
            desk,
            may_change: by.may(Act::DeskSet),
            may_remove: by.may(Act::DeskRemove),
            orders: orders(words),
        },
    )
}

fn path(page: &str, tenant: &str, desk: &str, done: &str) -> String {
    format!("{page}?{}", *Fields::query(&[("desk", desk), ("tenant", tenant), ("done", done)]))
}

async fn add(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let tenant = by.tenant_of(fields.get("tenant")).unwrap_or_default();
    let read = read(&fields, by.lang.words());
    let added = match read {
        Err(notice) => Err(notice),
        Ok(change) => {
            let (tenant, desk) = (tenant.clone(), fields.text("desk"));
            console.told(&by, Request::DeskAdd { tenant, desk, change }).await
        }
    };
    match added {
        Ok(()) => see(&path("/desks", &tenant, "", "added")),
        Err(notice) => listed(&console, &by, Some(tenant), Some(notice)).await,
    }
}

async fn change(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let tenant = by.tenant_of(fields.get("tenant")).unwrap_or_default();
    let (read, desk) = (read(&fields, by.lang.words()), fields.text("desk"));
    let changed = match read {
        Err(notice) => Err(notice),
        Ok(change) => {
            let (tenant, desk) = (tenant.clone(), desk.clone());
            console.told(&by, Request::DeskSet { tenant, desk, change }).await
        }
    };
    match changed {
        Ok(()) => see(&path("/desks/one", &tenant, &desk, "changed")),
        Err(notice) => shown(&console, &by, (&tenant, &desk), Some(notice)).await,
    }
}

async fn remove(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let tenant = by.tenant_of(fields.get("tenant")).unwrap_or_default();
    let request = Request::DeskRemove { tenant: tenant.clone(), desk: fields.text("desk") };
    match console.told(&by, request).await {
        Ok(()) => see(&path("/desks", &tenant, "", "removed")),
        Err(notice) => listed(&console, &by, Some(tenant), Some(notice)).await,
    }
}

impl Console {
    async fn desks_of(&self, by: &Visitor, tenant: &str) -> Result<Vec<Desk>, Refused> {
        let request = Request::DeskList { tenant: tenant.to_owned() };
        match answer(&self.service, &by.asker, request).await? {
            Answer::Desks { rows } => Ok(rows),
            _ => Ok(Vec::new()),
        }
    }

    /// Has something done; else what to say about that.
    async fn told(&self, by: &Visitor, request: Request) -> Result<(), Notice> {
        let answered = answer(&self.service, &by.asker, request).await;
        answered.map(drop).map_err(|refused| Notice::refused(by.lang.words(), refused))
    }
}

#[cfg(test)]
mod tests {
    use super::super::words::EN;
    use super::*;

    #[test]
    fn a_form_says_what_a_desk_is_to_be() {
        let text = "agents=anna%0D%0A%20ben%0D%0A%0D%0A&order=ring-all&queue=7&ring=20&wrap-up=0\
            &wait=300&overflow=second&overflow-after=90&announce=on";
        let Ok(change) = read(&Fields::parse(text.as_bytes()), &EN) else { panic!("{text}") };
        let overflow = Overflow { desk: "second".into(), after_s: 90 };
        assert_eq!(
            change,
            DeskChange {
                agents: Some(vec!["anna".into(), "ben".into()]),
                order: Some(RingOrder::RingAll),
                queue_max: Some(7),
                ring_s: Some(20),
                wrap_up_s: Some(0),
                wait_max_s: Some(300),
                overflow: Some(OverflowChange::To(overflow)),
                announce: Some(true),
            }
        );
    }

    #[test]
    fn what_is_left_empty_stays_or_is_nothing_and_words_are_no_numbers() {
        let Ok(change) = read(&Fields::parse(b"queue=&overflow="), &EN) else { panic!("empty") };
        assert_eq!((change.queue_max, change.order), (None, None));
        assert_eq!(change.overflow, Some(OverflowChange::Nowhere {}));
        assert_eq!((change.agents, change.announce), (Some(vec![]), Some(false)));
        for bad in ["queue=many", "ring=-1", "wait=1.5", "overflow=x&overflow-after=soon"] {
            let Err(notice) = read(&Fields::parse(bad.as_bytes()), &EN) else { panic!("{bad}") };
            assert!(!notice.is_good && notice.text.starts_with(EN.bad_number), "{bad}");
        }
    }
}
