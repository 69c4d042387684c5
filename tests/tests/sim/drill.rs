//! One site after the other is cut off, and has come back before the next: what the test bed does
//! with real processes, in virtual time.

use super::chance::{MS, SECOND};
use super::faults::Fault;
use super::net::SITES;
use super::people::Template;
use super::world::{Event, Violation, World};
use kakehashi_wire::id::{CallId, RelayId, Term};
use std::collections::{BTreeMap, BTreeSet};

/// Cuts of a run.
const CUTS: usize = 12;

/// The longest silence of a listener: what raises doubt, a frame, which is three times as long here
/// as in an ordinary call, the ways, which take up to 30 ms each, and what comes late on them.
const SILENCE_MOST: u64 = 400 * MS;

/// How long all may take to be well again.
const CALM_WITHIN: u64 = 30 * SECOND;

/// The terminals that call each other.
const PAIRS: [[usize; 2]; 3] = [[0, 1], [2, 3], [4, 5]];

/// Runs one seed.
pub(crate) fn run(seed: u64, template: &Template, is_told: bool) -> (Result<(), Violation>, World) {
    let mut world = World::new(seed, template, None);
    world.checks.is_told = is_told;
    world.first_policies();
    world.begin_all();
    world.run_until(3 * SECOND);
    for _ in 0..CUTS {
        world.until_calm();
        let ends = world.now + world.chance.time(100 * MS, 2 * SECOND);
        world.run_until(ends);
        if world.failure.is_some() {
            break;
        }
        world.cut_in_use();
    }
    (world.failure.clone().map_or(Ok(()), Err), world)
}

impl World {
    /// The call of a pair in which both have media.
    fn call_of_pair(&self, pair: [usize; 2]) -> Option<CallId> {
        let [one, other] = pair.map(|at| &self.terminals[at]);
        let both = |call: &&CallId| [one, other].iter().all(|at| at.media.contains_key(*call));
        one.view.calls.keys().find(both).copied()
    }

    /// Sees to it that each pair is in a call, everybody is heard, and has two relays that answer.
    fn until_calm(&mut self) {
        let mut deadline = self.now + CALM_WITHIN;
        while self.failure.is_none() {
            let step = self.now + 100 * MS;
            self.run_until(step);
            let plans = self.plans();
            let unwell = PAIRS.into_iter().find(|pair| !self.is_well(*pair, &plans));
            let Some(pair) = unwell else { return };
            if self.now > deadline {
                let states = pair.map(|at| match self.call_of_pair(pair) {
                    Some(call) => (self.terminals[at].signed_in, self.media_state(at, call)),
                    None => (self.terminals[at].signed_in, "no call".to_owned()),
                });
                return self.fail(
                    "calm",
                    format!("{pair:?} are not well: {states:?}, the lead says {plans:?}"),
                );
            }
            let idle = |at: usize| {
                let it = &self.terminals[at];
                it.signed_in && it.view.calls.is_empty() && it.view.rings.is_empty()
            };
            // Whoever is called answers within three seconds, or does not.
            if pair.into_iter().all(idle) {
                self.invite_terminal(pair);
                deadline += 5 * SECOND;
                let wait = self.now + 5 * SECOND;
                self.run_until(wait);
            }
        }
    }

    /// The relays of each call as the lead has decided; nothing while there is not one lead.
    fn plans(&mut self) -> BTreeMap<CallId, BTreeSet<RelayId>> {
        let leads: Vec<_> =
            (0..self.nodes.len()).filter(|node| self.leads_in(*node) != Term::NONE).collect();
        let rows = if let [lead] = leads[..] { self.rows(lead) } else { Vec::new() };
        rows.into_iter().map(|row| (row.record.call, row.relays.into_iter().collect())).collect()
    }

    /// Whether both are heard, and have two relays that answer: those that the lead has decided on.
    fn is_well(&self, pair: [usize; 2], plans: &BTreeMap<CallId, BTreeSet<RelayId>>) -> bool {
        let Some(call) = self.call_of_pair(pair) else { return false };
        pair.into_iter().all(|at| {
            let (there, media) = (&self.terminals[at], &self.terminals[at].media[&call]);
            let paths = media.rounds.current().summary(media.moment(self.now)).paths;
            let heard = self
                .checks
                .hearing
                .get(&(at, call))
                .is_some_and(|it| it.last + 250 * MS > self.now);
            let usable: BTreeSet<_> =
                paths.iter().filter(|path| path.usable).map(|path| path.number).collect();
            let are_told = plans.get(&call).is_some_and(|plan| *plan == usable);
            there.signed_in && there.conn.is_some() && heard && usable.len() == 2 && are_told
        })
    }

    /// Whether a pair's call has a relay elsewhere.
    fn is_carried_without(&self, site: usize, pair: [usize; 2]) -> bool {
        let Some(call) = self.call_of_pair(pair) else { return false };
        let media = &self.terminals[pair[0]].media[&call];
        let paths = media.rounds.current().summary(media.moment(self.now)).paths;
        paths.iter().any(|path| self.site_of(path.number) != site)
    }

    fn site_of(&self, relay: RelayId) -> usize {
        self.relays[relay.0 as usize - 1].site
    }

    /// The site of a relay in use is cut off for a while; nobody is to hear nothing for long.
    fn cut_in_use(&mut self) {
        let pair = PAIRS[self.chance.below(PAIRS.len())];
        let Some(call) = self.call_of_pair(pair) else { return };
        let media = &self.terminals[pair[0]].media[&call];
        let paths = media.rounds.current().summary(media.moment(self.now)).paths;
        let Some(path) = paths.iter().find(|path| path.active) else { return };
        let site = self.site_of(path.number);
        let others = (0..SITES + self.terminals.len()).filter(|other| *other != site);
        let ways: Vec<_> = others.flat_map(|other| [(site, other), (other, site)]).collect();
        // Who lives through nothing else has to wait for control.
        let carried = PAIRS.map(|pair| self.is_carried_without(site, pair));
        self.tell(|| format!("site {site} is cut off"));
        self.net.cuts.extend(ways.iter().copied());
        let number = self.number();
        self.checks.active.insert(number, Fault::Cut(ways));
        self.checks.hearing.clear();
        let lasts = self.chance.time(SECOND, 4 * SECOND);
        self.later(lasts, Event::Mend(number));
        let ends = self.now + lasts + 500 * MS;
        self.run_until(ends);
        for (pair, _) in PAIRS.into_iter().zip(carried).filter(|(_, carried)| *carried) {
            let Some(call) = self.call_of_pair(pair) else {
                return self.fail("lost", format!("{pair:?} have no call any more"));
            };
            for at in pair {
                let longest = self.checks.hearing.get(&(at, call)).map(|it| it.longest);
                if longest.is_none_or(|longest| longest > SILENCE_MOST) {
                    let states = pair.map(|at| self.media_state(at, call));
                    let text = format!("terminal {at} of {pair:?}: {longest:?} us: {states:?}");
                    return self.fail("silence", text);
                }
            }
        }
    }
}
