//! A whole platform for a test: `kakehashi up` in a temporary folder, on ports of its own.
//!
//! The programs are the ones built beside the tests; a test that finds none says how to build
//! them. Everything ends with the value.

use crate::children::Lines;
use crate::talk::Talk;
use kakehashi_loadgen::leg::LegClient;
use kakehashi_loadgen::signed_in::{self, LiveCall};
use kakehashi_terminal::{DeviceSecret, Settings, Timing};
use kakehashi_wire::id::DeviceId;
use kakehashi_wire::secret::{MasterKey, Password};
use serde_json::Value;
use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// How long a platform gets to become ready; generous, for loaded machines.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Lines of each log that a failing test shows.
const LOG_LINES_SHOWN: usize = 40;

/// The tenant most tests use.
pub const TENANT: &str = "ginza";

/// A loss is noticed soon, by both sides: QUIC takes the shorter idle time of the two.
pub const NOTICES_SOON: Timing = Timing {
    dial: Duration::from_secs(2),
    reply: Duration::from_secs(10),
    retry_least: Duration::from_millis(50),
    retry_most: Duration::from_millis(200),
    keep_alive: Duration::from_millis(300),
    idle: Duration::from_secs(2),
    resume: Duration::from_secs(3),
    busy_ping: Duration::from_millis(250),
    busy_silence: Duration::from_secs(1),
};

/// A running platform.
pub struct Platform {
    up: Child,
    output: Lines,
    data: Option<tempfile::TempDir>,
    address: Ipv4Addr,
    control_port: u16,
    console_port: u16,
    metrics_port: u16,
    media_port: u16,
}

/// An account of a test, and how to sign in to it.
#[derive(Clone)]
pub struct Account {
    /// The tenant's name.
    pub tenant: String,
    /// The login ID.
    pub login: String,
    /// The password control made.
    pub password: String,
}

/// Master key and salt in hexadecimal, as libsrtp and what is built on it take them.
pub fn key_and_salt(key: &MasterKey) -> String {
    hex::encode(key.key()) + &hex::encode(key.salt())
}

/// A program of the workspace, as it was built for the tests.
pub fn program(name: &str) -> PathBuf {
    let test = std::env::current_exe().expect("a test knows its own file");
    let folder = test.ancestors().nth(2).expect("tests lie in target/<profile>/deps");
    let path = folder.join(name);
    assert!(
        path.exists(),
        "{} is not there: run `cargo build --workspace --bins` first",
        path.display()
    );
    path
}

impl Platform {
    /// Starts a platform whose relays have `shards` shards each, and waits until it is ready.
    pub fn start(shards: u16) -> Self {
        Self::start_in(tempfile::tempdir().expect("a temporary folder can be made"), shards)
    }

    /// Starts a platform of so many relays with one shard each, with more options of `up`.
    pub fn start_with(relays: u16, options: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        Self::start_as(data, Ipv4Addr::LOCALHOST, (relays, 1), options)
    }

    /// The same at another address of the network that the calling thread sees.
    pub fn start_at(address: Ipv4Addr, relays: u16, options: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a temporary folder can be made");
        Self::start_as(data, address, (relays, 1), options)
    }

    /// The same as the first with a data folder that may have been used before.
    pub fn start_in(data: tempfile::TempDir, shards: u16) -> Self {
        Self::start_as(data, Ipv4Addr::LOCALHOST, (2, shards), &[])
    }

    fn start_as(
        data: tempfile::TempDir,
        address: Ipv4Addr,
        (relays, shards): (u16, u16),
        options: &[&str],
    ) -> Self {
        let (control_port, fleet_port, media_port) = free_ports(shards * relays + 1);
        let console_port = media_port + shards * relays;
        let mut command = Command::new(program("kakehashi"));
        command.arg("up").arg("--data").arg(data.path());
        command.arg("--address").arg(address.to_string());
        for (option, value) in [
            ("--control-port", control_port),
            ("--fleet-port", fleet_port),
            // The other protocol's ports of those numbers.
            ("--api-port", control_port),
            ("--metrics-port", fleet_port),
            ("--console-port", console_port),
            ("--media-port", media_port),
            ("--relays", relays),
            ("--shards", shards),
            // How much a test sends is its own business.
            ("--leg-rate-max-kbps", 0),
        ] {
            command.arg(option).arg(value.to_string());
        }
        let mut up = command
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn()
            .expect("kakehashi starts");
        let output = Lines::of(up.stdout.take().expect("its output is piped"));
        let data = Some(data);
        let metrics_port = fleet_port;
        let platform = Self {
            up,
            output,
            data,
            address,
            control_port,
            console_port,
            metrics_port,
            media_port,
        };
        platform.output.until("ready", READY_WITHIN);
        platform
    }

    /// The data folder.
    pub fn data(&self) -> &Path {
        self.data.as_ref().expect("the folder is there until the end").path()
    }

    /// Ends the platform; its data folder lives on.
    pub fn end(mut self) -> tempfile::TempDir {
        self.terminate();
        assert!(self.ended_well(), "the platform did not end well");
        self.data.take().expect("the folder is there until the end")
    }

