//! A node's sessions, and its gate: who connects is checked against the store, let in by the lead,
//! and handed over to the next one. As `control/src/nodes/switch.rs` does it, in the simulator's
//! time.

use super::chance::MS;
use super::lead::Way;
use super::message::{Deed, FromNode, FromTerminal, ToNode, Token, Told};
use super::net::ConnId;
use super::store::at_once;
use super::world::{Event, World};
use kakehashi_control::capacity::REVOKED_KEPT;
use kakehashi_control::capacity::nodes::{ASKED_MAX, LEADLESS_PATIENCE};
use kakehashi_control::coordinator::{Request, retry_after_ms};
use kakehashi_wire::id::{DeviceId, RequestId, SessionId, Term};
use kakehashi_wire::node::{AgentOrder, Arrival};
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{Refusal, Refused, SessionEnd, ToTerminal};
use std::collections::{BTreeMap, VecDeque};

const OF_HAND_OVER: RequestId = RequestId(0);

/// The way to the lead.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Route {
    Own(Term),
    Peer(ConnId),
}

/// The sessions of a node.
#[derive(Default)]
pub(crate) struct Switch {
    pub(crate) route: Option<Route>,
    pub(crate) held: BTreeMap<SessionId, Held>,
    at_lead: BTreeMap<SessionId, SessionId>,
    /// Which time of waiting for a lead it is, and whether it is over.
    patience: u64,
    given_up: bool,
    /// Until when arrivals are looked at: a lead that has just begun was not told of what ended.
    stale_until: u64,
    /// What operators asked here and the lead has not done.
    pub(crate) deeds: BTreeMap<u64, Deed>,
}

/// One session.
pub(crate) struct Held {
    pub(crate) arrival: Arrival,
    pub(crate) conn: ConnId,
    let_in: bool,
    at_lead: Option<SessionId>,
    watches: bool,
    /// What a lead knew of its agent last, and when that was said.
    agent: Option<(AgentOrder, u64)>,
    asked: VecDeque<(Request, bool)>,
}

impl World {
    /// A terminal says something to a node.
    pub(crate) fn gate_hears(&mut self, node: usize, conn: ConnId, said: FromTerminal) {
        let life = self.nodes[node].life;
        match said {
            FromTerminal::SignIn { account, device, token } => {
                let wait = self.chance.time(MS, 60 * MS);
                self.later(wait, Event::Gate(node, life, conn, account, device, token));
            }
            FromTerminal::Asks(request) => {
                let mut held = self.nodes[node].switch.held.iter();
                let session = held.find(|(_, it)| it.conn == conn).map(|(id, _)| *id);
                if let Some(session) = session {
                    self.switch_asked(node, session, request);
                }
            }
        }
    }

    /// A sign-in is checked: what the real gate reads decides.
    pub(crate) fn gate(
        &mut self,
        node: usize,
        conn: ConnId,
        account: usize,
        (device, token): (DeviceId, Option<Token>),
    ) {
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let person = self.people[account].clone();
        let current = match at_once(self.accounts.current(person.key)) {
            Ok(Some(current)) => current,
            Ok(None) => return self.say(conn, 1, Told::No(Refusal::BadCredentials)),
            Err(_) => return self.say(conn, 1, Told::No(Refusal::StoreUnavailable)),
        };
        if token.is_some_and(|token| token.epochs != current.epochs) {
            return self.say(conn, 1, Told::No(Refusal::Expired));
        }
        let session = SessionId(self.chance.bits() | 1);
        let arrival = Arrival {
            session,
            request: RequestId(u32::MAX),
            account: person.key,
            login: person.login.clone(),
            display: person.login,
            role: current.role,
            device,
            software: "simulated 1.0.0".into(),
            epochs: current.epochs,
            token: ResumeToken::none(),
            resumes: token.map(|token| token.first),
            is_handed_over: false,
            is_away: false,
            seen_at: kakehashi_wire::media::Host::UNKNOWN,
            agent: None,
        };
        let held = Held {
            arrival,
            conn,
            let_in: false,
            at_lead: None,
            watches: false,
            agent: None,
            asked: VecDeque::new(),
        };
        // It is checked here, and reaches the lead later: a suspension may come in between.
        let wait = self.chance.time(0, 20 * MS);
        let life = self.nodes[node].life;
        self.later(wait, Event::Arrived(node, life, Box::new(held)));
    }

