//! What `kakehashi` can be asked to do, and the help that teaches it.

mod up;

pub(crate) use up::{CallSettingsArgs, IoArgs, LogArgs, UpArgs};

use crate::doctor::DoctorArgs;
use crate::door::DoorArgs;
use crate::operate::{PkiArgs, StoreArgs};
use clap::{Args as ClapArgs, CommandFactory, FromArgMatches, Parser, Subcommand};
use kakehashi_control::desks::{Overflow, OverflowChange};
use kakehashi_wire::id::{CallId, DeviceId};
use kakehashi_wire::terminal::Role;
use std::path::PathBuf;

/// Kakehashi connects store terminals with remote concierges.
///
/// `kakehashi up --demo` shows a whole call in ten seconds; `kakehashi up` runs the platform on
/// this machine until it is interrupted.
#[derive(Parser)]
#[command(name = "kakehashi", version, max_term_width = 100, after_help = AFTER_HELP)]
pub(crate) struct Args {
    /// Which control the operator's commands ask, and as whom.
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: Command,
}

const AFTER_HELP: &str = "\
Who asks:
  On the machine of control, whoever may read its data folder is the operator:
    kakehashi --data /var/lib/kakehashi tenant list
  Supervisors and administrators of a tenant ask from their own machine, with what their role may
  do in their own tenant; the password is asked for:
    kakehashi --api https://control.example:4435 --ca ca.pem --tenant ginza --login anna \\
        account list ginza
  With KAKEHASHI_API, KAKEHASHI_CA, KAKEHASHI_TENANT and KAKEHASHI_LOGIN set, that is
    kakehashi account list ginza

Exit codes of these commands:
  0 done   1 refused or failed   2 not a command   3 not let in, or not allowed
  4 there is no such thing   5 nobody answers, or not now";

impl Args {
    /// The command line, which ends the program if it is none.
    pub(crate) fn of_command_line() -> Self {
        Self::of(&Self::described().get_matches()).unwrap_or_else(|error| error.exit())
    }

    /// What can be said, for all that reads it.
    pub(crate) fn described() -> clap::Command {
        // Options before the command are its own, and nothing to commands that have none of them.
        Self::command().mut_args(|arg| arg.global(false))
    }

    fn of(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        let args = Self::from_arg_matches(matches)?;
        let is_asked = !matches!(
            args.command,
            Command::Up(_)
                | Command::Pki(_)
                | Command::Control(_)
                | Command::Relay(RelayArgs { command: None, .. })
                | Command::Terminal(_)
                | Command::Doctor(_)
        );
        if is_asked || !args.door.says_something() {
            return Ok(args);
        }
        let why = "options before the command are for the operator's commands: this one asks no \
                   control";
        Err(Self::command().error(clap::error::ErrorKind::ArgumentConflict, why))
    }
}

/// The commands.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Runs the whole platform on this machine: one control node and its relays.
    Up(UpArgs),
    /// Adds, lists and suspends tenants.
    Tenant(TenantArgs),
    /// Adds, lists and suspends accounts of a tenant.
    Account(AccountArgs),
    /// Adds and lists operators with names of their own, for the console.
    Operator(OperatorArgs),
    /// Adds, changes, lists and removes desks: names that many agents answer to.
    Desk(DeskArgs),
    /// Lists who is signed in, and on which device.
    Sessions(AskArgs),
    /// Lists and ends calls.
    Call(CallArgs),
    /// The same as `call list`.
    Calls(AskArgs),
    /// Lists relays, their load and every counter of theirs that is not zero.
    Relays(AskArgs),
    /// Lists what was done and by whom, and verifies that nobody changed the log of it.
    Audit(AuditArgs),
    /// Copies, saves and brings back the store of a node that is stopped.
    Store(StoreArgs),
    /// Makes the certificates of relays and further nodes on other machines.
    Pki(PkiArgs),
    /// Runs one control node, as `kakehashi-control` does.
    Control(PartArgs),
    /// Takes a relay out of use, or puts it back; with --config alone runs one, as
    /// `kakehashi-relay` does.
    Relay(RelayArgs),
    /// Runs a terminal, as `kakehashi-terminal` does.
    Terminal(Box<kakehashi_terminal::program::Args>),
    /// Says what this machine can do, and what to type where it cannot.
    Doctor(DoctorArgs),
}

