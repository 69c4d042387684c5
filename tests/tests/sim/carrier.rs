//! How what a core decides is carried out: in order, what follows a write behind the store's
//! answer, but no longer than control waits; orders of a suspension ahead of records.

use super::chance::MS;
use super::lead::Way;
use super::message::ToNode;
use super::net::ConnId;
use super::planted::Planted;
use super::store::at_once;
use super::world::{Event, World};
use kakehashi_control::calls::Kept;
use kakehashi_control::capacity::{STORE_WAIT, TURNS_PER_COMMIT_MAX};
use kakehashi_control::coordinator::{Input, Output, Write};
use kakehashi_control::fleet::{LinkId, ToLink};
use kakehashi_control::store::{StoreError, Transaction};
use kakehashi_wire::id::{CallId, Term};
use kakehashi_wire::terminal::ToTerminal;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// What came of one input.
pub(crate) struct Turn {
    pub(crate) outputs: Vec<Output>,
    /// Its orders wait for no record; who waits for them is told.
    pub(crate) urgent: Option<(Way, u64)>,
}

/// What is to be written of one call.
#[derive(Clone, Default)]
pub(crate) struct Job {
    write: Option<Write>,
    kept: Option<Kept>,
}

impl Job {
    fn then(self, later: Self) -> Self {
        let over = match &later.write {
            Some(Write::Put(record)) => record.ended.is_some(),
            Some(Write::Forget(_)) => true,
            None => false,
        };
        let kept = later.kept.or(self.kept).filter(|_| !over);
        Self { write: later.write.or(self.write), kept }
    }
}

/// The turns that wait, and what the store was asked.
#[derive(Default)]
pub(crate) struct Carrier {
    pub(crate) turns: VecDeque<Turn>,
    batch: VecDeque<Output>,
    writes: BTreeMap<CallId, Write>,
    /// What the batch stands still for, and which time of waiting it is.
    waits: Option<BTreeMap<CallId, Write>>,
    waited: u64,
    waiting: BTreeMap<CallId, Job>,
    busy: BTreeSet<CallId>,
    pub(crate) hangs: bool,
}

/// Which core: a node, its life and its term.
pub(crate) type CoreId = (usize, u64, Term);

impl World {
    /// Carries out what can be.
    pub(crate) fn carry_on(&mut self, core: CoreId) {
        while let Some(lead) = self.lead_of(core) {
            let carrier = &mut lead.carrier;
            if let Some(writes) = carrier.waits.take() {
                if !carrier.busy.is_empty() && !carrier.hangs {
                    carrier.waits = Some(writes);
                    return;
                }
                if carrier.hangs {
                    self.give_up(core, writes);
                    continue;
                }
            }
            let Some(output) = carrier.batch.pop_front() else {
                if carrier.turns.is_empty() {
                    return;
                }
                self.take_batch(core);
                continue;
            };
            if !matches!(output, Output::Write(_)) {
                self.carry(core, output);
                continue;
            }
            let writes = std::mem::take(&mut carrier.writes);
            carrier.waits = Some(writes);
            carrier.waited += 1;
            let waited = carrier.waited;
            if !carrier.busy.is_empty() && !carrier.hangs {
                let wait = u64::try_from(STORE_WAIT.as_micros()).unwrap_or(u64::MAX);
                self.later(wait, Event::StoreWait(core, waited));
            }
        }
    }

