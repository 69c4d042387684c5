//! Who looks at a page: from the cookie to the rights of whoever signed in.

use super::fields::Fields;
use super::lang::{Lang, cookie};
use super::server::Console;
use super::sign_in::Stage;
use crate::accounts::{Current, OPERATORS_ID};
use crate::admin::Asker;
use crate::api::hash;
use crate::audit::Digest;
use crate::capacity::CONSOLE_BODY_BYTES_MAX;
use crate::grants::Grant;
use crate::https::{Peer, read_body};
use crate::policy::{Act, Rank};
use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::body::Body;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE, HOST, ORIGIN, SET_COOKIE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use axum::response::{IntoResponse, Redirect};
use kakehashi_wire::terminal::Role;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use zeroize::Zeroizing;

/// The cookie of whoever signed in. Browsers take a `__Host-` cookie from this host alone, and only
/// over TLS.
pub(super) const COOKIE_NAME: &str = "__Host-kakehashi";

/// What the console keeps beside each token.
pub(super) struct Visit {
    /// How far the sign-in has come.
    pub(super) stage: Stage,
    /// What each form carries.
    pub(super) csrf: Zeroizing<String>,
    /// From where it was used last.
    pub(super) address: Option<IpAddr>,
}

/// Somebody who has signed in.
#[derive(Clone)]
pub(super) struct Visitor {
    /// For whatever they ask.
    pub(super) asker: Asker,
    /// Their account.
    pub(super) grant: Grant,
    /// What they are called.
    pub(super) login: String,
    /// Their tenant; none of an operator.
    pub(super) tenant: Option<String>,
    /// The language they read.
    pub(super) lang: Lang,
    /// What each form carries.
    pub(super) csrf: Zeroizing<String>,
    /// The token's hash.
    pub(super) token: Digest,
}

impl Visitor {
    /// Whether they may do `act`.
    pub(super) fn may(&self, act: Act) -> bool {
        self.asker.rank().may(act)
    }

    /// Whether they look after the whole platform.
    pub(super) fn is_of_platform(&self) -> bool {
        matches!(self.asker.rank(), Rank::Operator | Rank::Observer)
    }

    /// The tenant a page is about: their own, or for operators the one that is `asked` for.
    pub(super) fn tenant_of(&self, asked: &str) -> Option<String> {
        let asked = Some(asked.trim().to_owned()).filter(|it| !it.is_empty());
        self.tenant.clone().or(asked)
    }
}

/// Who `current` is, once they have signed in.
pub(super) fn asker(grant: Grant, current: &Current, address: SocketAddr) -> Asker {
    let (tenant, login, role) = (current.tenant.clone(), current.login.clone(), current.role);
    if grant.account.tenant == OPERATORS_ID {
        return Asker::Staff { login, may_change: role == Role::TenantAdmin, address };
    }
    Asker::Account { tenant, login, role, address }
}

impl Console {
    /// Whose token a request carries, and the token's hash, if it counts.
    pub(super) async fn holder(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Digest, Grant, Current)>, Response<Body>> {
        if let Some(token) = cookie(headers, COOKIE_NAME) {
            let now = self.clock.now().since_start;
            let _used = self.visits().find(hash(token), now);
        }
        self.looking(headers).await
    }

    /// The same of a request that is no use of the token.
    async fn looking(
        &self,
        headers: &HeaderMap,
    ) -> Result<Option<(Digest, Grant, Current)>, Response<Body>> {
        let Some(token) = cookie(headers, COOKIE_NAME) else { return Ok(None) };
        let token = hash(token);
        let now = self.clock.now().since_start;
        let grant = self.visits().look(token, now).map(|(grant, _)| grant);
        let Some(grant) = grant else { return Ok(None) };
        let current = self.service.accounts.current(grant.account).await.map_err(|error| {
            tracing::error!(event = "console_account_unreadable", %error,
                "the console cannot read an account");
            (StatusCode::SERVICE_UNAVAILABLE, Lang::of(headers).words().store_down).into_response()
        })?;
        let counts = |now: &Current| {
            (now.epochs.tenant, now.epochs.account) == (grant.epochs.tenant, grant.epochs.account)
        };
        let Some(current) = current.filter(counts) else {
            self.visits().remove(token);
            return Ok(None);
        };
        Ok(Some((token, grant, current)))
    }

