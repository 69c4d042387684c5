//! The link against a control that the test plays itself, over real QUIC on the loopback.

use super::desk::Desk;
use super::figures::LinkFigures;
use super::link::{LinkConfig, ShardHandle, run};
use super::lost::{LinkLost, SetupError};
use super::mailbox::mailbox;
use super::report::Published;
use crate::capacity::DIAL_MS;
use crate::legs::LegTable;
use crate::testing::{IDENTITY, Phone, stream};
use crate::tick::Tick;
use kakehashi_srtp::Provider;
use kakehashi_wire::frame::{ALPN_RELAY, FrameHeader};
use kakehashi_wire::id::{Generation, Incarnation, LegId, RelayId, ShardIndex, Term};
use kakehashi_wire::media::Host;
use kakehashi_wire::relay::{
    FromRelay, Hello, NodeHeartbeat, Order, Orders, OrdersDone, Outcome, RemoveLeg, RenewLeg,
    Resync, ShardLoad, ToRelay, Welcome,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Connection, Endpoint, RecvStream, SendStream, VarInt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs;
use rustls::server::WebPkiClientVerifier;
use rustls_pki_types::{CertificateDer, PrivateKeyDer};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::timeout;

const LOAD: ShardLoad =
    ShardLoad { legs: 1, packets_received: 2, packets_sent: 3, bytes_sent: 4, cpu_us: 5 };

/// A certificate authority, and what it certifies.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

impl Authority {
    fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        let (pem, der) = (certificate.pem(), certificate.der().clone());
        Self { issuer: Issuer::new(params, key), pem, der }
    }

    fn certify(&self, name: &str) -> (String, CertificateDer<'static>, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        (certificate.pem(), certificate.der().clone(), key)
    }
}

/// A control that takes relays of `authority` in.
fn control(authority: &Authority, alpn: &[u8]) -> Endpoint {
    let (_, certificate, key) = authority.certify("control.test");
    let provider = Arc::new(aws_lc_rs::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der.clone()).unwrap();
    let verifier =
        WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider));
    let mut tls = rustls::ServerConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13])
        .unwrap()
        .with_client_cert_verifier(verifier.build().unwrap())
        .with_single_cert(vec![certificate], PrivateKeyDer::try_from(key.serialize_der()).unwrap())
        .unwrap();
    tls.alpn_protocols = vec![alpn.to_vec()];
    let crypto = QuicServerConfig::try_from(tls).unwrap();
    let config = quinn::ServerConfig::with_crypto(Arc::new(crypto));
    Endpoint::server(config, SocketAddr::from(([127, 0, 0, 1], 0))).unwrap()
}

/// The settings of a relay certified by `own` that trusts `trusted`.
fn settings(folder: &Path, own: &Authority, trusted: &Authority, control: &Endpoint) -> LinkConfig {
    let (certificate, _, key) = own.certify("relay-7.test");
    let write = |name: &str, text: &str| {
        let path = folder.join(name);
        std::fs::write(&path, text).unwrap();
        path
    };
    LinkConfig {
        relay: RelayId(7),
        site: "tokyo".into(),
        incarnation: Incarnation(42),
        nodes: vec![control.local_addr().unwrap().to_string()],
        server_name: Some("control.test".into()),
        certificate: write("relay.pem", &certificate),
        key: write("relay.key", &key.serialize_pem()),
        ca: write("ca.pem", &trusted.pem),
        figures: Arc::new(LinkFigures::new(&[])),
    }
}

/// Shards without sockets, each on its own thread.
struct Shards {
    threads: Vec<JoinHandle<usize>>,
    bells: Vec<Arc<super::bell::Bell>>,
    stop: Arc<AtomicBool>,
}

