//! The console as people meet it: Chromium signs in to a live platform, with real terminals in a
//! call. The checks are in the scripts of `tests/console`; what happens outside of the browser is
//! here.
//!
//! `KAKEHASHI_PICTURES=docs cargo test -p kakehashi-tests --test console pages` takes
//! the pictures of documents anew. All others are in `target/tmp/console`.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program};
use kakehashi_tests::console::{Script, told};
use kakehashi_tests::platform::{Account, Platform, TENANT};
use serde_json::{Map, Value, json};
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);

/// A platform with those who look after it, a store and a concierge.
struct Stage {
    platform: Platform,
    operator: Account,
    administrator: Account,
    store: Account,
    concierge: Account,
}

impl Stage {
    fn set() -> Self {
        let platform = Platform::start(1);
        let (store, concierge) = platform.add_pair();
        let administrator = platform.add_administrator(TENANT, "admin-1");
        let operator = platform.operator();
        Self { platform, operator, administrator, store, concierge }
    }

    fn told(&self) -> Map<String, Value> {
        let people = [
            ("operator", &self.operator),
            ("administrator", &self.administrator),
            ("store", &self.store),
        ];
        let mut told = told(&self.platform, &people);
        told.insert("caller".into(), self.store.login.as_str().into());
        told.insert("callee".into(), self.concierge.login.as_str().into());
        told
    }

    /// No browser told control that it refused what a page had.
    fn assert_nothing_was_refused(&self) {
        for log in std::fs::read_dir(self.platform.data().join("logs")).unwrap() {
            let path = log.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(!text.contains("refused content"), "{}", path.display());
        }
    }
}

/// Two real terminals in a call with sound and picture, and what they print.
struct Talking {
    caller: Lines,
    callee: Lines,
    _programs: [Program; 2],
}

impl Talking {
    fn start(platform: &Platform, store: &Account, concierge: &Account) -> Self {
        let start = |account, arguments: &[&str]| signed_in(platform, account, arguments);
        let answer = ["--loop", "--audio", "sample:reply", "--video", "sample:concierge", "wait"];
        let (waiting, callee) = start(concierge, &answer);
        let call = ["--loop", "--audio", "sample:speech", "--video", "sample:store", "call"];
        let (calling, caller) = start(store, &[&call[..], &[concierge.login.as_str()]].concat());
        for lines in [&caller, &callee] {
            lines.until("\"event\":\"connected\"", SOON);
        }
        Self { caller, callee, _programs: [waiting, calling] }
    }

    /// The call's name.
    fn call(&self) -> String {
        let connected = events(&self.callee, "connected");
        connected[0]["call"].as_str().unwrap().to_owned()
    }
}

/// A terminal that has signed in, and what it prints.
fn signed_in(platform: &Platform, account: &Account, arguments: &[&str]) -> (Program, Lines) {
    let mut command = platform.terminal(account);
    command.arg("--json").args(arguments);
    let mut program = Program::start(command.stdout(Stdio::piped()));
    let lines = Lines::of(program.stdout.take().unwrap());
    lines.until("\"event\":\"signed_in\"", SOON);
    (program, lines)
}

/// What a terminal has printed of a kind.
fn events(lines: &Lines, kind: &str) -> Vec<Value> {
    let lines = lines.so_far();
    let events = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    events.filter(|event| event["event"] == kind).collect()
}

/// Packets of each stream that a terminal had received by then.
fn received(event: &Value) -> Vec<u64> {
    let streams = event["media"]["received"].as_array().unwrap();
    streams.iter().map(|stream| stream["packets"].as_u64().unwrap()).collect()
}

#[test]
fn people_sign_in_with_two_factors_and_leave_nothing_behind() {
    let stage = Stage::set();
    let each = [
        "signed out leads to the sign-in",
        "wrong password is refused",
        "wrong code enrols nobody",
        "recovery codes are shown",
        "cookie attributes",
        "each step has a token of its own",
        "sign-out ends the session",
        "wrong code is refused",
        "code is taken once",
        "recovery code is taken once",
    ];
    let expected = ["operator", "administrator"]
        .iter()
        .flat_map(|who| each.map(|name| format!("{who}: {name}")))
        .collect::<Vec<_>>();
    let mut expected: Vec<_> = expected.iter().map(String::as_str).collect();
    expected.push("administrator: one-time password must be changed");
    expected.push("store: no page, and no hint that the password is right");
    Script::start("sign_in.py", stage.told()).end(&expected);
    stage.assert_nothing_was_refused();
}

