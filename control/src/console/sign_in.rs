//! Signing in: a password, then a second factor. Each step gives another token, and none lets
//! anybody see a page before the last.

use super::chrome::{Chrome, Notice, page_with};
use super::fields::Fields;
use super::lang::Lang;
use super::server::{Console, own_path, see};
use super::visitor::{Opening, Posted, Visit, asker, with_cookie};
use super::words::Words;
use crate::accounts::{
    Claim, Current, OPERATORS, SecondProof, SharedSecret, SignInRefusal, Verified,
};
use crate::api::{draw, hash};
use crate::audit::{Actor, Digest, Entry, NotAudited, Outcome, Plain};
use crate::grants::Grant;
use crate::policy::Act;
use crate::sessions::AccountKey;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::{get, post};
use std::net::SocketAddr;
use std::sync::Arc;

/// How far a sign-in has come.
pub(super) enum Stage {
    /// The password was right, and is for one time: it must be changed.
    Change,
    /// This is to be the second factor.
    Enrol {
        /// What its authenticator and control are to share.
        secret: SharedSecret,
        /// It may take the place of one that there is.
        may_replace: bool,
    },
    /// A code is asked for.
    Second,
    /// It is done.
    In,
}

impl Stage {
    /// The page that asks for the next step.
    const fn path(&self) -> &'static str {
        match self {
            Self::Change => "/sign-in/password",
            Self::Enrol { .. } => "/sign-in/enrol",
            Self::Second => "/sign-in/code",
            Self::In => "/now",
        }
    }
}

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new()
        .route("/sign-in", get(show).post(take_password))
        .route("/sign-in/code", get(show_code).post(take_code))
        .route("/sign-out", post(sign_out))
}

#[derive(Template)]
#[template(path = "sign_in.html")]
struct SignInPage {
    chrome: Chrome,
    to: String,
    tenant: String,
    login: String,
}

#[derive(Template)]
#[template(path = "sign_in_code.html")]
struct CodePage {
    chrome: Chrome,
    to: String,
}

async fn show(headers: HeaderMap, RawQuery(query): RawQuery) -> Response<Body> {
    let lang = Lang::of(&headers);
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let words = lang.words();
    let notice = (!query.get("changed").is_empty()).then(|| Notice::done(words.password_changed));
    let chrome = Chrome::bare(lang, words.sign_in, "/sign-in").with(notice);
    let (to, tenant, login) = (own_path(query.get("to")).to_owned(), String::new(), String::new());
    page_with(StatusCode::OK, &SignInPage { chrome, to, tenant, login })
}

/// What a refused sign-in is told: no more than that it was wrong.
pub(super) fn told(words: &'static Words, refusal: SignInRefusal) -> (StatusCode, Notice) {
    match refusal {
        SignInRefusal::BadCredentials => {
            (StatusCode::FORBIDDEN, Notice::failed(words.bad_credentials))
        }
        SignInRefusal::Busy { retry_after_ms } => {
            let seconds = retry_after_ms.div_ceil(1000).to_string();
            let text = words.too_often.replace("{}", &seconds);
            (StatusCode::SERVICE_UNAVAILABLE, Notice::failed(text))
        }
        SignInRefusal::StoreUnavailable => {
            (StatusCode::SERVICE_UNAVAILABLE, Notice::failed(words.store_down))
        }
    }
}

async fn take_password(State(console): State<Arc<Console>>, form: Opening) -> Response<Body> {
    let lang = Lang::of(&form.headers);
    let (tenant, login) = (form.fields.text("tenant"), form.fields.text("login"));
    let to = own_path(form.fields.get("to"));
    let decided = console.verify(&form, &tenant, &login).await;
    let noted = console.note_sign_in("console_password", (&tenant, &login), form.address, &decided);
    let noted = noted.await.map_err(|_| SignInRefusal::StoreUnavailable);
    match noted.and(decided) {
        Ok(verified) => {
            let begun = console.begin(&verified).await;
            match begun {
                Ok((token, next)) => {
                    let query = Fields::query(&[("to", to)]);
                    with_cookie(see(&format!("{next}?{}", *query)), Some(&token))
                }
                Err(refusal) => again(lang, refusal, (tenant, login), to),
            }
        }
        Err(refusal) => again(lang, refusal, (tenant, login), to),
    }
}

fn again(
    lang: Lang,
    refusal: SignInRefusal,
    (tenant, login): (String, String),
    to: &str,
) -> Response<Body> {
    let words = lang.words();
    let (status, notice) = told(words, refusal);
    let chrome = Chrome::bare(lang, words.sign_in, "/sign-in").with(Some(notice));
    page_with(status, &SignInPage { chrome, to: to.to_owned(), tenant, login })
}

async fn show_code(headers: HeaderMap, RawQuery(query): RawQuery) -> Response<Body> {
    let lang = Lang::of(&headers);
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let chrome = Chrome::bare(lang, lang.words().second_factor, "/sign-in");
    page_with(StatusCode::OK, &CodePage { chrome, to: own_path(query.get("to")).to_owned() })
}

