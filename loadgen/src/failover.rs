//! Calls whose relay dies: how long their receivers hear nothing, and what they miss.

use crate::cpu::process_at;
use crate::signed_in::{LiveCall, Side, SignedIn, between};
use anyhow::{Context, Result, bail, ensure};
use core::net::SocketAddr;
use core::time::Duration;
use kakehashi_terminal::media::pacer::{MediaFile, OpusSource, Repeat};
use kakehashi_terminal::media::{
    CallMedia, CallOptions, CallSummary, Feed, MediaInput, MediaOutput, Phase,
};
use kakehashi_terminal::samples::SPEECH_OPUS;
use kakehashi_wire::media::{Codec, StreamKind};
use rustix::process::{Pid, Signal, kill_process};
use tokio::time::{Instant, sleep};

/// Time between two packets of the voice that is sent.
const FRAME: Duration = Duration::from_millis(20);

/// How long calls speak before their relay dies: the standby has had its first packet by then.
const BEFORE: Duration = Duration::from_millis(1_500);

/// How long they speak on: the longest gap that is told apart, and the time in which it is seen
/// that they go on.
const AFTER: Duration = Duration::from_millis(2_500);

/// Of that, the end in which each side must hear something.
const LAST: Duration = Duration::from_millis(500);

/// How long media may take to flow.
const FLOWS_WITHIN: Duration = Duration::from_secs(20);

/// How a relay dies.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum Death {
    /// Its process is killed, as by `kill -9`.
    Kill,
    /// Its process stands still, and goes on when the run is over: nothing is heard of it, and
    /// nobody starts another.
    Stop,
}

/// What came of one run.
#[derive(Clone, Default, Debug)]
pub struct Run {
    /// For each stream that was sent over the relay that died: the longest time in which its
    /// receiver heard nothing, beyond the usual time between packets.
    pub gaps: Vec<Duration>,
    /// Packets of all streams that never came.
    pub packets_lost: u64,
    /// Packets that were sent.
    pub packets: u64,
    /// Calls that ended, or in which a side heard nothing at the end.
    pub calls_lost: u64,
}

/// One side of a call with its media.
struct Speaker {
    side: Side,
    media: CallMedia,
}

impl Speaker {
    fn start(side: Side) -> Result<Self> {
        let source = OpusSource::open(MediaFile::Embedded(SPEECH_OPUS), Repeat::Forever)?;
        let feed = Feed::Frames(Box::new(source));
        let (output, options) = (MediaOutput::default(), CallOptions::default());
        let media = CallMedia::start(&side.ready, vec![voice(feed)], output, options)?;
        Ok(Self { side, media })
    }

    /// Where it sends now.
    fn active(&self) -> Option<SocketAddr> {
        let paths = self.media.snapshot().paths;
        paths.iter().find(|path| path.active)?.address.parse().ok()
    }

    async fn flows(&self) -> Result<()> {
        let begun = Instant::now();
        while self.media.snapshot().phase != Phase::Flowing {
            ensure!(begun.elapsed() < FLOWS_WITHIN, "media does not flow within {FLOWS_WITHIN:?}");
            sleep(FRAME).await;
        }
        Ok(())
    }
}

fn voice(feed: Feed) -> MediaInput {
    MediaInput { kind: StreamKind::Audio, codec: Codec::Opus, feed }
}

/// Lets each pair call, has the relay of the first call die while all speak, and sees what becomes
/// of it. Returns the pairs, for the next run.
///
/// # Errors
/// If calls cannot be placed, or nobody listens at the relay's address.
pub async fn run(
    pairs: Vec<(SignedIn, SignedIn)>,
    death: Death,
) -> Result<(Run, Vec<(SignedIn, SignedIn)>)> {
    let mut calls = Vec::with_capacity(pairs.len());
    for (caller, callee) in pairs {
        let offers = vec![voice(Feed::Silence).offer()];
        let LiveCall { caller, callee } = between(caller, callee, offers).await?;
        calls.push([Speaker::start(caller)?, Speaker::start(callee)?]);
    }
    for speaker in calls.iter().flatten() {
        speaker.flows().await?;
    }
    sleep(BEFORE).await;
    let first = calls.first().context("at least one call")?;
    let target = first[0].active().context("the first call has no relay that answers")?;
    let hit: Vec<_> =
        calls.iter().map(|call| [0, 1].map(|side| call[side].active() == Some(target))).collect();
    let relay = Relay::at(target)?;
    relay.die(death)?;
    sleep(AFTER - LAST).await;
    let heard =
        |call: &[Speaker; 2]| [0, 1].map(|side| call[side].media.snapshot().packets_received());
    let before: Vec<_> = calls.iter().map(heard).collect();
    sleep(LAST).await;
    let goes_on = |(call, before): (&[Speaker; 2], &[u64; 2])| {
        heard(call).iter().zip(before).all(|(now, before)| now > before)
    };
    let alive = calls.iter().zip(&before).filter(|pair| goes_on(*pair)).count();
    let lost = calls.len() - alive;
    let mut run = Run { calls_lost: u64::try_from(lost)?, ..Run::default() };
    let pairs = conclude(calls, &hit, &mut run).await?;
    if death == Death::Stop {
        relay.signal(Signal::CONT)?;
    }
    Ok((run, pairs))
}

async fn conclude(
    calls: Vec<[Speaker; 2]>,
    hit: &[[bool; 2]],
    run: &mut Run,
) -> Result<Vec<(SignedIn, SignedIn)>> {
    calls.iter().flatten().for_each(|speaker| speaker.media.leave());
    let mut pairs = Vec::with_capacity(calls.len());
    for ([mut caller, mut callee], hit) in calls.into_iter().zip(hit) {
        let (here, there) = (caller.media.finished().await?, callee.media.finished().await?);
        for (received, is_hit) in [(&here, hit[1]), (&there, hit[0])] {
            note(run, received, is_hit);
        }
        let call = caller.side.ready.call;
        // A call that was lost has ended.
        let _over_anyway = caller.side.terminal.hang_up(call).await;
        let ((caller, _), (callee, _)) =
            tokio::try_join!(caller.side.ended(), callee.side.ended())?;
        pairs.push((caller, callee));
    }
    Ok(pairs)
}

/// What one side received of the other, which sent over the relay that died if it `is_hit`.
fn note(run: &mut Run, summary: &CallSummary, is_hit: bool) {
    run.packets += summary.packets_sent();
    run.packets_lost += summary.packets_lost();
    if is_hit {
        let silences = summary.received.iter().map(|stream| stream.longest_silence_us);
        let gap = |silence| Duration::from_micros(silence).saturating_sub(FRAME);
        run.gaps.extend(silences.map(gap));
    }
}

/// A relay's process on this machine.
struct Relay(Pid);

impl Relay {
    /// The one whose shard listens there.
    fn at(address: SocketAddr) -> Result<Self> {
        let pid = process_at(address.port())?;
        let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
        Ok(Self(pid.context("the system numbers processes from 1")?))
    }

    fn die(&self, death: Death) -> Result<()> {
        match death {
            Death::Kill => self.signal(Signal::KILL),
            Death::Stop => self.signal(Signal::STOP),
        }
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if let Err(error) = kill_process(self.0, signal) {
            bail!("the relay's process cannot be given {signal:?}: {error}");
        }
        Ok(())
    }
}
