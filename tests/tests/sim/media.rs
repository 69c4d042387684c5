//! The media of calls: the real rounds and engines of terminals, fed with voice that says who
//! speaks and when, over a network of datagrams.

use super::chance::MS;
use super::net::Place;
use super::world::{Event, World};
use kakehashi_terminal::clock::Moment;
use kakehashi_terminal::congestion::RateLimits;
use kakehashi_terminal::media::rounds::Rounds;
use kakehashi_terminal::media::{Arrival, Engine, Phase};
use kakehashi_wire::datagram::DatagramKind;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{CallReady, MemberPhase, Members, PathRenewed, PathsChanged};
use std::net::SocketAddr;
use std::time::Duration;

/// Between two frames of voice: one packet of 60 ms each.
const FRAME: u64 = 60 * MS;

/// Samples of a frame at 48 kHz.
const FRAME_SAMPLES: u32 = 2_880;

/// What a frame of voice begins with: 60 ms in one Opus frame.
const OPUS_60_MS: u8 = 0x18;

/// What marks a frame as one of the simulator's.
const MARK: [u8; 4] = *b"KKSM";

/// One call's media at a terminal.
pub(crate) struct Media {
    pub(crate) rounds: Rounds,
    /// The port of its socket, as the network shows it.
    pub(crate) port: u16,
    started: u64,
    frames: u32,
    due: Option<u64>,
    number: u64,
}

/// What a frame says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Voice {
    pub(crate) terminal: usize,
    pub(crate) account: usize,
    pub(crate) sent: u64,
}

impl Media {
    /// The simulator's time as the engine's.
    pub(crate) fn moment(&self, now: u64) -> Moment {
        Moment::from_micros(now - self.started + 1)
    }
}

impl Voice {
    fn bytes(self, call: CallId) -> Vec<u8> {
        let mut bytes = vec![OPUS_60_MS];
        bytes.extend(MARK);
        bytes.push(u8::try_from(self.terminal).unwrap_or(u8::MAX));
        bytes.push(u8::try_from(self.account).unwrap_or(u8::MAX));
        bytes.extend(self.sent.to_be_bytes());
        bytes.extend(call.0.to_be_bytes());
        bytes
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let rest = bytes.get(1..)?.strip_prefix(&MARK)?;
        let sent = u64::from_be_bytes(*rest.get(2..)?.first_chunk()?);
        Some(Self { terminal: rest[0].into(), account: rest[1].into(), sent })
    }
}

/// Where a terminal's socket is.
fn socket(terminal: usize, port: u16) -> SocketAddr {
    SocketAddr::from(([10, 2, 0, u8::try_from(terminal).unwrap_or_default()], port))
}

impl World {
    /// A round of a call begins at a terminal.
    pub(crate) fn begin_round(&mut self, terminal: usize, ready: CallReady) {
        let print = super::ledger::hash(ready.key.key());
        for stream in &ready.streams {
            self.terminals[terminal].keys.insert(stream.ssrc.0, print);
        }
        let (call, random) = (ready.call, self.chance.source());
        let now = self.now;
        // Whoever has left a call and takes it once more begins anew.
        let is_left = |media: &mut Media| {
            matches!(media.rounds.current().phase(), Phase::Lingering | Phase::Over)
        };
        let here = &mut self.terminals[terminal];
        if here.media.get_mut(&call).is_some_and(is_left) {
            here.media.remove(&call);
        }
        if let Some(media) = self.terminals[terminal].media.get_mut(&call) {
            let moment = media.moment(now);
            let prepared = media.rounds.prepare(ready, RateLimits::default(), moment, random);
            if let Err(error) = prepared {
                self.fail("media", format!("terminal {terminal}: {error}"));
            }
            return self.media_turn(terminal, call);
        }
        let wall = Duration::from_secs(1_700_000_000);
        let engine = match Engine::new(&ready, Moment::from_micros(1), wall, random) {
            Ok(engine) => engine,
            Err(error) => return self.fail("media", format!("terminal {terminal}: {error}")),
        };
        self.ports = self.ports.checked_add(1).unwrap_or(1_024);
        let mut rounds = Rounds::new(engine, &ready);
        let there = &self.terminals[terminal];
        if let Some(members) = there.members.get(&call) {
            rounds.members(members, &self.people[there.account].login);
        }
        let media = Media {
            rounds,
            port: self.ports,
            started: now,
            frames: 0,
            due: None,
            number: self.number(),
        };
        let number = media.number;
        self.terminals[terminal].media.insert(call, media);
        self.stats.rounds += 1;
        let wait = self.chance.time(0, FRAME);
        self.later(wait, Event::Frame(terminal, call, number));
        self.media_turn(terminal, call);
    }

