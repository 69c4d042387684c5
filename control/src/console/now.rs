//! What goes on now: calls, terminals, desks, relays. The page is made of parts; each is sent anew
//! when it has changed.

use super::chrome::{Chrome, Notice, page, status};
use super::fields::Fields;
use super::floor::DesksPart;
use super::lang::Lang;
use super::plot::{self, Map};
use super::server::{Console, see};
use super::visitor::{Posted, Visitor};
use super::words::Words;
use crate::admin::{
    Answer, CallRow, MemberQuality, Refused, RelayRow, Request, SessionRow, answer, answer_again,
};
use crate::calls::QualitySample;
use crate::capacity::{CONSOLE_PAGE_ROWS, CONSOLE_REFRESH};
use crate::clock::UnixMs;
use crate::policy::Act;
use crate::records::{PartyRole, RecordState};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use axum::routing::{get, post};
use kakehashi_wire::id::{CallId, DeviceId, TenantId};
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/now", get(show)).route("/now/end-call", post(end_call))
}

/// A part of a page that is kept fresh.
pub(super) struct Part {
    /// Its element.
    pub(super) id: &'static str,
    /// What is in it.
    pub(super) html: String,
}

#[derive(Template)]
#[template(path = "now.html")]
struct NowPage {
    chrome: Chrome,
    parts: Vec<Part>,
    tenant: String,
    tenants: Vec<String>,
    stream: String,
}

#[derive(Template)]
#[template(path = "now_tiles.html")]
struct Tiles {
    words: &'static Words,
    calls: usize,
    queued: usize,
    terminals: usize,
    waiting: usize,
    relays: Option<(usize, usize)>,
}

#[derive(Template)]
#[template(path = "now_map.html")]
struct MapPart {
    words: &'static Words,
    map: Map,
    relays: Vec<RelayRow>,
}

#[derive(Template)]
#[template(path = "now_calls.html")]
struct CallsPart {
    words: &'static Words,
    calls: Vec<CallView>,
    more: usize,
    may_end: bool,
    csrf: String,
    of_platform: bool,
}

#[derive(Template)]
#[template(path = "now_terminals.html")]
struct TerminalsPart {
    words: &'static Words,
    rows: Vec<SessionRow>,
    more: usize,
    of_platform: bool,
}

/// A call, as it is shown.
struct CallView {
    id: String,
    tenant: String,
    caller: String,
    others: String,
    desk: String,
    state: &'static str,
    kind: &'static str,
    started: UnixMs,
    relays: String,
    quality: Vec<QualityView>,
}

/// How a call's media arrived at one member lately.
struct QualityView {
    login: String,
    /// Of the newest sample: a share in percent, and milliseconds.
    loss: String,
    jitter: String,
    round_trip: String,
    /// The same over time.
    losses: String,
    jitters: String,
    round_trips: String,
}

/// What the page is made of.
struct Seen {
    calls: Vec<CallRow>,
    sessions: Vec<SessionRow>,
    relays: Option<Vec<RelayRow>>,
}

/// What was seen last, for all who look at the same: however many they are, the core is asked once.
#[derive(Default)]
pub(super) struct Looks(Mutex<HashMap<Scope, (Duration, Arc<Seen>)>>);

/// A tenant or all of them, with relays or without.
type Scope = (Option<String>, bool);

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let ended = (!query.get("ended").is_empty()).then(|| visitor.lang.words().call_ended);
    let notice = ended.map(Notice::done);
    shown(&console, &visitor, query.get("tenant"), notice).await
}

async fn shown(
    console: &Console,
    visitor: &Visitor,
    tenant: &str,
    notice: Option<Notice>,
) -> Response<Body> {
    let words = visitor.lang.words();
    let tenant = visitor.tenant_of(tenant);
    let chrome = Chrome::of(visitor, words.now, "/now");
    let (parts, notice) = match console.parts(visitor, tenant.as_deref(), true).await {
        Ok(parts) => (parts, notice),
        Err(refused) => (Vec::new(), Some(Notice::refused(words, refused))),
    };
    let tenants = console.tenants(visitor).await;
    let tenant = tenant.filter(|_| visitor.is_of_platform()).unwrap_or_default();
    let stream = format!("/live/now?{}", *Fields::query(&[("tenant", &tenant)]));
    page(&NowPage { chrome: chrome.with(notice), parts, tenant, tenants, stream })
}

