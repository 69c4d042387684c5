//! A ledger of every packet a relay seals: one nonce under one key has one content, whatever calls,
//! orders, restarts and members do. Members that break the rules of their own key are among them.

use crate::capacity::TOMBSTONES;
use crate::legs::{Identity, ResyncCursor, Wanted};
use crate::testing::{IDENTITY, LIFETIME_MS, Phone, World};
use kakehashi_srtp::{PacketIndex, RtcpIndex, SessionKeys, reopen_rtp, seal_rtcp_at};
use kakehashi_wire::feedback::NackEntry;
use kakehashi_wire::id::{Generation, Incarnation, LegId, Term};
use kakehashi_wire::relay::{
    InstallLeg, LegLane, Order, Outcome, RemoveLeg, Resync, SubscribeLeg, Subscription,
};
use kakehashi_wire::rtcp::RtcpWriter;
use kakehashi_wire::rtp::{RtpView, Ssrc};
use kakehashi_wire::secret::IcePassword;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

/// Phones, four to a call.
const PHONES: usize = 8;

/// Rollover counters that come up here.
const ROLLOVERS: u32 = 12;

/// What names a key: whose secret, and which life of the leg at which life of the relay.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
struct Life {
    phone: usize,
    incarnation: u64,
    generation: u64,
}

/// A packet's place under a key. SRTP and SRTCP have session keys of their own.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
enum Nonce {
    Rtp(Ssrc, u64),
    Rtcp(Ssrc, u32),
}

#[derive(Default)]
struct Ledger {
    sealed: HashMap<(Life, Nonce), u64>,
    packets: usize,
}

impl Ledger {
    /// Enters a packet.
    fn enter(&mut self, life: Life, nonce: Nonce, bytes: &[u8]) -> Result<(), String> {
        let mut hasher = DefaultHasher::new();
        bytes.hash(&mut hasher);
        let content = hasher.finish();
        self.packets += 1;
        let known = *self.sealed.entry((life, nonce)).or_insert(content);
        if known == content { Ok(()) } else { Err(format!("{nonce:?} twice under {life:?}")) }
    }
}

/// Where a packet lies under its key: found by opening it.
fn nonce_of(keys: &SessionKeys, packet: &[u8]) -> Option<Nonce> {
    if (192..=223).contains(&packet[1]) {
        let ssrc = Ssrc(u32::from_be_bytes(*packet[4..].first_chunk()?));
        let word = u32::from_be_bytes(*packet.last_chunk()?);
        let index = RtcpIndex::from_value(word & 0x7fff_ffff)?;
        return opens_as_rtcp(keys, index, packet).then_some(Nonce::Rtcp(ssrc, index.value()));
    }
    let header = RtpView::parse(packet).ok()?.header();
    let mut room = vec![0; packet.len()];
    let indices = (0..ROLLOVERS).map(|rollover| PacketIndex::new(rollover, header.sequence));
    let mut opening = indices.filter(|index| reopen_rtp(keys, packet, *index, &mut room).is_ok());
    opening.next().map(|index| Nonce::Rtp(header.ssrc, index.value()))
}

fn opens_as_rtcp(keys: &SessionKeys, index: RtcpIndex, packet: &[u8]) -> bool {
    // A counter mode is its own inverse: sealing the sealed text opens it, but for the tag.
    let end = packet.len() - 20;
    let mut buffer = packet.to_vec();
    let opened = seal_rtcp_at(keys, index, &mut buffer, end).is_ok();
    let mut again = buffer[..end].to_vec();
    again.resize(packet.len(), 0);
    opened && seal_rtcp_at(keys, index, &mut again, end).is_ok() && again == packet
}

