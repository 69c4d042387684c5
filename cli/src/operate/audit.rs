//! `kakehashi audit`: what was done, and whether the log of it is as it was written.

use super::{ODD_ANSWER, ask, table, time};
use crate::args::{AuditArgs, AuditCommand};
use crate::door::Door;
use anyhow::{Context, Result, bail};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::archive;
use kakehashi_control::audit::{AuditRecord, Head, Kept, Offline, Run, Verdict, verify_archive};
use kakehashi_control::config::Config;
use std::path::Path;
use std::process::ExitCode;

/// `kakehashi audit ...`
pub(crate) fn audit(args: &AuditArgs) -> Result<ExitCode> {
    match &args.command {
        AuditCommand::List { count } => list(args, *count),
        AuditCommand::Verify { archive: Some(config), checkpoints } => {
            if args.offline {
                bail!("--offline reads a store and --archive an archive: leave one of them out");
            }
            say_kept(args, &kept(config, checkpoints.as_deref())?)
        }
        AuditCommand::Verify { archive: None, checkpoints } => {
            let verdict = match checkpoints {
                Some(_) if !args.offline => {
                    bail!("--checkpoints is for --offline and --archive only")
                }
                elsewhere => verify(args, elsewhere.as_deref())?,
            };
            say(args, &verdict)
        }
    }
}

fn list(args: &AuditArgs, count: usize) -> Result<ExitCode> {
    let rows = if args.offline {
        offline(args, |log| async move { Ok(log.newest(None, count).await?) })?
    } else {
        let request = Request::AuditList { before: None, limit: count };
        let Answer::Audit { rows } = ask(&args.ask, request)? else { bail!(ODD_ANSWER) };
        rows
    };
    if args.ask.json {
        for row in rows {
            println!("{}", serde_json::to_string(&row)?);
        }
    } else {
        let heads = ["record", "when", "who", "from", "act", "tenant", "of", "outcome"];
        table::print(heads, rows.iter().map(cells));
    }
    Ok(ExitCode::SUCCESS)
}

fn cells(row: &AuditRecord) -> [String; 8] {
    let mut outcome = row.outcome.name().to_owned();
    if row.times > 1 {
        outcome += &format!(" {} times", row.times);
    }
    if let Some(begun) = row.begun {
        outcome += &format!(" (begun in {begun})");
    }
    if !row.detail.as_str().is_empty() {
        outcome += &format!(": {}", row.detail);
    }
    [
        row.seq.to_string(),
        time::utc(row.at),
        row.actor.to_string(),
        row.from.to_string(),
        row.act.to_string(),
        row.tenant.to_string(),
        row.target.to_string(),
        outcome,
    ]
}

fn verify(args: &AuditArgs, elsewhere: Option<&Path>) -> Result<Verdict> {
    if args.offline {
        let elsewhere = elsewhere.map(Path::to_owned);
        return offline(args, |log| async move { Ok(log.verify(elsewhere.as_deref()).await?) });
    }
    let mut door = Door::open(&args.ask.door)?;
    let mut from = Head::START;
    loop {
        let request = Request::AuditVerify { from };
        let Answer::AuditVerdict { verdict } = door.ask(request)? else { bail!(ODD_ANSWER) };
        if !verdict.more {
            return Ok(verdict);
        }
        from = verdict.head;
    }
}

fn say(args: &AuditArgs, verdict: &Verdict) -> Result<ExitCode> {
    if args.ask.json {
        let said = serde_json::json!({
            "intact": verdict.broken.is_none(),
            "records": verdict.head.seq,
            "hash": verdict.head.hash,
            "broken_at": verdict.broken.map(|broken| broken.seq),
            "how": verdict.broken.map(|broken| broken.how),
            "archived": verdict.archived,
        });
        println!("{said}");
    } else {
        match verdict.broken {
            None => println!(
                "intact: {} records, {}{}",
                verdict.head.seq,
                verdict.head.hash,
                verdict.archived.map_or_else(String::new, |it| format!(", {it} in the archive")),
            ),
            Some(broken) => println!("BROKEN at record {}: {}", broken.seq, broken.how.text()),
        }
    }
    Ok(if verdict.broken.is_none() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// What is in the archive that `config` names.
fn kept(config: &Path, checkpoints: Option<&Path>) -> Result<Kept> {
    let config = Config::read(config)?;
    let archive = archive::open(&config.archive, &config.archive_folder())?;
    wait(async { Ok(verify_archive(&*archive, checkpoints).await?) })
}

fn say_kept(args: &AuditArgs, kept: &Kept) -> Result<ExitCode> {
    if args.ask.json {
        let intact = kept.is_intact();
        let said =
            serde_json::json!({ "intact": intact, "runs": kept.runs, "faults": kept.faults });
        println!("{said}");
    } else {
        let heads = ["node", "from", "to", "written from", "to", "hash of the last", "sealed by"];
        table::print(heads, kept.runs.iter().map(run));
        for fault in &kept.faults {
            match fault.broken {
                None => println!("BROKEN: {} is no part of a log", fault.object),
                Some(it) => {
                    println!("BROKEN at record {} in {}: {}", it.seq, fault.object, it.how.text());
                }
            }
        }
        if kept.is_cut {
            println!("BROKEN: there is more of this, which was not looked at");
        }
        if kept.runs.is_empty() && kept.faults.is_empty() {
            println!("BROKEN: nothing of an audit log is in the archive");
        }
    }
    Ok(if kept.is_intact() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn run(run: &Run) -> [String; 7] {
    [
        run.node.to_string(),
        run.first.to_string(),
        run.head.seq.to_string(),
        time::utc(run.since),
        time::utc(run.until),
        run.head.hash.to_string(),
        run.key.to_string(),
    ]
}

/// Does `work` with the log in the data folder, without asking a running control.
fn offline<T, F: Future<Output = Result<T>>>(
    args: &AuditArgs,
    work: impl FnOnce(Offline) -> F,
) -> Result<T> {
    wait(work(Offline::open(&args.ask.door.folder())?))
}

fn wait<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_all().build().context("cannot start the runtime")?.block_on(work)
}
