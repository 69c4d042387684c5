//! Carries out what the core decided, in order; what follows a write waits for the disk.

use super::{Attach, Seat, Turn, Verdict};
use crate::capacity::TURNS_PER_COMMIT_MAX;
use crate::coordinator::{Input, Output, Write};
use crate::fleet::{LinkId, ToLink};
use crate::gate::{Outbox, Said};
use crate::missed::Deed;
use crate::records::Records;
use crate::store::StoreError;
use kakehashi_wire::id::{CallId, SessionId};
use kakehashi_wire::relay::ToRelay;
use kakehashi_wire::terminal::{Presence, ToTerminal};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// The ends of all connections, and the store.
pub(super) struct Carrier {
    outboxes: HashMap<SessionId, Outbox>,
    verdicts: HashMap<SessionId, Verdict>,
    links: HashMap<LinkId, mpsc::Sender<ToRelay>>,
    records: Arc<Records>,
    feedback: mpsc::UnboundedSender<Input>,
    missed: mpsc::Sender<Deed>,
}

impl Carrier {
    pub(super) fn new(
        records: Arc<Records>,
        feedback: mpsc::UnboundedSender<Input>,
        missed: mpsc::Sender<Deed>,
    ) -> Self {
        Self {
            outboxes: HashMap::new(),
            verdicts: HashMap::new(),
            links: HashMap::new(),
            records,
            feedback,
            missed,
        }
    }

    /// Carries out turns until the core ends.
    pub(super) async fn run(mut self, mut turns: mpsc::Receiver<Turn>) {
        let mut batch = Vec::new();
        while turns.recv_many(&mut batch, TURNS_PER_COMMIT_MAX).await > 0 {
            self.overtake(&mut batch);
            let mut writes = writes(&batch);
            for turn in batch.drain(..) {
                if let Some(attach) = turn.attach {
                    self.attach(attach);
                }
                for output in turn.outputs {
                    // At the first write, all of the batch are written with one flush.
                    if matches!(output, Output::Write(_)) {
                        self.commit(std::mem::take(&mut writes)).await;
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

    async fn commit(&self, writes: BTreeMap<CallId, Write>) {
        let mut under_way = JoinSet::new();
        for write in writes.into_values() {
            let records = Arc::clone(&self.records);
            under_way.spawn(async move {
                let done = put(&records, &write).await;
                (write, done)
            });
        }
        while let Some(joined) = under_way.join_next().await {
            let Ok((write, done)) = joined else { continue };
            let call = write.record().call;
            let answer = match done {
                Ok(()) => Input::Written(call),
                Err(error) => {
                    tracing::error!(%call, %error, "a call's record could not be written");
                    Input::WriteFailed(write)
                }
            };
            let _stopping = self.feedback.send(answer);
        }
    }

    fn attach(&mut self, attach: Attach) {
        match attach {
            Attach::Session(session, outbox, verdict) => {
                self.outboxes.insert(session, outbox);
                self.verdicts.insert(session, verdict);
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
        }
    }

    fn carry(&mut self, output: Output) {
        match output {
            Output::Arrival(session, verdict) => {
                if verdict.is_err() {
                    self.outboxes.remove(&session);
                }
                if let Some(waiting) = self.verdicts.remove(&session) {
                    let seat = |()| Seat::new(session, self.feedback.clone());
                    // A seat that nobody waits for any more is dropped, which ends the session.
                    let _gone = waiting.send(verdict.map(seat));
                }
            }
            Output::Say(session, message) => self.say(session, Said::Message(message)),
            Output::Push(sessions, presence) => self.push(sessions, presence),
            Output::End(session, reason) => {
                if let Some(outbox) = self.outboxes.remove(&session) {
                    outbox.end(reason);
                }
            }
            Output::Link(ToLink::Say(link, message)) => {
                let behind = |orders: &mpsc::Sender<ToRelay>| {
                    matches!(orders.try_send(message), Err(mpsc::error::TrySendError::Full(_)))
                };
                if self.links.get(&link).is_some_and(behind) {
                    tracing::warn!(link = link.0, "closing: the relay reads too slowly");
                    self.links.remove(&link);
                }
            }
            Output::Link(ToLink::Close(link, reason)) => {
                if self.links.remove(&link).is_some() {
                    tracing::warn!(link = link.0, reason, "closing a relay's link");
                }
            }
            Output::Write(_) | Output::Missed(_) => {}
            Output::NewerTerm(term) => {
                tracing::error!(%term, "a relay takes orders from another node of a newer term and \
                    none from this one: do two cells share a relay, or two nodes a data folder?");
            }
            // Anybody who has signed in can cause these without end.
            Output::Unprotected(call, tenant) => tracing::warn!(
                %call, %tenant,
                "hitless protection cannot be held, since the call has one relay: connect another \
                 that takes calls"
            ),
            Output::Refused(session, act, reason) => {
                tracing::debug!(%session, act = act.name(), ?reason, "refused");
            }
        }
    }

    /// Encodes once what many hear.
    fn push(&mut self, sessions: Vec<SessionId>, presence: Presence) {
        let encoded: Arc<[u8]> = match ToTerminal::from(presence).encode() {
            Ok(encoded) => encoded.into(),
            Err(error) => return tracing::error!(%error, "presence was not told: report this"),
        };
        for session in sessions {
            self.say(session, Said::Encoded(Arc::clone(&encoded)));
        }
    }

    fn say(&mut self, session: SessionId, said: Said) {
        let Some(outbox) = self.outboxes.get(&session) else { return };
        if outbox.say(said).is_err() {
            tracing::warn!(%session, "ending: the terminal reads too slowly");
            self.outboxes.remove(&session);
            let _stopping = self.feedback.send(Input::Gone(session));
        }
    }
}

/// The last write of each call.
fn writes(batch: &[Turn]) -> BTreeMap<CallId, Write> {
    let outputs = batch.iter().flat_map(|turn| &turn.outputs);
    outputs
        .filter_map(|output| match output {
            Output::Write(write) => Some((write.record().call, write.clone())),
            _ => None,
        })
        .collect()
}

async fn put(records: &Records, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Put(record) => records.put(record).await.map(drop),
        Write::Forget(record) => records.forget(record).await.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Embedded;
    use kakehashi_wire::relay::NodeHeartbeat;
    use tokio::sync::oneshot;

    const LINK: LinkId = LinkId(1);

    fn said(beat: u64) -> Output {
        Output::Link(ToLink::Say(LINK, NodeHeartbeat { beat }.into()))
    }

    fn turn(outputs: Vec<Output>) -> Turn {
        Turn { attach: None, outputs, urgent: None }
    }

    fn farewell() -> Output {
        Output::End(SessionId(1), kakehashi_wire::terminal::SessionEnd::Suspended)
    }

    #[tokio::test]
    async fn what_an_urgent_turn_tells_a_link_waits_for_nothing_and_overtakes_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let store = Embedded::open(&folder.path().join("store")).unwrap();
        let records = Arc::new(Records::new(Arc::new(store)));
        let (feedback, _answers) = mpsc::unbounded_channel();
        let mut carrier = Carrier::new(records, feedback, mpsc::channel(1).0);
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