/// Two calls at one relay, and everything that may happen to them.
struct Scene {
    random: StdRng,
    phones: Vec<Phone>,
    world: World,
    incarnation: u64,
    generation: u64,
    /// Which order's keys are in force for each phone in the seal lane.
    lives: [Option<u64>; PHONES],
    /// All orders ever given, by phone: each may come again.
    orders: Vec<Vec<InstallLeg>>,
    keys: u16,
    ledger: Ledger,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let mut scene = Self {
            random: StdRng::seed_from_u64(seed),
            phones: Vec::new(),
            world: World::new(PHONES),
            incarnation: IDENTITY.incarnation.0,
            generation: 0,
            lives: [None; PHONES],
            orders: vec![Vec::new(); PHONES],
            keys: 100,
            ledger: Ledger::default(),
        };
        for n in 0..PHONES as u16 {
            let phone = Phone::new(u64::from(n / 4), n).with_streams(2);
            let phone = if n % 4 == 0 { phone } else { phone.sealed() };
            scene.phones.push(if n % 3 == 0 { phone.having_wrapped(2) } else { phone });
        }
        (0..PHONES).for_each(|n| scene.install(n));
        scene
    }

    fn below(&mut self, limit: usize) -> usize {
        self.random.random_range(0..limit)
    }

    fn next_generation(&mut self) -> u64 {
        self.generation += 1;
        self.generation
    }

    fn install(&mut self, n: usize) {
        let generation = self.next_generation();
        if self.below(2) == 0 {
            // Another leg than before, or its life goes on.
            self.phones[n].relay_password = IcePassword::from_random(self.random.random());
        }
        let mut order = self.phones[n].install(generation);
        // Sometimes a stream is left out, and may return with the next order.
        if self.below(6) == 0 {
            order.streams.pop();
        }
        self.order(n, order);
    }

    fn order(&mut self, n: usize, order: InstallLeg) {
        let sealed = matches!(order.lane, LegLane::Seal(_));
        let generation = order.generation.0;
        self.orders[n].push(order.clone());
        let result = self.world.legs.apply(Order::Install(order), self.world.now);
        if result.outcome == Outcome::Applied {
            // An order for what is there already begins no life.
            assert!(result.life.0 <= generation);
            self.lives[n] = sealed.then_some(result.life.0);
        }
        self.say_where(n);
    }

    fn say_where(&mut self, n: usize) {
        let check = self.phones[n].check();
        self.world.send(self.phones[n].address, &check);
    }

    /// Sends in one batch and enters what leaves sealed.
    fn send(&mut self, n: usize, packets: Vec<Vec<u8>>) -> Result<(), String> {
        let source = self.phones[n].address;
        let batch: Vec<_> = packets.into_iter().map(|packet| (source, packet)).collect();
        for train in self.world.send_batch(16, &batch) {
            let to = self.phones.iter().position(|phone| phone.address == train.to).unwrap();
            let Some(generation) = self.lives[to] else { continue };
            let life = Life { phone: to, incarnation: self.incarnation, generation };
            let identity = self.identity();
            let sealing = {
                let order = self.orders[to].iter().find(|it| it.generation.0 == generation);
                let LegLane::Seal(_) = order.unwrap().lane else { panic!("a life is sealed") };
                self.phones[to].downlink_keys(identity, generation)
            };
            for packet in train.packets {
                let nonce = nonce_of(&sealing, &packet);
                let nonce = nonce.ok_or_else(|| format!("{life:?} cannot open a packet"))?;
                self.ledger.enter(life, nonce, &packet)?;
            }
        }
        Ok(())
    }

    fn identity(&self) -> Identity {
        Identity { incarnation: Incarnation(self.incarnation), ..IDENTITY }
    }

    /// One random event.
    fn act(&mut self) -> Result<(), String> {
        let (n, stream) = (self.below(PHONES), self.below(2));
        match self.below(100) {
            0..48 => {
                let count = 1 + self.below(5);
                let mut bytes = || 20 + self.random.random_range(0..3_usize) * 40;
                let sizes: Vec<_> = (0..count).map(|_| bytes()).collect();
                let phone = &mut self.phones[n];
                let mut packets: Vec<_> =
                    sizes.iter().map(|bytes| phone.rtp_of(stream, &vec![9; *bytes])).collect();
                // Some late, some lost.
                let (a, b) = (self.below(count), self.below(count));
                packets.swap(a, b);
                packets.truncate(1 + self.below(count));
                return self.send(n, packets);
            }
            48..62 => {
                let back = 1 + self.below(8) as u64;
                let payload: [u8; 30] = self.random.random();
                let fork = self.phones[n].fork(stream, back, &payload);
                return self.send(n, fork.into_iter().collect());
            }
            62..80 => {
                let packet = self.feedback(n, stream);
                return self.send(n, vec![packet]);
            }
            80..84 => self.install(n),
            84..86 => {
                self.keys += 1;
                let key = self.keys;
                self.phones[n].rekey(key);
                self.install(n);
            }
            86..89 => {
                let old = self.below(self.orders[n].len());
                let order = self.orders[n][old].clone();
                self.order(n, order);
            }
            89..91 => self.change_lane(n),
            91..97 => self.subscribe(n),
            _ => self.end(n),
        }
        Ok(())
    }

    /// A leg ends: by order, by a resync, by time; or all do, with their relay.
    fn end(&mut self, n: usize) {
        let leg = self.phones[n].leg;
        let all = match self.below(12) {
            0..4 => {
                let generation = Generation(self.next_generation());
                self.world.apply(Order::Remove(RemoveLeg { leg, generation }));
                false
            }
            4..8 => {
                let gone =
                    Wanted::from(Resync { term: Term::ALONE, first: leg, last: leg, keep: vec![] });
                while !self.world.legs.resync(&gone, &mut ResyncCursor::default()) {}
                false
            }
            8..10 => {
                self.world.now = self.world.now.after_ms(u64::from(LIFETIME_MS));
                self.world.legs.sweep(self.world.now, |_| true);
                true
            }
            10 => {
                self.forget();
                false
            }
            _ => {
                self.restart();
                true
            }
        };
        // Control may give the last order again, or a new one.
        for n in (0..PHONES).filter(|at| all || *at == n) {
            match self.below(3) {
                0 => self.install(n),
                1 => {
                    let last = self.orders[n].last().unwrap().clone();
                    self.order(n, last);
                }
                _ => self.say_where(n),
            }
        }
    }

    /// So many other legs are removed that nothing is remembered of any of these.
    fn forget(&mut self) {
        let generation = Generation(self.next_generation());
        for other in 0..=TOMBSTONES as u64 {
            self.world.apply(Order::Remove(RemoveLeg { leg: LegId(other), generation }));
        }
    }

    /// The process begins another life; orders may come again as they were.
    fn restart(&mut self) {
        self.incarnation += 1;
        self.world = World::living(PHONES, self.identity());
        self.lives = [None; PHONES];
    }

    fn change_lane(&mut self, n: usize) {
        let generation = self.next_generation();
        let mut order = self.phones[n].install(generation);
        if matches!(order.lane, LegLane::Seal(_)) && self.below(2) == 0 {
            order.lane = LegLane::Pass;
        }
        self.order(n, order);
    }

    /// Shows a phone some streams of its call under whichever names.
    fn subscribe(&mut self, n: usize) {
        let others = (0..4).map(|other| n / 4 * 4 + other).filter(|other| *other != n);
        let mut sources: Vec<_> = others
            .flat_map(|other| [0, 1].map(|stream| self.phones[other].ssrc_of(stream)))
            .collect();
        let mut names: Vec<_> = sources.iter().copied().chain((1..4).map(Ssrc)).collect();
        let mut streams = Vec::new();
        for _ in 0..1 + self.below(sources.len()) {
            let source = sources.swap_remove(self.below(sources.len()));
            let at = self.below(names.len());
            streams.push(Subscription { source, shown_as: names.swap_remove(at) });
        }
        let (leg, generation) = (self.phones[n].leg, Generation(self.next_generation()));
        self.world.apply(Order::Subscribe(SubscribeLeg { leg, generation, streams }));
    }

    /// A report, or requests for anything.
    fn feedback(&mut self, n: usize, stream: usize) -> Vec<u8> {
        let other = self.below(PHONES);
        let (from, media) = (self.phones[n].ssrc, self.phones[other].ssrc_of(stream));
        let media = if self.below(3) == 0 { Ssrc(1 + self.below(3) as u32) } else { media };
        let (first, next) = (100 + self.below(300) as u16, self.random.random());
        let mut plain = Vec::new();
        let mut out = RtcpWriter::new(&mut plain);
        match self.below(4) {
            0 => out.picture_loss(from, media),
            1 => out.canonical_name(from, b"somebody"),
            _ => {
                out.nack(from, media, [NackEntry { first, next }, NackEntry { first, next: !next }])
            }
        }
        self.phones[n].rtcp_of(&plain)
    }
}

