//! `kakehashi-loadgen orders`: a file of orders for a relay without control.

use crate::local_relay::write_private;
use crate::orders::{Direct, Lane};
use anyhow::Result;
use kakehashi_wire::media::Host;
use std::net::IpAddr;
use std::path::PathBuf;

/// What stands in the file.
#[derive(clap::Args)]
pub(super) struct OrdersArgs {
    /// Legs.
    #[arg(long, default_value_t = 20)]
    legs: usize,
    /// Legs of each call.
    #[arg(long, value_name = "LEGS", default_value_t = 2)]
    calls_of: usize,
    /// Shards of the relay the calls are spread over.
    #[arg(long, default_value_t = 1)]
    shards: u16,
    /// How legs receive what the others send.
    #[arg(long, value_enum, default_value_t = Lane::Pass)]
    lane: Lane,
    /// What the keys are drawn from: whoever knows it knows them.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The address the load will come from, for a relay that lets in no others
    /// (`xdp.signed_in_only`).
    #[arg(long, value_name = "IP")]
    seen_at: Option<IpAddr>,
    /// The file to write.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes it.
pub(super) fn run(args: &OrdersArgs) -> Result<()> {
    let (legs, legs_per_call) = (args.legs, args.calls_of);
    let (shards, seed, lane) = (args.shards, args.seed, args.lane);
    let seen_at = args.seen_at.map_or(Host::UNKNOWN, Host::from);
    let direct = Direct { legs, legs_per_call, shards, seed, lane, seen_at };
    write_private(&args.out, &direct.file()?)?;
    println!(
        "{legs} legs in {}. Start the relay with it, then: kakehashi-loadgen media --relay IP:PORT \
         --legs {legs} --calls-of {legs_per_call} --shards {shards} --seed {seed}{}",
        args.out.display(),
        if lane == Lane::Seal { " --lane seal" } else { "" }
    );
    Ok(())
}
