//! One call of the probe: set up as any call is, carried by one of its two relays alone, so that
//! the other cannot hide what is wrong with it.

use super::fault::{Fault, Finding};
use super::session::Session;
use super::voice::{Direction, Heard};
use crate::capacity::{FLOWS_WITHIN, MEDIA_ENDS_WITHIN};
use crate::clock::Clock;
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_terminal::media::{CallMedia, CallOptions, Phase};
use kakehashi_wire::id::{CallId, RelayId};
use kakehashi_wire::media::{Codec, RelayRole, StreamKind, StreamOffer};
use kakehashi_wire::terminal::CallReady;
use tokio::time::{sleep, timeout};

/// How often it is looked how far the media is.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long it is listened after the last word: as long as anything that is of use is under way.
const TAIL: Duration = Duration::from_secs(1);

/// A call that both sides have keys and relays of.
pub(super) struct Call {
    pub(super) id: CallId,
    /// From the request until both were ready.
    pub(super) setup: Duration,
    caller: Box<CallReady>,
    callee: Box<CallReady>,
}

/// What one relay did for a call.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Carried {
    /// Whether the relay answers the caller, at the end of the talk.
    pub(super) answers_caller: bool,
    /// Whether it answers the called side then.
    pub(super) answers_callee: bool,
    /// From the caller to the called side.
    pub(super) to_callee: Heard,
    /// And back.
    pub(super) to_caller: Heard,
    /// Round trip from the caller to the relay, if it answered.
    pub(super) round_trip: Option<Duration>,
    /// Why the call ended meanwhile, if it did.
    pub(super) broken: Option<Finding>,
}

/// Lets the first call the second, and waits until both may send.
pub(super) async fn place(caller: &mut Session, callee: &mut Session) -> Result<Call, Finding> {
    let offers = || vec![StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus }];
    let clock = Clock::start();
    let invited = caller.terminal.invite(&callee.login, offers()).await;
    let id = invited.map_err(|error| Finding::of_request(&caller.login, &error))?;
    let ready = async {
        callee.incoming(id).await?;
        let accepted = callee.terminal.accept(id, offers()).await;
        accepted.map_err(|error| Finding::of_request(&callee.login, &error))?;
        tokio::try_join!(caller.ready(id), callee.ready(id))
    };
    match ready.await {
        Ok((caller, callee)) => Ok(Call { id, setup: clock.now(), caller, callee }),
        Err(finding) => {
            // It may ring on, or be half there.
            let _ = caller.terminal.cancel(id).await;
            let _ = caller.terminal.hang_up(id).await;
            Err(finding)
        }
    }
}

impl Call {
    /// The relays that both sides were given, primary first.
    pub(super) fn relays(&self) -> impl Iterator<Item = RelayId> {
        let at_callee = |relay: &RelayId| self.callee.paths.iter().any(|it| it.relay == *relay);
        self.caller.paths.iter().map(|path| path.relay).filter(at_callee)
    }

    /// Where terminals find a relay of the call.
    pub(super) fn address(&self, relay: RelayId) -> Option<SocketAddr> {
        let path = self.caller.paths.iter().find(|path| path.relay == relay)?;
        Some(path.address.into())
    }

    /// Lets voice flow both ways over `relay` for as long as `talk`, from when both sides' media
    /// flows.
    pub(super) async fn carry(
        &self,
        relay: RelayId,
        talk: Duration,
        (caller, callee): (&mut Session, &mut Session),
    ) -> Result<Carried, Finding> {
        let clock = Clock::start();
        let (there, back) = (Direction::new(clock), Direction::new(clock));
        let mut here = start(&self.caller, relay, &there, &back)?;
        let mut beyond = start(&self.callee, relay, &back, &there)?;
        let exchange = async {
            let begun = clock.now();
            while !(is_settled(&here) && is_settled(&beyond)) && clock.now() - begun < FLOWS_WITHIN
            {
                sleep(LOOK_EVERY).await;
            }
            let flows = |media: &CallMedia| media.snapshot().phase == Phase::Flowing;
            if flows(&here) || flows(&beyond) {
                sleep(talk).await;
            }
            // What is under way still comes.
            there.hush();
            back.hush();
            sleep(TAIL).await;
            // Before the goodbyes: a relay that is left is no longer asked.
            [&here, &beyond].map(|media| media.snapshot().paths.first().cloned())
        };
        let (paths, broken) = tokio::select! {
            paths = exchange => (paths, None),
            broken = caller.follow(self.id, &here) => ([None, None], Some(broken)),
            broken = callee.follow(self.id, &beyond) => ([None, None], Some(broken)),
        };
        here.leave();
        beyond.leave();
        for media in [&mut here, &mut beyond] {
            // What failed is seen in what was heard.
            let _ = timeout(MEDIA_ENDS_WITHIN, media.finished()).await;
        }
        let [path_here, path_beyond] = paths;
        let round_trip = path_here.as_ref().and_then(|path| path.round_trip_us);
        Ok(Carried {
            answers_caller: path_here.is_some_and(|path| path.usable),
            answers_callee: path_beyond.is_some_and(|path| path.usable),
            to_callee: there.heard(),
            to_caller: back.heard(),
            round_trip: round_trip.map(Duration::from_micros),
            broken,
        })
    }

    /// Puts the call on hold on both sides, so that they may have another.
    pub(super) async fn hold(&self, caller: &Session, callee: &Session) -> Result<(), Finding> {
        for side in [caller, callee] {
            let held = side.terminal.hold(self.id, true).await;
            held.map_err(|error| Finding::of_request(&side.login, &error))?;
        }
        Ok(())
    }

    /// Hangs up, and waits until both sides have heard of it.
    pub(super) async fn end(
        &self,
        caller: &mut Session,
        callee: &mut Session,
    ) -> Result<(), Finding> {
        let asked = caller.terminal.hang_up(self.id).await;
        asked.map_err(|error| Finding::of_request(&caller.login, &error))?;
        tokio::try_join!(caller.ended(self.id), callee.ended(self.id)).map(drop)
    }
}

/// One side's media over `relay` alone: for this terminal it is the only one there is.
fn start(
    ready: &CallReady,
    relay: RelayId,
    says: &Direction,
    hears: &Direction,
) -> Result<CallMedia, Finding> {
    let broken = |what: String| Finding::new(Fault::ProbeBroken, what);
    let mut only = ready.clone();
    only.paths.retain(|path| path.relay == relay);
    only.paths.iter_mut().for_each(|path| path.role = RelayRole::Primary);
    let input = says.input().map_err(|error| broken(error.to_string()))?;
    let media = CallMedia::start(&only, vec![input], hears.output(), CallOptions::default());
    media.map_err(|error| broken(format!("media cannot begin: {error}")))
}

/// Whether media flows, or never will.
fn is_settled(media: &CallMedia) -> bool {
    !matches!(media.snapshot().phase, Phase::Binding | Phase::Greeting)
}
