//! All desks of all tenants: where each call waits, and which call is offered to whom next.

mod agents;

use super::lane::{Lane, News};
use super::{Desk, Overflow};
use crate::capacity::{OVERFLOW_RETRY, PASSED_PAUSE, QUEUE_NEWS_EVERY};
use crate::sessions::AccountKey;
use crate::store::Revision;
use kakehashi_wire::id::{AccountId, CallId, TenantId, Term};
use kakehashi_wire::node::Turn;
use rkyv::with::Skip;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

/// A desk of a tenant.
#[derive(
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
    Clone,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
)]
pub struct DeskId {
    /// The tenant.
    pub tenant: TenantId,
    /// The desk's name.
    pub name: String,
}

/// Whether a desk takes calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Staff {
    /// Another call may wait there.
    pub has_room: bool,
    /// An agent of it, or of a desk it overflows to, is there.
    pub is_there: bool,
}

/// A call and the agents to ring for it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Offer {
    /// The call.
    pub call: CallId,
    /// At which desk.
    pub key: DeskId,
    /// Whom to ring.
    pub agents: Vec<AccountId>,
    /// For how long.
    pub ring: Duration,
}

/// What a caller was told of its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Told {
    /// 1 for who is next; 0 while it rings at an agent.
    pub position: u16,
    /// How long that will take in milliseconds; 0 if unknown.
    pub wait_ms: u32,
    /// It waits at another desk than it called.
    pub overflow: bool,
}

/// How a call's wait ended.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Waited {
    /// At which desk it stood last.
    pub key: DeskId,
    /// For how long it waited at all desks, ringing included.
    pub time: Duration,
}

/// How far a call at a desk is.
#[derive(rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    /// Its place is kept; it is not to be offered yet.
    Comes,
    /// It can be offered.
    Waits,
    /// It rings at agents.
    Rings,
}

/// Where a call stands.
#[derive(Clone, rkyv::Archive, rkyv::Serialize, rkyv::Deserialize)]
pub struct Place {
    key: DeskId,
    /// The turn in which it came: its place in every queue.
    since: u64,
    /// When it came.
    #[rkyv(with = Skip)]
    began: Duration,
    /// When it came to this desk.
    #[rkyv(with = Skip)]
    entered: Duration,
    /// Desks it was at before.
    visited: Vec<String>,
    stage: Stage,
    #[rkyv(with = Skip)]
    told: Option<Told>,
}

#[cfg(test)]
impl Place {
    /// One that is always the same.
    pub(crate) fn sample() -> Self {
        Self {
            key: DeskId { tenant: TenantId(1), name: "desk".into() },
            since: 12,
            began: Duration::ZERO,
            entered: Duration::ZERO,
            visited: vec!["other".into()],
            stage: Stage::Rings,
            told: None,
        }
    }
}

/// All desks.
pub struct Desks {
    term: Term,
    lanes: BTreeMap<DeskId, Lane>,
    revisions: HashMap<TenantId, Revision>,
    places: HashMap<CallId, Place>,
    /// The desks of each agent, and when the agent became free.
    staff: HashMap<AccountKey, (BTreeSet<String>, Turn)>,
    /// Agents of whom there is something else to know than was taken last.
    changed: BTreeSet<AccountKey>,
    /// Desks where there may be something to offer.
    ready: BTreeSet<DeskId>,
    /// Desks whose callers are to be told of their places, and from when on they may be.
    news: BTreeSet<(Duration, DeskId)>,
    turns: u64,
}

impl Desks {
    /// No desks yet; their turns are counted in `term`.
    pub fn new(term: Term) -> Self {
        Self {
            term,
            lanes: BTreeMap::new(),
            revisions: HashMap::new(),
            places: HashMap::new(),
            staff: HashMap::new(),
            changed: BTreeSet::new(),
            ready: BTreeSet::new(),
            news: BTreeSet::new(),
            turns: 0,
        }
    }

