//! A terminal: the real memory of its calls and the real media, and a session that dials, resumes
//! and goes to another node when the one it has falls silent.

use super::chance::{MS, SECOND};
use super::media::Media;
use super::message::{FromTerminal, Token, Told};
use super::net::{ConnId, Kind, Place};
use super::planted::Planted;
use super::world::{Event, IDLE_SILENCE, World};
use kakehashi_control::coordinator::Request;
use kakehashi_terminal::session::known::{Known, Ready};
use kakehashi_wire::id::{CallId, DeviceId, RequestId};
use kakehashi_wire::media::RelayPath;
use kakehashi_wire::terminal::{
    CallReady, Cancel, FromTerminal as Wire, HangUp, Members, PathRenewed, PathsChanged, Refusal,
    Reject, Resumed, SessionEnd, ToTerminal,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// How long a terminal with something under way waits for a node that says nothing.
const BUSY_SILENCE: u64 = SECOND;

/// How long a sign-in may take.
const REPLY: u64 = 10 * SECOND;

/// A terminal.
pub(crate) struct Terminal {
    /// Whose it is.
    pub(crate) account: usize,
    pub(crate) device: DeviceId,
    pub(crate) alive: bool,
    pub(crate) life: u64,
    pub(crate) stands_until: u64,
    pub(crate) conn: Option<ConnId>,
    pub(crate) signed_in: bool,
    token: Option<Token>,
    node: usize,
    tries: u32,
    heard: u64,
    asked_at: u64,
    known: Known,
    pub(crate) view: View,
    pub(crate) media: BTreeMap<CallId, Media>,
    /// Prints of the keys that its streams are sealed with.
    pub(crate) keys: HashMap<u32, u64>,
    /// Who is in each call and how, as it was last told.
    pub(crate) members: BTreeMap<CallId, Members>,
    asked: BTreeMap<RequestId, Wish>,
    requests: u32,
}

/// What the person before it makes of what it hears.
#[derive(Default)]
pub(crate) struct View {
    /// Each call it is in, with the last round it has media of.
    pub(crate) calls: BTreeMap<CallId, Option<u32>>,
    pub(crate) rings: BTreeSet<CallId>,
}

/// What a request asked, as far as its answer alone says what comes of it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Wish {
    In(CallId),
    Out(CallId),
    Nothing,
}

impl Terminal {
    /// The device number `nth` of an account.
    pub(crate) fn new(account: usize, nth: usize, life: u64) -> Self {
        Self {
            account,
            device: DeviceId(1 + nth as u64),
            alive: true,
            life,
            stands_until: 0,
            conn: None,
            signed_in: false,
            token: None,
            node: nth % 3,
            tries: 0,
            heard: 0,
            asked_at: 0,
            known: Known::default(),
            view: View::default(),
            media: BTreeMap::new(),
            keys: HashMap::new(),
            members: BTreeMap::new(),
            asked: BTreeMap::new(),
            requests: 0,
        }
    }

    fn is_busy(&self) -> bool {
        !self.known.is_empty() || !self.asked.is_empty() || !self.signed_in
    }
}

impl World {
    /// Begins what a terminal does by itself.
    pub(crate) fn start_terminal(&mut self, terminal: usize) {
        let life = self.terminals[terminal].life;
        self.later(250 * MS, Event::Alive(terminal, life));
        self.dial(terminal, 100 * MS);
    }

    fn dial(&mut self, terminal: usize, most: u64) {
        let wait = self.chance.time(MS, most + 2);
        let here = &mut self.terminals[terminal];
        here.node = (here.node + 1) % 3;
        let (node, life) = (here.node, here.life);
        self.later(wait, Event::Dial(Kind::Session, terminal, node, life));
    }

    /// The next node is dialled, since this one cannot be reached.
    pub(crate) fn dial_next(&mut self, terminal: usize) {
        let here = &mut self.terminals[terminal];
        here.tries = (here.tries + 1).min(6);
        let most = (100 * MS) << here.tries;
        self.dial(terminal, most);
    }

