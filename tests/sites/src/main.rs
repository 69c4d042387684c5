//! `kakehashi-sites`: several sites on one machine, to try by hand (`up`) and to measure what calls
//! notice when something dies (`drill`).

mod bed;
mod by_hand;
mod clock;
mod configs;
mod drills;
mod network;
mod nic;
mod operator;
mod part;
mod voices;
mod wall;
mod wan;

use anyhow::{Context, Result, ensure};
use bed::{Bed, Plan};
use by_hand::Order;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use core::time::Duration;
use drills::{DRILLS, Drill, DrillReport, Exercise, heading, plot, table};
use nic::Io;
use std::io::BufRead;
use std::path::{Path, PathBuf};

/// How long the store is without a quorum when the figures are to count.
const FULL: Duration = Duration::from_secs(120);

/// The same, in a short version.
const QUICK: Duration = Duration::from_secs(10);

/// Several sites on one machine: each a network of its own with a control node, relays and a member
/// of the store; terminals are in two further networks.
#[derive(Parser)]
#[command(version)]
enum Command {
    /// Raises the sites and takes commands from standard input until `end`.
    Up(UpArgs),
    /// Raises the sites, lets calls go on, and measures what their listeners notice of what
    /// happens.
    Drill(DrillArgs),
}

/// What to raise.
#[derive(clap::Args)]
struct UpArgs {
    /// How many sites.
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=9))]
    sites: u8,
    /// Relays of each site.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u8).range(1..=9))]
    relays: u8,
    /// How long a packet is under way from one network to another, such as 10ms.
    #[arg(long, default_value = "10ms", value_parser = delay)]
    delay: Duration,
    /// What losses are drawn from.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How relays move packets: through the kernel, or past it, each over a virtual Ethernet device
    /// of its own.
    #[arg(long, value_enum, default_value_t = Io::Uring)]
    io: Io,
    /// Where everything is kept; drills take a folder that is not there yet, or one that goes with
    /// them if none is given [default: kakehashi-sites].
    #[arg(long)]
    data: Option<PathBuf>,
}

/// What is to happen.
#[derive(clap::Args)]
struct DrillArgs {
    /// Which drills, or `all`.
    #[arg(required = true, value_parser = names())]
    drills: Vec<String>,
    /// A few runs each, to see that they work; without it, as many as promises are measured by.
    #[arg(long)]
    quick: bool,
    /// How often each drill is to happen.
    #[arg(long, conflicts_with = "quick")]
    runs: Option<u32>,
    /// Calls that go on.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    calls: u32,
    /// How long the store is without a quorum, such as 120s [default: 120s, 10s with --quick].
    #[arg(long, value_parser = seconds)]
    quorum_lost_for: Option<Duration>,
    /// File for the figures.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// File for a picture of all gaps, SVG.
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
    /// Folder for the table, the figures and the picture.
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
    #[command(flatten)]
    up: UpArgs,
}

/// What can be asked for: `all`, or drills by name.
fn names() -> PossibleValuesParser {
    let names = DRILLS.iter().map(|drill| drill.name);
    PossibleValuesParser::new(std::iter::once("all").chain(names))
}

impl UpArgs {
    fn plan(&self, folder: &Path) -> Result<Plan> {
        let folder = std::path::absolute(folder).context("the folder has no path")?;
        let (sites, relays, delay, seed) = (self.sites, self.relays, self.delay, self.seed);
        Ok(Plan { sites, nodes: sites, relays, delay, seed, io: self.io, folder })
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let ms = text.strip_suffix("ms").unwrap_or(text).parse().ok().filter(|ms| *ms <= 10_000);
    ms.map(Duration::from_millis).ok_or_else(|| "give milliseconds, such as 10ms".to_owned())
}

fn seconds(text: &str) -> Result<Duration, String> {
    let s = text.strip_suffix('s').unwrap_or(text).parse().ok().filter(|s| (1..=3_600).contains(s));
    s.map(Duration::from_secs).ok_or_else(|| "give seconds, such as 120s".to_owned())
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Up(args) => up(&args),
        Command::Drill(args) => drill(&args),
    }
}

fn up(args: &UpArgs) -> Result<()> {
    let folder = args.data.as_deref().unwrap_or_else(|| Path::new("kakehashi-sites"));
    let mut bed = Bed::raise(args.plan(folder)?)?;
    println!("{}\n{}", Order::Parts.carry_out(&mut bed)?, by_hand::HELP);
    for line in std::io::stdin().lock().lines() {
        let line = line.context("cannot read what is typed")?;
        match Order::read(&line) {
            Ok(Order::End) => break,
            Ok(order) => match order.carry_out(&mut bed) {
                Ok(said) => println!("{said}"),
                Err(error) => println!("{error:#}"),
            },
            Err(error) => println!("{error:#}"),
        }
    }
    Ok(())
}

fn drill(args: &DrillArgs) -> Result<()> {
    let passing = tempfile::tempdir().context("no folder to be had")?;
    let folder = args.up.data.as_deref().unwrap_or_else(|| passing.path());
    let is_new = args.up.data.is_none() || !folder.exists();
    ensure!(is_new, "{} is there already: name another folder", folder.display());
    let quorum_lost_for = args.quorum_lost_for.unwrap_or(if args.quick { QUICK } else { FULL });
    let bed = Bed::raise(args.up.plan(folder)?)?;
    let mut exercise = Exercise::begin(bed, args.calls, quorum_lost_for)?;
    let asked = |drill: &&Drill| args.drills.iter().any(|name| name == "all" || name == drill.name);
    let mut reports = Vec::new();
    for drill in DRILLS.iter().filter(asked) {
        let usual = if args.quick { drill.runs_quick } else { drill.runs };
        reports.push((drill, exercise.run(drill, args.runs.unwrap_or(usual))?));
        // What was measured so far is not lost with what comes.
        write(args, &reports)?;
    }
    exercise.end();
    println!("{}", table(&reports));
    Ok(())
}

/// Writes what was asked for.
fn write(args: &DrillArgs, reports: &[(&Drill, DrillReport)]) -> Result<()> {
    let figures: Vec<&DrillReport> = reports.iter().map(|(_, report)| report).collect();
    let json = serde_json::to_string_pretty(&figures)?;
    let into = |name| args.report.as_ref().map(|folder| folder.join(name));
    if let Some(folder) = &args.report {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make {}", folder.display()))?;
    }
    let files = [
        (args.json.clone(), &json),
        (into("drills.json"), &json),
        (args.plot.clone(), &plot(reports)),
        (into("gaps.svg"), &plot(reports)),
        (into("drills.txt"), &(heading() + &table(reports))),
    ];
    for (file, text) in files {
        let Some(file) = file else { continue };
        std::fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
