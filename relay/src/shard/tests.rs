//! A whole shard on its own thread, with each back end: woken, ordered, stopped; counters add up.

use super::*;
use crate::host::routes::Routes;
use crate::io::suite::{FAR, NEAR, address, config, far_socket};
use crate::io::{Queues, bind, open_queues};
use crate::orders::mailbox::{LinkEnd, ShardCommand, ShardReply, Ticket, mailbox};
use crate::path::verdict::Verdict;
use crate::testing::namespaces::{Pair, in_pair};
use crate::testing::{IDENTITY, Phone};
use core::net::{Ipv6Addr, SocketAddr};
use kakehashi_srtp::Provider;
use kakehashi_wire::id::{Generation, LegId, ShardIndex};
use kakehashi_wire::relay::{Order, Outcome, RemoveLeg};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use tokio::sync::Notify;

mod slow;

struct Running<'a> {
    thread: ShardThread,
    stop: Arc<AtomicBool>,
    link: LinkEnd,
    published: Arc<Published>,
    clock: Clock,
    pair: &'a Pair,
    back_end: BackEnd,
    /// Follows the kernel's tables, past the kernel.
    _routes: Option<Routes>,
}

/// How packets come and go.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum BackEnd {
    Uring,
    Xdp,
}

/// Runs `test` with a shard of each back end, in a network of its own: its phones are on the far
/// side.
fn with_each(test: impl Fn(Running<'_>) + Send + Sync) {
    for back_end in [BackEnd::Uring, BackEnd::Xdp] {
        in_pair(|pair| {
            address(pair);
            test(start(pair, back_end));
        });
    }
}

fn start(pair: &Pair, back_end: BackEnd) -> Running<'_> {
    let config = config(1);
    let socket = bind(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), config.first_port)).unwrap();
    let (nic, routes) = match back_end {
        BackEnd::Uring => (None, None),
        BackEnd::Xdp => {
            let Queues { mut shards, routes, .. } = open_queues(&config).unwrap().unwrap();
            (Some(shards.remove(0)), Some(routes))
        }
    };
    let (link, end) = mailbox(&Arc::new(Notify::new())).unwrap();
    let published = Arc::new(board());
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Clock::start();
    let core = crate::host::place(1, 1, &[]).unwrap()[0];
    let plan = Plan {
        index: ShardIndex(0),
        core,
        socket,
        nic,
        admission: None,
        mailbox: end,
        published: Arc::clone(&published),
        legs_max: 100,
        provider: Provider::AwsLcRs,
        identity: IDENTITY,
        train_packets_max: 16,
        gather: Duration::from_micros(50),
        clock,
        stop: Arc::clone(&stop),
    };
    let thread = spawn(plan, ()).unwrap();
    Running { thread, stop, link, published, clock, pair, back_end, _routes: routes }
}

impl Running<'_> {
    /// Waits until `done` says so, and returns how long that took.
    fn until(&mut self, mut done: impl FnMut(&mut Self) -> bool) -> Duration {
        let start = self.clock.now();
        while !done(self) {
            let waited = self.clock.now().since(start);
            assert!(waited < Duration::from_secs(5), "nothing happens");
            pause(Duration::from_millis(1));
        }
        self.clock.now().since(start)
    }

    fn quiet(&self, time: Duration) {
        pause(time);
        let _ = self;
    }

    /// Installs the phones' legs, each with a socket of its own that has said where it is.
    fn connect(&mut self, phones: &[Phone]) -> Vec<UdpSocket> {
        phones.iter().map(|phone| self.connect_one(phone)).collect()
    }

    fn connect_one(&mut self, phone: &Phone) -> UdpSocket {
        let order = Order::Install(phone.install(1));
        assert!(self.link.put(ShardCommand::Order(Ticket(phone.leg.0), order)).is_ok());
        self.link.ring();
        self.until(|shard| shard.link.take().is_some());
        let socket = far_socket(self.pair, FAR[0]);
        socket.connect(NEAR[0]).unwrap();
        socket.send(&phone.check()).unwrap();
        let mut answer = [0; 256];
        assert_ne!(socket.recv(&mut answer).unwrap(), 0);
        socket
    }

    fn end(self) -> BTreeMap<&'static str, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        let counters: BTreeMap<_, _> = self.published.counters().collect();
        let past_the_kernel = self.back_end == BackEnd::Xdp && counters["packets_received"] > 0;
        assert_eq!(counters["packets_received_nic"] > 0, past_the_kernel, "{counters:?}");
        counters
    }
}

