//! Strangers who sign in without end, with what anybody can have: no right password.
//!
//! They come from many loopback addresses, keep so many connections open as they may and try on
//! each as often as control lets them. Accounts that exist and that do not, in tenants that exist
//! and that do not, each with a device key that proves itself: nothing is refused for its form.

use crate::accounts::Control;
use anyhow::{Context, Result, anyhow, bail};
use aws_lc_rs::signature::{Ed25519KeyPair, KeyPair as _};
use core::time::Duration;
use kakehashi_wire::device::{DeviceKey, DeviceProof, EXPORT_LABEL, EXPORTED_BYTES};
use kakehashi_wire::frame::{ALPN_TERMINAL, Reader};
use kakehashi_wire::id::{DeviceId, RequestId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{FromTerminal, Refusal, SignIn, ToTerminal};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Connection, Endpoint, RecvStream, SendStream};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs as tls_crypto;
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

/// How long a stranger waits for control at any step.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sign-ins that control lets one connection try.
const TRIES: u32 = 3;

/// Whom they pretend to be, and from where.
#[derive(Clone)]
pub struct Strangers {
    /// Where control is.
    pub control: Control,
    /// A tenant that exists.
    pub tenant: String,
    /// Accounts of it that exist.
    pub logins: Vec<String>,
    /// From so many addresses of 127.1.0.0/16.
    pub addresses: u16,
    /// So many connections at the same time.
    pub connections: usize,
}

/// What became of them.
#[derive(Default)]
pub struct Counts {
    /// Sign-ins answered with wrong credentials.
    pub wrong: AtomicU64,
    /// Sign-ins answered with busy.
    pub busy: AtomicU64,
    /// Sign-ins answered otherwise.
    pub other: AtomicU64,
    /// Connections that were made.
    pub connected: AtomicU64,
    /// Connections that were refused, given up, or ended before an answer.
    pub turned_away: AtomicU64,
}

impl Counts {
    /// Sign-ins that were answered.
    pub fn answered(&self) -> u64 {
        [&self.wrong, &self.busy, &self.other].map(read).iter().sum()
    }
}

/// A count as it stands.
pub fn read(count: &AtomicU64) -> u64 {
    count.load(Ordering::Relaxed)
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// A storm that goes on, on a thread of its own.
pub struct Storm {
    over: Arc<AtomicBool>,
    counts: Arc<Counts>,
    thread: JoinHandle<Result<()>>,
}

impl Storm {
    /// Begins it.
    ///
    /// # Errors
    /// If control is not on this machine, or there are no sockets or thread.
    pub fn start(strangers: Strangers) -> Result<Self> {
        let control: SocketAddr =
            strangers.control.address.parse().context("give control's address, not its name")?;
        if !control.ip().is_loopback() {
            bail!("storms are for control on this machine: {control} is another");
        }
        let (over, counts) = (Arc::new(AtomicBool::new(false)), Arc::new(Counts::default()));
        let (ends, counted) = (Arc::clone(&over), Arc::clone(&counts));
        let thread = std::thread::Builder::new().name("storm".into()).spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(rage(strangers, control, &ends, counted))
        })?;
        Ok(Self { over, counts, thread })
    }

    /// Ends it.
    ///
    /// # Errors
    /// If it could not be made.
    pub fn stop(self) -> Result<Arc<Counts>> {
        self.over.store(true, Ordering::Relaxed);
        self.thread.join().map_err(|_| anyhow!("the storm's thread panicked"))??;
        Ok(self.counts)
    }
}

