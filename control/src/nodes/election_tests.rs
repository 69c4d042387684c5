//! The table, and random lives of three nodes with a store between them.

use super::*;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use std::collections::BTreeMap;

const MS: Duration = Duration::from_millis(1);
const NODES: usize = 3;

#[test]
fn the_table_is_as_drawn() {
    let mut table = String::new();
    let states =
        [State::Following, State::Waiting, State::Looking, State::Claiming, State::Leading];
    for state in states {
        let causes = [
            Cause::Silent,
            Cause::PatienceOver,
            Cause::Reached,
            Cause::Won,
            Cause::Beaten,
            Cause::Other,
            Cause::Unfit,
        ];
        let nexts = causes.map(|cause| match state.after(cause) {
            next if next == state => "-".to_owned(),
            next => format!("{next:?}"),
        });
        table += &format!("{state:?}: {}\n", nexts.join(" "));
    }
    assert_eq!(
        table,
        "Following: Waiting - - Leading - - -\n\
         Waiting: - Looking - Leading - Following -\n\
         Looking: - - Claiming Leading Waiting Following -\n\
         Claiming: - - - Leading Waiting - -\n\
         Leading: - - - - - Following Waiting\n"
    );
}

fn name(of: usize) -> NodeName {
    NodeName::parse(["a", "b", "c"][of]).unwrap()
}

/// On its way, and when it arrives.
enum Sent {
    Heard(usize, Heard),
    /// A look at the record reaches the store.
    Look(usize),
    /// A claim reaches the store.
    Claim(usize, u64, Option<Term>),
    /// A write of the lead of that term reaches the store.
    Write(usize, Term),
    /// The lead of that term gives it up.
    Resign(Term),
}

/// Three nodes, the store, and a network that loses, delays and cuts.
struct World {
    rng: StdRng,
    now: Duration,
    nodes: Vec<Election>,
    lives: Vec<u64>,
    paused_until: Vec<Duration>,
    /// Whether messages go from one to another; the last is the store.
    cut: [[bool; NODES + 1]; NODES + 1],
    lossy: bool,
    under_way: BTreeMap<(Duration, u64), Sent>,
    sent: u64,
    revision: u64,
    record: Option<Lead>,
    /// Who led in each term.
    led: BTreeMap<Term, usize>,
    /// The term of the last write that the store took.
    written: Term,
    refused: usize,
}

impl World {
    fn new(seed: u64) -> Self {
        let nodes =
            (0..NODES).map(|of| Election::new(name(of), of as u64, (of, NODES), Duration::ZERO));
        Self {
            rng: StdRng::seed_from_u64(seed),
            now: Duration::ZERO,
            nodes: nodes.collect(),
            lives: (0..NODES as u64).collect(),
            paused_until: vec![Duration::ZERO; NODES],
            cut: [[false; NODES + 1]; NODES + 1],
            lossy: true,
            under_way: BTreeMap::new(),
            sent: 0,
            revision: 1,
            record: None,
            led: BTreeMap::new(),
            written: Term::NONE,
            refused: 0,
        }
    }

    fn send(&mut self, (from, to): (usize, usize), sent: Sent) {
        if self.cut[from][to] || (self.lossy && self.rng.random_ratio(1, 20)) {
            return;
        }
        let most = if self.lossy { 120 } else { 10 };
        let at = self.now + MS * self.rng.random_range(1..most);
        self.sent += 1;
        self.under_way.insert((at, self.sent), sent);
    }

    fn hear(&mut self, node: usize, heard: Heard) {
        let act = self.nodes[node].hear(heard, self.now);
        match act {
            None => {}
            Some(Act::Look) => {
                self.send((node, NODES), Sent::Look(node));
                self.time_out(node);
            }
            Some(Act::Claim(before)) => {
                let life = self.lives[node];
                self.send((node, NODES), Sent::Claim(node, life, before));
                self.time_out(node);
            }
            Some(Act::Lead(term)) => {
                let before = self.led.insert(term, node);
                assert!(before.is_none_or(|it| it == node), "two leads of one term");
            }
            Some(Act::StepDown(term)) => assert_eq!(self.led.get(&term), Some(&node)),
            Some(Act::Resign(term)) => {
                assert_eq!(self.led.get(&term), Some(&node));
                self.send((node, NODES), Sent::Resign(term));
            }
        }
    }