    /// Somebody who was checked comes to the switch.
    pub(crate) fn arrived(&mut self, node: usize, held: Held) {
        let (session, conn) = (held.arrival.session, held.conn);
        if !self.has_side(conn, 1) {
            return;
        }
        let switch = &mut self.nodes[node].switch;
        switch.held.insert(session, held);
        if switch.route.is_none() && switch.given_up {
            return self.refuse_arrival(node, session);
        }
        let is_looked_at = self.now < switch.stale_until;
        if switch.route.is_some() {
            self.hand_over(node, session);
        }
        if is_looked_at {
            self.look_soon(node);
        }
    }

    /// Rights that have ended are looked for.
    fn look_soon(&mut self, node: usize) {
        let (life, wait) = (self.nodes[node].life, self.chance.time(MS, 100 * MS));
        self.later(wait, Event::Stale(node, life));
    }

    fn refuse_arrival(&mut self, node: usize, session: SessionId) {
        if let Some(held) = self.nodes[node].switch.held.remove(&session) {
            self.say(held.conn, 1, Told::No(Refusal::Busy));
        }
    }

    fn push(&mut self, node: usize, said: FromNode) {
        let life = self.nodes[node].life;
        match self.nodes[node].switch.route {
            None => {}
            Some(Route::Own(term)) => {
                self.later(0, Event::ToCore((node, life, term), Box::new(said)));
            }
            Some(Route::Peer(link)) => self.say(link, 0, said),
        }
    }

    /// Another way to the lead, or none.
    pub(crate) fn set_route(&mut self, node: usize, route: Option<Route>) {
        let life = self.nodes[node].life;
        let switch = &mut self.nodes[node].switch;
        let had_lead = switch.route.is_some();
        switch.route = route;
        switch.at_lead.clear();
        let undecided = switch.held.iter().filter(|(_, it)| !it.let_in && it.at_lead.is_some());
        let undecided: Vec<_> = undecided.map(|(session, _)| *session).collect();
        undecided.into_iter().for_each(|session| self.refuse_arrival(node, session));
        let switch = &mut self.nodes[node].switch;
        switch.held.values_mut().for_each(|held| held.at_lead = None);
        if route.is_none() {
            if had_lead {
                switch.patience += 1;
                let patience = u64::try_from(LEADLESS_PATIENCE.as_micros()).unwrap_or(u64::MAX);
                let which = switch.patience;
                self.later(patience, Event::Patience(node, life, which));
            }
            return;
        }
        switch.given_up = false;
        switch.patience += 1;
        let sessions: Vec<_> = switch.held.keys().copied().collect();
        let deeds: Vec<_> = switch.deeds.iter().map(|(ask, deed)| (*ask, deed.clone())).collect();
        sessions.into_iter().for_each(|session| self.hand_over(node, session));
        deeds.into_iter().for_each(|(ask, deed)| self.push(node, FromNode::Does(ask, deed)));
        let kept = u64::try_from(REVOKED_KEPT.as_micros()).unwrap_or(u64::MAX);
        self.nodes[node].switch.stale_until = self.now + kept;
        self.look_soon(node);
    }