/// As many connections as there may be at the same time, the next as soon as one is over.
async fn rage(
    strangers: Strangers,
    control: SocketAddr,
    over: &AtomicBool,
    counts: Arc<Counts>,
) -> Result<()> {
    let config = client(&strangers.control)?;
    let mut endpoints = Vec::new();
    for number in 0..strangers.addresses {
        let [high, low] = number.to_be_bytes();
        let from = SocketAddr::from((Ipv4Addr::new(127, 1, high, low), 0));
        let endpoint = Endpoint::client(from).with_context(|| format!("no socket at {from}"))?;
        endpoints.push(endpoint);
    }
    let slots = Arc::new(Semaphore::new(strangers.connections));
    let strangers = Arc::new(strangers);
    for endpoint in endpoints.iter().cycle() {
        let slot = Arc::clone(&slots).acquire_owned().await?;
        if over.load(Ordering::Relaxed) {
            break;
        }
        let connecting =
            endpoint.connect_with(config.clone(), control, &strangers.control.server_name)?;
        let (strangers, counts) = (Arc::clone(&strangers), Arc::clone(&counts));
        tokio::spawn(async move {
            let _slot = slot;
            let tried = async {
                let connection = connecting.await?;
                add(&counts.connected);
                try_as_often_as_may_be(&connection, &strangers, &counts).await
            };
            if !matches!(timeout(PATIENCE * TRIES, tried).await, Ok(Ok(()))) {
                add(&counts.turned_away);
            }
        });
    }
    for endpoint in endpoints {
        endpoint.close(0_u32.into(), b"");
    }
    Ok(())
}

/// Every handshake is a whole one: that is the dearest to control.
fn client(control: &Control) -> Result<ClientConfig> {
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
    Ok(ClientConfig::new(Arc::new(QuicClientConfig::try_from(tls)?)))
}

async fn try_as_often_as_may_be(
    connection: &Connection,
    strangers: &Strangers,
    counts: &Counts,
) -> Result<()> {
    let (mut send, mut recv) = connection.open_bi().await?;
    for nth in 0..TRIES {
        let (tenant, login) = pretend(strangers);
        say(&mut send, sign_in(connection, nth, tenant, login)?).await?;
        let count = match hear(&mut recv).await? {
            ToTerminal::Refused(no) if no.reason == Refusal::BadCredentials => &counts.wrong,
            ToTerminal::Refused(no) if no.reason == Refusal::Busy => &counts.busy,
            _ => &counts.other,
        };
        add(count);
    }
    connection.close(0_u32.into(), b"");
    Ok(())
}

/// Half of them name a tenant that is not, a quarter an account that is not.
fn pretend(strangers: &Strangers) -> (String, String) {
    let nobody = || format!("nobody-{:08x}", rand::random::<u32>());
    let which = usize::from(rand::random::<u8>());
    let login = strangers.logins.get(which % strangers.logins.len().max(1));
    match which % 4 {
        0 | 1 => (nobody(), nobody()),
        2 => (strangers.tenant.clone(), nobody()),
        _ => (strangers.tenant.clone(), login.cloned().unwrap_or_else(nobody)),
    }
}

fn sign_in(
    connection: &Connection,
    nth: u32,
    tenant: String,
    login: String,
) -> Result<FromTerminal> {
    let mut exported = [0; EXPORTED_BYTES];
    let exports = connection.export_keying_material(&mut exported, EXPORT_LABEL, b"");
    exports.map_err(|_| anyhow!("the connection is gone"))?;
    let pair = Ed25519KeyPair::from_seed_unchecked(&rand::random::<[u8; 32]>())
        .map_err(|_| anyhow!("no key pair"))?;
    let sign_in = SignIn {
        request: RequestId(nth + 1),
        tenant,
        login,
        password: Password::new("the wrong password of a stranger".to_owned()),
        device: DeviceId(rand::random()),
        device_key: DeviceKey(pair.public_key().as_ref().try_into()?),
        device_proof: DeviceProof(pair.sign(&exported).as_ref().try_into()?),
        software: "a stranger's".to_owned(),
    };
    Ok(sign_in.into())
}

async fn say(send: &mut SendStream, message: FromTerminal) -> Result<()> {
    let bytes = message.encode().map_err(|error| anyhow!("{error}"))?;
    Ok(timeout(PATIENCE, send.write_all(&bytes)).await??)
}

async fn hear(recv: &mut RecvStream) -> Result<ToTerminal> {
    let mut reader = Reader::new();
    loop {
        let read = timeout(PATIENCE, recv.read(reader.space())).await??;
        let bytes = read.context("control closed the stream")?;
        if let Some(frame) = reader.filled(bytes)? {
            return Ok(ToTerminal::decode(frame.kind(), frame.body())?);
        }
    }
}
