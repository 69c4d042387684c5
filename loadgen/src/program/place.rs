//! Where calls come from: a relay alone with a file of orders, or control.

use super::common::{ControlArgs, CpuArgs, MadeArgs, MixArgs};
use crate::accounts::{Accounts, Roster};
use crate::engine::{Cores, Engine, SOCKETS};
use crate::local_relay::{LocalRelay, program_beside};
use crate::member::Member;
use crate::orders::{Direct, Lane};
use crate::real_calls::RealCalls;
use anyhow::{Context, Result, ensure};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::PathBuf;

/// Where calls come from.
#[derive(clap::Args)]
#[command(next_help_heading = "Where calls come from")]
pub(super) struct PlaceArgs {
    /// Starts a relay of its own with its orders, without control: PROGRAM, or the
    /// `kakehashi-relay` beside this program.
    #[arg(long, value_name = "PROGRAM", conflicts_with = "relay")]
    #[expect(clippy::option_option, reason = "clap: not given, given alone, given with a value")]
    start_relay: Option<Option<PathBuf>>,
    /// Drives the relay whose shard 0 listens here. It was started anew with a file of `orders` of
    /// the same --legs, --calls-of, --shards and --seed.
    #[arg(long, value_name = "IP:PORT")]
    relay: Option<SocketAddr>,
    /// Legs of each call. Calls through control have two.
    #[arg(long, value_name = "LEGS", default_value_t = 2)]
    pub(super) calls_of: usize,
    /// Shards of the relay, on as many ports.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// How legs of a relay without control receive what the others send.
    #[arg(long, value_enum, default_value_t = Lane::Pass)]
    lane: Lane,
    /// Where control is, for calls through it.
    #[command(flatten)]
    control: ControlArgs,
    /// Accounts to sign in with, two a call: a line each with tenant, login ID and password.
    #[arg(long, value_name = "FILE")]
    accounts: Option<PathBuf>,
    /// Where they are made without a list.
    #[command(flatten)]
    made: MadeArgs,
}

/// A place where calls are to be had.
pub(super) enum Place {
    /// A relay with a file of orders.
    Direct {
        /// What the file was made of.
        direct: Direct,
        /// Where its shard 0 listens.
        relay: SocketAddr,
        /// The relay's process, if it is ours.
        own: Option<LocalRelay>,
        /// Members not driven yet.
        members: Vec<Member>,
    },
    /// Control.
    Control(RealCalls),
}

impl PlaceArgs {
    /// The place for at most `calls_max` calls.
    pub(super) fn open(&self, calls_max: usize, mix: &MixArgs, cpu: &CpuArgs) -> Result<Place> {
        let direct = Direct {
            legs: calls_max * self.calls_of,
            legs_per_call: self.calls_of,
            shards: self.shards,
            seed: mix.seed,
            lane: self.lane,
            seen_at: kakehashi_wire::media::Host::UNKNOWN,
        };
        if self.start_relay.is_none() && self.relay.is_none() {
            ensure!(
                self.calls_of == 2,
                "calls through control have two legs; larger ones need --start-relay or --relay"
            );
            let accounts = match &self.accounts {
                Some(path) => Accounts::listed(path)?,
                None => self.made.accounts()?,
            };
            let roster = Roster::new(self.control.read()?, accounts);
            return Ok(Place::Control(RealCalls::new(roster)));
        }
        direct.check()?;
        let own = match &self.start_relay {
            Some(None) => Some(program_beside("kakehashi-relay")?),
            Some(Some(program)) => Some(program.clone()),
            None => None,
        };
        let cores: Vec<usize> = cpu.relay_core.into_iter().collect();
        let own = own.map(|program| LocalRelay::start(&program, &direct, &cores)).transpose()?;
        let relay = own.as_ref().map(LocalRelay::address).or(self.relay);
        let relay = relay.context("a relay was started or named")?;
        let members = direct.members(relay);
        Ok(Place::Direct { direct, relay, own, members })
    }
}

impl Place {
    /// What a report says of it.
    pub(super) fn describe(&self) -> String {
        match self {
            Self::Direct { direct, relay, own, .. } => format!(
                "orders of seed {} for {} legs ({:?} lane) at a relay {}at {relay}, shards: {}",
                direct.seed,
                direct.legs,
                direct.lane,
                if own.is_some() { "of our own " } else { "" },
                direct.shards
            ),
            Self::Control(_) => String::from("control: accounts signed in, calls set up"),
        }
    }

    /// Calls there can be at most.
    pub(super) fn calls_max(&self) -> usize {
        match self {
            Self::Direct { direct, .. } => direct.legs / direct.legs_per_call.max(1),
            Self::Control(calls) => calls.calls_max(),
        }
    }

    /// The relay's process and where it listens, as far as they are known beforehand.
    pub(super) fn own_pid(&self) -> Option<u32> {
        match self {
            Self::Direct { own, .. } => own.as_ref().map(LocalRelay::pid),
            Self::Control(_) => None,
        }
    }

    /// Sees to it that `engine` has `calls` calls.
    pub(super) async fn fill(
        &mut self,
        engine: &mut Option<Engine>,
        calls: usize,
        legs_per_call: usize,
        cores: Cores,
    ) -> Result<()> {
        let have = engine.as_ref().map_or(0, |engine| engine.legs());
        let members = match self {
            Self::Direct { members, .. } => {
                let wanted = (calls * legs_per_call).saturating_sub(have).min(members.len());
                members.drain(..wanted).collect()
            }
            Self::Control(real) => real.grow(calls).await?,
        };
        let Some(first) = members.first() else { return Ok(()) };
        let ip = local_ip(first.relay.ip());
        let engine = match engine {
            Some(engine) => engine,
            None => engine.insert(Engine::new(ip, SOCKETS, cores)?),
        };
        tokio::task::block_in_place(|| engine.add(members))
    }

    /// Refuses a relay of our own that is gone.
    pub(super) fn check(&mut self) -> Result<()> {
        match self {
            Self::Direct { own: Some(relay), .. } => relay.check(),
            Self::Direct { own: None, .. } | Self::Control(_) => Ok(()),
        }
    }

    /// Ends the calls; says whether any broke off by itself.
    pub(super) async fn close(self, warnings: &mut Vec<String>) {
        if let Self::Control(calls) = self {
            let broken = calls.broken();
            if broken > 0 {
                warnings.push(format!("{broken} sides of calls ended by themselves"));
            }
            calls.end().await;
        }
    }
}

/// Where to listen for a relay at `relay`: the loopback address stays what it is.
fn local_ip(relay: IpAddr) -> IpAddr {
    match relay {
        IpAddr::V4(ip) if ip.is_loopback() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_loopback() => Ipv6Addr::LOCALHOST.into(),
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    }
}
