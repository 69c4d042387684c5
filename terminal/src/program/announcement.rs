//! What a caller hears while it waits at a desk that asks for it: a file of this terminal's own,
//! over and over, played and recorded where what arrives in the call will be.

use super::streams;
use crate::config::Config;
use crate::media::pacer::TimedFrame;
use crate::media::recorder::Recorder;
use crate::media::sockets::plain_output;
use crate::media::{FrameSource, StreamId};
use crate::packets::Frame;
use anyhow::{Context as _, Result};
use core::time::Duration;
use kakehashi_wire::media::{Codec, StreamKind, StreamPlan};
use kakehashi_wire::rtp::{RtpHeader, Ssrc};
use tokio::net::UdpSocket;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until};

/// The source of its packets at local players: nothing else is played before a call begins.
const SSRC: Ssrc = Ssrc(1);

/// Its recording's name, in place of a login ID.
const NAME: &str = "announcement";

/// An announcement that is played until this ends.
pub(super) struct Announcement {
    /// Dropped, it ends the playing.
    stop: oneshot::Sender<()>,
    playing: JoinHandle<()>,
}

impl Announcement {
    /// Begins to play the file of the settings; `None` if they name none.
    ///
    /// # Errors
    /// If it cannot be opened, or there is no socket for the players.
    pub(super) fn begin(config: &Config) -> Result<Option<Self>> {
        let Some(source) = streams::announcement(config)? else { return Ok(None) };
        let mut players = Vec::new();
        for port in config.rtp_out.iter().filter(|port| port.kind.0 == StreamKind::Audio) {
            let player = plain_output(port.address);
            players.push(player.with_context(|| format!("no socket for {}", port.address))?);
        }
        let mut recorder = Recorder::start(streams::output(config)?.sinks);
        let (kind, codec) = (StreamKind::Audio, Codec::Opus);
        let plan = StreamPlan { kind, codec, ssrc: SSRC, first_sequence: 0, rollover: 0 };
        recorder.begin_round([(StreamId(0), NAME, plan)].into_iter());
        let (stop, stopped) = oneshot::channel();
        let playing = tokio::spawn(play(source, players, recorder, stopped));
        Ok(Some(Self { stop, playing }))
    }

    /// Ends it; nothing of it is played or recorded after this returns.
    pub(super) async fn end(self) {
        drop(self.stop);
        // Whatever went wrong while it played ends with it.
        let _ended = self.playing.await;
    }
}

async fn play(
    mut source: Box<dyn FrameSource>,
    players: Vec<UdpSocket>,
    mut recorder: Recorder,
    mut stopped: oneshot::Receiver<()>,
) {
    let (began, rate) = (Instant::now(), u64::from(Codec::Opus.clock_hz()));
    let mut sequence = 0_u16;
    while let Ok(Some(TimedFrame { at, data })) = source.next_frame() {
        let due = began + Duration::from_micros(at * 1_000_000 / rate);
        tokio::select! {
            biased;
            _ = &mut stopped => break,
            () = sleep_until(due) => {}
        }
        // Modulo 2^32, as RTP counts.
        #[expect(clippy::cast_possible_truncation, reason = "RTP timestamps wrap")]
        let timestamp = at as u32;
        let (marker, payload_type) = (sequence == 0, Codec::Opus.payload_type());
        let header = RtpHeader { marker, payload_type, sequence, timestamp, ssrc: SSRC };
        let packet = [&header.to_bytes()[..], &data].concat();
        for player in &players {
            // A player that is not there misses it.
            let _ = player.try_send(&packet);
        }
        sequence = sequence.wrapping_add(1);
        recorder.put(StreamId(0), Frame { timestamp, key: true, lost_before: false, data });
    }
    let written = tokio::task::spawn_blocking(|| recorder.finish()).await;
    for why in written.into_iter().flat_map(|summary| summary.errors) {
        tracing::warn!(event = "announcement_incomplete", %why,
            "the announcement is not recorded whole");
    }
}
