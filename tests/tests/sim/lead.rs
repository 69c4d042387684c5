//! A node that leads: the real core over the real records and live calls, in a term of the real
//! election, written through the real fence.

use super::carrier::{Carrier, CoreId, Turn};
use super::chance::MS;
use super::message::{Deed, FromNode, ToNode};
use super::net::ConnId;
use super::planted::Planted;
use super::store::at_once;
use super::world::{Event, LEG_LIFETIME, World};
use kakehashi_control::capacity::nodes::LEAD_BEGIN_PATIENCE;
use kakehashi_control::coordinator::{Coordinator, Input, KnownAccount, Request, Settings};
use kakehashi_control::fleet::{Fleet, LinkId};
use kakehashi_control::lives::{Lives, Sealer};
use kakehashi_control::nodes::election::Heard;
use kakehashi_control::nodes::record::{self, Tenured};
use kakehashi_control::pki::CellSecret;
use kakehashi_control::policy::{Isolation, MediaFacts};
use kakehashi_control::records::Records;
use kakehashi_control::startup::{self, Known};
use kakehashi_control::store::{SharedStore, StoreError};
use kakehashi_wire::id::{SessionId, TenantId, Term};
use kakehashi_wire::relay::FromRelay;
use kakehashi_wire::secret::Suite;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Notify;

/// Over which link a session's node is reached: this node's own, or the one that a node dialled.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Way {
    Own,
    Door(ConnId),
}

/// A term of a node.
pub(crate) struct Tenure {
    pub(crate) term: Term,
    pub(crate) lead: Option<Box<Lead>>,
    /// When it tried to begin first.
    pub(crate) since: u64,
}

/// The core of a node that leads, and what it is connected to.
pub(crate) struct Lead {
    pub(crate) core: Coordinator,
    pub(crate) carrier: Carrier,
    /// Where each session is.
    pub(crate) ways: BTreeMap<SessionId, Way>,
    /// What each node has handed over.
    pub(crate) guests: BTreeMap<Way, BTreeMap<SessionId, TenantId>>,
    /// The relays' links that the core speaks over.
    pub(crate) lent: BTreeSet<ConnId>,
    tick: Option<u64>,
}

/// What writes of a term, also when the node is no more.
pub(crate) type Writer = Arc<(Records, Lives)>;

/// How long a call rings here, and how long a session is kept.
pub(crate) const NO_ANSWER: Duration = Duration::from_secs(12);

/// See [`NO_ANSWER`].
pub(crate) const GRACE: Duration = Duration::from_secs(15);

impl World {
    /// The core of that node in that term, if it still stands.
    pub(crate) fn lead_of(&mut self, (node, life, term): CoreId) -> Option<&mut Lead> {
        let node = self.nodes.get_mut(node).filter(|node| node.alive && node.life == life)?;
        let tenure = node.tenure.as_mut().filter(|tenure| tenure.term == term)?;
        tenure.lead.as_deref_mut()
    }

    /// The core of a node, if it has one.
    pub(crate) fn core_at(&self, node: usize) -> Option<CoreId> {
        let tenure = self.nodes[node].tenure.as_ref().filter(|it| it.lead.is_some())?;
        Some((node, self.nodes[node].life, tenure.term))
    }

    /// A node begins to lead: it reads the store.
    pub(crate) fn begin(&mut self, (node, life, term): CoreId) {
        let is_it = |it: &super::node::Node| {
            it.alive && it.life == life && it.tenure.as_ref().is_some_and(|it| it.term == term)
        };
        if !is_it(&self.nodes[node]) {
            return;
        }
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let begun = self.begun_core(node, term);
        let wait = self.chance.time(5 * MS, 250 * MS);
        match begun {
            Ok(lead) => self.later(wait, Event::Begun((node, life, term), Box::new(lead))),
            Err(StoreError::Fenced | StoreError::Conflict) => {
                self.hear_election(node, Heard::Fenced(term));
                self.later(500 * MS, Event::Begin((node, life, term)));
            }
            Err(_) => {
                let since = self.nodes[node].tenure.as_ref().map_or(self.now, |it| it.since);
                if Duration::from_micros(self.now - since) >= LEAD_BEGIN_PATIENCE {
                    return self.hear_election(node, Heard::Unfit(term));
                }
                self.later(500 * MS, Event::Begin((node, life, term)));
            }
        }
    }