/// Thousands of packets under hundreds of keys.
#[test]
fn no_nonce_seals_two_contents() {
    let (mut packets, mut lives) = (0, 0);
    for seed in 0..16 {
        let mut scene = Scene::new(seed);
        for step in 0..800 {
            if let Err(error) = scene.act() {
                panic!("seed {seed}, step {step}: {error}");
            }
        }
        let of: std::collections::HashSet<_> =
            scene.ledger.sealed.keys().map(|(life, _)| *life).collect();
        packets += scene.ledger.packets;
        lives += of.len();
    }
    println!("{packets} sealed packets, {lives} keys");
    assert!(packets > 10_000 && lives > 800, "{packets} packets, {lives} keys");
}

/// What the ledger is for: it would be seen.
#[test]
fn the_ledger_notices_a_nonce_with_two_contents() {
    let mut ledger = Ledger::default();
    let life = Life { phone: 1, incarnation: 2, generation: 3 };
    let nonce = Nonce::Rtp(Ssrc(4), 5);
    assert_eq!(ledger.enter(life, nonce, b"content"), Ok(()));
    assert_eq!(ledger.enter(life, nonce, b"content"), Ok(()), "a repetition");
    assert!(ledger.enter(life, nonce, b"Content").is_err());
    for (life, nonce) in [
        (life, Nonce::Rtp(Ssrc(4), 6)),
        (life, Nonce::Rtp(Ssrc(5), 5)),
        (life, Nonce::Rtcp(Ssrc(4), 5)),
        (Life { generation: 4, ..life }, nonce),
        (Life { incarnation: 4, ..life }, nonce),
        (Life { phone: 4, ..life }, nonce),
    ] {
        assert_eq!(ledger.enter(life, nonce, b"another"), Ok(()), "{life:?} {nonce:?}");
    }
}

/// A relay that came back under its old incarnation would seal with the old keys from the start:
/// the same events, broken on purpose.
#[test]
fn the_ledger_notices_a_relay_that_restarts_without_a_new_incarnation() {
    let noticed = (0..10).any(|seed| {
        let mut scene = Scene::new(seed);
        (0..60).any(|step| {
            if step % 20 == 19 {
                scene.world = World::living(PHONES, scene.identity());
                for n in 0..PHONES {
                    let last = scene.orders[n].last().unwrap().clone();
                    scene.order(n, last);
                }
            }
            scene.act().is_err_and(|error| error.contains("twice"))
        })
    });
    assert!(noticed);
}
