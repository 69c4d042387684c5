//! A relay that holds what it is told to hold, and answers when it may.

use super::{Platform, client_tls, dial, frame, within};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::pki::Pki;
use kakehashi_wire::frame::ALPN_RELAY;
use kakehashi_wire::id::{Epoch, Generation, Incarnation, LegId, RelayId, ShardIndex, Term};
use kakehashi_wire::relay::{
    FromRelay, Hello, InstallLeg, Order, OrderResult, OrdersDone, Outcome, RelayHeartbeat,
    ShardOffer, ToRelay,
};
use quinn::{Connection, RecvStream, SendStream};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::watch;

/// Each relay that connects is a process of its own.
static LIVES: AtomicU64 = AtomicU64::new(1000);

#[derive(Clone)]
pub struct Relay {
    connection: Connection,
    life: Incarnation,
    held: Arc<Mutex<HashMap<LegId, InstallLeg>>>,
    may_answer: watch::Sender<bool>,
}

impl Relay {
    /// Connects as relay `number` with its certificate, and waits to be welcomed.
    pub async fn start(platform: &Platform, number: u32) -> Self {
        Self::connect(&platform.pki(), platform.node.relay_addr, number).await
    }

    /// The same, without a platform in this process.
    pub async fn connect(pki: &Pki, node: SocketAddr, number: u32) -> Self {
        let life = Incarnation(LIVES.fetch_add(1, Ordering::Relaxed));
        Self::connect_as(pki, node, number, life, Arc::default()).await
    }

    /// The same process connects anew, with the legs it has.
    pub async fn reconnect(self, platform: &Platform, number: u32) -> Self {
        let (pki, node) = (platform.pki(), platform.node.relay_addr);
        Self::connect_as(&pki, node, number, self.life, self.held).await
    }

    async fn connect_as(
        pki: &Pki,
        node: SocketAddr,
        number: u32,
        life: Incarnation,
        held: Arc<Mutex<HashMap<LegId, InstallLeg>>>,
    ) -> Self {
        let tls = Self::tls(pki, number);
        let (connection, mut send, mut recv) = Self::greet_as(tls, node, number, life).await;
        let (kind, body) = within(frame(&mut recv)).await.unwrap();
        assert!(matches!(ToRelay::decode(kind, &body), Ok(ToRelay::Welcome(_))));
        let relay = Self { connection, life, held, may_answer: watch::channel(true).0 };
        let playing = relay.clone();
        tokio::spawn(async move { playing.play(&mut send, &mut recv).await });
        relay
    }

    /// Connects with the certificate of relay `certificate` and says to be relay `number`.
    pub async fn greet(
        pki: &Pki,
        node: SocketAddr,
        certificate: u32,
        number: u32,
    ) -> (Connection, SendStream, RecvStream) {
        Self::greet_with(Self::tls(pki, certificate), node, number).await
    }

    fn tls(pki: &Pki, certificate: u32) -> rustls::ClientConfig {
        let identity = pki.issue_relay(RelayId(certificate), UnixMs::now()).unwrap();
        client_tls(pki).with_client_auth_cert(identity.chain, identity.key).unwrap()
    }

    /// Connects with any certificate and says to be relay `number`.
    pub async fn greet_with(
        tls: rustls::ClientConfig,
        node: SocketAddr,
        number: u32,
    ) -> (Connection, SendStream, RecvStream) {
        Self::greet_as(tls, node, number, Incarnation(7)).await
    }

    async fn greet_as(
        tls: rustls::ClientConfig,
        node: SocketAddr,
        number: u32,
        incarnation: Incarnation,
    ) -> (Connection, SendStream, RecvStream) {
        let connection = dial(tls, ALPN_RELAY, node).await;
        let (mut send, recv) = connection.open_bi().await.unwrap();
        let port = 5000 + u16::try_from(number).unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], port)).into();
        let hello = Hello {
            relay: RelayId(number),
            incarnation,
            software: "played".into(),
            site: String::new(),
            shards: vec![ShardOffer { shard: ShardIndex(0), address, legs_max: 100 }],
        };
        send.write_all(&FromRelay::from(hello).encode().unwrap()).await.unwrap();
        (connection, send, recv)
    }

    /// From here on orders are applied but not answered, or are.
    pub fn answer(&self, may: bool) {
        self.may_answer.send_replace(may);
    }

    /// Its link or its process ends.
    pub fn die(&self) {
        self.connection.close(0_u32.into(), b"gone");
    }

    /// The life a leg has here.
    pub fn epoch(&self, leg: LegId) -> Epoch {
        let generation = self.held.lock().unwrap()[&leg].generation;
        Epoch { incarnation: self.life, generation }
    }

    pub fn held(&self) -> Vec<InstallLeg> {
        self.held.lock().unwrap().values().cloned().collect()
    }

    pub async fn until_it_holds(&self, legs: usize) {
        let held = async {
            while self.held().len() != legs {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        within(held).await;
    }

    async fn play(self, send: &mut SendStream, recv: &mut RecvStream) {
        let mut beat = 0;
        while let Some((kind, body)) = frame(recv).await {
            let answer: FromRelay = match ToRelay::decode(kind, &body).unwrap() {
                ToRelay::Orders(orders) => {
                    let results = orders.orders.into_iter().map(|o| self.apply(o)).collect();
                    self.may_answer.subscribe().wait_for(|may| *may).await.unwrap();
                    OrdersDone { results }.into()
                }
                ToRelay::NodeHeartbeat(heard) => {
                    beat = heard.beat.max(beat);
                    RelayHeartbeat { beat, term: Term::ALONE, shards: Vec::new() }.into()
                }
                ToRelay::Resync(piece) => {
                    self.held.lock().unwrap().retain(|leg, _| piece.keep.contains(leg));
                    continue;
                }
                ToRelay::Welcome(_) => continue,
            };
            if send.write_all(&answer.encode().unwrap()).await.is_err() {
                return;
            }
        }
    }

    fn apply(&self, order: Order) -> OrderResult {
        let mut held = self.held.lock().unwrap();
        let (leg, generation) = match &order {
            Order::Install(it) => (it.leg, it.generation),
            Order::Renew(it) => (it.leg, it.generation),
            Order::Remove(it) => (it.leg, it.generation),
            Order::Subscribe(it) => (it.leg, it.generation),
        };
        match order {
            Order::Install(install) => drop(held.insert(leg, install)),
            Order::Remove(_) => drop(held.remove(&leg)),
            Order::Renew(_) | Order::Subscribe(_) => {}
        }
        let life = held.get(&leg).map_or(Generation(0), |held| held.generation);
        OrderResult { leg, generation, outcome: Outcome::Applied, life, silent_ms: None }
    }
}
