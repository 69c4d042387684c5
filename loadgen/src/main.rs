//! `kakehashi-loadgen`: load for a relay through a real call.

use clap::Parser;
use kakehashi_loadgen::program::{Args, run};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    run(Args::parse()).await
}