    fn begun_core(&mut self, node: usize, term: Term) -> Result<Lead, StoreError> {
        let plain: SharedStore = self.store.clone();
        let fenced: SharedStore =
            Arc::new(Tenured::new(Arc::clone(&plain), term, Arc::new(Notify::new())));
        let store = if self.planted == Some(Planted::NoFence) { plain } else { fenced };
        let records = Records::new(Arc::clone(&store));
        let secret = CellSecret::new([7; 32]);
        let sealer = Sealer::new(&secret, self.chance.entropy());
        let lives = Lives::new(Arc::clone(&store), sealer);
        let generations = at_once(startup::reserve_generations(&store))?;
        let accounts = Arc::clone(&self.accounts);
        let known = at_once(Known::read((&accounts, &records), (&store, &lives)))?;
        let fleet = Fleet::new(term, generations, LEG_LIFETIME);
        let media = MediaFacts {
            suite: Suite::AeadAes128Gcm,
            isolation: Isolation::None,
            leg_rate_max_kbps: 8_000,
        };
        let settings = Settings { no_answer: NO_ANSWER, grace: GRACE, media };
        let mut core = Coordinator::new(settings, self.chance.entropy(), fleet);
        let now = self.clock_of(node);
        let outputs = known.tell(&mut core, now);
        self.writers.insert(term, Arc::new((records, lives)));
        let mut carrier = Carrier::default();
        carrier.turns.push_back(Turn { outputs, urgent: None });
        Ok(Lead {
            core,
            carrier,
            ways: BTreeMap::new(),
            guests: BTreeMap::new(),
            lent: BTreeSet::new(),
            tick: None,
        })
    }

    /// It has read the store, and decides from now on.
    pub(crate) fn begun(&mut self, core: CoreId, lead: Lead) {
        let (node, life, term) = core;
        let here = &mut self.nodes[node];
        let stands = here.alive && here.life == life;
        let Some(tenure) = here.tenure.as_mut().filter(|it| stands && it.term == term) else {
            return;
        };
        tenure.lead = Some(Box::new(lead));
        self.stats.terms += 1;
        let links: Vec<_> = here.relays.iter().map(|(id, hello)| (*id, hello.clone())).collect();
        self.carry_on(core);
        for (id, hello) in links {
            if let Some(lead) = self.lead_of(core) {
                lead.lent.insert(id);
                self.input(core, Input::LinkUp(LinkId(id.0), hello), None);
            }
        }
        self.input(core, Input::Tick, None);
        self.beat_now(node);
        self.say_where(node);
    }

    /// Something for the core that comes of what it decided.
    pub(crate) fn feed(&mut self, core: CoreId, input: Input) {
        self.later(0, Event::Input(core, Box::new(input)));
    }

    /// Something happens to the core.
    pub(crate) fn input(&mut self, core: CoreId, input: Input, urgent: Option<(Way, u64)>) {
        let now = self.clock_of(core.0);
        let planted = self.planted;
        let Some(lead) = self.lead_of(core) else { return };
        let input = match input {
            Input::Revoked(_) if planted == Some(Planted::NoSuspension) => Input::Tick,
            input => input,
        };
        let outputs = lead.core.handle(input, now);
        lead.carrier.turns.push_back(Turn { outputs, urgent });
        let deadline = lead.core.next_deadline();
        let due = deadline.map(|at| at.saturating_sub(now.since_start));
        let due = due.map(|due| u64::try_from(due.as_micros()).unwrap_or(u64::MAX));
        self.carry_on(core);
        let at = due.map(|due| self.now.saturating_add(due.max(100)));
        let Some(lead) = self.lead_of(core) else { return };
        if let Some(at) = at
            && lead.tick.is_none_or(|tick| tick > at)
        {
            lead.tick = Some(at);
            self.at(at, Event::CoreTick(core));
        }
    }

    /// Time has passed for the core.
    pub(crate) fn core_tick(&mut self, core: CoreId) {
        let now = self.now;
        let Some(lead) = self.lead_of(core) else { return };
        if lead.tick.is_some_and(|tick| tick <= now) {
            lead.tick = None;
            self.input(core, Input::Tick, None);
        }
    }

    /// Says something to a node's switch.
    pub(crate) fn tell_node(&mut self, core: CoreId, way: Way, said: ToNode) {
        match way {
            Way::Own => self.later(0, Event::ToSwitch(core, Box::new(said))),
            Way::Door(link) => self.say(link, 1, said),
        }
    }