    /// The desks of `tenant` are these from now on, unless a later list was known already. Gives
    /// the calls whose desk is gone.
    pub fn set(&mut self, tenant: TenantId, revision: Revision, desks: Vec<Desk>) -> Vec<CallId> {
        let known = self.revisions.entry(tenant).or_default();
        if *known > revision {
            return Vec::new();
        }
        *known = revision;
        let keys = self.keys(tenant);
        let kept: BTreeSet<_> = desks.iter().map(|desk| desk.name.clone()).collect();
        let mut gone = Vec::new();
        for key in keys.into_iter().filter(|key| !kept.contains(&key.name)) {
            let Some(lane) = self.lanes.remove(&key) else { continue };
            gone.extend(lane.calls());
            self.ready.remove(&key);
            if let News::Wanted(at) = lane.news {
                self.news.remove(&(at, key));
            }
        }
        self.set_staff(tenant, &desks);
        for desk in desks {
            let key = DeskId { tenant, name: desk.name.clone() };
            self.ready.insert(key.clone());
            match self.lanes.get_mut(&key) {
                Some(lane) => lane.reset(desk),
                None => {
                    self.lanes.insert(key, Lane::new(desk));
                }
            }
        }
        gone
    }

    fn keys(&self, tenant: TenantId) -> Vec<DeskId> {
        let first = DeskId { tenant, name: String::new() };
        let keys = self.lanes.range(first..).map(|(key, _)| key);
        keys.take_while(|key| key.tenant == tenant).cloned().collect()
    }

    fn set_staff(&mut self, tenant: TenantId, desks: &[Desk]) {
        let mut staff: HashMap<AccountKey, (BTreeSet<String>, Turn)> = HashMap::new();
        for desk in desks {
            for agent in &desk.agents {
                let account = AccountKey { tenant, account: agent.account };
                let idle = self.idle_since(account);
                let entry = staff.entry(account).or_insert_with(|| (BTreeSet::new(), idle));
                entry.0.insert(desk.name.clone());
            }
        }
        self.staff.retain(|account, _| account.tenant != tenant);
        self.staff.extend(staff);
    }

    /// The desk itself.
    pub fn desk(&self, key: &DeskId) -> Option<&Desk> {
        self.lanes.get(key).map(|lane| &lane.desk)
    }

    /// Whether a desk takes calls; `None` if there is none of that name.
    pub fn staff(&self, key: &DeskId, is_there: impl Fn(AccountKey) -> bool) -> Option<Staff> {
        let has_room = self.lanes.get(key)?.has_room();
        let (mut seen, mut next) = (BTreeSet::new(), Some(key.clone()));
        let mut anybody = false;
        while let Some(key) = next.filter(|key| seen.insert(key.name.clone())) {
            let lane = self.lanes.get(&key);
            anybody |= lane.is_some_and(|lane| agents_there(lane, key.tenant, &is_there) > 0);
            let overflow = lane.and_then(|lane| lane.desk.overflow.as_ref());
            next = overflow.map(|to| DeskId { tenant: key.tenant, name: to.desk.clone() });
        }
        Some(Staff { has_room, is_there: anybody })
    }

    /// A call gets the place behind all others; it is offered once it [waits](Self::wait).
    pub fn enter(&mut self, key: DeskId, call: CallId, now: Duration) {
        let since = self.turn();
        let Some(lane) = self.lanes.get_mut(&key) else { return };
        lane.push(since, call);
        let (visited, stage, told) = (Vec::new(), Stage::Comes, None);
        let place = Place { key, since, began: now, entered: now, visited, stage, told };
        self.places.insert(call, place);
    }

    /// Where a call stands, for how long it has waited, and for how long at this desk.
    pub fn place(&self, call: CallId, now: Duration) -> Option<(&Place, [Duration; 2])> {
        let place = self.places.get(&call)?;
        Some((place, [place.began, place.entered].map(|since| now.saturating_sub(since))))
    }

    /// A call that was taken up stands where it stood, unless its desk is gone.
    pub fn restore(&mut self, call: CallId, place: Place, ages: [Duration; 2], now: Duration) {
        self.turns = self.turns.max(place.since);
        let Some(lane) = self.lanes.get_mut(&place.key) else { return };
        lane.push(place.since, call);
        let [began, entered] = ages.map(|age| now.saturating_sub(age));
        self.places.insert(call, Place { began, entered, ..place });
    }

    /// How long a call rings at the agents of the desk where it stands.
    pub fn ring(&self, call: CallId) -> Duration {
        self.desk_of(call).map(Desk::ring).unwrap_or_default()
    }

    /// A call waits no more, whatever became of it.
    pub fn leave(&mut self, call: CallId, now: Duration) -> Option<Waited> {
        let place = self.places.remove(&call)?;
        if let Some(lane) = self.lanes.get_mut(&place.key) {
            lane.remove(place.since);
            self.want_news(&place.key, now);
        }
        Some(Waited { key: place.key, time: now.saturating_sub(place.began) })
    }

