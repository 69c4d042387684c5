//! One round: every door is signed in to, and every relay carries a call of its own.
//!
//! **Which relays there are is learnt from the calls.** Each call comes with a primary and, as a
//! rule, a standby at another site; both hold its legs, and whoever sends over one alone is carried
//! by that one alone. A call whose relays have all been heard is put on hold and kept: control
//! gives the next call to those that have less to do, which on a quiet platform are the others. On
//! a busy one calls spread by themselves. What the settings expect and no call was given for too
//! long is missing.

use super::call::{Call, Carried, place};
use super::config::{Account, Config};
use super::fault::{Fault, Finding};
use super::judge;
use super::record::{Relay, Round, SignIn};
use super::session::Session;
use crate::capacity::{
    CALLS_HELD_MAX, CALLS_IN_VAIN_MAX, CALLS_PER_ROUND_MAX, FINDINGS_MAX, RELAY_REMEMBERED,
    RELAYS_MAX,
};
use crate::clock::{Clock, unix_now_s};
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_wire::id::RelayId;
use std::collections::{BTreeMap, BTreeSet};

/// A probe over its rounds. What it remembers is bounded: when which relay was seen last.
pub struct Prober {
    config: Config,
    is_patient: bool,
    rounds: usize,
    began_unix_s: u64,
    seen: BTreeMap<RelayId, Seen>,
}

/// A relay that was given to a call.
#[derive(Clone, Copy)]
struct Seen {
    /// When last, in seconds since 1970.
    unix_s: u64,
    /// Whether the last call that it carried went well; so it counts until it has.
    ok: bool,
}

/// What a round has found so far.
#[derive(Default)]
struct Found {
    sign_ins: Vec<SignIn>,
    setups: Vec<Duration>,
    tested: BTreeMap<RelayId, Tested>,
    faults: Vec<Finding>,
}

/// A relay that had its call.
struct Tested {
    address: Option<SocketAddr>,
    carried: Carried,
    ok: bool,
}

impl Prober {
    /// A probe with these settings. One that `is_patient` waits for `relay_missing_after_s` before
    /// it calls a relay missing.
    pub fn new(config: Config, is_patient: bool) -> Self {
        let (seen, began_unix_s) = (BTreeMap::new(), unix_now_s());
        Self { config, is_patient, rounds: 0, began_unix_s, seen }
    }

    /// Makes a round.
    pub async fn round(&mut self) -> Round {
        let (clock, began_unix_s) = (Clock::start(), unix_now_s());
        let mut found = Found::default();
        if let Some((mut caller, mut callee)) = self.sign_in(&mut found).await {
            if let Err(finding) = self.tour(&mut caller, &mut callee, &mut found).await {
                found.faults.push(finding);
            }
            caller.end().await;
            callee.end().await;
        }
        self.rounds = self.rounds.wrapping_add(1);
        let now = unix_now_s();
        self.forget(now);
        let missing = self.missing(now, &mut found);
        let took_ms = u64::try_from(clock.now().as_millis()).unwrap_or(u64::MAX);
        found.faults.truncate(FINDINGS_MAX);
        Round {
            began_unix_s,
            took_ms,
            ok: found.faults.is_empty(),
            setup_ms: found.setups.iter().max().map(|setup| millis(*setup)),
            relays: self.relays(&found, &missing),
            sign_ins: found.sign_ins,
            faults: found.faults,
        }
    }

    /// Signs the caller in at every node, one after the other, since a device has one session; the
    /// last one, which is another in each round, stays. The called side goes to another node if
    /// there is one. Only nodes that let the caller in are good for that.
    async fn sign_in(&self, found: &mut Found) -> Option<(Session, Session)> {
        let (nodes, caller) = (&self.config.control, &self.config.caller);
        let (mut good, mut stays) = (Vec::with_capacity(nodes.len()), None);
        for turn in 1..=nodes.len() {
            let node = &nodes[self.rounds.wrapping_add(turn) % nodes.len()];
            let Some(session) = self.sign_in_at(node, caller, found).await else { continue };
            good.push(node);
            if turn == nodes.len() {
                stays = Some(session);
            } else {
                session.end().await;
            }
        }
        if stays.is_none() {
            stays = self.sign_in_at(good.last()?, caller, found).await;
        }
        let caller = stays?;
        match self.sign_in_at(good.first()?, &self.config.callee, found).await {
            Some(callee) => Some((caller, callee)),
            None => {
                caller.end().await;
                None
            }
        }
    }

