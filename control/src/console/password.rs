//! Changing the own password: at a sign-in with one that was for one time, and at will.

use super::chrome::{Chrome, Notice, page_with};
use super::lang::Lang;
use super::server::{Console, see};
use super::sign_in::Stage;
use super::visitor::{Opening, with_cookie};
use super::words::Words;
use crate::accounts::{BadPassword, ChangeRefusal};
use crate::audit::{Actor, Entry, Outcome, Plain};
use crate::sessions::AccountKey;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use kakehashi_wire::secret::Password;
use std::net::SocketAddr;
use std::sync::Arc;

/// What this page is at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/sign-in/password", get(show).post(take))
}

#[derive(Template)]
#[template(path = "sign_in_password.html")]
struct ChangePage {
    chrome: Chrome,
}

async fn show(headers: HeaderMap) -> Response<Body> {
    asks(Lang::of(&headers), None)
}

fn asks(lang: Lang, notice: Option<Notice>) -> Response<Body> {
    let status = if notice.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    let chrome = Chrome::bare(lang, lang.words().change_password, "/sign-in").with(notice);
    page_with(status, &ChangePage { chrome })
}

async fn take(State(console): State<Arc<Console>>, form: Opening) -> Response<Body> {
    let lang = Lang::of(&form.headers);
    let (token, grant, current) = match console.holder(&form.headers).await {
        Ok(Some(holder)) => holder,
        Ok(None) => return see("/sign-in"),
        Err(response) => return response,
    };
    if !console.is_at(token, |stage| matches!(stage, Stage::Change)) {
        return see("/sign-in");
    }
    let [old, new, again] = ["old", "new", "again"].map(|name| form.fields.password(name));
    let who = (current.tenant.as_str(), current.login.as_str(), form.address);
    match console.change_password(grant.account, who, lang.words(), [old, new, again]).await {
        // The new one is what opens the door from now on.
        Ok(()) => with_cookie(see("/sign-in?changed=1"), None),
        Err(notice) => asks(lang, Some(notice)),
    }
}

impl Console {
    /// Changes a password, has sessions that began with the old one end, and notes it.
    pub(super) async fn change_password(
        &self,
        account: AccountKey,
        (tenant, login, address): (&str, &str, SocketAddr),
        words: &'static Words,
        [old, new, again]: [Password; 3],
    ) -> Result<(), Notice> {
        if new.expose() != again.expose() {
            return Err(Notice::failed(words.passwords_differ));
        }
        let now = || self.clock.now();
        let changed = self.service.accounts.change_password(account, &old, new, now).await;
        let (tenant, target) = (Plain::of(tenant), Plain::of(login));
        let actor = Actor::Account { login: Plain::of(login), address };
        let entry = Entry { tenant, target, ..Entry::new(actor, "change_password") };
        let entry = match &changed {
            Ok(_) => entry,
            Err(refusal) => {
                let detail = Plain::of(&refusal.to_string());
                Entry { outcome: Outcome::Refused, detail, may_share: true, ..entry }
            }
        };
        if let Err(error) = self.service.audit.note(entry).await {
            tracing::error!(event = "password_change_not_noted", %error,
                "the change of a password was not noted");
        }
        let revocation = changed.map_err(|refusal| why(words, &refusal))?;
        if self.service.live.revoke(revocation).await.is_err() {
            tracing::warn!(
                event = "password_sessions_outlast",
                "sessions that began with an old password end when a node leads again"
            );
        }
        Ok(())
    }
}

fn why(words: &'static Words, refusal: &ChangeRefusal) -> Notice {
    let text = match refusal {
        ChangeRefusal::WrongPassword => words.old_password_wrong,
        ChangeRefusal::Same => words.password_same,
        ChangeRefusal::Bad(BadPassword::Short) => words.password_short,
        ChangeRefusal::Bad(_) => words.password_bad,
        ChangeRefusal::Busy { .. } => words.refused_busy,
        ChangeRefusal::StoreUnavailable => words.store_down,
    };
    Notice { is_good: false, text: text.to_owned(), detail: refusal.to_string() }
}