impl Shards {
    fn start(count: u16, knock: &Arc<Notify>) -> (Self, Vec<ShardHandle>) {
        let stop = Arc::new(AtomicBool::new(false));
        let mut shards = Self { threads: Vec::new(), bells: Vec::new(), stop: Arc::clone(&stop) };
        let handles = (0..count).map(|n| {
            let (link, end) = mailbox(knock).unwrap();
            let (bell, stop) = (Arc::clone(end.bell()), Arc::clone(&stop));
            shards.bells.push(Arc::clone(&bell));
            shards.threads.push(std::thread::spawn(move || {
                let mut legs = LegTable::new(8, Provider::AesGcm, IDENTITY);
                let mut desk = Desk::new(end);
                while !stop.load(Ordering::SeqCst) {
                    while desk.turn(&mut legs, Tick(1)) > 0 {}
                    bell.wait().unwrap();
                }
                legs.len()
            }));
            let published = Published::new(["received", "forged"]);
            published.store(LOAD, [10, 1]);
            let address = SocketAddr::from(([127, 0, 0, 1], 5_000 + n));
            let published = Arc::new(published);
            ShardHandle { index: ShardIndex(n), address, legs_max: 8, mailbox: link, published }
        });
        let handles = handles.collect();
        (shards, handles)
    }

    /// Ends the threads; the number of legs each held.
    fn stop(self) -> Vec<usize> {
        self.stop.store(true, Ordering::SeqCst);
        self.bells.iter().for_each(|bell| bell.ring());
        self.threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    }
}

/// Control's side of one link.
struct Peer {
    connection: Connection,
    send: SendStream,
    receive: RecvStream,
}

impl Peer {
    async fn accept(control: &Endpoint) -> (Self, Hello) {
        let accepted = timeout(Duration::from_secs(10), control.accept()).await.unwrap().unwrap();
        let connection = accepted.await.unwrap();
        let (send, receive) = connection.accept_bi().await.unwrap();
        let mut peer = Self { connection, send, receive };
        let FromRelay::Hello(hello) = peer.next().await else { panic!() };
        (peer, hello)
    }

    async fn welcomed(control: &Endpoint) -> Self {
        let (mut peer, _) = Self::accept(control).await;
        peer.say(Welcome { heartbeat_ms: 20, lost_after_ms: 10_000 }).await;
        peer
    }

    async fn say(&mut self, message: impl Into<ToRelay>) {
        self.send.write_all(&message.into().encode().unwrap()).await.unwrap();
    }

    async fn next(&mut self) -> FromRelay {
        let mut header = [0; FrameHeader::BYTES];
        self.receive.read_exact(&mut header).await.unwrap();
        let header = FrameHeader::parse(&header).unwrap();
        let mut body = vec![0; header.body_bytes()];
        self.receive.read_exact(&mut body).await.unwrap();
        FromRelay::decode(header.kind(), &body).unwrap()
    }

    /// The next message that `pick` likes.
    async fn await_message<T>(&mut self, pick: impl Fn(FromRelay) -> Option<T>) -> T {
        let search = async {
            loop {
                if let Some(found) = pick(self.next().await) {
                    return found;
                }
            }
        };
        timeout(Duration::from_secs(10), search).await.expect("the relay speaks")
    }

    async fn outcomes(&mut self, orders: Vec<Order>) -> Vec<Outcome> {
        self.say(Orders { term: Term::ALONE, orders }).await;
        self.done().await.results.into_iter().map(|result| result.outcome).collect()
    }

    async fn done(&mut self) -> OrdersDone {
        self.await_message(|message| match message {
            FromRelay::OrdersDone(done) => Some(done),
            _ => None,
        })
        .await
    }
}

/// A running link with two shards.
struct Relay {
    link: JoinHandle<Result<(), SetupError>>,
    stop: watch::Sender<bool>,
    shards: Shards,
    _folder: tempfile::TempDir,
}

impl Relay {
    fn start(own: &Authority, trusted: &Authority, control: &Endpoint) -> Self {
        Self::start_with(own, trusted, &[control], 42)
    }