    /// An answer that never comes is a time-out.
    fn time_out(&mut self, node: usize) {
        self.sent += 1;
        let at = self.now + MS * 1000;
        self.under_way.insert((at, self.sent), Sent::Heard(node, Heard::Beaten));
    }

    fn arrive(&mut self, sent: Sent) {
        match sent {
            Sent::Heard(node, heard) => {
                if self.paused_until[node] <= self.now {
                    return self.hear(node, heard);
                }
                // It waits in a socket's buffer.
                self.sent += 1;
                let at = self.paused_until[node];
                self.under_way.insert((at, self.sent), Sent::Heard(node, heard));
            }
            Sent::Look(node) => {
                let found = Heard::Found(self.record.clone());
                self.send((NODES, node), Sent::Heard(node, found));
            }
            Sent::Claim(node, life, before) => {
                let stands = self.record.as_ref().map(|lead| lead.term);
                if stands != before {
                    return self.send((NODES, node), Sent::Heard(node, Heard::Beaten));
                }
                self.revision += 1;
                let term = Term(self.revision);
                self.record = Some(Lead { node: name(node), life, term });
                self.send((NODES, node), Sent::Heard(node, Heard::Won(term)));
                self.tell();
            }
            Sent::Resign(term) => self.resign(term),
            Sent::Write(node, term) => {
                if self.record.as_ref().is_some_and(|lead| lead.term == term) {
                    assert!(term >= self.written, "a write of an old term after a new one");
                    self.written = term;
                    self.revision += 1;
                } else {
                    self.refused += 1;
                    self.send((NODES, node), Sent::Heard(node, Heard::Fenced(term)));
                }
            }
        }
    }

    fn resign(&mut self, term: Term) {
        if self.record.as_ref().is_some_and(|lead| lead.term == term) {
            self.revision += 1;
            self.record = None;
            self.tell();
        }
    }

    fn tell(&mut self) {
        for node in 0..NODES {
            let record = Heard::Record(self.record.clone());
            self.send((NODES, node), Sent::Heard(node, record));
        }
    }

    /// What each node does by itself in a time of 50 ms.
    fn turn(&mut self, nth: u64) {
        for node in 0..NODES {
            if self.paused_until[node] > self.now {
                continue;
            }
            self.hear(node, Heard::Tick);
            let leads = self.nodes[node].leads();
            if let Some(term) = leads {
                self.send((node, NODES), Sent::Write(node, term));
            }
            for other in (0..NODES).filter(|other| *other != node && nth.is_multiple_of(4)) {
                let beat = Heard::Beat(name(node), leads.unwrap_or(Term::NONE));
                self.send((node, other), Sent::Heard(other, beat));
            }
        }
        // A watch that was lost is begun again with a list.
        if nth.is_multiple_of(20) {
            self.tell();
        }
        let until = self.now + 50 * MS;
        while let Some(entry) = self.under_way.first_entry() {
            if entry.key().0 > until {
                break;
            }
            self.now = self.now.max(entry.key().0);
            let sent = entry.remove();
            self.arrive(sent);
        }
        self.now = until;
    }

    fn misfortune(&mut self) {
        match self.rng.random_range(0..7) {
            6 => {
                let node = self.rng.random_range(0..NODES);
                if let Some(term) = self.nodes[node].leads() {
                    self.hear(node, Heard::Unfit(term));
                }
            }
            0 => {
                let node = self.rng.random_range(0..NODES);
                self.paused_until[node] = self.now + MS * self.rng.random_range(100..5000);
            }
            1 | 2 => {
                let (from, to) =
                    (self.rng.random_range(0..=NODES), self.rng.random_range(0..=NODES));
                self.cut[from][to] = true;
            }
            3 => {
                // Another life: it forgets all it knew.
                let node = self.rng.random_range(0..NODES);
                self.lives[node] += 10;
                let (life, place) = (self.lives[node], (node, NODES));
                self.nodes[node] = Election::new(name(node), life, place, self.now);
            }
            _ => self.cut = [[false; NODES + 1]; NODES + 1],
        }
    }
}

