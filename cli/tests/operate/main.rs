//! The operator's commands, as processes of their own, against a running control.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

mod audit;
mod desk;
mod doctor;
mod door;
mod pki;
mod policy;

use kakehashi_control::config::Config;
use kakehashi_control::node::Node;
use std::net::SocketAddr;
use std::path::Path;
use tokio::process::Command;

/// A control in this process, on ports of its own.
async fn start(folder: &Path) -> Node {
    start_with(Config { data: folder.to_owned(), ..Config::default() }).await
}

async fn start_with(mut config: Config) -> Node {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    (config.terminals.listen, config.relays.listen) = (any, any);
    (config.api.listen, config.console.listen) = (any, any);
    Node::start(config).await.unwrap()
}

/// `kakehashi` without anything of the environment that it would listen to.
fn kakehashi() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kakehashi"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("KAKEHASHI_")) {
        command.env_remove(name);
    }
    command
}

/// What a command of the operator says; its complaint if it fails.
async fn run(folder: &Path, what: &[&str]) -> Result<String, String> {
    let output = kakehashi().args(what).arg("--data").arg(folder).output().await.unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    if output.status.success() { Ok(text(output.stdout)) } else { Err(text(output.stderr)) }
}
