//! `peers`: measures the relay beside the floor, rtpengine and coturn. `bench/peers/run` builds
//! what it needs and starts it.

use crate::chart;
use crate::contest::{Results, Run, run as run_contest, run_past_kernel};
use crate::measure::Effort;
use crate::medium::{Link, Medium, may_make_namespaces};
use crate::report::{self, Circumstances};
use crate::subject::{Programs, Starter};
use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use core::time::Duration;
use kakehashi_loadgen::clock::Clock;
use std::fs;
use std::path::{Path, PathBuf};

/// Measures the relay beside the floor, rtpengine and coturn, at equal work.
#[derive(Parser, Debug)]
#[command(name = "peers", version)]
struct Args {
    /// Few and short rounds: a look, not a result.
    #[arg(long)]
    quick: bool,
    /// How the relay's packets come and go: "uring" compares it with the floor and its peers, "xdp"
    /// the relay past the kernel with the one through it.
    #[arg(long, value_enum, default_value_t = Io::Uring)]
    io: Io,
    /// Only comparisons whose name begins so, as `voice_pass`.
    #[arg(long, value_name = "NAME", default_value = "")]
    only: String,
    /// Writes everything measured to this file.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Writes the page of results to this file, and the picture beside it.
    #[arg(long, value_name = "FILE")]
    page: Option<PathBuf>,
    /// The floor, compiled from `bench/peers/floor.c`.
    #[arg(long, value_name = "PROGRAM")]
    floor: PathBuf,
    /// The relay, built for release.
    #[arg(long, value_name = "PROGRAM")]
    relay: PathBuf,
    /// Core of generator and sink.
    #[arg(long, default_value_t = 0)]
    load_core: usize,
    /// Core of what is measured.
    #[arg(long, default_value_t = 1)]
    subject_core: usize,
    /// The commit that is measured, as it stands in the results.
    #[arg(long, default_value = "unknown")]
    commit: String,
    /// The day, as it stands in the results.
    #[arg(long, default_value = "unknown")]
    date: String,
}

/// What is compared.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
enum Io {
    /// The relay through the kernel.
    Uring,
    /// The relay past the kernel.
    Xdp,
}

/// A few minutes in all.
const QUICK: Effort =
    Effort { rounds: 3, turn: Duration::from_millis(700), trial: Duration::from_millis(200) };

/// Long enough that a round of another length would give the same.
const FULL: Effort =
    Effort { rounds: 5, turn: Duration::from_secs(2), trial: Duration::from_millis(600) };

/// Runs the program.
///
/// # Errors
/// If a subject does not start or forward, or counts do not add up. A missed target is none.
pub fn run() -> Result<()> {
    let args = Args::parse();
    // Best effort: others' work on the machine shall disturb less. What is measured inherits it.
    let _ = rustix::process::nice(-20);
    let folder = tempfile::Builder::new().prefix("kakehashi-peers-").tempdir()?;
    let programs = Programs {
        floor: args.floor.clone(),
        relay: args.relay.clone(),
        folder: folder.path().to_owned(),
    };
    let measured = measure_all(&args, &programs);
    if measured.is_err() {
        eprintln!("logs are kept in {}", folder.keep().display());
    }
    let all = measured?;
    let circumstances = Circumstances {
        machine: machine(),
        commit: args.commit,
        date: args.date,
        command: format!("bench/peers/run{}", if args.quick { " --quick" } else { "" }),
    };
    if let Some(path) = &args.json {
        let text = serde_json::to_string_pretty(&report::json(&all, &circumstances))?;
        write(path, &text)?;
    }
    if let Some(path) = &args.page {
        write(path, &report::page(&all, &circumstances))?;
        write(&path.with_file_name("results.svg"), &chart::svg(&all))?;
    }
    Ok(())
}

fn measure_all(args: &Args, programs: &Programs) -> Result<Vec<Results>> {
    let effort = if args.quick { QUICK } else { FULL };
    let clock = Clock::start();
    let media = if args.io == Io::Xdp {
        vec![Medium::Nic]
    } else if may_make_namespaces() {
        vec![Medium::Loopback, Medium::Veth]
    } else {
        eprintln!("NOT MEASURED over veth: making network namespaces needs root, and iproute2");
        vec![Medium::Loopback]
    };
    let measure = |medium| {
        let link = Link::new(medium, args.load_core, args.subject_core)?;
        let with = Starter { link: &link, programs, clock };
        let run = Run { with, effort, only: &args.only };
        let results = link.load.run(|| match args.io {
            Io::Uring => run_contest(&run, medium),
            Io::Xdp => run_past_kernel(&run),
        })?;
        println!("{}\n{}", report::table(&results), report::highest_table(&results));
        if !results.flooded.is_empty() {
            println!("{}", report::flood_table(&results.flooded));
        }
        Ok(results)
    };
    media.into_iter().map(measure).collect()
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}

/// Processor, cores and kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name\t: "));
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{} ({cores} cores), Linux {}", model.unwrap_or("unknown"), kernel.trim())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_arguments_are_consistent() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_machine_is_named() {
        assert!(machine().contains("cores), Linux "));
    }
}
