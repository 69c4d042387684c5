//! Two terminals and two relays, and ways between them that are slow, lose packets, or are cut.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;
use std::fmt::Write;

/// `>` another state, `*` it moves, `?` all are asked once more.
const EXPECTED: &str = "
               | Choosing  | Watching  | Doubting
Settle         | >Watching | -         | -
Doubt          | -         | >Doubting | -
HereAnswers    | -         | -         | >Watching
Elsewhere      | -         | -         | *
NothingAnswers | -         | -         | ?
Withdrawn      | -         | *         | *
";

#[test]
fn the_table_is_as_printed() {
    use Event::{Doubt, Elsewhere, HereAnswers, NothingAnswers, Settle, Withdrawn};
    const STATES: [(State, usize); 3] =
        [(State::Choosing, 9), (State::Watching, 9), (State::Doubting, 0)];
    let mut table = format!("\n{:14}", "");
    for (state, width) in STATES {
        write!(table, " | {:width$}", format!("{state:?}")).unwrap();
    }
    for event in [Settle, Doubt, HereAnswers, Elsewhere, NothingAnswers, Withdrawn] {
        write!(table, "\n{:14}", format!("{event:?}")).unwrap();
        for (state, width) in STATES {
            let cell = match step(state, event) {
                Step::Stay => "-".to_owned(),
                Step::To(state) => format!(">{state:?}"),
                Step::Move => "*".to_owned(),
                Step::AskAgain => "?".to_owned(),
            };
            write!(table, " | {cell:width$}").unwrap();
        }
    }
    table.push('\n');
    assert_eq!(table, EXPECTED, "the table changed; printed it is:{table}");
}

const PRIMARY: usize = 0;
const STANDBY: usize = 1;

/// Between two frames of voice.
const FRAME_MS: u64 = 20;

fn at(ms: u64) -> Moment {
    Moment::from_micros(ms * 1_000)
}

/// What travels between a terminal and a relay.
#[derive(Clone)]
enum Packet {
    Media(u64),
    /// Media came: the RFC 8888 report.
    Confirmation,
    /// The sender cannot use these.
    Report(Vec<usize>),
    Check(u64),
    Answer(u64),
}

struct End {
    mover: Mover,
    talks: bool,
    got: BTreeMap<u64, u64>,
    news: bool,
    standby_copied: u64,
    moves: u32,
}

/// One direction of the way between a terminal and a relay.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Way {
    end: usize,
    relay: usize,
    up: bool,
}

/// Two terminals and two relays, and what is on the way between them.
struct World {
    ends: [End; 2],
    delay_ms: u64,
    loss: f64,
    cut: Box<dyn Fn(Way, u64) -> bool>,
    under_way: BTreeMap<(u64, u64), (Way, Packet)>,
    count: u64,
    random: StdRng,
}

impl World {
    fn new(seed: u64, delay_ms: u64, loss: f64, cut: impl Fn(Way, u64) -> bool + 'static) -> Self {
        let end = || End {
            mover: Mover::new(2),
            talks: true,
            got: BTreeMap::new(),
            news: false,
            standby_copied: 0,
            moves: 0,
        };
        Self {
            ends: [end(), end()],
            delay_ms,
            loss,
            cut: Box::new(cut),
            under_way: BTreeMap::new(),
            count: 0,
            random: StdRng::seed_from_u64(seed),
        }
    }

    fn send(&mut self, way: Way, packet: Packet, now: u64) {
        if (self.cut)(way, now) || self.random.random_bool(self.loss) {
            return;
        }
        self.count += 1;
        let due = now + self.delay_ms + self.random.random_range(0..2);
        self.under_way.insert((due, self.count), (way, packet));
    }

    fn arrive(&mut self, now: u64) {
        while let Some(entry) = self.under_way.first_entry().filter(|entry| entry.key().0 <= now) {
            let (way, packet) = entry.remove();
            match (way.up, packet) {
                (true, Packet::Check(asked)) => {
                    self.send(Way { up: false, ..way }, Packet::Answer(asked), now);
                }
                (true, packet) => {
                    self.send(Way { up: false, end: 1 - way.end, ..way }, packet, now);
                }
                (false, packet) => self.take(way, packet, now),
            }
        }
    }

