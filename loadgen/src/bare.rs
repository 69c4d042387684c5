//! Terminals that are no more than a connection: many share a socket, and none has a task of its
//! own, so that one process can be as many as a node takes.
//!
//! Control is on this machine, since they come from many loopback addresses: from one it takes
//! only a few hundred connections. Every handshake is a whole one, which is the dearest to control.

use crate::accounts::Control;
use anyhow::{Context, Result, anyhow, bail, ensure};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use core::time::Duration;
use kakehashi_terminal::Settings;
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORT_LABEL, EXPORTED_BYTES};
use kakehashi_wire::frame::{ALPN_TERMINAL, Reader};
use kakehashi_wire::id::{DeviceId, RequestId};
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::{FromTerminal, Refusal, Resume, SignIn, SignOut, ToTerminal};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connecting, Connection, Endpoint, RecvStream, SendStream};
use quinn::{TransportConfig, VarInt};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs as tls_crypto;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::time::{sleep, timeout};

/// How long to wait for control at any step: as terminals do.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Sign-ins that control lets one connection try.
pub const TRIES: u32 = 3;

/// Connections on which it is tried to get in while control is too busy.
const CONNECTIONS: u32 = 20;

/// How long to wait before the next of them.
const PAUSE: Duration = Duration::from_millis(500);

/// Where control is, if that is this machine.
///
/// # Errors
/// If it is another, or has no address.
pub fn local(control: &Control) -> Result<SocketAddr> {
    let address: SocketAddr =
        control.address.parse().context("give control's address, not its name")?;
    ensure!(address.ip().is_loopback(), "this needs control on this machine, not {address}");
    Ok(address)
}

/// Sockets at many loopback addresses, and whom they connect to.
pub struct Doors {
    endpoints: Vec<Endpoint>,
    config: ClientConfig,
    control: SocketAddr,
    server_name: String,
}

impl Doors {
    /// Opens one at each of so many addresses of 127.1.0.0/16. Connections say that they are alive
    /// every `keep_alive`, if they do.
    ///
    /// # Errors
    /// If control is not on this machine, its CA is none, or there are no sockets.
    pub fn open(control: &Control, addresses: u16, keep_alive: Option<Duration>) -> Result<Self> {
        let address = local(control)?;
        let mut transport = TransportConfig::default();
        transport
            .keep_alive_interval(keep_alive)
            .max_concurrent_bidi_streams(VarInt::from_u32(0))
            .max_concurrent_uni_streams(VarInt::from_u32(0));
        let mut config = ClientConfig::new(Arc::new(tls(control)?));
        config.transport_config(Arc::new(transport));
        let endpoints = (0..addresses).map(|number| {
            let [high, low] = number.to_be_bytes();
            let from = SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0));
            Endpoint::client(from).with_context(|| format!("no socket at {from}"))
        });
        Ok(Self {
            endpoints: endpoints.collect::<Result<_>>()?,
            config,
            control: address,
            server_name: control.server_name.clone(),
        })
    }

    /// Begins a connection from one of the addresses, each in its turn.
    ///
    /// # Errors
    /// If the endpoint is closed.
    pub fn begin(&self, nth: usize) -> Result<Connecting> {
        let endpoint = &self.endpoints[nth % self.endpoints.len()];
        Ok(endpoint.connect_with(self.config.clone(), self.control, &self.server_name)?)
    }

    /// Connects from one of the addresses.
    ///
    /// # Errors
    /// If control does not let it in within [`PATIENCE`].
    pub async fn connect(&self, nth: usize) -> Result<Connection> {
        let connected = timeout(PATIENCE, self.begin(nth)?).await;
        Ok(connected.context("control does not answer")??)
    }

    /// Ends all connections.
    pub fn close(&self) {
        for endpoint in &self.endpoints {
            endpoint.close(0_u32.into(), b"");
        }
    }
}

fn tls(control: &Control) -> Result<QuicClientConfig> {
    let mut roots = rustls::RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(&control.ca_pem) {
        roots.add(certificate.context("the CA file is no PEM")?)?;
    }
    let provider = Arc::new(tls_crypto::default_provider());
    let mut tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    tls.alpn_protocols = vec![ALPN_TERMINAL.to_vec()];
    tls.resumption = Resumption::disabled();
    Ok(QuicClientConfig::try_from(tls)?)
}

/// A connection with its one stream. Dropping it ends the connection.
pub struct Line {
    connection: Connection,
    send: SendStream,
    recv: RecvStream,
}