    /// A node was reached.
    pub(crate) fn terminal_connected(&mut self, terminal: usize, node: usize) {
        if self.terminals[terminal].conn.is_some() {
            return;
        }
        let ends = [Place::Terminal(terminal), Place::Node(node)];
        let Some(id) = self.connect(Kind::Session, ends) else { return };
        let now = self.now;
        let here = &mut self.terminals[terminal];
        (here.conn, here.signed_in, here.heard, here.asked_at) = (Some(id), false, now, now);
        let (account, device, token) = (here.account, here.device, here.token);
        self.say(id, 0, FromTerminal::SignIn { account, device, token });
    }

    /// Looks whether the node is still there. Whatever is said is acknowledged by the transport.
    pub(crate) fn look_alive(&mut self, terminal: usize, life: u64) {
        let again = 250 * MS;
        self.later(again, Event::Alive(terminal, life));
        let Some(conn) = self.terminals[terminal].conn else { return };
        let node = self.conns.get(&conn).map(|it| it.ends[1]);
        let place = Place::Terminal(terminal);
        let there = node.is_some_and(|node| {
            self.is_whole(place, node)
                && self.has_side(conn, 1)
                && self.stands_until(node) <= self.now
        });
        let now = self.now;
        if there {
            self.terminals[terminal].heard = now;
            if let Some(it) = self.conns.get_mut(&conn) {
                it.heard[1] = now;
            }
        }
        let here = &self.terminals[terminal];
        let patience = if here.is_busy() { BUSY_SILENCE } else { IDLE_SILENCE };
        let silent = now - here.heard >= patience;
        let unanswered = !here.signed_in && now - here.asked_at >= REPLY;
        if silent || unanswered {
            self.lose(conn, 0, true);
        }
    }

    /// A terminal's connection is lost.
    pub(crate) fn session_lost(&mut self, terminal: usize, id: ConnId) {
        let here = &mut self.terminals[terminal];
        if here.conn != Some(id) {
            return;
        }
        here.conn = None;
        here.signed_in = false;
        // What was asked over it is not answered any more.
        here.asked.clear();
        self.dial(terminal, 100 * MS);
    }

    /// A terminal hears something over its connection.
    pub(crate) fn terminal_hears(&mut self, terminal: usize, conn: ConnId, told: Told) {
        if self.terminals[terminal].conn != Some(conn) {
            return;
        }
        self.terminals[terminal].heard = self.now;
        match told {
            Told::Token(token) => {
                let here = &mut self.terminals[terminal];
                here.token = Some(token);
                here.tries = 0;
                here.signed_in = true;
                self.stats.sign_ins += 1;
            }
            Told::No(reason) => {
                let here = &mut self.terminals[terminal];
                here.tries = (here.tries + 1).min(6);
                if matches!(reason, Refusal::Expired | Refusal::BadCredentials) {
                    here.token = None;
                }
                self.lose(conn, 0, true);
            }
            Told::Over(reason) => {
                if reason == SessionEnd::Suspended {
                    self.over_for(terminal);
                }
                self.lose(conn, 0, true);
            }
            Told::Says(said) => self.told(terminal, said),
        }
    }

    /// The session is over for good: the person is told that all calls are.
    pub(crate) fn over_for(&mut self, terminal: usize) {
        let here = &mut self.terminals[terminal];
        here.token = None;
        here.known.forget();
        here.view = View::default();
        here.media.clear();
    }

