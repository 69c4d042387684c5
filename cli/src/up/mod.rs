//! `kakehashi up`: the whole platform on one machine.

mod children;
mod configs;
mod first_start;
mod layout;
mod platform;

pub(crate) use children::PARENT_VARIABLE;
pub(crate) use layout::{SOCKET_FILE, make_private};
pub(crate) use platform::Platform;

use crate::args::UpArgs;
use crate::demo;
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
    runtime.block_on(async {
        let mut interrupted = signal(SignalKind::interrupt())?;
        let mut terminated = signal(SignalKind::terminate())?;
        tokio::select! {
            outcome = stay_up(args) => outcome,
            _ = interrupted.recv() => Ok(ExitCode::SUCCESS),
            _ = terminated.recv() => Ok(ExitCode::SUCCESS),
        }
    })
}

async fn stay_up(args: &UpArgs) -> Result<ExitCode> {
    let mut platform = Platform::start(args).await?;
    platform.announce();
    let outcome = if args.demo {
        demo::run(&mut platform, args.seconds).await
    } else {
        first_start::greet(&platform).await?;
        println!("ready: Ctrl-C stops it");
        platform.keep().await
    };
    platform.stop().await;
    outcome
}
