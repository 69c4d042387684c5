//! TLS of the link: 1.3 only, both sides certified, one crypto provider.

use super::link::LinkConfig;
use super::lost::SetupError;
use kakehashi_wire::frame::ALPN_RELAY;
use quinn::crypto::rustls::QuicClientConfig;
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::path::Path;
use std::sync::Arc;

/// Reads the operator's files. Done for every dial, so that renewed ones are taken up.
pub(super) fn client(config: &LinkConfig) -> Result<QuicClientConfig, SetupError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&config.ca)? {
        roots.add(certificate).map_err(|error| not_pem(&config.ca, "CA certificate", &error))?;
    }
    let chain = certificates(&config.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&config.key)?)
        .map_err(|error| not_pem(&config.key, "private key", &error))?;
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .map_err(|error| SetupError::Tls(error.to_string()))?
        .with_root_certificates(roots)
        .with_client_auth_cert(chain, key)
        .map_err(SetupError::Identity)?;
    tls.alpn_protocols = vec![ALPN_RELAY.to_vec()];
    QuicClientConfig::try_from(tls).map_err(|error| SetupError::Tls(error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&read(path)?).collect();
    let found = found.map_err(|error| not_pem(path, "certificate", &error))?;
    if found.is_empty() {
        return Err(not_pem(path, "certificate", &"there is none"));
    }
    Ok(found)
}

fn read(path: &Path) -> Result<Vec<u8>, SetupError> {
    std::fs::read(path).map_err(|source| SetupError::Unreadable { path: path.into(), source })
}

fn not_pem(path: &Path, wanted: &'static str, reason: &dyn std::fmt::Display) -> SetupError {
    SetupError::NotPem { path: path.into(), wanted, reason: reason.to_string() }
}