fn pause(time: Duration) {
    let (_never, wait) = mpsc::channel::<()>();
    let _ = wait.recv_timeout(time);
}

/// Far below the 250 ms of the housekeeping, which would wake a shard as well. One of the delays
/// may be the fault of a busy machine.
fn assert_prompt(mut delays: [Duration; 5]) {
    delays.sort();
    assert!(delays[3] < Duration::from_millis(50), "{delays:?}");
}

fn remove(leg: u64) -> ShardCommand {
    let order = RemoveLeg { leg: LegId(leg), generation: Generation(1) };
    ShardCommand::Order(Ticket(leg), Order::Remove(order))
}

#[test]
fn a_sleeping_shard_wakes_for_a_packet() {
    with_each(|mut shard| {
        let client = far_socket(shard.pair, FAR[0]);
        for round in 1..=2_u64 {
            shard.quiet(Duration::from_secs(1));
            client.send_to(&[0x16; 40], NEAR[0]).unwrap();
            let woken = shard.until(|shard| shard.published.load().packets_received == round);
            // The figures come with the next housekeeping; the packet itself is quicker.
            assert!(woken < Duration::from_millis(400), "{woken:?}");
        }
        let counters = shard.end();
        assert_eq!(counters[Verdict::ForeignDatagram.name()], 2);
    });
}

#[test]
fn a_packet_after_silence_is_forwarded_at_once() {
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
        let sockets = shard.connect(&phones);
        let delays = [1_000, 400, 400, 400, 400].map(|silence| {
            shard.quiet(Duration::from_millis(silence));
            let packet = phones[0].rtp();
            let start = shard.clock.now();
            sockets[0].send(&packet).unwrap();
            let mut got = [0; 2048];
            let length = sockets[1].recv(&mut got).unwrap();
            assert_eq!(got[..length], packet);
            shard.clock.now().since(start)
        });
        assert_prompt(delays);
        let counters = shard.end();
        assert_eq!((counters["forwarded"], counters["packets_sent"]), (5, 7));
    });
}

#[test]
fn a_sleeping_shard_wakes_for_an_order() {
    with_each(|mut shard| {
        let delays = [1, 2, 3, 4, 5].map(|leg| {
            shard.quiet(Duration::from_millis(400));
            assert!(shard.link.put(remove(leg)).is_ok());
            shard.link.ring();
            let mut reply = None;
            let woken = shard.until(|shard| {
                reply = shard.link.take();
                reply.is_some()
            });
            let Some(ShardReply::Done(ticket, result)) = reply else { panic!("{reply:?}") };
            assert_eq!(ticket, Ticket(leg));
            assert!(matches!(result.outcome, Outcome::Applied | Outcome::Unchanged));
            woken
        });
        assert_prompt(delays);
        shard.end();
    });
}

#[test]
fn every_packet_received_has_one_verdict() {
    with_each(|mut shard| {
        let client = far_socket(shard.pair, FAR[1]);
        let mut sent = 0;
        for i in 0..2_000_usize {
            let mut packet = vec![0x80; (i * 7) % 300];
            if let Some(first) = packet.first_mut() {
                *first = u8::try_from(i % 256).unwrap();
            }
            if i % 100 == 0 {
                packet = vec![0x80; 3_000];
            }
            client.send_to(&packet, NEAR[1]).unwrap();
            sent += 1;
            if i % 200 == 0 {
                shard.quiet(Duration::from_millis(2));
            }
        }
        shard.until(|shard| {
            let counted: BTreeMap<_, _> = shard.published.counters().collect();
            // Empty ones are dropped by the first gate, past the kernel.
            let lost = counted["receive_queue_overflowed"] + counted["gate_malformed"];
            counted["packets_received"] + lost == sent
        });
        let counters = shard.end();
        let verdicts: u64 = Verdict::ALL.iter().map(|verdict| counters[verdict.name()]).sum();
        let dropped = counters["dropped_truncated"] + counters["dropped_unaddressed"];
        assert_eq!(counters["packets_received"], dropped + verdicts, "{counters:?}");
        assert_eq!(counters["received"], verdicts);
        assert_eq!(counters[Verdict::TooLong.name()], 20);
        assert_eq!((counters["packets_sent"], counters["forwarded"]), (0, 0));
    });
}

