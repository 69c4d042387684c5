//! `kakehashi call`: calls that go on, and the records of those that ended.

use super::{ODD_ANSWER, ask, table};
use crate::args::{AskArgs, CallArgs, CallCommand};
use anyhow::{Result, bail, ensure};
use kakehashi_control::admin::{Answer, CallRow, Request};
use kakehashi_control::records::{CallRecord, PartyRole, Quality, RecordState};
use std::process::ExitCode;

/// Ended calls that `kakehashi calls` lists of each tenant.
const ENDED_CALLS: usize = 50;

/// `kakehashi call ...`
pub(crate) fn call(args: &CallArgs) -> Result<ExitCode> {
    match &args.command {
        CallCommand::List => calls(&args.ask),
        CallCommand::End { call } => {
            let request = Request::CallEnd { tenant: args.ask.door.one_tenant(), call: *call };
            ensure!(matches!(ask(&args.ask, request)?, Answer::Done {}), ODD_ANSWER);
            if args.ask.json {
                println!("{}", serde_json::json!({ "ended": call.to_string() }));
            } else {
                println!("{call}  ended");
            }
            Ok(ExitCode::SUCCESS)
        }
    }
}

/// `kakehashi calls`
pub(crate) fn calls(args: &AskArgs) -> Result<ExitCode> {
    let request = Request::Calls { tenant: args.door.one_tenant(), ended: ENDED_CALLS };
    let Answer::Calls { live, ended } = ask(args, request)? else { bail!(ODD_ANSWER) };
    let rows = live.into_iter().chain(ended);
    if args.json {
        for row in rows {
            println!("{}", serde_json::to_string(&row)?);
        }
    } else {
        let heads =
            ["tenant", "call", "from", "to", "state", "seconds", "lost", "made up", "rtt ms"];
        table::print(heads, rows.map(|row| call_cells(&row)));
    }
    Ok(ExitCode::SUCCESS)
}

/// Who was called: the desk, until somebody has answered for it.
fn callee(record: &CallRecord) -> String {
    let agent = record.login(PartyRole::Callee);
    match &record.desk {
        Some(desk) if agent.is_empty() => format!("desk:{}", desk.called),
        Some(desk) => format!("{agent} (desk:{})", desk.called),
        None => agent.to_owned(),
    }
}

fn call_cells(row: &CallRow) -> [String; 9] {
    let record = &row.record;
    let state = match record.reason {
        Some(reason) => reason.name().to_owned(),
        None => match record.state {
            RecordState::Queued => String::from("queued"),
            RecordState::Ringing => String::from("ringing"),
            RecordState::Active => String::from("active"),
            RecordState::Ended => String::from("ended"),
        },
    };
    let seconds = match (record.answered, record.ended) {
        (Some(from), Some(to)) => format!("{}", to.0.saturating_sub(from.0) / 1000),
        _ => String::from("-"),
    };
    let quality: Vec<Quality> = record.members.iter().filter_map(|party| party.quality).collect();
    let lost = quality.iter().map(|quality| quality.packets_lost).sum::<u64>();
    let concealed = quality.iter().map(|quality| quality.packets_concealed).sum::<u64>();
    let of_quality = |count: u64| match quality.is_empty() {
        true => String::from("-"),
        false => count.to_string(),
    };
    let round_trip_us = quality.iter().map(|quality| quality.round_trip_us).max().unwrap_or(0);
    [
        row.tenant_name.clone(),
        record.call.to_string(),
        record.login(PartyRole::Caller).to_owned(),
        callee(record),
        state,
        seconds,
        of_quality(lost),
        of_quality(concealed),
        if round_trip_us == 0 {
            String::from("-")
        } else {
            format!("{:.1}", f64::from(round_trip_us) / 1000.0)
        },
    ]
}
