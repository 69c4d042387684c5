//! A whole shard on its own thread: woken, ordered, stopped; its counters add up.

use super::*;
use crate::io::bind;
use crate::orders::mailbox::{LinkEnd, ShardCommand, ShardReply, Ticket, mailbox};
use crate::path::verdict::Verdict;
use kakehashi_srtp::Provider;
use kakehashi_wire::id::{Generation, LegId, ShardIndex};
use kakehashi_wire::relay::{Order, Outcome, RemoveLeg};
use std::collections::BTreeMap;
use std::net::UdpSocket;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use tokio::sync::Notify;

struct Running {
    thread: ShardThread,
    stop: Arc<AtomicBool>,
    link: LinkEnd,
    published: Arc<Published>,
    port: u16,
    clock: Clock,
}

fn start() -> Running {
    let socket = bind("[::]:0".parse().unwrap()).unwrap();
    let port = socket.local().port();
    let (link, end) = mailbox(&Arc::new(Notify::new())).unwrap();
    let published = Arc::new(board());
    let stop = Arc::new(AtomicBool::new(false));
    let clock = Clock::start();
    let core = crate::host::place(1, &[]).unwrap()[0];
    let plan = Plan {
        index: ShardIndex(0),
        core,
        socket,
        mailbox: end,
        published: Arc::clone(&published),
        legs_max: 100,
        provider: Provider::AesGcm,
        clock,
        stop: Arc::clone(&stop),
    };
    let thread = spawn(plan, ()).unwrap();
    Running { thread, stop, link, published, port, clock }
}

impl Running {
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

    fn end(self) -> BTreeMap<&'static str, u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.published.counters().collect()
    }
}

fn pause(time: Duration) {
    let (_never, wait) = mpsc::channel::<()>();
    let _ = wait.recv_timeout(time);
}

fn remove(leg: u64) -> ShardCommand {
    let order = RemoveLeg { leg: LegId(leg), generation: Generation(1) };
    ShardCommand::Order(Ticket(leg), Order::Remove(order))
}

#[test]
fn a_sleeping_shard_wakes_for_a_packet() {
    let mut shard = start();
    let client = UdpSocket::bind("127.0.0.1:0").unwrap();
    for round in 1..=2_u64 {
        shard.quiet(Duration::from_secs(1));
        client.send_to(&[0x16; 40], ("127.0.0.1", shard.port)).unwrap();
        let woken = shard.until(|shard| shard.published.load().packets_received == round);
        // The figures come with the next housekeeping; the packet itself is quicker.
        assert!(woken < Duration::from_millis(400), "{woken:?}");
    }
    let counters = shard.end();
    assert_eq!(counters[Verdict::ForeignDatagram.name()], 2);
}

#[test]
fn a_sleeping_shard_wakes_for_an_order() {
    let mut shard = start();
    for leg in 1..=3 {
        shard.quiet(Duration::from_millis(400));
        assert!(shard.link.put(remove(leg)).is_ok());
        shard.link.ring();
        let mut reply = None;
        let woken = shard.until(|shard| {
            reply = shard.link.take();
            reply.is_some()
        });
        assert!(woken < Duration::from_millis(50), "{woken:?}");
        let Some(ShardReply::Done(ticket, result)) = reply else { panic!("{reply:?}") };
        assert_eq!(ticket, Ticket(leg));
        assert!(matches!(result.outcome, Outcome::Applied | Outcome::Unchanged));
    }
    shard.end();
}

#[test]
fn every_packet_received_has_one_verdict() {
    let mut shard = start();
    let client = UdpSocket::bind("[::1]:0").unwrap();
    let mut sent = 0;
    for i in 0..2_000_usize {
        let mut packet = vec![0x80; (i * 7) % 300];
        if let Some(first) = packet.first_mut() {
            *first = u8::try_from(i % 256).unwrap();
        }
        if i % 100 == 0 {
            packet = vec![0x80; 3_000];
        }
        client.send_to(&packet, ("::1", shard.port)).unwrap();
        sent += 1;
        if i % 200 == 0 {
            shard.quiet(Duration::from_millis(2));
        }
    }
    shard.until(|shard| {
        let counted: BTreeMap<_, _> = shard.published.counters().collect();
        counted["packets_received"] + counted["receive_queue_overflowed"] == sent
    });
    let counters = shard.end();
    let verdicts: u64 = Verdict::ALL.iter().map(|verdict| counters[verdict.name()]).sum();
    let dropped = counters["dropped_truncated"] + counters["dropped_unaddressed"];
    assert_eq!(counters["packets_received"], dropped + verdicts, "{counters:?}");
    assert_eq!(counters["received"], verdicts);
    assert_eq!(counters["dropped_truncated"], 20);
    assert_eq!((counters["packets_sent"], counters["forwarded"]), (0, 0));
}

#[test]
fn a_core_that_does_not_exist_is_an_error() {
    let socket = bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let (_link, mailbox) = mailbox(&Arc::new(Notify::new())).unwrap();
    let plan = Plan {
        index: ShardIndex(3),
        core: 100_000,
        socket,
        mailbox,
        published: Arc::new(board()),
        legs_max: 1,
        provider: Provider::AesGcm,
        clock: Clock::start(),
        stop: Arc::default(),
    };
    let error = spawn(plan, ()).err().unwrap().to_string();
    assert!(error.starts_with("shard 3 has no executor"), "{error}");
}
