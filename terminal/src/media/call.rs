//! The engine's shell: one task, one UDP socket, the clock.

use super::engine::{Engine, Random};
use super::feeds::{ActiveFeed, MediaInput, match_inputs};
use super::plain::{self, PlainPacket, PlainPort};
use super::recorder::{Recorder, SinkFactory};
use super::rounds::{self, Rounds};
use super::sockets::{open_socket, plain_outputs, socket_error};
use super::summary::{CallSummary, Phase};
use super::{Arrival, MediaError, MediaEvent, StreamId};
use crate::capacity::{
    DATAGRAM_BYTES_MAX, DATAGRAMS_PER_TURN_MAX, MEDIA_EVENTS_MAX, MEDIA_ORDERS_MAX, PLAIN_BYTES_MAX,
};
use crate::clock::{Clock, Moment};
use crate::congestion::RateLimits;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_srtp::SrtpError;
use kakehashi_wire::id::{Epoch, LegId, MemberId};
use kakehashi_wire::rtp::RtpView;
use kakehashi_wire::terminal::{CallReady, Layer, Members, PathsChanged};
use std::io;
use std::sync::Arc;
use tokio::net::UdpSocket;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::{JoinHandle, JoinSet};

/// How often the snapshot is renewed.
const SNAPSHOT_INTERVAL: Duration = Duration::from_millis(100);

/// Where received streams go; by default nowhere, they are only measured.
#[derive(Default)]
pub struct MediaOutput {
    /// Makes a sink for each received stream.
    pub sinks: Option<Box<dyn SinkFactory>>,
    /// Local ports that get the received streams of a kind as plain RTP.
    pub plain: Vec<PlainPort>,
}

/// When to end by oneself, and how fast to send.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct CallOptions {
    /// Leave this long after media began to flow.
    pub send_for: Option<Duration>,
    /// Leave when every source of frames has ended.
    pub leave_when_sent: bool,
    /// Between what the sending rate stays.
    pub rates: RateLimits,
}

/// The media of a call, running.
pub struct CallMedia {
    leave: Arc<Notify>,
    orders: mpsc::Sender<Order>,
    events: Option<mpsc::Receiver<MediaEvent>>,
    snapshot: watch::Receiver<CallSummary>,
    task: JoinHandle<Result<CallSummary, MediaError>>,
}

impl CallMedia {
    /// Starts on the current tokio runtime. `inputs` are those that were offered to control: at
    /// least one, [`Silence`](super::Feed::Silence) if nothing is to be sent, since hello, reports
    /// and goodbye travel under a stream's SSRC.
    ///
    /// # Errors
    /// [`MediaError::NoStream`] if none was offered, others if the plan or the socket cannot be
    /// used.
    pub fn start(
        ready: &CallReady,
        inputs: Vec<MediaInput>,
        output: MediaOutput,
        options: CallOptions,
    ) -> Result<Self, MediaError> {
        let clock = Clock::start();
        let random: Random = Box::new(rand::random::<u64>);
        let engine = Engine::new(ready, clock.now(), clock.unix_at_zero(), random)?
            .with_rates(options.rates, clock.now());
        let leave = Arc::new(Notify::new());
        let (publish, snapshot) = watch::channel(engine.summary(clock.now()));
        let addresses: Vec<SocketAddr> =
            ready.paths.iter().map(|path| path.address.into()).collect();
        let (packets, plain_in) = plain::channel();
        let (orders, ordered) = mpsc::channel(MEDIA_ORDERS_MAX);
        let (tell, events) = mpsc::channel(MEDIA_EVENTS_MAX);
        let mut recorder = Recorder::start(output.sinks);
        recorder.begin_round(engine.received_plans());
        let mut readers = JoinSet::new();
        let running = Running {
            feeds: match_inputs(inputs, &ready.streams, &packets, &mut readers)?,
            plain_out: plain_outputs(&output.plain, &engine)?,
            socket: open_socket(&addresses).map_err(socket_error)?,
            clock,
            rounds: Rounds::new(engine, ready),
            plain_ports: output.plain,
            options,
            plain_in,
            readers,
            recorder,
            leave: Arc::clone(&leave),
            ordered,
            tell,
            publish,
            next_snapshot: Moment::ZERO,
            blocked: false,
            buffer: Box::new([0; DATAGRAM_BYTES_MAX]),
        };
        let task = tokio::spawn(running.run());
        Ok(Self { leave, orders, events: Some(events), snapshot, task })
    }

    /// Says goodbye and ends when what is under way has arrived.
    pub fn leave(&self) {
        self.leave.notify_one();
    }