    fn take(&mut self, Way { end, relay, .. }: Way, packet: Packet, now: u64) {
        let End { mover, got, news, .. } = &mut self.ends[end];
        match packet {
            Packet::Answer(asked) => {
                return mover.answered(relay, Duration::from_millis(now - asked), at(now));
            }
            Packet::Media(number) => {
                *news |= !got.contains_key(&number);
                got.entry(number).or_insert(now);
            }
            Packet::Confirmation => mover.confirmed(),
            Packet::Report(unusable) => {
                unusable.into_iter().for_each(|relay| mover.blamed(relay, at(now)));
            }
            Packet::Check(_) => panic!("relays send no checks"),
        }
        mover.heard(relay, at(now));
    }

    fn act(&mut self, end: usize, now: u64) {
        let both = [PRIMARY, STANDBY].map(|relay| Way { end, relay, up: true });
        let before = self.ends[end].mover.active();
        while let Some(due) = self.ends[end].mover.poll(at(now)) {
            let packet = match due {
                Due::SayAgain => {
                    self.say_again(end, now);
                    continue;
                }
                Due::Checks => Packet::Check(now),
                Due::Tell => Packet::Report(self.ends[end].mover.unusable().collect()),
            };
            both.into_iter().for_each(|way| self.send(way, packet.clone(), now));
        }
        let this = &mut self.ends[end];
        this.moves += u32::from(this.mover.active() != before);
        // The bindings' own checks, and the regular reports.
        if now % 1_000 == 500 * end as u64 {
            let report = Packet::Report(this.mover.unusable().collect());
            for way in both {
                self.send(way, Packet::Check(now), now);
                self.send(way, report.clone(), now);
            }
        }
        let active = Way { end, relay: self.ends[end].mover.active(), up: true };
        if now % 60 == 7 && core::mem::take(&mut self.ends[end].news) {
            self.send(active, Packet::Confirmation, now);
        }
        if now % FRAME_MS == 3 * end as u64 && self.ends[end].talks {
            self.ends[end].mover.sent(at(now));
            let copied = now - self.ends[end].standby_copied >= 1_000;
            let all = copied || self.ends[end].mover.is_in_doubt();
            if copied {
                self.ends[end].standby_copied = now;
            }
            for way in both.into_iter().filter(|way| all || *way == active) {
                self.send(way, Packet::Media(now / FRAME_MS), now);
            }
        }
    }

    /// The frames of the last 250 ms.
    fn say_again(&mut self, end: usize, now: u64) {
        let End { mover, talks, .. } = &self.ends[end];
        let in_doubt = mover.is_in_doubt();
        let is_new = |relay: &usize| (*relay == mover.active()) != in_doubt;
        let over: Vec<_> = [PRIMARY, STANDBY].into_iter().filter(is_new).collect();
        let last = if *talks { now / FRAME_MS } else { 0 };
        for number in last.saturating_sub(12)..last {
            over.iter().for_each(|&relay| {
                self.send(Way { end, relay, up: true }, Packet::Media(number), now);
            });
        }
    }

    fn run(&mut self, until: u64) {
        for end in &mut self.ends {
            end.mover.settle(PRIMARY, at(0));
        }
        for now in 0..until {
            self.arrive(now);
            (0..2).for_each(|end| self.act(end, now));
        }
    }

    /// The longest time without new media at an end, from a time on.
    fn gap(&self, end: usize, from: u64, until: u64) -> u64 {
        let times: std::collections::BTreeSet<_> = self.ends[end].got.values().copied().collect();
        let times: Vec<_> = times.into_iter().filter(|time| *time >= from).collect();
        let ends = times.iter().copied().chain([until]);
        let begins = [from].into_iter().chain(times.iter().copied());
        begins.zip(ends).map(|(begin, end)| end - begin).max().unwrap_or(until - from)
    }
}

const FAULT_MS: u64 = 3_000;
const END_MS: u64 = 12_000;

#[test]
fn a_lost_relay_costs_the_silence_that_shows_it_and_no_more() {
    for seed in 0..60 {
        let cut = |way: Way, now: u64| way.relay == PRIMARY && now >= FAULT_MS;
        let delay = 1 + seed % 20;
        let mut world = World::new(seed, delay, 0.0, cut);
        // In some one of them says nothing.
        world.ends[0].talks = seed % 3 != 1;
        world.ends[1].talks = seed % 3 != 2;
        world.run(END_MS);
        for end in 0..2 {
            if world.ends[1 - end].talks {
                let gap = world.gap(end, 1_000, END_MS);
                // The silence, a frame, the way; with one voice, the time between two reports.
                assert!(gap <= 150 + 60 + FRAME_MS + 4 * delay, "{gap} ms, seed {seed}");
            }
            assert_eq!(world.ends[end].mover.active(), STANDBY, "seed {seed}");
            assert_eq!(world.ends[end].moves, 1, "seed {seed}");
        }
    }
}