    fn hand_over(&mut self, node: usize, session: SessionId) {
        let number = SessionId(self.chance.bits() | 1);
        let now = self.now;
        let switch = &mut self.nodes[node].switch;
        let Some(held) = switch.held.get_mut(&session) else { return };
        let at_lead = if held.let_in { number } else { session };
        switch.at_lead.insert(at_lead, session);
        held.at_lead = Some(at_lead);
        let agent = held.agent.as_ref().map(|(agent, since)| {
            let passed = u32::try_from((now - since) / MS).unwrap_or(u32::MAX);
            AgentOrder { wrap_up_ms: agent.wrap_up_ms.saturating_sub(passed), ..agent.clone() }
        });
        let arrival = Arrival { session: at_lead, agent, ..held.arrival.clone() };
        let again = (Request::Watch(OF_HAND_OVER, Vec::new()), false);
        let watches = held.watches.then_some(again);
        let asked: Vec<_> = watches.into_iter().chain(held.asked.iter().cloned()).collect();
        held.asked.retain(|(request, is_known)| !is_known || request.may_be_repeated());
        held.asked.iter_mut().for_each(|(_, is_known)| *is_known = true);
        self.push(node, FromNode::Arrived(Box::new(arrival)));
        for (request, is_known) in asked {
            if is_known && !request.may_be_repeated() {
                self.refuse_request(node, session, &request);
            } else {
                self.push(node, FromNode::Asked(at_lead, request));
            }
        }
    }

    fn refuse_request(&mut self, node: usize, session: SessionId, request: &Request) {
        let conn = self.nodes[node].switch.held.get(&session).map(|held| held.conn);
        let Some((conn, request)) = conn.zip(request.number()) else { return };
        let reason = Refusal::Busy;
        let refused = Refused { request, reason, retry_after_ms: retry_after_ms(reason) };
        self.say(conn, 1, Told::Says(refused.into()));
    }

    fn switch_asked(&mut self, node: usize, session: SessionId, request: Request) {
        let switch = &mut self.nodes[node].switch;
        let given_up = switch.route.is_none() && switch.given_up;
        let Some(held) = switch.held.get_mut(&session) else { return };
        held.watches |= matches!(request, Request::Watch(..));
        let is_kept = match request.number() {
            None => true,
            Some(_) if given_up || held.asked.len() >= ASKED_MAX => false,
            Some(_) => {
                held.asked.push_back((request.clone(), held.at_lead.is_some()));
                true
            }
        };
        if given_up || !is_kept {
            self.refuse_request(node, session, &request);
        } else if let Some(at_lead) = held.at_lead {
            self.push(node, FromNode::Asked(at_lead, request));
        }
    }

    /// A session is over here; its terminal may come back.
    pub(crate) fn switch_left(&mut self, node: usize, session: SessionId, may_return: bool) {
        let Some(held) = self.nodes[node].switch.held.remove(&session) else { return };
        if let Some(at_lead) = held.at_lead {
            self.nodes[node].switch.at_lead.remove(&at_lead);
            self.push(node, FromNode::Left(at_lead, may_return));
        }
    }

    /// A terminal's connection to this node is gone.
    pub(crate) fn gate_lost(&mut self, node: usize, conn: ConnId) {
        let held = self.nodes[node].switch.held.iter();
        let sessions: Vec<_> = held.filter(|(_, it)| it.conn == conn).map(|(id, _)| *id).collect();
        sessions.into_iter().for_each(|session| self.switch_left(node, session, true));
    }

    fn end(&mut self, node: usize, session: SessionId, reason: SessionEnd, may_return: bool) {
        let conn = self.nodes[node].switch.held.get(&session).map(|held| held.conn);
        if let Some(conn) = conn {
            self.say(conn, 1, Told::Over(reason));
            self.switch_left(node, session, may_return);
            self.lose(conn, 1, true);
        }
    }

