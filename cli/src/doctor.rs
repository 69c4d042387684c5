//! `kakehashi doctor`: what this machine can do, and what to type where it cannot.

use crate::args::{DoctorArgs, DoctorCommand};
use anyhow::Result;
use kakehashi_relay::config::Config;
use kakehashi_relay::host::{Finding, Judgement, examine};
use serde_json::json;
use std::process::ExitCode;

/// `kakehashi doctor ...`: fails if a relay with these settings would not run here.
pub(crate) fn run(args: &DoctorArgs) -> Result<ExitCode> {
    let DoctorCommand::Relay { config, interface, json } = &args.command;
    let mut config = config.as_deref().map_or_else(|| Ok(Config::default()), Config::read)?;
    if let Some(interface) = interface {
        config.xdp.interface.clone_from(interface);
    }
    let found = examine(&config);
    for finding in &found {
        if *json { print_json(finding) } else { print(finding) }
    }
    let runs = found.iter().all(|it| !it.is_for_all() || it.judgement != Judgement::Missing);
    Ok(if runs { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn print(finding: &Finding) {
    let Finding { item, needed_for, judgement, is, advice } = finding;
    println!("{:<8} {item:<15} {is}  ({needed_for})", judgement.word());
    if !advice.is_empty() {
        println!("         {advice}");
    }
}

fn print_json(finding: &Finding) {
    let Finding { item, needed_for, judgement, is, advice } = finding;
    let judgement = judgement.word();
    println!(
        "{}",
        json!({ "item": item, "needed_for": needed_for, "judgement": judgement, "is": is,
                "advice": advice })
    );
}
