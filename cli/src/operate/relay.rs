//! `kakehashi relay`: takes a relay out of use, and puts it back.

use super::ODD_ANSWER;
use crate::args::RelayCommand;
use crate::door::Door;
use anyhow::{Context, Result, bail, ensure};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_wire::id::RelayId;
use std::process::ExitCode;
use std::time::Duration;
use tokio::time::Instant;

/// How often it is looked whether anything is left: relays tell their load five times a second.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// `kakehashi relay ...`
pub(crate) fn relay(command: &RelayCommand) -> Result<ExitCode> {
    match command {
        RelayCommand::Drain { relay, within, door } => {
            let mut door = Door::open(door)?;
            set(&mut door, *relay, true)?;
            drained(&mut door, *relay, Duration::from_secs(*within))
        }
        RelayCommand::Undrain { relay, door } => {
            set(&mut Door::open(door)?, *relay, false)?;
            println!("relay {relay}  in use");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn set(door: &mut Door, relay: u32, on: bool) -> Result<()> {
    let request = Request::RelayDrain { relay: RelayId(relay), on };
    ensure!(matches!(door.ask(request)?, Answer::Done {}), ODD_ANSWER);
    Ok(())
}

/// Waits until nothing is left there, for so long.
fn drained(door: &mut Door, relay: u32, within: Duration) -> Result<ExitCode> {
    let begun = Instant::now();
    loop {
        let Answer::Relays { rows } = door.ask(Request::Relays {})? else { bail!(ODD_ANSWER) };
        let row = rows.into_iter().find(|row| row.id.0 == relay).context("the relay is gone")?;
        if !row.connected || row.legs == 0 {
            println!("relay {relay}  drained");
            return Ok(ExitCode::SUCCESS);
        }
        if begun.elapsed() >= within {
            println!(
                "relay {relay}  drained, but {} legs are left: no other relay can take them; they \
                 end with their calls, or go over as soon as one can",
                row.legs
            );
            return Ok(ExitCode::FAILURE);
        }
        door.wait(LOOK_EVERY);
    }
}