    /// What a terminal says in a call it says in that of which it became part.
    pub(crate) fn move_media(&mut self, terminal: usize, from: CallId, into: CallId) {
        let here = &mut self.terminals[terminal];
        let Some(mut media) = here.media.remove(&from) else { return };
        if here.media.contains_key(&into) {
            return;
        }
        // What was to happen next was to happen in the other.
        media.due = None;
        let number = media.number;
        here.media.insert(into, media);
        self.later(FRAME, Event::Frame(terminal, into, number));
        self.media_turn(terminal, into);
    }

    /// A relay begins another life of a leg.
    pub(crate) fn renew(&mut self, terminal: usize, renewed: &PathRenewed) {
        if let Some(media) = self.terminals[terminal].media.get_mut(&renewed.call) {
            media.rounds.renew_path(renewed.leg, renewed.epoch);
            self.stats.renewed += 1;
        }
    }

    /// A call goes over other relays.
    pub(crate) fn change_paths(&mut self, terminal: usize, changed: &PathsChanged) {
        let now = self.now;
        if let Some(media) = self.terminals[terminal].media.get_mut(&changed.call) {
            let moment = media.moment(now);
            media.rounds.change_paths(changed, moment);
            self.stats.moved += 1;
            self.media_turn(terminal, changed.call);
        }
    }

    /// Who is in a call and how: what nobody receives is not sent.
    pub(crate) fn members(&mut self, terminal: usize, members: Members) {
        let there = &mut self.terminals[terminal];
        if let Some(media) = there.media.get_mut(&members.call) {
            media.rounds.members(&members, &self.people[there.account].login);
        }
        there.members.insert(members.call, members);
    }

    /// Whether a terminal's voice leaves, as it was last told who is in the call and how.
    pub(crate) fn speaks(&self, terminal: usize, call: CallId) -> bool {
        let there = &self.terminals[terminal];
        let Some(members) = there.members.get(&call) else { return true };
        let login = &self.people[there.account].login;
        let (own, others): (Vec<_>, Vec<_>) =
            members.members.iter().partition(|member| member.login == *login);
        let holds = |phase| matches!(phase, MemberPhase::Held | MemberPhase::HeldReconnecting);
        let silent = own
            .iter()
            .any(|own| holds(own.phase) || own.phase == MemberPhase::Listening || own.muted);
        !silent && others.iter().any(|other| !holds(other.phase))
    }

    fn media(&mut self, terminal: usize, call: CallId) -> Option<&mut Media> {
        self.terminals[terminal].media.get_mut(&call)
    }

    /// Does what is due for a call's media, and sends what there is.
    pub(crate) fn media_turn(&mut self, terminal: usize, call: CallId) {
        let now = self.now;
        let Some(media) = self.media(terminal, call) else { return };
        if media.due.is_some_and(|due| due <= now) {
            media.due = None;
        }
        let moment = media.moment(now);
        media.rounds.handle_timeout(moment);
        self.flush_media(terminal, call);
        let Some(media) = self.media(terminal, call) else { return };
        let (started, number) = (media.started, media.number);
        let Some(at) = media.rounds.next_deadline() else { return };
        let at = (started + at.micros()).max(now + MS / 2);
        if media.due.is_none_or(|due| due > at) {
            media.due = Some(at);
            self.at(at, Event::Media(terminal, call, number));
        }
    }

    fn flush_media(&mut self, terminal: usize, call: CallId) {
        let Some(media) = self.media(terminal, call) else { return };
        let port = media.port;
        let mut heard = Vec::new();
        while let Some(arrival) = media.rounds.poll_arrival() {
            if let Arrival::Frame { frame, .. } = arrival
                && let Some(voice) = Voice::read(&frame.data)
            {
                heard.push(voice);
            }
        }
        while media.rounds.poll_event().is_some() {}
        let mut sent = Vec::new();
        while let Some(transmit) = media.rounds.poll_transmit() {
            sent.push((transmit.to, transmit.bytes));
        }
        for voice in heard {
            self.heard(terminal, call, voice);
        }
        for (to, bytes) in sent {
            self.note_sent(terminal, &bytes);
            self.datagram(socket(terminal, port), to, bytes);
        }
    }

