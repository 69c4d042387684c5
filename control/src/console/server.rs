//! The pages' router, and what every answer says to browsers.

use super::assets::ALL;
use super::lang::{COOKIE_NAME as LANGUAGE, Lang};
use super::now::Looks;
use super::visitor::{Opening, Visit};
use super::{
    accounts, audit, desks, enrol, fleet, live, me, now, operators, password, policy, records,
    sign_in, soon, status, tenants,
};
use crate::accounts::SecondSealer;
use crate::admin::Service;
use crate::capacity::{CONSOLE_REPORT_BYTES_MAX, CONSOLE_STREAMS_MAX};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::grants::Grants;
use crate::https::read_body;
use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, LOCATION, REFERRER_POLICY, SET_COOKIE,
    STRICT_TRANSPORT_SECURITY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::{HeaderName, HeaderValue, Response, StatusCode};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use axum::routing::{get, post};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// What a browser may load and do on any page: only what comes from here, and no script or style
/// within a page (CSP Level 3). What it refuses it tells `/csp-report`.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
                      img-src 'self' data:; connect-src 'self'; form-action 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; \
                      require-trusted-types-for 'script'; trusted-types console; \
                      report-uri /csp-report";

/// Said with every answer.
const ALWAYS: [(HeaderName, &str); 7] = [
    (CONTENT_SECURITY_POLICY, POLICY),
    (STRICT_TRANSPORT_SECURITY, "max-age=63072000; includeSubDomains"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (X_FRAME_OPTIONS, "DENY"),
    (REFERRER_POLICY, "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// What the console speaks for, and to whom.
pub(crate) struct Console {
    pub(super) service: Service,
    /// What an outside probe writes; empty if there is none.
    pub(super) probe_status: PathBuf,
    pub(super) sealer: SecondSealer,
    pub(super) entropy: Entropy,
    pub(super) clock: Clock,
    /// Pages that may be kept fresh at once.
    pub(super) streams: Arc<Semaphore>,
    /// What pages that are kept fresh were made of last.
    pub(super) looks: Looks,
    visits: Mutex<Grants<Visit>>,
    /// What browsers refused to load or run.
    refused: AtomicU64,
}

impl Console {
    pub(crate) fn new(
        service: Service,
        probe_status: PathBuf,
        sealer: SecondSealer,
        (entropy, clock): (Entropy, Clock),
    ) -> Arc<Self> {
        let streams = Arc::new(Semaphore::new(CONSOLE_STREAMS_MAX));
        let (visits, refused) = (Mutex::default(), AtomicU64::new(0));
        let looks = Looks::default();
        Arc::new(Self {
            service,
            probe_status,
            sealer,
            entropy,
            clock,
            streams,
            looks,
            visits,
            refused,
        })
    }

    pub(super) fn visits(&self) -> MutexGuard<'_, Grants<Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All pages.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let router = Router::new()
            .route("/", get(|| async { see("/now") }))
            .route("/language", post(choose_language))
            .route("/csp-report", post(refused_content))
            .merge(sign_in::routes())
            .merge(enrol::routes())
            .merge(password::routes())
            .merge(me::routes())
            .merge(now::routes())
            .merge(live::routes())
            .merge(records::routes())
            .merge(accounts::routes())
            .merge(desks::routes())
            .merge(policy::routes())
            .merge(tenants::routes())
            .merge(fleet::routes())
            .merge(status::routes())
            .merge(audit::routes())
            .merge(operators::routes())
            .merge(soon::routes());
        let assets = ALL.into_iter().fold(router, |router, asset| {
            router.route(&asset.path, get(async move || asset.response()))
        });
        assets
            .fallback(|| async { StatusCode::NOT_FOUND })
            .layer(from_fn(always))
            .with_state(Arc::clone(self))
    }
}

/// Adds what every answer says.
async fn always(request: Request, next: Next) -> Response<Body> {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in ALWAYS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.entry(CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

/// Sends a browser to another page of this console, with GET.
pub(super) fn see(path: &str) -> Response<Body> {
    let mut response = StatusCode::SEE_OTHER.into_response();
    let place = HeaderValue::from_str(path).unwrap_or(HeaderValue::from_static("/now"));
    response.headers_mut().insert(LOCATION, place);
    response
}

/// A path of this console, whatever was given: nobody is sent elsewhere.
pub(super) fn own_path(given: &str) -> &str {
    let is_own = given.starts_with('/')
        && !given.starts_with("//")
        && given.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    if is_own { given } else { "/now" }
}

/// Remembers a language and goes back.
async fn choose_language(form: Opening) -> Response<Body> {
    let mut response = see(own_path(form.fields.get("to")));
    let lang = Lang::named(form.fields.get("language")).unwrap_or(Lang::En);
    let cookie = format!(
        "{LANGUAGE}={}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=31536000",
        lang.code()
    );
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// A browser refused what a page had: somebody found a way to put it there, or a page is wrong.
async fn refused_content(State(console): State<Arc<Console>>, request: Request) -> StatusCode {
    let Some(body) = read_body(request.into_body(), CONSOLE_REPORT_BYTES_MAX).await else {
        return StatusCode::REQUEST_TIMEOUT;
    };
    let count = console.refused.fetch_add(1, Ordering::Relaxed) + 1;
    // Anybody can send such reports: each power of two is logged.
    if count.is_power_of_two() {
        let report = String::from_utf8_lossy(&body).into_owned();
        tracing::warn!(
            event = "console_content_refused",
            count,
            ?report,
            "a browser refused content of a console page"
        );
    }
    StatusCode::NO_CONTENT
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_sent_elsewhere() {
        assert_eq!(own_path("/accounts?q=a%20b"), "/accounts?q=a%20b");
        for bad in ["", "//evil.example", "https://evil.example", "/\\evil", "/a\r\nb", "now"] {
            assert_eq!(own_path(bad), "/now", "{bad:?}");
        }
    }

    #[test]
    fn the_policy_lets_nothing_in_from_within_a_page_or_from_elsewhere() {
        for word in ["'unsafe-inline'", "'unsafe-eval'", "http:", "https:", "*"] {
            assert!(!POLICY.contains(word), "{word}");
        }
    }
}
