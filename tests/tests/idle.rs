//! The load generator's idle terminals and those that come back, with few of them: all are there
//! in the end, nobody hashed a password to come back, and none is forgotten.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::Platform;

#[test]
fn terminals_wait_and_come_back_with_their_tokens() {
    let platform = Platform::start(1);
    let report =
        platform.load(&["idle", "--terminals", "36", "--seconds", "2", "--memory-mib", "2048"]);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!((count("terminals"), count("connected")), (36, 36), "{report:#}");
    let [before, after] = ["control_before_bytes", "control_idle_bytes"].map(count);
    assert!(before > 1 << 20 && after > before / 2, "{report:#}");
    let audit = platform.run_well(&["audit", "list", "--count", "400", "--json"]);
    let records = |act: &str| audit.lines().filter(|line| line.contains(act)).count();
    assert_eq!((records("\"sign_in\""), records("\"resume\"")), (36, 36), "{audit}");
}

#[test]
fn a_token_costs_control_less_than_a_password() {
    let platform = Platform::start(1);
    let report = platform.load(&["resume", "--terminals", "4", "--times", "5", "--at-least", "2"]);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(["connections", "resumptions", "passwords"].map(count), [20, 20, 4]);
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("password_us") > figure("resumption_us"), "{report:#}");
    assert!(figure("connection_us") > 0.0, "{report:#}");
}
