//! A bucket of an S3-compatible service.

use super::http::Connector;
use super::{ArchiveError, Objects, S3Settings};
use crate::capacity::{ARCHIVE_RETRIES_MAX, ARCHIVE_RETRY_FOR};
use object_store::RetryConfig;
use object_store::aws::{AmazonS3Builder, S3ConditionalPut};
use object_store::prefix::PrefixStore;
use std::path::Path;
use zeroize::Zeroizing;

/// The bucket that `settings` name. Nothing is connected to yet.
///
/// # Errors
/// [`ArchiveError::File`] for a file that cannot be used.
pub(super) fn open(settings: &S3Settings) -> Result<Objects, ArchiveError> {
    let endpoint = settings.endpoint.trim_end_matches('/');
    let credentials = read(&settings.credentials_file)?;
    let (id, key) = pair(&credentials).ok_or_else(|| ArchiveError::File {
        path: settings.credentials_file.clone(),
        what: "it must hold the key's ID and the key, a line each".to_owned(),
    })?;
    let retry = RetryConfig {
        max_retries: ARCHIVE_RETRIES_MAX,
        retry_timeout: ARCHIVE_RETRY_FOR,
        ..RetryConfig::default()
    };
    let place = format!("{endpoint}/{}/{}", settings.bucket, settings.prefix);
    let bucket = AmazonS3Builder::new()
        .with_endpoint(endpoint)
        .with_bucket_name(&settings.bucket)
        .with_region(&settings.region)
        .with_virtual_hosted_style_request(false)
        .with_access_key_id(id)
        .with_secret_access_key(key)
        .with_allow_http(endpoint.starts_with("http://"))
        .with_conditional_put(S3ConditionalPut::ETagMatch)
        // Not every service knows how to remove several at once, and nothing here needs it.
        .with_disable_bulk_delete(true)
        .with_retry(retry)
        .with_http_connector(Connector::new(settings)?)
        .build();
    let bucket = bucket.map_err(|error| ArchiveError::Unavailable {
        place: place.clone(),
        what: error.to_string(),
    })?;
    Ok(Objects::bucket(PrefixStore::new(bucket, settings.prefix.as_str()), place))
}

fn read(path: &Path) -> Result<Zeroizing<String>, ArchiveError> {
    let text = std::fs::read_to_string(path).map(Zeroizing::new);
    text.map_err(|error| ArchiveError::File { path: path.to_owned(), what: error.to_string() })
}

/// The two lines.
fn pair(text: &str) -> Option<(&str, &str)> {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let pair = (lines.next()?, lines.next()?);
    lines.next().is_none().then_some(pair)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_are_two_lines() {
        assert_eq!(pair("id\nkey"), Some(("id", "key")));
        assert_eq!(pair("\n id \r\n key \n\n"), Some(("id", "key")));
        for bad in ["", "id", "id\n\n", "id\nkey\nmore"] {
            assert_eq!(pair(bad), None, "{bad:?}");
        }
    }
}
