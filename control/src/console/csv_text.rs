//! CSV (RFC 4180): accounts taken in, and tables given out for spreadsheets.

use crate::accounts::{Account, Standing};
use crate::capacity::CONSOLE_IMPORT_ROWS_MAX;
use axum::body::Body;
use axum::http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use kakehashi_wire::terminal::Role;
use serde::Deserialize;

/// An account that is to be added.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ImportRow {
    pub(super) login: String,
    #[serde(default)]
    pub(super) display: String,
    #[serde(default)]
    pub(super) role: String,
}

/// Why a text is not taken in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum NoImport {
    /// It has too many lines.
    TooLong,
    /// It is none, for the reason that is said.
    Bad(String),
}

impl ImportRow {
    /// The role; `None` if there is none of that name.
    pub(super) fn role(&self) -> Option<Role> {
        if self.role.is_empty() { Some(Role::Store) } else { Role::named(&self.role) }
    }
}

/// The rows of a text whose first line names the columns.
pub(super) fn read(text: &str) -> Result<Vec<ImportRow>, NoImport> {
    // Spreadsheets put a mark of their encoding first.
    let text = text.trim_start_matches('\u{feff}');
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).from_reader(text.as_bytes());
    let mut rows = Vec::new();
    for row in reader.deserialize() {
        if rows.len() == CONSOLE_IMPORT_ROWS_MAX {
            return Err(NoImport::TooLong);
        }
        rows.push(row.map_err(|error: csv::Error| NoImport::Bad(error.to_string()))?);
    }
    Ok(rows)
}

/// A text with all of `accounts`, and no password.
pub(super) fn write(accounts: &[Account]) -> Option<Vec<u8>> {
    let row = |account: &Account| {
        let standing = match account.standing {
            Standing::Active => "active",
            Standing::Suspended { .. } => "suspended",
        };
        let (login, display) = (account.login.clone(), account.display.clone());
        let role = account.role.name().to_owned();
        [login, display, role, standing.to_owned(), account.created.utc()]
    };
    let head = ["login", "display", "role", "standing", "created"];
    table(head, accounts.iter().map(row))
}

/// A text with `rows` under `head`; no spreadsheet takes a cell of it for a formula.
pub(super) fn table<const N: usize>(
    head: [&str; N],
    rows: impl Iterator<Item = [String; N]>,
) -> Option<Vec<u8>> {
    let mut writer =
        csv::WriterBuilder::new().terminator(csv::Terminator::CRLF).from_writer(vec![]);
    writer.write_record(head).ok()?;
    for row in rows {
        writer.write_record(row.map(|cell| harmless(&cell))).ok()?;
    }
    writer.into_inner().ok()
}

/// A text as a file that a browser keeps under `name`.
pub(super) fn file(name: &'static str, text: Option<Vec<u8>>) -> Response<Body> {
    let Some(text) = text else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let mut response = Response::new(Body::from(text));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    if let Ok(kept) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        headers.insert(CONTENT_DISPOSITION, kept);
    }
    response
}

/// A cell that no spreadsheet takes for a formula.
fn harmless(cell: &str) -> String {
    let is_formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    if is_formula { format!("'{cell}") } else { cell.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use kakehashi_wire::id::{AccountId, TenantId};

    #[test]
    fn lines_become_accounts() {
        let text = "\u{feff}login,display,role\r\nstore-1,\"Ginza, ground floor\",\r\n\
                    anna , Anna ,concierge\n";
        let rows = read(text).unwrap();
        assert_eq!(
            (rows[0].login.as_str(), rows[0].display.as_str()),
            ("store-1", "Ginza, ground floor")
        );
        assert_eq!((rows[0].role(), rows[1].role()), (Some(Role::Store), Some(Role::Concierge)));
        assert_eq!(rows[1].login, "anna");
        assert_eq!(read("login\na\nb").unwrap().len(), 2);
        assert_eq!(read("").unwrap(), []);
        assert!(matches!(read("login,password\na,b"), Err(NoImport::Bad(_))));
        assert!(matches!(read("login,display\na,b,c"), Err(NoImport::Bad(_))));
        let long = format!("login\n{}", "a\n".repeat(CONSOLE_IMPORT_ROWS_MAX + 1));
        assert_eq!(read(&long), Err(NoImport::TooLong));
    }

    #[test]
    fn what_is_given_out_can_be_taken_in_and_runs_nothing() {
        let account = Account {
            id: AccountId(1),
            tenant: TenantId(1),
            login: "store-1".into(),
            display: "=cmd|' /C calc'!A0,\"x\"".into(),
            epoch: 1,
            created: UnixMs(0),
            role: Role::Supervisor,
            standing: Standing::Active,
            suspended_devices: Vec::new(),
            devices_epoch: 0,
        };
        let text = String::from_utf8(write(&[account]).unwrap()).unwrap();
        let second = text.lines().nth(1).unwrap();
        assert!(second.starts_with("store-1,\"'=cmd"), "{second}");
        assert!(second.ends_with(",supervisor,active,1970-01-01 00:00:00"), "{second}");
    }
}
