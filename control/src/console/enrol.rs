//! The first sign-in: an authenticator is set up, and recovery codes are shown this once.

use super::chrome::{Chrome, Notice, page_with};
use super::fields::Fields;
use super::lang::Lang;
use super::server::{Console, own_path, see};
use super::sign_in::{Stage, told};
use super::visitor::{Opening, with_cookie};
use crate::accounts::{Current, OPERATORS_ID, SharedSecret, SignInRefusal};
use crate::audit::Digest;
use crate::grants::Grant;
use askama::Template;
use axum::Router;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::get;
use qrcodegen::{QrCode, QrCodeEcc};
use std::sync::Arc;
use zeroize::Zeroizing;

/// What these pages are at.
pub(super) fn routes() -> Router<Arc<Console>> {
    Router::new().route("/sign-in/enrol", get(show).post(take))
}

#[derive(Template)]
#[template(path = "enrol.html")]
struct EnrolPage {
    chrome: Chrome,
    to: String,
    /// What an authenticator scans, as the side of a square and the path of its dark modules.
    square: i32,
    modules: Zeroizing<String>,
    /// The same to be typed.
    typed: Zeroizing<String>,
}

#[derive(Template)]
#[template(path = "recovery.html")]
struct RecoveryPage {
    chrome: Chrome,
    to: String,
    codes: Vec<Zeroizing<String>>,
}

/// Who is setting up a second factor, and which.
struct Enrolling {
    token: Digest,
    grant: Grant,
    current: Current,
    secret: SharedSecret,
    may_replace: bool,
}

async fn show(
    State(console): State<Arc<Console>>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let to = own_path(query.get("to")).to_owned();
    match console.enrolling(&headers).await {
        Ok(Some(it)) => {
            let who = (it.grant, &it.current, &it.secret);
            asks(Lang::of(&headers), who, to, None)
        }
        Ok(None) => see("/sign-in"),
        Err(response) => response,
    }
}

async fn take(State(console): State<Arc<Console>>, form: Opening) -> Response<Body> {
    let lang = Lang::of(&form.headers);
    let to = own_path(form.fields.get("to")).to_owned();
    let Enrolling { token, grant, current, secret, may_replace } =
        match console.enrolling(&form.headers).await {
            Ok(Some(found)) => found,
            Ok(None) => return see("/sign-in"),
            Err(response) => return response,
        };
    let accounts = &console.service.accounts;
    let (account, code) = (grant.account, form.fields.get("code"));
    let enrolled =
        accounts.enrol_second(&console.sealer, (account, &secret), code, may_replace, || {
            console.clock.now()
        });
    let enrolled = enrolled.await;
    let who = (current.tenant.as_str(), current.login.as_str());
    let noted = console.note_sign_in("console_enrol", who, form.address, &enrolled).await;
    match noted.map_err(|_| SignInRefusal::StoreUnavailable).and(enrolled) {
        Ok(codes) => {
            let chrome = Chrome::bare(lang, lang.words().recovery_codes, "/sign-in");
            let codes = codes.iter().map(|code| Zeroizing::new(code.expose().to_owned()));
            let page = RecoveryPage { chrome, to, codes: codes.collect() };
            let token = console.advance(token, grant, Stage::In);
            with_cookie(page_with(StatusCode::OK, &page), Some(&token))
        }
        Err(refusal) => {
            let notice = match refusal {
                SignInRefusal::BadCredentials => Notice::failed(lang.words().bad_code),
                other => told(lang.words(), other).1,
            };
            asks(lang, (grant, &current, &secret), to, Some(notice))
        }
    }
}

fn asks(
    lang: Lang,
    (grant, current, secret): (Grant, &Current, &SharedSecret),
    to: String,
    notice: Option<Notice>,
) -> Response<Body> {
    let words = lang.words();
    let status = if notice.is_some() { StatusCode::FORBIDDEN } else { StatusCode::OK };
    let chrome = Chrome::bare(lang, words.set_up_second, "/sign-in").with(notice);
    let of_operators = grant.account.tenant == OPERATORS_ID;
    let tenant = if of_operators { words.operators } else { current.tenant.as_str() };
    let (square, modules) = drawn(&secret.scanned(tenant, &current.login));
    let page = EnrolPage { chrome, to, square, modules, typed: secret.typed() };
    page_with(status, &page)
}

/// A QR code (ISO/IEC 18004): its side in modules, and an SVG path of the dark ones.
fn drawn(text: &str) -> (i32, Zeroizing<String>) {
    let Ok(code) = QrCode::encode_text(text, QrCodeEcc::Medium) else {
        return (1, Zeroizing::new(String::new()));
    };
    let mut path = Zeroizing::new(String::new());
    for y in 0..code.size() {
        for x in (0..code.size()).filter(|x| code.get_module(*x, y)) {
            path.push_str(&format!("M{},{}h1v1h-1z", x + 4, y + 4));
        }
    }
    // Four light modules stand around it.
    (code.size() + 8, path)
}

impl Console {
    /// Who is setting up a second factor, and which.
    async fn enrolling(&self, headers: &HeaderMap) -> Result<Option<Enrolling>, Response<Body>> {
        let Some((token, grant, current)) = self.holder(headers).await? else { return Ok(None) };
        let now = self.clock.now().since_start;
        let mut visits = self.visits();
        let stage = visits.find(token, now).map(|(_, visit)| &visit.stage);
        let Some(Stage::Enrol { secret, may_replace }) = stage else { return Ok(None) };
        let (secret, may_replace) = (secret.clone(), *may_replace);
        Ok(Some(Enrolling { token, grant, current, secret, may_replace }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_square_has_a_light_border_and_dark_corners() {
        let (square, path) = drawn("otpauth://totp/Kakehashi:a?secret=GEZDGNBVGY3TQOJQ");
        assert!(square > 21 + 8, "{square}");
        assert!(path.starts_with("M4,4h1v1h-1z"));
        let columns = path.split('M').skip(1).filter_map(|it| it.split(',').next());
        let columns = columns.map(|x| x.parse::<i32>().unwrap());
        assert!(columns.clone().all(|x| x >= 4 && x < square - 4));
    }
}