    fn take_batch(&mut self, core: CoreId) {
        let Some(lead) = self.lead_of(core) else { return };
        let count = lead.carrier.turns.len().min(TURNS_PER_COMMIT_MAX);
        let mut batch: Vec<_> = lead.carrier.turns.drain(..count).collect();
        // Links hear everything up to the last urgent turn first.
        let last = batch.iter().rposition(|turn| turn.urgent.is_some());
        for turn in batch.iter_mut().take(last.map_or(0, |last| last + 1)) {
            let said: Vec<_> =
                turn.outputs.extract_if(.., |output| matches!(output, Output::Link(_))).collect();
            said.into_iter().for_each(|output| self.carry(core, output));
            if let Some((way, ask)) = turn.urgent.take() {
                self.acknowledge(core, way, ask);
            }
        }
        let mut jobs = BTreeMap::<CallId, Job>::new();
        for output in batch.iter().flat_map(|turn| &turn.outputs) {
            let (call, job) = match output {
                Output::Write(write) => {
                    (write.record().call, Job { write: Some(write.clone()), kept: None })
                }
                Output::Keep(kept) => (kept.call, Job { write: None, kept: Some(kept.clone()) }),
                _ => continue,
            };
            let before = jobs.remove(&call).unwrap_or_default();
            jobs.insert(call, before.then(job));
        }
        for (call, job) in jobs {
            let Some(lead) = self.lead_of(core) else { return };
            lead.carrier.writes.extend(job.write.clone().map(|write| (call, write)));
            let before = lead.carrier.waiting.remove(&call).unwrap_or_default();
            lead.carrier.waiting.insert(call, before.then(job));
            self.begin_write(core, call);
        }
        let Some(lead) = self.lead_of(core) else { return };
        lead.carrier.batch.extend(batch.into_iter().flat_map(|turn| turn.outputs));
    }

    fn begin_write(&mut self, core: CoreId, call: CallId) {
        let delay = self.store_delay();
        let keeps_nothing = self.planted == Some(Planted::NothingKept);
        let Some(lead) = self.lead_of(core) else { return };
        if lead.carrier.busy.contains(&call) {
            return;
        }
        let Some(mut job) = lead.carrier.waiting.remove(&call) else { return };
        if keeps_nothing {
            job.kept = None;
        }
        lead.carrier.busy.insert(call);
        self.later(delay, Event::Write(core, call, Box::new(job)));
    }

    /// A write reaches the store.
    pub(crate) fn write(&mut self, core: CoreId, call: CallId, job: Job) {
        // What is under way reaches the store whether its node lives or not.
        let (node, _, term) = core;
        let reached = self.reaches_store(node);
        self.store.set_reached(reached);
        let stands = self.store.revision_of("x/lead");
        let Some(writer) = self.writers.get(&term).cloned() else { return };
        let (records, lives) = &*writer;
        let change = |kept: &Option<Kept>| match kept {
            Some(kept) => lives.with(Transaction::new(), kept),
            None => Ok(Transaction::new()),
        };
        let holds_up = !reached && self.chance.one_in(2);
        self.store.hold_up(holds_up);
        let kept = change(&job.kept);
        let done = kept.and_then(|kept| match (&job.write, &job.kept) {
            (Some(Write::Put(record)), _) => at_once(records.put_with(record, kept)).map(drop),
            (Some(Write::Forget(record)), _) => at_once(records.forget(record)).map(drop),
            (None, Some(it)) => at_once(lives.keep(it)),
            (None, None) => Ok(()),
        });
        self.store.hold_up(false);
        if done.is_ok() && stands != Some(term.0) {
            self.fail("fence", format!("node {node} wrote in term {term}, lead is {stands:?}"));
        }
        let answered = reached && !self.chance.happens(self.store_loss);
        self.tell(|| {
            let what = [job.write.is_some(), job.kept.is_some()];
            format!("node {node} writes {call} {what:?}: {done:?}, answered {answered}")
        });
        let (wait, done) = match (done, answered) {
            (done, true) => (self.store_delay(), done),
            (Ok(()), false) => (4_000 * MS, Err(StoreError::Unsure { what: "cut".into() })),
            (Err(error), false) => (4_000 * MS, Err(error)),
        };
        self.later(wait, Event::Saved(core, call, Box::new((job, done))));
    }