    /// One life of a process that has a link to each of `nodes`.
    fn start_with(
        own: &Authority,
        trusted: &Authority,
        nodes: &[&Endpoint],
        incarnation: u64,
    ) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mut config = settings(folder.path(), own, trusted, nodes[0]);
        let address = |node: &&Endpoint| node.local_addr().unwrap().to_string();
        config.nodes = nodes.iter().map(address).collect();
        config.incarnation = Incarnation(incarnation);
        let knock = Arc::new(Notify::new());
        let (shards, handles) = Shards::start(2, &knock);
        let (stop, stopped) = watch::channel(false);
        let link = std::thread::spawn(move || run(config, handles, knock, stopped));
        Self { link, stop, shards, _folder: folder }
    }

    fn stop(self) -> Vec<usize> {
        self.stop.send(true).unwrap();
        self.link.join().unwrap().unwrap();
        self.shards.stop()
    }
}

fn install(n: u16, shard: u16, generation: u64) -> Order {
    let mut order = Phone::new(u64::from(shard), n).install(generation);
    order.shard = ShardIndex(shard);
    Order::Install(order)
}

fn renew(n: u16, generation: u64) -> Order {
    let (leg, generation) = (Phone::new(0, n).leg, Generation(generation));
    Order::Renew(RenewLeg { leg, generation, lifetime_ms: 1_000, seen_at: Host::UNKNOWN })
}

fn remove(n: u16, generation: u64) -> Order {
    let (leg, generation) = (Phone::new(0, n).leg, Generation(generation));
    Order::Remove(RemoveLeg { leg, generation })
}

/// Of all legs, those of these phones are wanted.
fn resync(term: Term, phones: &[u16]) -> Resync {
    let keep = phones.iter().map(|n| Phone::new(0, *n).leg).collect();
    Resync { term, first: LegId(0), last: LegId(u64::MAX), keep }
}

#[path = "nodes_tests.rs"]
mod nodes;

#[tokio::test]
async fn orders_reach_their_shards_and_their_outcomes_come_back_in_sequence() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let relay = Relay::start(&authority, &authority, &control);
    let (mut peer, hello) = Peer::accept(&control).await;
    assert_eq!((hello.relay, hello.incarnation), (RelayId(7), Incarnation(42)));
    assert_eq!(hello.site, "tokyo");
    let offered: Vec<_> =
        hello.shards.iter().map(|shard| (shard.shard.0, shard.legs_max)).collect();
    assert_eq!(offered, [(0, 8), (1, 8)]);
    peer.say(Welcome { heartbeat_ms: 20, lost_after_ms: 10_000 }).await;

    use Outcome::{Applied, BadOrder, NoSuchLeg, NoSuchShard, SsrcTaken, Stale, Unchanged};
    let orders = vec![
        install(1, 0, 1),
        install(2, 1, 1),
        renew(1, 2),
        install(1, 0, 2),
        install(2, 0, 2),
        install(3, 9, 1),
        renew(4, 1),
        remove(5, 3),
        install(5, 1, 2),
    ];
    let wanted =
        [Applied, Applied, Applied, Unchanged, BadOrder, NoSuchShard, NoSuchLeg, Unchanged, Stale];
    assert_eq!(peer.outcomes(orders).await, wanted);
    let mut thief = Phone::new(0, 6).install(1);
    thief.streams = vec![stream(Phone::new(0, 1).ssrc)];
    let orders = vec![Order::Install(thief), remove(2, 9), remove(2, 9), renew(1, 1)];
    assert_eq!(peer.outcomes(orders).await, [SsrcTaken, Applied, Unchanged, Stale]);

    // Several batches without waiting: answered one by one, in sequence.
    for n in 10..14 {
        peer.say(Orders { term: Term::ALONE, orders: vec![install(n, n % 2, 1)] }).await;
    }
    for n in 10..14 {
        let done = peer.done().await;
        assert_eq!((done.results[0].leg, done.results[0].outcome), (Phone::new(0, n).leg, Applied));
    }
    assert_eq!(relay.stop(), [3, 2]);
}