#[test]
fn one_lead_a_term_no_write_of_an_old_one_and_in_the_end_one_that_all_follow() {
    let (mut terms, mut refused) = (0, 0);
    for seed in 0..400 {
        let mut world = World::new(seed);
        for nth in 0..600 {
            if world.rng.random_ratio(1, 15) {
                world.misfortune();
            }
            world.turn(nth);
        }
        world.cut = [[false; NODES + 1]; NODES + 1];
        world.lossy = false;
        for nth in 0..600 {
            world.turn(nth);
        }
        let leads: Vec<_> = world.nodes.iter().filter_map(Election::leads).collect();
        let [term] = leads[..] else { panic!("seed {seed}: {leads:?} lead") };
        let lead = name(world.led[&term]);
        for node in world.nodes.iter().filter(|node| node.leads().is_none()) {
            assert_eq!(node.follows(), Some((&lead, term)), "seed {seed}: {:?}", node.state);
        }
        assert_eq!(world.written, term, "seed {seed}");
        terms += world.led.len();
        refused += world.refused;
    }
    assert!(terms > 1_000 && refused > 100, "{terms} terms, {refused} writes refused");
}

#[test]
fn a_node_alone_leads_soon_and_one_that_is_heard_is_left_in_peace() {
    let mut alone = Election::new(name(0), 1, (0, 1), Duration::ZERO);
    assert_eq!(alone.hear(Heard::Record(None), Duration::ZERO), None);
    claims(&mut alone, None, MS);
    assert_eq!(alone.hear(Heard::Won(Term(5)), 2 * MS), Some(Act::Lead(Term(5))));

    let mut other = Election::new(name(1), 2, (1, 2), Duration::ZERO);
    let lead = Lead { node: name(0), life: 1, term: Term(5) };
    other.hear(Heard::Record(Some(lead.clone())), MS);
    for beat in 1..100 {
        let now = 200 * MS * beat;
        assert_eq!(other.hear(Heard::Beat(name(0), Term(5)), now), None);
        assert_eq!(other.hear(Heard::Tick, now + 100 * MS), None);
    }
    let last = 200 * MS * 99;
    assert_eq!(other.hear(Heard::Tick, last + NODE_DEAD_AFTER), None);
    assert_eq!(other.state, State::Waiting);
    let patient = last + NODE_DEAD_AFTER + RANK_PATIENCE;
    claims(&mut other, Some(lead), patient);
}

/// It looks who leads, finds `lead`, and claims.
fn claims(node: &mut Election, lead: Option<Lead>, now: Duration) {
    assert_eq!(node.hear(Heard::Tick, now), Some(Act::Look));
    let term = lead.as_ref().map(|lead| lead.term);
    assert_eq!(node.hear(Heard::Found(lead), now + MS / 2), Some(Act::Claim(term)));
}

/// The second of three nodes, which has heard nothing of the lead for as long as it may, and looks.
fn looks() -> (Election, Lead, Duration) {
    looks_after(|_, _| {})
}

/// The same, after something has happened every 100 ms.
fn looks_after(happens: impl Fn(&mut Election, Duration)) -> (Election, Lead, Duration) {
    let mut node = Election::new(name(1), 2, (1, 3), Duration::ZERO);
    let lead = Lead { node: name(0), life: 1, term: Term(5) };
    node.hear(Heard::Record(Some(lead.clone())), MS);
    let mut now = MS;
    while node.state != State::Looking {
        now += 100 * MS;
        happens(&mut node, now);
        let act = node.hear(Heard::Tick, now);
        assert!(act.is_none() || act == Some(Act::Look), "{act:?}");
    }
    (node, lead, now)
}

