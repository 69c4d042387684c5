//! The walk-through of the README's second page, with real terminals: every command of it in its
//! order, and the media counted where a player would hear it.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::platform::{Account, Platform};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::io::Write as _;
use std::net::UdpSocket;
use std::process::{ChildStdin, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// The part of the page that is walked through.
const PART: &str = "A desk of your own";

/// How long nothing may come to a player before its source counts as stopped; voice comes every
/// 20 ms.
const SILENCE: Duration = Duration::from_secs(1);

/// The commands of the page's first part, and those that have not been run yet.
struct Page {
    left: RefCell<VecDeque<String>>,
}

impl Page {
    fn open() -> Self {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../OPERATING.md");
        let text = std::fs::read_to_string(path).unwrap();
        let part = text.split("\n## ").find(|part| part.starts_with(PART)).expect(PART);
        let blocks = part.split("```").skip(1).step_by(2);
        let commands = blocks.flat_map(|block| block.lines().filter(|line| !line.is_empty()));
        Self { left: RefCell::new(commands.map(str::to_owned).collect()) }
    }

    /// The next command, which begins with `start`.
    fn next(&self, start: &str) -> String {
        let next = self.left.borrow_mut().pop_front().expect(start);
        assert!(next.starts_with(start), "the page has another command here: {next}");
        next
    }

    /// Nothing of it has been left out.
    fn is_done(&self) {
        assert_eq!(*self.left.borrow(), [""; 0], "commands of the page that were not run");
    }

    /// Runs the next command of the operator, which begins with `start`.
    fn operate(&self, platform: &Platform, start: &str) -> String {
        let line = self.next(&format!("kakehashi {start}"));
        platform.run_well(&line.split(' ').skip(1).collect::<Vec<_>>())
    }

    /// Adds the account of the next command.
    fn account(&self, platform: &Platform, login: &str) -> Account {
        let tenant = "ginza";
        let printed = self.operate(platform, &format!("account add {tenant} {login}"));
        let password = printed.split_whitespace().last().unwrap().to_owned();
        Account { tenant: tenant.to_owned(), login: login.to_owned(), password }
    }

    /// Starts the terminal of the next command, with `port` in place of the player's.
    fn terminal(&self, platform: &Platform, account: &Account, port: u16) -> Running {
        let start = format!("kakehashi-terminal --tenant ginza --login {} ", account.login);
        let line = self.next(&start).replace("5008", &port.to_string());
        let mut command = platform.terminal(account);
        command.arg("--json").args(line[start.len()..].split(' '));
        let mut program = Program::start(command.stdin(Stdio::piped()).stdout(Stdio::piped()));
        let keys = program.stdin.take().unwrap();
        let said = Lines::of(program.stdout.take().unwrap());
        said.until(r#""event":"signed_in""#, SOON);
        Running { program, keys, said }
    }
}

/// A terminal that runs.
struct Running {
    program: Program,
    keys: ChildStdin,
    said: Lines,
}

/// Packets that come to a player within `time`.
fn heard(player: &UdpSocket, time: Duration) -> usize {
    pause(time);
    player.set_nonblocking(true).unwrap();
    let mut packet = [0; 2048];
    std::iter::from_fn(|| player.recv(&mut packet).ok()).count()
}

#[test]
fn the_second_page_from_a_tenant_to_a_suspension_in_the_middle_of_a_call() {
    let (platform, page) = (Platform::start(1), Page::open());
    page.operate(&platform, "tenant add");
    let store = page.account(&platform, "store-1");
    let [first, second] =
        ["concierge-1", "concierge-2"].map(|login| page.account(&platform, login));
    page.operate(&platform, "desk add");

    let player = UdpSocket::bind("127.0.0.1:0").unwrap();
    let port = player.local_addr().unwrap().port();
    let mut first = page.terminal(&platform, &first, port);
    let second = page.terminal(&platform, &second, port);
    let calling = page.terminal(&platform, &store, port);
    let incoming = first.said.until(r#""event":"incoming""#, SOON);
    assert!(incoming.contains(r#""desk":"reception""#), "{incoming}");
    let connected = calling.said.until(r#""event":"connected""#, SOON);
    assert!(connected.contains(r#""login":"concierge-1""#), "{connected}");
    assert_eq!(heard(&player, SILENCE), 0, "nobody has called this one yet");

    writeln!(first.keys, "{}", page.next("transfer ")).unwrap();
    second.said.until(r#""event":"connected""#, SOON);
    let round = calling.said.until(r#""event":"round""#, SOON);
    assert!(round.contains(r#""with":["concierge-2"]"#), "{round}");
    let ended = first.said.until(r#""event":"ended""#, SOON);
    assert!(ended.contains("transferred"), "{ended}");
    let packets = heard(&player, 2 * SILENCE);
    assert!(packets > 50, "{packets} packets of voice in two seconds");

    let said = page.operate(&platform, "account suspend");
    assert!(said.starts_with("store-1  suspended; media "), "{said}");
    // What relays and the player's socket still held.
    heard(&player, SILENCE / 2);
    assert_eq!(heard(&player, SILENCE), 0, "a suspended account is heard");
    second.said.until(r#""event":"summary""#, SOON);

    let calls = page.operate(&platform, "call list");
    assert!(calls.contains("suspended") && calls.contains("store-1"), "{calls}");
    let audit = page.operate(&platform, "audit list");
    assert!(audit.contains("account_suspend") && audit.contains("store-1"), "{audit}");
    page.operate(&platform, "audit verify");
    page.operate(&platform, "account reactivate");
    let mut back = page.terminal(&platform, &store, port);
    assert!(back.program.wait().unwrap().success(), "{}", back.said.so_far());
    page.is_done();
}
