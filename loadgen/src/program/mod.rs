//! The command line of `kakehashi-loadgen`.

mod capacity;
mod common;
mod desk;
mod failover;
mod idle;
mod load;
mod media;
mod orders;
mod place;
mod probe;
mod resume;
mod steady;
mod storm;
mod suspend;

use anyhow::Result;
use clap::{Parser, Subcommand};
use kakehashi_terminal::program::log_to_stderr;
use std::process::ExitCode;

/// Puts load on a relay, or on a whole platform, and reports what came of it.
///
/// Packets are sent when they are due, whatever the relay does (open loop), and every packet that
/// arrives is opened. Begin with a relay of its own, without control:
///
///   kakehashi-loadgen media --start-relay --legs 20 --html report.html
///
///   kakehashi-loadgen capacity --start-relay --p999-ms 5 --html capacity.html
///
/// or, while `kakehashi up` runs, through real sign-ins and calls:
///
///   kakehashi-loadgen media --legs 4
///
/// With KAKEHASHI_LOG=debug in the environment, what terminals do goes to standard error.
#[derive(Parser)]
#[command(name = "kakehashi-loadgen", version, max_term_width = 100, verbatim_doc_comment)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Subcommand)]
enum Command {
    /// Drives many legs with a realistic mix of media for some time.
    ///
    /// Exit code 0 means that loss was at most 0.01 %, every packet was authentic, and the delay
    /// stayed within --p999-ms if that was given.
    Media(Box<media::MediaArgs>),
    /// Finds how much a relay carries with loss of at most 0.01 % and p99.9 of the delay within
    /// --p999-ms: doubles the number of calls until a step fails, then halves the gap.
    ///
    /// Exit code 0 means that at least one call passed.
    Capacity(Box<capacity::CapacityArgs>),
    /// Writes a file of orders for `kakehashi-relay --orders`, to be driven with the same --legs,
    /// --calls-of, --shards, --lane and --seed by `media --relay`.
    Orders(orders::OrdersArgs),
    /// Sends one steady stream of authentic packets through one real call and counts what arrives.
    ///
    /// It signs two accounts in, sets up a call between them, sends from the first to the second
    /// at the rate asked for, opens every packet that arrives, and prints packets sent, received
    /// and lost. Exit code 0 means that none was lost.
    Steady(Box<steady::SteadyArgs>),
    /// Suspends accounts in the middle of live calls and measures how long their media goes on.
    ///
    /// Both sides of every call send and listen; each suspension is timed from its
    /// acknowledgement to the last packet that either side received, then the account is activated
    /// again and calls anew. Exit code 0 means that no packet came later than 500 ms.
    Suspend(Box<suspend::SuspendArgs>),
    /// Lets strangers sign in without end, and measures what honest terminals and a running call
    /// notice of it.
    ///
    /// The strangers come from many loopback addresses, so control must be on this machine. Exit
    /// code 0 means that every honest sign-in succeeded, 99 % of them within --p99-ms, and that the
    /// call lost no packet.
    Storm(Box<storm::StormArgs>),
    /// Lets many stores call one desk of many concierges, all with sessions and voice of their own.
    ///
    /// Calls begin at --rate whatever control does (open loop). Their set-up is timed from the
    /// store's request until both sides hold keys and the relay's address; to wait for a free
    /// concierge is part of it. Exit code 0 means that calls were answered, 99 % of them within
    /// --p99-ms, and that at most one packet of voice in a thousand was lost.
    Desk(Box<desk::DeskArgs>),
    /// Lets terminals sign in and wait, as many as a node takes, and measures what that costs it.
    ///
    /// Each has a connection and a session of its own and stays alive as terminals do. After the
    /// last sign-in every connection is dropped, and all come back with their tokens. Control must
    /// be on this machine. Exit code 0 means that control held no more than --memory-mib, and that
    /// every terminal was connected at the end.
    Idle(Box<idle::IdleArgs>),
    /// Lets terminals come back with their tokens, and compares the processor time that costs
    /// control with that of their passwords.
    ///
    /// Connections that do not sign in are measured as well, so that theirs can be told apart:
    /// handshake, encryption, packets. Control must be on this machine and have nothing else to do.
    /// Exit code 0 means that the time of one password is enough for --at-least resumptions,
    /// connections apart.
    Resume(Box<resume::ResumeArgs>),
    /// Has a relay die under calls again and again, and measures how long their receivers hear
    /// nothing and what they miss.
    ///
    /// The platform must be on this machine, have two relays, and start one that has died again, as
    /// `kakehashi up` does. Exit code 0 means that 99 % of the gaps were within --p99-ms, that no
    /// call was lost, and with --hitless that no packet was.
    Failover(Box<failover::FailoverArgs>),
    /// Watches a platform from outside: places real calls over each relay in turn, for ever or with
    /// --once, checks that speech comes through both ways, and names what is wrong.
    ///
    /// It needs two accounts of one tenant with passwords for good, each in a file, and nothing
    /// else of the platform. Beside `kakehashi up`:
    ///
    ///   kakehashi tenant add probe
    ///   kakehashi account add probe probe-1 --permanent    # the password into a file
    ///   kakehashi account add probe probe-2 --permanent
    ///   kakehashi-loadgen probe --once
    ///
    /// Exit code 0 of --once means that nothing is wrong.
    #[command(verbatim_doc_comment)]
    Probe(Box<probe::ProbeArgs>),
}

/// Runs the program.
///
/// # Errors
/// If a measurement cannot be made. One that was made and failed is told by the exit code.
pub async fn run(args: Args) -> Result<ExitCode> {
    let _log = log_to_stderr("loadgen")?;
    match args.command {
        Command::Media(args) => media::run(*args).await,
        Command::Capacity(args) => capacity::run(*args).await,
        Command::Orders(args) => orders::run(&args).map(|()| ExitCode::SUCCESS),
        Command::Steady(args) => steady::run(*args).await.map(|()| ExitCode::SUCCESS),
        Command::Suspend(args) => suspend::run(*args).await,
        Command::Storm(args) => storm::run(*args).await,
        Command::Desk(args) => desk::run(*args).await,
        Command::Idle(args) => idle::run(*args).await,
        Command::Resume(args) => resume::run(*args).await,
        Command::Failover(args) => failover::run(*args).await,
        Command::Probe(args) => probe::run(*args).await,
    }
}