#[test]
fn a_node_that_was_cut_off_lets_the_lead_be_heard_first() {
    // Its store answers at last, late or after a time-out.
    for times_out in [false, true] {
        let (mut node, lead, mut now) = looks();
        if times_out {
            now += 4_000 * MS;
            assert_eq!(node.hear(Heard::Beaten, now), None);
            now += LOOK_WAIT;
            assert_eq!(node.hear(Heard::Tick, now), Some(Act::Look));
        } else {
            now += LOOK_PROMPT;
        }
        now += MS;
        assert_eq!(node.hear(Heard::Found(Some(lead.clone())), now), None);
        assert_eq!(node.hear(Heard::Tick, now + REJOIN_PATIENCE - MS), None);
        let mut well = node;
        // Nobody is heard: it leads after all.
        let (mut node, lead, later) = looks();
        node.hear(Heard::Found(Some(lead.clone())), later + LOOK_PROMPT + MS);
        claims(&mut node, Some(lead), later + LOOK_PROMPT + REJOIN_PATIENCE + MS);
        // The lead is heard.
        assert_eq!(well.hear(Heard::Beat(name(0), Term(5)), now + 500 * MS), None);
        assert_eq!(well.follows(), Some((&name(0), Term(5))));
        assert_eq!(well.hear(Heard::Tick, now + REJOIN_PATIENCE), None);
    }
}

#[test]
fn nodes_that_hear_more_than_half_of_all_were_not_cut_off() {
    for heard_before in [true, false] {
        let (mut node, lead, now) = looks_after(|node, now| {
            if heard_before {
                node.hear(Heard::Beat(name(2), Term::NONE), now);
            }
        });
        let late = now + LOOK_PROMPT + MS;
        assert_eq!(node.hear(Heard::Beat(name(2), Term::NONE), late), None);
        // Else the way to that one has only come back, and that to the lead is next.
        let claims = heard_before.then_some(Act::Claim(Some(Term(5))));
        assert_eq!(node.hear(Heard::Found(Some(lead)), late), claims);
    }
}

#[test]
fn whoever_looks_and_finds_another_lead_follows_it() {
    let (mut node, lead, now) = looks();
    let other = Lead { node: name(2), term: Term(6), ..lead };
    assert_eq!(node.hear(Heard::Found(Some(other)), now + MS), None);
    assert_eq!(node.follows(), Some((&name(2), Term(6))));
}

#[test]
fn a_lead_that_cannot_begin_lets_others_lead_and_tries_again_if_nobody_does() {
    let mut node = Election::new(name(0), 1, (0, 1), Duration::ZERO);
    node.hear(Heard::Record(None), Duration::ZERO);
    claims(&mut node, None, MS);
    assert_eq!(node.hear(Heard::Won(Term(5)), 2 * MS), Some(Act::Lead(Term(5))));
    assert_eq!(node.hear(Heard::Unfit(Term(4)), 3 * MS), None, "of another term");
    assert_eq!(node.hear(Heard::Unfit(Term(5)), 3 * MS), Some(Act::Resign(Term(5))));
    assert_eq!(node.leads(), None);
    assert_eq!(node.hear(Heard::Record(None), 4 * MS), None);
    let last = 3 * MS + UNFIT_WAIT - MS;
    assert_eq!(node.hear(Heard::Tick, last), None);
    claims(&mut node, None, last + MS);
}

#[test]
fn a_lead_that_is_alive_and_does_not_begin_is_replaced_and_one_that_did_is_not() {
    for (leads, replaced) in [(Term(5), false), (Term::NONE, true)] {
        let mut other = Election::new(name(1), 2, (1, 2), Duration::ZERO);
        let lead = Lead { node: name(0), life: 1, term: Term(5) };
        other.hear(Heard::Record(Some(lead.clone())), MS);
        let mut acts = Vec::new();
        let mut now = MS;
        while now < LEAD_BEGIN_MOST + NODE_DEAD_AFTER + 2 * RANK_PATIENCE {
            now += 100 * MS;
            acts.extend(other.hear(Heard::Beat(name(0), leads), now));
            let act = other.hear(Heard::Tick, now);
            if act == Some(Act::Look) {
                acts.extend(other.hear(Heard::Found(Some(lead.clone())), now));
            }
            assert!(acts.is_empty() || now > LEAD_BEGIN_MOST, "{acts:?} at {now:?}");
        }
        assert_eq!(acts.contains(&Act::Claim(Some(Term(5)))), replaced);
    }
}
