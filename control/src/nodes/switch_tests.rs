//! A switch with a lead that is played.

use super::*;
use crate::capacity::nodes::RIGHTS_READ_AT_ONCE;
use crate::gate::Waiting;
use crate::nodes::queue::QueueEnd;
use crate::sessions::{AccountKey, Epochs};
use crate::store::{
    Condition, Embedded, Entry, Key, Listing, Pending, Prefix, Range, Revision, SharedStore, Store,
    StoreError, Transaction, Watch,
};
use kakehashi_wire::id::{AccountId, CallId, DeviceId, TenantId, Term};
use kakehashi_wire::media::Host;
use kakehashi_wire::node::{AgentOrder, OfferedAt, Turn};
use kakehashi_wire::secret::{ResumeToken, SaidBytes};
use kakehashi_wire::terminal::{Done, HangUp, Presence, Role, SetAway, ToTerminal};
use std::sync::atomic::{AtomicUsize, Ordering};

struct Played {
    switch: Switch,
    own: mpsc::Sender<Event>,
    _ends: mpsc::UnboundedReceiver<SessionId>,
    events: mpsc::Receiver<Event>,
    _folder: tempfile::TempDir,
}

fn played() -> Played {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    played_over(Arc::new(store), folder)
}

fn played_over(store: SharedStore, folder: tempfile::TempDir) -> Played {
    let config = crate::accounts::AccountsConfig::for_cores(1, Entropy::system());
    let accounts = Arc::new(Accounts::new(store, config).unwrap());
    let (switch, ends) = Switch::new(accounts, Entropy::system());
    let (own, events) = mpsc::channel(64);
    Played { switch, own, _ends: ends, events, _folder: folder }
}

/// A lead, and a session that it has let in.
async fn with_session() -> (Played, QueueEnd<FromNode>, Waiting, SessionId) {
    let mut played = played();
    let mut first = played.lead(1);
    let (waiting, decided) = played.arrive(1);
    played.heard(&mut first);
    played.take(Event::Said(1, Verdict { session: SessionId(1), refused: None }.into()));
    let session = decided.await.unwrap().ok().unwrap().session();
    (played, first, waiting, session)
}

fn arrival(session: u64) -> Arrival {
    Arrival {
        session: SessionId(session),
        request: RequestId(1),
        account: AccountKey { tenant: TenantId(1), account: AccountId(session) },
        login: "a".into(),
        display: String::new(),
        role: Role::Store,
        device: DeviceId(session),
        software: String::new(),
        epochs: Epochs { tenant: 1, account: 1, devices: 0 },
        token: ResumeToken::new(vec![1]),
        resumes: None,
        is_handed_over: false,
        is_away: false,
        seen_at: Host::UNKNOWN,
        agent: None,
    }
}

impl Played {
    fn lead(&mut self, number: u64) -> QueueEnd<FromNode> {
        let (queue, end) = Queue::new(number);
        self.take(Event::Route(Some(queue)));
        end
    }

    fn take(&mut self, event: Event) {
        self.switch.take(event, &self.own);
    }

    /// Hands all over, and gives what the lead of `end` hears.
    fn heard(&mut self, end: &mut QueueEnd<FromNode>) -> Vec<FromNode> {
        while !self.switch.to_hand_over.is_empty() {
            for message in self.switch.hand_over() {
                self.switch.push(message);
            }
        }
        core::iter::from_fn(|| end.messages.try_recv().ok()).collect()
    }

    fn arrive(&mut self, session: u64) -> (Waiting, oneshot::Receiver<Result<Seat, Rejection>>) {
        let ((outbox, waiting), (waiter, decided)) = (Outbox::new(), oneshot::channel());
        self.take(Event::Arrived(Box::new(arrival(session)), outbox, waiter));
        (waiting, decided)
    }

    fn answer(&mut self, link: u64, at_lead: SessionId, request: RequestId) {
        let said = SaidBytes::new(ToTerminal::from(Done { request }).encode().unwrap());
        let say = Say { session: at_lead, answers: Some(request), said };
        self.take(Event::Said(link, say.into()));
    }
}

fn hang_up(request: u32) -> Request {
    Request::HangUp(HangUp { request: RequestId(request), call: CallId(5) })
}

fn invite(request: u32) -> Request {
    Request::Invite(RequestId(request), None, Vec::new())
}

fn asked(messages: &[FromNode]) -> Vec<Option<RequestId>> {
    let number = |message: &FromNode| match message {
        FromNode::Asked(asked) => Some(asked.request.number()),
        _ => None,
    };
    messages.iter().filter_map(number).collect()
}