async fn take_code(State(console): State<Arc<Console>>, form: Opening) -> Response<Body> {
    let (lang, to) = (Lang::of(&form.headers), own_path(form.fields.get("to")).to_owned());
    let holder = match console.holder(&form.headers).await {
        Ok(Some(holder)) => holder,
        Ok(None) => return see("/sign-in"),
        Err(response) => return response,
    };
    let (token, grant, current) = holder;
    if !console.is_at(token, |stage| matches!(stage, Stage::Second)) {
        return see("/sign-in");
    }
    let code = form.fields.get("code");
    let checked =
        console
            .service
            .accounts
            .check_second(&console.sealer, grant.account, code, || console.clock.now());
    let checked = checked.await;
    let who = (current.tenant.as_str(), current.login.as_str());
    let noted = console.note_sign_in("console_sign_in", who, form.address, &checked).await;
    match noted.map_err(|_| SignInRefusal::StoreUnavailable).and(checked) {
        Ok(proof) => {
            let to = match proof {
                SecondProof::Code => to,
                SecondProof::Recovery { left } => format!("/me?left={left}"),
            };
            with_cookie(see(&to), Some(&console.advance(token, grant, Stage::In)))
        }
        Err(refusal) => {
            let words = lang.words();
            let (status, notice) = match refusal {
                SignInRefusal::BadCredentials => {
                    (StatusCode::FORBIDDEN, Notice::failed(words.bad_code))
                }
                other => told(words, other),
            };
            let chrome = Chrome::bare(lang, words.second_factor, "/sign-in").with(Some(notice));
            page_with(status, &CodePage { chrome, to })
        }
    }
}

async fn sign_out(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    console.visits().remove(form.by.token);
    let entry = Entry {
        tenant: Plain::of(form.by.tenant.as_deref().unwrap_or_default()),
        ..Entry::new(form.by.asker.actor(), "console_sign_out")
    };
    if let Err(error) = console.service.audit.note(entry).await {
        tracing::warn!(event = "console_sign_out_not_noted", %error, "a sign-out was not noted");
    }
    with_cookie(see("/sign-in"), None)
}

impl Console {
    /// Who gives a right password, and has any page to see.
    async fn verify(
        &self,
        form: &Opening,
        tenant: &str,
        login: &str,
    ) -> Result<Verified, SignInRefusal> {
        let (accounts, now) = (&self.service.accounts, || self.clock.now());
        let password = form.fields.password("password");
        let (password, from) = (&password, form.address.ip());
        if tenant.is_empty() {
            let claim = Claim { tenant: OPERATORS, login, password, from, device: None };
            return accounts.verify_operator(claim, now).await;
        }
        accounts.verify(Claim { tenant, login, password, from, device: None }, now).await
    }

    /// Begins the sign-in of whoever gave a right password: a token, and the page of the next step.
    async fn begin(
        &self,
        verified: &Verified,
    ) -> Result<(zeroize::Zeroizing<String>, &'static str), SignInRefusal> {
        let account = AccountKey { tenant: verified.tenant, account: verified.account };
        let grant = Grant { account, epochs: verified.epochs };
        let current = Current {
            tenant: verified.tenant_name.clone(),
            login: verified.login.clone(),
            role: verified.role,
            epochs: verified.epochs,
        };
        let anywhere = SocketAddr::from(([0, 0, 0, 0], 0));
        if !asker(grant, &current, anywhere).rank().may(Act::Calls) {
            return Err(SignInRefusal::BadCredentials);
        }
        let has_second = self.service.accounts.has_second(account).await.map_err(|error| {
            tracing::error!(event = "second_factor_unreadable", %error,
                "a second factor could not be read");
            SignInRefusal::StoreUnavailable
        })?;
        let stage = match (verified.must_change, has_second) {
            (true, _) => Stage::Change,
            (false, true) => Stage::Second,
            (false, false) => {
                Stage::Enrol { secret: SharedSecret::draw(&self.entropy), may_replace: false }
            }
        };
        let next = stage.path();
        Ok((self.admit(grant, stage), next))
    }

    /// A new token at `stage`.
    fn admit(&self, grant: Grant, stage: Stage) -> zeroize::Zeroizing<String> {
        let (token, csrf) = (draw(&self.entropy), draw(&self.entropy));
        let now = self.clock.now().since_start;
        self.visits().add(hash(&token), (grant, Visit { stage, csrf, address: None }), now);
        token
    }

    /// Another token for the one that has come one step further.
    pub(super) fn advance(
        &self,
        token: Digest,
        grant: Grant,
        stage: Stage,
    ) -> zeroize::Zeroizing<String> {
        self.visits().remove(token);
        self.admit(grant, stage)
    }

    /// Whether the holder of `token` is asked for this step.
    pub(super) fn is_at(&self, token: Digest, is: impl Fn(&Stage) -> bool) -> bool {
        let now = self.clock.now().since_start;
        self.visits().find(token, now).is_some_and(|(_, visit)| is(&visit.stage))
    }

    /// Notes a step of a sign-in before it is answered.
    pub(super) async fn note_sign_in<T>(
        &self,
        act: &'static str,
        (tenant, login): (&str, &str),
        address: SocketAddr,
        decided: &Result<T, SignInRefusal>,
    ) -> Result<(), NotAudited> {
        let is_operator = tenant.is_empty() || tenant == OPERATORS;
        let tenant = if is_operator { Plain::of(OPERATORS) } else { Plain::name(tenant) };
        let target = Plain::name(login);
        let entry = Entry { tenant, target, ..Entry::new(Actor::Terminal { address }, act) };
        let entry = match decided {
            Ok(_) => entry,
            // Anybody can be refused without end, so refusals may share a record.
            Err(refusal) => {
                let detail = Plain::of(&refusal.to_string());
                Entry { outcome: Outcome::Refused, detail, may_share: true, ..entry }
            }
        };
        self.service.audit.note(entry).await.map(drop)
    }
}
