//! Who is in the tenants, what they do at their terminals, and what operators do.

use super::chance::{MS, SECOND};
use super::message::Deed;
use super::store::{Contents, SimStore, at_once};
use super::terminal::Wish;
use super::world::{Event, World};
use kakehashi_control::accounts::{Accounts, AccountsConfig, NewAccount, Subject};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::coordinator::{Called, Request};
use kakehashi_control::policy::{Lane, Protection, TenantLimits};
use kakehashi_control::schema;
use kakehashi_control::sessions::AccountKey;
use kakehashi_control::store::SharedStore;
use kakehashi_wire::id::{CallId, RequestId, TenantId};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::terminal::{Accept, AddMember, Hold, Merge, Mute, Role};
use std::sync::Arc;

/// An account.
#[derive(Clone, Debug)]
pub(crate) struct Person {
    pub(crate) tenant: usize,
    pub(crate) key: AccountKey,
    pub(crate) login: String,
}

/// What every run begins with: the tenants and their accounts, in a store of this thread's.
pub(crate) struct Template {
    pub(crate) store: Arc<SimStore>,
    pub(crate) accounts: Arc<Accounts>,
    pub(crate) contents: Contents,
    pub(crate) people: Vec<Person>,
}

/// The tenants, and how many accounts each has.
const TENANTS: [(&str, usize); 2] = [("north", 4), ("south", 2)];

const VOICE: StreamOffer = StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus };

impl Template {
    /// Makes the tenants through the real accounts.
    pub(crate) fn new() -> Self {
        let store = Arc::new(SimStore::default());
        let shared: SharedStore = Arc::clone(&store) as SharedStore;
        let entropy = super::chance::entropy(7);
        let config = AccountsConfig { hash_jobs: 1, hash_queue: 8, entropy };
        let accounts = Accounts::new(Arc::clone(&shared), config).expect("threads can be had");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("as usual");
        runtime.block_on(schema::settle(&shared)).expect("an empty store gets its layout");
        let mut people = Vec::new();
        for (tenant, (name, count)) in TENANTS.into_iter().enumerate() {
            let made = accounts.add_tenant(name, TenantLimits::default(), UnixMs(1));
            let about = runtime.block_on(made).expect("a name that can be");
            for nth in 0..count {
                let login = format!("{name}-{nth}");
                let new = NewAccount {
                    login: login.clone(),
                    display: None,
                    password: None,
                    one_time: false,
                    role: Role::Store,
                };
                let added = runtime.block_on(accounts.add_account(about.id, new, UnixMs(1)));
                let added = added.expect("a login that can be").account;
                let key = AccountKey { tenant: about.id, account: added.id };
                people.push(Person { tenant, key, login });
            }
        }
        let contents = store.contents();
        Self { store, accounts: Arc::new(accounts), contents, people }
    }
}

impl World {
    /// A call rings: somebody decides after a while.
    pub(crate) fn rings(&mut self, terminal: usize, call: CallId) {
        let (wait, life) = (self.chance.time(50 * MS, 3 * SECOND), self.terminals[terminal].life);
        self.later(wait, Event::Rings(terminal, life, call));
    }

    /// Somebody decides about a call that rings.
    pub(crate) fn answer(&mut self, terminal: usize, call: CallId) {
        if !self.terminals[terminal].view.rings.contains(&call) {
            return;
        }
        match self.chance.below(12) {
            0 => self.reject(terminal, call),
            1 => {}
            _ => self.ask(terminal, Wish::In(call), |request| {
                Request::Accept(Accept { request, call, streams: vec![VOICE] })
            }),
        }
    }

