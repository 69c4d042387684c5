//! Differential run against libsrtp (through pylibsrtp): what one seals the other opens, and both
//! accept and refuse the same packets for the same reasons.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use common::{Random, SSRC, SUITES, auth, keys, master, rtcp, rtp, seal_rtcp, seal_rtp};
use kakehashi_srtp::capacity::REPLAY_WINDOW_PACKETS;
use kakehashi_srtp::{AuthKeys, Provider, Scratch, SessionKeys, StreamOpener, StreamSealer};
use kakehashi_wire::secret::Suite;

const INSTALL: &str = "type `python3 -m venv tests/.venv && tests/.venv/bin/pip install -r \
                       tests/requirements.txt` in the repository, or set KAKEHASHI_PYTHON to a \
                       Python that has pylibsrtp";

/// A Python process that answers with libsrtp.
struct Libsrtp {
    process: Child,
    requests: Option<ChildStdin>,
    answers: BufReader<ChildStdout>,
}

impl Libsrtp {
    fn start() -> Self {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let python = std::env::var_os("KAKEHASHI_PYTHON")
            .map_or_else(|| here.join("../tests/.venv/bin/python"), PathBuf::from);
        let mut process = Command::new(&python)
            .arg(here.join("tests/pylibsrtp_peer.py"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; {INSTALL}", python.display()));
        let requests = process.stdin.take();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut peer = Self { process, requests, answers };
        let greeting = peer.read();
        assert!(greeting.starts_with("ready"), "no libsrtp in {}; {INSTALL}", python.display());
        peer
    }

    fn read(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim_end().to_owned()
    }

    fn ask(&mut self, request: &str) -> String {
        writeln!(self.requests.as_mut().unwrap(), "{request}").unwrap();
        self.read()
    }

    fn open(&mut self, name: &str, suite: Suite, direction: &str) {
        let bits = suite.key_bytes() * 8;
        let master = master(suite);
        let key = hex::encode([master.key(), master.salt()].concat());
        let request = format!("open {name} {bits} {direction} {REPLAY_WINDOW_PACKETS} {key}");
        assert_eq!(self.ask(&request), "ok");
    }

    /// The resulting packet, or the reason why there is none.
    fn run(&mut self, operation: &str, name: &str, packet: &[u8]) -> Result<Vec<u8>, String> {
        let answer = self.ask(&format!("{operation} {name} {}", hex::encode(packet)));
        match answer.split_once(' ') {
            Some(("ok", packet)) => Ok(hex::decode(packet).unwrap()),
            Some(("refused", reason)) => Err(reason.to_owned()),
            _ => panic!("unexpected answer {answer:?} to {operation}"),
        }
    }
}

impl Drop for Libsrtp {
    fn drop(&mut self) {
        drop(self.requests.take());
        let status = self.process.wait();
        if !std::thread::panicking() {
            assert!(status.is_ok_and(|status| status.success()));
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    Rtp,
    Rtcp,
}

/// Our receiving side, answering in the words of the peer.
struct Ours {
    keys: SessionKeys,
    auth: AuthKeys,
    opener: StreamOpener,
    scratch: Scratch,
}

impl Ours {
    fn new(provider: Provider, suite: Suite) -> Self {
        let (opener, scratch) = (StreamOpener::new(SSRC), Scratch::new());
        Self { keys: keys(provider, suite), auth: auth(provider, suite), opener, scratch }
    }

    fn unprotect(&mut self, kind: Kind, packet: &[u8]) -> Result<Vec<u8>, String> {
        let (before, mut relay) = (self.opener.clone(), self.opener.clone());
        let (mut opened, scratch) = (packet.to_vec(), &mut self.scratch);
        let (bytes, authentic) = match kind {
            Kind::Rtp => {
                let authentic = relay.authenticate_rtp(&self.auth, packet, scratch).map(|_| ());
                let opened = self.opener.unprotect_rtp(&self.keys, &mut opened, scratch);
                (opened.map(|opened| opened.bytes), authentic)
            }
            Kind::Rtcp => {
                let authentic = relay.authenticate_rtcp(&self.keys, packet, scratch).map(|_| ());
                let opened = self.opener.unprotect_rtcp(&self.keys, &mut opened, scratch);
                (opened.map(|opened| opened.bytes), authentic)
            }
        };
        assert_eq!(authentic, bytes.map(|_| ()), "relay and receiver agree");
        assert_eq!(relay, self.opener, "relay and receiver are in the same state");
        match bytes {
            Ok(bytes) => {
                opened.truncate(bytes);
                Ok(opened)
            }
            Err(reason) => {
                assert!(opened == packet && self.opener == before, "a refusal changed something");
                Err(reason.name().to_owned())
            }
        }
    }
}

/// One arrival: which packet, and whether it was damaged on the way.
struct Arrival {
    packet: usize,
    damaged: bool,
}

/// Loss of one in ten, delays up to `delay_max` places and as much again for a repeat, which one
/// in eight has, some damage.
fn arrivals(random: &mut Random, packets: usize, delay_max: usize) -> Vec<Arrival> {
    let mut timed = Vec::new();
    for packet in 0..packets {
        if random.below(10) == 0 {
            continue;
        }
        let delay = match random.below(20) {
            0 => random.below(delay_max),
            1..5 => random.below(12),
            _ => 0,
        };
        let damaged = random.below(25) == 0;
        timed.push((packet + delay, timed.len(), Arrival { packet, damaged }));
        if random.below(8) == 0 {
            let later = if random.below(2) == 0 { 12 } else { delay_max };
            let again = packet + delay + random.below(later);
            timed.push((again, timed.len(), Arrival { packet, damaged: false }));
        }
    }
    timed.sort_by_key(|(at, order, _)| (*at, *order));
    timed.into_iter().map(|(_, _, arrival)| arrival).collect()
}

/// Delivers every arrival to both receivers and compares; gives how often each verdict came.
fn compare(
    peer: &mut Libsrtp,
    ours: &mut Ours,
    kind: Kind,
    sealed: &[Vec<u8>],
    plain: &[Vec<u8>],
    arrivals: &[Arrival],
) -> BTreeMap<String, usize> {
    let operation = if kind == Kind::Rtp { "unprotect" } else { "unprotect_rtcp" };
    let mut verdicts = BTreeMap::new();
    for (at, arrival) in arrivals.iter().enumerate() {
        let mut packet = sealed[arrival.packet].clone();
        if arrival.damaged {
            // Behind the headers, before the RTCP index: both sides then look at the same index.
            let place = packet.len() - 6;
            packet[place] ^= 1 << (at % 8);
        }
        let theirs = peer.run(operation, "receiver", &packet);
        let mine = ours.unprotect(kind, &packet);
        assert_eq!(mine, theirs, "arrival {at}: packet {}", arrival.packet);
        if let Ok(opened) = &mine {
            assert_eq!(*opened, plain[arrival.packet]);
        }
        let verdict = mine.map_or_else(|reason| reason, |_| "accepted".to_owned());
        *verdicts.entry(verdict).or_insert(0) += 1;
    }
    verdicts
}

/// Plain RTP packets of one stream, with gaps that carry it across several wraps.
fn rtp_stream(random: &mut Random, packets: usize) -> Vec<Vec<u8>> {
    let mut sequence = random.below(1 << 15) as u16;
    let one = |random: &mut Random| {
        let gap = if random.below(4) == 0 { 1 + random.below(180) } else { 1 };
        sequence = sequence.wrapping_add(gap as u16);
        let payload_bytes = random.below(1_200);
        rtp(SSRC, sequence, payload_bytes)
    };
    std::iter::repeat_with({
        let mut one = one;
        move || one(random)
    })
    .take(packets)
    .collect()
}

fn rtcp_stream(random: &mut Random, packets: usize) -> Vec<Vec<u8>> {
    (0..packets).map(|_| rtcp(SSRC, random.below(60) as u16)).collect()
}

/// Seals the same packets here and there and checks that the bytes are the same.
fn seal_both(peer: &mut Libsrtp, suite: Suite, kind: Kind, plain: &[Vec<u8>]) -> Vec<Vec<u8>> {
    peer.open("sender", suite, "out");
    let keys = Provider::ALL.map(|provider| keys(provider, suite));
    let mut sealers = Provider::ALL.map(|_| StreamSealer::new(SSRC, 0));
    if kind == Kind::Rtcp {
        // libsrtp numbers RTCP from one, we from zero: spend the first index.
        for (keys, sealer) in keys.iter().zip(&mut sealers) {
            seal_rtcp(keys, sealer, &plain[0]);
        }
    }
    let seal_all = |packet: &Vec<u8>| {
        let (operation, seal): (_, fn(_, _, _) -> _) = match kind {
            Kind::Rtp => ("protect", seal_rtp),
            Kind::Rtcp => ("protect_rtcp", seal_rtcp),
        };
        let theirs = peer.run(operation, "sender", packet).unwrap();
        for (keys, sealer) in keys.iter().zip(&mut sealers) {
            assert_eq!(seal(keys, sealer, packet), theirs);
        }
        theirs
    };
    plain.iter().map(seal_all).collect()
}

fn differential(kind: Kind, suite: Suite, provider: Provider, seed: u64) {
    let mut random = Random(seed);
    let mut peer = Libsrtp::start();
    // libsrtp's RTCP window is fixed at 128, ours is 1,024: stay where they cannot differ, with
    // repeats that come less than twice 60 places late.
    let (packets, delay_max) = if kind == Kind::Rtp { (6_000, 400) } else { (3_000, 60) };
    let plain = match kind {
        Kind::Rtp => rtp_stream(&mut random, packets),
        Kind::Rtcp => rtcp_stream(&mut random, packets),
    };
    let sealed = seal_both(&mut peer, suite, kind, &plain);
    let arrivals = arrivals(&mut random, packets, delay_max);
    peer.open("receiver", suite, "in");
    let mut ours = Ours::new(provider, suite);
    let verdicts = compare(&mut peer, &mut ours, kind, &sealed, &plain, &arrivals);
    println!("{kind:?} {suite:?} {provider}: {verdicts:?}, ends at {:?}", ours.opener.position());
    let count = |verdict: &str| verdicts.get(verdict).copied().unwrap_or(0);
    assert!(count("accepted") > packets / 2, "{verdicts:?}");
    assert!(count("replayed") > 50 && count("forged") > 50, "{verdicts:?}");
    if kind == Kind::Rtp {
        assert!(count("too_old") > 100, "the window's edge was met: {verdicts:?}");
        let rollover = ours.opener.position().rtp.unwrap().rollover();
        assert!(rollover >= 2, "the stream wrapped only {rollover} times");
    }
}

#[test]
fn rtp_128_agrees_with_libsrtp() {
    differential(Kind::Rtp, SUITES[0], Provider::AesGcm, 1);
    differential(Kind::Rtp, SUITES[0], Provider::AwsLcRs, 2);
}

#[test]
fn rtp_256_agrees_with_libsrtp() {
    differential(Kind::Rtp, SUITES[1], Provider::AesGcm, 3);
    differential(Kind::Rtp, SUITES[1], Provider::AwsLcRs, 4);
}

#[test]
fn rtcp_agrees_with_libsrtp() {
    for (seed, suite) in (5..).zip(SUITES) {
        for provider in Provider::ALL {
            differential(Kind::Rtcp, suite, provider, seed);
        }
    }
}

/// Every order of `packets`.
fn orders(packets: &[usize]) -> Vec<Vec<usize>> {
    if packets.is_empty() {
        return vec![Vec::new()];
    }
    let first = |at: usize| {
        let others = [&packets[..at], &packets[at + 1..]].concat();
        let start = |rest: Vec<usize>| [&packets[at..=at], &rest[..]].concat();
        orders(&others).into_iter().map(start).collect::<Vec<_>>()
    };
    (0..packets.len()).flat_map(first).collect()
}

#[test]
fn every_order_of_six_packets_around_a_wrap_agrees_with_libsrtp() {
    let suite = Suite::AeadAes128Gcm;
    let mut peer = Libsrtp::start();
    // The first packet brings both sides near the wrap.
    let plain: Vec<Vec<u8>> = [32_000, 60_000, 65_533, 65_535, 0, 1, 65_534, 2]
        .map(|sequence| rtp(SSRC, sequence, 40))
        .to_vec();
    let mut ascending = plain.clone();
    ascending.sort_by_key(|packet| {
        let sequence = u16::from_be_bytes([packet[2], packet[3]]);
        (sequence < 30_000, sequence)
    });
    let sealed = seal_both(&mut peer, suite, Kind::Rtp, &ascending);
    let orders = orders(&[2, 3, 4, 5, 6, 7]);
    assert_eq!(orders.iter().collect::<BTreeSet<_>>().len(), 720);
    for order in orders {
        peer.open("receiver", suite, "in");
        let mut ours = Ours::new(Provider::AesGcm, suite);
        let order = [0, 1].into_iter().chain(order);
        let arrivals: Vec<Arrival> =
            order.map(|packet| Arrival { packet, damaged: false }).collect();
        let verdicts = compare(&mut peer, &mut ours, Kind::Rtp, &sealed, &ascending, &arrivals);
        assert_eq!(verdicts["accepted"], 8, "nothing is lost");
    }
}
