//! `kakehashi-sites`: several sites on one machine, to try by hand (`up`) and to measure what calls
//! notice when something dies (`drill`).

mod bed;
mod by_hand;
mod clock;
mod configs;
mod drills;
mod network;
mod part;
mod voices;
mod wan;

use anyhow::{Context, Result};
use bed::{Bed, Plan};
use by_hand::Order;
use clap::Parser;
use clap::builder::PossibleValuesParser;
use core::time::Duration;
use drills::{DRILLS, Drill, Exercise, table};
use std::io::BufRead;
use std::path::PathBuf;

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
    /// Where everything is kept.
    #[arg(long, default_value = "kakehashi-sites")]
    data: PathBuf,
}

/// What is to happen.
#[derive(clap::Args)]
struct DrillArgs {
    /// Which drills, or `all`.
    #[arg(required = true, value_parser = names())]
    drills: Vec<String>,
    /// A few runs each, to see that they work; without it, as many as LIMITS.md asks for.
    #[arg(long)]
    quick: bool,
    /// How often each drill is to happen.
    #[arg(long, conflicts_with = "quick")]
    runs: Option<u32>,
    /// Calls that go on.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=200))]
    calls: u32,
    /// File for the figures.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    #[command(flatten)]
    up: UpArgs,
}

/// What can be asked for: `all`, or drills by name.
fn names() -> PossibleValuesParser {
    let names = DRILLS.iter().map(|drill| drill.name);
    PossibleValuesParser::new(std::iter::once("all").chain(names))
}

impl UpArgs {
    fn plan(&self) -> Result<Plan> {
        let folder = std::path::absolute(&self.data).context("the folder has no path")?;
        let (sites, relays, delay, seed) = (self.sites, self.relays, self.delay, self.seed);
        Ok(Plan { sites, nodes: sites, relays, delay, seed, folder })
    }
}

fn delay(text: &str) -> Result<Duration, String> {
    let ms = text.strip_suffix("ms").unwrap_or(text).parse().ok().filter(|ms| *ms <= 10_000);
    ms.map(Duration::from_millis).ok_or_else(|| "give milliseconds, such as 10ms".to_owned())
}

fn main() -> Result<()> {
    match Command::parse() {
        Command::Up(args) => up(&args),
        Command::Drill(args) => drill(&args),
    }
}

fn up(args: &UpArgs) -> Result<()> {
    let mut bed = Bed::raise(args.plan()?)?;
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
    let asked = |drill: &&Drill| args.drills.iter().any(|name| name == "all" || name == drill.name);
    let mut exercise = Exercise::begin(Bed::raise(args.up.plan()?)?, args.calls)?;
    let mut reports = Vec::new();
    for drill in DRILLS.iter().filter(asked) {
        let usual = if args.quick { drill.runs_quick } else { drill.runs };
        reports.push(exercise.run(drill, args.runs.unwrap_or(usual))?);
    }
    exercise.end();
    println!("{}", table(&reports));
    if let Some(file) = &args.json {
        let json = serde_json::to_string_pretty(&reports)?;
        std::fs::write(file, json).with_context(|| format!("cannot write {}", file.display()))?;
    }
    Ok(())
}
