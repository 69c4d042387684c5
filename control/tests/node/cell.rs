//! Several nodes over one store, each a world of its own in this process: a runtime that can be
//! dropped as if it were killed, or made to stand still.

mod suspension;

use super::common::relay::Relay;
use super::common::terminal::Terminal;
use super::common::{PASSWORD, Platform, device_of, settings, within};
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::{Answer, NodeRow, Request};
use kakehashi_control::api::client;
use kakehashi_control::clock::UnixMs;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::node::Node;
use kakehashi_control::nodes::{NodeName, Peer};
use kakehashi_control::pki::{Pki, open_or_create_cell_secret};
use kakehashi_control::store::{
    Condition, Embedded, Entry, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch,
};
use kakehashi_wire::frame::ALPN_NODE;
use kakehashi_wire::id::RelayId;
use kakehashi_wire::terminal::{
    CallEnd, CallReady, HangUp, MemberPhase, PresenceState, Refusal, Resumed, SessionEnd,
    ToTerminal, WatchPresence,
};
use std::net::UdpSocket;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

struct Host {
    platform: Option<Platform>,
    runtime: Option<Runtime>,
}

struct Cell {
    hosts: Vec<Host>,
    _store: TempDir,
}

const NAMES: [&str; 3] = ["a", "b", "c"];

fn pki(folder: &Path) -> Pki {
    Pki::open_or_create(&folder.join("pki"), UnixMs::now(), Entropy::system()).unwrap()
}

/// Ports that are free now.
fn ports(count: usize) -> Vec<u16> {
    let sockets: Vec<_> = (0..count).map(|_| UdpSocket::bind("127.0.0.1:0").unwrap()).collect();
    sockets.iter().map(|socket| socket.local_addr().unwrap().port()).collect()
}

impl Cell {
    async fn start(count: usize) -> Self {
        Self::start_over(count, |_, store| Arc::clone(store)).await
    }

    /// Each node with the store as it sees it.
    async fn start_over(count: usize, seen: impl Fn(usize, &SharedStore) -> SharedStore) -> Self {
        Self::start_apart(count, seen, None).await
    }

    /// The same, with one node that has the store and none of the others.
    async fn start_apart(
        count: usize,
        seen: impl Fn(usize, &SharedStore) -> SharedStore,
        apart: Option<usize>,
    ) -> Self {
        let kept = tempfile::tempdir().unwrap();
        let store: SharedStore = Arc::new(Embedded::open(&kept.path().join("store")).unwrap());
        let folders: Vec<_> = (0..count).map(|_| tempfile::tempdir().unwrap()).collect();
        pki(folders[0].path());
        let secret = open_or_create_cell_secret(&folders[0].path().join("pki"), &Entropy::system());
        secret.unwrap();
        for folder in &folders[1..] {
            std::fs::create_dir(folder.path().join("pki")).unwrap();
            for file in ["pki/ca.pem", "pki/ca.key", "pki/cell.key"] {
                std::fs::copy(folders[0].path().join(file), folder.path().join(file)).unwrap();
            }
        }
        let ports = ports(count + 1);
        let nowhere = ports[count];
        let mut hosts = Vec::new();
        for (at, folder) in folders.into_iter().enumerate() {
            let mut config = settings(&folder);
            config.node.name = NodeName::parse(NAMES[at]).unwrap();
            config.node.listen = ([127, 0, 0, 1], ports[at]).into();
            let others = (0..count).filter(|other| *other != at);
            let is_apart = |other: usize| apart.is_some_and(|apart| apart == at || apart == other);
            let port = |other| if is_apart(other) { nowhere } else { ports[other] };
            let peer = |other: usize| format!("{}@127.0.0.1:{}", NAMES[other], port(other));
            config.node.peers = others.map(|it| Peer::try_from(peer(it)).unwrap()).collect();
            // One worker: whatever blocks it stops the node.
            let runtime = tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .unwrap();
            let shared = Some(seen(at, &store));
            let node = runtime.spawn(Node::start_over(config, shared)).await.unwrap().unwrap();
            if at == 0 {
                super::common::add(&node, "shop", &["a", "b", "c"]).await;
            }
            let platform = Some(Platform { node, folder });
            hosts.push(Host { platform, runtime: Some(runtime) });
        }
        let cell = Self { hosts, _store: kept };
        cell.until_all_know_relays(0).await;
        cell
    }