#[test]
fn all_pages_are_readable_by_everybody_in_both_languages() {
    let stage = Stage::set();
    let platform = &stage.platform;
    let talking = Talking::start(platform, &stage.store, &stage.concierge);
    let [store, concierge, queued, idle, suspended] =
        ["store-2", "concierge-2", "store-3", "store-4", "store-5"]
            .map(|login| platform.add_account(TENANT, login));
    let _more = Talking::start(platform, &store, &concierge);
    let agents = ["--agents", stage.concierge.login.as_str(), "--wait", "900"];
    platform.run_well(&[&["desk", "add", TENANT, "reception"], &agents[..]].concat());
    let _waits = signed_in(platform, &idle, &["wait"]);
    let (_queued, lines) = signed_in(platform, &queued, &["call", "desk:reception"]);
    lines.until("\"event\":\"queued\"", SOON);
    platform.run_well(&["account", "suspend", TENANT, &suspended.login]);
    let mut told = stage.told();
    let shots = Path::new(env!("CARGO_TARGET_TMPDIR")).join("console");
    told.insert("shots".into(), json!(shots));
    if let Some(pictures) = std::env::var_os("KAKEHASHI_PICTURES") {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        told.insert("pictures".into(), json!(root.join(pictures)));
    }
    let mut expected = vec!["axe-core is the one that was looked at".to_owned()];
    for who in ["operator", "administrator"] {
        for name in [
            "axe finds nothing in the sign-in",
            "every page is in its language",
            "every page fits a phone and a wide screen",
            "axe finds nothing in any page",
            "no page breaks the policy or logs an error",
        ] {
            expected.push(format!("{who}: {name}"));
        }
    }
    expected.push("axe finds a picture without a text".to_owned());
    let expected: Vec<_> = expected.iter().map(String::as_str).collect();
    Script::start("pages.py", told).end(&expected);
    assert_eq!(events(&talking.callee, "ended").len(), 0, "the call went on all the time");
    stage.assert_nothing_was_refused();
}

#[test]
fn an_administrator_stops_a_call_and_its_media_from_a_page() {
    let stage = Stage::set();
    let platform = &stage.platform;
    let talking = Talking::start(platform, &stage.store, &stage.concierge);
    let is_let_in = || platform.terminal(&stage.store).arg("presence").output().unwrap().status;
    let mut script = Script::start("suspension.py", stage.told());
    script.until("call seen");
    talking.callee.until("\"event\":\"progress\"", SOON);
    script.go_on();
    script.until("suspended");
    talking.caller.until("\"event\":\"ended\"", SOON);
    talking.callee.until("\"event\":\"summary\"", SOON);
    let heard = received(&events(&talking.callee, "summary")[0]);
    assert!(heard.len() == 2 && heard.iter().all(|packets| *packets > 0), "{heard:?}");
    let progress = events(&talking.callee, "progress").len();
    assert!(!is_let_in().success(), "a suspended account signed in");
    script.go_on();
    script.until("let in");
    assert!(is_let_in().success(), "an account that was let in again did not sign in");
    script.go_on();
    script.until("looking on");
    platform.run_well(&["account", "suspend", TENANT, &stage.administrator.login]);
    script.go_on();
    script.end(&[
        "the call is seen",
        "the account is suspended",
        "the call is gone from the open page",
        "the account is let in again",
        "a suspended administrator is sent to the sign-in",
        "nothing was refused by the browser",
    ]);
    // The terminal tells of media each second that it has any, and it had none meanwhile.
    assert_eq!(events(&talking.callee, "progress").len(), progress);
    assert_eq!(events(&talking.callee, "summary").len(), 1);
    stage.assert_nothing_was_refused();
}

#[test]
fn hostile_text_is_shown_as_it_was_typed() {
    let stage = Stage::set();
    Script::start("hostile.py", stage.told()).end(&[
        "a page that escapes nothing is found out",
        "all strings were tried as names",
        "names that disguise are refused",
        "hostile login IDs and roles are refused",
        "names and reasons are shown as they were typed",
        "the list shows names as they were typed",
        "administrator: pages are intact",
        "sign-in: pages are intact",
        "operator, all pages: pages are intact",
        "administrator, all pages: pages are intact",
    ]);
    stage.assert_nothing_was_refused();
}

#[test]
fn what_no_page_of_the_console_asked_is_not_done() {
    let stage = Stage::set();
    Script::start("forged.py", stage.told()).end(&[
        "form of another site is refused",
        "form of the same site is refused",
        "no page is shown in a frame",
        "headers are said with every answer",
        "answers of all kinds were asked for",
        "refused: no Origin",
        "refused: foreign Origin",
        "refused: no token",
        "refused: token of another sign-in",
        "nothing was done by any of them",
        "the right request is taken",
        "and does it",
    ]);
}

#[test]
fn a_keyboard_is_enough() {
    let stage = Stage::set();
    let platform = &stage.platform;
    let _first = Talking::start(platform, &stage.store, &stage.concierge);
    let others = ["store-2", "concierge-2"].map(|login| platform.add_account(TENANT, login));
    let script = Script::start("keyboard.py", stage.told());
    script.until("second call");
    let second = Talking::start(platform, &others[0], &others[1]);
    script.until("end of second call");
    platform.run_well(&["call", "end", &second.call()]);
    script.end(&[
        "signs in",
        "keeps its place when a part is sent anew",
        "skips to the content",
        "suspends an account",
        "the focus is seen at every step",
        "nothing was refused by the browser",
    ]);
    stage.assert_nothing_was_refused();
}
