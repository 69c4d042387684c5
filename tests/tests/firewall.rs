//! The rules of `tuning/nftables`, with the gate shut, around a platform: terminals on one side of
//! a pair of virtual devices, everything else on the other.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::{Link, Medium};
use kakehashi_tests::children::pause;
use kakehashi_tests::ethernet::{NIC, Talking, call, counted, far, knock, near, nft};
use kakehashi_tests::platform::{Platform, TENANT};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::time::Duration;

const RULES: &str = include_str!("../../tuning/nftables/kakehashi.nft");
const KNOCKS: u64 = 100;

/// Where a store listens: etcd's port for its clients.
const STORE_PORT: u16 = 2379;

/// The rules as an operator changes them for this machine: its interface and ports, the gate shut.
fn rules(control_port: u16, media_port: u16) -> String {
    let changes = [
        (
            "public_interfaces = { \"eth0\" }".to_owned(),
            format!("public_interfaces = {{ \"{NIC}\" }}"),
        ),
        ("terminals_port = 4433".to_owned(), format!("terminals_port = {control_port}")),
        (
            "media_ports = 40000-40063".to_owned(),
            format!("media_ports = {media_port}-{media_port}"),
        ),
        ("\t\tcounter accept comment \"anybody's media\"\n".to_owned(), String::new()),
    ];
    changes.iter().fold(RULES.to_owned(), |rules, (from, to)| {
        assert_eq!(rules.matches(from.as_str()).count(), 1, "{from}");
        rules.replace(from.as_str(), to)
    })
}

/// Packets of strangers that the gate has dropped.
fn strangers() -> u64 {
    let chain = nft(&["list", "chain", "inet", "kakehashi", "media"], "");
    let line = chain.lines().find(|line| line.contains("media of strangers")).unwrap();
    let count = line.split_whitespace().skip_while(|word| *word != "packets").nth(1);
    count.unwrap().parse().unwrap()
}

/// The addresses that are let in.
fn let_in() -> Vec<String> {
    let set = nft(&["list", "set", "inet", "kakehashi", "terminals_v4"], "");
    let elements = set.split("elements = {").nth(1).unwrap_or_default();
    let addresses = elements.split(',').filter_map(|element| element.split_whitespace().next());
    addresses.filter(|word| *word != "}").map(str::to_owned).collect()
}

/// Runs `test` with a platform of one relay behind the rules.
fn behind_rules(test: impl FnOnce(&Platform, &Link) + Send) {
    let link = Link::new(Medium::Veth, 0, 1).unwrap();
    let tested = link.subject.run(|| {
        // The sets must be there before the relay, and its ports are known when it runs.
        nft(&["-f", "-"], &rules(4433, 40_000));
        let platform = Platform::start_at(near(&link), 1, &["--firewall", "kakehashi"]);
        let control: SocketAddr = platform.control().parse().unwrap();
        nft(&["-f", "-"], &rules(control.port(), platform.media_port()));
        test(&platform, &link);
        Ok(())
    });
    tested.unwrap();
}

#[test]
fn the_media_port_is_open_to_terminals_in_a_call_and_shut_before_and_after() {
    behind_rules(|platform, link| {
        knock(link, platform, KNOCKS);
        assert_eq!(strangers(), KNOCKS);
        let both = call(platform, &link.load, || {
            assert_eq!(let_in(), [far(link).to_string()]);
            // From the terminals' address: the path tells it from theirs, not the gate.
            knock(link, platform, KNOCKS);
        });
        for received in &both {
            assert_eq!(received["lost"].as_u64(), Some(0), "{received}");
            assert!(received["packets"].as_u64().unwrap() > 200, "{received}");
        }
        assert_eq!(counted(platform, "too_short", KNOCKS), KNOCKS, "only those knocks");
        // Both have signed out.
        pause(Duration::from_millis(500));
        assert!(let_in().is_empty(), "{:?}", let_in());
        let before = strangers();
        knock(link, platform, KNOCKS);
        assert_eq!(strangers(), before + KNOCKS);
    });
}

#[test]
fn a_suspension_shuts_the_gate_within_the_call() {
    behind_rules(|platform, link| {
        let _talking = Talking::start(platform, &link.load, 60);
        assert_eq!(let_in().len(), 1);
        platform.run_well(&["account", "suspend", TENANT, "store-1"]);
        assert!((0..50).any(|_| {
            pause(Duration::from_millis(20));
            let_in().is_empty()
        }));
        let before = strangers();
        knock(link, platform, KNOCKS);
        assert!(strangers() >= before + KNOCKS);
    });
}

#[test]
fn the_store_is_out_of_reach_of_the_internet() {
    let link = Link::new(Medium::Veth, 0, 1).unwrap();
    let tested = link.subject.run(|| {
        let store = (near(&link), STORE_PORT);
        let _listener = TcpListener::bind(store)?;
        let reaches = || {
            let patience = Duration::from_secs(1);
            let tried = link.load.run(|| Ok(TcpStream::connect_timeout(&store.into(), patience)));
            tried.unwrap().is_ok()
        };
        assert!(reaches(), "without rules it is in reach");
        nft(&["-f", "-"], &rules(4433, 40_000));
        assert!(!reaches());
        assert!(TcpStream::connect(store).is_ok(), "the machine itself reaches it");
        Ok(())
    });
    tested.unwrap();
}
