//! What must hold: at every moment, and when all is whole again.

use super::chance::{MS, SECOND};
use super::faults::Fault;
use super::lead::GRACE;
use super::media::{Voice, place};
use super::message::Deed;
use super::net::Place;
use super::store::at_once;
use super::world::World;
use kakehashi_control::accounts::Subject;
use kakehashi_control::admin::CallRow;
use kakehashi_control::records::{RecordState, Records};
use kakehashi_control::store::SharedStore;
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::{AccountId, CallId, DeviceId, Term};
use kakehashi_wire::terminal::CallEnd;
use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;

/// How late media of a suspended account may be while nothing is broken, from the acknowledgement.
const LATE_IN_CALM: u64 = 500 * MS;

/// Time in which everything finds together when the last fault is over: the longest pauses between
/// two dials and two claims, an election, and a core that begins.
const SETTLES: u64 = 20 * SECOND;

/// What is known of a run from outside.
pub(crate) struct Checks {
    pub(crate) acts_until: u64,
    pub(crate) faults_until: u64,
    /// The longest time between two faults.
    pub(crate) pace: u64,
    pub(crate) active: BTreeMap<u64, Fault>,
    pub(crate) quiet_since: u64,
    /// Time in which everything finds together when the last fault is over.
    pub(crate) settles: u64,
    /// Whether it is told what happens.
    pub(crate) is_told: bool,
    /// Since when the suspension of each account is acknowledged.
    pub(crate) suspended: Vec<Option<u64>>,
    /// What operators have asked and nobody has acknowledged, and which accounts it suspends.
    pub(crate) asked: BTreeMap<u64, (Deed, Vec<usize>)>,
    /// Suspensions that the store has acknowledged and that are not over.
    pub(crate) written: Vec<(Subject, Vec<usize>)>,
    /// When each terminal last heard each other in a call: when that was said.
    heard: BTreeMap<(usize, usize, CallId), u64>,
    /// What each terminal hears in a call, and when.
    pub(crate) hearing: BTreeMap<(usize, CallId), Hearing>,
    /// Calls that terminals were told of.
    told: BTreeSet<CallId>,
}

/// When something was heard, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Hearing {
    /// For the last time.
    pub(crate) last: u64,
    /// The longest time in which nothing was.
    pub(crate) longest: u64,
}

