//! What is answered to whom, within which limits of what they may say.

use super::asked::Asked;
use super::bodies::Token;
use super::document::document;
use super::people::People;
use super::places::{Held, Places};
use super::problem::Problem;
use super::routes::{ROUTES, Route, Verb, What};
use super::token::OperatorToken;
use crate::admin::{Answer, Asker, Service, answer};
use crate::capacity::{ADMIN_ANSWER_BYTES_MAX, API_BODY_BYTES_MAX, API_TOKEN_IDLE, API_TOKEN_LIFE};
use crate::clock::Clock;
use crate::entropy::Entropy;
use crate::https::{Peer, read_body};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::rejection::RawPathParamsRejection;
use axum::extract::{RawPathParams, Request};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_LENGTH, CONTENT_TYPE, TRANSFER_ENCODING,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, HeaderValue, Response};
use axum::response::IntoResponse;
use axum::routing::{MethodFilter, MethodRouter, on};
use serde::Serialize;
use std::net::SocketAddr;
use std::sync::Arc;
use zeroize::Zeroizing;

/// What the API speaks for, and to whom.
pub(crate) struct Api {
    service: Service,
    operator: OperatorToken,
    people: People,
    document: Bytes,
    places: Places,
}

impl Api {
    pub(crate) fn new(
        service: Service,
        operator: OperatorToken,
        entropy: Entropy,
        clock: Clock,
    ) -> Arc<Self> {
        let people = People::new(entropy, clock);
        let (document, places) = (document().into(), Places::new());
        Arc::new(Self { service, operator, people, document, places })
    }

    /// Everything that can be asked.
    pub(crate) fn router(self: &Arc<Self>) -> Router {
        let router = ROUTES.iter().fold(Router::new(), |router, route| {
            router.route(route.path, Arc::clone(self).method(route))
        });
        router
            .fallback(|| async { Problem::no_such_path() })
            .method_not_allowed_fallback(|| async { Problem::no_such_method() })
    }

    fn method(self: Arc<Self>, route: &'static Route) -> MethodRouter {
        let filter = match route.verb {
            Verb::Get => MethodFilter::GET,
            Verb::Post => MethodFilter::POST,
            Verb::Put => MethodFilter::PUT,
            Verb::Delete => MethodFilter::DELETE,
        };
        on(filter, async move |names: Names, request: Request| {
            self.respond(route, names, request).await.into_response()
        })
    }

    async fn respond(
        self: &Arc<Self>,
        route: &Route,
        names: Names,
        request: Request,
    ) -> Result<Response<Body>, Problem> {
        let (head, body) = request.into_parts();
        let Some(peer) = head.extensions.get::<Peer>() else { return Err(Problem::broken()) };
        let length = length(route, &head.headers)?;
        let understand = match route.what {
            What::Ask(understand) => understand,
            What::Document => return Ok(json(self.document.clone())),
            What::SignIn => {
                let body = read(body, length).await?;
                return self.sign_in(&body, peer.address).await;
            }
            What::SignOut => {
                let token = bearer(&head.headers).filter(|token| self.people.sign_out(token));
                token.ok_or_else(Problem::not_authenticated)?;
                return spell(&Answer::Done {}, None).map(json);
            }
        };
        let asker = self.authenticate(&head.headers, peer.address).await?;
        let body = read(body, length).await?;
        let names = names.map_err(|_| Problem::wrong("a name in the path is not UTF-8"))?;
        let names: Vec<_> = names.iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let query = head.uri.query().unwrap_or_default();
        let asked = Asked { names: &names, query, body: &body };
        asked.only(route.query)?;
        let request = understand(&asked)?;
        let place = self.places.wait(&asker, &request).await;
        let api = Arc::clone(self);
        // Not given up half-way when whoever asked hangs up.
        let answering = tokio::spawn(async move { answer(&api.service, &asker, request).await });
        let answer = answering.await.map_err(|_| Problem::broken())??;
        spell(&answer, place.map(|place| place.hold(&peer.unread))).map(json)
    }

    async fn sign_in(
        self: &Arc<Self>,
        body: &[u8],
        address: SocketAddr,
    ) -> Result<Response<Body>, Problem> {
        let ask = Asked { names: &[], query: "", body }.body()?;
        let api = Arc::clone(self);
        let answering =
            tokio::spawn(async move { api.people.sign_in(ask, &api.service, address).await });
        let token = answering.await.map_err(|_| Problem::broken())??;
        let (idle_s, life_s) = (API_TOKEN_IDLE.as_secs(), API_TOKEN_LIFE.as_secs());
        spell(&Token { token, idle_s, life_s }, None).map(json)
    }

    async fn authenticate(
        &self,
        headers: &HeaderMap,
        address: SocketAddr,
    ) -> Result<Asker, Problem> {
        let token = bearer(headers).ok_or_else(Problem::not_authenticated)?;
        if self.operator.is(token) {
            return Ok(Asker::Operator { address });
        }
        let asker = self.people.asker(token, &self.service.accounts, address).await?;
        asker.ok_or_else(Problem::not_authenticated)
    }
}

type Names = Result<RawPathParams, RawPathParamsRejection>;

/// Answers up to here are made without moving.
const ANSWER_BYTES_USUAL: usize = 16 * 1024;

/// The token of `Authorization: Bearer` (RFC 6750 2.1), if there is exactly one.
fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut all = headers.get_all(AUTHORIZATION).iter();
    let (Some(only), None) = (all.next(), all.next()) else { return None };
    let (scheme, token) = only.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// How long the body of a request is, if `route` takes such a one.
fn length(route: &Route, headers: &HeaderMap) -> Result<usize, Problem> {
    // One way to say where a request ends leaves nothing to disagree on (RFC 9112 11.2).
    if headers.contains_key(TRANSFER_ENCODING) {
        return Err(Problem::length_required());
    }
    let length = match headers.get(CONTENT_LENGTH) {
        None => 0,
        Some(length) => length.to_str().ok().and_then(|it| it.parse().ok()).unwrap_or(usize::MAX),
    };
    if length > API_BODY_BYTES_MAX {
        return Err(Problem::too_large(API_BODY_BYTES_MAX));
    }
    match route.body {
        None if length > 0 => Err(Problem::no_body_wanted()),
        Some(_) if route.is_body_optional && length == 0 => Ok(0),
        Some(_) if !is_json(headers) => Err(Problem::not_json()),
        _ => Ok(length),
    }
}

/// The whole body of a request.
async fn read(body: Body, length: usize) -> Result<Zeroizing<Vec<u8>>, Problem> {
    read_body(body, length).await.ok_or_else(Problem::too_slow)
}

fn is_json(headers: &HeaderMap) -> bool {
    let kind = headers.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim();
    kind.eq_ignore_ascii_case("application/json")
}

/// The text of an answer, which keeps its place until it has been sent.
struct Text {
    text: Zeroizing<Vec<u8>>,
    _place: Option<Held>,
}

impl AsRef<[u8]> for Text {
    fn as_ref(&self) -> &[u8] {
        &self.text
    }
}

fn spell(answer: &impl Serialize, place: Option<Held>) -> Result<Bytes, Problem> {
    // An answer with a password is shorter than this, so it never moves in memory.
    let mut text = Zeroizing::new(Vec::with_capacity(ANSWER_BYTES_USUAL));
    serde_json::to_writer(&mut *text, answer).map_err(|_| Problem::broken())?;
    if text.len() > ADMIN_ANSWER_BYTES_MAX {
        return Err(Problem::answer_too_large());
    }
    Ok(Bytes::from_owner(Text { text, _place: place }))
}

fn json(text: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