    fn at(&self, host: usize) -> &Platform {
        self.hosts[host].platform.as_ref().unwrap()
    }

    fn living(&self) -> impl Iterator<Item = &Platform> {
        self.hosts.iter().filter_map(|host| host.platform.as_ref())
    }

    /// Which node leads: the first to come is alone for some time.
    async fn relays(&self) -> Vec<Relay> {
        let mut relays = Vec::new();
        for platform in self.living() {
            relays.push(Relay::start(platform, 1).await);
        }
        self.until_all_know_relays(1).await;
        relays
    }

    async fn until_all_know_relays(&self, count: usize) {
        for platform in self.living() {
            let known = async {
                loop {
                    let rows = platform.node.live().relays().await;
                    if rows
                        .is_ok_and(|rows| rows.iter().filter(|row| row.connected).count() == count)
                    {
                        return;
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            within(known).await;
        }
    }

    /// The process is killed.
    async fn kill(&mut self, host: usize) -> TempDir {
        let host = &mut self.hosts[host];
        let runtime = host.runtime.take().unwrap();
        let Platform { node, folder } = host.platform.take().unwrap();
        runtime.shutdown_background();
        drop(node);
        folder
    }

    /// The process stands still for so long.
    #[expect(clippy::disallowed_methods, reason = "nothing of it may go on meanwhile")]
    fn stall(&self, host: usize, time: Duration) {
        let runtime = self.hosts[host].runtime.as_ref().unwrap();
        runtime.spawn(async move { std::thread::sleep(time) });
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        self.platform.take();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn ended(terminal: &mut Terminal) -> CallEnd {
    loop {
        match terminal.hear().await {
            Some(ToTerminal::CallEnded(it)) => return it.reason,
            Some(ToTerminal::Members(_) | ToTerminal::CallReady(_)) => {}
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }
}

/// A call between terminals at two nodes.
async fn talk(a: &mut Terminal, b: &mut Terminal) {
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    b.accept(call).await;
    a.ready().await;
    b.ready().await;
    let request = a.request();
    a.say(HangUp { request, call }).await;
    a.done(request).await;
    assert_eq!((ended(a).await, ended(b).await), (CallEnd::HungUp, CallEnd::HungUp));
}

/// Hears of a hand-over.
async fn handed_over(terminal: &mut Terminal) -> Resumed {
    loop {
        match terminal.hear().await {
            Some(ToTerminal::Resumed(it)) => {
                assert_eq!(it.request.0, 0);
                assert!(it.token.as_bytes().is_empty(), "it keeps its own");
                return it;
            }
            Some(ToTerminal::Members(_)) => {}
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }
}

/// Hears the keys of its call, and what its members do before.
async fn ready(terminal: &mut Terminal) -> CallReady {
    loop {
        match terminal.hear().await {
            Some(ToTerminal::CallReady(it)) => return it,
            Some(ToTerminal::Members(_)) => {}
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminals_at_different_nodes_call_each_other() {
    let cell = Cell::start(3).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(1).terminal("shop", "a").await;
    let mut b = cell.at(2).terminal("shop", "b").await;
    talk(&mut a, &mut b).await;
    let request = a.request();
    a.say(WatchPresence { request }).await;
    a.done(request).await;
    let Some(ToTerminal::Presence(presence)) = a.hear().await else { panic!("presence follows") };
    let states: Vec<_> = presence.entries.iter().map(|entry| entry.state).collect();
    assert_eq!(states, [PresenceState::Waiting, PresenceState::Waiting, PresenceState::Offline]);

    // The same device at another node: one session of the two is over.
    let mut again = Terminal::open(cell.at(0).connect().await).await;
    again.sign_in("shop", "b", PASSWORD, device_of("b")).await.unwrap();
    assert_eq!(b.session_ended().await, SessionEnd::Replaced);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn operators_are_served_at_every_node() {
    let cell = Cell::start(2).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(0).terminal("shop", "a").await;
    let mut b = cell.at(1).terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    for at in 0..2 {
        let folder = cell.at(at).folder.path();
        let sessions = client::request(folder, Request::Sessions { tenant: None }).await.unwrap();
        let Answer::Sessions { rows } = sessions else { panic!("sessions were asked for") };
        assert_eq!(rows.len(), 2);
        let request = Request::CallEnd { tenant: None, call };
        let ended = client::request(folder, request).await;
        assert_eq!(ended.is_ok(), at == 0, "once");
    }
    assert_eq!(ended(&mut a).await, CallEnd::EndedByOperator);
    assert_eq!(ended(&mut b).await, CallEnd::EndedByOperator);
    for (at, login, terminal) in [(1, "a", &mut a), (0, "b", &mut b)] {
        let subject = Subject::Account { tenant: "shop".into(), login: login.into() };
        let folder = cell.at(at).folder.path();
        client::request(folder, Request::Suspend { subject, reason: None }).await.unwrap();
        assert_eq!(terminal.session_ended().await, SessionEnd::Suspended);
    }
}

/// What a node says of all nodes: the name of each, whether it hears it, and whether it leads.
async fn nodes(platform: &Platform) -> Vec<NodeRow> {
    let status = client::request(platform.folder.path(), Request::Status {}).await.unwrap();
    let Answer::Status { row } = status else { panic!("the status was asked for") };
    row.nodes
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_knows_which_others_there_are_and_who_leads() {
    let mut cell = Cell::start(3).await;
    let _relays = cell.relays().await;
    for platform in cell.living() {
        let all = async {
            loop {
                let rows = nodes(platform).await;
                if rows.iter().all(|row| row.is_linked && row.certificate_until.is_some()) {
                    return rows;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let rows = within(all).await;
        assert_eq!(rows.len(), 3);
        assert!(rows[0].is_this && rows[1..].iter().all(|row| !row.is_this), "{rows:?}");
        assert_eq!(rows.iter().filter(|row| row.leads).count(), 1, "{rows:?}");
        assert!(rows.iter().all(|row| row.software.starts_with("kakehashi-control ")), "{rows:?}");
        let relays = client::request(platform.folder.path(), Request::Relays {}).await.unwrap();
        let Answer::Relays { rows } = relays else { panic!("relays were asked for") };
        assert!(rows[0].certificate_until > Some(UnixMs::now()), "{rows:?}");
    }
    // The first to start led.
    let first = nodes(cell.at(0)).await.swap_remove(0);
    assert!(first.leads);
    cell.kill(0).await;
    let told = async {
        loop {
            let rows = nodes(cell.at(1)).await;
            let lost = rows.iter().find(|row| row.name == first.name).unwrap();
            if !lost.is_linked && !lost.leads && rows.iter().any(|row| row.leads) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(told).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_that_dies_is_missed_and_its_terminal_goes_on_at_another() {
    let mut cell = Cell::start(2).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(0).terminal("shop", "a").await;
    let (mut b, token) = cell.at(1).terminal_with_token("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    a.ready().await;
    b.ready().await;
    // The first to start leads.
    cell.kill(1).await;
    assert_eq!(a.members().await, [MemberPhase::In, MemberPhase::Reconnecting]);
    let mut b = Terminal::open(cell.at(0).connect().await).await;
    let resumed = b.resume(&token, device_of("b")).await.unwrap();
    assert_eq!(resumed.calls, [call]);
    assert_eq!(a.members().await, [MemberPhase::In, MemberPhase::In]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_that_dies_is_followed_by_another_and_terminals_stay() {
    let mut cell = Cell::start(3).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(1).terminal("shop", "a").await;
    let mut b = cell.at(2).terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    b.incoming().await;
    b.accept(call).await;
    let keys = [a.ready().await.key, b.ready().await.key];
    cell.kill(0).await;
    // The call goes on, with the keys that it had: no packet need wait for control.
    for (terminal, key) in [&mut a, &mut b].into_iter().zip(keys) {
        assert_eq!(handed_over(terminal).await.calls, [call]);
        assert!(ready(terminal).await.key == key);
    }
    let request = a.request();
    a.say(HangUp { request, call }).await;
    loop {
        match a.hear().await {
            Some(ToTerminal::Done(done)) if done.request == request => break,
            Some(ToTerminal::Members(_)) => {}
            other => panic!("{:?}", other.map(|it| it.name())),
        }
    }
    assert_eq!((ended(&mut a).await, ended(&mut b).await), (CallEnd::HungUp, CallEnd::HungUp));
    cell.until_all_know_relays(1).await;
    talk(&mut a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_rings_when_the_lead_dies_rings_on() {
    let mut cell = Cell::start(3).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(1).terminal("shop", "a").await;
    let mut b = cell.at(2).terminal("shop", "b").await;
    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    cell.kill(0).await;
    assert_eq!(handed_over(&mut a).await.calls, [call]);
    assert_eq!(handed_over(&mut b).await.rings, [call]);
    assert_eq!(b.incoming().await, call, "told again");
    cell.until_all_know_relays(1).await;
    b.accept(call).await;
    let (of_a, of_b) = (ready(&mut a).await, ready(&mut b).await);
    assert_eq!((of_a.call, of_b.call), (call, call));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_that_stood_still_harms_nothing_when_it_comes_back() {
    let cell = Cell::start(3).await;
    let _relays = cell.relays().await;
    let mut a = cell.at(0).terminal("shop", "a").await;
    let mut b = cell.at(1).terminal("shop", "b").await;
    let mut c = cell.at(2).terminal("shop", "c").await;
    cell.stall(0, Duration::from_secs(4));
    handed_over(&mut b).await;
    handed_over(&mut c).await;
    // Its terminal is not there for the new lead, until it is back.
    assert_eq!(c.invite("a").await, Err(Refusal::NotAvailable));
    handed_over(&mut a).await;
    cell.until_all_know_relays(1).await;
    talk(&mut a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_drained_relay_stays_out_of_use_whoever_leads() {
    let mut cell = Cell::start(2).await;
    let _relays = cell.relays().await;
    let drain = async |cell: &Cell, on| {
        let request = Request::RelayDrain { relay: RelayId(1), on };
        client::request(cell.at(1).folder.path(), request).await
    };
    drain(&cell, true).await.unwrap();
    cell.kill(0).await;
    cell.until_all_know_relays(1).await;
    let rows = cell.at(1).node.live().relays().await.unwrap();
    assert!(rows[0].connected && rows[0].drained);
    let mut a = cell.at(1).terminal("shop", "a").await;
    let mut b = cell.at(1).terminal("shop", "b").await;
    assert_eq!(a.invite("b").await, Err(Refusal::NoRelay));
    drain(&cell, false).await.unwrap();
    talk(&mut a, &mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wrong_guesses_at_one_node_count_at_all() {
    let cell = Cell::start(2).await;
    let guess = async |at: usize| {
        let mut stranger = Terminal::open(cell.at(at).connect().await).await;
        let refused = stranger.sign_in("shop", "a", "wrong horse battery", 9).await.err().unwrap();
        refused.reason
    };
    let mut tried = 0;
    while guess(0).await == Refusal::BadCredentials {
        tried += 1;
    }
    // As many are let through at once. It may take a moment until the other node knows.
    assert!(tried >= 5, "{tried}");
    let mut more = 0;
    while guess(1).await == Refusal::BadCredentials {
        more += 1;
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    assert!(more < 3, "{more} beside {tried}");
}

/// A store in which one cannot read which calls go on.
struct Unreadable(SharedStore);

impl Store for Unreadable {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        self.0.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        if range.prefix.as_str().starts_with("x/live") {
            let path = range.prefix.as_str().into();
            let what = "as it seems to this node".into();
            return Box::pin(async { Err(StoreError::Corrupt { path, what }) });
        }
        self.0.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        self.0.transact(transaction)
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.0.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.0.condition()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lead_that_cannot_begin_lets_another_lead() {
    // The first to start leads, and cannot.
    let cell = Cell::start_over(2, |at, store| match at {
        0 => Arc::new(Unreadable(Arc::clone(store))),
        _ => Arc::clone(store),
    });
    let cell = cell.await;
    let _relays = cell.relays().await;
    let mut a = cell.at(0).terminal("shop", "a").await;
    let mut b = cell.at(1).terminal("shop", "b").await;
    talk(&mut a, &mut b).await;
}

#[tokio::test]
async fn a_node_of_another_cell_does_not_start() {
    let [kept, one, two] = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let store: SharedStore = Arc::new(Embedded::open(&kept.path().join("store")).unwrap());
    let ports = ports(2);
    let start = |folder: &TempDir, at: usize| {
        let mut config = settings(folder);
        config.node.name = NodeName::parse(NAMES[at]).unwrap();
        config.node.listen = ([127, 0, 0, 1], ports[at]).into();
        let peer = format!("{}@127.0.0.1:{}", NAMES[1 - at], ports[1 - at]);
        config.node.peers = vec![Peer::try_from(peer).unwrap()];
        Node::start_over(config, Some(Arc::clone(&store)))
    };
    let first = start(&one, 0).await.unwrap();
    let refused = start(&two, 1).await.err().unwrap().to_string();
    let fingerprint = |folder: &TempDir| {
        let secret = open_or_create_cell_secret(&folder.path().join("pki"), &Entropy::system());
        secret.unwrap().fingerprint()
    };
    for said in ["cell.key is of another cell", &fingerprint(&one), &fingerprint(&two)] {
        assert!(refused.contains(said), "{refused}");
    }
    first.stop().await;
}

#[tokio::test]
async fn nodes_with_a_store_each_do_not_start() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = settings(&folder);
    config.node.peers = vec![Peer::try_from("b@127.0.0.1:1".to_owned()).unwrap()];
    let refused = Node::start(config).await.err().unwrap().to_string();
    assert!(refused.contains("node.peers"), "{refused}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_nodes_get_in_where_nodes_do() {
    let cell = Cell::start(2).await;
    let platform = cell.at(0);
    let (pki, address) = (platform.pki(), platform.node.node_addr.unwrap());
    let tls = || super::common::client_tls(&pki);
    let relay = pki.issue_relay(RelayId(1), UnixMs::now()).unwrap();
    let stranger = pki.issue_node(&NodeName::parse("d").unwrap(), UnixMs::now()).unwrap();
    for (identity, reason) in [(Some(relay), "OtherNode"), (Some(stranger), "Stranger"), (None, "")]
    {
        let tls = match identity {
            Some(it) => tls().with_client_auth_cert(it.chain, it.key).unwrap(),
            None => tls().with_no_client_auth(),
        };
        let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
        let config = super::common::quic(tls, ALPN_NODE);
        let host = "a.node.kakehashi.internal";
        let connected = within(endpoint.connect_with(config, address, host).unwrap()).await;
        let Ok(connection) = connected else {
            assert_eq!(reason, "", "a certificate of the authority gets as far as a name");
            continue;
        };
        let hello = kakehashi_wire::node::NodeHello { node: "b".into(), software: String::new() };
        let hello = kakehashi_wire::node::FromNode::from(hello).encode().unwrap();
        if let Ok((mut send, _recv)) = connection.open_bi().await {
            let _refused = send.write_all(&hello).await;
        }
        within(connection.closed()).await;
    }
    // Nor does a node take what is not one for one.
    let server = client_of_terminals(platform).await;
    assert!(server.is_err());
}

/// Dials the terminals' port as if a node were there.
async fn client_of_terminals(platform: &Platform) -> Result<quinn::Connection, String> {
    let tls = super::common::client_tls(&platform.pki()).with_no_client_auth();
    let endpoint = quinn::Endpoint::client(([127, 0, 0, 1], 0).into()).unwrap();
    let config = super::common::quic(tls, ALPN_NODE);
    let host = "a.node.kakehashi.internal";
    let connecting = endpoint.connect_with(config, platform.node.terminal_addr, host).unwrap();
    within(connecting).await.map_err(|error| error.to_string())
}
