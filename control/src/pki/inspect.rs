//! Whether certificates that are there will do: for whoever looks at a machine before it serves.

use super::{PkiError, load_identity, relay_id_of};
use crate::clock::UnixMs;
use crate::gate::identity::provider;
use core::time::Duration;
use kakehashi_wire::id::RelayId;
use rustls::RootCertStore;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, ServerName, UnixTime};
use std::path::Path;
use std::sync::Arc;
use x509_parser::prelude::{FromDer, X509Certificate};

/// What a certificate is to be good for.
#[derive(Clone, Copy, Debug)]
pub enum Purpose<'a> {
    /// A relay's, for control.
    Relay(RelayId),
    /// A server's, for whoever dials it by one of these names.
    Server(&'a [String]),
}

/// Why a certificate is of no use.
#[derive(Debug, thiserror::Error)]
pub enum Useless {
    /// Its files cannot be used.
    #[error(transparent)]
    Files(#[from] PkiError),
    /// It is not good now, or not of the authority, or not for this purpose.
    #[error("{0}")]
    NotGood(String),
    /// It names somebody else.
    #[error("it does not name relay {0}")]
    OtherRelay(u32),
}

/// When the first certificate of the chain at `chain`, whose key is at `key`, ends, if it is good
/// now. Without `roots` it is not looked at whose it is.
///
/// # Errors
/// [`Useless`].
pub fn inspect(
    (chain, key): (&Path, &Path),
    roots: Option<RootCertStore>,
    purpose: Purpose<'_>,
    now: UnixMs,
) -> Result<UnixMs, Useless> {
    let identity = load_identity(chain, key)?;
    let until = lives(&identity.chain, now)?;
    let (end, others) = identity.chain.split_first().ok_or_else(none)?;
    if let Purpose::Relay(relay) = purpose
        && relay_id_of(end) != Some(relay)
    {
        return Err(Useless::OtherRelay(relay.0));
    }
    if let Some(roots) = roots {
        verify((end, others), roots, purpose, now)?;
    }
    Ok(until)
}

fn none() -> Useless {
    Useless::NotGood("there is no certificate".to_owned())
}

/// When the first of the chain ends, if all of it lives.
fn lives(chain: &[CertificateDer<'_>], now: UnixMs) -> Result<UnixMs, Useless> {
    let at = i64::try_from(now.0 / 1_000).unwrap_or(i64::MAX);
    let mut first = i64::MAX;
    for certificate in chain {
        let (_, parsed) = X509Certificate::from_der(certificate)
            .map_err(|error| Useless::NotGood(error.to_string()))?;
        let life = parsed.validity();
        if at < life.not_before.timestamp() {
            let begins = life.not_before;
            return Err(Useless::NotGood(format!("it is not good before {begins}")));
        }
        if at > life.not_after.timestamp() {
            return Err(Useless::NotGood(format!("it has expired: {}", life.not_after)));
        }
        first = first.min(life.not_after.timestamp());
    }
    Ok(super::unix_ms(first))
}

fn verify(
    (end, others): (&CertificateDer<'_>, &[CertificateDer<'_>]),
    roots: RootCertStore,
    purpose: Purpose<'_>,
    now: UnixMs,
) -> Result<(), Useless> {
    let bad = |error: &dyn core::fmt::Display| Useless::NotGood(error.to_string());
    let (roots, now) = (Arc::new(roots), UnixTime::since_unix_epoch(Duration::from_millis(now.0)));
    match purpose {
        Purpose::Relay(_) => {
            let verifier = WebPkiClientVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier.map_err(|error| bad(&error))?;
            verifier.verify_client_cert(end, others, now).map_err(|error| bad(&error))?;
        }
        Purpose::Server(names) => {
            let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider()).build();
            let verifier = verifier.map_err(|error| bad(&error))?;
            for name in names {
                let host = ServerName::try_from(name.as_str()).map_err(|error| bad(&error))?;
                let verified = verifier.verify_server_cert(end, others, &host, &[], now);
                verified.map_err(|error| bad(&format_args!("for {name}: {error}")))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::entropy::Entropy;
    use crate::pki::Pki;

    const DAY_MS: u64 = 24 * 3_600 * 1_000;

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let now = UnixMs::now();
        let pki = Pki::open_or_create(folder.path(), now, Entropy::system()).unwrap();
        let stranger = Pki::open_or_create(other.path(), now, Entropy::system()).unwrap();
        pki.issue_relay(RelayId(7), now).unwrap();
        pki.issue_server(&["a.example".to_owned()], now).unwrap();
        let (chain, key) = pki.relay_paths(RelayId(7));
        let look = |roots: &Pki, relay, at| {
            let purpose = Purpose::Relay(RelayId(relay));
            inspect((&chain, &key), Some(roots.roots().unwrap()), purpose, at)
        };
        let until = look(&pki, 7, now).unwrap();
        assert!((now.0 + 300 * DAY_MS..now.0 + 400 * DAY_MS).contains(&until.0));
        assert!(matches!(look(&pki, 8, now), Err(Useless::OtherRelay(8))));
        assert!(matches!(look(&stranger, 7, now), Err(Useless::NotGood(_))));
        let late = look(&pki, 7, UnixMs(until.0 + DAY_MS)).unwrap_err().to_string();
        assert!(late.contains("expired"), "{late}");
        let early = look(&pki, 7, UnixMs(now.0 - 2 * DAY_MS)).unwrap_err().to_string();
        assert!(early.contains("not good before"), "{early}");

        let server = (folder.path().join("control.pem"), folder.path().join("control.key"));
        let files = (server.0.as_path(), server.1.as_path());
        let named = |name: &str| {
            let names = [name.to_owned()];
            let roots = Some(pki.roots().unwrap());
            inspect(files, roots, Purpose::Server(&names), now).map_err(|it| it.to_string())
        };
        assert!(named("a.example").is_ok());
        let said = named("b.example").unwrap_err();
        assert!(said.contains("for b.example"), "{said}");
        let swapped = inspect((&chain, files.1), None, Purpose::Relay(RelayId(7)), now);
        assert!(matches!(swapped, Err(Useless::Files(PkiError::Bad { .. }))));
    }
}
