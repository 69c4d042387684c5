//! The terminal program by the commands that are typed while it runs: two of them, a call that is
//! missed, one that calls back, and what is done within it.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::Lines;
use kakehashi_tests::platform::{Account, Platform, TENANT};
use std::io::Write as _;
use std::process::{Child, ChildStdin, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// A running program, its standard input and what it says.
struct Typed {
    program: Child,
    keys: ChildStdin,
    said: Lines,
}

impl Typed {
    fn start(platform: &Platform, account: &Account, arguments: &[&str]) -> Self {
        let mut command = platform.terminal(account);
        command.arg("--json").args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut program = command.spawn().unwrap();
        let keys = program.stdin.take().unwrap();
        let said = Lines::of(program.stdout.take().unwrap());
        said.until(r#""event":"presence""#, SOON);
        Self { program, keys, said }
    }

    fn types(&mut self, line: &str) {
        writeln!(self.keys, "{line}").unwrap();
    }

    fn says(&self, text: &str) -> String {
        self.said.until(text, SOON)
    }

    fn ends_well(mut self) {
        assert!(self.program.wait().unwrap().success(), "{}", self.said.so_far());
    }
}

#[test]
fn a_terminal_does_what_is_typed() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let third = platform.add_account(TENANT, "concierge-2");
    let voice = ["--audio", "sample:speech", "--loop", "wait"];
    let mut store = Typed::start(&platform, &store, &voice);
    let ask = [&voice[..], &["--ask", "--calls", "3"]].concat();
    let mut concierge = Typed::start(&platform, &concierge, &ask);

    concierge.types("help");
    assert!(concierge.says(r#""event":"help""#).contains("layer none|low|high [LOGIN]"));
    for (wrong, why) in [("dance", "no command"), ("hold", "no call"), ("answer", "no call rings")]
    {
        concierge.types(wrong);
        concierge.says(why);
    }
    concierge.types("away");
    concierge.says(r#"{"command":"away","event":"done"}"#);
    store.says(r#""state":"away""#);

    // Who is away rings all the same; nobody answers.
    store.types("call concierge-1");
    concierge.says(r#""event":"incoming""#);
    store.says(r#""event":"ringing""#);
    store.types("hangup");
    let missed = concierge.says(r#""event":"missed""#);
    assert!(missed.contains(r#""calls":1"#) && missed.contains(r#""login":"store-1""#), "{missed}");

    // Calls back: the two have talked, and nothing is missed any more.
    concierge.types("back");
    concierge.types("call store-1");
    concierge.says(r#""event":"connected""#);
    store.says(r#""event":"connected""#);
    concierge.says(r#"{"calls":[],"event":"missed"}"#);
    concierge.types("mute");
    store.says(r#""muted":true"#);
    concierge.types("hold");
    store.says(r#""holds":true"#);
    for line in ["resume", "unmute", "layer none", "layer low store-1"] {
        concierge.types(line);
        concierge.says(&format!(r#"{{"command":"{line}","event":"done"}}"#));
    }
    concierge.types("layer low nobody");
    concierge.says("nobody of that login ID");

    // A third comes and goes; the two go on.
    let mut third = Typed::start(&platform, &third, &voice);
    concierge.types("add concierge-2");
    third.says(r#""event":"connected""#);
    store.says(r#""login":"concierge-2","muted""#);
    third.types("quit");
    third.ends_well();
    concierge.types("hangup");
    concierge.says(r#""event":"summary""#);
    store.says(r#""event":"summary""#);

    // A call that is answered by hand is the third, with the one that was missed.
    store.types("call concierge-1");
    store.says(r#""event":"calling""#);
    while concierge.said.so_far().matches(r#""event":"incoming""#).count() < 2 {
        kakehashi_tests::children::pause(Duration::from_millis(20));
    }
    concierge.types("answer");
    while store.said.so_far().matches(r#""event":"connected""#).count() < 2 {
        kakehashi_tests::children::pause(Duration::from_millis(20));
    }
    store.types("quit");
    store.ends_well();
    concierge.ends_well();
}