impl Checks {
    pub(crate) fn new(accounts: usize) -> Self {
        Self {
            acts_until: 0,
            faults_until: 0,
            pace: 3 * SECOND,
            active: BTreeMap::new(),
            quiet_since: 0,
            settles: SETTLES,
            is_told: false,
            suspended: vec![None; accounts],
            asked: BTreeMap::new(),
            written: Vec::new(),
            heard: BTreeMap::new(),
            hearing: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Until when media of who was suspended at `since` may come.
    fn late(&self, since: u64, now: u64) -> u64 {
        if !self.active.is_empty() {
            return now + 1;
        }
        if self.quiet_since + self.settles <= since {
            return since + LATE_IN_CALM;
        }
        since.max(self.quiet_since + self.settles) + LATE_IN_CALM
    }
}

impl World {
    /// A terminal was told of a call.
    pub(crate) fn told_of(&mut self, call: CallId) {
        self.checks.told.insert(call);
    }

    /// A relay passes something on: nothing between tenants, and nothing of who is suspended.
    pub(crate) fn check_passage(&mut self, from: SocketAddr, to: SocketAddr, packet: &[u8]) {
        if !matches!(DatagramKind::of(packet), DatagramKind::Rtp | DatagramKind::Rtcp) {
            return;
        }
        if let (Some(Place::Terminal(from)), Some(Place::Terminal(to))) = (place(from), place(to)) {
            self.check_pair(to, from, self.terminals[from].account);
        }
    }

    /// A terminal may hear another.
    fn check_pair(&mut self, to: usize, from: usize, speaks: usize) {
        let hears = self.terminals[to].account;
        let tenants = [hears, speaks].map(|account| self.people[account].tenant);
        if tenants[0] != tenants[1] {
            return self.fail("tenant", format!("terminal {to} gets what {from} sends"));
        }
        for account in [hears, speaks] {
            let Some(since) = self.checks.suspended[account] else { continue };
            if self.now > self.checks.late(since, self.now) {
                let late = (self.now - since) / MS;
                let login = &self.people[account].login;
                let text = format!("{from} to {to}, {late} ms after the suspension of {login}");
                return self.fail("suspension", text);
            }
        }
    }

    /// A terminal hears a frame of voice.
    pub(crate) fn heard(&mut self, terminal: usize, call: CallId, voice: Voice) {
        self.stats.heard += 1;
        self.check_pair(terminal, voice.terminal, voice.account);
        let latest = self.checks.heard.entry((terminal, voice.terminal, call)).or_default();
        *latest = voice.sent.max(*latest);
        let (now, first) = (self.now, Hearing { last: self.now, longest: 0 });
        let hearing = self.checks.hearing.entry((terminal, call)).or_insert(first);
        *hearing = Hearing { last: now, longest: hearing.longest.max(now - hearing.last) };
    }

    /// The one lead that all nodes follow.
    fn the_lead(&mut self) -> Option<usize> {
        let leads: Vec<_> =
            (0..self.nodes.len()).filter(|node| self.leads_in(*node) != Term::NONE).collect();
        let [lead] = leads[..] else {
            self.fail("election", format!("nodes {leads:?} lead in the end"));
            return None;
        };
        let term = self.leads_in(lead);
        for node in (0..self.nodes.len()).filter(|node| *node != lead) {
            let follows = self.nodes[node].election.follows();
            if follows != Some((&super::node::name(lead), term)) {
                let text = format!("node {node} follows {follows:?}, {lead} leads in {term}");
                self.fail("election", text);
                return None;
            }
        }
        Some(lead)
    }

    /// The live calls, as the lead knows them.
    pub(crate) fn rows(&mut self, lead: usize) -> Vec<CallRow> {
        let core = self.core_at(lead);
        core.and_then(|core| self.lead_of(core)).map(|it| it.core.call_rows()).unwrap_or_default()
    }

    /// All is whole: everybody agrees, and all calls are heard.
    pub(crate) fn check_agreement(&mut self) {
        let Some(lead) = self.the_lead() else { return };
        let rows = self.rows(lead);
        for row in rows.iter().filter(|row| row.record.state != RecordState::Active) {
            self.fail("hangs", format!("{:?} goes on", row.record));
        }
        for terminal in 0..self.terminals.len() {
            self.check_terminal(terminal, &rows);
        }
        for row in &rows {
            self.stats.alive_at_end += 1;
            self.check_media(row);
        }
    }

    fn members_of(&self, row: &CallRow) -> Vec<usize> {
        let parties = row.record.members.iter().filter(|party| party.left.is_none());
        let is = |terminal: &usize, account: AccountId, device: Option<DeviceId>| {
            let there = &self.terminals[*terminal];
            self.people[there.account].key.account == account && Some(there.device) == device
        };
        let all = 0..self.terminals.len();
        parties.filter_map(|it| all.clone().find(|at| is(at, it.account, it.device))).collect()
    }

    fn check_terminal(&mut self, terminal: usize, rows: &[CallRow]) {
        let there = &self.terminals[terminal];
        let account = there.account;
        let suspended = self.checks.suspended[account].is_some();
        if !there.signed_in {
            let key = self.people[account].key;
            self.store.set_reached(true);
            let may = at_once(self.accounts.current(key));
            if may.is_ok_and(|may| may.is_some()) {
                self.fail("agree", format!("terminal {terminal} is not signed in"));
            }
            return;
        }
        if suspended {
            return self.fail("suspension", format!("terminal {terminal} is signed in"));
        }
        let calls: BTreeSet<_> = there.view.calls.keys().copied().collect();
        let known: BTreeSet<_> = rows
            .iter()
            .filter(|row| self.members_of(row).contains(&terminal))
            .map(|row| row.record.call)
            .collect();
        if calls != known {
            let text = format!("terminal {terminal} is in {calls:?}, by the lead in {known:?}");
            self.fail("agree", text);
        }
        if !self.terminals[terminal].view.rings.is_empty() {
            self.fail("hangs", format!("terminal {terminal} rings on"));
        }
    }

    /// What a terminal's media stands at, for whoever looks for what is wrong.
    pub(crate) fn media_state(&self, terminal: usize, call: CallId) -> String {
        let Some(media) = self.terminals[terminal].media.get(&call) else { return "none".into() };
        let (rounds, now) = (&media.rounds, media.moment(self.now));
        let engine = rounds.current();
        let summary = engine.summary(now);
        let sent: Vec<_> = summary.sent.iter().map(|it| (&it.ssrc, it.packets)).collect();
        let received: Vec<_> =
            summary.received.iter().map(|it| (&it.from, &it.ssrc, it.packets)).collect();
        let paths = summary.paths.iter();
        let paths: Vec<_> = paths.map(|it| (&it.relay, it.usable, it.active)).collect();
        let next = rounds.next().map(|next| next.round());
        format!(
            "{:?}, round {}, next {next:?}, {paths:?}, sent {sent:?}, received {received:?}, \
             drops {:?}",
            engine.phase(),
            engine.round(),
            engine.drops()
        )
    }

    fn check_media(&mut self, row: &CallRow) {
        let members = self.members_of(row);
        let call = row.record.call;
        let speaks = |at: usize| self.terminals[at].media.get(&call).map(|_| self.speaks(at, call));
        let mut silent = None;
        for to in &members {
            for from in members.iter().filter(|from| *from != to) {
                match (speaks(*to), speaks(*from)) {
                    (Some(true), Some(true)) => {
                        let heard = self.checks.heard.get(&(*to, *from, call)).copied();
                        if heard.unwrap_or_default() + 2 * SECOND < self.now {
                            let [to_is, from_is] =
                                [*to, *from].map(|at| self.media_state(at, call));
                            silent = Some(format!(
                                "terminal {to} ({to_is}) has not heard {from} ({from_is}) in \
                                 {call} since {heard:?}"
                            ));
                        }
                    }
                    (None, _) | (_, None) => {
                        silent = Some(format!("terminals {to}, {from}: no media in {call}"));
                    }
                    _ => {}
                }
            }
        }
        if let Some(text) = silent {
            self.fail("silent", text);
        }
    }

    /// Everybody has hung up: nothing is left, and all that was told is written.
    pub(crate) fn check_nothing_left(&mut self) {
        let Some(lead) = self.the_lead() else { return };
        let rows = self.rows(lead);
        if let Some(row) = rows.first() {
            return self.fail("hangs", format!("{:?} goes on", row.record));
        }
        for relay in 0..self.relays.len() {
            let legs = self.relays[relay].legs.len();
            if legs > 0 {
                return self.fail("left", format!("relay {relay} holds {legs} legs"));
            }
        }
        if let Some(key) = self.store.keys("x/live/").first() {
            return self.fail("left", format!("{key} is kept of no call"));
        }
        if let Some(key) = self.store.keys("t/").iter().find(|key| key.contains("/live/")) {
            return self.fail("left", format!("{key} goes on by its record"));
        }
        self.check_records();
        self.stats.sealed = self.ledger.entries;
    }

    /// Every call that was told of has a record, and none ended because of a node. What was
    /// acknowledged of suspensions stands.
    fn check_records(&mut self) {
        self.store.set_reached(true);
        let store: SharedStore = Arc::clone(&self.store) as SharedStore;
        let records = Records::new(store);
        let tenants: BTreeSet<_> = self.people.iter().map(|it| it.key.tenant).collect();
        let mut recorded = BTreeSet::new();
        for tenant in tenants {
            for record in at_once(records.ended(tenant, usize::MAX)).unwrap_or_default() {
                recorded.insert(record.call);
                if record.reason == Some(CallEnd::ControlRestarted) {
                    self.fail("lost", format!("a node took a call with it: {record:?}"));
                }
            }
        }
        if let Some(call) = self.checks.told.difference(&recorded).next() {
            let text = format!("{call} was told and has no record");
            self.fail("lost", text);
        }
        for (subject, who) in self.checks.written.clone() {
            for account in who {
                let current = at_once(self.accounts.current(self.people[account].key));
                if current.is_ok_and(|current| current.is_some()) {
                    self.fail("lost", format!("the suspension of {subject:?}"));
                }
            }
        }
    }

    /// How long a run waits after its last fault until all must agree.
    pub(crate) fn settling() -> u64 {
        SETTLES + u64::try_from(GRACE.as_micros()).unwrap_or_default() / 2
    }
}
