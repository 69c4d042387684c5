//! Where the archive is: `[archive]` of the node's settings.

use serde::{Deserialize, Serialize};
use std::path::PathBuf;

/// The archive.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArchiveSettings {
    /// The folder; empty for `archive` in the data folder.
    pub folder: PathBuf,
    /// The bucket, if it is one.
    pub s3: S3Settings,
}

/// A bucket of an S3-compatible service.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct S3Settings {
    /// The service, as a URL; empty for a folder.
    pub endpoint: String,
    /// The bucket.
    pub bucket: String,
    /// What the names of all objects begin with.
    pub prefix: String,
    /// The region that requests are signed for.
    pub region: String,
    /// The authorities of the service's certificate.
    pub ca: PathBuf,
    /// The file that holds the key's ID and the key, a line each.
    pub credentials_file: PathBuf,
}

impl Default for S3Settings {
    fn default() -> Self {
        Self {
            endpoint: String::new(),
            bucket: String::new(),
            prefix: "kakehashi".to_owned(),
            region: "us-east-1".to_owned(),
            ca: "/etc/ssl/certs/ca-certificates.crt".into(),
            credentials_file: PathBuf::new(),
        }
    }
}

impl S3Settings {
    /// Whether the archive is a bucket.
    pub fn is_used(&self) -> bool {
        !self.endpoint.is_empty()
    }
}

impl ArchiveSettings {
    /// Whether the operator said where it is.
    pub fn is_chosen(&self) -> bool {
        self.s3.is_used() || !self.folder.as_os_str().is_empty()
    }

    /// What must hold: whether it does, which setting, and what would be right.
    pub(crate) fn checks(&self) -> [(bool, &'static str, &'static str); 5] {
        let (s3, is_used) = (&self.s3, self.s3.is_used());
        let scheme = ["http://", "https://"].iter().find(|it| s3.endpoint.starts_with(**it));
        let is_good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        let plain = |text: &str, more: &[u8]| {
            !text.is_empty() && text.bytes().all(|byte| is_good(byte) || more.contains(&byte))
        };
        [
            (
                !is_used || scheme.is_some(),
                "archive.s3.endpoint",
                "must be a URL with https:// or http://",
            ),
            (
                !is_used || self.folder.as_os_str().is_empty(),
                "archive.folder",
                "and `archive.s3.endpoint` exclude each other: set one of them",
            ),
            (
                !is_used || plain(&s3.bucket, b"."),
                "archive.s3.bucket",
                "must be the name of a bucket: small letters, digits, hyphens and dots",
            ),
            (
                crate::archive::Name::parse(s3.prefix.clone()).is_ok(),
                "archive.s3.prefix",
                "must be small letters, digits and hyphens, with single slashes between them",
            ),
            (
                !is_used || !s3.credentials_file.as_os_str().is_empty(),
                "archive.s3.credentials_file",
                "must name a file with the key's ID and the key, a line each",
            ),
        ]
    }
}
