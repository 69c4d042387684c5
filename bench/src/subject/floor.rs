//! The floor: `bench/peers/floor.c`.

use super::{Process, Route, SetUp, spawn, unchanged};
use crate::ends::Ends;
use anyhow::Result;
use core::net::SocketAddr;
use std::process::Command;

/// The floors differ in their port, since both may run at once.
const FIRST_PORT: u16 = 41_000;

/// How the floor receives and sends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mode {
    Singles,
    Trains,
}

pub(super) fn start(set_up: SetUp<'_>, mode: Mode) -> Result<(Process, Vec<Route>)> {
    let (name, port) = match mode {
        Mode::Singles => ("singles", FIRST_PORT),
        Mode::Trains => ("trains", FIRST_PORT + 1),
    };
    let here = SocketAddr::from((set_up.ip, port));
    let mut command = Command::new(&set_up.programs.floor);
    command.arg(name).arg(here.ip().to_string()).arg(port.to_string());
    command.arg(set_up.load_ip.to_string());
    for flow in 0..set_up.ends.flows() {
        command.arg(row(set_up.ends, flow));
    }
    let process = spawn(set_up.link, &set_up.programs.folder, "floor", command)?;
    let routes = (0..set_up.workload.flows)
        .map(|_| unchanged(here, None, set_up.workload.receivers))
        .collect();
    Ok((process, routes))
}

/// One line of its table: `SOURCE:SINK,SINK`.
fn row(ends: &Ends, flow: usize) -> String {
    let port = |end| ends.local(end).port().to_string();
    let sinks: Vec<_> = ends.sinks(flow).map(port).collect();
    format!("{}:{}", port(ends.sender(flow)), sinks.join(","))
}