    async fn sign_in_at(
        &self,
        node: &str,
        account: &Account,
        found: &mut Found,
    ) -> Option<Session> {
        let started = match self.config.settings(account, node) {
            Ok(settings) => Session::start(settings).await,
            Err(error) => Err(Finding::new(Fault::ProbeBroken, format!("{error:#}"))),
        };
        let (control, login) = (node.to_owned(), account.login.clone());
        let who = format!("{login} at {control}");
        match started {
            Ok((session, took)) => {
                let slow = judge::of_sign_in(&who, took, &self.config.limits);
                let (ok, ms) = (slow.is_none(), Some(millis(took)));
                found.faults.extend(slow);
                found.sign_ins.push(SignIn { control, login, ok, ms });
                Some(session)
            }
            Err(finding) => {
                found.faults.push(finding);
                found.sign_ins.push(SignIn { control, login, ok: false, ms: None });
                None
            }
        }
    }

    /// Has every relay carry a call. Fails with what keeps it from going on.
    async fn tour(
        &mut self,
        caller: &mut Session,
        callee: &mut Session,
        found: &mut Found,
    ) -> Result<(), Finding> {
        let mut held: Vec<Call> = Vec::new();
        let mut done = Ok(());
        for _ in 0..CALLS_PER_ROUND_MAX {
            let step = self.call(caller, callee, found).await;
            let fruitless = match step {
                Ok(fruitless) => fruitless,
                Err(finding) => {
                    done = Err(finding);
                    break;
                }
            };
            if let Some(call) = fruitless {
                let most = if self.misses(found) { CALLS_HELD_MAX } else { CALLS_IN_VAIN_MAX - 1 };
                done = if held.len() < most { call.hold(caller, callee).await } else { Ok(()) };
                let is_last = held.len() >= most || done.is_err();
                held.push(call);
                if is_last {
                    break;
                }
            } else if self.config.relays_wanted() > 0 && !self.misses(found) {
                break;
            }
        }
        for call in held {
            let ended = call.end(caller, callee).await;
            done = done.and(ended);
        }
        done
    }

    /// Places a call and has one of its relays carry it that has not had its turn; gives the call
    /// if there is none.
    async fn call(
        &mut self,
        caller: &mut Session,
        callee: &mut Session,
        found: &mut Found,
    ) -> Result<Option<Call>, Finding> {
        let call = place(caller, callee).await?;
        found.setups.push(call.setup);
        let slow = judge::of_setup(call.setup, &self.config.limits);
        let was_slow = |finding: &Finding| finding.fault == Fault::SetupSlow;
        if !found.faults.iter().any(was_slow) {
            found.faults.extend(slow);
        }
        let now = unix_now_s();
        for relay in call.relays() {
            if self.seen.len() < RELAYS_MAX || self.seen.contains_key(&relay) {
                self.seen.entry(relay).or_insert(Seen { unix_s: now, ok: true }).unix_s = now;
            }
        }
        let is_due =
            |relay: &RelayId| self.seen.contains_key(relay) && !found.tested.contains_key(relay);
        let Some(relay) = call.relays().find(is_due) else { return Ok(Some(call)) };
        let carried = call.carry(relay, self.config.talk(), (caller, callee)).await?;
        let address = call.address(relay);
        let name = self.name(relay, address);
        let faults = judge::of_relay(&name, &carried, &self.config.limits);
        let is_broken = carried.broken.is_some();
        if let Some(seen) = self.seen.get_mut(&relay) {
            seen.ok = faults.is_empty();
        }
        found.tested.insert(relay, Tested { address, carried, ok: faults.is_empty() });
        found.faults.extend(faults);
        if !is_broken {
            call.end(caller, callee).await?;
        }
        Ok(None)
    }