    /// Somebody does something at a terminal.
    pub(crate) fn act_of_somebody(&mut self) {
        if self.now < self.checks.acts_until {
            let wait = self.chance.time(20 * MS, 900 * MS);
            self.later(wait, Event::Act);
        }
        let terminal = self.chance.below(self.terminals.len());
        let calls: Vec<_> = self.terminals[terminal].view.calls.keys().copied().collect();
        let Some(call) = calls.get(self.chance.below(calls.len().max(1))).copied() else {
            return self.invite(terminal);
        };
        let has_media = self.terminals[terminal].media.contains_key(&call);
        let on = self.chance.one_in(2);
        match self.chance.below(22) {
            0 | 1 => self.hang_up(terminal, call),
            2 if !has_media => self.cancel(terminal, call),
            3..6 => self
                .ask(terminal, Wish::Nothing, |request| Request::Hold(Hold { request, call, on })),
            6 | 7 => self
                .ask(terminal, Wish::Nothing, |request| Request::Mute(Mute { request, call, on })),
            8..11 => {
                let (called, login) = self.somebody(terminal);
                let then_leave = self.chance.one_in(3);
                self.ask(terminal, Wish::Nothing, |request| {
                    Request::AddMember(AddMember { request, call, login, then_leave }, called)
                });
            }
            11 if calls.len() > 1 => {
                let with = calls[self.chance.below(calls.len())];
                let then_leave = on;
                self.ask(terminal, Wish::Nothing, |request| {
                    Request::Merge(Merge { request, call, with, then_leave })
                });
            }
            12 | 13 => self.invite(terminal),
            14 => self.ask(terminal, Wish::Nothing, |request| Request::Watch(request, Vec::new())),
            _ => {}
        }
    }

    /// Whom somebody names, as the gate finds it: nobody of another tenant.
    fn somebody(&mut self, terminal: usize) -> (Option<Called>, String) {
        let from = self.people[self.terminals[terminal].account].tenant;
        let person = &self.people[self.chance.below(self.people.len())];
        let found = person.tenant == from;
        let called = Called { account: person.key.account, role: Role::Store };
        (found.then_some(called), person.login.clone())
    }

    fn invite(&mut self, terminal: usize) {
        let (called, _) = self.somebody(terminal);
        self.ask(terminal, Wish::Nothing, |request: RequestId| {
            Request::Invite(request, called, vec![VOICE])
        });
    }

    /// One calls the other.
    pub(crate) fn invite_terminal(&mut self, [from, to]: [usize; 2]) {
        let account = self.people[self.terminals[to].account].key.account;
        let called = Called { account, role: Role::Store };
        self.ask(from, Wish::Nothing, |request: RequestId| {
            Request::Invite(request, Some(called), vec![VOICE])
        });
    }

    /// Operators do something.
    pub(crate) fn operator(&mut self) {
        if self.now < self.checks.acts_until {
            let wait = self.chance.time(300 * MS, 6 * SECOND);
            self.later(wait, Event::Operate);
        }
        match self.chance.below(10) {
            0..4 => self.suspend_somebody(),
            4..6 => self.reactivate_somebody(),
            6 => self.change_policy(),
            7 | 8 => {
                let relay = super::relay::relay_id(self.chance.below(self.relays.len()));
                let on = self.chance.one_in(3);
                self.ask_operator(Deed::Drain(relay, on));
            }
            _ => {
                let calls = self.terminals.iter().flat_map(|it| it.view.calls.keys().copied());
                let calls: Vec<_> = calls.collect();
                if let Some(call) = calls.get(self.chance.below(calls.len().max(1))) {
                    self.ask_operator(Deed::EndCall(*call));
                }
            }
        }
    }

    fn a_node(&mut self) -> Option<usize> {
        let node = self.chance.below(self.nodes.len());
        let there = &self.nodes[node];
        (there.alive && there.stands_until <= self.now).then_some(node)
    }

    fn ask_operator(&mut self, deed: Deed) {
        if let Some(node) = self.a_node() {
            let ask = self.number();
            self.operate(node, ask, deed);
        }
    }