#[test]
fn silence_after_load_costs_next_to_nothing() {
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
        let sockets = shard.connect(&phones);
        for _ in 0..3 {
            for i in 0..2_000 {
                sockets[0].send(&phones[0].rtp()).unwrap();
                if i % 50 == 0 {
                    shard.quiet(Duration::from_micros(500));
                }
            }
            shard.quiet(Duration::from_millis(700));
            let enters = |shard: &Running| -> u64 {
                let found = shard.published.counters().find(|(name, _)| *name == "ring_enters");
                found.map_or(0, |(_, value)| value)
            };
            let before = enters(&shard);
            shard.quiet(Duration::from_secs(1));
            // Four ticks.
            let spent = enters(&shard) - before;
            assert!(spent <= 8, "{spent} waits in a second of silence");
        }
        shard.end();
    });
}

#[test]
fn a_core_that_does_not_exist_is_an_error() {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (_link, mailbox) = mailbox(&Arc::new(Notify::new())).unwrap();
    let plan = Plan {
        index: ShardIndex(3),
        core: 100_000,
        socket,
        nic: None,
        admission: None,
        mailbox,
        published: Arc::new(board()),
        legs_max: 1,
        provider: Provider::AwsLcRs,
        identity: IDENTITY,
        train_packets_max: 16,
        gather: Duration::from_micros(50),
        clock: Clock::start(),
        stop: Arc::default(),
    };
    let error = spawn(plan, ()).err().unwrap().to_string();
    assert!(error.starts_with("shard 3 has no executor"), "{error}");
}

/// Sends `RATE` packets a second (20,000) for `SECONDS` (5) through a call of two, and prints what
/// came of them. Under `strace -f -c`, `io_uring_enter` is the shard's alone.
#[test]
#[ignore = "a measurement: run it alone, under strace or perf"]
fn measure_steady_load() {
    let from_env = |name, default| {
        std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok()).unwrap_or(default)
    };
    let (rate, seconds) = (from_env("RATE", 20_000), from_env("SECONDS", 5));
    with_each(|mut shard| {
        let mut phones = [Phone::new(1, 1), Phone::new(1, 2)];
        let sockets = shard.connect(&phones);
        // More than 2^15 packets behind the newest are out of the stream: seal as they go out.
        let [from, to] = <[UdpSocket; 2]>::try_from(sockets).unwrap();
        let clock = shard.clock;
        let sink = std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            let mut arrivals = Vec::new();
            while to.recv(&mut buffer).is_ok() {
                arrivals.push(clock.now());
            }
            arrivals
        });
        let begin = clock.now();
        let mut departures = Vec::new();
        while clock.now().since(begin) < Duration::from_secs(seconds) {
            let elapsed = u64::try_from(clock.now().since(begin).as_micros()).unwrap();
            while (departures.len() as u64) < elapsed * rate / 1_000_000 {
                let packet = phones[0].rtp();
                departures.push(clock.now());
                from.send(&packet).unwrap();
            }
            pause(Duration::from_micros(200));
        }
        let arrivals = sink.join().unwrap();
        let counters = shard.end();
        let (sent, lost) = (departures.len() as u64, counters["receive_queue_overflowed"]);
        let enters = counters["ring_enters"];
        println!("sent {sent}, delivered {}, lost before the shard {lost}", arrivals.len());
        println!("enters {enters}, a packet received {:.2}", enters as f64 / sent as f64);
        if arrivals.len() == departures.len() {
            let delays = arrivals.iter().zip(&departures).map(|(to, from)| to.since(*from));
            let mut delays: Vec<_> = delays.collect();
            delays.sort();
            let at = |part: usize| delays[delays.len() * part / 1_000];
            println!("delay p50 {:?} p90 {:?} p99 {:?}", at(500), at(900), at(990));
        }
        assert_eq!(counters["packets_received"] + lost, sent + 2);
    });
}