    /// Takes in control's `PathRenewed`: the relay of `leg` seals with another key from now on.
    pub fn renew_path(&self, leg: LegId, epoch: Epoch) {
        if self.orders.try_send(Order::Renew(leg, epoch)).is_err() {
            tracing::warn!(event = "path_renewal_not_taken", %leg,
                "the media task did not take a renewed path");
        }
    }

    /// Takes in control's `PathsChanged`: the call goes over these relays from now on.
    pub fn change_paths(&self, changed: PathsChanged) {
        if self.orders.try_send(Order::Paths(Box::new(changed))).is_err() {
            tracing::warn!(
                event = "call_relays_not_taken",
                "the media task did not take the call's other relays"
            );
        }
    }

    /// Goes on in the call's next round, once its relays answer and its members are heard:
    /// control's later `CallReady` of the same call. Feeds, sockets and recordings stay.
    pub fn next_round(&self, ready: CallReady) {
        if self.orders.try_send(Order::Round(Box::new(ready))).is_err() {
            tracing::warn!(
                event = "call_round_not_taken",
                "the media task did not take the call's next round"
            );
        }
    }

    /// Takes in control's `Members` of this call; this terminal is that of `login`. What nobody
    /// would receive does not leave from now on, and what is not to come is not counted as lost.
    pub fn members(&self, members: Members, login: &str) {
        let order = Order::Members(Box::new(members), login.to_owned());
        if self.orders.try_send(order).is_err() {
            tracing::warn!(
                event = "call_members_not_taken",
                "the media task did not take who is in the call"
            );
        }
    }

    /// Control has been asked for this layer of a member's cameras: what is not to come is not
    /// counted as lost.
    pub fn choose_layer(&self, member: MemberId, layer: Layer) {
        if self.orders.try_send(Order::Layer(member, layer)).is_err() {
            tracing::warn!(
                event = "layer_not_taken",
                "the media task did not take which layer is to come"
            );
        }
    }

    /// What the others want of this terminal's encoders; `None` if it was taken before. An
    /// application without encoders need not take it.
    pub fn events(&mut self) -> Option<MediaEvents> {
        self.events.take().map(|receiver| MediaEvents { receiver })
    }

    /// The numbers now.
    pub fn snapshot(&self) -> CallSummary {
        self.snapshot.borrow().clone()
    }

    /// Follows the numbers, for a live view.
    pub fn watch(&self) -> watch::Receiver<CallSummary> {
        self.snapshot.clone()
    }

    /// Waits for the end. May be cancelled and called again, until it has returned.
    ///
    /// # Errors
    /// [`MediaError`] if media could not be exchanged.
    pub async fn finished(&mut self) -> Result<CallSummary, MediaError> {
        match (&mut self.task).await {
            Ok(done) => done,
            Err(error) => {
                Err(MediaError::Socket { why: format!("the media task failed: {error}") })
            }
        }
    }
}

impl Drop for CallMedia {
    fn drop(&mut self) {
        // The task says goodbye by itself and ends soon.
        self.leave.notify_one();
    }
}

/// What the others want of this terminal's encoders, as it comes.
pub struct MediaEvents {
    receiver: mpsc::Receiver<MediaEvent>,
}

impl MediaEvents {
    /// The next event; `None` when the call's media is over.
    pub async fn next(&mut self) -> Option<MediaEvent> {
        self.receiver.recv().await
    }
}

/// What the application wants of the media task.
enum Order {
    /// The relay of the leg began this life of it.
    Renew(LegId, Epoch),
    /// The round goes over these relays.
    Paths(Box<PathsChanged>),
    /// These are in the call, and whose terminal this is.
    Members(Box<Members>, String),
    /// This layer of the member's cameras is to come.
    Layer(MemberId, Layer),
    /// The call goes on with these.
    Round(Box<CallReady>),
}

struct Running {
    clock: Clock,
    rounds: Rounds,
    options: CallOptions,
    socket: UdpSocket,
    blocked: bool,
    buffer: Box<[u8; DATAGRAM_BYTES_MAX]>,
    feeds: Vec<ActiveFeed>,
    plain_in: mpsc::Receiver<PlainPacket>,
    /// Tasks that read local sockets; they end with this.
    readers: JoinSet<()>,
    plain_out: Vec<(StreamId, UdpSocket)>,
    plain_ports: Vec<PlainPort>,
    recorder: Recorder,
    leave: Arc<Notify>,
    ordered: mpsc::Receiver<Order>,
    tell: mpsc::Sender<MediaEvent>,
    publish: watch::Sender<CallSummary>,
    next_snapshot: Moment,
}