    fn told(&mut self, terminal: usize, said: ToTerminal) {
        self.tell(|| format!("terminal {terminal} hears: {}", in_short(&said)));
        let here = &mut self.terminals[terminal];
        if let Some(request) = said.answers() {
            let wish = here.asked.remove(&request);
            if let (ToTerminal::Done(_), Some(wish)) = (&said, wish) {
                match wish {
                    Wish::In(call) => here.view.is_in(call),
                    Wish::Out(call) => drop(here.view.rings.remove(&call)),
                    Wish::Nothing => {}
                }
            }
        }
        match said {
            ToTerminal::SignedIn(_) => {
                here.known.forget();
                here.view = View::default();
                here.media.clear();
            }
            ToTerminal::Resumed(resumed) => self.settle(terminal, &resumed),
            ToTerminal::Ringing(it) => {
                here.known.heard(it.call);
                here.view.is_in(it.call);
                self.told_of(it.call);
            }
            ToTerminal::Queued(it) => {
                here.known.heard(it.call);
                here.view.is_in(it.call);
            }
            ToTerminal::Incoming(it) => {
                here.known.heard(it.call);
                here.view.rings.insert(it.call);
                self.rings(terminal, it.call);
            }
            ToTerminal::CallReady(ready) => self.ready(terminal, ready),
            ToTerminal::PathRenewed(renewed) => {
                here.known.renewed(&renewed);
                self.renew(terminal, &renewed);
            }
            ToTerminal::PathsChanged(changed) if here.known.paths_changed(&changed) => {
                self.change_paths(terminal, &changed);
            }
            ToTerminal::Members(members) => self.members(terminal, members),
            ToTerminal::Merged(merged) => {
                here.known.merged(&merged);
                here.view.merged(merged.call, merged.into);
                self.move_media(terminal, merged.call, merged.into);
            }
            ToTerminal::Taken(taken) => {
                here.known.over(taken.call);
                // Also one that this device had taken, as far as a lead that is gone knew.
                here.view.over(taken.call);
                here.media.remove(&taken.call);
            }
            ToTerminal::CallEnded(ended) => {
                here.known.over(ended.call);
                here.view.over(ended.call);
                here.media.remove(&ended.call);
                self.stats.ended += 1;
            }
            _ => {}
        }
    }

    /// What control knows counts, but for what this side has left.
    fn settle(&mut self, terminal: usize, resumed: &Resumed) {
        let here = &mut self.terminals[terminal];
        let settled = here.known.resumed(resumed);
        for merged in settled.merged {
            self.terminals[terminal].view.merged(merged.call, merged.into);
            self.move_media(terminal, merged.call, merged.into);
        }
        let here = &mut self.terminals[terminal];
        for (call, _) in settled.over {
            here.view.over(call);
            here.media.remove(&call);
        }
        let rings = here.view.rings.iter().filter(|call| !resumed.rings.contains(call));
        for call in rings.copied().collect::<Vec<_>>() {
            here.view.rings.remove(&call);
        }
        let gone = |call: &CallId| !resumed.calls.contains(call) && !resumed.rings.contains(call);
        for call in here.view.calls.keys().copied().filter(gone).collect::<Vec<_>>() {
            here.view.over(call);
            here.media.remove(&call);
        }
        for call in &resumed.calls {
            if !settled.unwanted.contains(call) {
                here.view.is_in(*call);
            }
        }
        for call in settled.unwanted {
            self.hang_up(terminal, call);
        }
    }

    fn ready(&mut self, terminal: usize, ready: CallReady) {
        let here = &mut self.terminals[terminal];
        let news = here.known.ready(&ready);
        if news != Ready::Over {
            here.view.is_in(ready.call);
            here.view.calls.insert(ready.call, Some(ready.round));
            self.told_of(ready.call);
        }
        let again = self.planted == Some(Planted::SealsAgain);
        match news {
            Ready::Over => self.hang_up(terminal, ready.call),
            Ready::First => self.begin_round(terminal, ready),
            _ if again => {
                self.terminals[terminal].media.remove(&ready.call);
                self.begin_round(terminal, ready);
            }
            Ready::Elsewhere => {
                let CallReady { call, round, paths, hitless, .. } = ready;
                self.change_paths(terminal, &PathsChanged { call, round, paths, hitless });
            }
            Ready::Again(news) => {
                news.iter().for_each(|renewed: &PathRenewed| self.renew(terminal, renewed));
            }
        }
    }

    /// The terminal asks for something, if it is connected.
    pub(crate) fn ask(
        &mut self,
        terminal: usize,
        wish: Wish,
        build: impl FnOnce(RequestId) -> Request,
    ) {
        let here = &mut self.terminals[terminal];
        let Some(conn) = here.conn.filter(|_| here.signed_in) else { return };
        here.requests += 1;
        let number = RequestId(here.requests);
        let request = build(number);
        if request.number().is_some() {
            here.asked.insert(number, wish);
        }
        self.say(conn, 0, FromTerminal::Asks(request));
    }

