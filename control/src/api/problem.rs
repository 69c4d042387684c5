//! What is answered when something was not done: problem documents (RFC 9457).

use crate::admin::{Refused, Why};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, Response, StatusCode};
use axum::response::IntoResponse;
use serde::{Deserialize, Serialize};

/// Why there is no answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    /// When to try again, in seconds, if that may help.
    retry_after_s: u32,
    /// Nothing more is read of this connection: where the next request begins is not known.
    closes: bool,
}

/// The document, as it is sent.
#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    /// Always the same: `code` says what it is.
    r#type: String,
    title: String,
    status: u16,
    code: String,
    /// The reason, and what to do.
    pub(super) detail: String,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self { status, code, detail: detail.into(), retry_after_s: 1, closes: false }
    }

    fn closing(self) -> Self {
        Self { closes: true, ..self }
    }

    pub(super) fn wrong(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "wrong", detail)
    }

    pub(super) fn no_such_path() -> Self {
        let detail = "there is nothing at this path: GET /v1/openapi.json lists all";
        Self::new(StatusCode::NOT_FOUND, "no_such_path", detail)
    }

    pub(super) fn no_such_method() -> Self {
        let detail = "this path does not take this method: GET /v1/openapi.json lists all";
        Self::new(StatusCode::METHOD_NOT_ALLOWED, "no_such_method", detail)
    }

    pub(super) fn not_authenticated() -> Self {
        let detail = "send `Authorization: Bearer TOKEN`, with what POST /v1/tokens gave, or \
                      `operator.token` of the data folder, which is another after each start";
        Self::new(StatusCode::UNAUTHORIZED, "not_authenticated", detail).closing()
    }

    pub(super) fn bad_credentials() -> Self {
        let detail = "tenant, login ID or password is wrong: check all three";
        Self::new(StatusCode::FORBIDDEN, "bad_credentials", detail)
    }

    pub(super) fn must_change() -> Self {
        let detail = "this password is for one sign-in of a terminal, which changes it: \
                      `kakehashi terminal ... password`";
        Self::new(StatusCode::FORBIDDEN, "must_change", detail)
    }

    pub(super) fn too_often(retry_after_ms: u32) -> Self {
        let retry_after_s = retry_after_ms.div_ceil(1000);
        let detail = format!("too many sign-ins: try again in {retry_after_s} s");
        Self { retry_after_s, ..Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", detail) }
    }

    /// What kind of reason it is.
    pub(super) fn code(&self) -> &'static str {
        self.code
    }

    pub(super) fn length_required() -> Self {
        let detail = "send the body with Content-Length and without Transfer-Encoding";
        Self::new(StatusCode::LENGTH_REQUIRED, "length_required", detail).closing()
    }

    pub(super) fn too_large(most: usize) -> Self {
        let detail = format!("a body has at most {most} bytes: send less");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail).closing()
    }

    pub(super) fn not_json() -> Self {
        let detail = "send the body with `Content-Type: application/json`";
        Self::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not_json", detail)
    }

    pub(super) fn no_body_wanted() -> Self {
        Self::wrong("this path takes no body: send none").closing()
    }

    pub(super) fn answer_too_large() -> Self {
        Self::new(StatusCode::BAD_REQUEST, "too_much", "the answer would be too long: ask for less")
    }

    /// Something that cannot happen did; the log says what.
    pub(super) fn broken() -> Self {
        let detail = "control failed: its log says why";
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", detail)
    }

    pub(super) fn too_slow() -> Self {
        let detail = "the body did not come in time: send it at once";
        Self::new(StatusCode::REQUEST_TIMEOUT, "too_slow", detail).closing()
    }
}

impl From<Refused> for Problem {
    fn from(Refused { why, message }: Refused) -> Self {
        let (status, code) = match why {
            Why::Wrong => (StatusCode::BAD_REQUEST, "wrong"),
            Why::NotAllowed => (StatusCode::FORBIDDEN, "not_allowed"),
            Why::Absent => (StatusCode::NOT_FOUND, "absent"),
            Why::Conflict => (StatusCode::CONFLICT, "conflict"),
            Why::Busy => (StatusCode::SERVICE_UNAVAILABLE, "busy"),
            Why::Failed => (StatusCode::INTERNAL_SERVER_ERROR, "failed"),
        };
        Self::new(status, code, message)
    }
}

/// What kind of reason an answer with `status` is; the other direction of the above.
pub(super) fn why(status: StatusCode) -> Why {
    match status {
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => Why::NotAllowed,
        StatusCode::NOT_FOUND => Why::Absent,
        StatusCode::CONFLICT => Why::Conflict,
        StatusCode::SERVICE_UNAVAILABLE => Why::Busy,
        status if status.is_server_error() => Why::Failed,
        _ => Why::Wrong,
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let document = Document {
            r#type: "about:blank".to_owned(),
            title: self.status.canonical_reason().unwrap_or_default().to_owned(),
            status: self.status.as_u16(),
            code: self.code.to_owned(),
            detail: self.detail,
        };
        let text = serde_json::to_vec(&document).expect("invariant: texts and a number are JSON");
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(RETRY_AFTER, HeaderValue::from(self.retry_after_s));
        }
        if self.closes {
            headers.insert(CONNECTION, HeaderValue::from_static("close"));
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_comes_back_as_it_was_sent() {
        use Why::{Absent, Busy, Conflict, Failed, NotAllowed, Wrong};
        for sent in [Wrong, NotAllowed, Absent, Conflict, Busy, Failed] {
            let problem = Problem::from(Refused { why: sent, message: String::new() });
            assert_eq!(why(problem.status), sent);
        }
        assert_eq!(why(Problem::not_authenticated().status), NotAllowed);
        assert_eq!(why(Problem::too_slow().status), Wrong);
    }
}
