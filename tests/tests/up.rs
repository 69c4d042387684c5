//! The life of a platform on one machine: first start, second start, end.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::platform::{Account, Platform, free_ports, program};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// The first tenant, which the first start makes.
const FIRST_TENANT: &str = "home";

/// An account that a start has printed with its password.
fn printed_account(printed: &str, login: &str) -> Option<Account> {
    let line = printed.lines().find(|line| line.trim_start().starts_with(login))?;
    let password = line.split_whitespace().nth(1)?.to_owned();
    Some(Account { tenant: FIRST_TENANT.to_owned(), login: login.to_owned(), password })
}

fn wait_for_calls(platform: &Platform, account: &Account) -> (Program, Lines) {
    let mut terminal = platform.terminal(account);
    let waiting = terminal.args(["--json", "wait"]).stdout(Stdio::piped());
    let mut program = Program::start(waiting);
    let lines = Lines::of(program.stdout.take().unwrap());
    lines.until("\"signed_in\"", SOON);
    (program, lines)
}

fn demonstrate(data: &Path) {
    let (control, fleet, media) = free_ports(3);
    let output = Command::new(program("kakehashi"))
        .args(["up", "--demo", "--seconds", "1", "--data"])
        .arg(data)
        .args(["--control-port", &control.to_string()])
        .args(["--fleet-port", &fleet.to_string()])
        .args(["--api-port", &control.to_string()])
        .args(["--metrics-port", &fleet.to_string()])
        .args(["--console-port", &(media + 2).to_string()])
        .args(["--media-port", &media.to_string()])
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn first_passwords_are_shown_once_and_work_whatever_came_before() {
    let data = tempfile::tempdir().unwrap();
    demonstrate(data.path());
    let platform = Platform::start_in(data, 1);
    let printed = platform.printed();
    let store = printed_account(&printed, "store-1").expect("the first start shows passwords");
    let waiting = wait_for_calls(&platform, &store);
    assert!(printed.contains("kakehashi terminal"), "{printed}");
    drop(waiting);

    // No file of the platform, logs included, holds the password.
    let found =
        Command::new("grep").args(["-rlF", &store.password]).arg(platform.data()).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&found.stdout), "", "a file holds the password");
    let again = Platform::start_in(platform.end(), 1);
    assert!(printed_account(&again.printed(), "store-1").is_none(), "{}", again.printed());
}

#[test]
fn a_platform_that_ends_says_farewell() {
    let mut platform = Platform::start(1);
    let store = printed_account(&platform.printed(), "store-1").unwrap();
    let (_program, lines) = wait_for_calls(&platform, &store);
    platform.terminate();
    let told = lines.until("reconnecting", SOON);
    assert!(told.contains("shutting down"), "{told}");
    assert!(platform.ended_well());
}
