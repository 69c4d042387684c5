//! The console: pages for operators and for the people who look after a tenant.
//!
//! HTTPS on a listener of its own. Whatever is asked becomes a [`Request`](crate::admin::Request)
//! of whoever has signed in, which the one place that answers decides about and the audit log sees:
//! a page can do no more than the [API](crate::api). Pages work without scripts; `console.js` only
//! keeps them fresh. Nothing comes from elsewhere, and nothing is built when it runs.

mod accounts;
mod assets;
mod audit;
mod chrome;
mod csv_text;
mod desks;
mod enrol;
mod fields;
mod fleet;
mod floor;
mod lang;
mod live;
mod me;
mod now;
mod operators;
mod password;
mod plot;
mod policy;
mod records;
mod server;
mod sign_in;
mod soon;
mod status;
mod tenants;
mod visitor;
mod words;

pub(crate) use server::Console;
