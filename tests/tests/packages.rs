//! The Debian packages, made out of the programs that were built for the tests: their pages and
//! completions, what lintian says of them, and their life in a clean Debian, by the commands of
//! OPERATING.md.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_bench::medium::{Link, Medium};
use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::debian::Root;
use kakehashi_tests::platform::program;
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::Duration;

/// Longer than anything takes here.
const SOON: Duration = Duration::from_secs(60);

/// The part of OPERATING.md whose commands are run.
const PART: &str = "Install from packages";

const PACKAGES: [&str; 4] =
    ["kakehashi-control", "kakehashi-relay", "kakehashi-terminal", "kakehashi-tools"];

/// The services, whose users have their names.
const SERVICES: [&str; 2] = ["kakehashi-control", "kakehashi-relay"];

/// The date that the packages' files have, in seconds: whatever is committed meanwhile.
const SOURCE_DATE: &str = "1767225600";

/// Where control keeps everything.
const DATA: &str = "/var/lib/kakehashi-control";

/// All packages, as they are and in a later revision.
static BUILT: LazyLock<[PathBuf; 2]> =
    LazyLock::new(|| ["1", "2"].map(|revision| build(revision, revision)));

fn scratch() -> &'static Path {
    Path::new(env!("CARGO_TARGET_TMPDIR"))
}

/// Packs a revision into a folder of that name.
fn build(revision: &str, name: &str) -> PathBuf {
    let out = scratch().join(format!("packages-{name}"));
    let _ = fs::remove_dir_all(&out);
    let programs = program("kakehashi").parent().unwrap().to_owned();
    let mut command = Command::new(repository().join("tuning/packages/build"));
    command.env("CARGO_TARGET_DIR", programs.parent().unwrap()).arg("--programs").arg(&programs);
    command.args(["--revision", revision, "--fast", "--out"]).arg(&out);
    command.env("SOURCE_DATE_EPOCH", SOURCE_DATE);
    well(command.output().unwrap(), "tuning/packages/build");
    out
}

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// What a program printed that must have done well.
fn well(output: Output, what: &str) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what}: {printed}\n{errors}");
    printed
}

/// Every file below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let found = entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] });
    found.collect()
}

/// The package `name` in `folder`.
fn package(folder: &Path, name: &str) -> PathBuf {
    let start = format!("{name}_");
    let mut found = files(folder)
        .into_iter()
        .filter(|path| path.file_name().unwrap().to_string_lossy().starts_with(&start));
    found.next().unwrap_or_else(|| panic!("there is no {name} in {}", folder.display()))
}

/// Runs `script` in a shell, with pages and completions of all programs in its folder.
fn with_pages(shell: &str, script: &str) -> String {
    let folder = tempfile::tempdir_in(scratch()).unwrap();
    let mut pages = Command::new(program("examples/pages"));
    well(pages.arg(folder.path()).arg("2026-01-01").output().unwrap(), "pages");
    let mut command = Command::new(shell);
    let output = command.args(["-c", script]).current_dir(folder.path()).output();
    well(output.unwrap_or_else(|error| panic!("this needs `{shell}`: {error}")), script)
}

#[test]
fn every_command_has_a_page_that_both_formatters_understand() {
    let script = r#"set -euo pipefail
        find . -path '*/man/*' -type f >pages
        while read -r page; do
          mandoc -Tlint -Wwarning "$page" >&2
          said=$(LC_ALL=C.UTF-8 MANWIDTH=90 man --warnings -l "$page" 2>&1 >/dev/null)
          [[ -z $said ]] || { echo "$page: $said" >&2; exit 1; }
          basename "$page"
        done <pages"#;
    let printed = with_pages("bash", script);
    let names: Vec<_> = printed.lines().collect();
    assert!(names.len() > 50, "{names:?}");
    for name in [
        "kakehashi-account-add.1",
        "kakehashi-control.8",
        "kakehashi-loadgen-media.1",
        "kakehashi-relay-drain.1",
        "kakehashi-relay.8",
        "kakehashi-terminal-wait.1",
    ] {
        let times = names.iter().filter(|known| **known == name).count();
        assert_eq!(times, 1, "{name} in {names:?}");
    }
}