impl Line {
    /// The conversation of `connection`.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn open(connection: Connection) -> Result<Self> {
        let (send, recv) = connection.open_bi().await?;
        Ok(Self { connection, send, recv })
    }

    /// Whether the connection stands.
    pub fn stands(&self) -> bool {
        self.connection.close_reason().is_none()
    }

    /// Says one message.
    ///
    /// # Errors
    /// If the connection is gone.
    pub async fn say(&mut self, message: FromTerminal) -> Result<()> {
        let bytes = message.encode().map_err(|error| anyhow!("{error}"))?;
        Ok(timeout(PATIENCE, self.send.write_all(&bytes)).await??)
    }

    /// Hears one message.
    ///
    /// # Errors
    /// If none comes within [`PATIENCE`].
    pub async fn hear(&mut self) -> Result<ToTerminal> {
        let mut reader = Reader::new();
        loop {
            let read = timeout(PATIENCE, self.recv.read(reader.space())).await??;
            let bytes = read.context("control closed the stream")?;
            if let Some(frame) = reader.filled(bytes)? {
                return Ok(ToTerminal::decode(frame.kind(), frame.body())?);
            }
        }
    }

    /// Says what nobody may who has not signed in, and hears so: what a connection costs control
    /// that lets nobody in.
    ///
    /// # Errors
    /// If control answers otherwise.
    pub async fn ask_in_vain(&mut self) -> Result<()> {
        self.say(SignOut { request: RequestId(1) }.into()).await?;
        match self.hear().await? {
            ToTerminal::Refused(no) if no.reason == Refusal::NotSignedIn => Ok(()),
            _ => bail!("control answers a stranger with something else"),
        }
    }

    fn prove(&self, pair: &Ed25519KeyPair) -> Result<DeviceProof> {
        let mut exported = [0; EXPORTED_BYTES];
        let exports = self.connection.export_keying_material(&mut exported, EXPORT_LABEL, b"");
        exports.map_err(|_| anyhow!("the connection is gone"))?;
        Ok(DeviceProof(pair.sign(&exported).as_ref().try_into()?))
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.connection.close(0_u32.into(), b"");
    }
}

/// Whom a terminal says to be.
#[derive(Clone)]
pub struct Names {
    /// The tenant's name.
    pub tenant: String,
    /// The login ID.
    pub login: String,
    /// The password.
    pub password: Password,
}

impl From<&Settings> for Names {
    fn from(settings: &Settings) -> Self {
        let Settings { tenant, login, password, .. } = settings;
        Self { tenant: tenant.clone(), login: login.clone(), password: password.clone() }
    }
}

/// A device with its key.
pub struct Device {
    id: DeviceId,
    pair: Ed25519KeyPair,
}

impl Device {
    /// A device that nobody has seen.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new() -> Result<Self> {
        let pair = Ed25519KeyPair::from_seed_unchecked(&rand::random::<[u8; 32]>());
        let pair = pair.map_err(|_| anyhow!("no key pair"))?;
        Ok(Self { id: DeviceId(rand::random()), pair })
    }

    /// The sign-in of this device over `line`.
    ///
    /// # Errors
    /// If the connection is gone.
    pub fn sign_in(&self, line: &Line, names: Names, nth: u32) -> Result<FromTerminal> {
        let Names { tenant, login, password } = names;
        let sign_in = SignIn {
            request: RequestId(nth + 1),
            tenant,
            login,
            password,
            device: self.id,
            device_key: DeviceKey(self.pair.public_key().as_ref().try_into()?),
            device_proof: line.prove(&self.pair)?,
            software: SOFTWARE.to_owned(),
        };
        Ok(sign_in.into())
    }

    fn resume(&self, line: &Line, token: ResumeToken) -> Result<FromTerminal> {
        let device_proof = line.prove(&self.pair)?;
        let (request, software) = (RequestId(1), SOFTWARE.to_owned());
        Ok(Resume { request, token, device_proof, software }.into())
    }
}

const SOFTWARE: &str = concat!("kakehashi-loadgen ", env!("CARGO_PKG_VERSION"));

/// A device of an account, with what it was given to come back with.
pub struct BareTerminal {
    names: Names,
    device: Device,
    token: ResumeToken,
}

impl BareTerminal {
    /// A new device of an account.
    ///
    /// # Errors
    /// If there is no randomness.
    pub fn new(names: Names) -> Result<Self> {
        Ok(Self { names, device: Device::new()?, token: ResumeToken::none() })
    }

    /// Signs in with the password, as the `nth` of all. Whoever is told to come later does.
    ///
    /// # Errors
    /// If control refuses.
    pub async fn sign_in(&mut self, doors: &Doors, nth: usize) -> Result<Line> {
        for _ in 0..CONNECTIONS {
            let mut line = Line::open(doors.connect(nth).await?).await?;
            for attempt in 0..TRIES {
                line.say(self.device.sign_in(&line, self.names.clone(), attempt)?).await?;
                match line.hear().await? {
                    ToTerminal::SignedIn(signed_in) => {
                        self.token = signed_in.token;
                        return Ok(line);
                    }
                    ToTerminal::Refused(no) if no.reason == Refusal::Busy => {
                        sleep(Duration::from_millis(no.retry_after_ms.into())).await;
                    }
                    ToTerminal::Refused(no) => bail!("control refuses: {:?}", no.reason),
                    _ => bail!("control answers a sign-in with something else"),
                }
            }
        }
        bail!("control was busy {CONNECTIONS} times")
    }

    /// Comes back with what it was given last, as the `nth` of all, on the first connection that
    /// control lets in.
    ///
    /// # Errors
    /// If control refuses.
    pub async fn resume(&mut self, doors: &Doors, nth: usize) -> Result<Line> {
        let mut connected = doors.connect(nth).await;
        for _ in 1..CONNECTIONS {
            if connected.is_ok() {
                break;
            }
            sleep(PAUSE).await;
            connected = doors.connect(nth).await;
        }
        let mut line = Line::open(connected?).await?;
        line.say(self.device.resume(&line, self.token.clone())?).await?;
        match line.hear().await? {
            ToTerminal::Resumed(resumed) => {
                self.token = resumed.token;
                Ok(line)
            }
            ToTerminal::Refused(no) => bail!("control refuses to resume: {:?}", no.reason),
            _ => bail!("control answers a resumption with something else"),
        }
    }
}
