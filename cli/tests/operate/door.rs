//! People of tenants, who ask from their own machine with their own password.

use super::{kakehashi, start};
use kakehashi_control::admin::Request;
use kakehashi_control::api::client::{Client, request};
use kakehashi_control::capacity::API_TOKENS_PER_ACCOUNT_MAX;
use kakehashi_control::node::Node;
use kakehashi_control::pki::load_roots;
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::Role;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use tokio::io::AsyncWriteExt;

const PASSWORD: &str = "tangerine umbrella";

/// A control, and what somebody elsewhere has of it.
struct There {
    node: Node,
    folder: tempfile::TempDir,
    url: String,
    ca: PathBuf,
}

/// The tenants ginza and osaka, each with an administrator anna; in ginza there is a store.
async fn there() -> There {
    let folder = tempfile::tempdir().unwrap();
    let node = start(folder.path()).await;
    let ask = async |what| request(folder.path(), what).await.ok().unwrap();
    for tenant in ["ginza", "osaka"] {
        ask(Request::TenantAdd { name: tenant.into(), accounts: None }).await;
        for (login, role) in [("anna", Role::TenantAdmin), ("store-1", Role::Store)] {
            let (tenant, login, display) = (tenant.to_owned(), login.to_owned(), None);
            let password = Some(Password::new(PASSWORD.into()));
            let permanent = true;
            ask(Request::AccountAdd { tenant, login, display, password, permanent, role }).await;
        }
    }
    let url = format!("https://localhost:{}", node.api_addr.port());
    let ca = folder.path().join("pki").join("ca.pem");
    There { node, folder, url, ca }
}

impl There {
    /// Runs a command with these options before it, the password in the environment, and `said`
    /// on its standard input.
    async fn run(&self, options: &[&str], password: &str, what: &str, said: &str) -> Output {
        let mut command = kakehashi();
        command.args(options).args(what.split(' ')).env("KAKEHASHI_PASSWORD", password);
        // Where nothing is read, nothing is by chance.
        command.current_dir(self.folder.path()).stdin(Stdio::piped());
        let mut running = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut input = running.stdin.take().unwrap();
        // Who needs none may be gone by now.
        let _ = input.write_all(said.as_bytes()).await;
        drop(input);
        running.wait_with_output().await.unwrap()
    }

    /// As an account of a tenant.
    async fn account(&self, tenant: &str, login: &str, what: &str) -> Output {
        let options = self.options(tenant, login);
        self.run(&options, PASSWORD, what, "").await
    }

    fn options<'a>(&'a self, tenant: &'a str, login: &'a str) -> [&'a str; 8] {
        let ca = self.ca.to_str().unwrap();
        ["--api", &self.url, "--ca", ca, "--tenant", tenant, "--login", login]
    }
}

fn said(output: &Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout.clone()).unwrap()
}

/// The exit code and the complaint, of one line.
fn refused(output: &Output) -> (i32, String) {
    let complaint = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(output.stdout.is_empty() && complaint.lines().count() == 1, "{complaint}");
    (output.status.code().unwrap(), complaint)
}

#[tokio::test]
async fn an_administrator_manages_its_tenant_from_its_own_machine() {
    let there = there().await;
    let listed = said(&there.account("ginza", "anna", "account list ginza").await);
    assert!(listed.contains("store-1") && listed.lines().count() == 3, "{listed}");
    let added = said(&there.account("ginza", "anna", "account add ginza ben --json").await);
    let added: Value = serde_json::from_str(&added).unwrap();
    let first = added["password"].as_str().unwrap().to_owned();
    assert!(first.len() >= 15, "{added}");
    said(&there.account("ginza", "anna", "desk add ginza reception --agents ben").await);
    let policy = "tenant policy ginza --set rules.listening=true --json";
    assert!(said(&there.account("ginza", "anna", policy).await).contains("\"listening\":true"));
    for empty in ["sessions", "call list", "calls --json"] {
        said(&there.account("ginza", "anna", empty).await);
    }

    // The same options behind the command, and out of the environment; passwords out of a file,
    // and on standard input, where other lines follow.
    let options = there.options("ginza", "anna");
    let behind = ["account list ginza", &options.join(" ")].join(" ");
    assert_eq!(said(&there.run(&[], PASSWORD, &behind, "").await).lines().count(), 4);
    let file = there.folder.path().join("password");
    std::fs::write(&file, format!("{PASSWORD}\n")).unwrap();
    let mut command = kakehashi();
    command.args(["account", "list", "ginza", "--login-password-file"]).arg(&file);
    for pair in options.chunks(2) {
        command.env(format!("KAKEHASHI_{}", pair[0][2..].to_uppercase()), pair[1]);
    }
    assert_eq!(said(&command.output().await.unwrap()).lines().count(), 4);
    let lines = format!("{PASSWORD}\nginza store-1\nginza nobody\nosaka store-1\nginza\n");
    let stop = "account suspend --stdin --json --login-password-file -";
    let output = there.run(&options, "unused", stop, &lines).await;
    assert_eq!(output.status.code(), Some(1), "some were not done");
    let rows = String::from_utf8(output.stdout).unwrap();
    let rows: Vec<Value> = rows.lines().map(|row| serde_json::from_str(row).unwrap()).collect();
    assert_eq!(rows.len(), 4, "{rows:?}");
    assert_eq!((&rows[0]["login"], &rows[0]["standing"]), (&"store-1".into(), &"suspended".into()));
    assert!(rows[1..].iter().all(|row| row["error"].is_string() && row["standing"].is_null()));
    let listed = said(&there.account("ginza", "anna", "account list ginza").await);
    let line = listed.lines().find(|line| line.contains("store-1")).unwrap();
    assert!(line.contains("suspended"), "{line}");
    there.node.stop().await;
}