#[test]
fn silence_that_nobody_is_to_blame_for_moves_nobody() {
    for seed in 0..40 {
        let mut world = World::new(seed, seed, 0.03, |_, _| false);
        for end in &mut world.ends {
            end.talks = seed % 2 == 0;
        }
        world.run(60_000);
        let moves: u32 = world.ends.iter().map(|end| end.moves).sum();
        assert!(moves <= 1, "{moves} moves, seed {seed}");
    }
}

/// Whatever single way is lost, in whatever direction, both hear each other again soon.
#[test]
fn one_way_losses_are_found_by_whoever_can_see_them() {
    type Cut = fn(Way, u64) -> bool;
    let cuts: [Cut; 4] = [
        |way, now| now >= FAULT_MS && way == Way { end: 0, relay: PRIMARY, up: true },
        |way, now| now >= FAULT_MS && way == Way { end: 0, relay: PRIMARY, up: false },
        |way, now| now >= FAULT_MS && (way.end, way.relay) == (1, PRIMARY),
        |way, now| now >= FAULT_MS && way == Way { end: 1, relay: PRIMARY, up: false },
    ];
    for (seed, cut) in (0..60).zip(cuts.into_iter().cycle()) {
        let mut world = World::new(seed, 1 + seed % 20, 0.0, cut);
        world.ends[0].talks = seed % 5 != 1;
        world.run(END_MS);
        for end in 0..2 {
            if world.ends[1 - end].talks {
                let gap = world.gap(end, FAULT_MS, END_MS);
                assert!(gap <= 500, "{gap} ms at {end}, seed {seed}");
            }
            assert!(world.ends[end].moves <= 1, "seed {seed}");
        }
    }
}

/// Ways come and go as the seed wants, and some stay lost; one relay is whole in the end.
#[test]
fn whatever_happened_both_hear_each_other_in_the_end() {
    const CALM_MS: u64 = 15_000;
    const UNTIL: u64 = CALM_MS + 8_000;
    for seed in 0..100 {
        let mut chance = StdRng::seed_from_u64(!seed);
        let whole = chance.random_range(0..2);
        // Until when which ways are cut, as bits.
        let mut spans = Vec::new();
        let mut until = 0;
        while until < UNTIL {
            until += chance.random_range(50..1_500);
            until = if until >= CALM_MS { UNTIL } else { until };
            spans.push((until, if chance.random_bool(0.5) { chance.random::<u8>() } else { 0 }));
        }
        let cut = move |way: Way, now: u64| {
            let bit = way.end | way.relay << 1 | usize::from(way.up) << 2;
            let lost = spans.iter().find(|(until, _)| now < *until);
            lost.is_some_and(|(_, bits)| bits >> bit & 1 == 1)
                && (now < CALM_MS || way.relay != whole)
        };
        let loss = [0.0, 0.01, 0.02, 0.03][usize::try_from(seed % 4).unwrap()];
        let mut world = World::new(seed, seed % 40, loss, cut);
        world.run(UNTIL);
        for end in 0..2 {
            let gap = world.gap(end, CALM_MS + 4_000, UNTIL);
            assert!(gap <= 300, "{gap} ms at {end}, seed {seed}");
        }
    }
}

#[test]
fn a_withdrawn_relay_is_left_for_one_that_has_answered() {
    let mut mover = Mover::new(2);
    mover.settle(PRIMARY, at(0));
    mover.answered(STANDBY, Duration::ZERO, at(5));
    // The standby is first now, and behind it is one that is new.
    mover.renumber(&[Some(STANDBY), None], at(10));
    assert_eq!(mover.active(), 0);
    assert_eq!([(); 2].map(|()| mover.poll(at(10))), [Some(Due::Tell), Some(Due::SayAgain)]);
    // The new one becomes the only one.
    mover.answered(1, Duration::ZERO, at(20));
    mover.renumber(&[Some(0), Some(1)], at(30));
    assert_eq!((mover.active(), mover.poll(at(30))), (0, None));
    mover.renumber(&[Some(1)], at(40));
    assert_eq!(mover.active(), 0);
    assert_eq!(mover.poll(at(50)), Some(Due::Tell));
    assert_eq!(mover.next_deadline(), None, "with one relay there is nothing to ask");
}