    /// A node says something to this core.
    pub(crate) fn guest_says(&mut self, core: CoreId, way: Way, said: FromNode) {
        let Some(lead) = self.lead_of(core) else { return };
        let guest = lead.guests.entry(way).or_default();
        match said {
            FromNode::Arrived(arrival) => {
                guest.insert(arrival.session, arrival.account.tenant);
                lead.ways.insert(arrival.session, way);
                self.input(core, Input::Arrived(*arrival), None);
            }
            FromNode::Asked(session, request) => {
                let Some(tenant) = guest.get(&session).copied() else { return };
                let request = match request {
                    Request::Watch(number, _) => {
                        Request::Watch(number, self.known_accounts(core.0, tenant))
                    }
                    request => request,
                };
                self.input(core, Input::Asked(session, request), None);
            }
            FromNode::Left(session, may_return) => {
                if guest.remove(&session).is_some() {
                    lead.ways.remove(&session);
                    let how = if may_return { Input::Lost } else { Input::Gone };
                    self.input(core, how(session), None);
                }
            }
            FromNode::Does(ask, deed) => self.deed(core, way, ask, deed),
            FromNode::Beat(_) => {}
        }
    }

    fn known_accounts(&mut self, node: usize, tenant: TenantId) -> Vec<KnownAccount> {
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let list = at_once(self.accounts.list(tenant)).unwrap_or_default();
        list.into_iter().map(KnownAccount::from).collect()
    }

    fn deed(&mut self, core: CoreId, way: Way, ask: u64, deed: Deed) {
        match deed {
            Deed::Revoke(revocation) => {
                self.input(core, Input::Revoked(revocation), Some((way, ask)));
            }
            Deed::Reread(tenant) => {
                let reached = self.reaches_store(core.0);
                self.store.set_reached(reached);
                let known = at_once(self.accounts.known_tenant(tenant));
                let Ok(Some(known)) = known else { return };
                let policy = Box::new(known.tenant.policy());
                self.input(core, Input::Tenant(tenant, policy, known.revision), None);
                self.acknowledge(core, way, ask);
            }
            Deed::Drain(relay, on) => {
                self.input(core, Input::Drain(relay, on), None);
                self.acknowledge(core, way, ask);
            }
            Deed::EndCall(call) => {
                self.input(core, Input::EndCall(call), Some((way, ask)));
            }
        }
    }

    /// What was asked is done: that is said in a term that goes on, as by the real guest.
    pub(crate) fn acknowledge(&mut self, core: CoreId, way: Way, ask: u64) {
        let reached = self.reaches_store(core.0);
        self.store.set_reached(reached);
        let store: SharedStore = self.store.clone();
        let lead = at_once(record::read(&store));
        if lead.is_ok_and(|lead| lead.is_some_and(|lead| lead.term == core.2)) {
            self.tell_node(core, way, ToNode::Did(ask));
        }
    }

    /// A node's link to this one is gone: its sessions may come back.
    pub(crate) fn guest_leaves(&mut self, core: CoreId, way: Way) {
        let Some(lead) = self.lead_of(core) else { return };
        for (session, _) in lead.guests.remove(&way).unwrap_or_default() {
            if let Some(lead) = self.lead_of(core) {
                lead.ways.remove(&session);
            }
            self.input(core, Input::Lost(session), None);
        }
    }

    /// A relay said something to a node.
    pub(crate) fn relay_says(&mut self, node: usize, link: ConnId, said: FromRelay) {
        if let FromRelay::Hello(hello) = said {
            self.nodes[node].relays.insert(link, hello.clone());
            if let Some(core) = self.core_at(node) {
                if let Some(lead) = self.lead_of(core) {
                    lead.lent.insert(link);
                }
                self.input(core, Input::LinkUp(LinkId(link.0), hello), None);
            }
            return;
        }
        if let Some(core) = self.core_at(node) {
            self.input(core, Input::LinkSaid(LinkId(link.0), said), None);
        }
    }

    /// A relay's link to a node is gone.
    pub(crate) fn relay_parts(&mut self, node: usize, link: ConnId) {
        if self.nodes[node].relays.remove(&link).is_none() {
            return;
        }
        if let Some(core) = self.core_at(node) {
            if let Some(lead) = self.lead_of(core) {
                lead.lent.remove(&link);
            }
            self.feed(core, Input::LinkDown(LinkId(link.0)));
        }
    }
}
