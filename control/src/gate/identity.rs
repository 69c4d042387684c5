//! TLS settings towards terminals, relays and other nodes.
//!
//! One provider (aws-lc-rs), named explicitly; TLS 1.3 only; X25519MLKEM768 preferred; no early
//! data, since it can be replayed (RFC 9001 9.2).

use crate::pki::Identity;
use kakehashi_wire::frame::{ALPN_NODE, ALPN_RELAY, ALPN_TERMINAL};
use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::sync::Arc;

/// Why TLS cannot be set up.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// The certificate and the key do not work together.
    #[error("certificate and key cannot be used: {0}; check that the key is the certificate's")]
    Tls(#[from] rustls::Error),
    /// The authority for client certificates cannot be used.
    #[error("the certificate authority of relays or nodes cannot be used: {0}")]
    Authority(String),
}

/// The one crypto provider of the node.
pub fn provider() -> Arc<CryptoProvider> {
    Arc::new(rustls::crypto::aws_lc_rs::default_provider())
}

/// For whoever asks an HTTPS server that one of `roots` vouches for, without a certificate of its
/// own.
pub(crate) fn to_servers(roots: RootCertStore) -> ClientConfig {
    let mut tls = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])
        .expect("invariant: the provider speaks TLS 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![b"http/1.1".to_vec()];
    tls
}

/// TLS towards terminals: they prove themselves by signing in.
///
/// # Errors
/// [`IdentityError::Tls`].
pub fn for_terminals(identity: Identity) -> Result<QuicServerConfig, IdentityError> {
    quic(terminal_tls(identity)?, ALPN_TERMINAL)
}

/// TLS towards operators, over TCP: HTTP/1.1 only, since HTTP/2 lets one connection cost more than
/// its bytes.
///
/// # Errors
/// [`IdentityError::Tls`].
pub fn for_operators(identity: Identity) -> Result<ServerConfig, IdentityError> {
    let mut config = terminal_tls(identity)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn terminal_tls(identity: Identity) -> Result<ServerConfig, IdentityError> {
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_no_client_auth()
        .with_single_cert(identity.chain, identity.key)?)
}

/// TLS towards relays: they prove themselves by a certificate of `authority`.
///
/// # Errors
/// [`IdentityError`].
pub fn for_relays(
    identity: Identity,
    authority: RootCertStore,
) -> Result<QuicServerConfig, IdentityError> {
    quic(mutual(identity, authority)?, ALPN_RELAY)
}

/// TLS between nodes, for those that dial and to dial with: both sides prove themselves by a
/// certificate of `authority`.
///
/// # Errors
/// [`IdentityError`].
pub fn for_nodes(
    identity: Identity,
    authority: RootCertStore,
) -> Result<(QuicServerConfig, QuicClientConfig), IdentityError> {
    let mut client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(authority.clone())
        .with_client_auth_cert(identity.chain.clone(), identity.key.clone_key())?;
    client.alpn_protocols = vec![ALPN_NODE.to_vec()];
    let client = QuicClientConfig::try_from(client).map_err(|_no_suite| no_suite())?;
    Ok((quic(mutual(identity, authority)?, ALPN_NODE)?, client))
}

fn mutual(identity: Identity, authority: RootCertStore) -> Result<ServerConfig, IdentityError> {
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority), provider())
        .build()
        .map_err(|error| IdentityError::Authority(error.to_string()))?;
    Ok(ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_client_cert_verifier(verifier)
        .with_single_cert(identity.chain, identity.key)?)
}

fn quic(mut config: ServerConfig, alpn: &[u8]) -> Result<QuicServerConfig, IdentityError> {
    config.alpn_protocols = vec![alpn.to_vec()];
    config.max_early_data_size = 0;
    QuicServerConfig::try_from(config).map_err(|_no_suite| no_suite())
}

fn no_suite() -> IdentityError {
    let missing = "the provider lacks TLS13_AES_128_GCM_SHA256, which QUIC needs";
    IdentityError::Tls(rustls::Error::General(missing.into()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixMs;
    use crate::entropy::Entropy;
    use crate::pki::Pki;
    use rustls::NamedGroup;

    #[test]
    fn post_quantum_key_exchange_is_preferred() {
        let groups: Vec<_> = provider().kx_groups.iter().map(|group| group.name()).collect();
        assert_eq!(groups[0], NamedGroup::X25519MLKEM768, "{groups:?}");
        assert!(groups.contains(&NamedGroup::X25519), "terminals without it can connect");
    }

    #[test]
    fn a_terminal_gets_post_quantum_key_exchange() {
        let folder = tempfile::tempdir().unwrap();
        let now = UnixMs::now();
        let pki = Pki::open_or_create(folder.path(), now, Entropy::system()).unwrap();
        let identity = pki.issue_server(&["localhost".to_owned()], now).unwrap();
        let server = Arc::new(terminal_tls(identity).unwrap());
        let client = ClientConfig::builder_with_provider(provider())
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_root_certificates(pki.roots().unwrap())
            .with_no_client_auth();
        let name = "localhost".try_into().unwrap();
        let mut client = rustls::ClientConnection::new(Arc::new(client), name).unwrap();
        let mut server = rustls::ServerConnection::new(server).unwrap();
        while client.is_handshaking() || server.is_handshaking() {
            let mut flight = Vec::new();
            client.write_tls(&mut flight).unwrap();
            server.read_tls(&mut &flight[..]).unwrap();
            server.process_new_packets().unwrap();
            flight.clear();
            server.write_tls(&mut flight).unwrap();
            client.read_tls(&mut &flight[..]).unwrap();
            client.process_new_packets().unwrap();
        }
        let group = server.negotiated_key_exchange_group().unwrap().name();
        assert_eq!(group, NamedGroup::X25519MLKEM768);
        assert_eq!(server.protocol_version(), Some(rustls::ProtocolVersion::TLSv1_3));
    }
}