/// The data folder, unless another is named.
pub(crate) const DATA: &str = "kakehashi-data";

/// How the operator's commands ask and print.
#[derive(ClapArgs)]
pub(crate) struct AskArgs {
    /// Which control, and as whom.
    #[command(flatten)]
    pub(crate) door: DoorArgs,
    /// Prints JSON: one object a line.
    #[arg(long, global = true)]
    pub(crate) json: bool,
}

/// What to do with tenants.
#[derive(ClapArgs)]
pub(crate) struct TenantArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: TenantCommand,
}

/// What to do with tenants.
#[derive(Subcommand)]
pub(crate) enum TenantCommand {
    /// Adds a tenant: the border that no call crosses.
    Add {
        /// Its name, as terminals give it at sign-in.
        name: String,
    },
    /// Lists tenants.
    List,
    /// Shows or changes what a tenant may have (limits) and how it wants its calls (rules).
    Policy(PolicyArgs),
    /// Ends all sessions, calls and media of a tenant, and takes no sign-in of it.
    Suspend {
        /// Its name.
        name: String,
        /// Why, in one line: shown with the tenant and in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Takes sign-ins of a tenant again.
    Reactivate {
        /// Its name.
        name: String,
    },
}

/// Which policy, and what is to be different about it.
#[derive(ClapArgs)]
pub(crate) struct PolicyArgs {
    /// The tenant's name.
    pub(crate) tenant: String,
    /// Takes the whole policy from this file, TOML as it is printed; what it does not name is as
    /// usual.
    #[arg(long, value_name = "FILE")]
    pub(crate) file: Option<PathBuf>,
    /// Changes one setting, such as `limits.calls=50`, `rules.listening=true` or
    /// `rules.may_call.store=["concierge"]`; with nothing after the `=`, it is as usual again.
    /// Repeat it for more.
    #[arg(long, value_name = "NAME=VALUE")]
    pub(crate) set: Vec<String>,
}

/// What to do with accounts.
#[derive(ClapArgs)]
pub(crate) struct AccountArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AccountCommand,
}

/// What to do with accounts.
#[derive(Subcommand)]
pub(crate) enum AccountCommand {
    /// Adds an account and prints its password, this once; the platform keeps only a hash.
    Add {
        /// The tenant's name.
        tenant: String,
        /// The login ID within the tenant.
        login: String,
        /// The name other terminals show; the login ID if not given.
        #[arg(long)]
        display: Option<String>,
        /// Takes the password from this file's first line instead of making one. At least 15
        /// characters.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The password is for good. Without this it is for one sign-in, in which the terminal
        /// changes it.
        #[arg(long)]
        permanent: bool,
        /// What it is for: a store's terminal, a concierge, a supervisor or an administrator of the
        /// tenant.
        #[arg(long, value_parser = role, default_value = "store")]
        role: Role,
    },
    /// Gives an account a new password and prints it, this once.
    Password {
        /// The tenant's name.
        tenant: String,
        /// The login ID within the tenant.
        login: String,
        /// Takes the password from this file's first line instead of making one.
        #[arg(long, value_name = "FILE")]
        password_file: Option<PathBuf>,
        /// The password is for good. Without this it is for one sign-in, in which the terminal
        /// changes it.
        #[arg(long)]
        permanent: bool,
    },
    /// Gives an account another role, and ends its sessions.
    Role {
        /// The tenant's name.
        tenant: String,
        /// The login ID within the tenant.
        login: String,
        /// The role: store, concierge, supervisor or tenant-admin.
        #[arg(value_parser = role)]
        role: Role,
    },
    /// Lists a tenant's accounts.
    List {
        /// The tenant's name.
        tenant: String,
    },
    /// Ends sessions, calls and media of an account, and takes no sign-in of it. Done when this
    /// returns.
    Suspend {
        /// Whom.
        #[command(flatten)]
        who: WhoArgs,
        /// Why, in one line: shown with the account and in the audit log.
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
    /// Takes sign-ins of an account again.
    Reactivate(WhoArgs),
}

/// What to do with operators.
#[derive(ClapArgs)]
pub(crate) struct OperatorArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: OperatorCommand,
}

