//! The terminal program by the commands that are typed while it runs: calls that are missed and
//! called back, what is done within one, who is brought in, asked first, or listens.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::{Platform, TENANT};
use kakehashi_tests::typed::Typed;

const VOICE: [&str; 4] = ["--audio", "sample:speech", "--loop", "wait"];

#[test]
fn a_terminal_does_what_is_typed() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let third = platform.add_account(TENANT, "concierge-2");
    let mut store = Typed::start(&platform, &store, &VOICE);
    let ask = [&VOICE[..], &["--ask", "--calls", "3"]].concat();
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
    let mut third = Typed::start(&platform, &third, &VOICE);
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
    concierge.says_times(r#""event":"incoming""#, 2);
    concierge.types("answer");
    store.says_times(r#""event":"connected""#, 2);
    store.types("quit");
    store.ends_well();
    concierge.ends_well();
}

#[test]
fn whoever_is_free_at_a_desk_is_brought_in_and_ends_its_wrap_up() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let agent = platform.add_account(TENANT, "agent-1");
    let desk = ["desk", "add", TENANT, "repairs", "--agents", "agent-1", "--wrap-up", "600"];
    platform.run_well(&desk);
    let mut store = Typed::start(&platform, &store, &VOICE);
    let mut concierge = Typed::start(&platform, &concierge, &VOICE);
    let mut agent = Typed::start(&platform, &agent, &[&VOICE[..], &["--ask"]].concat());
    store.types("call concierge-1");
    concierge.says(r#""event":"connected""#);

    concierge.types("add desk:nowhere");
    concierge.says(r#""event":"error""#);
    // It rings, is taken back, and asked once more: to hand the call on.
    concierge.types("add desk:repairs");
    agent.says(r#""desk":"repairs","display""#);
    concierge.says(r#""event":"place""#);
    concierge.types("add desk:");
    agent.says(r#""event":"ended","reason":"cancelled""#);
    concierge.says(r#"{"event":"add_failed","login":"desk:repairs","reason":"cancelled"}"#);
    concierge.types("transfer desk:repairs");
    agent.says_times(r#""event":"incoming""#, 2);
    agent.types("answer");
    agent.says(r#""event":"connected""#);
    concierge.says(r#""event":"ended","reason":"transferred""#);
    store.says(r#""round":1,"with":["agent-1"]"#);

    // After it the agent is left alone, until it says otherwise.
    agent.types("ready");
    agent.says(r#""event":"error""#);
    store.types("hangup");
    concierge.says(r#"{"display":"agent-1","login":"agent-1","state":"wrapping up"}"#);
    agent.says(r#""event":"summary""#);
    agent.types("ready");
    agent.says(r#"{"command":"ready","event":"done"}"#);
    for mut typed in [store, concierge, agent] {
        typed.types("quit");
        typed.ends_well();
    }
}

#[test]
fn two_calls_become_one_and_a_supervisor_listens() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let third = platform.add_account(TENANT, "concierge-2");
    let supervisor = platform.add_account(TENANT, "supervisor-1");
    platform.run_well(&["account", "role", TENANT, "supervisor-1", "supervisor"]);
    platform.run_well(&["tenant", "policy", TENANT, "--set", "rules.listening=true"]);
    let mut store = Typed::start(&platform, &store, &VOICE);
    let mut concierge = Typed::start(&platform, &concierge, &VOICE);
    let third = Typed::start(&platform, &third, &VOICE);
    let mut supervisor = Typed::start(&platform, &supervisor, &VOICE);

    for line in ["merge", "swap", "consult concierge-2"] {
        concierge.types(line);
    }
    concierge.says_times(r#""event":"error""#, 3);
    concierge.types("call store-1");
    concierge.says(r#""event":"connected""#);
    store.says(r#""event":"connected""#);
    // The store is on hold meanwhile, and for a moment the third is.
    concierge.types("consult concierge-2");
    third.says(r#""event":"connected""#);
    store.says(r#""holds":true"#);
    for line in ["swap", "swap"] {
        concierge.types(line);
    }
    concierge.says_times(r#"{"command":"swap","event":"done"}"#, 2);
    third.says(r#""holds":true"#);
    concierge.types("merge");
    concierge.says(r#""event":"merged""#);
    store.says(r#""event":"merged""#);
    let connected = third.says(r#""event":"connected""#);
    third.says(r#""round":1"#);

    // Nobody but a supervisor listens, and everybody in the call sees it.
    let call = connected.split(r#""call":""#).nth(1).unwrap().split('"').next().unwrap();
    supervisor.types(&format!("listen {}", "0".repeat(call.len())));
    supervisor.says(r#""event":"error""#);
    supervisor.types(&format!("listen {call}"));
    supervisor.says(r#""event":"connected""#);
    store.says(r#""round":2"#);
    store.says(r#""listens":true,"login":"supervisor-1""#);
    supervisor.types("hangup");
    let heard = supervisor.says(r#""event":"summary""#);
    assert_eq!(heard.matches(r#""kind":"audio""#).count(), 3 + 1, "{heard}");

    // The concierge hands the two on to each other.
    concierge.types("hangup");
    concierge.says_times(r#""event":"summary""#, 2);
    store.types("quit");
    store.ends_well();
    for mut typed in [concierge, third, supervisor] {
        typed.types("quit");
        typed.ends_well();
    }
}