    /// Whoever has signed in, in all its stages.
    pub(super) async fn visitor(
        &self,
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Result<Option<Visitor>, Response<Body>> {
        let held = self.holder(headers).await?;
        let Some(visitor) = held.and_then(|held| self.signed_in(held, headers, address)) else {
            return Ok(None);
        };
        let now = self.clock.now().since_start;
        if let Some((_, visit)) = self.visits().find(visitor.token, now) {
            visit.address = Some(address.ip());
        }
        Ok(Some(visitor))
    }

    /// Whoever has signed in and only looks on: by that, their sign-in is not used.
    pub(super) async fn onlooker(
        &self,
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Result<Option<Visitor>, Response<Body>> {
        let held = self.looking(headers).await?;
        Ok(held.and_then(|held| self.signed_in(held, headers, address)))
    }

    fn signed_in(
        &self,
        (token, grant, current): (Digest, Grant, Current),
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Option<Visitor> {
        let now = self.clock.now().since_start;
        let csrf = match self.visits().look(token, now) {
            Some((_, Visit { stage: Stage::In, csrf, .. })) => csrf.clone(),
            _ => return None,
        };
        let asker = asker(grant, &current, address);
        let is_of_tenant = matches!(asker, Asker::Account { .. });
        Some(Visitor {
            asker,
            grant,
            login: current.login,
            tenant: is_of_tenant.then_some(current.tenant),
            lang: Lang::of(headers),
            csrf,
            token,
        })
    }
}

/// Where the other end is.
pub(super) fn address(parts: &Parts) -> Option<SocketAddr> {
    parts.extensions.get::<Peer>().map(|peer| peer.address)
}

impl FromRequestParts<Arc<Console>> for Visitor {
    type Rejection = Response<Body>;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Self::Rejection> {
        let address = address(parts).ok_or_else(broken)?;
        let visitor = console.visitor(&parts.headers, address).await?;
        visitor.ok_or_else(|| {
            let back = parts.uri.path_and_query().map(|it| it.as_str()).unwrap_or_default();
            let query = Fields::query(&[("to", back)]);
            Redirect::to(&format!("/sign-in?{}", *query)).into_response()
        })
    }
}

/// Somebody who has signed in, and what their address asks of a page.
pub(super) struct Asked {
    /// Who looks.
    pub(super) by: Visitor,
    /// What stands behind the `?`.
    pub(super) query: Fields,
}

impl FromRequestParts<Arc<Console>> for Asked {
    type Rejection = Response<Body>;

    async fn from_request_parts(
        parts: &mut Parts,
        console: &Arc<Console>,
    ) -> Result<Self, Self::Rejection> {
        let by = Visitor::from_request_parts(parts, console).await?;
        let query = Fields::parse(parts.uri.query().unwrap_or_default().as_bytes());
        Ok(Self { by, query })
    }
}

/// A form of somebody who has signed in, which came from one of this console's own pages.
pub(super) struct Posted {
    /// Who sent it.
    pub(super) by: Visitor,
    /// What it says.
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Console>> for Posted {
    type Rejection = Response<Body>;

    async fn from_request(
        request: Request,
        console: &Arc<Console>,
    ) -> Result<Self, Self::Rejection> {
        let (mut parts, body) = request.into_parts();
        let lang = Lang::of(&parts.headers);
        if !is_own(&parts.headers) {
            return Err(foreign(lang));
        }
        let by = Visitor::from_request_parts(&mut parts, console).await?;
        let fields = read(&parts.headers, body).await?;
        let sent = fields.get("csrf").as_bytes();
        if verify_slices_are_equal(sent, by.csrf.as_bytes()).is_err() {
            return Err(foreign(lang));
        }
        Ok(Self { by, fields })
    }
}

/// A form that is sent before anybody has signed in, from one of this console's own pages.
pub(super) struct Opening {
    /// The headers it came with.
    pub(super) headers: HeaderMap,
    /// From where.
    pub(super) address: SocketAddr,
    /// What it says.
    pub(super) fields: Fields,
}

impl FromRequest<Arc<Console>> for Opening {
    type Rejection = Response<Body>;

    async fn from_request(request: Request, _: &Arc<Console>) -> Result<Self, Self::Rejection> {
        let (parts, body) = request.into_parts();
        if !is_own(&parts.headers) {
            return Err(foreign(Lang::of(&parts.headers)));
        }
        let address = address(&parts).ok_or_else(broken)?;
        let fields = read(&parts.headers, body).await?;
        Ok(Self { headers: parts.headers, address, fields })
    }
}

/// Whether a form came from a page of the host that it was sent to. Browsers say so with each
/// (Fetch 3.2); whoever says nothing is no browser that this console is for.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name| headers.get(name).and_then(|it: &HeaderValue| it.to_str().ok());
    let own = text(HOST).map(|host| format!("https://{host}"));
    let site = headers.get("sec-fetch-site").map(|it| it.as_bytes());
    own.is_some() && text(ORIGIN) == own.as_deref() && site.is_none_or(|it| it == b"same-origin")
}

async fn read(headers: &HeaderMap, body: Body) -> Result<Fields, Response<Body>> {
    let text = |name| headers.get(name).and_then(|it: &HeaderValue| it.to_str().ok());
    let kind = text(CONTENT_TYPE).unwrap_or_default();
    if !kind.starts_with("application/x-www-form-urlencoded") {
        return Err(StatusCode::UNSUPPORTED_MEDIA_TYPE.into_response());
    }
    let length = text(CONTENT_LENGTH).and_then(|it| it.parse().ok()).unwrap_or(usize::MAX);
    if length > CONSOLE_BODY_BYTES_MAX {
        return Err(StatusCode::PAYLOAD_TOO_LARGE.into_response());
    }
    let whole = read_body(body, length).await;
    let whole = whole.ok_or_else(|| StatusCode::REQUEST_TIMEOUT.into_response())?;
    Ok(Fields::parse(&whole))
}

/// What a form from elsewhere gets, or one that lay open for so long that it counts no more.
fn foreign(lang: Lang) -> Response<Body> {
    (StatusCode::FORBIDDEN, lang.words().foreign_form).into_response()
}

/// The listener did not say who is at the other end, which it always does.
pub(super) fn broken() -> Response<Body> {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

/// `response`, which gives the browser `token`, or takes its token away.
pub(super) fn with_cookie(mut response: Response<Body>, token: Option<&str>) -> Response<Body> {
    let (value, age) = token.map_or(("", "; Max-Age=0"), |token| (token, ""));
    let cookie = format!("{COOKIE_NAME}={value}; Path=/; Secure; HttpOnly; SameSite=Strict{age}");
    if let Ok(cookie) = HeaderValue::from_str(&cookie) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_is_this_hosts_own_or_nothing() {
        let is = |pairs: &[(&'static str, &'static str)]| {
            let pairs = pairs.iter();
            let headers =
                pairs.map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_static(value)));
            is_own(&headers.collect())
        };
        let host = ("host", "console.example:8443");
        let origin = ("origin", "https://console.example:8443");
        assert!(is(&[host, origin]));
        assert!(is(&[host, origin, ("sec-fetch-site", "same-origin")]));
        assert!(!is(&[host]), "whoever says nothing");
        assert!(!is(&[origin]));
        assert!(!is(&[host, ("origin", "null")]));
        assert!(!is(&[host, ("origin", "https://console.example")]));
        assert!(!is(&[host, ("origin", "http://console.example:8443")]));
        assert!(!is(&[host, ("origin", "https://evil.example")]));
        assert!(!is(&[host, origin, ("sec-fetch-site", "cross-site")]));
    }

    #[test]
    fn the_cookie_is_for_this_host_over_tls_and_for_no_script() {
        let response = with_cookie(StatusCode::OK.into_response(), Some("abc"));
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        assert_eq!(cookie, "__Host-kakehashi=abc; Path=/; Secure; HttpOnly; SameSite=Strict");
        let gone = with_cookie(StatusCode::OK.into_response(), None);
        assert!(gone.headers()[SET_COOKIE].to_str().unwrap().contains("Max-Age=0"));
    }
}
