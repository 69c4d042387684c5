//! `kakehashi doctor`: this machine item by item: what is, what should be, why, and what to type.
//!
//! Each item reads what it needs through [`machine::Machine`], which can be played from a folder,
//! and says what it makes of it; what has to be tried is behind [`scene::Probes`]. What cannot be
//! read is unknown, with the reason, and never well.

mod args;
mod certificates;
mod clocks;
mod cpu;
mod item;
mod kernel;
mod machine;
mod network;
mod nic;
mod probes;
mod scene;
mod store;
mod table;
#[cfg(test)]
mod tests;
mod wanted;

pub(crate) use args::DoctorArgs;

use anyhow::Result;
use item::{Item, Part, Row, Seen, State};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::Config as Control;
use kakehashi_relay::config::Config as Relay;
use machine::Machine;
use scene::Scene;
use std::path::PathBuf;
use std::process::ExitCode;

/// Where settings are if nobody says otherwise: of units, and of `kakehashi up`.
const RELAY_SETTINGS: [&str; 2] = ["/etc/kakehashi/relay.toml", "kakehashi-data/relay-1.toml"];
const CONTROL_SETTINGS: [&str; 2] = ["/etc/kakehashi/control.toml", "kakehashi-data/control.toml"];

/// `kakehashi doctor ...`: fails if anything is wrong.
pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let machine = args.root.as_deref().map_or_else(Machine::real, Machine::played);
    let settings = Settings::find(&machine, args)?;
    let probes = probes::of(&machine, args.api.clone().zip(args.ca.clone()));
    let scene = Scene {
        machine: &machine,
        probes: &*probes,
        relay: &settings.relay,
        control: &settings.control,
        has_control: settings.parts.contains(&Part::Control),
        now: UnixMs::now(),
    };
    let found = examine(&scene, &settings.parts);
    if args.json {
        let rows: Vec<_> = found.iter().map(|(item, seen)| Row::of(item, seen)).collect();
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        settings.announce();
        found.iter().for_each(|(item, seen)| print(item, seen));
    }
    let is_well = found.iter().all(|(_, seen)| seen.state != State::Wrong);
    Ok(if is_well { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What the machine is looked at for.
struct Settings {
    parts: Vec<Part>,
    relay: Relay,
    control: Control,
    files: Vec<PathBuf>,
}

impl Settings {
    /// Of the part that was named, or of all whose settings are where they usually are.
    fn find(machine: &Machine, args: &DoctorArgs) -> Result<Self> {
        let usual = |places: [&str; 2]| {
            let found = places.into_iter().find(|place| machine.has(place));
            found.map(|place| machine.at(place))
        };
        let named = |part| args.config.clone().filter(|_| args.part == Some(part));
        let is_asked = |part| args.part.is_none_or(|asked| asked == part);
        let file = |part, places| named(part).or_else(|| usual(places));
        let relay = file(Part::Relay, RELAY_SETTINGS).filter(|_| args.part != Some(Part::Control));
        let control = file(Part::Control, CONTROL_SETTINGS);
        let control = control.filter(|_| is_asked(Part::Control));
        let mut parts = match args.part {
            Some(part) => vec![part],
            None => vec![Part::Host],
        };
        if args.part.is_none() {
            parts.extend(relay.as_ref().map(|_| Part::Relay));
            parts.extend(control.as_ref().map(|_| Part::Control));
        }
        let mut settings = relay.as_deref().map(Relay::read).transpose()?.unwrap_or_default();
        if let Some(interface) = &args.interface {
            settings.xdp.interface.clone_from(interface);
        }
        Ok(Self {
            relay: settings,
            control: control.as_deref().map(Control::read).transpose()?.unwrap_or_default(),
            files: relay.into_iter().chain(control).collect(),
            parts,
        })
    }

    fn announce(&self) {
        let files: Vec<_> = self.files.iter().map(|file| file.display().to_string()).collect();
        match files.is_empty() {
            false => println!("Settings: {}\n", files.join(", ")),
            true => println!(
                "No settings were found: defaults are assumed; `kakehashi doctor relay --config \
                 FILE` names them.\n"
            ),
        }
    }
}

/// Looks at every item of these parts.
fn examine(scene: &Scene<'_>, parts: &[Part]) -> Vec<(Item, Seen)> {
    let items = table::all().filter(|item| item.of.iter().any(|of| parts.contains(of)));
    let looked = items.map(|item| {
        let seen = (item.look)(scene);
        (item, seen)
    });
    looked.collect()
}

fn print(item: &Item, seen: &Seen) {
    let Seen { state, is, should, fix } = seen;
    println!("{:<8} {:<21} {is}", state.word(), item.name);
    if *state != State::Ok {
        println!("         should be: {should}");
        println!("         why: {}", item.why);
    }
    if !fix.is_empty() {
        let or = if item.declared.is_empty() { "" } else { "; or: tuning/host/tune apply" };
        println!("         to do: {fix}{or}");
    }
}
