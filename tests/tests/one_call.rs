//! One call is found by its id in the logs of everything that had part in it, and at a collector of
//! OpenTelemetry, as OPERATING says.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::children::{Lines, Program, pause};
use kakehashi_tests::collector::{Collector, Span};
use kakehashi_tests::platform::Platform;
use serde_json::Value;
use std::collections::BTreeSet;
use std::process::{Output, Stdio};
use std::time::Duration;

const SOON: Duration = Duration::from_secs(30);

/// Between two looks at a log.
const PAUSE: Duration = Duration::from_millis(50);

/// The records of a part's log, each of which must be an object with an event.
fn records(platform: &Platform, part: &str) -> Vec<Value> {
    let path = platform.data().join(format!("logs/{part}.log"));
    let log = std::fs::read_to_string(path).unwrap();
    // The last line may still be being written.
    let whole = log.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let records = whole.lines().map(|line| serde_json::from_str::<Value>(line).expect(line));
    // Libraries log too, and name no events.
    let ours = |record: &Value| record["target"].as_str().unwrap().starts_with("kakehashi");
    let records: Vec<_> = records.filter(ours).collect();
    for record in &records {
        assert!(record["fields"]["event"].is_string(), "{record}");
    }
    records
}

/// The events of those records that have this `id` as their `call` or their `round`, in order.
fn events<'a>(records: &'a [Value], by: &str, id: &str) -> Vec<&'a Value> {
    let fields = records.iter().map(|record| &record["fields"]);
    fields.filter(|fields| fields[by] == id).collect()
}

fn of<'a>(events: &[&'a Value], name: &str) -> Vec<&'a Value> {
    events.iter().copied().filter(|fields| fields["event"] == name).collect()
}

fn legs(events: &[&Value]) -> BTreeSet<String> {
    events.iter().map(|fields| fields["leg"].as_str().unwrap().to_owned()).collect()
}