    /// The lead says something to this node's switch.
    pub(crate) fn switch_hears(&mut self, node: usize, said: ToNode) {
        match said {
            ToNode::Verdict(at_lead, refused) => {
                let switch = &mut self.nodes[node].switch;
                let Some(session) = switch.at_lead.get(&at_lead).copied() else { return };
                let Some(held) = switch.held.get_mut(&session) else { return };
                match (held.let_in, refused) {
                    (false, None) => {
                        let first = held.arrival.resumes.unwrap_or(held.arrival.session);
                        let token = Token { first, epochs: held.arrival.epochs };
                        held.let_in = true;
                        held.arrival.resumes = Some(first);
                        held.arrival.request = OF_HAND_OVER;
                        held.arrival.is_handed_over = true;
                        let conn = held.conn;
                        self.say(conn, 1, Told::Token(token));
                    }
                    (false, Some(rejection)) => {
                        let conn = held.conn;
                        self.say(conn, 1, Told::No(rejection.reason));
                        self.switch_left(node, session, false);
                    }
                    (true, None) => {}
                    (true, Some(_)) => self.end(node, session, SessionEnd::NodeStopping, true),
                }
            }
            ToNode::Say(at_lead, answers, said) => {
                let switch = &mut self.nodes[node].switch;
                let Some(session) = switch.at_lead.get(&at_lead).copied() else { return };
                let Some(held) = switch.held.get_mut(&session) else { return };
                if let Some(answered) = answers {
                    held.asked.retain(|(request, _)| request.number() != Some(answered));
                    let is_resumed = matches!(said, ToTerminal::Resumed(_));
                    if answered == OF_HAND_OVER && !is_resumed {
                        return;
                    }
                }
                let conn = held.conn;
                self.say(conn, 1, Told::Says(said));
            }
            ToNode::End(at_lead, reason) => {
                let session = self.nodes[node].switch.at_lead.get(&at_lead).copied();
                if let Some(session) = session {
                    self.end(node, session, reason, false);
                }
            }
            ToNode::Remember(at_lead, agent) => {
                let now = self.now;
                let switch = &mut self.nodes[node].switch;
                let session = switch.at_lead.get(&at_lead);
                if let Some(held) = session.and_then(|session| switch.held.get_mut(session)) {
                    held.agent = Some((agent, now));
                }
            }
            ToNode::Did(ask) => {
                if self.nodes[node].switch.deeds.remove(&ask).is_some() {
                    self.deed_done(ask);
                }
            }
            ToNode::Beat(_) => {}
        }
    }

    /// There has been no lead for too long.
    pub(crate) fn patience_over(&mut self, node: usize, which: u64) {
        let switch = &mut self.nodes[node].switch;
        if switch.patience != which || switch.route.is_some() {
            return;
        }
        switch.given_up = true;
        let sessions: Vec<_> = switch.held.keys().copied().collect();
        for session in sessions {
            let Some(held) = self.nodes[node].switch.held.get_mut(&session) else { continue };
            if !held.let_in {
                self.refuse_arrival(node, session);
                continue;
            }
            let waiting: Vec<_> = held.asked.drain(..).map(|(request, _)| request).collect();
            waiting.iter().for_each(|request| self.refuse_request(node, session, request));
        }
    }

    /// Whose rights ended while no lead could be told is found in the store.
    pub(crate) fn look_for_stale(&mut self, node: usize) {
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let held = self.nodes[node].switch.held.iter();
        let granted =
            held.map(|(id, it)| (*id, it.arrival.account, it.arrival.device, it.arrival.epochs));
        let granted: Vec<_> = granted.collect();
        let mut unread = false;
        for (session, account, device, epochs) in granted {
            match at_once(self.accounts.still_counts(account, device, epochs)) {
                Ok(true) => {}
                Ok(false) => self.end(node, session, SessionEnd::NodeStopping, false),
                Err(_) => unread = true,
            }
        }
        if unread {
            let life = self.nodes[node].life;
            self.later(500 * MS, Event::Stale(node, life));
        }
    }

    /// An operator asks this node for something.
    pub(crate) fn operate(&mut self, node: usize, ask: u64, deed: Deed) {
        self.nodes[node].switch.deeds.insert(ask, deed.clone());
        self.push(node, FromNode::Does(ask, deed));
        let life = self.nodes[node].life;
        self.later(10_000 * MS, Event::DeedOver(node, life, ask));
    }

    /// What this node's own core is asked.
    pub(crate) fn own_asks(&mut self, core: super::carrier::CoreId, said: FromNode) {
        self.guest_says(core, Way::Own, said);
    }
}