    /// What a terminal seals is entered in the ledger.
    fn note_sent(&mut self, terminal: usize, packet: &[u8]) {
        let (at, kind) = match DatagramKind::of(packet) {
            DatagramKind::Rtp => (8, 2_u8),
            DatagramKind::Rtcp => (4, 3),
            DatagramKind::Stun | DatagramKind::Foreign => return,
        };
        let Some(ssrc) = packet.get(at..).and_then(|rest| rest.first_chunk::<4>()) else { return };
        let ssrc = u32::from_be_bytes(*ssrc);
        let key = self.terminals[terminal].keys.get(&ssrc).copied();
        let Some(key) = key else {
            return self.fail("media", format!("terminal {terminal} sends as {ssrc:08x}"));
        };
        let of = if kind == 2 { (0, ssrc) } else { (1, ssrc) };
        if let Err(text) = self.ledger.sealed(key, of, packet) {
            self.fail("nonce", format!("terminal {terminal}: {text}"));
        }
    }

    /// The next frame of voice.
    pub(crate) fn frame(&mut self, terminal: usize, call: CallId, number: u64) {
        let (now, account) = (self.now, self.terminals[terminal].account);
        let Some(media) = self.media(terminal, call).filter(|it| it.number == number) else {
            return;
        };
        media.frames += 1;
        let timestamp = media.frames.wrapping_mul(FRAME_SAMPLES);
        let data = Voice { terminal, account, sent: now }.bytes(call);
        let moment = media.moment(now);
        let engine = media.rounds.current_mut();
        let sent = engine.send_frame(0, &data, timestamp, moment);
        let (over, failed) = (engine.phase() == Phase::Over, engine.failure().is_some());
        if let Err(error) = sent {
            self.fail("media", format!("terminal {terminal}: {error}"));
        }
        if !over {
            self.later(FRAME, Event::Frame(terminal, call, number));
        } else if failed {
            self.hang_up(terminal, call);
        }
        self.media_turn(terminal, call);
    }

    /// The timer of a call's media.
    pub(crate) fn media_due(&mut self, terminal: usize, call: CallId, number: u64) {
        if self.media(terminal, call).is_some_and(|it| it.number == number) {
            self.media_turn(terminal, call);
        }
    }

    /// A datagram begins its way: it may be lost, late, or come twice.
    pub(crate) fn datagram(&mut self, from: SocketAddr, to: SocketAddr, bytes: Vec<u8>) {
        let Some((source, target)) = place(from).zip(place(to)) else { return };
        self.stats.datagrams += 1;
        if !self.is_open(source, target) || self.chance.below(1_000) < self.net.loss as usize {
            return;
        }
        let copies = 1 + usize::from(self.chance.below(1_000) < self.net.doubled as usize);
        for _ in 0..copies {
            let mut wait = self.delay(source, target);
            if self.chance.one_in(50) {
                wait += self.chance.time(0, 40 * MS);
            }
            self.later(wait, Event::Datagram(from, to, bytes.clone()));
        }
    }

    /// A datagram arrives, if anybody is there.
    pub(crate) fn datagram_arrives(&mut self, from: SocketAddr, to: SocketAddr, bytes: &mut [u8]) {
        let Some((source, target)) = place(from).zip(place(to)) else { return };
        if !self.is_open(source, target) {
            return;
        }
        match target {
            Place::Relay(relay) => {
                if self.relays[relay].alive {
                    self.relay_receives(relay, from, bytes);
                }
            }
            Place::Terminal(terminal) => {
                let now = self.now;
                let mut media = self.terminals[terminal].media.iter_mut();
                let Some((call, media)) = media.find(|(_, it)| it.port == to.port()) else {
                    return;
                };
                let (call, moment) = (*call, media.moment(now));
                media.rounds.handle_datagram(from, bytes, moment);
                self.media_turn(terminal, call);
            }
            Place::Node(_) => {}
        }
    }
}

/// Who has an address.
pub(crate) fn place(address: SocketAddr) -> Option<Place> {
    let SocketAddr::V4(address) = address else { return None };
    match address.ip().octets() {
        [10, 1, 0, relay] => Some(Place::Relay(relay.into())),
        [10, 2, 0, terminal] => Some(Place::Terminal(terminal.into())),
        _ => None,
    }
}