    /// What was asked was not done, as far as anybody knows: it is asked again.
    pub(crate) fn ask_again(&mut self, ask: u64) {
        let Some((deed, accounts)) = self.checks.asked.remove(&ask) else { return };
        let ask = self.number();
        self.checks.asked.insert(ask, (deed.clone(), accounts));
        let node = self.a_node();
        self.later(if node.is_some() { 11 * SECOND } else { SECOND }, Event::AskAgain(ask));
        if let Some(node) = node {
            self.operate(node, ask, deed);
        }
    }

    fn subject(&mut self) -> (Subject, Vec<usize>) {
        let who = self.chance.below(self.people.len());
        let person = self.people[who].clone();
        let tenant = TENANTS[person.tenant].0.to_owned();
        if self.chance.one_in(8) {
            let all = self.people.iter().enumerate();
            let all = all.filter(|(_, it)| it.tenant == person.tenant).map(|(at, _)| at);
            return (Subject::Tenant { tenant }, all.collect());
        }
        (Subject::Account { tenant, login: person.login }, vec![who])
    }

    fn suspend_somebody(&mut self) {
        let Some(node) = self.a_node() else { return };
        if !self.reaches_store(node) {
            return;
        }
        self.store.set_reached(true);
        let (subject, who) = self.subject();
        let wall = self.clock_of(node).wall;
        let Ok(revocation) = at_once(self.accounts.suspend(&subject, None, wall)) else { return };
        self.checks.written.push((subject, who.clone()));
        self.stats.suspended += 1;
        let ask = self.number();
        let deed = Deed::Revoke(revocation);
        self.checks.asked.insert(ask, (deed.clone(), who));
        self.later(11 * SECOND, Event::AskAgain(ask));
        self.operate(node, ask, deed);
    }

    fn reactivate_somebody(&mut self) {
        let Some(node) = self.a_node() else { return };
        if !self.reaches_store(node) {
            return;
        }
        if self.checks.written.is_empty() {
            return;
        }
        let at = self.chance.below(self.checks.written.len());
        let (subject, who) = self.checks.written[at].clone();
        self.store.set_reached(true);
        if at_once(self.accounts.reactivate(&subject)).is_err() {
            return;
        }
        self.checks.written.retain(|(other, _)| *other != subject);
        for account in who {
            let current = at_once(self.accounts.current(self.people[account].key));
            if current.is_ok_and(|current| current.is_some()) {
                self.checks.suspended[account] = None;
            }
        }
    }

    fn change_policy(&mut self) {
        let Some(node) = self.a_node() else { return };
        if !self.reaches_store(node) {
            return;
        }
        let tenant = self.chance.below(TENANTS.len());
        if let Some(id) = self.set_policy(tenant) {
            let ask = self.number();
            self.operate(node, ask, Deed::Reread(id));
        }
    }

    /// What the tenants' calls are like when a run begins.
    pub(crate) fn first_policies(&mut self) {
        for tenant in 0..TENANTS.len() {
            self.set_policy(tenant);
        }
    }

    fn set_policy(&mut self, tenant: usize) -> Option<TenantId> {
        self.store.set_reached(true);
        let mut limits = TenantLimits::default();
        if self.chance.one_in(2) {
            limits.lane = Lane::Seal;
        }
        if self.chance.one_in(3) {
            limits.protection = Protection::Hitless;
        }
        let name = TENANTS[tenant].0;
        let changed = at_once(self.accounts.set_policy(name, Some(limits), None));
        Some(changed.ok()?.tenant.id)
    }

    /// The lead has done what an operator asked.
    pub(crate) fn deed_done(&mut self, ask: u64) {
        let Some((Deed::Revoke(_), accounts)) = self.checks.asked.remove(&ask) else { return };
        self.store.set_reached(true);
        for account in accounts {
            // It may be active again by now.
            let current = at_once(self.accounts.current(self.people[account].key));
            if current.is_ok_and(|current| current.is_none()) {
                let now = self.now;
                self.checks.suspended[account].get_or_insert(now);
            }
        }
    }
}
