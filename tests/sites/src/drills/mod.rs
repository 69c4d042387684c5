//! Drills: something happens to the sites again and again while calls go on, and what the calls'
//! listeners notice is measured.

mod fault;
mod report;

pub(crate) use fault::Fault;
pub(crate) use report::{DrillReport, table};

use crate::bed::Bed;
use crate::clock::now;
use crate::configs::NODES_NAME;
use crate::voices::{Calls, Effect};
use anyhow::{Context, Result, ensure};
use core::time::Duration;
use kakehashi_terminal::{DeviceSecret, Settings, Timing};
use kakehashi_tests::children::pause;
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::Password;
use rand::SeedableRng;
use rand::rngs::StdRng;

/// The tenant of all calls.
const TENANT: &str = "drill";

/// Before each run everybody has been heard so lately, and is connected.
const CALM: Duration = Duration::from_millis(100);

/// How long calm may take to come back.
const CALM_WITHIN: Duration = Duration::from_secs(60);

/// How long calls are listened to before something happens.
const BEFORE: Duration = Duration::from_millis(300);

/// One drill of the list.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Drill {
    /// Its name on the command line.
    pub(crate) name: &'static str,
    /// What happens.
    pub(crate) fault: Fault,
    /// How often, when the figures are to count.
    pub(crate) runs: u32,
    /// How often in a short version.
    pub(crate) runs_quick: u32,
}

/// Every drill.
pub(crate) const DRILLS: [Drill; 6] = [
    Drill { name: "relay-kill", fault: Fault::RelayKilled, runs: 200, runs_quick: 5 },
    Drill { name: "relay-freeze", fault: Fault::RelayFrozen, runs: 50, runs_quick: 3 },
    Drill { name: "site-cut", fault: Fault::SiteCut, runs: 50, runs_quick: 3 },
    Drill { name: "one-way-cut", fault: Fault::OneWayCut, runs: 50, runs_quick: 2 },
    Drill { name: "loss", fault: Fault::Loss, runs: 20, runs_quick: 1 },
    Drill { name: "node-kill", fault: Fault::NodeKilled, runs: 100, runs_quick: 2 },
];

/// Calls that go on in a bed, ready for drills.
pub(crate) struct Exercise {
    bed: Bed,
    calls: Calls,
    dice: StdRng,
}

impl Exercise {
    /// Sets up `calls` calls between accounts of their own.
    ///
    /// # Errors
    /// If an account cannot be made, or a call does not come about.
    pub(crate) fn begin(bed: Bed, calls: u32) -> Result<Self> {
        well(&bed, &["tenant", "add", TENANT])?;
        let mut live = Calls::between(&bed.terminals()?)?;
        for number in 1..=calls {
            let caller = account(&bed, &format!("store-{number}"), 2 * number)?;
            let callee = account(&bed, &format!("concierge-{number}"), 2 * number + 1)?;
            live.add(caller, callee)?;
            if number % 10 == 0 || number == calls {
                eprintln!("{number} of {calls} calls set up");
            }
        }
        let dice = StdRng::seed_from_u64(bed.plan().seed);
        Ok(Self { bed, calls: live, dice })
    }

    /// Lets `drill` happen `runs` times.
    ///
    /// # Errors
    /// If the bed does not obey, or calm does not come back.
    pub(crate) fn run(&mut self, drill: &Drill, runs: u32) -> Result<DrillReport> {
        let mut effects = Vec::new();
        for run in 1..=runs {
            effects.push(
                self.once(drill.fault).with_context(|| format!("run {run} of {}", drill.name))?,
            );
            let last = effects.last().map(Effect::longest).unwrap_or_default();
            eprintln!("{} {run} of {runs}: longest gap {} ms", drill.name, last.as_millis());
        }
        Ok(DrillReport::of(drill.name, self.calls.len(), &effects))
    }

    fn once(&mut self, fault: Fault) -> Result<Effect> {
        self.until_calm()?;
        self.calls.turn_page();
        pause(BEFORE);
        let begun = now();
        let harm = fault.inflict(&mut self.bed, &mut self.dice)?;
        pause(fault.watched());
        harm.mend(&mut self.bed)?;
        pause(fault.settles());
        let effect = self.calls.effect(begun);
        for why in self.calls.why_over() {
            eprintln!("lost: {why}");
        }
        Ok(effect)
    }

    fn until_calm(&self) -> Result<()> {
        let deadline = now() + CALM_WITHIN;
        while !(self.calls.all_heard(CALM) && self.calls.all_connected()) {
            ensure!(now() < deadline, "calm did not come back: {:?}", self.calls.why_over());
            pause(CALM);
        }
        Ok(())
    }

    /// Hangs up and takes everything down.
    pub(crate) fn end(self) {
        self.calls.end();
    }
}

/// Runs an operator's command that must succeed.
fn well(bed: &Bed, arguments: &[&str]) -> Result<String> {
    let output = bed.kakehashi(1, arguments)?;
    let why = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {why}", arguments.join(" "));
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn account(bed: &Bed, login: &str, device: u32) -> Result<Settings> {
    let printed = well(bed, &["account", "add", TENANT, login, "--permanent"])?;
    let password = printed.split_whitespace().last().context("the password comes last")?;
    let ca = bed.ca();
    Ok(Settings {
        control: bed.control(),
        server_name: Some(NODES_NAME.to_owned()),
        ca_pem: std::fs::read(&ca).with_context(|| format!("cannot read {}", ca.display()))?,
        tenant: TENANT.to_owned(),
        login: login.to_owned(),
        password: Password::new(password.to_owned()),
        device: DeviceId(device.into()),
        device_secret: DeviceSecret::from_seed(rand::random()),
        software: concat!("kakehashi-sites ", env!("CARGO_PKG_VERSION")).to_owned(),
        source: None,
        timing: Timing::default(),
    })
}