#[test]
fn shells_complete_commands_and_options() {
    let bash = r#"set -euo pipefail
        for file in */bash-completion/completions/*; do
          source "$file"
          complete -p "$(basename "$file")" >&2
        done
        COMP_WORDS=(kakehashi account sus) COMP_CWORD=2
        _kakehashi kakehashi sus account
        echo "${COMPREPLY[@]}""#;
    assert_eq!(with_pages("bash", bash).trim(), "suspend");
    let zsh = "set -e; for file in */zsh/vendor-completions/*; do zsh -n $file; echo $file; done";
    assert_eq!(with_pages("zsh", zsh).lines().count(), 5);
    let fish = "for file in */fish/vendor_completions.d/*; source $file; or exit 1; end
        complete -C 'kakehashi account sus'";
    assert!(with_pages("fish", fish).starts_with("suspend\t"));
}

#[test]
fn lintian_finds_nothing_to_warn_of() {
    let packages = PACKAGES.map(|name| package(&BUILT[0], name));
    let mut lintian = Command::new("lintian");
    // As root it warns of itself. These are no uploads to Debian, which close a request there.
    lintian.args(["--allow-root", "--suppress-tags", "initial-upload-closes-no-bugs"]);
    lintian.args(["--fail-on", "error,warning", "--tag-display-limit", "0"]);
    let output = lintian.args(packages).output().expect("this needs `lintian`");
    well(output, "lintian");
}

#[test]
fn the_same_programs_make_the_same_packages() {
    let [once, again] = [&BUILT[0], &build("1", "again")];
    for name in PACKAGES {
        let [once, again] = [once, again].map(|folder| fs::read(package(folder, name)).unwrap());
        assert!(once == again, "{name} differs from one time to the next");
    }
}

/// The commands of OPERATING.md that install the packages, in their order.
fn commands() -> Vec<String> {
    let text = fs::read_to_string(repository().join("OPERATING.md")).unwrap();
    let part = text.split("\n## ").find(|part| part.starts_with(PART)).expect(PART);
    let block = part.split("```").nth(1).expect("the part begins with its commands");
    block.lines().filter(|line| !line.is_empty()).map(str::to_owned).collect()
}

/// A clean Debian in which services run in place of systemd's.
struct Machine {
    // Ended before what it runs in.
    running: Vec<(Program, Lines)>,
    link: Link,
    root: Root,
}

impl Machine {
    fn new() -> Self {
        let root = Root::new(scratch());
        let link = Link::new(Medium::Loopback, 0, 1).expect("a network of its own, as root");
        Self { running: Vec::new(), link, root }
    }

    /// Puts the packages of a revision where its commands are run.
    fn bring(&self, revision: usize) {
        let folder = self.root.path("packages");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir(&folder).unwrap();
        for name in PACKAGES {
            let from = package(&BUILT[revision], name);
            fs::copy(&from, folder.join(from.file_name().unwrap())).unwrap();
        }
    }

    /// Starts a program in its own network.
    fn start(&self, command: &mut Command) -> Program {
        self.link.subject.run(|| Ok(Program::start(command))).unwrap()
    }

    /// Runs a command in its own network until it prints `text`.
    fn until(&self, line: &str, text: &str) -> String {
        for _ in 0..300 {
            let output = self.link.subject.run(|| Ok(self.root.run(line))).unwrap();
            let printed = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() && printed.contains(text) {
                return printed;
            }
            pause(Duration::from_millis(200));
        }
        let said: Vec<_> = self.running.iter().map(|(_, lines)| lines.so_far()).collect();
        panic!("`{line}` does not print `{text}`; services said:\n{}", said.join("\n"))
    }

    /// What systemd does for the unit: its user, its state folder, its command.
    fn start_service(&mut self, name: &str) {
        let unit = self.root.path(&format!("/usr/lib/systemd/system/{name}.service"));
        let unit = fs::read_to_string(unit).unwrap();
        let setting = |key: &str| {
            let found = unit.lines().find_map(|line| line.strip_prefix(&format!("{key}=")));
            found.map(str::to_owned)
        };
        let user = setting("User").unwrap();
        if let Some(state) = setting("StateDirectory") {
            self.root.run_well(&format!("install -d -o {user} -g {user} -m 700 /var/lib/{state}"));
        }
        let words = setting("ExecStart").unwrap();
        let words: Vec<_> = words.split_whitespace().collect();
        let mut command = self.root.command_of(&user, &words);
        let mut service = self.start(command.stderr(Stdio::piped()));
        let log = Lines::of(service.stderr.take().unwrap());
        self.running.push((service, log));
        if name == "kakehashi-control" {
            self.until(&operate("tenant list"), "");
        }
    }

    /// Runs the commands of OPERATING.md.
    fn follow_operating(&mut self) {
        self.root.run_well("apt-get update -qq");
        for line in commands() {
            if let Some(service) = line.strip_prefix("systemctl enable --now ") {
                self.start_service(service);
            } else if let Some(packages) = line.strip_prefix("apt install ") {
                self.root.run_well(&format!("cd /packages && apt-get install -qq {packages}"));
            } else {
                let ran = self.link.subject.run(|| Ok(self.root.run_well(&line)));
                ran.unwrap();
            }
        }
    }
}

/// The operator's command on the machine of control.
fn operate(what: &str) -> String {
    format!("kakehashi --data {DATA} {what}")
}

/// What is there after the installation, and what is not.
fn is_installed(root: &Root) {
    for service in SERVICES {
        let user = root.run_well(&format!("getent passwd {service}"));
        assert!(user.trim().ends_with("nologin"), "{user}");
        root.run_well(&format!("systemd-analyze verify {service}.service"));
        let state = root.run(&format!("systemctl is-enabled {service}"));
        assert_eq!(String::from_utf8_lossy(&state.stdout).trim(), "disabled", "{service}");
        let settings = service.replace("kakehashi-", "/etc/kakehashi/") + ".toml";
        let listed = format!("dpkg-query -W -f '${{Conffiles}}' {service} | grep -F {settings}");
        root.run_well(&listed);
    }
    for page in ["kakehashi-tenant-add.1", "kakehashi-relay.1", "kakehashi-relay.8"] {
        let (name, section) = page.split_once('.').unwrap();
        let mut man = Command::new("man");
        man.arg("-M").arg(root.path("/usr/share/man")).args(["-w", section, name]);
        let found = well(man.output().unwrap(), page);
        assert!(found.trim().ends_with(&format!("{page}.gz")), "{found}");
    }
    for path in [
        "/usr/lib/sysctl.d/60-kakehashi.conf",
        "/usr/share/bash-completion/completions/kakehashi",
        "/usr/share/doc/kakehashi-relay/examples/kakehashi.nft",
        "/usr/share/doc/kakehashi-relay/examples/kakehashi-relay.service.d/xdp.conf",
        "/usr/share/kakehashi/steer",
    ] {
        assert!(root.path(path).exists(), "{path}");
    }
}

/// Two terminals, of a user without rights, call each other.
fn call(machine: &Machine) {
    let root = &machine.root;
    root.run_well("cd /packages && apt-get install -qq ./kakehashi-terminal_*.deb");
    let operate = |what: &str| {
        let line = operate(what);
        machine.link.subject.run(|| Ok(root.run_well(&line))).unwrap()
    };
    operate("tenant add ginza");
    let terminal = |login: &str, words: &[&str]| {
        let printed = operate(&format!("account add ginza {login} --permanent"));
        let state = format!("/tmp/{login}");
        let all = ["kakehashi-terminal", "--ca", "/etc/kakehashi/ca.pem", "--tenant", "ginza"];
        let own = ["--login", login, "--state", &state, "--json", "--audio", "sample:speech"];
        let mut command = root.command_of("games", &[&all[..], &own, words].concat());
        command.env("KAKEHASHI_PASSWORD", printed.split_whitespace().last().unwrap());
        let mut program = machine.start(command.stdout(Stdio::piped()));
        let lines = Lines::of(program.stdout.take().unwrap());
        lines.until("\"signed_in\"", SOON);
        (program, lines)
    };
    let callee = terminal("concierge-1", &["wait", "--calls", "1"]);
    let caller = terminal("store-1", &["call", "concierge-1"]);
    for (mut program, lines) in [caller, callee] {
        let summary = lines.until("\"summary\"", SOON);
        assert!(program.wait().unwrap().success(), "{}", lines.so_far());
        let summary: Value = serde_json::from_str(&summary).unwrap();
        let received = &summary["media"]["received"][0];
        assert_eq!(received["lost"].as_u64(), Some(0), "{summary}");
        assert!(received["packets"].as_u64().unwrap() > 100, "{summary}");
    }
}

#[test]
fn a_clean_machine_runs_upgrades_and_forgets_them() {
    let mut machine = Machine::new();
    machine.bring(0);
    machine.follow_operating();
    is_installed(&machine.root);
    let relays = machine.until(&operate("relays --json"), "\"connected\":true");
    println!("{relays}");
    call(&machine);
    let doctor = machine.root.run("kakehashi doctor relay --config /etc/kakehashi/relay.toml");
    assert!(doctor.stdout.len() > 100, "{doctor:?}");

    machine.running.clear();
    let settings = machine.root.path("/etc/kakehashi/control.toml");
    let changed = fs::read_to_string(&settings).unwrap() + "# Ours.\n";
    fs::write(&settings, &changed).unwrap();
    machine.bring(1);
    machine.root.run_well("cd /packages && apt-get install -qq ./*.deb");
    let version = machine.root.run_well("dpkg-query -W -f '${Version}' kakehashi-control");
    assert!(version.ends_with("-2"), "{version}");
    assert_eq!(fs::read_to_string(&settings).unwrap(), changed);
    machine.start_service("kakehashi-control");
    machine.until(&operate("account list ginza"), "concierge-1");

    machine.running.clear();
    machine.root.run_well("apt-get remove -qq kakehashi-control kakehashi-relay");
    assert!(machine.root.path(DATA).exists() && settings.exists());
    machine.root.run_well("apt-get purge -qq kakehashi-control kakehashi-relay");
    assert!(!machine.root.path(DATA).exists() && !settings.exists());
    assert!(machine.root.path("/etc/kakehashi/relay.key").exists(), "keys are the operator's");
}
