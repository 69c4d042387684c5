//! The own account: who one is, another password, another authenticator.

use super::chrome::{Chrome, Notice, page, page_with};
use super::fields::Fields;
use super::server::{Console, see};
use super::sign_in::Stage;
use super::visitor::{Posted, Visitor, with_cookie};
use crate::accounts::{OPERATORS, SharedSecret, SignInRefusal};
use crate::audit::Digest;
use crate::clock::UnixMs;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use kakehashi_log::millis;
use std::sync::Arc;
use std::time::Duration;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/me", get(show))
        .route("/me/password", post(change))
        .route("/me/second-factor", post(renew))
        .route("/me/sign-out-others", post(sign_out_others))
}

#[derive(Template)]
#[template(path = "me.html")]
struct MePage {
    chrome: Chrome,
    rank: &'static str,
    browsers: Vec<Signed>,
}

/// A browser in which the account is signed in.
struct Signed {
    /// What a form names it by; says nothing of its token.
    id: String,
    address: String,
    since: UnixMs,
    used: UnixMs,
    is_this: bool,
}

fn asks(console: &Console, visitor: &Visitor, notice: Option<Notice>) -> MePage {
    let words = visitor.lang.words();
    let rank = words.rank(visitor.asker.rank());
    let chrome = Chrome::of(visitor, words.my_account, "/me").with(notice);
    MePage { chrome, rank, browsers: console.browsers(visitor) }
}

/// What a form names a sign-in by: the beginning of its token's hash.
fn name_of(token: Digest) -> String {
    token.0[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Console {
    /// Where the account of `visitor` is signed in at this node.
    fn browsers(&self, visitor: &Visitor) -> Vec<Signed> {
        let now = self.clock.now();
        let wall = |at: Duration| {
            UnixMs(now.wall.0.saturating_sub(millis(now.since_start.saturating_sub(at))))
        };
        let visits = self.visits();
        let held = visits.of(visitor.grant.account, now.since_start).into_iter();
        held.filter(|held| matches!(held.with.stage, Stage::In))
            .map(|held| Signed {
                id: name_of(held.token),
                address: held.with.address.map(|it| it.to_string()).unwrap_or_default(),
                since: wall(held.issued),
                used: wall(held.used),
                is_this: held.token == visitor.token,
            })
            .collect()
    }

    /// Signs the account out where it is named so, or everywhere but here.
    fn sign_out_elsewhere(&self, visitor: &Visitor, named: &str) {
        let now = self.clock.now().since_start;
        let mut visits = self.visits();
        let held = visits.of(visitor.grant.account, now).into_iter().map(|held| held.token);
        let others = held.filter(|token| *token != visitor.token);
        let gone: Vec<_> =
            others.filter(|token| named == ALL || name_of(*token) == named).collect();
        for token in gone {
            visits.remove(token);
        }
    }
}

/// All others.
const ALL: &str = "all";

async fn show(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let words = visitor.lang.words();
    let left = query.number::<u32>("left");
    let notice =
        left.map(|left| Notice::done(words.recovery_left.replace("{}", &left.to_string())));
    page(&asks(&console, &visitor, notice))
}

async fn change(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let [old, new, again] = ["old", "new", "again"].map(|name| fields.password(name));
    let tenant = by.tenant.as_deref().unwrap_or(OPERATORS);
    let who = (tenant, by.login.as_str(), by.asker.address());
    let words = by.lang.words();
    match console.change_password(by.grant.account, who, words, [old, new, again]).await {
        Ok(()) => with_cookie(see("/sign-in?changed=1"), None),
        Err(notice) => page_with(StatusCode::BAD_REQUEST, &asks(&console, &by, Some(notice))),
    }
}

/// Another authenticator, for whoever has the one until now.
async fn renew(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    match console.proves_again("console_renew", &by, fields.get("code")).await {
        Ok(()) => {
            let secret = SharedSecret::draw(&console.entropy);
            let stage = Stage::Enrol { secret, may_replace: true };
            let token = console.advance(by.token, by.grant, stage);
            with_cookie(see("/sign-in/enrol?to=%2Fme"), Some(&token))
        }
        Err(notice) => page_with(StatusCode::FORBIDDEN, &asks(&console, &by, Some(notice))),
    }
}

/// Whoever finds a browser open must not shut the others out: a code is asked for.
async fn sign_out_others(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    match console.proves_again("console_end_others", &by, fields.get("code")).await {
        Ok(()) => {
            console.sign_out_elsewhere(&by, fields.get("which"));
            let notice = Notice::done(by.lang.words().others_signed_out);
            page(&asks(&console, &by, Some(notice)))
        }
        Err(notice) => page_with(StatusCode::FORBIDDEN, &asks(&console, &by, Some(notice))),
    }
}

impl Console {
    /// Asks for the second factor within a sign-in, and notes it as `act`.
    async fn proves_again(
        &self,
        act: &'static str,
        by: &Visitor,
        code: &str,
    ) -> Result<(), Notice> {
        let (account, accounts) = (by.grant.account, &self.service.accounts);
        let checked = accounts.check_second(&self.sealer, account, code, || self.clock.now());
        let checked = checked.await;
        let who = (by.tenant.as_deref().unwrap_or(OPERATORS), by.login.as_str());
        let noted = self.note_sign_in(act, who, by.asker.address(), &checked).await;
        let proved = noted.map_err(|_| SignInRefusal::StoreUnavailable).and(checked);
        proved.map(drop).map_err(|_| Notice::failed(by.lang.words().bad_code))
    }
}
