//! Carries out what the election decides: claims, begins and ends a core, and tells the switch
//! where the lead is.

use super::election::{Act, Election, Heard, Lead};
use super::guest::Guest;
use super::queue::QueueEnd;
use super::record::{self, Tenured};
use super::relays::RelayLinks;
use super::start::{Leading, News, Start};
use super::switch::Event;
use super::untold::Untold;
use super::{NodeName, Queue};
use crate::accounts::Accounts;
use crate::capacity::nodes::{LEAD_BEGIN_PATIENCE, LEAD_WATCH_RETRY, TAKE_BACK_PATIENCE};
use crate::driver::{Core, Tasks};
use crate::store::{SharedStore, StoreError};
use crate::surroundings::Surroundings;
use kakehashi_wire::id::Term;
use kakehashi_wire::node::{FromNode, ToNode, WrongGuess};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, timeout};

/// Where the office tells of the lead.
type Told = (watch::Sender<Option<Leading>>, mpsc::Sender<Event>, Arc<RelayLinks>, Arc<AtomicU64>);

/// What the office hears: of links, of the record, and of wrong guesses here.
type Heards = (mpsc::Receiver<News>, mpsc::Receiver<Option<Lead>>, mpsc::Receiver<WrongGuess>);

/// A term of this node.
struct Tenure {
    term: Term,
    over: Arc<Notify>,
    tenured: Arc<Tenured>,
    beginning: AbortHandle,
    tasks: Option<Tasks>,
    /// This node's own link to its core.
    own: Option<(Queue<FromNode>, AbortHandle)>,
}

/// What was begun and has come to something.
enum Done {
    Looked(Result<Option<Lead>, StoreError>),
    Claimed(Result<Term, StoreError>),
    Begun(Term, Core, Tasks),
    /// It could not.
    Unfit(Term),
    /// The lead was given up, or that is not known.
    Resigned,
}

pub(super) struct Office {
    me: NodeName,
    life: u64,
    election: Election,
    start: Arc<Start>,
    store: SharedStore,
    surroundings: Arc<Surroundings>,
    lead: watch::Sender<Option<Leading>>,
    switch: mpsc::Sender<Event>,
    relays: Arc<RelayLinks>,
    numbers: Arc<AtomicU64>,
    /// The links that stand, and in which term the node at the other end leads.
    links: BTreeMap<NodeName, (Queue<FromNode>, Term)>,
    tenure: Option<Tenure>,
    under_way: JoinSet<Done>,
    untold: Untold,
    /// The link that the switch was told of.
    route: Option<u64>,
}

impl Office {
    pub(super) fn new(
        (me, life, election): (NodeName, u64, Election),
        start: Start,
        (store, surroundings): (SharedStore, Arc<Surroundings>),
        (lead, switch, relays, numbers): Told,
    ) -> Self {
        Self {
            me,
            life,
            election,
            start: Arc::new(start),
            store,
            surroundings,
            lead,
            switch,
            relays,
            numbers,
            links: BTreeMap::new(),
            tenure: None,
            under_way: JoinSet::new(),
            untold: Untold::default(),
            route: None,
        }
    }

    /// Runs until the node stops.
    pub(super) async fn run(
        mut self,
        (mut news, mut records, mut guesses): Heards,
        mut stop: oneshot::Receiver<()>,
    ) {
        loop {
            let due = self.election.next_deadline();
            let now = self.start.clock.now().since_start;
            let wait = due.map_or(Duration::MAX, |due| due.saturating_sub(now));
            let over = self.tenure.as_ref().map(|tenure| Arc::clone(&tenure.over));
            let heard = tokio::select! {
                _ = &mut stop => return self.leave().await,
                Some(news) = news.recv() => self.news(news),
                Some(record) = records.recv() => Some(Heard::Record(record)),
                Some(guess) = guesses.recv() => {
                    self.untold.add(guess);
                    self.tell_guesses();
                    None
                }
                Some(done) = self.under_way.join_next() => match done {
                    Ok(Done::Looked(looked)) => Some(self.looked(looked)),
                    Ok(Done::Claimed(claimed)) => Some(self.claimed(claimed)),
                    Ok(Done::Begun(term, core, tasks)) => self.begun(term, core, tasks).await,
                    Ok(Done::Unfit(term)) => Some(Heard::Unfit(term)),
                    Ok(Done::Resigned) => None,
                    Err(_aborted) => None,
                },
                () = told(over.as_deref()) => {
                    self.tenure.as_ref().map(|tenure| Heard::Fenced(tenure.term))
                }
                () = tokio::time::sleep(wait), if due.is_some() => Some(Heard::Tick),
            };
            if let Some(heard) = heard {
                let now = self.start.clock.now().since_start;
                let before = self.election.state();
                let act = self.election.hear(heard, now);
                let state = self.election.state();
                if state != before {
                    tracing::info!(event = "lead_part_changed", node = %self.me, ?before, ?state,
                        "its part in who leads");
                }
                self.act(act).await;
            }
            self.say_where().await;
        }
    }

