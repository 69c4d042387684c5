//! A member of a call as the load knows it: keys, streams and the relay, wherever they come from.

use crate::mix::Source;
use anyhow::{Context, Result};
use kakehashi_wire::id::LegId;
use kakehashi_wire::media::StreamKind;
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{IcePassword, MasterKey};
use kakehashi_wire::terminal::CallReady;
use std::net::SocketAddr;

/// One member of one call.
pub struct Member {
    /// Number of the call within the run; its members stand one behind the other.
    pub call: usize,
    /// Where the call's shard listens.
    pub relay: SocketAddr,
    /// The leg there.
    pub leg: LegId,
    /// Keys the leg's bindings.
    pub relay_password: IcePassword,
    /// Seals what the leg sends.
    pub key: MasterKey,
    /// What it may send.
    pub streams: Vec<MemberStream>,
}

/// A stream a member may send.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MemberStream {
    /// What it carries.
    pub source: Source,
    /// Its synchronisation source.
    pub ssrc: Ssrc,
    /// Its first sequence number.
    pub first_sequence: u16,
}

impl Member {
    /// The member whose terminal was told `ready`, at the call's primary relay.
    ///
    /// # Errors
    /// If the call has no relay, or is not of the pass lane.
    pub fn of_call(call: usize, ready: &CallReady) -> Result<Self> {
        let path = ready.paths.first().context("the call has no relay")?;
        let streams = ready.streams.iter().map(|stream| MemberStream {
            source: match stream.kind {
                StreamKind::Audio => Source::Voice,
                StreamKind::Camera => Source::Camera,
                StreamKind::Screen => Source::Screen,
            },
            ssrc: stream.ssrc,
            first_sequence: stream.first_sequence,
        });
        Ok(Self {
            call,
            relay: path.address.into(),
            leg: path.leg,
            relay_password: path.relay_password.clone(),
            key: ready.key.clone(),
            streams: streams.collect(),
        })
    }
}
