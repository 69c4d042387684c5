//! A control node as a program: settings, log, and a life until a signal ends it.

use crate::config::{Config, ConfigError};
use crate::node::{self, ControlError};
use kakehashi_log::traces::Sender;
use kakehashi_log::{self as log, Format, NotStarted};
use std::path::Path;
use tokio::signal::unix::{SignalKind, signal};

/// Why a node does not run.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// Its settings cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It cannot start.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// What is to be logged, or traced, cannot be.
    #[error("`{key}` {problem}")]
    Log {
        /// The setting.
        key: &'static str,
        /// What is wrong with it, and what would be right.
        problem: NotStarted,
    },
    /// The operating system refused something a process needs.
    #[error("the system refused what a node needs: {0}")]
    System(#[from] std::io::Error),
}

/// Runs a node with the settings in `file`, or the defaults, until SIGINT or SIGTERM, logging to
/// standard error.
///
/// # Errors
/// Why it could not start.
pub fn run_file(file: Option<&Path>) -> Result<(), ProgramError> {
    let config = file.map(Config::read).transpose()?.unwrap_or_default();
    let _log = start_log(&config)?;
    let runtime = tokio::runtime::Runtime::new()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let stop = async {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        Ok(node::run(config, stop).await?)
    })
}

fn start_log(config: &Config) -> Result<log::Running, ProgramError> {
    let format = if config.log_json { Format::Json } else { Format::Text };
    let instance = config.node.name.to_string();
    let sender = Sender { program: "control", instance };
    log::start((&config.log, format), &config.traces, &sender).map_err(|problem| {
        let key = match problem {
            NotStarted::Filter(_) => "log",
            NotStarted::Traces(_) => "traces.collector",
        };
        ProgramError::Log { key, problem }
    })
}
