//! One part of the platform as a process of its own.

use crate::args::PartArgs;
use crate::platform::PARENT_VARIABLE;
use anyhow::{Context, Result, bail};
use std::process::ExitCode;

/// Runs a control node until it is told to stop.
pub(crate) fn control(args: &PartArgs) -> Result<ExitCode> {
    end_with_parent()?;
    kakehashi_control::program::run_file(Some(&args.config))?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a relay until it is told to stop.
pub(crate) fn relay(args: &PartArgs) -> Result<ExitCode> {
    end_with_parent()?;
    kakehashi_relay::program::run_file(&args.config, None)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a terminal.
pub(crate) fn terminal(args: kakehashi_terminal::program::Args) -> Result<ExitCode> {
    end_with_parent()?;
    Ok(kakehashi_terminal::program::run(args))
}

/// A part that `kakehashi up` started ends with it, even if `up` is killed.
fn end_with_parent() -> Result<()> {
    let Ok(parent) = std::env::var(PARENT_VARIABLE) else { return Ok(()) };
    rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::TERM))
        .context("cannot ask the kernel for a signal at the parent's death")?;
    let alive =
        rustix::process::getppid().is_some_and(|pid| pid.as_raw_nonzero().to_string() == parent);
    if !alive {
        bail!("the platform that started this part has ended already");
    }
    Ok(())
}