/// The records of a relay, once each leg that it was to hold was taken away, by name.
fn until_legs_are_removed(platform: &Platform, relay: &str) -> Vec<Value> {
    let pauses = SOON.as_millis() / PAUSE.as_millis();
    for _ in 0..pauses {
        let records = records(platform, relay);
        let fields: Vec<_> = records.iter().map(|record| &record["fields"]).collect();
        let installed = legs(&of(&fields, "leg_installed"));
        if installed.is_subset(&legs(&of(&fields, "leg_removed"))) {
            return records;
        }
        pause(PAUSE);
    }
    panic!("legs stay at {relay}: {:?}", records(platform, relay));
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Two terminals call each other for a second, and send spans to `collector`, if there is one; what
/// the caller printed.
fn call(platform: &Platform, collector: Option<&Collector>) -> Output {
    let traces = collector.map(Collector::url).unwrap_or_default();
    let (store, concierge) = platform.add_pair();
    let mut waiting = platform.terminal(&concierge);
    waiting.env("KAKEHASHI_TRACES", &traces).args(["--json", "wait", "--calls", "1"]);
    let mut waiting = Program::start(waiting.stdout(Stdio::piped()));
    let lines = Lines::of(waiting.stdout.take().unwrap());
    lines.until("\"signed_in\"", SOON);
    let mut calling = platform.terminal(&store);
    calling.env("KAKEHASHI_LOG", "info").env("KAKEHASHI_TRACES", &traces);
    calling.args(["--audio", "sample:speech", "--loop"]);
    let output = calling.args(["call", "concierge-1", "--seconds", "1"]).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
    assert!(waiting.wait().unwrap().success(), "{}", lines.so_far());
    output
}

/// The number of the one call that has ended.
fn ended_call(platform: &Platform) -> String {
    let ended = platform.run_well(&["calls", "--json"]);
    let record: Value = serde_json::from_str(ended.lines().next().unwrap()).unwrap();
    record["record"]["call"].as_str().unwrap().to_owned()
}

#[test]
fn a_call_is_followed_through_all_logs_by_its_id() {
    let platform = Platform::start_with(2, &["--log", "info,kakehashi=debug", "--log-json"]);
    let said = text(&call(&platform, None).stderr);
    let call = ended_call(&platform);

    // The terminal, in text: what has become of its call.
    let mine = format!("call={call}");
    let news: Vec<_> = said.lines().filter(|line| line.contains(&mine)).collect();
    for what in ["ringing", "ready"] {
        let what = format!("what=\"{what}\"");
        assert!(news.iter().any(|line| line.contains(&what)), "{what}:\n{said}");
    }

    let all = records(&platform, "control");
    let control = events(&all, "call", &call);
    assert_eq!(of(&control, "call_began").len(), 1, "{control:?}");
    let end = of(&control, "call_ended");
    assert_eq!(end.len(), 1, "{control:?}");
    assert_eq!((&end[0]["reason"], &end[0]["answered"]), (&"HungUp".into(), &true.into()));
    let told = of(&control, "call_told");
    for what in ["incoming", "ready"] {
        assert!(told.iter().any(|fields| fields["what"] == what), "{what}: {control:?}");
    }

    // Control ordered what the relays then held: legs of a round of the call.
    let begun = of(&control, "round_begun");
    assert_eq!(begun.len(), 1, "{control:?}");
    let round = begun[0]["round"].as_str().unwrap();
    let ordered = legs(&of(&events(&all, "round", round), "leg_ordered"));
    assert_eq!(ordered.len(), 4, "two at each of two relays: {all:?}");
    let mut held = BTreeSet::new();
    for relay in ["relay-1", "relay-2"] {
        let records = until_legs_are_removed(&platform, relay);
        let installed = of(&events(&records, "call", &call), "leg_installed");
        assert!(!installed.is_empty(), "{relay} had part in the call: {records:?}");
        assert!(installed.iter().all(|fields| fields["round"] == round), "{installed:?}");
        held.extend(legs(&installed));
    }
    assert_eq!(held, ordered);
}

/// The spans of a call's trace, once there is one with each of these names, this often.
fn spans_of(collector: &Collector, call: &str, wanted: &[(&str, usize)]) -> Vec<Span> {
    let trace = format!("0000000000000000{call}");
    let pauses = SOON.as_millis() / PAUSE.as_millis();
    for _ in 0..pauses {
        let mut spans = collector.spans();
        spans.retain(|span| span.trace == trace);
        let count = |name| spans.iter().filter(|span| span.name == name).count();
        if wanted.iter().all(|(name, wanted)| count(*name) >= *wanted) {
            return spans;
        }
        pause(PAUSE);
    }
    panic!("not all of {wanted:?} came: {:?}", collector.spans());
}

#[test]
fn a_call_is_one_trace_at_a_collector_whatever_is_logged() {
    let collector = Collector::start().unwrap();
    let platform = Platform::start_with(2, &["--log", "warn", "--traces", &collector.url()]);
    call(&platform, Some(&collector));
    let call = ended_call(&platform);
    let wanted = [("call_ended", 1), ("round_entered", 1), ("leg_removed", 4), ("call_news", 4)];
    let spans = spans_of(&collector, &call, &wanted);
    let named = |name: &str| spans.iter().filter(|span| span.name == name).collect::<Vec<_>>();
    let second = Duration::from_secs(1);

    let [whole] = named("call_ended")[..] else { panic!("{spans:?}") };
    assert_eq!((&*whole.service, &*whole.id, &*whole.parent), ("kakehashi-control", &*call, ""));
    assert!(whole.took >= second, "{whole:?}");
    let [round] = named("round_entered")[..] else { panic!("{spans:?}") };
    assert_eq!((&*round.service, &*round.parent), ("kakehashi-control", &*call));
    assert_eq!(round.text("round"), Some(&*round.id));

    for name in ["leg_ordered", "leg_installed", "leg_removed"] {
        let legs = named(name);
        assert_eq!(legs.len(), 4, "two at each of two relays: {legs:?}");
        assert!(legs.iter().all(|leg| leg.parent == round.id), "{legs:?}");
    }
    let held = named("leg_removed");
    let relays: BTreeSet<_> = held.iter().map(|leg| (&*leg.service, &*leg.instance)).collect();
    assert_eq!(relays, [("kakehashi-relay", "1"), ("kakehashi-relay", "2")].into());
    assert!(held.iter().all(|leg| leg.took >= second), "{held:?}");

    let mut news = named("call_news");
    news.retain(|news| news.service == "kakehashi-terminal" && news.parent == call);
    let terminals: BTreeSet<_> = news.iter().map(|news| &news.instance).collect();
    assert_eq!(terminals.len(), 2, "{news:?}");
    news.retain(|news| news.text("what") == Some("ended"));
    assert!(news.iter().any(|news| news.took >= second), "{news:?}");
    let ids: BTreeSet<_> = spans.iter().map(|span| &span.id).collect();
    assert_eq!(ids.len(), spans.len(), "{spans:?}");
}