async fn next(waiting: &mut Waiting) -> Option<String> {
    let said = tokio::time::timeout(std::time::Duration::from_millis(50), waiting.next());
    Some(match said.await.ok()?? {
        Said::Message(ToTerminal::Refused(no)) => format!("refused {}", no.request.0),
        Said::Message(other) => other.name().to_owned(),
        Said::Encoded(_) => "pushed".to_owned(),
        Said::PassedOn(_) => "passed on".to_owned(),
    })
}

#[tokio::test]
async fn a_new_lead_gets_every_session_with_what_it_waits_for() {
    let mut played = played();
    let (mut waiting, mut decided) = played.arrive(1);
    assert!(decided.try_recv().is_err(), "there is no lead yet");
    let mut first = played.lead(1);
    let heard = played.heard(&mut first);
    let [FromNode::Arrival(arrived)] = &heard[..] else { panic!("{}", heard.len()) };
    assert!(!arrived.is_handed_over && arrived.resumes.is_none());
    let verdict = Verdict { session: arrived.session, refused: None };
    played.take(Event::Said(1, verdict.into()));
    let seat = decided.await.unwrap().ok().unwrap();
    let session = seat.session();
    assert_eq!(session, SessionId(1));
    for request in [Request::Watch(RequestId(2), Vec::new()), hang_up(3), invite(4), hang_up(5)] {
        played.take(Event::Asked(session, request));
    }
    assert_eq!(played.heard(&mut first).len(), 4);
    played.answer(1, session, RequestId(2));
    played.answer(1, session, RequestId(3));
    assert_eq!(next(&mut waiting).await.as_deref(), Some("passed on"));
    assert_eq!(next(&mut waiting).await.as_deref(), Some("passed on"));

    played.take(Event::Route(None));
    played.take(Event::Asked(session, invite(6)));
    let mut second = played.lead(2);
    let heard = played.heard(&mut second);
    let FromNode::Arrival(again) = &heard[0] else { panic!("first the session") };
    assert!(again.is_handed_over && again.token.as_bytes().is_empty());
    assert_eq!(again.resumes, Some(session), "its first number");
    assert_ne!(again.session, session);
    let numbers = [0, 5, 6].map(|number| Some(RequestId(number)));
    assert_eq!(asked(&heard), numbers, "presence, what may be asked twice, what was not asked yet");
    assert_eq!(next(&mut waiting).await.as_deref(), Some("refused 4"), "it may have been done");

    // What comes of the hand-over itself is no answer for the terminal, and the old lead is no
    // lead.
    let at_second = again.session;
    played.take(Event::Said(2, Verdict { session: at_second, refused: None }.into()));
    played.answer(2, at_second, OF_HAND_OVER);
    played.answer(1, session, RequestId(5));
    assert_eq!(next(&mut waiting).await, None);
    played.answer(2, at_second, RequestId(5));
    assert_eq!(next(&mut waiting).await.as_deref(), Some("passed on"));
    let said = ToTerminal::from(Presence { complete: true, entries: Vec::new() }).encode().unwrap();
    let push = kakehashi_wire::node::Push { sessions: vec![at_second, session], said };
    played.take(Event::Said(2, push.into()));
    assert_eq!(next(&mut waiting).await.as_deref(), Some("pushed"));
    assert_eq!(next(&mut waiting).await, None, "once");
}

#[tokio::test(start_paused = true)]
async fn without_a_lead_there_is_an_answer_in_time_and_one_arrival_is_not_offered_twice() {
    let mut played = played();
    let mut lead = played.lead(1);
    let (mut waiting, decided) = played.arrive(1);
    played.heard(&mut lead);
    played.take(Event::Said(1, Verdict { session: SessionId(1), refused: None }.into()));
    let seat = decided.await.unwrap().ok().unwrap();
    let (_undecided, offered) = played.arrive(2);
    played.heard(&mut lead);
    played.take(Event::Route(None));
    let busy = Refusal::Busy;
    assert_eq!(offered.await.unwrap().err().unwrap().reason, busy, "it may have been let in");

    played.take(Event::Asked(seat.session(), hang_up(1)));
    let (_patient, waits) = played.arrive(3);
    sleep_until(played.switch.patience_ends.unwrap()).await;
    played.switch.give_up();
    assert_eq!(next(&mut waiting).await.as_deref(), Some("refused 1"));
    assert_eq!(waits.await.unwrap().err().unwrap().reason, busy);
    played.take(Event::Asked(seat.session(), hang_up(2)));
    assert_eq!(next(&mut waiting).await.as_deref(), Some("refused 2"), "at once by now");
    let mut next_lead = played.lead(2);
    let heard = played.heard(&mut next_lead);
    assert_eq!((heard.len(), asked(&heard).len()), (1, 0));
}