    fn tell_guesses(&mut self) {
        for (node, (queue, _)) in &self.links {
            self.untold.due(node).for_each(|guess| queue.push(guess));
        }
    }

    fn news(&mut self, news: News) -> Option<Heard> {
        match news {
            News::Up(node, queue) => {
                self.surroundings.node_linked(&node, true);
                self.links.insert(node, (queue, Term::NONE));
                self.tell_guesses();
                None
            }
            News::Down(node, number) => {
                let is_this = |(queue, _): &(Queue<FromNode>, Term)| queue.number() == number;
                if self.links.get(&node).is_some_and(is_this) {
                    self.links.remove(&node);
                    self.surroundings.node_linked(&node, false);
                }
                None
            }
            News::Beat(node, leads) => {
                if let Some((_, term)) = self.links.get_mut(&node) {
                    *term = leads;
                }
                Some(Heard::Beat(node, leads))
            }
        }
    }

    fn looked(&self, looked: Result<Option<Lead>, StoreError>) -> Heard {
        match looked {
            Ok(lead) => Heard::Found(lead),
            Err(error) => {
                tracing::info!(event = "leader_unread", node = %self.me, %error,
                    "who leads cannot be read");
                Heard::Beaten
            }
        }
    }

    fn claimed(&self, claimed: Result<Term, StoreError>) -> Heard {
        match claimed {
            Ok(term) => Heard::Won(term),
            Err(error) => {
                tracing::info!(event = "lead_not_claimed", node = %self.me, %error,
                    "the lead was not claimed");
                Heard::Beaten
            }
        }
    }

    async fn act(&mut self, act: Option<Act>) {
        match act {
            None => {}
            Some(Act::Look) => {
                let store = Arc::clone(&self.store);
                self.under_way.spawn(async move { Done::Looked(record::read(&store).await) });
            }
            Some(Act::Claim(before)) => {
                let (store, claimant) = (Arc::clone(&self.store), (self.me.clone(), self.life));
                self.under_way.spawn(async move {
                    Done::Claimed(record::claim(&store, claimant, before).await)
                });
            }
            Some(Act::Lead(term)) => {
                self.step_down().await;
                self.begin(term);
            }
            Some(Act::StepDown(term)) => {
                tracing::warn!(event = "lead_lost", %term, "another node leads");
                self.step_down().await;
            }
            Some(Act::Resign(term)) => {
                tracing::error!(event = "lead_yielded", %term, node = %self.me,
                    "this node cannot lead, see above: it lets another");
                self.step_down().await;
                let store = Arc::clone(&self.store);
                self.under_way.spawn(async move {
                    resign(&store, term).await;
                    Done::Resigned
                });
            }
        }
    }

