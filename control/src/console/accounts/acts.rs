//! What is done to one account.

use super::super::chrome::Notice;
use super::super::fields::Fields;
use super::super::server::{Console, see};
use super::super::visitor::{Posted, Visitor};
use super::listed;
use super::one::{About, shown};
use crate::accounts::Subject;
use crate::admin::{Answer, MediaEnd, Refused, Request, answer};
use axum::body::Body;
use axum::extract::State;
use axum::http::Response;
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Adds an account and shows its password, this once.
pub(super) async fn add(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let about = About::of(&by, &fields);
    let request = Request::AccountAdd {
        tenant: about.tenant.clone(),
        login: about.login.clone(),
        display: fields.some("display"),
        password: None,
        permanent: false,
        role: Role::named(fields.get("role")).unwrap_or_default(),
    };
    match answer(&console.service, &by.asker, request).await {
        Ok(Answer::AccountAdded { account, password }) => {
            let about = About { login: account.login, ..about };
            let notice = Notice::done(by.lang.words().account_added);
            shown(&console, &by, &about, Some(notice), password.map(typed)).await
        }
        Ok(_) => see(&about.path("")),
        Err(refused) => {
            let notice = Notice::refused(by.lang.words(), refused);
            let pairs = [("tenant", about.tenant.as_str())];
            let query = Fields::parse(Fields::query(&pairs).as_bytes());
            listed(&console, &by, &query, Some(notice)).await
        }
    }
}

fn typed(password: Password) -> Zeroizing<String> {
    Zeroizing::new(password.expose().to_owned())
}

/// Ends everything of an account, or of it on one device.
pub(super) async fn suspend(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let (about, device) = (About::of(&by, &fields), device(&fields));
    let done = if device.is_some() { "device" } else { "suspended" };
    let (subject, reason) = (subject(&about, device), fields.some("reason"));
    let request = Request::Suspend { subject, reason };
    let answered = answer(&console.service, &by.asker, request).await;
    let path = answered.map(|answer| match answer {
        Answer::Suspended { media: Some(MediaEnd { silent, .. }) } if !silent.is_empty() => {
            let silent: Vec<_> = silent.iter().map(|relay| relay.0.to_string()).collect();
            format!("{}&silent={}", about.path(done), silent.join("-"))
        }
        _ => about.path(done),
    });
    lead(&console, &by, &about, path).await
}

/// Lets it in again.
pub(super) async fn reactivate(
    State(console): State<Arc<Console>>,
    form: Posted,
) -> Response<Body> {
    let Posted { by, fields } = form;
    let about = About::of(&by, &fields);
    let request = Request::Reactivate { subject: subject(&about, device(&fields)) };
    told(&console, &by, &about, request, "reactivated").await
}

fn device(fields: &Fields) -> Option<DeviceId> {
    u64::from_str_radix(fields.get("device"), 16).ok().map(DeviceId)
}

fn subject(about: &About, device: Option<DeviceId>) -> Subject {
    let (tenant, login) = (about.tenant.clone(), about.login.clone());
    match device {
        Some(device) => Subject::Device { tenant, login, device },
        None => Subject::Account { tenant, login },
    }
}

/// Gives it a one-time password, shown this once.
pub(super) async fn reset_password(
    State(console): State<Arc<Console>>,
    form: Posted,
) -> Response<Body> {
    let Posted { by, fields } = form;
    let about = About::of(&by, &fields);
    let (tenant, login) = (about.tenant.clone(), about.login.clone());
    let request = Request::AccountPassword { tenant, login, password: None, permanent: false };
    let words = by.lang.words();
    let (notice, password) = match answer(&console.service, &by.asker, request).await {
        Ok(Answer::AccountAdded { password, .. }) => {
            (Notice::done(words.password_reset), password.map(typed))
        }
        Ok(_) => return see(&about.path("")),
        Err(refused) => (Notice::refused(words, refused), None),
    };
    shown(&console, &by, &about, Some(notice), password).await
}

/// Has it set up an authenticator anew.
pub(super) async fn reset_second(
    State(console): State<Arc<Console>>,
    form: Posted,
) -> Response<Body> {
    let Posted { by, fields } = form;
    let about = About::of(&by, &fields);
    let (tenant, login) = (about.tenant.clone(), about.login.clone());
    told(&console, &by, &about, Request::SecondReset { tenant, login }, "second").await
}

/// Gives it another role.
pub(super) async fn change_role(
    State(console): State<Arc<Console>>,
    form: Posted,
) -> Response<Body> {
    let Posted { by, fields } = form;
    let about = About::of(&by, &fields);
    let (tenant, login) = (about.tenant.clone(), about.login.clone());
    let role = Role::named(fields.get("role")).unwrap_or_default();
    told(&console, &by, &about, Request::AccountRole { tenant, login, role }, "role").await
}

/// Asks, and goes to the account's page, which says how it went.
async fn told(
    console: &Console,
    by: &Visitor,
    about: &About,
    request: Request,
    done: &str,
) -> Response<Body> {
    let answered = answer(&console.service, &by.asker, request).await;
    lead(console, by, about, answered.map(|_| about.path(done))).await
}

/// Leads to what was done, or says why nothing was.
async fn lead(
    console: &Console,
    by: &Visitor,
    about: &About,
    path: Result<String, Refused>,
) -> Response<Body> {
    match path {
        Ok(path) => see(&path),
        Err(refused) => {
            let notice = Notice::refused(by.lang.words(), refused);
            shown(console, by, about, Some(notice), None).await
        }
    }
}