    /// A call can be offered, for the first time or because whoever it rang at let it pass; its
    /// place is the one it had. `false` if its desk is gone.
    pub fn wait(&mut self, call: CallId, now: Duration) -> bool {
        let Some(place) = self.places.get_mut(&call) else { return false };
        let before = std::mem::replace(&mut place.stage, Stage::Waits);
        let key = place.key.clone();
        if before == Stage::Rings {
            self.want_news(&key, now);
        }
        let is_there = self.lanes.contains_key(&key);
        self.ready.insert(key);
        is_there
    }

    /// Whether the desk where a call stands asks for an announcement.
    pub fn announces(&self, call: CallId) -> bool {
        self.desk_of(call).is_some_and(|desk| desk.announce)
    }

    /// How long an agent that lets a call pass is left alone.
    pub fn pause(&self, call: CallId) -> Duration {
        self.desk_of(call).map_or(PASSED_PAUSE, |desk| desk.wrap_up().max(PASSED_PAUSE))
    }

    fn desk_of(&self, call: CallId) -> Option<&Desk> {
        self.places.get(&call).and_then(|place| self.desk(&place.key))
    }

    /// The next call to offer, the one that has waited longest first; `None` if nobody whose turn
    /// it would be is free.
    pub fn next_offer(&mut self, is_free: impl Fn(AccountKey) -> bool) -> Option<Offer> {
        let mut best: Option<(u64, Offer)> = None;
        let mut idle = Vec::new();
        for key in &self.ready {
            match self.offer_at(key, &is_free) {
                None => idle.push(key.clone()),
                Some(offer) if best.as_ref().is_none_or(|(since, _)| offer.0 < *since) => {
                    best = Some(offer);
                }
                Some(_) => {}
            }
        }
        for key in idle {
            self.ready.remove(&key);
        }
        let (_, offer) = best?;
        self.note_offered(&offer);
        if let Some(place) = self.places.get_mut(&offer.call) {
            place.stage = Stage::Rings;
        }
        Some(offer)
    }

    /// What a desk would offer, and since which turn that call waits.
    fn offer_at(&self, key: &DeskId, is_free: impl Fn(AccountKey) -> bool) -> Option<(u64, Offer)> {
        let lane = self.lanes.get(key)?;
        let waits =
            |call: &CallId| self.places.get(call).is_some_and(|place| place.stage == Stage::Waits);
        let call = lane.calls().find(waits)?;
        let account = |account| AccountKey { tenant: key.tenant, account };
        let idle = |agent| self.idle_since(account(agent));
        let agents = lane.pick(|agent| is_free(account(agent)), idle);
        let since = self.places.get(&call)?.since;
        let (key, ring) = (key.clone(), lane.desk.ring());
        (!agents.is_empty()).then_some((since, Offer { call, key, agents, ring }))
    }

    /// When a waiting call is to be looked at again: it overflows, or gives up.
    pub fn patience(&self, call: CallId, now: Duration) -> Option<Duration> {
        let place = self.places.get(&call)?;
        let desk = &self.lanes.get(&place.key)?.desk;
        let end = place.began + desk.wait_max();
        let overflow = self.overflow_of(place).map(|(to, _)| {
            let due = place.entered + after(to);
            // What is due and did not happen found the other desk full.
            if due > now { due } else { now + OVERFLOW_RETRY }
        });
        Some(overflow.map_or(end, |at| at.min(end)))
    }

    /// Where a call would overflow to, and whether it can: never back to where it was.
    fn overflow_of(&self, place: &Place) -> Option<(&Overflow, bool)> {
        let to = self.lanes.get(&place.key)?.desk.overflow.as_ref()?;
        let key = DeskId { tenant: place.key.tenant, name: to.desk.clone() };
        let has_room = self.lanes.get(&key).map(Lane::has_room)?;
        let is_new = to.desk != place.key.name && !place.visited.contains(&to.desk);
        is_new.then_some((to, has_room))
    }