#[tokio::test]
async fn a_session_may_have_so_many_requests_open() {
    let mut played = played();
    let mut lead = played.lead(1);
    let (mut waiting, decided) = played.arrive(1);
    played.heard(&mut lead);
    played.take(Event::Said(1, Verdict { session: SessionId(1), refused: None }.into()));
    let _seat = decided.await.unwrap().ok().unwrap();
    let most = u32::try_from(crate::capacity::nodes::ASKED_MAX).unwrap();
    for request in 1..=most + 1 {
        played.take(Event::Asked(SessionId(1), hang_up(request)));
    }
    assert_eq!(played.heard(&mut lead).len(), crate::capacity::nodes::ASKED_MAX);
    let refused = format!("refused {}", most + 1);
    assert_eq!(next(&mut waiting).await, Some(refused));
}

#[tokio::test]
async fn who_is_away_is_so_for_the_next_lead_until_it_is_back() {
    let (mut played, mut first, _waiting, session) = with_session().await;
    let set = |request, away| Request::Away(SetAway { request: RequestId(request), away });
    let away = |messages: &[FromNode]| {
        let said = messages.iter().filter_map(|message| match message {
            FromNode::Asked(Asked { request: Request::Away(set), .. }) => Some(set.away),
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    played.take(Event::Asked(session, set(1, true)));
    assert_eq!(away(&played.heard(&mut first)), [true]);
    played.answer(1, session, RequestId(1));
    let mut second = played.lead(2);
    let heard = played.heard(&mut second);
    let is_away = heard.iter().any(|it| matches!(it, FromNode::Arrival(it) if it.is_away));
    assert!(is_away && away(&heard).is_empty(), "before anything else is known of it");
    played.take(Event::Asked(session, set(2, false)));
    let mut third = played.lead(3);
    assert_eq!(away(&played.heard(&mut third)), [false], "not answered yet");
    let mut fourth = played.lead(4);
    let at_lead = played.switch.held[&session].number_at_lead();
    assert_eq!(at_lead, None);
    assert_eq!(away(&played.heard(&mut fourth)), [false]);
}

#[tokio::test]
async fn a_lead_is_told_where_a_terminal_is_seen_now() {
    let (mut played, mut first, _waiting, session) = with_session().await;
    let host = |last| Host::from(std::net::IpAddr::from([192, 0, 2, last]));
    played.take(Event::Asked(session, Request::Moved(host(1))));
    let asked = |message: &FromNode| match message {
        FromNode::Asked(Asked { request: Request::Moved(seen_at), .. }) => Some(*seen_at),
        _ => None,
    };
    let heard: Vec<_> = played.heard(&mut first).iter().filter_map(asked).collect();
    assert_eq!(heard, [host(1)]);
    // Nobody leads meanwhile.
    played.take(Event::Route(None));
    played.take(Event::Asked(session, Request::Moved(host(2))));
    let mut second = played.lead(2);
    let handed_over = played.heard(&mut second).iter().find_map(|message| match message {
        FromNode::Arrival(arrival) => Some(arrival.seen_at),
        _ => None,
    });
    assert_eq!(handed_over, Some(host(2)));
}

#[tokio::test(start_paused = true)]
async fn what_a_lead_knew_of_an_agent_is_handed_over_with_what_is_left_of_its_time() {
    let (mut played, _first, _waiting, session) = with_session().await;
    let handed_over = |heard: &[FromNode]| match &heard[0] {
        FromNode::Arrival(arrival) => (arrival.session, arrival.agent.clone()),
        _ => panic!("first the session"),
    };
    let mut second = played.lead(2);
    assert_eq!(handed_over(&played.heard(&mut second)).1, None, "nothing was said");

    let turn = |nth| Turn { term: Term(7), nth };
    let offered = vec![OfferedAt { desk: "reception".into(), turn: turn(3) }];
    let agent = |wrap_up_ms| AgentOrder { idle: turn(4), wrap_up_ms, offered: offered.clone() };
    let remember = |session, wrap_up_ms| Remember { session, agent: agent(wrap_up_ms) };
    let at_second = played.switch.held[&session].number_at_lead().unwrap();
    played.take(Event::Said(2, remember(at_second, 500).into()));
    played.take(Event::Said(2, remember(at_second, 9_000).into()));
    // Not the lead any more, or by a number that only it knew.
    let mut third = played.lead(3);
    played.take(Event::Said(2, remember(at_second, 1).into()));
    played.take(Event::Said(3, remember(at_second, 1).into()));
    tokio::time::sleep(std::time::Duration::from_secs(4)).await;
    let left = handed_over(&played.heard(&mut third)).1.unwrap();
    assert_eq!(left, agent(left.wrap_up_ms));
    assert!((4_900..=5_000).contains(&left.wrap_up_ms), "{}", left.wrap_up_ms);
    tokio::time::sleep(std::time::Duration::from_secs(9)).await;
    let mut fourth = played.lead(4);
    assert_eq!(handed_over(&played.heard(&mut fourth)).1, Some(agent(0)));
}

/// A store that takes a moment for each read, and counts how many are under way.
struct Slow {
    store: Embedded,
    now: AtomicUsize,
    most: AtomicUsize,
}

impl Store for Slow {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        Box::pin(async move {
            let now = self.now.fetch_add(1, Ordering::Relaxed) + 1;
            self.most.fetch_max(now, Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            self.now.fetch_sub(1, Ordering::Relaxed);
            self.store.get(key).await
        })
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.store.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        self.store.transact(transaction)
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.store.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.store.condition()
    }
}

/// A store that cannot be read so many times.
struct Broken(Embedded, AtomicUsize);

impl Store for Broken {
    fn get<'a>(&'a self, key: &'a Key) -> Pending<'a, Option<Entry>> {
        let fails = |left: usize| left.checked_sub(1);
        if self.1.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fails).is_ok() {
            return Box::pin(async { Err(StoreError::Unavailable { what: String::new() }) });
        }
        self.0.get(key)
    }

    fn range(&self, range: Range) -> Pending<'_, Listing> {
        self.0.range(range)
    }

    fn transact(&self, transaction: Transaction) -> Pending<'_, Revision> {
        self.0.transact(transaction)
    }

    fn watch<'a>(&'a self, prefix: &'a Prefix, after: Revision) -> Pending<'a, Watch> {
        self.0.watch(prefix, after)
    }

    fn condition(&self) -> Pending<'_, Condition> {
        self.0.condition()
    }
}

