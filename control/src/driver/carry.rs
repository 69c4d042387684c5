//! Carries out what the core decided, in order; what follows a write waits for the disk, but not
//! longer than [`STORE_WAIT`].

use super::refusals::Refusals;
use super::saver::{Job, Saver};
use super::{Attach, Seat, Turn, Verdict, story};
use crate::admin::MediaEnd;
use crate::capacity::{STORE_WAIT, TURNS_PER_COMMIT_MAX};
use crate::coordinator::{Input, Output, Write};
use crate::fleet::{LinkId, ToLink};
use crate::gate::{Outbox, Said};
use crate::metrics::Metrics;
use crate::missed::Deed;
use crate::nodes::Queue;
use crate::sessions::Revocation;
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::limits::SESSIONS_PER_PUSH_MAX;
use kakehashi_wire::node::{Push, ToNode};
use kakehashi_wire::relay::ToRelay;
use kakehashi_wire::terminal::{Presence, ToTerminal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

/// The ends of all connections, and the store.
pub(super) struct Carrier {
    outboxes: HashMap<SessionId, Outbox>,
    verdicts: HashMap<SessionId, Verdict>,
    links: HashMap<LinkId, mpsc::Sender<ToRelay>>,
    /// Each is answered within [`REMOVAL_PATIENCE`](crate::capacity::REMOVAL_PATIENCE).
    waiting: Vec<(Revocation, oneshot::Sender<MediaEnd>)>,
    saver: Saver,
    feedback: mpsc::UnboundedSender<Input>,
    missed: mpsc::Sender<Deed>,
    refusals: Refusals,
    metrics: Arc<Metrics>,
}

impl Carrier {
    pub(super) fn new(
        saver: Saver,
        feedback: mpsc::UnboundedSender<Input>,
        missed: mpsc::Sender<Deed>,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            outboxes: HashMap::new(),
            verdicts: HashMap::new(),
            links: HashMap::new(),
            waiting: Vec::new(),
            saver,
            feedback,
            missed,
            refusals: Refusals::new(),
            metrics,
        }
    }

    /// Carries out turns until the core ends.
    pub(super) async fn run(mut self, mut turns: mpsc::Receiver<Turn>) {
        let mut batch = Vec::new();
        loop {
            let received = tokio::select! {
                received = turns.recv_many(&mut batch, TURNS_PER_COMMIT_MAX) => received,
                () = self.saver.step() => continue,
            };
            if received == 0 {
                break;
            }
            self.overtake(&mut batch);
            let mut writes = self.submit(&mut batch);
            for turn in batch.drain(..) {
                if let Some(attach) = turn.attach {
                    self.attach(attach);
                }
                for output in turn.outputs {
                    // At the first write, all of the batch are waited for: they share a flush.
                    if matches!(output, Output::Write(_)) {
                        self.wait_for(std::mem::take(&mut writes)).await;
                    }
                    match output {
                        Output::Missed(deed) => {
                            let _stopping = self.missed.send(deed).await;
                        }
                        output => self.carry(output),
                    }
                }
            }
        }
        let settled = async {
            while self.saver.owes_anything() {
                self.saver.step().await;
            }
        };
        if timeout(STORE_WAIT, settled).await.is_err() {
            tracing::error!(
                event = "call_ends_not_stored",
                "the store does not answer: what became of some calls is not written"
            );
        }
    }

    /// Has everything of the batch written. Returns the last write of each call.
    fn submit(&mut self, batch: &mut [Turn]) -> BTreeMap<CallId, Write> {
        let mut jobs = BTreeMap::<CallId, Job>::new();
        for output in batch.iter_mut().flat_map(|turn| &mut turn.outputs) {
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
        let mut writes = BTreeMap::new();
        for (call, job) in jobs {
            writes.extend(job.write.clone().map(|write| (call, write)));
            self.saver.submit(call, job);
        }
        writes
    }

    /// Waits until these are on disk, and all that was decided before them: what is told after a
    /// write is never more than another core would know. While the store hangs, nobody waits.
    async fn wait_for(&mut self, writes: BTreeMap<CallId, Write>) {
        let saver = &mut self.saver;
        let answered = async {
            while saver.owes_anything() && !saver.hangs() {
                saver.step().await;
            }
        };
        let in_time = timeout(STORE_WAIT, answered).await.is_ok();
        if !in_time || self.saver.hangs() {
            self.saver.give_up(writes);
        }
    }

    /// Carries out what the links are told up to the last urgent turn, before any record is
    /// written. In order: an order that overtook an earlier one to the same relay would be undone
    /// by it.
    fn overtake(&mut self, batch: &mut [Turn]) {
        let last = batch.iter().rposition(|turn| turn.urgent.is_some());
        let Some(last) = last else { return };
        for turn in &mut batch[..=last] {
            let is_link =
                |attach: &mut Attach| matches!(attach, Attach::Link(..) | Attach::GoneLink(_));
            if let Some(attach) = turn.attach.take_if(is_link) {
                self.attach(attach);
            }
            let said = turn.outputs.extract_if(.., |output| matches!(output, Output::Link(_)));
            for output in said {
                self.carry(output);
            }
            if let Some(done) = turn.urgent.take() {
                let _gone = done.send(());
            }
        }
    }

    fn attach(&mut self, attach: Attach) {
        match attach {
            Attach::Session(session, outbox, verdict) => {
                self.outboxes.insert(session, outbox);
                self.verdicts.extend(verdict.map(|verdict| (session, verdict)));
            }
            Attach::Link(link, orders) => {
                self.links.insert(link, orders);
            }
            Attach::GoneSession(session) => {
                self.outboxes.remove(&session);
            }
            Attach::GoneLink(link) => {
                self.links.remove(&link);
            }
            Attach::Waits(revocation, removed) => self.waiting.push((revocation, removed)),
        }
    }

    fn carry(&mut self, output: Output) {
        self.metrics.carries(&output);
        match output {
            Output::Arrival(session, verdict) => {
                if let Err(rejection) = &verdict {
                    self.refusals.turned_away(session, rejection.reason);
                }
                if let Some(outbox) = self.outboxes.get(&session) {
                    outbox.decided(verdict.err());
                }
                if verdict.is_err() {
                    self.outboxes.remove(&session);
                }
                if let Some(waiting) = self.verdicts.remove(&session) {
                    let feedback = self.feedback.clone();
                    let end = move |session| {
                        let _stopping = feedback.send(Input::Gone(session));
                    };
                    let seat = |()| Seat::new(session, end);
                    // A seat that nobody waits for any more is dropped, which ends the session.
                    let _gone = waiting.send(verdict.map(seat));
                }
            }
            Output::Say(session, message) => {
                if let ToTerminal::Refused(refused) = &message {
                    self.refusals.said(session, refused);
                }
                story::said(session, &message);
                self.say(session, Said::Message(message));
            }
            Output::Push(sessions, presence) => self.push(sessions, presence),
            Output::End(session, reason) => {
                if let Some(outbox) = self.outboxes.remove(&session) {
                    outbox.end(reason);
                }
            }
            Output::Remember(session, agent) => {
                if let Some(outbox) = self.outboxes.get(&session) {
                    outbox.remember(agent);
                }
            }
            Output::Link(to_link) => self.order(to_link),
            Output::Removed(revocation, end) => self.removed(revocation, &end),
            Output::Write(write) => story::written(&write),
            Output::Keep(_) | Output::Missed(_) => {}
            Output::NewerTerm(term) => {
                // The record of the lead says the same, or will; of a node alone it never may.
                tracing::warn!(event = "relay_term_newer", %term,
                    "a relay takes orders of a newer term and none from this \
                    node; if it is alone, do two platforms share a relay?");
            }
            // Anybody who has signed in can cause these without end.
            Output::Unprotected(call, tenant) => tracing::warn!(
                event = "call_unprotected", %call, %tenant,
                "hitless protection cannot be held, since the call has one relay: connect another \
                 that takes calls"
            ),
            Output::Refused(session, act, reason) => self.refusals.because(session, act, reason),
        }
    }

    /// Tells whoever waits for the relays to be rid of somebody.
    fn removed(&mut self, of: Revocation, end: &MediaEnd) {
        for (_, waits) in self.waiting.extract_if(.., |(known, _)| *known == of) {
            let _gone = waits.send(end.clone());
        }
    }

    fn order(&mut self, to_link: ToLink) {
        match to_link {
            ToLink::Say(link, message) => {
                story::ordered(link, &message);
                let behind = |orders: &mpsc::Sender<ToRelay>| {
                    matches!(orders.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
                };
                if self.links.get(&link).is_some_and(behind) {
                    self.metrics.closed_slow("relay");
                    tracing::warn!(
                        event = "relay_link_too_slow",
                        link = link.0,
                        "closing: the relay reads too slowly"
                    );
                    self.links.remove(&link);
                }
            }
            ToLink::Close(link, reason) => {
                if self.links.remove(&link).is_some() {
                    tracing::warn!(
                        event = "relay_link_closed",
                        link = link.0,
                        reason,
                        "closing a relay's link"
                    );
                }
            }
        }
    }

    /// Encodes once what many hear.
    fn push(&mut self, sessions: Vec<SessionId>, presence: Presence) {
        let encoded: Arc<[u8]> = match ToTerminal::from(presence).encode() {
            Ok(encoded) => encoded.into(),
            Err(error) => {
                return tracing::error!(event = "presence_not_told", %error,
                    "presence was not told: report this");
            }
        };
        let mut at_nodes: BTreeMap<u64, (Queue<ToNode>, Vec<SessionId>)> = BTreeMap::new();
        for session in sessions {
            match self.outboxes.get(&session).and_then(Outbox::node) {
                Some(queue) => {
                    let of_node = at_nodes.entry(queue.number());
                    of_node.or_insert_with(|| (queue.clone(), Vec::new())).1.push(session);
                }
                None => self.say(session, Said::Encoded(Arc::clone(&encoded))),
            }
        }
        for (queue, sessions) in at_nodes.into_values() {
            for sessions in sessions.chunks(SESSIONS_PER_PUSH_MAX) {
                queue.push(Push { sessions: sessions.to_vec(), said: encoded.to_vec() });
            }
        }
    }

    fn say(&mut self, session: SessionId, said: Said) {
        let Some(outbox) = self.outboxes.get(&session) else { return };
        if outbox.say(said).is_err() {
            self.metrics.closed_slow("terminal");
            tracing::warn!(event = "session_too_slow", %session,
                "ending: the terminal reads too slowly");
            self.outboxes.remove(&session);
            let _stopping = self.feedback.send(Input::Gone(session));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::saver::tests::saver;
    use super::*;
    use crate::clock::UnixMs;
    use crate::records::{CallRecord, RecordState, Records};
    use crate::store::{
        Condition, Embedded, Entry, Key, Listing, Pending, Prefix, Range, Revision, SharedStore,
        Store, Transaction, Watch,
    };
    use kakehashi_wire::id::TenantId;
    use kakehashi_wire::relay::NodeHeartbeat;
    use tokio::sync::watch;

    const LINK: LinkId = LinkId(1);

    fn said(beat: u64) -> Output {
        Output::Link(ToLink::Say(LINK, NodeHeartbeat { beat }.into()))
    }

    fn turn(outputs: Vec<Output>) -> Turn {
        Turn { attach: None, outputs, urgent: None }
    }

    /// A store that answers while it is let.
    struct Gated(Embedded, watch::Receiver<bool>);

    impl Store for Gated {
        fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
            self.0.get(key)
        }

        fn range(&self, range: Range) -> Pending<'_, Listing> {
            self.0.range(range)
        }

        fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
            let mut open = self.1.clone();
            Box::pin(async move {
                drop(open.wait_for(|open| *open).await);
                self.0.transact(transaction).await
            })
        }

        fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
            self.0.watch(prefix, after)
        }

        fn condition(&self) -> Pending<'_, Condition> {
            self.0.condition()
        }
    }

    fn put(call: u64) -> Output {
        let record = CallRecord {
            call: CallId(call),
            tenant: TenantId(1),
            members: Vec::new(),
            desk: None,
            state: RecordState::Ringing,
            started: UnixMs(0),
            answered: None,
            ended: None,
            reason: None,
        };
        Output::Write(Write::Put(record))
    }

    /// The next answer to the core, as text.
    async fn answer(answers: &mut mpsc::UnboundedReceiver<Input>) -> String {
        match answers.recv().await.unwrap() {
            Input::Written(call) => format!("written {}", call.0),
            Input::WriteFailed(write) => format!("failed {}", write.record().call.0),
            Input::StoreHangs(hangs) => format!("hangs {hangs}"),
            _ => panic!("another answer"),
        }
    }

    async fn beat(told: &mut mpsc::Receiver<ToRelay>) -> u64 {
        match told.recv().await.unwrap() {
            ToRelay::NodeHeartbeat(it) => it.beat,
            _ => panic!("another message"),
        }
    }

    #[tokio::test]
    async fn what_follows_a_write_does_not_wait_for_ever_and_what_is_owed_is_written_once() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let (open, gate) = watch::channel(true);
        let store: SharedStore = Arc::new(Gated(store, gate));
        let (feedback, mut answers) = mpsc::unbounded_channel();
        let saver = saver(Arc::clone(&store), feedback.clone());
        let metrics = Arc::new(Metrics::new());
        let carrier = Carrier::new(saver, feedback, mpsc::channel(1).0, metrics);
        let (turns, waiting) = mpsc::channel(8);
        let running = tokio::spawn(carrier.run(waiting));
        let (orders, mut told) = mpsc::channel(8);
        let attach = Some(Attach::Link(LINK, orders));
        turns.send(Turn { attach, ..turn(vec![put(1), said(1)]) }).await.unwrap();
        assert_eq!(beat(&mut told).await, 1);
        assert_eq!(answer(&mut answers).await, "written 1");

        open.send(false).unwrap();
        turns.send(turn(vec![put(2), said(2)])).await.unwrap();
        assert_eq!(beat(&mut told).await, 2, "told although nothing is written");
        assert_eq!(answer(&mut answers).await, "hangs true");
        assert_eq!(answer(&mut answers).await, "failed 2");
        for beats in 3..6 {
            turns.send(turn(vec![put(2), said(beats)])).await.unwrap();
            assert_eq!(beat(&mut told).await, beats);
            assert_eq!(answer(&mut answers).await, "failed 2");
        }
        open.send(true).unwrap();
        assert_eq!(answer(&mut answers).await, "hangs false");
        // The one that was under way, and the newest of those that waited.
        assert_eq!(answer(&mut answers).await, "written 2");
        assert_eq!(answer(&mut answers).await, "written 2");
        drop(turns);
        running.await.unwrap();
        assert_eq!(Records::new(store).live(TenantId(1)).await.unwrap().len(), 2);
        assert!(answers.recv().await.is_none());
    }

    fn farewell() -> Output {
        Output::End(SessionId(1), kakehashi_wire::terminal::SessionEnd::Suspended)
    }

    #[tokio::test]
    async fn what_an_urgent_turn_tells_a_link_waits_for_nothing_and_overtakes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let (feedback, _answers) = mpsc::unbounded_channel();
        let saver = saver(Arc::new(store), feedback.clone());
        let metrics = Arc::new(Metrics::new());
        let mut carrier = Carrier::new(saver, feedback, mpsc::channel(1).0, metrics);
        let (orders, mut told) = mpsc::channel(8);
        let (done, mut acknowledged) = oneshot::channel();
        let attach = Some(Attach::Link(LINK, orders));
        let urgent = Some(done);
        let mut batch = vec![
            Turn { attach, ..turn(vec![said(1), farewell(), said(2)]) },
            Turn { urgent, ..turn(vec![said(3), farewell()]) },
            turn(vec![said(4)]),
        ];
        carrier.overtake(&mut batch);
        assert_eq!(acknowledged.try_recv(), Ok(()));
        let mut beats = Vec::new();
        while let Ok(ToRelay::NodeHeartbeat(it)) = told.try_recv() {
            beats.push(it.beat);
        }
        assert_eq!(beats, [1, 2, 3]);
        let left: Vec<_> = batch.iter().map(|turn| turn.outputs.len()).collect();
        assert_eq!(left, [1, 1, 1], "farewells keep their place, and so does a later turn");
        assert!(batch.iter().all(|turn| turn.attach.is_none() && turn.urgent.is_none()));

        let mut batch = vec![turn(vec![said(5)])];
        carrier.overtake(&mut batch);
        assert!(told.try_recv().is_err(), "nothing hurries");
    }
}
