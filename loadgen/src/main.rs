//! `kakehashi-loadgen`: load for a relay, and for the whole platform.

use clap::Parser;
use kakehashi_loadgen::program::{Args, run};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(code) => code,
        Err(error) => {
            eprintln!("kakehashi-loadgen: {error:#}");
            ExitCode::FAILURE
        }
    }
}
