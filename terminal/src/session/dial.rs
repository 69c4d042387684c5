//! Makes the QUIC connection: TLS 1.3 only, the given authorities only, post-quantum first.

use super::error::TerminalError;
use super::terminal::Settings;
use crate::capacity::STREAM_WINDOW_BYTES;
use core::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use kakehashi_wire::frame::ALPN_TERMINAL;
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, ConnectionError, Endpoint, TransportConfig, VarInt};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName, pem::PemObject as _};
use std::sync::Arc;

/// Where to dial and whom to trust.
pub(super) struct Dialler {
    control: String,
    server_name: String,
    source: Option<IpAddr>,
    timeout: core::time::Duration,
    config: ClientConfig,
}

impl Dialler {
    /// Checks the settings that concern dialling.
    pub(super) fn new(settings: &Settings) -> Result<Self, TerminalError> {
        let unusable = |why: String| TerminalError::Settings { why };
        ServerName::try_from(settings.server_name.as_str()).map_err(|_| {
            unusable(format!("the server name `{}` is not a host name", settings.server_name))
        })?;
        let mut tls =
            rustls::ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
                .with_protocol_versions(&[&rustls::version::TLS13])
                .map_err(|error| unusable(format!("TLS 1.3 cannot be set up: {error}")))?
                .with_root_certificates(authorities(&settings.ca_pem)?)
                .with_no_client_auth();
        tls.alpn_protocols = vec![ALPN_TERMINAL.to_vec()];
        // 0-RTT can be replayed (RFC 9001 9.2): nothing is sent before the handshake is done.
        tls.enable_early_data = false;
        let quic = QuicClientConfig::try_from(tls)
            .map_err(|error| unusable(format!("QUIC cannot be set up: {error}")))?;
        let mut config = ClientConfig::new(Arc::new(quic));
        config.transport_config(Arc::new(transport(settings)?));
        Ok(Self {
            control: settings.control.clone(),
            server_name: settings.server_name.clone(),
            source: settings.source,
            timeout: settings.timing.dial,
            config,
        })
    }

    /// Connects to the first address of control that answers.
    pub(super) async fn dial(&self) -> Result<(Endpoint, Connection), TerminalError> {
        let no_host = || TerminalError::NoSuchHost { control: self.control.clone() };
        let found = tokio::net::lookup_host(&self.control).await.map_err(|_| no_host())?;
        let mut last = no_host();
        for address in found {
            match self.dial_one(address).await {
                Ok(connected) => return Ok(connected),
                Err(error) => last = error,
            }
        }
        Err(last)
    }

    async fn dial_one(&self, address: SocketAddr) -> Result<(Endpoint, Connection), TerminalError> {
        let source = self.source.unwrap_or_else(|| match address {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        });
        let lost = |why: String| TerminalError::Lost { why };
        let endpoint = Endpoint::client((source, 0).into())
            .map_err(|error| lost(format!("no UDP socket can be opened at {source}: {error}")))?;
        let connecting = endpoint
            .connect_with(self.config.clone(), address, &self.server_name)
            .map_err(|error| lost(error.to_string()))?;
        match tokio::time::timeout(self.timeout, connecting).await {
            Err(_) | Ok(Err(ConnectionError::TimedOut)) => {
                Err(TerminalError::NoAnswer { control: self.control.clone() })
            }
            Ok(Err(error)) => Err(connection_error(&error)),
            Ok(Ok(connection)) => Ok((endpoint, connection)),
        }
    }
}

/// The certificates of a CA file.
pub(crate) fn authorities(pem: &[u8]) -> Result<rustls::RootCertStore, TerminalError> {
    let unusable = |why: &str| TerminalError::Settings {
        why: format!("the CA file cannot be used: {why}; give control's `ca.pem`"),
    };
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem) {
        let certificate = certificate.map_err(|_| unusable("it is not valid PEM"))?;
        roots.add(certificate).map_err(|_| unusable("a certificate in it is malformed"))?;
    }
    if roots.is_empty() {
        return Err(unusable("it holds no certificate"));
    }
    Ok(roots)
}

fn transport(settings: &Settings) -> Result<TransportConfig, TerminalError> {
    let timing = settings.timing;
    let idle = timing.idle.try_into().map_err(|_| TerminalError::Settings {
        why: "the idle time is longer than QUIC can express".into(),
    })?;
    let mut transport = TransportConfig::default();
    transport
        .keep_alive_interval(Some(timing.keep_alive))
        .max_idle_timeout(Some(idle))
        // Control opens no streams and sends no datagrams: the terminal's one stream is all.
        .max_concurrent_bidi_streams(VarInt::from_u32(0))
        .max_concurrent_uni_streams(VarInt::from_u32(0))
        .datagram_receive_buffer_size(None)
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES))
        .receive_window(VarInt::from_u32(STREAM_WINDOW_BYTES));
    Ok(transport)
}

/// What a broken connection means for the one who has to act.
pub(super) fn connection_error(error: &ConnectionError) -> TerminalError {
    /// QUIC carries TLS alerts from here (RFC 9001 4.8).
    const CRYPTO: u64 = 0x100;
    let version = || TerminalError::Version {
        why: "it does not offer `kakehashi/1`; upgrade the older of the two, and check that this \
              is control's port for terminals"
            .into(),
    };
    let code = match error {
        ConnectionError::VersionMismatch => return version(),
        ConnectionError::TransportError(ours) => u64::from(ours.code),
        ConnectionError::ConnectionClosed(theirs) => u64::from(theirs.error_code),
        _ => 0,
    };
    match code.checked_sub(CRYPTO) {
        // RFC 8446 6.2: protocol_version; RFC 7301 3.2: no_application_protocol.
        Some(70 | 120) => version(),
        // RFC 8446 6.2: bad_certificate to access_denied, decrypt_error (the signature of an
        // authority of the same name that was made anew), certificate_required.
        Some(42..=49 | 51 | 116) => TerminalError::NotTrusted { why: certificate_fault(error) },
        _ if code == u64::from(quinn::TransportErrorCode::CONNECTION_REFUSED) => {
            TerminalError::Lost { why: "control takes no more connections at the moment".into() }
        }
        _ => TerminalError::Lost { why: error.to_string() },
    }
}

fn certificate_fault(error: &ConnectionError) -> String {
    match error {
        ConnectionError::TransportError(ours) if !ours.reason.is_empty() => ours.reason.clone(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use quinn::{ConnectionClose, TransportErrorCode};

    /// What the peer's closing with a TLS alert (RFC 9001 4.8) is taken for.
    fn fault(alert: u8) -> &'static str {
        let close = ConnectionClose {
            error_code: TransportErrorCode::crypto(alert),
            frame_type: None,
            reason: Default::default(),
        };
        match connection_error(&ConnectionError::ConnectionClosed(close)) {
            TerminalError::NotTrusted { .. } => "certificate",
            TerminalError::Version { .. } => "version",
            TerminalError::Lost { .. } => "network",
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn every_alert_is_laid_at_the_right_door() {
        let of = |wanted| (0..=u8::MAX).filter(move |&alert| fault(alert) == wanted);
        assert!(of("certificate").eq([42, 43, 44, 45, 46, 47, 48, 49, 51, 116]));
        assert!(of("version").eq([70, 120]));
        assert_eq!(of("network").count(), 256 - 12);
    }
}