    /// The store's answer to a write.
    pub(crate) fn saved(
        &mut self,
        core: CoreId,
        call: CallId,
        job: Job,
        done: Result<(), StoreError>,
    ) {
        let Some(lead) = self.lead_of(core) else { return };
        lead.carrier.busy.remove(&call);
        self.set_hangs(core, false);
        match done {
            Ok(()) => {
                if job.write.is_some() {
                    self.feed(core, Input::Written(call));
                }
                if let Some(since) = job.kept.and_then(|kept| kept.tells) {
                    self.feed(core, Input::Kept(call, since));
                }
            }
            Err(error) => {
                if error == StoreError::Fenced {
                    self.fenced(core);
                }
                if let Some(write) = job.write {
                    self.feed(core, Input::WriteFailed(write));
                }
                if job.kept.is_some() {
                    self.feed(core, Input::KeepFailed(call));
                }
            }
        }
        self.begin_write(core, call);
        self.carry_on(core);
    }

    /// The store has not answered for as long as anybody waits.
    pub(crate) fn store_waited(&mut self, core: CoreId, waited: u64) {
        let Some(lead) = self.lead_of(core) else { return };
        let carrier = &mut lead.carrier;
        if carrier.waited != waited || carrier.busy.is_empty() {
            return;
        }
        if let Some(writes) = carrier.waits.take() {
            self.give_up(core, writes);
        }
        self.carry_on(core);
    }

    fn give_up(&mut self, core: CoreId, writes: BTreeMap<CallId, Write>) {
        self.set_hangs(core, true);
        for (call, write) in writes {
            if self.lead_of(core).is_some_and(|lead| lead.carrier.busy.contains(&call)) {
                self.feed(core, Input::WriteFailed(write));
            }
        }
    }

    fn set_hangs(&mut self, core: CoreId, hangs: bool) {
        let Some(lead) = self.lead_of(core) else { return };
        if std::mem::replace(&mut lead.carrier.hangs, hangs) != hangs {
            self.feed(core, Input::StoreHangs(hangs));
        }
    }

    fn carry(&mut self, core: CoreId, output: Output) {
        match output {
            Output::Arrival(session, verdict) => {
                let Some(lead) = self.lead_of(core) else { return };
                let way = lead.ways.get(&session).copied();
                if verdict.is_err() {
                    lead.ways.remove(&session);
                }
                if let Some(way) = way {
                    self.tell_node(core, way, ToNode::Verdict(session, verdict.err()));
                }
            }
            Output::Say(session, said) => self.tell_session(core, session, said),
            Output::Push(sessions, presence) => {
                for session in sessions {
                    self.tell_session(core, session, presence.clone().into());
                }
            }
            Output::End(session, reason) => {
                let way = self.lead_of(core).and_then(|lead| lead.ways.remove(&session));
                if let Some(way) = way {
                    self.tell_node(core, way, ToNode::End(session, reason));
                }
            }
            Output::Remember(session, agent) => {
                let way = self.lead_of(core).and_then(|lead| lead.ways.get(&session).copied());
                if let Some(way) = way {
                    self.tell_node(core, way, ToNode::Remember(session, agent));
                }
            }
            Output::Link(ToLink::Say(LinkId(link), said)) => {
                let lent = self.lead_of(core).is_some_and(|it| it.lent.contains(&ConnId(link)));
                if lent {
                    self.say(ConnId(link), 1, said);
                }
            }
            Output::Link(ToLink::Close(LinkId(link), _)) => {
                let lent = self.lead_of(core).is_some_and(|it| it.lent.remove(&ConnId(link)));
                if lent {
                    self.lose(ConnId(link), 1, true);
                }
            }
            Output::Write(_)
            | Output::Keep(_)
            | Output::Refused(..)
            | Output::Missed(_)
            | Output::Removed(..)
            | Output::NewerTerm(_)
            | Output::Unprotected(..) => {}
        }
    }

    fn tell_session(
        &mut self,
        core: CoreId,
        session: kakehashi_wire::id::SessionId,
        said: ToTerminal,
    ) {
        let way = self.lead_of(core).and_then(|lead| lead.ways.get(&session).copied());
        if let Some(way) = way {
            let answers = said.answers();
            self.tell_node(core, way, ToNode::Say(session, answers, said));
        }
    }
}