    /// What `up` has printed so far.
    pub fn printed(&self) -> String {
        self.output.so_far()
    }

    /// Where terminals find control.
    pub fn control(&self) -> String {
        format!("{}:{}", self.address, self.control_port)
    }

    /// Where the parts show their figures: control, then each relay in the order of their numbers.
    pub fn metrics(&self, relays: u16) -> Vec<SocketAddr> {
        let ports = self.metrics_port..=self.metrics_port + relays;
        ports.map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, port))).collect()
    }

    /// Where browsers find the console.
    pub fn console(&self) -> String {
        format!("https://localhost:{}", self.console_port)
    }

    /// The console's first operator, whose password `up` has printed.
    pub fn operator(&self) -> Account {
        let printed = self.printed();
        let mut lines = printed.lines().map(str::split_whitespace).map(Vec::from_iter);
        let found = lines.find_map(|line| match line[..] {
            ["operator", password] => Some(password.to_owned()),
            _ => None,
        });
        let password = found.expect("the first start shows the operator's password");
        Account { tenant: String::new(), login: "operator".to_owned(), password }
    }

    /// The first media port: shard 0 of relay 1.
    pub fn media_port(&self) -> u16 {
        self.media_port
    }

    /// Runs an operator's command against this platform.
    pub fn run(&self, arguments: &[&str]) -> Output {
        Command::new(program("kakehashi"))
            .args(arguments)
            .arg("--data")
            .arg(self.data())
            .stdin(Stdio::null())
            .output()
            .expect("kakehashi starts")
    }

    /// Runs an operator's command that must succeed; gives what it printed.
    pub fn run_well(&self, arguments: &[&str]) -> String {
        let output = self.run(arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {errors}");
        String::from_utf8(output.stdout).expect("operators read text")
    }

    /// Runs a command of the load generator that must succeed against this platform; gives its
    /// report.
    pub fn load(&self, arguments: &[&str]) -> Value {
        let report = self.data().join("load.json");
        let output = Command::new(program("kakehashi-loadgen"))
            .args(arguments)
            .args(["--control", &self.control()])
            .arg("--ca")
            .arg(self.data().join("ca.pem"))
            .arg("--data")
            .arg(self.data())
            .arg("--json")
            .arg(&report)
            .output()
            .expect("the load generator starts");
        let printed = String::from_utf8_lossy(&output.stdout);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{printed}\n{errors}");
        println!("{printed}");
        let report = std::fs::read(report).expect("the report is written");
        serde_json::from_slice(&report).expect("the report is JSON")
    }

    /// Adds a tenant.
    pub fn add_tenant(&self, name: &str) {
        self.run_well(&["tenant", "add", name]);
    }

    /// Adds an account with a password for good that control makes.
    pub fn add_account(&self, tenant: &str, login: &str) -> Account {
        self.add(tenant, login, &["--permanent"])
    }

    /// Adds an administrator of `tenant`, whose password is for one time.
    pub fn add_administrator(&self, tenant: &str, login: &str) -> Account {
        self.add(tenant, login, &["--role", "tenant-admin"])
    }

    fn add(&self, tenant: &str, login: &str, options: &[&str]) -> Account {
        let arguments = [&["account", "add", tenant, login], options].concat();
        let printed = self.run_well(&arguments);
        let password = printed.split_whitespace().last().expect("the password comes last");
        Account {
            tenant: tenant.to_owned(),
            login: login.to_owned(),
            password: password.to_owned(),
        }
    }

    /// Adds the tenant [`TENANT`] with a store's and a concierge's account.
    pub fn add_pair(&self) -> (Account, Account) {
        self.add_tenant(TENANT);
        (self.add_account(TENANT, "store-1"), self.add_account(TENANT, "concierge-1"))
    }

    /// A call between two new accounts, and a bare socket on each of its legs, bound at the primary
    /// relay: first the caller's.
    pub async fn bound_call(&self) -> (LiveCall, LegClient, LegClient) {
        let (store, concierge) = self.add_pair();
        let call = signed_in::call(self.settings(&store), self.settings(&concierge)).await;
        let call = call.expect("two accounts of one tenant can call each other");
        let (from, to) = Talk::legs(&call);
        (call, from, to)
    }

    /// How the SDK signs in to `account`, each time from another device.
    pub fn settings(&self, account: &Account) -> Settings {
        static DEVICES: AtomicU64 = AtomicU64::new(1);
        Settings {
            control: vec![self.control()],
            server_name: Some("localhost".to_owned()),
            ca_pem: std::fs::read(self.data().join("ca.pem")).expect("up makes the CA"),
            tenant: account.tenant.clone(),
            login: account.login.clone(),
            password: Password::new(account.password.clone()),
            device: DeviceId(DEVICES.fetch_add(1, Ordering::Relaxed)),
            device_secret: DeviceSecret::from_seed(rand::random()),
            software: "kakehashi-tests".to_owned(),
            source: None,
            timing: Timing::default(),
        }
    }

    /// `kakehashi-terminal` for `account`, with a state folder of its own; the command and its
    /// arguments are the caller's.
    pub fn terminal(&self, account: &Account) -> Command {
        let mut command = Command::new(program("kakehashi-terminal"));
        command
            .env("KAKEHASHI_PASSWORD", &account.password)
            .args(["--control", &self.control(), "--server-name", "localhost", "--ca"])
            .arg(self.data().join("ca.pem"))
            .args(["--tenant", &account.tenant, "--login", &account.login, "--state"])
            .arg(self.data().join(format!("terminal-{}", account.login)))
            .stdin(Stdio::null());
        command
    }

    /// Asks the platform to end, as an operator would.
    pub fn terminate(&self) {
        let asked = Command::new("kill").arg(self.up.id().to_string()).status();
        assert!(asked.is_ok_and(|status| status.success()), "the platform runs");
    }

    /// Waits until the platform has ended; says whether it ended well.
    pub fn ended_well(&mut self) -> bool {
        self.up.wait().expect("the platform is our child").success()
    }

    /// Every relay's counters, summed over the relays.
    pub fn counters(&self) -> BTreeMap<String, u64> {
        let mut sums = BTreeMap::new();
        for line in self.run_well(&["relays", "--json"]).lines() {
            let relay: Value = serde_json::from_str(line).expect("one object a line");
            let counters = relay["counters"].as_object().expect("a relay has counters");
            for (name, value) in counters {
                *sums.entry(name.clone()).or_default() += value.as_u64().expect("a count");
            }
        }
        sums
    }

    /// Prints the end of every part's log, for whoever reads why a test failed.
    fn print_logs(&self) {
        let logs = std::fs::read_dir(self.data().join("logs")).into_iter().flatten().flatten();
        for log in logs {
            let text = std::fs::read_to_string(log.path()).unwrap_or_default();
            let lines: Vec<&str> = text.lines().collect();
            let end = lines.len().saturating_sub(LOG_LINES_SHOWN);
            println!("== {}\n{}", log.path().display(), lines[end..].join("\n"));
        }
    }

    /// Process ID of the relay whose shard listens at `address`.
    pub fn relay_at(&self, address: &str) -> u32 {
        let port = address.rsplit_once(':').map(|(_, port)| port).expect("an address has a port");
        let setting = format!("first_port = {port}\n");
        let listens = |pid: &u32| {
            let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let config = command.split(|&byte| byte == 0).nth(3).unwrap_or_default();
            let config = std::fs::read_to_string(String::from_utf8_lossy(config).as_ref());
            config.is_ok_and(|text| text.contains(&setting))
        };
        let found = self.relay_processes().into_iter().find(listens);
        found.unwrap_or_else(|| panic!("no relay of this platform listens at {address}"))
    }

    /// Process IDs of the relays.
    pub fn relay_processes(&self) -> Vec<u32> {
        self.processes(b"relay")
    }

    /// The process that is control; waits until there is one.
    ///
    /// # Panics
    /// If none is started before long.
    pub fn control_process(&self) -> u32 {
        let found = (0..300).find_map(|_| {
            let found = self.processes(b"control").first().copied();
            if found.is_none() {
                crate::children::pause(Duration::from_millis(100));
            }
            found
        });
        found.expect("the platform starts control again")
    }

    fn processes(&self, part: &[u8]) -> Vec<u32> {
        let children = format!("/proc/{0}/task/{0}/children", self.up.id());
        let children = std::fs::read_to_string(children).expect("Linux lists children");
        children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .filter(|pid| {
                let command = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
                command.split(|&byte| byte == 0).nth(1) == Some(part)
            })
            .collect()
    }
}

impl Drop for Platform {
    fn drop(&mut self) {
        if std::thread::panicking() && self.data.is_some() {
            self.print_logs();
        }
        if matches!(self.up.try_wait(), Ok(Some(_))) {
            return;
        }
        // `up` ends its parts at SIGTERM; they end with it if it must be killed.
        let _ = Command::new("kill").arg(self.up.id().to_string()).status();
        for _ in 0..100 {
            if matches!(self.up.try_wait(), Ok(Some(_))) {
                return;
            }
            crate::children::pause(Duration::from_millis(50));
        }
        let _ = self.up.kill();
        let _ = self.up.wait();
    }
}

/// A control port, a fleet port and the first of `media` ports in a row that are all free, below
/// the range the kernel gives to others. All are free for TCP as well: the control port is the
/// API's, the others show figures.
pub fn free_ports(media: u16) -> (u16, u16, u16) {
    let free = |port: u16| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    let free_tcp = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
    for _ in 0..200 {
        let base: u16 = rand::random_range(20_000..30_000);
        let mut all = base..base + 2 + media;
        if all.all(|port| free(port) && free_tcp(port)) {
            return (base, base + 1, base + 2);
        }
    }
    panic!("no {media} free UDP ports in a row between 20000 and 30000");
}