    fn begin(&mut self, term: Term) {
        tracing::info!(event = "lead_taken", %term, node = %self.me, "this node leads");
        let over = Arc::new(Notify::new());
        let tenured = Arc::new(Tenured::new(Arc::clone(&self.store), term, Arc::clone(&over)));
        let (store, start) = (Arc::clone(&tenured) as SharedStore, Arc::clone(&self.start));
        let beginning = self.under_way.spawn(async move {
            let last = Instant::now() + LEAD_BEGIN_PATIENCE;
            loop {
                match start.begin(term, &store).await {
                    Ok((core, tasks)) => return Done::Begun(term, core, tasks),
                    Err(error) => tracing::error!(event = "lead_not_begun", %error,
                        "the lead cannot begin"),
                }
                if Instant::now() + LEAD_WATCH_RETRY >= last {
                    return Done::Unfit(term);
                }
                tokio::time::sleep(LEAD_WATCH_RETRY).await;
            }
        });
        self.tenure = Some(Tenure { term, over, tenured, beginning, tasks: None, own: None });
    }

    async fn begun(&mut self, term: Term, core: Core, tasks: Tasks) -> Option<Heard> {
        let Some(tenure) = self.tenure.as_mut().filter(|tenure| tenure.term == term) else {
            tasks.halt();
            return None;
        };
        tenure.tasks = Some(tasks);
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (asks, asked) = Queue::new(number);
        let accounts = Arc::clone(&self.start.accounts);
        let leading = Leading { term, core, tenured: Arc::clone(&tenure.tenured) };
        let serving = serve_own(leading.clone(), accounts, (number, asked), self.switch.clone());
        tenure.own = Some((asks, tokio::spawn(serving).abort_handle()));
        self.relays.lend(leading.core.clone()).await;
        self.lead.send_replace(Some(leading));
        None
    }

    async fn step_down(&mut self) {
        let Some(tenure) = self.tenure.take() else { return };
        tenure.beginning.abort();
        self.lead.send_replace(None);
        // A core that waits for the store may hold them up. Its links are lost then, and relays
        // make new ones.
        let is_back = timeout(TAKE_BACK_PATIENCE, self.relays.take_back()).await.is_ok();
        if let Some(tasks) = tenure.tasks {
            tasks.halt();
        }
        if !is_back {
            self.relays.take_back().await;
        }
        if let Some((_, serving)) = tenure.own {
            serving.abort();
        }
    }

    /// Tells the switch of another way to the lead.
    async fn say_where(&mut self) {
        let own = self.tenure.as_ref().and_then(|tenure| tenure.own.as_ref());
        let route = match (own, self.election.follows()) {
            (Some((queue, _)), _) => Some(queue),
            (None, Some((node, term))) => {
                self.links.get(node).filter(|(_, leads)| *leads == term).map(|(queue, _)| queue)
            }
            (None, None) => None,
        };
        let lead = match self.tenure {
            Some(_) => Some(&self.me),
            None => self.election.follows().map(|(node, _)| node),
        };
        self.surroundings.led_by(lead);
        let number = route.map(Queue::number);
        if number != self.route {
            self.route = number;
            let _stopping = self.switch.send(Event::Route(route.cloned())).await;
        }
    }

    async fn leave(mut self) {
        let led = self.tenure.as_ref().map(|tenure| tenure.term);
        self.step_down().await;
        if let Some(term) = led {
            resign(&self.store, term).await;
        }
    }
}

async fn resign(store: &SharedStore, term: Term) {
    if let Err(error) = record::resign(store, term).await {
        tracing::info!(event = "lead_not_given_up", %error,
            "the lead was not given up: others will notice");
    }
}

async fn told(over: Option<&Notify>) {
    match over {
        Some(over) => over.notified().await,
        None => core::future::pending().await,
    }
}

/// This node's own sessions at its core, as if they were another's.
async fn serve_own(
    leading: Leading,
    accounts: Arc<Accounts>,
    (number, mut asked): (u64, QueueEnd<FromNode>),
    switch: mpsc::Sender<Event>,
) {
    let (answers, mut told) = Queue::<ToNode>::new(number);
    let mut guest = Guest::new(leading, accounts, answers);
    let hearing = async {
        while let Some(message) = asked.messages.recv().await {
            guest.hear(message).await;
        }
    };
    let telling = async {
        while let Some(message) = told.messages.recv().await {
            if switch.send(Event::Said(number, message)).await.is_err() {
                return;
            }
        }
    };
    tokio::join!(hearing, telling);
}
