//! The operators' door: an HTTPS API for everything an operator does, also by `kakehashi`.
//!
//! TLS 1.3 and HTTP/1.1 on a listener of its own. `routes` is one table from which the router,
//! the checks and the document `openapi.json` come; whatever is asked becomes a
//! [`Request`](crate::admin::Request), which one place answers and the audit log sees. Whoever
//! reads `operator.token` in the data folder is the operator; it is made anew at each start. People
//! of tenants sign in with their password and do what their role may do, in their own tenant.

mod asked;
mod bodies;
pub mod client;
mod document;
mod people;
mod places;
mod problem;
mod routes;
mod server;
mod spelling;
mod token;

pub(crate) use server::Api;
pub(crate) use token::{OperatorToken, draw, hash};