/// What to do with operators.
#[derive(Subcommand)]
pub(crate) enum OperatorCommand {
    /// Adds an operator and prints a one-time password, this once. At the first sign-in to the
    /// console they choose another, and set up a second factor.
    Add {
        /// What they sign in with.
        name: String,
        /// They see everything and change nothing.
        #[arg(long)]
        observer: bool,
    },
    /// Gives an operator who has lost everything a one-time password, prints it, and has them set
    /// up their second factor anew.
    Reset {
        /// What they sign in with.
        name: String,
    },
    /// Lists operators.
    List,
}

/// Whom to suspend, or to let in again.
#[derive(ClapArgs)]
pub(crate) struct WhoArgs {
    /// The tenant's name.
    #[arg(required_unless_present = "stdin")]
    pub(crate) tenant: Option<String>,
    /// The login ID within the tenant.
    #[arg(required_unless_present = "stdin")]
    pub(crate) login: Option<String>,
    /// Only on this device, as `kakehashi sessions` names it.
    #[arg(long, value_name = "DEVICE", value_parser = device)]
    pub(crate) device: Option<DeviceId>,
    /// Takes accounts from standard input, a line each with tenant and login ID, and prints a line
    /// for each: `done`, or `failed` and why; with `--json` an object with `standing` or `error`.
    #[arg(long, conflicts_with_all = ["tenant", "login", "device"])]
    pub(crate) stdin: bool,
}

fn role(text: &str) -> Result<Role, String> {
    Role::named(text).ok_or_else(|| format!("give one of {}", Role::ALL.map(Role::name).join(", ")))
}

fn device(text: &str) -> Result<DeviceId, String> {
    number(text).map(DeviceId)
}

fn call(text: &str) -> Result<CallId, String> {
    number(text).map(CallId)
}

fn number(text: &str) -> Result<u64, String> {
    let number = (text.len() <= 16).then(|| u64::from_str_radix(text, 16).ok()).flatten();
    number.ok_or_else(|| "give up to 16 hexadecimal digits".to_owned())
}

/// What to do with desks.
#[derive(ClapArgs)]
pub(crate) struct DeskArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: DeskCommand,
}

/// What to do with desks.
#[derive(Subcommand)]
pub(crate) enum DeskCommand {
    /// Adds a desk.
    Add {
        /// Which.
        #[command(flatten)]
        which: WhichDesk,
        /// How it is.
        #[command(flatten)]
        settings: DeskSettings,
    },
    /// Changes a desk; what is not named stays. Calls and agents notice at once.
    Set {
        /// Which.
        #[command(flatten)]
        which: WhichDesk,
        /// What is to be different.
        #[command(flatten)]
        settings: DeskSettings,
    },
    /// Lists a tenant's desks.
    List {
        /// The tenant's name.
        tenant: String,
    },
    /// Shows everything of a desk.
    Show(WhichDesk),
    /// Removes a desk; calls that wait there end.
    Remove(WhichDesk),
}

/// A desk.
#[derive(ClapArgs)]
pub(crate) struct WhichDesk {
    /// The tenant's name.
    pub(crate) tenant: String,
    /// The desk's name within the tenant.
    pub(crate) desk: String,
}