#[tokio::test]
async fn heartbeats_load_and_counters_are_reported() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let relay = Relay::start(&authority, &authority, &control);
    let mut peer = Peer::welcomed(&control).await;
    peer.say(NodeHeartbeat { beat: 99 }).await;
    let shards = peer
        .await_message(|message| match message {
            FromRelay::RelayHeartbeat(heartbeat) if heartbeat.beat == 99 => Some(heartbeat.shards),
            _ => None,
        })
        .await;
    assert_eq!(shards, [LOAD, LOAD]);
    let counters = peer
        .await_message(|message| match message {
            FromRelay::CounterReport(report) => Some(report.counters),
            _ => None,
        })
        .await;
    let counters: Vec<_> = counters.iter().map(|c| (c.name.as_str(), c.value)).collect();
    assert_eq!(counters, [("forged", 2), ("received", 20)]);
    relay.stop();
}

#[tokio::test]
async fn the_link_comes_back_and_legs_outlive_it_until_a_resync_drops_them() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let relay = Relay::start(&authority, &authority, &control);
    let mut peer = Peer::welcomed(&control).await;
    let orders = vec![install(1, 0, 1), install(2, 1, 1), install(3, 1, 1)];
    assert_eq!(peer.outcomes(orders.clone()).await, [Outcome::Applied; 3]);
    peer.connection.close(VarInt::from_u32(9), b"upgrade");

    let mut peer = Peer::welcomed(&control).await;
    assert_eq!(peer.outcomes(orders).await, [Outcome::Unchanged; 3]);
    peer.say(resync(Term::ALONE, &[2])).await;
    let orders = vec![renew(1, 5), renew(2, 5), renew(3, 5)];
    let (gone, kept) = (Outcome::NoSuchLeg, Outcome::Applied);
    assert_eq!(peer.outcomes(orders).await, [gone, kept, gone]);
    assert_eq!(relay.stop(), [0, 1]);
}

#[tokio::test]
async fn a_silent_control_is_left() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let relay = Relay::start(&authority, &authority, &control);
    let (mut peer, _) = Peer::accept(&control).await;
    peer.say(Welcome { heartbeat_ms: 20, lost_after_ms: 100 }).await;
    let closed = timeout(Duration::from_secs(10), peer.connection.closed()).await.unwrap();
    assert!(matches!(closed, quinn::ConnectionError::ApplicationClosed(_)), "{closed}");
    Peer::welcomed(&control).await;
    relay.stop();
}

#[tokio::test]
async fn a_stuck_or_dead_shard_is_answered_for() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), &authority, &authority, &control);
    let knock = Arc::new(Notify::new());
    let mut ends = Vec::new();
    let handles = (0..2).map(|n| {
        let (mailbox, end) = mailbox(&knock).unwrap();
        ends.push(end);
        let address = SocketAddr::from(([127, 0, 0, 1], 1));
        let published = Arc::new(Published::new([]));
        ShardHandle { index: ShardIndex(n), address, legs_max: 8, mailbox, published }
    });
    let handles: Vec<_> = handles.collect();
    ends.pop();
    let (stop, stopped) = watch::channel(false);
    let link = {
        let knock = Arc::clone(&knock);
        std::thread::spawn(move || run(config, handles, knock, stopped))
    };
    let mut peer = Peer::welcomed(&control).await;
    let orders = vec![install(1, 0, 1), install(2, 1, 1)];
    assert_eq!(peer.outcomes(orders).await, [Outcome::NoSuchShard; 2]);
    stop.send(true).unwrap();
    link.join().unwrap().unwrap();
}

/// Dials once and tells why there is no link; `control` plays what the test wants meanwhile.
async fn refusal(
    own: &Authority,
    trusted: &Authority,
    control: Endpoint,
    answer: Option<Vec<u8>>,
) -> LinkLost {
    let folder = tempfile::tempdir().unwrap();
    let config = settings(folder.path(), own, trusted, &control);
    let server = tokio::spawn(async move {
        while let Some(incoming) = control.accept().await {
            let Ok(connection) = incoming.await else { continue };
            let Ok((mut send, _receive)) = connection.accept_bi().await else { continue };
            if let Some(answer) = &answer {
                let _ = send.write_all(answer).await;
            }
            connection.closed().await;
        }
    });
    let lost = super::link::dial_once(&config).await;
    server.abort();
    lost
}