#[tokio::test]
async fn rights_are_read_when_the_store_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    let mut played = played_over(Arc::new(Broken(store, AtomicUsize::new(3))), folder);
    let _here = played.arrive(1);
    let _lead = played.lead(1);
    let Some(Event::Stale(SessionId(1))) = played.events.recv().await else { panic!("a right") };
}

#[tokio::test]
async fn who_was_checked_before_the_lead_began_and_arrives_later_is_looked_at() {
    let mut played = played();
    let _lead = played.lead(1);
    let _here = played.arrive(1);
    let Some(Event::Stale(SessionId(1))) = played.events.recv().await else { panic!("a right") };
    played.switch.stale.settle();
    let _here = played.arrive(2);
    assert_eq!(played.switch.stale.count(), 0, "this lead was told of whatever ended");
}

#[tokio::test]
async fn rights_are_read_many_at_a_time_and_not_all_at_once() {
    const SESSIONS: usize = 10 * RIGHTS_READ_AT_ONCE + 3;
    let folder = tempfile::tempdir().unwrap();
    let store = Embedded::open(&folder.path().join("store")).unwrap();
    let (now, most) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let slow = Arc::new(Slow { store, now, most });
    let mut played = played_over(Arc::clone(&slow) as SharedStore, folder);
    let sessions: Vec<_> = (1..=SESSIONS as u64).map(|it| (it, played.arrive(it))).collect();
    let _lead = played.lead(1);
    // The store knows none of their accounts.
    let mut stale = Vec::new();
    while stale.len() < SESSIONS {
        let Some(Event::Stale(session)) = played.events.recv().await else { panic!("a right") };
        stale.push(session.0);
    }
    stale.sort_unstable();
    assert!(stale.into_iter().eq(sessions.iter().map(|(session, _)| *session)));
    let most = slow.most.load(Ordering::Relaxed);
    // Of the tenant and of the account, together.
    assert!((RIGHTS_READ_AT_ONCE..=2 * RIGHTS_READ_AT_ONCE).contains(&most), "{most} at once");
}