#[tokio::test]
async fn whoever_is_refused_hears_why_and_a_script_sees_it() {
    let there = there().await;
    let stranger = tempfile::tempdir().unwrap();
    let other = start(stranger.path()).await;
    let wrong_ca = stranger.path().join("pki").join("ca.pem");
    let ginza = there.options("ginza", "anna");
    let mut distrusting = ginza;
    distrusting[3] = wrong_ca.to_str().unwrap();
    let list = "account list ginza";
    let (code, why) = refused(&there.run(&distrusting, PASSWORD, list, "").await);
    assert!(code == 3 && why.contains("did not prove to be control"), "{why}");

    // What of a sign-in is wrong is not said.
    let mut heard = Vec::new();
    for (tenant, login, password) in
        [("ginza", "anna", "wrong"), ("ginza", "nobody", PASSWORD), ("nowhere", "anna", PASSWORD)]
    {
        let options = there.options(tenant, login);
        heard.push(refused(&there.run(&options, password, list, "").await));
    }
    assert!(heard[0].0 == 3 && heard.windows(2).all(|two| two[0] == two[1]), "{heard:?}");

    // What the role may not.
    for (login, what) in
        [("store-1", list), ("anna", "tenant list"), ("anna", "audit verify"), ("anna", "relays")]
    {
        let (code, why) = refused(&there.account("ginza", login, what).await);
        assert!(code == 3 && why.contains("not allowed"), "{what}: {why}");
    }
    // Another tenant is as absent as none.
    for what in ["account list X", "desk list X", "account suspend X store-1", "tenant policy X"] {
        let mut heard = Vec::new();
        for tenant in ["osaka", "nowhere"] {
            let asked = what.replace('X', tenant);
            let (code, why) = refused(&there.account("ginza", "anna", &asked).await);
            heard.push((code, why.replace(tenant, "X")));
        }
        assert!(heard[0].0 == 4 && heard[0] == heard[1], "{heard:?}");
    }
    assert_eq!(refused(&there.account("ginza", "anna", "desk show ginza sales").await).0, 4);

    // What is no command, and who cannot be asked.
    let both = there.run(&["--data", "d"], PASSWORD, "account list ginza --api https://x", "");
    assert_eq!(refused(&both.await).0, 1);
    let unknown = there.run(&ginza[..2], PASSWORD, list, "").await;
    assert!(refused(&unknown).1.contains("--ca FILE"));
    assert_eq!(there.run(&["--tenant", "x"], "", "up --demo", "").await.status.code(), Some(2));
    let nobody = kakehashi().args(ginza).args(list.split(' ')).stdin(Stdio::null()).output();
    assert!(refused(&nobody.await.unwrap()).1.contains("--login-password-file"));
    other.stop().await;
    there.node.stop().await;
    let options = ["--api", &there.url, "--ca", there.ca.to_str().unwrap()];
    let options = [&options[..], &["--tenant", "ginza", "--login", "anna"]].concat();
    let mut gone = kakehashi();
    gone.args(options).args(list.split(' ')).env("KAKEHASHI_PASSWORD", PASSWORD);
    assert_eq!(refused(&gone.output().await.unwrap()).0, 5);
}

#[tokio::test]
async fn a_command_gives_its_token_back() {
    let there = there().await;
    let roots = load_roots(Path::new(&there.ca)).unwrap();
    let password = Password::new(PASSWORD.into());
    let signing_in = Client::sign_in(&there.url, roots, ("ginza", "anna"), password);
    let mut held = signing_in.await.ok().unwrap();
    // Were each of them kept, the one that nobody used since would have had to go.
    for _ in 0..API_TOKENS_PER_ACCOUNT_MAX {
        said(&there.account("ginza", "anna", "sessions").await);
    }
    let list = || Request::AccountList { tenant: "ginza".into() };
    assert!(held.ask(list()).await.is_ok());
    held.sign_out().await.unwrap();
    assert!(held.ask(list()).await.is_err(), "nobody is known by nothing");
    there.node.stop().await;
}
