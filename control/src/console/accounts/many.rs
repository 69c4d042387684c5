//! Many accounts at once: from CSV, and as CSV.

use super::super::chrome::{Chrome, Notice, page, status};
use super::super::csv_text::{self, ImportRow, NoImport};
use super::super::fields::Fields;
use super::super::server::Console;
use super::super::visitor::{Posted, Visitor};
use super::listed;
use super::one::About;
use crate::admin::{Answer, Request, answer};
use askama::Template;
use axum::body::Body;
use axum::extract::{RawQuery, State};
use axum::http::Response;
use axum::response::IntoResponse;
use std::sync::Arc;
use zeroize::Zeroizing;

#[derive(Template)]
#[template(path = "imported.html")]
struct ImportedPage {
    chrome: Chrome,
    rows: Vec<Imported>,
}

/// What became of one line.
struct Imported {
    login: String,
    password: Option<Zeroizing<String>>,
    refused: String,
}

/// Adds the accounts of a CSV text, each for itself.
pub(super) async fn import(State(console): State<Arc<Console>>, form: Posted) -> Response<Body> {
    let Posted { by, fields } = form;
    let words = by.lang.words();
    let tenant = About::of(&by, &fields).tenant;
    let read = csv_text::read(fields.get("csv"));
    let rows = match read {
        Ok(rows) => rows,
        Err(why) => {
            let notice = match why {
                NoImport::TooLong => Notice::failed(words.import_too_long),
                NoImport::Bad(detail) => Notice { detail, ..Notice::failed(words.import_bad) },
            };
            let query = Fields::query(&[("tenant", &tenant)]);
            return listed(&console, &by, &Fields::parse(query.as_bytes()), Some(notice)).await;
        }
    };
    // Goes on even if the browser does not wait.
    let (visitor, service) = (by.clone(), console.service.clone());
    let adding = tokio::spawn(async move {
        let mut done = Vec::with_capacity(rows.len());
        for row in rows {
            done.push(added(&service, &visitor, &tenant, row).await);
        }
        done
    });
    let rows = adding.await.unwrap_or_default();
    page(&ImportedPage { chrome: Chrome::of(&by, words.imported, "/accounts"), rows })
}

async fn added(
    service: &crate::admin::Service,
    by: &Visitor,
    tenant: &str,
    row: ImportRow,
) -> Imported {
    let login = row.login.clone();
    let Some(role) = row.role() else {
        let refused = format!("{}: {}", by.lang.words().refused_wrong, row.role);
        return Imported { login, password: None, refused };
    };
    let request = Request::AccountAdd {
        tenant: tenant.to_owned(),
        login: row.login,
        display: Some(row.display).filter(|it| !it.is_empty()),
        password: None,
        permanent: false,
        role,
    };
    match answer(service, &by.asker, request).await {
        Ok(Answer::AccountAdded { password, .. }) => {
            let password = password.map(|it| Zeroizing::new(it.expose().to_owned()));
            Imported { login, password, refused: String::new() }
        }
        Ok(_) => Imported { login, password: None, refused: String::new() },
        Err(refused) => Imported { login, password: None, refused: refused.message },
    }
}

/// All accounts of the tenant.
pub(super) async fn export(
    State(console): State<Arc<Console>>,
    visitor: Visitor,
    RawQuery(query): RawQuery,
) -> Response<Body> {
    let query = Fields::parse(query.unwrap_or_default().as_bytes());
    let tenant = About::of(&visitor, &query).tenant;
    let rows = match console.accounts_of(&visitor, &tenant).await {
        Ok(rows) => rows,
        Err(refused) => return (status(refused.why), refused.message).into_response(),
    };
    csv_text::file("accounts.csv", csv_text::write(&rows))
}