#[tokio::test]
async fn each_way_of_being_refused_is_told_apart() {
    let (ours, theirs) = (Authority::new(), Authority::new());
    let lost = refusal(&ours, &ours, control(&theirs, ALPN_RELAY), None).await;
    assert!(matches!(lost, LinkLost::Certificate(_)), "unknown control: {lost}");
    let lost = refusal(&theirs, &ours, control(&ours, ALPN_RELAY), None).await;
    assert!(matches!(lost, LinkLost::Certificate(_)), "unknown relay: {lost}");
    let lost = refusal(&ours, &ours, control(&ours, b"kakehashi-relay/2"), None).await;
    assert!(matches!(lost, LinkLost::Version(_)), "other protocol: {lost}");

    let mut newer = ToRelay::from(NodeHeartbeat { beat: 1 }).encode().unwrap();
    let early = newer.clone();
    newer[4] = 2;
    let lost = refusal(&ours, &ours, control(&ours, ALPN_RELAY), Some(newer)).await;
    assert!(matches!(lost, LinkLost::Version(_)), "newer messages: {lost}");
    let lost = refusal(&ours, &ours, control(&ours, ALPN_RELAY), Some(early)).await;
    assert!(matches!(lost, LinkLost::Protocol(_)), "no welcome: {lost}");
    let oversize = [&b"KAKE\x01\x00\x01\x03"[..], &[255; 4]].concat();
    let lost = refusal(&ours, &ours, control(&ours, ALPN_RELAY), Some(oversize)).await;
    assert!(matches!(lost, LinkLost::Protocol(_)), "oversize: {lost}");
}

#[test]
fn unusable_files_and_settings_end_the_link_before_it_begins() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let authority = Authority::new();
    let control = runtime.block_on(async { control(&authority, ALPN_RELAY) });
    let folder = tempfile::tempdir().unwrap();
    let good = settings(folder.path(), &authority, &authority, &control);
    let refused = |config: LinkConfig| {
        let (_stop, stopped) = watch::channel(false);
        run(config, Vec::new(), Arc::new(Notify::new()), stopped).unwrap_err()
    };
    let missing = refused(LinkConfig { ca: folder.path().join("none"), ..good.clone() });
    assert!(matches!(missing, SetupError::Unreadable { .. }), "{missing}");
    let swapped = refused(LinkConfig { key: good.certificate.clone(), ..good.clone() });
    assert!(matches!(swapped, SetupError::NotPem { .. }), "{swapped}");
    let empty = refused(LinkConfig { certificate: good.key.clone(), ..good.clone() });
    assert!(matches!(empty, SetupError::NotPem { .. }), "{empty}");
    let nameless = refused(LinkConfig { server_name: Some("not a name".into()), ..good.clone() });
    assert!(matches!(nameless, SetupError::ServerName(_)), "{nameless}");
    let nowhere = refused(LinkConfig { nodes: Vec::new(), ..good });
    assert!(matches!(nowhere, SetupError::NoControl), "{nowhere}");
}

#[tokio::test]
async fn a_dead_address_is_given_up_in_time() {
    let authority = Authority::new();
    let control = control(&authority, ALPN_RELAY);
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(folder.path(), &authority, &authority, &control);
    let mute = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    config.nodes = vec![mute.local_addr().unwrap().to_string()];
    let lost = super::link::dial_once(&config);
    let lost = timeout(Duration::from_millis(2 * DIAL_MS), lost).await.unwrap();
    assert!(matches!(lost, LinkLost::Network(_)), "{lost}");
    config.nodes = vec!["no.such.host.invalid:1".into()];
    let lost = super::link::dial_once(&config).await;
    assert!(matches!(lost, LinkLost::Network(_)), "{lost}");
}