    /// Moves a waiting call to the other desk if its time for that has come; `true` if it has.
    pub fn overflow(&mut self, call: CallId, now: Duration) -> bool {
        let Some(place) = self.places.get(&call) else { return false };
        let waits = place.stage == Stage::Waits;
        let is_due = |to: &Overflow| waits && place.entered + after(to) <= now;
        let due = self.overflow_of(place).filter(|(to, has_room)| *has_room && is_due(to));
        let Some(to) = due.map(|(to, _)| to.desk.clone()) else { return false };
        let (from, since) = (place.key.clone(), place.since);
        let key = DeskId { tenant: from.tenant, name: to };
        if let Some(lane) = self.lanes.get_mut(&from) {
            lane.remove(since);
        }
        if let Some(lane) = self.lanes.get_mut(&key) {
            lane.push(since, call);
        }
        if let Some(place) = self.places.get_mut(&call) {
            place.visited.push(from.name.clone());
            (place.key, place.entered) = (key.clone(), now);
        }
        self.want_news(&from, now);
        self.want_news(&key, now);
        self.ready.insert(key);
        true
    }

    /// Whether a waiting call has waited for as long as it may.
    pub fn gives_up(&self, call: CallId, now: Duration) -> bool {
        let desk = |place: &Place| Some((place.began, self.lanes.get(&place.key)?.desk.wait_max()));
        self.places.get(&call).and_then(desk).is_none_or(|(began, most)| began + most <= now)
    }

    /// A call kept an agent of a desk for so long.
    pub fn note_occupied(&mut self, key: &DeskId, time: Duration) {
        if let Some(lane) = self.lanes.get_mut(key) {
            lane.note_occupied(time + lane.desk.wrap_up());
        }
    }

    /// What the caller of `call` is to be told of its place now, if that is news.
    pub fn tell(&mut self, call: CallId, is_there: impl Fn(AccountKey) -> bool) -> Option<Told> {
        let place = self.places.get(&call).filter(|place| place.stage != Stage::Comes)?;
        let lane = self.lanes.get(&place.key)?;
        let overflow = !place.visited.is_empty();
        let told = if place.stage == Stage::Rings {
            Told { position: 0, wait_ms: 0, overflow }
        } else {
            let position = lane.position(place.since);
            let agents = agents_there(lane, place.key.tenant, is_there);
            // To the second: nobody is told of less.
            let seconds = lane.expected(position, agents).as_secs_f64().ceil();
            let wait = Duration::try_from_secs_f64(seconds).unwrap_or_default();
            Told {
                position: u16::try_from(position).unwrap_or(u16::MAX),
                wait_ms: u32::try_from(wait.as_millis()).unwrap_or(u32::MAX),
                overflow,
            }
        };
        let place = self.places.get_mut(&call)?;
        (place.told.replace(told) != Some(told)).then_some(told)
    }

    /// What was told of a call's place may not have arrived: it is news again.
    pub fn tell_anew(&mut self, call: CallId) {
        if let Some(place) = self.places.get_mut(&call) {
            place.told = None;
        }
    }

    /// The callers of a desk whose places have changed, if there is such a desk and they were told
    /// nothing for [`QUEUE_NEWS_EVERY`].
    pub fn due_news(&mut self, now: Duration) -> Option<Vec<CallId>> {
        self.news.first().filter(|(at, _)| *at <= now)?;
        let (_, key) = self.news.pop_first()?;
        let lane = self.lanes.get_mut(&key)?;
        lane.news = News::ToldAt(now);
        Some(lane.calls().collect())
    }

    /// When [`due_news`](Self::due_news) has something.
    pub fn next_news(&self) -> Option<Duration> {
        self.news.first().map(|(at, _)| *at)
    }

    fn want_news(&mut self, key: &DeskId, now: Duration) {
        let Some(lane) = self.lanes.get_mut(key) else { return };
        let at = match lane.news {
            News::Wanted(_) => return,
            News::Never => now,
            News::ToldAt(told) => now.max(told + QUEUE_NEWS_EVERY),
        };
        lane.news = News::Wanted(at);
        self.news.insert((at, key.clone()));
    }

    fn turn(&mut self) -> u64 {
        self.turns += 1;
        self.turns
    }
}

fn after(overflow: &Overflow) -> Duration {
    Duration::from_secs(overflow.after_s.into())
}

fn agents_there(lane: &Lane, tenant: TenantId, is_there: impl Fn(AccountKey) -> bool) -> usize {
    let agents = lane.desk.agents.iter();
    agents.filter(|agent| is_there(AccountKey { tenant, account: agent.account })).count()
}

#[cfg(test)]
mod tests;
