//! The own account: who one is, another password, another authenticator.

use super::chrome::{Chrome, Notice, page, page_with};
use super::fields::Fields;
use super::server::{Console, see};
use super::sign_in::Stage;
use super::visitor::{Posted, Visitor, with_cookie};
use crate::accounts::{OPERATORS, SharedSecret, SignInRefusal};
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{Response, StatusCode};
use axum::routing::{get, post};
use std::sync::Arc;

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
}

fn asks(visitor: &Visitor, notice: Option<Notice>) -> MePage {
    let words = visitor.lang.words();
    let rank = words.rank(visitor.asker.rank());
    MePage { chrome: Chrome::of(visitor, words.my_account, "/me").with(notice), rank }
}

async fn show(visitor: Visitor, RawQuery(query): RawQuery) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let words = visitor.lang.words();
    let left = query.number::<u32>("left");
    let notice =
        left.map(|left| Notice::done(words.recovery_left.replace("{}", &left.to_string())));
    page(&asks(&visitor, notice))
}

async fn change(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let [old, new, again] = ["old", "new", "again"].map(|name| fields.password(name));
    let tenant = by.tenant.as_deref().unwrap_or(OPERATORS);
    let who = (tenant, by.login.as_str(), by.asker.address());
    let words = by.lang.words();
    match console.change_password(by.grant.account, who, words, [old, new, again]).await {
        Ok(()) => with_cookie(see("/sign-in?changed=1"), None),
        Err(notice) => page_with(StatusCode::BAD_REQUEST, &asks(&by, Some(notice))),
    }
}

/// Another authenticator, for whoever has the one until now.
async fn renew(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let (account, code) = (by.grant.account, fields.get("code"));
    let accounts = &console.service.accounts;
    let checked = accounts.check_second(&console.sealer, account, code, || console.clock.now());
    let checked = checked.await;
    let who = (by.tenant.as_deref().unwrap_or(OPERATORS), by.login.as_str());
    let noted = console.note_sign_in("console_renew", who, by.asker.address(), &checked).await;
    match noted.map_err(|_| SignInRefusal::StoreUnavailable).and(checked) {
        Ok(_) => {
            let secret = SharedSecret::draw(&console.entropy);
            let stage = Stage::Enrol { secret, may_replace: true };
            let token = console.advance(by.token, by.grant, stage);
            with_cookie(see("/sign-in/enrol?to=%2Fme"), Some(&token))
        }
        Err(_) => {
            let notice = Notice::failed(by.lang.words().bad_code);
            page_with(StatusCode::FORBIDDEN, &asks(&by, Some(notice)))
        }
    }
}

async fn sign_out_others(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let by = form.by;
    console.visits().remove_others(by.grant.account, by.token);
    page(&asks(&by, Some(Notice::done(by.lang.words().others_signed_out))))
}