    fn name(&self, relay: RelayId, address: Option<SocketAddr>) -> String {
        let site = self.config.site(relay);
        let address = address.map_or_else(String::new, |address| format!(", {address}"));
        format!("relay {} ({site}{address})", relay.0)
    }

    /// Relays that are to be seen: those that the settings name, and those that were there lately.
    fn wanted(&self) -> BTreeSet<RelayId> {
        let named = self.config.relays.iter().map(|relay| RelayId(relay.id));
        named.chain(self.seen.keys().copied()).collect()
    }

    /// Whether a relay that is to be seen has not had its turn.
    fn misses(&self, found: &Found) -> bool {
        found.tested.len() < self.config.relays_expected
            || self.wanted().iter().any(|relay| !found.tested.contains_key(relay))
    }

    fn forget(&mut self, now: u64) {
        let recent = |seen: u64| now.saturating_sub(seen) <= RELAY_REMEMBERED.as_secs();
        let config = &self.config;
        let is_named = |relay: &RelayId| config.relays.iter().any(|it| it.id == relay.0);
        self.seen.retain(|relay, seen| recent(seen.unix_s) || is_named(relay));
    }

    /// Relays that were given to no call for too long. Says nothing if no call came about: then it
    /// is not known what control would have given.
    fn missing(&self, now: u64, found: &mut Found) -> BTreeSet<RelayId> {
        if found.setups.is_empty() {
            return BTreeSet::new();
        }
        let after = if self.is_patient { self.config.relay_missing_after_s } else { 0 };
        let seen_at =
            |relay: &RelayId| self.seen.get(relay).map_or(self.began_unix_s, |it| it.unix_s);
        let is_late = |relay: &RelayId| now.saturating_sub(seen_at(relay)) >= after;
        let untested = |relay: &RelayId| !found.tested.contains_key(relay);
        let wanted = self.wanted();
        let missing: BTreeSet<_> =
            wanted.into_iter().filter(|relay| untested(relay) && is_late(relay)).collect();
        for relay in &missing {
            let what = format!("{} is given to no call", self.name(*relay, None));
            found.faults.push(Finding::new(Fault::RelayMissing, what));
        }
        let is_recent = |seen: &&Seen| now.saturating_sub(seen.unix_s) <= after;
        let lately = self.seen.values().filter(is_recent).count();
        let (there, expected) = (lately.max(found.tested.len()), self.config.relays_expected);
        let waited = now.saturating_sub(self.began_unix_s) >= after;
        if missing.is_empty() && there < expected && waited {
            let what = format!("{there} relays are given to calls, {expected} are expected");
            found.faults.push(Finding::new(Fault::RelayMissing, what));
        }
        missing
    }

    fn relays(&self, found: &Found, missing: &BTreeSet<RelayId>) -> Vec<Relay> {
        let no_call = found.setups.is_empty();
        let relay = |number: RelayId| {
            let (tested, seen) = (found.tested.get(&number), self.seen.get(&number));
            let is_absent = no_call || missing.contains(&number);
            let carried = tested.map(|tested| &tested.carried);
            let address = tested.and_then(|tested| tested.address);
            Relay {
                relay: number.0,
                site: self.config.site(number).to_owned(),
                address: address.map(|address| address.to_string()),
                ok: tested.map_or_else(|| !is_absent && seen.is_none_or(|it| it.ok), |it| it.ok),
                seen_unix_s: seen.map(|seen| seen.unix_s),
                round_trip_ms: carried.and_then(|it| it.round_trip).map(millis),
                to_callee: carried.map(|it| it.to_callee.into()),
                to_caller: carried.map(|it| it.to_caller.into()),
            }
        };
        self.wanted().into_iter().take(RELAYS_MAX).map(relay).collect()
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}