impl Running {
    async fn run(mut self) -> Result<CallSummary, MediaError> {
        while self.turn().await {}
        let Self { clock, rounds, recorder, publish, mut readers, .. } = self;
        // The next call may want the same local ports.
        readers.shutdown().await;
        let mut summary = rounds.summary(clock.now());
        let recorded = tokio::task::spawn_blocking(move || recorder.finish()).await;
        summary.recording = recorded.unwrap_or_default();
        publish.send_replace(summary.clone());
        match rounds.current().failure() {
            Some(error) => Err(error),
            None => Ok(summary),
        }
    }

    /// Does what is due, then waits for the next thing; `false` when it is over.
    async fn turn(&mut self) -> bool {
        let now = self.clock.now();
        if let Some(ready) = self.rounds.handle_timeout(now) {
            self.go_on_with(&ready);
        }
        self.feed(now);
        self.leave_if_done(now);
        self.deliver();
        self.pass_on_events();
        self.transmit();
        let over = self.rounds.current().phase() == Phase::Over;
        self.publish_snapshot(now, over);
        if over {
            return false;
        }
        let due = self.clock.instant(self.next_deadline());
        tokio::select! {
            ready = self.socket.readable() => if ready.is_ok() { self.receive() },
            _ = self.socket.writable(), if self.blocked => self.blocked = false,
            Some(packet) = self.plain_in.recv() => self.pass(&packet),
            Some(order) = self.ordered.recv() => match order {
                Order::Renew(leg, epoch) => self.renew(leg, epoch),
                Order::Paths(changed) => self.rounds.change_paths(&changed, self.clock.now()),
                Order::Members(members, login) => self.rounds.members(&members, &login),
                Order::Layer(member, layer) => self.rounds.choose_layer(member, layer),
                Order::Round(ready) => self.prepare(*ready),
            },
            () = self.leave.notified() => self.rounds.current_mut().leave(self.clock.now()),
            () = tokio::time::sleep_until(due) => {}
        }
        true
    }

    /// Another round is to be bound.
    fn prepare(&mut self, ready: CallReady) {
        let random: Random = Box::new(rand::random::<u64>);
        let limits = self.options.rates;
        let prepared = rounds::fits(&ready, self.rounds.current())
            .map_err(MediaError::from)
            .and_then(|()| self.rounds.prepare(ready, limits, self.clock.now(), random));
        match (prepared, self.rounds.next()) {
            (Ok(true), Some(next)) => {
                self.recorder.begin_round(next.received_plans());
                match plain_outputs(&self.plain_ports, next) {
                    Ok(outputs) => self.plain_out.extend(outputs),
                    Err(error) => tracing::warn!(event = "call_round_port_missing", %error,
                        "no port for the next round's streams"),
                }
            }
            (Err(error), _) => tracing::warn!(event = "call_round_not_carried", %error,
                "the call's next round cannot be carried"),
            (Ok(_), _) => {}
        }
    }

    /// The next round is in force: feeds go on in it, with pictures that its members can begin
    /// with.
    fn go_on_with(&mut self, ready: &CallReady) {
        for feed in &mut self.feeds {
            if let Some(plan) = ready.streams.get(feed.stream) {
                feed.goes_on_as(*plan);
                feed.key_frame_wanted();
            }
        }
    }

    fn next_deadline(&self) -> Moment {
        let pacing = self.feeds.iter().filter_map(ActiveFeed::next_deadline);
        let stop = self.stop_at();
        pacing
            .chain(self.rounds.next_deadline())
            .chain(stop)
            .chain([self.next_snapshot])
            .min()
            .unwrap_or(self.next_snapshot)
    }

    /// When the time given for sending is up.
    fn stop_at(&self) -> Option<Moment> {
        let span = self.options.send_for?;
        let flowing = self.rounds.flowing_since()?;
        self.rounds.current().may_send().then(|| flowing.plus(span))
    }

    fn leave_if_done(&mut self, now: Moment) {
        let sent =
            self.options.leave_when_sent && self.rounds.current().may_send() && self.all_sent();
        let stopped = self.stop_at().is_some_and(|stop| now >= stop);
        if sent || stopped || self.rounds.is_alone(now) {
            self.rounds.current_mut().leave(now);
        }
    }

    /// Whether there were sources of frames and all have ended.
    fn all_sent(&self) -> bool {
        self.feeds.iter().any(ActiveFeed::has_ended)
            && !self.feeds.iter().any(ActiveFeed::is_pacing)
    }

