//! `kakehashi store`: the store of a node that does not run, moved, saved and brought back.

use anyhow::{Context, Result};
use clap::{Args as ClapArgs, Subcommand};
use kakehashi_control::config::Config;
use kakehashi_control::schema;
use kakehashi_control::store::{self, Condition, Revision, SharedStore, Sum, backup, moving};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// What to do with a store.
#[derive(ClapArgs)]
pub(crate) struct StoreArgs {
    /// The settings of the node whose store it is: `control.toml` in the data folder.
    #[arg(long, global = true, value_name = "FILE", default_value = "kakehashi-data/control.toml")]
    pub(crate) config: PathBuf,
    /// Prints one JSON object instead of a sentence.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: StoreCommand,
}

/// What to do with a store.
#[derive(Subcommand)]
pub(crate) enum StoreCommand {
    /// Copies everything into the empty store of other settings, from a file to a cluster or back,
    /// and verifies it. Prints the count and the hash of all entries.
    Copy {
        /// The settings whose store is to hold it.
        #[arg(value_name = "CONFIG")]
        to: PathBuf,
    },
    /// Writes everything into a new file. It holds password hashes: only its owner may read it.
    Backup {
        /// The file.
        file: PathBuf,
    },
    /// Puts a backup into the empty store of the settings, and verifies it.
    Restore {
        /// The file.
        file: PathBuf,
    },
    /// Prints how the store and its members are and which layout it has, as JSON; works while nodes
    /// run on a cluster.
    Status,
}

/// `kakehashi store ...`
pub(crate) fn store(args: &StoreArgs) -> Result<ExitCode> {
    let mut runtime = tokio::runtime::Builder::new_multi_thread();
    let runtime = runtime.enable_all().build().context("cannot start the runtime")?;
    runtime.block_on(async {
        let sum = match &args.command {
            StoreCommand::Copy { to } => copy(&args.config, to).await?,
            StoreCommand::Backup { file } => {
                backup::write(&*open(&args.config).await?, file).await?
            }
            StoreCommand::Restore { file } => {
                let store = open_empty(&args.config, backup::check(file)?).await?;
                backup::restore(file, &*store).await?
            }
            StoreCommand::Status => return status(&args.config).await,
        };
        if args.json {
            let hash = hex::encode(sum.hash);
            println!("{}", serde_json::json!({ "entries": sum.entries, "sha256": hash }));
        } else {
            println!("{sum}");
        }
        Ok(ExitCode::SUCCESS)
    })
}

/// What `kakehashi store status` prints.
#[derive(Serialize)]
struct Said<'a> {
    #[serde(flatten)]
    condition: &'a Condition,
    /// The version of its layout; none if it is empty or does not answer.
    layout: Option<u32>,
}

async fn copy(from: &Path, to: &Path) -> Result<Sum> {
    let from = open(from).await?;
    let to = open_empty(to, moving::reached(&*from).await?).await?;
    Ok(moving::copy(&*from, &*to).await?)
}

async fn status(config: &Path) -> Result<ExitCode> {
    let store = open(config).await?;
    let condition = store.condition().await?;
    // A store that does not answer does not say its layout.
    let layout = schema::version(&*store).await.ok().flatten();
    println!("{}", serde_json::to_string(&Said { condition: &condition, layout })?);
    let is_well = condition.problem.is_none();
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

async fn open(config: &Path) -> Result<SharedStore> {
    let config = Config::read(config)?;
    Ok(store::open(&config.store, &config.store_file()).await?)
}

async fn open_empty(config: &Path, from: Revision) -> Result<SharedStore> {
    let config = Config::read(config)?;
    std::fs::create_dir_all(&config.data)
        .with_context(|| format!("cannot make the folder {}", config.data.display()))?;
    Ok(moving::open_empty(&config.store, &config.store_file(), from).await?)
}
