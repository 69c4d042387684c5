//! Which control is asked, and as whom: options of all of the operator's commands, and the
//! environment in their place.
//!
//! Who may read the data folder of a control is its operator. Everybody else signs in with an
//! account of a tenant, gets a token for the run of one command, and gives it back in the end.

use crate::args::DATA;
use crate::platform::control_folder;
use anyhow::{Context, Result, bail};
use clap::Args as ClapArgs;
use kakehashi_control::admin::{Answer, Request, Why};
use kakehashi_control::api::client::{Client, ClientError, place_of};
use kakehashi_control::pki::load_roots;
use kakehashi_terminal::program::{find_password, first_line, read_password_file};
use kakehashi_wire::secret::Password;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::runtime::Runtime;

/// Which control is asked, and as whom.
#[derive(ClapArgs, Clone, PartialEq, Eq, Debug, Default)]
#[command(next_help_heading = "Which control, and as whom")]
pub(crate) struct DoorArgs {
    /// Folder of the control on this machine, which is asked as its operator [default:
    /// kakehashi-data].
    #[arg(id = "door-data", long = "data", value_name = "DIR", global = true)]
    data: Option<PathBuf>,
    /// Asks the control whose API is there, such as `https://control.example:4435` [env:
    /// KAKEHASHI_API].
    #[arg(id = "door-api", long = "api", value_name = "URL", global = true)]
    api: Option<String>,
    /// The authority whose certificate it has to show, PEM [env: KAKEHASHI_CA].
    #[arg(id = "door-ca", long = "ca", value_name = "FILE", global = true)]
    ca: Option<PathBuf>,
    /// The tenant of whoever asks [env: KAKEHASHI_TENANT], and the one whose calls and sessions
    /// are listed.
    #[arg(id = "door-tenant", long = "tenant", value_name = "TENANT", global = true)]
    tenant: Option<String>,
    /// The login ID of whoever asks [env: KAKEHASHI_LOGIN]. The password is asked for, unless it is
    /// in KAKEHASHI_PASSWORD.
    #[arg(id = "door-login", long = "login", value_name = "LOGIN", global = true)]
    login: Option<String>,
    /// Takes the password of whoever asks from this file's first line; `-` is standard input.
    #[arg(id = "door-password", long = "login-password-file", value_name = "FILE", global = true)]
    password_file: Option<PathBuf>,
}

/// How to get in.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Way {
    /// As the operator of the control whose data is there.
    Operator(PathBuf),
    /// As an account.
    Account { place: Place, tenant: String, login: String },
}

/// Where a control is.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Place {
    /// Its data is there.
    Folder(PathBuf),
    /// Its API is there, and its certificate is of one of these authorities.
    Url(String, PathBuf),
}

impl DoorArgs {
    /// Whether any of them was given.
    pub(crate) fn says_something(&self) -> bool {
        let texts = [&self.api, &self.tenant, &self.login];
        let paths = [&self.data, &self.ca, &self.password_file];
        texts.iter().any(|it| it.is_some()) || paths.iter().any(|it| it.is_some())
    }

    /// The tenant that is asked about, if it is one.
    pub(crate) fn one_tenant(&self) -> Option<String> {
        self.tenant.clone()
    }

    /// Control's own folder on this machine.
    pub(crate) fn folder(&self) -> PathBuf {
        control_folder(self.data.as_deref().unwrap_or_else(|| Path::new(DATA)))
    }

    /// How to get in. What the command line says comes before the environment, and whoever names a
    /// folder means its operator.
    fn way(&self, environment: impl Fn(&str) -> Option<String>) -> Result<Way> {
        let usual = |name| environment(name).filter(|_| self.data.is_none());
        let or = |said: &Option<String>, name| said.clone().or_else(|| usual(name));
        let (api, login) = (or(&self.api, "KAKEHASHI_API"), or(&self.login, "KAKEHASHI_LOGIN"));
        if self.data.is_some() && api.is_some() {
            bail!("--data and --api each name a control: give one of them");
        }
        let ca = self.ca.clone().or_else(|| usual("KAKEHASHI_CA").map(PathBuf::from));
        let place = match (api, ca) {
            (Some(url), Some(ca)) => Place::Url(url, ca),
            (Some(_), None) => bail!(
                "whose certificate the API has to show is not known: give --ca FILE, such as \
                 control's ca.pem, or set KAKEHASHI_CA"
            ),
            (None, _) => Place::Folder(self.folder()),
        };
        match (login, or(&self.tenant, "KAKEHASHI_TENANT"), place) {
            (Some(login), Some(tenant), place) => Ok(Way::Account { place, tenant, login }),
            (Some(_), None, _) => {
                bail!("whose account it is is not known: give --tenant, or set KAKEHASHI_TENANT")
            }
            (None, _, Place::Folder(folder)) => Ok(Way::Operator(folder)),
            (None, _, Place::Url(..)) => {
                bail!("who asks is not known: give --login, or set KAKEHASHI_LOGIN")
            }
        }
    }

