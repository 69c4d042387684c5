//! `kakehashi pki`: certificates for relays and further nodes on other machines.

use anyhow::Result;
use clap::{Args as ClapArgs, Subcommand};
use kakehashi_control::clock::UnixMs;
use kakehashi_control::config::Config;
use kakehashi_control::entropy::Entropy;
use kakehashi_control::nodes::NodeName;
use kakehashi_control::pki::{CellSecret, Pki, open_or_create_cell_secret};
use kakehashi_wire::id::RelayId;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Whose authority, and what it is to make.
#[derive(ClapArgs)]
pub(crate) struct PkiArgs {
    /// The settings of the node that has the authority: `control.toml` in the data folder. Its
    /// authority and the secret of its cell are made if they are not there yet.
    #[arg(long, global = true, value_name = "FILE", default_value = "kakehashi-data/control.toml")]
    pub(crate) config: PathBuf,
    /// Prints JSON: one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: PkiCommand,
}

/// What the authority is to make.
#[derive(Subcommand)]
pub(crate) enum PkiCommand {
    /// Makes what a relay needs: `ca.pem`, `relay-NUMBER.pem` and its key, good for a year.
    Relay {
        /// Its number.
        #[arg(value_name = "NUMBER")]
        relay: u32,
        /// The folder to put them into, to be moved to the relay's machine.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Makes what a further node of the cell needs as `pki` in its data folder: certificates that
    /// are good for a year, and the secret of the cell. The authority's own key stays here.
    Node {
        /// Its name, as `node.name` in its settings.
        #[arg(value_name = "NAME", value_parser = node_name)]
        node: NodeName,
        /// Host names and addresses that terminals and relays use for it, as `names` in its
        /// settings.
        #[arg(long, value_name = "HOST,...", value_delimiter = ',', required = true)]
        names: Vec<String>,
        /// The folder to put them into, to be moved to the node's machine.
        #[arg(long, value_name = "DIR")]
        out: PathBuf,
    },
    /// Prints the fingerprints of the authority and of the secret of the cell, which are the same
    /// at all nodes of a cell.
    Show,
}

fn node_name(text: &str) -> Result<NodeName, String> {
    NodeName::try_from(text.to_owned())
}

/// `kakehashi pki ...`
pub(crate) fn pki(args: &PkiArgs) -> Result<ExitCode> {
    let folder = Config::read(&args.config)?.pki();
    let (now, entropy) = (UnixMs::now(), Entropy::system());
    let authority = Pki::open_or_create(&folder, now, entropy.clone())?;
    let secret = || open_or_create_cell_secret(&folder, &entropy);
    match &args.command {
        PkiCommand::Relay { relay, out } => {
            authority.give_relay(RelayId(*relay), out, now)?;
            print_given(args.json, ("relay", relay.to_string()), out);
        }
        PkiCommand::Node { node, names, out } => {
            authority.give_node((node, names), &secret()?, out, now)?;
            print_given(args.json, ("node", node.to_string()), out);
        }
        PkiCommand::Show => show(args.json, &folder, &authority, &secret()?),
    }
    Ok(ExitCode::SUCCESS)
}

/// Says for whom something was made, and where it is.
fn print_given(json: bool, (kind, name): (&str, String), out: &Path) {
    if json {
        println!("{}", json!({ "for": kind, "name": name, "folder": out }));
    } else {
        println!("{kind} {name}  {}", out.display());
    }
}

fn show(json: bool, folder: &Path, authority: &Pki, secret: &CellSecret) {
    let rows = [
        ("authority", authority.fingerprint(), authority.root_path().to_owned()),
        ("cell", secret.fingerprint(), folder.join("cell.key")),
    ];
    for (what, fingerprint, file) in rows {
        if json {
            println!("{}", json!({ "what": what, "fingerprint": fingerprint, "file": file }));
        } else {
            println!("{what:<9}  {fingerprint}  {}", file.display());
        }
    }
}