/// How a desk is.
#[derive(ClapArgs)]
pub(crate) struct DeskSettings {
    /// Login IDs of all who answer, with commas between them.
    #[arg(long, value_name = "LOGINS", value_delimiter = ',')]
    pub(crate) agents: Option<Vec<String>>,
    /// Whose turn it is: the agent who is free for longest, each in turn, or all at once.
    #[arg(long, value_name = "ORDER",
          value_parser = ["longest-idle", "round-robin", "ring-all"])]
    pub(crate) order: Option<String>,
    /// Calls that may wait at once; more are refused.
    #[arg(long, value_name = "COUNT")]
    pub(crate) queue: Option<u32>,
    /// How long an agent rings before the next one does, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) ring: Option<u32>,
    /// How long an agent is left alone after a call, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wrap_up: Option<u32>,
    /// How long a call waits before it ends unanswered, in seconds.
    #[arg(long, value_name = "SECONDS")]
    pub(crate) wait: Option<u32>,
    /// Another desk and after how many seconds calls go there ("second:60"), or "none".
    #[arg(long, value_name = "DESK:SECONDS", value_parser = overflow)]
    pub(crate) overflow: Option<OverflowChange>,
    /// Whether terminals are asked to play their announcement while they wait.
    #[arg(long, value_name = "BOOL")]
    pub(crate) announce: Option<bool>,
}

fn overflow(text: &str) -> Result<OverflowChange, String> {
    if text == "none" {
        return Ok(OverflowChange::Nowhere {});
    }
    let parts = text.split_once(':').and_then(|(desk, after)| Some((desk, after.parse().ok()?)));
    let (desk, after_s) = parts.ok_or("give a desk and seconds, as `second:60`, or `none`")?;
    Ok(OverflowChange::To(Overflow { desk: desk.to_owned(), after_s }))
}

/// What to do with calls.
#[derive(ClapArgs)]
pub(crate) struct CallArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: CallCommand,
}

/// What to do with calls.
#[derive(Subcommand)]
pub(crate) enum CallCommand {
    /// Lists calls, of one tenant with `--tenant`: those going on, then those that ended, newest
    /// first.
    List,
    /// Ends a call and its media, with `--tenant` only if it is of that one. Done when this
    /// returns.
    End {
        /// The call, as lists show it.
        #[arg(value_parser = call)]
        call: CallId,
    },
}

/// What to do with the audit log.
#[derive(ClapArgs)]
pub(crate) struct AuditArgs {
    /// How.
    #[command(flatten)]
    pub(crate) ask: AskArgs,
    /// Reads the store in the folder instead of asking control, which must not run: for a copy.
    #[arg(long, global = true)]
    pub(crate) offline: bool,
    /// What to do.
    #[command(subcommand)]
    pub(crate) command: AuditCommand,
}

/// What to do with the audit log.
#[derive(Subcommand)]
pub(crate) enum AuditCommand {
    /// Lists the newest records, newest first.
    List {
        /// How many.
        #[arg(long, value_name = "COUNT", default_value_t = 50)]
        count: usize,
    },
    /// Checks every record, and fails if one was changed, moved, added, removed or cut off.
    Verify {
        /// Checks what the archive has of the logs of all nodes, without asking any: the one that
        /// these settings of a control name.
        #[arg(long, value_name = "FILE")]
        archive: Option<PathBuf>,
        /// Checkpoints that were kept elsewhere, one a line, instead of those in the folder.
        #[arg(long, value_name = "FILE")]
        checkpoints: Option<PathBuf>,
    },
}

/// A relay: the part, or what an operator does with one.
#[derive(ClapArgs)]
#[command(subcommand_negates_reqs = true, args_conflicts_with_subcommands = true)]
pub(crate) struct RelayArgs {
    /// What is done with one.
    #[command(subcommand)]
    pub(crate) command: Option<RelayCommand>,
    /// How one is run.
    #[command(flatten)]
    pub(crate) part: Option<PartArgs>,
}

