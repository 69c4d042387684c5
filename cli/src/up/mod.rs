//! `kakehashi up`: runs the platform until a signal comes, or until a demonstration is over.

mod first_start;

use crate::args::UpArgs;
use crate::demo;
use crate::platform::Platform;
use anyhow::{Context, Result};
use std::process::ExitCode;
use tokio::signal::unix::{SignalKind, signal};

/// Runs the platform until a signal comes, or until the demonstration is over.
pub(crate) fn run(args: &UpArgs) -> Result<ExitCode> {
    // One thread: the children ask the kernel for a signal when the thread that made them ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(stay_up(args))
}

async fn stay_up(args: &UpArgs) -> Result<ExitCode> {
    let mut interrupted = signal(SignalKind::interrupt())?;
    let mut terminated = signal(SignalKind::terminate())?;
    let mut platform = Platform::new(args)?;
    let outcome = tokio::select! {
        outcome = serve(&mut platform, args) => outcome,
        _ = interrupted.recv() => Ok(ExitCode::SUCCESS),
        _ = terminated.recv() => Ok(ExitCode::SUCCESS),
    };
    // However it ended: sessions hear a farewell, and records are written.
    platform.stop().await;
    outcome
}

async fn serve(platform: &mut Platform, args: &UpArgs) -> Result<ExitCode> {
    platform.start().await?;
    platform.announce();
    if args.demo {
        return demo::run(platform, args.seconds).await;
    }
    first_start::greet(platform).await?;
    println!("ready: Ctrl-C stops it");
    platform.keep().await
}
