//! coturn with one relay thread, speaking `ChannelData` with the senders.

use super::{Process, Route, SetUp, spawn, unchanged, v4};
use crate::ends::{Arrived, End, Ends};
use crate::turn::{self, Channel, Method};
use anyhow::{Context, Result, bail};
use core::net::SocketAddr;
use core::time::Duration;
use std::process::Command;

/// Its port (RFC 8656 3.1).
const PORT: u16 = 3_478;

/// How often a request is sent, and how long an answer may take.
const TRIES: usize = 50;
const ANSWER_WAIT: Duration = Duration::from_millis(200);

pub(super) fn start(set_up: SetUp<'_>) -> Result<(Process, Vec<Route>)> {
    let ip = set_up.ip;
    let here = SocketAddr::from((ip, PORT));
    let mut command = Command::new("turnserver");
    // No file of the machine's may change what is measured.
    command.args(["-n", "--no-auth", "--no-tls", "--no-dtls", "--no-cli", "--relay-threads=1"]);
    command.args(["--allow-loopback-peers", "--log-file=stdout", "--no-stdout-log"]);
    let pid_file = set_up.programs.folder.join("coturn.pid");
    command.arg(format!("--pidfile={}", pid_file.display()));
    command.arg("-L").arg(ip.to_string()).arg("-E").arg(ip.to_string());
    let process = spawn(set_up.link, &set_up.programs.folder, "coturn", command)?;

    let mut routes = Vec::new();
    let ends = set_up.ends;
    for flow in 0..ends.flows() {
        let sender = ends.sender(flow);
        let [sink] = ends.sinks(flow).collect::<Vec<_>>()[..] else {
            bail!("a channel leads to one peer")
        };
        let transaction = rand::random();
        let granted =
            ask((ends, sender), here, Method::Allocate, transaction, &turn::allocate(transaction))?;
        turn::relayed_address(&granted).context("its answer names no relayed address")?;
        let transaction = rand::random();
        let request = turn::channel_bind(transaction, Channel::FIRST, v4(ends.local(sink))?);
        ask((ends, sender), here, Method::ChannelBind, transaction, &request)?;
        routes.push(unchanged(here, Some(Channel::FIRST), 1));
    }
    Ok((process, routes))
}

/// Sends a request until it is granted; gives the answer.
fn ask(
    (ends, from): (&mut Ends, End),
    to: SocketAddr,
    method: Method,
    transaction: [u8; 12],
    request: &[u8],
) -> Result<Vec<u8>> {
    for _ in 0..TRIES {
        ends.send(from, to, request, request.len())?;
        ends.flush()?;
        ends.wait(ANSWER_WAIT)?;
        let mut granted = None;
        ends.receive(|Arrived { end, packet, .. }| {
            if end == from && turn::is_success(packet, method, transaction) {
                granted = Some(packet.to_vec());
            }
        })?;
        if let Some(granted) = granted {
            return Ok(granted);
        }
    }
    bail!("it does not grant {method:?}")
}
