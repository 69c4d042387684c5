//! `kakehashi-loadgen resume`: what it costs control to let somebody in again, by token and by
//! password.

use super::common::PlatformArgs;
use crate::at_once::at_once;
use crate::bare::{BareTerminal, Doors, Line, Names};
use crate::cpu::process_time;
use anyhow::Result;
use core::time::Duration;
use serde::Serialize;
use std::process::ExitCode;
use std::sync::Arc;
use tokio::time::sleep;

/// Between two phases: for control to be done with the connections that were closed.
const SETTLE: Duration = Duration::from_millis(500);

/// Passwords that are checked at the same time: control has few threads for them.
const PASSWORDS_AT_ONCE: usize = 4;

/// Password sign-ins of each terminal that are counted.
const PASSWORDS_EACH: u64 = 1;

/// Loopback addresses: below what control lets in from each.
const ADDRESSES: u16 = 8;

/// What to measure.
#[derive(clap::Args)]
pub(super) struct ResumeArgs {
    /// Terminals that come back again and again, all at the same time.
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u64).range(1..=1_000))]
    terminals: u64,
    /// How often each comes back; control takes 60 at once from one device.
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..=60))]
    times: u64,
    /// How many resumptions the processor time of one password must be enough for.
    #[arg(long, default_value_t = 100.0)]
    at_least: f64,
    /// The platform, and what is said of it.
    #[command(flatten)]
    platform: PlatformArgs,
}

/// What came of it, as `--json` writes it. Times are of control's processor.
#[derive(Serialize)]
struct Report {
    connections: u64,
    resumptions: u64,
    passwords: u64,
    /// Of a connection on which one request is refused: handshake, encryption, packets.
    connection_us: f64,
    /// Beyond its connection.
    resumption_us: f64,
    /// Beyond its connection.
    password_us: f64,
    resumptions_per_password: f64,
    resumptions_per_password_with_connections: f64,
}

/// What terminals do in one phase.
#[derive(Clone, Copy)]
enum Act {
    Ask,
    Resume,
    SignIn,
}

impl Act {
    fn what(self) -> &'static str {
        match self {
            Self::Ask => "a connection with one request refused",
            Self::Resume => "a resumption",
            Self::SignIn => "a sign-in by password",
        }
    }
}

/// Lets them in, and reports.
pub(super) async fn run(args: ResumeArgs) -> Result<ExitCode> {
    let control = args.platform.control.read()?;
    let pid = args.platform.control.process()?;
    let doors = Arc::new(Doors::open(&control, ADDRESSES, None)?);
    let mut roster = args.platform.roster()?;
    let mut terminals = Vec::new();
    for number in 0..usize::try_from(args.terminals)? {
        terminals.push(BareTerminal::new(Names::from(&roster.settings(number).await?))?);
    }
    // Their accounts know the devices from here on, and they have tokens.
    let terminals = phase(terminals, &doors, Act::SignIn, 1).await?;
    let each = [(Act::Ask, args.times), (Act::Resume, args.times), (Act::SignIn, PASSWORDS_EACH)];
    let (mut terminals, mut costs_us) = (terminals, [0.0; 3]);
    for ((act, times), cost_us) in each.into_iter().zip(&mut costs_us) {
        sleep(SETTLE).await;
        let before = process_time(pid)?;
        terminals = phase(terminals, &doors, act, times).await?;
        sleep(SETTLE).await;
        let used = process_time(pid)?.saturating_sub(before);
        if !args.platform.quiet {
            eprintln!("{} times: {}", args.terminals * times, act.what());
        }
        *cost_us = micros_each(used, args.terminals * times);
    }
    doors.close();
    conclude(&args, &report(&args, costs_us))
}

/// Lets every terminal do the same, so many times each.
async fn phase(
    terminals: Vec<BareTerminal>,
    doors: &Arc<Doors>,
    act: Act,
    times: u64,
) -> Result<Vec<BareTerminal>> {
    let most = match act {
        Act::Ask | Act::Resume => terminals.len(),
        Act::SignIn => PASSWORDS_AT_ONCE,
    };
    let jobs = terminals.into_iter().enumerate().map(|(nth, mut terminal)| {
        let doors = Arc::clone(doors);
        async move {
            for _ in 0..times {
                match act {
                    Act::Ask => Line::open(doors.connect(nth).await?).await?.ask_in_vain().await?,
                    Act::Resume => drop(terminal.resume(&doors, nth).await?),
                    Act::SignIn => drop(terminal.sign_in(&doors, nth).await?),
                }
            }
            Ok(terminal)
        }
    });
    at_once(most, jobs, |_| ()).await
}

#[expect(clippy::cast_precision_loss, reason = "a mean for a person")]
fn micros_each(time: Duration, count: u64) -> f64 {
    time.as_secs_f64() * 1e6 / count as f64
}

fn report(args: &ResumeArgs, [connection_us, resume_us, sign_in_us]: [f64; 3]) -> Report {
    let [resumption_us, password_us] =
        [resume_us, sign_in_us].map(|with| (with - connection_us).max(0.0));
    let comings = args.terminals * args.times;
    Report {
        connections: comings,
        resumptions: comings,
        passwords: args.terminals * PASSWORDS_EACH,
        connection_us,
        resumption_us,
        password_us,
        resumptions_per_password: password_us / resumption_us.max(1.0),
        resumptions_per_password_with_connections: sign_in_us / resume_us.max(1.0),
    }
}

fn conclude(args: &ResumeArgs, report: &Report) -> Result<ExitCode> {
    println!(
        "control's processor time, each:\n\
         connection: {:.0} us ({} times, with one request refused)\n\
         resumption: {:.0} us beyond it ({} times)\n\
         password:   {:.0} us beyond it ({} times)\n\
         resumptions for one password: {:.1}; with their connections {:.1}",
        report.connection_us,
        report.connections,
        report.resumption_us,
        report.resumptions,
        report.password_us,
        report.passwords,
        report.resumptions_per_password,
        report.resumptions_per_password_with_connections,
    );
    args.platform.write(report)?;
    let good = report.resumptions_per_password >= args.at_least;
    Ok(if good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
