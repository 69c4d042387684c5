//! Which relay or node a certificate names.

use core::str::FromStr;
use kakehashi_wire::id::RelayId;
use rustls_pki_types::CertificateDer;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// What the URI of a relay begins with; its number follows in decimal.
const SCHEME: &str = "kakehashi-relay:";

/// The URI that names `relay`.
pub fn relay_uri(relay: RelayId) -> String {
    format!("{SCHEME}{}", relay.0)
}

/// The relay that `certificate` names: exactly one, spelled as [`relay_uri`] spells it.
///
/// Says nothing about who signed it; ask only after TLS has verified the chain.
pub fn relay_id_of(certificate: &CertificateDer<'_>) -> Option<RelayId> {
    let (rest, parsed) = X509Certificate::from_der(certificate).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let names = parsed.subject_alternative_name().ok()??;
    let mut numbers = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(SCHEME),
        _ => None,
    });
    let relay = RelayId(u32::from_str(numbers.next()?).ok()?);
    // A second number, "+1" or "01" would be a second name for the same relay.
    let is_canonical = names
        .value
        .general_names
        .iter()
        .any(|name| matches!(name, GeneralName::URI(uri) if *uri == relay_uri(relay)));
    (is_canonical && numbers.next().is_none()).then_some(relay)
}

/// The domain in which nodes have their names; no resolver knows it.
const NODES: &str = ".node.kakehashi.internal";

/// The host name that a node's certificate has.
pub(crate) fn node_host(node: &str) -> String {
    format!("{node}{NODES}")
}

/// The node that `certificate` names: exactly one.
///
/// Says nothing about who signed it; ask only after TLS has verified the chain.
pub(crate) fn node_of(certificate: &CertificateDer<'_>) -> Option<String> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let names = parsed.subject_alternative_name().ok()??;
    let mut nodes = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::DNSName(host) => host.strip_suffix(NODES),
        _ => None,
    });
    let node = nodes.next()?;
    nodes.next().is_none().then(|| node.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, KeyPair, SanType};

    fn certificate(uris: &[&str]) -> CertificateDer<'static> {
        let mut params = CertificateParams::default();
        for uri in uris {
            params.subject_alt_names.push(SanType::URI((*uri).try_into().unwrap()));
        }
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().into()
    }

    #[test]
    fn one_number_spelled_one_way() {
        for relay in [0, 1, 4_294_967_295].map(RelayId) {
            assert_eq!(relay_id_of(&certificate(&[&relay_uri(relay)])), Some(relay));
        }
        let other = certificate(&["https://example.invalid", "kakehashi-relay:9"]);
        assert_eq!(relay_id_of(&other), Some(RelayId(9)));
        for bad in [
            &[][..],
            &["kakehashi-relay:"],
            &["kakehashi-relay:+1"],
            &["kakehashi-relay:01"],
            &["kakehashi-relay:-1"],
            &["kakehashi-relay:4294967296"],
            &["Kakehashi-relay:1"],
            &["kakehashi-relay:1", "kakehashi-relay:2"],
            &["kakehashi-relay:1", "kakehashi-relay:1"],
        ] {
            assert_eq!(relay_id_of(&certificate(bad)), None, "{bad:?}");
        }
    }

    #[test]
    fn any_bytes_are_survived() {
        let good = certificate(&["kakehashi-relay:1"]);
        for cut in 0..good.len() {
            assert_eq!(relay_id_of(&good[..cut].to_vec().into()), None);
        }
        bolero::check!().for_each(|bytes: &[u8]| {
            let _ = relay_id_of(&CertificateDer::from(bytes));
        });
    }
}
