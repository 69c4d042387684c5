//! `kakehashi desk`: names that many agents answer to.

use super::{ODD_ANSWER, ask, table};
use crate::args::{DeskArgs, DeskCommand, DeskSettings, WhichDesk};
use crate::door::absent;
use anyhow::{Result, bail};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::desks::{Desk, DeskChange, RingOrder};
use std::process::ExitCode;

/// `kakehashi desk ...`
pub(crate) fn desk(args: &DeskArgs) -> Result<ExitCode> {
    match &args.command {
        DeskCommand::Add { which: WhichDesk { tenant, desk }, settings } => {
            let (tenant, desk, change) = (tenant.clone(), desk.clone(), change(settings));
            show_all(args, &rows(args, Request::DeskAdd { tenant, desk, change })?)?;
        }
        DeskCommand::Set { which: WhichDesk { tenant, desk }, settings } => {
            let (tenant, desk, change) = (tenant.clone(), desk.clone(), change(settings));
            show_all(args, &rows(args, Request::DeskSet { tenant, desk, change })?)?;
        }
        DeskCommand::List { tenant } => {
            let desks = rows(args, Request::DeskList { tenant: tenant.clone() })?;
            if args.ask.json {
                return show_all(args, &desks).map(|()| ExitCode::SUCCESS);
            }
            let heads = ["desk", "order", "agents", "queue", "ring s", "wrap-up s", "overflow"];
            table::print(heads, desks.iter().map(cells));
        }
        DeskCommand::Show(WhichDesk { tenant, desk: name }) => {
            let mut desks = rows(args, Request::DeskList { tenant: tenant.clone() })?;
            desks.retain(|desk| desk.name == name.to_ascii_lowercase());
            if desks.is_empty() {
                let why =
                    format!("there is no desk {name} in this tenant: see `kakehashi desk list`");
                return Err(absent(why).into());
            }
            show_all(args, &desks)?;
        }
        DeskCommand::Remove(WhichDesk { tenant, desk }) => {
            let request = Request::DeskRemove { tenant: tenant.clone(), desk: desk.clone() };
            let Answer::Done {} = ask(&args.ask, request)? else { bail!(ODD_ANSWER) };
            if args.ask.json {
                println!("{}", serde_json::json!({ "removed": desk }));
            } else {
                println!("{desk}  removed");
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn rows(args: &DeskArgs, request: Request) -> Result<Vec<Desk>> {
    match ask(&args.ask, request)? {
        Answer::Desks { rows } => Ok(rows),
        _ => bail!(ODD_ANSWER),
    }
}

fn change(settings: &DeskSettings) -> DeskChange {
    let order = settings.order.as_deref().map(|order| match order {
        "round-robin" => RingOrder::RoundRobin,
        "ring-all" => RingOrder::RingAll,
        _ => RingOrder::LongestIdle,
    });
    DeskChange {
        agents: settings.agents.clone(),
        order,
        queue_max: settings.queue,
        ring_s: settings.ring,
        wrap_up_s: settings.wrap_up,
        wait_max_s: settings.wait,
        overflow: settings.overflow.clone(),
        announce: settings.announce,
    }
}

fn order(order: RingOrder) -> &'static str {
    match order {
        RingOrder::LongestIdle => "longest-idle",
        RingOrder::RoundRobin => "round-robin",
        RingOrder::RingAll => "ring-all",
    }
}

fn overflow(desk: &Desk) -> String {
    let text = |to: &kakehashi_control::desks::Overflow| format!("{}:{}", to.desk, to.after_s);
    desk.overflow.as_ref().map_or_else(|| String::from("none"), text)
}

fn cells(desk: &Desk) -> [String; 7] {
    [
        desk.name.clone(),
        order(desk.order).to_owned(),
        desk.agents.len().to_string(),
        desk.queue_max.to_string(),
        desk.ring_s.to_string(),
        desk.wrap_up_s.to_string(),
        overflow(desk),
    ]
}

fn show_all(args: &DeskArgs, desks: &[Desk]) -> Result<()> {
    for desk in desks {
        if args.ask.json {
            println!("{}", serde_json::to_string(desk)?);
            continue;
        }
        let agents: Vec<_> = desk.agents.iter().map(|agent| agent.login.as_str()).collect();
        println!("{}", desk.name);
        println!("  agents    {}", agents.join(" "));
        println!("  order     {}", order(desk.order));
        println!("  queue     {} calls, {} s each at most", desk.queue_max, desk.wait_max_s);
        println!("  ring      {} s", desk.ring_s);
        println!("  wrap-up   {} s", desk.wrap_up_s);
        println!("  overflow  {}", overflow(desk));
        println!("  announce  {}", desk.announce);
    }
    Ok(())
}
