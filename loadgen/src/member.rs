//! A member of a call as the load knows it: keys, streams and the relay, wherever they come from.

use crate::mix::Source;
use anyhow::{Context, Result};
use kakehashi_srtp::{Provider, SessionKeys};
use kakehashi_wire::id::{LegId, RelayId};
use kakehashi_wire::media::{SealedDownlink, StreamKind};
use kakehashi_wire::rtp::Ssrc;
use kakehashi_wire::secret::{IcePassword, MasterKey};
use kakehashi_wire::terminal::CallReady;
use std::net::SocketAddr;

/// The faster one on the machines at hand, and the one terminals use.
const PROVIDER: Provider = Provider::AwsLcRs;

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
    /// Set in the seal lane: the relay, and what it seals for this member with.
    pub downlink: Option<(RelayId, SealedDownlink)>,
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
    /// If the call has no relay.
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
            downlink: path.downlink.clone().map(|downlink| (path.relay, downlink)),
        })
    }

    /// The keys this member sends with.
    pub fn uplink_keys(&self) -> SessionKeys {
        SessionKeys::derive(PROVIDER, &self.key)
    }

    /// The keys of what the relay seals for it, in the seal lane.
    pub fn downlink_keys(&self) -> Option<SessionKeys> {
        self.downlink.as_ref().map(|(relay, downlink)| {
            let (suite, secret) = (downlink.suite, &downlink.secret);
            SessionKeys::downlink(PROVIDER, suite, secret, *relay, downlink.epoch)
        })
    }
}