/// What an operator does with a relay.
#[derive(Subcommand)]
pub(crate) enum RelayCommand {
    /// Takes a relay out of use, for an upgrade: no new calls come to it, and those it carries go
    /// over to others without losing a packet. Waits until none is left there.
    Drain {
        /// Its number, as `kakehashi relays` shows it.
        relay: u32,
        /// How long to wait, in seconds. What is there then has no other relay to go to; nothing
        /// is ended.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        within: u64,
        /// Which control, and as whom.
        #[command(flatten)]
        door: DoorArgs,
    },
    /// Puts a relay back into use.
    Undrain {
        /// Its number.
        relay: u32,
        /// Which control, and as whom.
        #[command(flatten)]
        door: DoorArgs,
    },
}

/// How to run one part.
#[derive(ClapArgs)]
pub(crate) struct PartArgs {
    /// The part's configuration, TOML.
    #[arg(long, value_name = "FILE")]
    pub(crate) config: PathBuf,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Commands that run something instead of asking.
    const PARTS: [&str; 4] = ["up", "control", "relay", "terminal"];

    /// Works on a store without a control that could be asked.
    const WITHOUT_CONTROL: [&str; 3] = ["store ", "pki ", "doctor "];

    /// Every command that asks, by its words.
    fn commands(of: &clap::Command, words: &str, found: &mut Vec<(String, clap::Command)>) {
        for command in of.get_subcommands().filter(|it| it.get_name() != "help") {
            if words.is_empty() && PARTS.contains(&command.get_name()) {
                continue;
            }
            let words = format!("{words}{} ", command.get_name());
            if command.has_subcommands() {
                commands(command, &words, found);
            } else {
                found.push((words, command.clone()));
            }
        }
    }

    fn all() -> Vec<(String, clap::Command)> {
        let mut described = Args::described();
        described.build();
        let mut found = Vec::new();
        commands(&described, "", &mut found);
        found
    }

    #[test]
    fn every_command_prints_json_and_can_be_asked_as_somebody() {
        let options = ["json", "data", "api", "ca", "tenant", "login", "login-password-file"];
        let all = all();
        assert!(all.len() > 15, "{}", all.len());
        for (words, command) in all {
            let longs: Vec<_> = command.get_arguments().filter_map(clap::Arg::get_long).collect();
            let asks = !WITHOUT_CONTROL.iter().any(|it| words.starts_with(it));
            for option in &options[..if asks { options.len() } else { 1 }] {
                let times = longs.iter().filter(|long| *long == option).count();
                assert_eq!(times, 1, "{words}: --{option}");
            }
            assert!(command.get_about().is_some(), "{words} says nothing of itself");
        }
    }

    fn door_of(line: &str) -> Result<DoorArgs, clap::Error> {
        let matches = Args::described().try_get_matches_from(line.split(' '))?;
        let command = Args::of(&matches)?.command;
        let Command::Account(AccountArgs { ask, .. }) = command else { panic!("{line}") };
        Ok(ask.door)
    }

    #[test]
    fn options_count_before_the_command_and_behind_it() {
        let all = "--api https://x --tenant t --login l --ca c";
        let before = door_of(&format!("kakehashi {all} account list t")).unwrap();
        let behind = door_of(&format!("kakehashi account list t {all}")).unwrap();
        let between = door_of(&format!("kakehashi account {all} list t")).unwrap();
        assert!(before == behind && behind == between);
        assert!(before.says_something());
        let later = door_of("kakehashi --login a account list t --login b").unwrap();
        assert_eq!(later, door_of("kakehashi account list t --login b").unwrap());
        let error = |line| Args::of(&Args::described().try_get_matches_from(line)?).map(drop);
        assert!(error(vec!["kakehashi", "--tenant", "t", "up"]).is_err());
        assert!(error(vec!["kakehashi", "up"]).is_ok());
    }
}
