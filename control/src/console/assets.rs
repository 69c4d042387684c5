//! The style sheet, the script and the icon: part of the program, under names that change with what
//! they hold, so that browsers may keep them.

use aws_lc_rs::digest::{SHA256, digest};
use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Response};
use std::sync::LazyLock;

/// One of them.
pub(super) struct Asset {
    content: &'static str,
    kind: &'static str,
    /// Where it is.
    pub(super) path: LazyLock<String>,
}

macro_rules! asset {
    ($file:literal, $ending:literal, $kind:literal) => {
        Asset {
            content: include_str!(concat!("assets/", $file, ".", $ending)),
            kind: $kind,
            path: LazyLock::new(|| {
                let hash = digest(&SHA256, include_bytes!(concat!("assets/", $file, ".", $ending)));
                let hash: String =
                    hash.as_ref()[..8].iter().map(|it| format!("{it:02x}")).collect();
                format!("/assets/{}-{hash}.{}", $file, $ending)
            }),
        }
    };
}

/// How pages look.
pub(super) static STYLE: Asset = asset!("console", "css", "text/css; charset=utf-8");
/// What keeps pages fresh.
pub(super) static SCRIPT: Asset = asset!("console", "js", "text/javascript; charset=utf-8");
/// The bridge.
pub(super) static ICON: Asset = asset!("bridge", "svg", "image/svg+xml");

/// All of them.
pub(super) static ALL: [&Asset; 3] = [&STYLE, &SCRIPT, &ICON];

impl Asset {
    /// It, as it is sent.
    pub(super) fn response(&self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.content));
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.kind));
        let kept = HeaderValue::from_static("public, max-age=31536000, immutable");
        headers.insert(CACHE_CONTROL, kept);
        response
    }
}