    /// Sends the frames that are due.
    fn feed(&mut self, now: Moment) {
        if !self.rounds.current().may_send() {
            return;
        }
        // A frame due at or after the end is not sent, however late this turn is.
        let just_before = |stop: Moment| Moment::from_micros(stop.micros().saturating_sub(1));
        let until = self.stop_at().map_or(now, |stop| now.min(just_before(stop)));
        for feed in &mut self.feeds {
            feed.begin(self.rounds.flowing_since().unwrap_or(now));
            while let Some((data, timestamp)) = feed.due(until) {
                let engine = self.rounds.current_mut();
                if let Err(error) = engine.send_frame(feed.stream, &data, timestamp, now) {
                    tracing::warn!(event = "frame_not_sent", %error, stream = feed.stream,
                        "a frame was not sent");
                }
            }
        }
    }

    /// Sends a packet of a local pipeline.
    fn pass(&mut self, packet: &PlainPacket) {
        if !self.rounds.current().may_send() {
            return;
        }
        let Ok(view) = RtpView::parse(&packet.bytes) else { return };
        if let Some(feed) = self.feeds.iter_mut().find(|feed| feed.stream == packet.input) {
            feed.came_from(packet.from, view.header().ssrc);
        }
        let (engine, now) = (self.rounds.current_mut(), self.clock.now());
        match engine.send_packet(packet.input, &view, now) {
            Err(SrtpError::TooLong) if engine.drops().too_long == 1 => tracing::warn!(
                event = "local_packet_too_long",
                stream = packet.input,
                bytes = packet.bytes.len(),
                most = PLAIN_BYTES_MAX,
                "a packet of the local pipeline is longer than a relay takes, and all like it are \
                 dropped: lower the pipeline's MTU (GStreamer: mtu=1200 at its payloader)"
            ),
            Err(error) => {
                tracing::debug!(event = "local_packet_not_sent", %error, stream = packet.input,
                    "a local packet was not sent");
            }
            Ok(()) => {}
        }
    }

    fn receive(&mut self) {
        for _ in 0..DATAGRAMS_PER_TURN_MAX {
            let Ok((bytes, from)) = self.socket.try_recv_from(&mut self.buffer[..]) else { return };
            let from = SocketAddr::new(from.ip().to_canonical(), from.port());
            self.rounds.handle_datagram(from, &mut self.buffer[..bytes], self.clock.now());
        }
    }

    fn deliver(&mut self) {
        while let Some(arrival) = self.rounds.poll_arrival() {
            match arrival {
                Arrival::Frame { stream, frame } => self.recorder.put(stream, frame),
                Arrival::Packet { stream, bytes } => {
                    for (_, socket) in self.plain_out.iter().filter(|(of, _)| *of == stream) {
                        // Nobody listening is no fault of the call.
                        let _ = socket.try_send(&bytes);
                    }
                }
            }
        }
    }

    /// Tells sources and application what the others want.
    fn pass_on_events(&mut self) {
        while let Some(event) = self.rounds.poll_event() {
            match event {
                MediaEvent::KeyFrameWanted { stream } => {
                    let feeds = self.feeds.iter_mut().filter(|feed| feed.stream == stream);
                    feeds.for_each(ActiveFeed::key_frame_wanted);
                }
                MediaEvent::TargetRate { bits_per_second } => {
                    self.feeds.iter_mut().for_each(|feed| feed.target_rate(bits_per_second));
                }
            }
            // Whoever does not read has no encoder.
            let _ = self.tell.try_send(event);
        }
    }

    fn renew(&mut self, leg: LegId, epoch: Epoch) {
        if !self.rounds.renew_path(leg, epoch) {
            tracing::warn!(event = "path_renewal_unsealed", %leg,
                "control renewed a path that is not sealed");
        }
    }

    fn transmit(&mut self) {
        while !self.blocked {
            let Some(transmit) = self.rounds.poll_transmit() else { return };
            let to = self.reachable(transmit.to);
            match self.socket.try_send_to(&transmit.bytes, to) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.rounds.current_mut().send_again(transmit);
                    self.blocked = true;
                }
                Err(error) => tracing::debug!(event = "packet_not_sent", %error, %to, "not sent"),
                Ok(_) => {}
            }
        }
    }

    /// A dual-stack socket wants IPv4 addresses in their IPv6 form.
    fn reachable(&self, to: SocketAddr) -> SocketAddr {
        match (self.socket.local_addr(), to) {
            (Ok(SocketAddr::V6(_)), SocketAddr::V4(v4)) => {
                SocketAddr::new(v4.ip().to_ipv6_mapped().into(), v4.port())
            }
            _ => to,
        }
    }

    fn publish_snapshot(&mut self, now: Moment, over: bool) {
        if over || now >= self.next_snapshot {
            self.next_snapshot = now.plus(SNAPSHOT_INTERVAL);
            self.publish.send_replace(self.rounds.summary(now));
        }
    }
}