    fn password(&self, login: &str) -> Result<Password> {
        match self.password_file.as_deref() {
            Some(path) if path == Path::new("-") => first_line(std::io::stdin().lock()),
            Some(path) => read_password_file(path),
            None => find_password(login, "--login-password-file FILE"),
        }
    }
}

/// Control's API, and what it takes to ask there.
pub(crate) struct Door {
    runtime: Runtime,
    client: Client,
    /// There is a token to give back.
    is_signed_in: bool,
}

impl Door {
    /// Gets in as the options and the environment say.
    pub(crate) fn open(args: &DoorArgs) -> Result<Self> {
        let mut builder = tokio::runtime::Builder::new_current_thread();
        let runtime = builder.enable_all().build().context("cannot start the runtime")?;
        let (place, tenant, login) = match args.way(|name| std::env::var(name).ok())? {
            Way::Operator(folder) => {
                let client = Client::of_folder(&folder)?;
                return Ok(Self { runtime, client, is_signed_in: false });
            }
            Way::Account { place, tenant, login } => (place, tenant, login),
        };
        let (url, roots) = match place {
            Place::Folder(folder) => place_of(&folder)?,
            Place::Url(url, ca) => (url, load_roots(&ca)?),
        };
        let password = args.password(&login)?;
        let client = Client::sign_in(&url, roots, (&tenant, &login), password);
        let client = runtime.block_on(client)?;
        Ok(Self { runtime, client, is_signed_in: true })
    }

    /// Lets time pass.
    pub(crate) fn wait(&self, time: Duration) {
        self.runtime.block_on(async { tokio::time::sleep(time).await });
    }

    /// Asks one thing.
    pub(crate) fn ask(&mut self, request: Request) -> Result<Answer> {
        Ok(self.runtime.block_on(self.client.ask(request))?)
    }
}

impl Drop for Door {
    fn drop(&mut self) {
        if self.is_signed_in {
            // If control does not hear it, the token ends when it has not been used for a while.
            let _heard = self.runtime.block_on(self.client.sign_out());
        }
    }
}

/// There is no such thing; `help` says how to see those that are.
pub(crate) fn absent(detail: String) -> ClientError {
    ClientError::Refused { why: Why::Absent, detail }
}

/// What the program ends with because of `error`, as its help says.
pub(crate) fn exit_code(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<ClientError>() {
        Some(ClientError::Refused { why: Why::NotAllowed, .. } | ClientError::Tls { .. }) => 3,
        Some(ClientError::Refused { why: Why::Absent, .. }) => 4,
        Some(
            ClientError::Refused { why: Why::Busy, .. }
            | ClientError::NotRunning { .. }
            | ClientError::Broken { .. }
            | ClientError::Silent { .. },
        ) => 5,
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn args(data: Option<&str>, api: Option<&str>, login: Option<&str>) -> DoorArgs {
        let text = |it: &str| it.to_owned();
        let (api, login) = (api.map(text), login.map(text));
        DoorArgs { data: data.map(PathBuf::from), api, login, ..DoorArgs::default() }
    }

    fn account(place: Place, login: &str) -> Option<Way> {
        Some(Way::Account { place, tenant: "ginza".into(), login: login.into() })
    }

    #[test]
    fn what_is_said_comes_before_the_environment() {
        let silent = |_: &str| None;
        let full = |name: &str| {
            let value = match name {
                "KAKEHASHI_API" => "https://there",
                "KAKEHASHI_CA" => "ca.pem",
                "KAKEHASHI_TENANT" => "ginza",
                "KAKEHASHI_LOGIN" => "anna",
                _ => return None,
            };
            Some(value.to_owned())
        };
        let (folder, url) =
            (PathBuf::from("d"), |url: &str| Place::Url(url.into(), "ca.pem".into()));
        let plain = args(None, None, None);
        assert_eq!(plain.way(silent).ok(), Some(Way::Operator(DATA.into())));
        assert_eq!(plain.way(full).ok(), account(url("https://there"), "anna"));
        let named = args(Some("d"), None, None);
        assert_eq!(named.way(full).ok(), Some(Way::Operator(folder.clone())));
        let other = args(None, Some("https://here"), Some("ben"));
        assert_eq!(other.way(full).ok(), account(url("https://here"), "ben"));
        let mut local = args(Some("d"), None, Some("ben"));
        local.tenant = Some("ginza".into());
        assert_eq!(local.way(silent).ok(), account(Place::Folder(folder), "ben"));
        for (wrong, why) in [
            (args(Some("d"), Some("https://here"), None), "give one of them"),
            (args(None, Some("https://here"), None), "--ca"),
            (args(None, None, Some("ben")), "--tenant"),
            (DoorArgs { ca: Some("x".into()), ..args(None, Some("u"), None) }, "--login"),
        ] {
            let said = wrong.way(silent).unwrap_err().to_string();
            assert!(said.contains(why), "{said}");
        }
    }
}