async fn end_call(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let call = u64::from_str_radix(fields.get("call"), 16).unwrap_or_default();
    let request = Request::CallEnd { tenant: by.tenant.clone(), call: CallId(call) };
    match answer(&console.service, &by.asker, request).await {
        Ok(_) => see("/now?ended=1"),
        Err(refused) => {
            let code = status(refused.why);
            let notice = Notice::refused(by.lang.words(), refused);
            let mut page = shown(&console, &by, "", Some(notice)).await;
            *page.status_mut() = code;
            page
        }
    }
}

impl Console {
    /// The names of all tenants, for whoever may see them; none for others.
    pub(super) async fn tenants(&self, visitor: &Visitor) -> Vec<String> {
        if !visitor.may(Act::TenantList) {
            return Vec::new();
        }
        match answer(&self.service, &visitor.asker, Request::TenantList {}).await {
            Ok(Answer::Tenants { rows }) => rows.into_iter().map(|tenant| tenant.name).collect(),
            _ => Vec::new(),
        }
    }

    /// The parts of the page. Whoever opens it is noted; that it is kept fresh is not.
    pub(super) async fn parts(
        &self,
        visitor: &Visitor,
        tenant: Option<&str>,
        is_first: bool,
    ) -> Result<Vec<Part>, Refused> {
        if is_first {
            return Ok(made(visitor, &self.seen(visitor, tenant, true).await?));
        }
        let now = self.clock.now().since_start;
        let scope = (tenant.map(str::to_owned), visitor.may(Act::Relays));
        // Whoever comes meanwhile waits, and finds it there.
        let mut looks = self.looks.0.lock().await;
        looks.retain(|_, (at, _)| now < *at + CONSOLE_REFRESH / 2);
        if let Some((_, seen)) = looks.get(&scope) {
            return Ok(made(visitor, seen));
        }
        let seen = Arc::new(self.seen(visitor, tenant, false).await?);
        looks.insert(scope, (now, Arc::clone(&seen)));
        drop(looks);
        Ok(made(visitor, &seen))
    }

    async fn seen(
        &self,
        visitor: &Visitor,
        tenant: Option<&str>,
        is_first: bool,
    ) -> Result<Seen, Refused> {
        let ask = async |request| {
            let (service, asker) = (&self.service, &visitor.asker);
            if is_first {
                answer(service, asker, request).await
            } else {
                answer_again(service, asker, request).await
            }
        };
        let tenant = || tenant.map(str::to_owned);
        let calls = match ask(Request::Calls { tenant: tenant(), ended: 0 }).await? {
            Answer::Calls { live, .. } => live,
            _ => Vec::new(),
        };
        let sessions = match ask(Request::Sessions { tenant: tenant() }).await? {
            Answer::Sessions { rows } => rows,
            _ => Vec::new(),
        };
        let relays = match visitor.may(Act::Relays) {
            false => None,
            true => match ask(Request::Relays {}).await? {
                Answer::Relays { rows } => Some(rows),
                _ => None,
            },
        };
        Ok(Seen { calls, sessions, relays })
    }
}