    /// Leaves a call, whether control can be told now or later.
    pub(crate) fn hang_up(&mut self, terminal: usize, call: CallId) {
        let here = &mut self.terminals[terminal];
        let request = RequestId(0);
        here.known.asked(&Wire::from(HangUp { request, call }));
        if let Some(media) = here.media.get_mut(&call) {
            let now = media.moment(self.now);
            media.rounds.current_mut().leave(now);
        }
        self.ask(terminal, Wish::Nothing, |request| Request::HangUp(HangUp { request, call }));
    }

    /// Gives up a call that rings elsewhere.
    pub(crate) fn cancel(&mut self, terminal: usize, call: CallId) {
        let request = RequestId(0);
        self.terminals[terminal].known.asked(&Wire::from(Cancel { request, call }));
        self.ask(terminal, Wish::Nothing, |request| Request::Cancel(Cancel { request, call }));
    }

    /// Declines a call that rings here.
    pub(crate) fn reject(&mut self, terminal: usize, call: CallId) {
        let request = RequestId(0);
        self.terminals[terminal].known.asked(&Wire::from(Reject { request, call }));
        self.ask(terminal, Wish::Out(call), |request| Request::Reject(Reject { request, call }));
    }

    /// The terminal's process begins anew, and knows nothing.
    pub(crate) fn restart_terminal(&mut self, terminal: usize) {
        let life = self.number();
        let here = &self.terminals[terminal];
        let (account, device) = (here.account, here.device);
        self.terminals[terminal] = Terminal { device, ..Terminal::new(account, terminal, life) };
        self.start_terminal(terminal);
    }
}

impl View {
    fn is_in(&mut self, call: CallId) {
        self.rings.remove(&call);
        self.calls.entry(call).or_default();
    }

    fn over(&mut self, call: CallId) {
        self.rings.remove(&call);
        self.calls.remove(&call);
    }

    fn merged(&mut self, call: CallId, into: CallId) {
        if self.calls.remove(&call).is_some() {
            self.calls.entry(into).or_default();
        }
    }
}

/// Relays and legs of paths, for the same.
fn legs(paths: &[RelayPath]) -> String {
    let legs: Vec<_> =
        paths.iter().map(|path| format!("{} {:?} {}", path.relay, path.role, path.leg)).collect();
    legs.join(", ")
}

/// What is said, for whoever follows a run.
fn in_short(said: &ToTerminal) -> String {
    match said {
        ToTerminal::SignedIn(_) => "SignedIn".into(),
        ToTerminal::Resumed(it) => format!("Resumed in {:?}, rings {:?}", it.calls, it.rings),
        ToTerminal::Ringing(it) => format!("Ringing {}", it.call),
        ToTerminal::Queued(it) => format!("Queued {}", it.call),
        ToTerminal::Incoming(it) => format!("Incoming {}", it.call),
        ToTerminal::CallReady(it) => {
            let (sources, legs) = (it.sources(), legs(&it.paths));
            format!("CallReady {} round {} {sources:?} {legs}", it.call, it.round)
        }
        ToTerminal::PathRenewed(it) => format!("PathRenewed {} {:?}", it.call, it.leg),
        ToTerminal::PathsChanged(it) => {
            format!("PathsChanged {} round {} {}", it.call, it.round, legs(&it.paths))
        }
        ToTerminal::Members(it) => format!("Members {}: {}", it.call, it.members.len()),
        ToTerminal::Merged(it) => format!("Merged {} into {}", it.call, it.into),
        ToTerminal::Taken(it) => format!("Taken {}", it.call),
        ToTerminal::CallEnded(it) => format!("CallEnded {} {:?}", it.call, it.reason),
        ToTerminal::Refused(it) => format!("Refused {:?}", it.reason),
        _ => "something else".into(),
    }
}