fn made(visitor: &Visitor, seen: &Seen) -> Vec<Part> {
    let words = visitor.lang.words();
    let Seen { calls, sessions, relays } = seen;
    let mut calls: Vec<_> = calls.iter().collect();
    calls.sort_by_key(|call| (call.record.started, call.record.call));
    let queued = calls.iter().filter(|call| call.record.state == RecordState::Queued).count();
    let in_calls: BTreeSet<_> = calls.iter().flat_map(|call| devices(call)).collect();
    let (terminals, all) = (sessions.len(), calls.len());
    let waits = |row: &SessionRow| !in_calls.contains(&(row.tenant, row.device));
    let waiting: Vec<_> = sessions.iter().filter(|row| waits(row)).cloned().collect();
    let counted = relays
        .as_ref()
        .map(|relays| (relays.iter().filter(|relay| relay.connected).count(), relays.len()));
    let tiles = Tiles {
        words,
        calls: all - queued,
        queued,
        terminals,
        waiting: waiting.len(),
        relays: counted,
    };
    let mut parts = vec![part("tiles", &tiles)];
    if let Some(relays) = relays {
        let map = plot::map(relays, &calls);
        parts.push(part("map", &MapPart { words, map, relays: relays.clone() }));
    }
    let view = |call: &&CallRow| CallView::of(call, visitor.lang);
    parts.push(part(
        "calls",
        &CallsPart {
            words,
            calls: calls.iter().take(CONSOLE_PAGE_ROWS).map(view).collect(),
            more: all.saturating_sub(CONSOLE_PAGE_ROWS),
            may_end: visitor.may(Act::CallEnd),
            csrf: visitor.csrf.to_string(),
            of_platform: visitor.is_of_platform(),
        },
    ));
    let desks = DesksPart::of((&calls, sessions), words, visitor.is_of_platform());
    parts.push(part("desks", &desks));
    let more = waiting.len().saturating_sub(CONSOLE_PAGE_ROWS);
    let rows = waiting.into_iter().take(CONSOLE_PAGE_ROWS).collect();
    let of_platform = visitor.is_of_platform();
    parts.push(part("terminals", &TerminalsPart { words, rows, more, of_platform }));
    parts
}

/// A part with what `template` makes.
pub(super) fn part(id: &'static str, template: &impl Template) -> Part {
    let html = template.render().unwrap_or_else(|error| {
        tracing::error!(event = "console_part_failed", %error, id,
            "a part of a console page could not be made");
        String::new()
    });
    Part { id, html }
}

/// The devices that have a call.
fn devices(call: &CallRow) -> impl Iterator<Item = (TenantId, DeviceId)> {
    let tenant = call.record.tenant;
    let members = call.record.members.iter().filter(|member| member.left.is_none());
    members.filter_map(move |member| Some((tenant, member.device?)))
}

impl CallView {
    fn of(row: &CallRow, lang: Lang) -> Self {
        let (record, words) = (&row.record, lang.words());
        let others = record.members.iter().filter(|member| member.role != PartyRole::Caller);
        let others: Vec<_> = others.map(|member| member.login.as_str()).collect();
        let (state, kind) = words.call_state(record.state);
        let relays: Vec<_> = row.relays.iter().map(|relay| relay.0.to_string()).collect();
        Self {
            id: record.call.to_string(),
            tenant: row.tenant_name.clone(),
            caller: record.login(PartyRole::Caller).to_owned(),
            others: others.join(", "),
            desk: record.desk.as_ref().map(|desk| desk.last.clone()).unwrap_or_default(),
            state,
            kind,
            started: record.answered.unwrap_or(record.started),
            relays: relays.join(" + "),
            quality: row.quality.iter().filter_map(QualityView::of).collect(),
        }
    }
}

impl QualityView {
    /// `None` before the member's first report.
    fn of(member: &MemberQuality) -> Option<Self> {
        let samples = &member.samples;
        let last = samples.last()?;
        let ms = |us: u32| f64::from(us) / 1000.0;
        let over = |of: fn(&QualitySample) -> f64| samples.iter().map(of).collect::<Vec<_>>();
        Some(Self {
            login: member.login.clone(),
            loss: format!("{:.1}", 100.0 * loss(last)),
            jitter: format!("{:.0}", ms(last.jitter_us)),
            round_trip: format!("{:.0}", ms(last.round_trip_us)),
            losses: plot::points(&over(loss), LOSS_TOP),
            jitters: plot::points(&over(|it| f64::from(it.jitter_us)), JITTER_TOP_US),
            round_trips: plot::points(&over(|it| f64::from(it.round_trip_us)), ROUND_TRIP_TOP_US),
        })
    }
}

/// What of a sample was lost.
fn loss(sample: &QualitySample) -> f64 {
    let all = u64::from(sample.received) + u64::from(sample.lost);
    if all == 0 {
        0.0
    } else {
        f64::from(sample.lost) / (f64::from(sample.received) + f64::from(sample.lost))
    }
}

/// What fills a plot: more than people put up with.
const LOSS_TOP: f64 = 0.05;
const JITTER_TOP_US: f64 = 60_000.0;
const ROUND_TRIP_TOP_US: f64 = 400_000.0;
