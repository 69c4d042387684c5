//! Operators stop an account or a call, with the media counted where it arrives.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_control::clock::UnixMs;
use kakehashi_loadgen::leg::LegClient;
use kakehashi_loadgen::signed_in::{self, SignedIn};
use kakehashi_loadgen::steady::{self, Rate, Report};
use kakehashi_loadgen::suspend::{LATE, Watch, farewells, run};
use kakehashi_terminal::Settings;
use kakehashi_tests::children::pause;
use kakehashi_tests::platform::{Account, Platform, TENANT};
use kakehashi_wire::terminal::CallReady;
use serde_json::Value;
use std::time::Duration;

/// Half a second of voice from one leg to another.
fn send(from: &mut LegClient, to: &mut LegClient) -> Report {
    let rate = Rate { burst: 1, interval: Duration::from_millis(5), payload_bytes: 160 };
    tokio::task::block_in_place(|| steady::run(from, to, rate, Duration::from_millis(500)).unwrap())
}

fn bound(ready: &CallReady) -> LegClient {
    let mut leg = LegClient::new(ready).unwrap();
    tokio::task::block_in_place(|| leg.bind().unwrap());
    leg
}

/// What a sign-in is told, without the login ID.
async fn refusal(settings: Settings) -> String {
    let login = settings.login.clone();
    match SignedIn::start(settings).await {
        Ok(_) => panic!("{login} signed in"),
        Err(error) => format!("{error:#}").replace(&login, "X"),
    }
}

async fn signs_in(platform: &Platform, account: &Account) -> SignedIn {
    SignedIn::start(platform.settings(account)).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_suspended_accounts_media_stops_both_ways_and_it_comes_back_without_a_restart() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let call = signed_in::call(platform.settings(&store), platform.settings(&concierge));
    let call = call.await.unwrap();
    let (mut from, mut to) = (bound(&call.caller.ready), bound(&call.callee.ready));
    for report in [send(&mut from, &mut to), send(&mut to, &mut from)] {
        assert!(report.sent > 50 && report.lost() == 0, "{report:?}");
    }
    let suspend = ["account", "suspend", TENANT, "store-1", "--reason"];
    let refused = platform.run(&[&suspend[..], &["two\nlines"]].concat());
    let why = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && why.contains("not a reason"), "{why}");
    let said = platform.run_well(&[&suspend[..], &["lost its tablet"]].concat());
    // Both sides have been silent since the last report.
    assert!(said.starts_with("store-1  suspended; media had stopped "), "{said}");
    pause(LATE);
    for report in [send(&mut from, &mut to), send(&mut to, &mut from)] {
        assert!(report.sent > 50 && report.received == 0, "{report:?}");
    }
    let callee = farewells(call).await.unwrap();

    let listed = platform.run_well(&["account", "list", TENANT]);
    let row = |login: &str| listed.lines().find(|line| line.starts_with(login)).unwrap();
    assert!(row("store-1").ends_with("suspended (lost its tablet)"), "{listed}");
    let audit = platform.run_well(&["audit", "list"]);
    assert!(audit.contains("lost its tablet"), "{audit}");
    assert!(row("concierge-1").ends_with("active"), "{listed}");
    let calls = platform.run_well(&["calls"]);
    assert!(calls.contains("suspended"), "{calls}");
    let wrong = Account { password: "not the right password".into(), ..concierge };
    let wrong = refusal(platform.settings(&wrong)).await;
    assert_eq!(refusal(platform.settings(&store)).await, wrong);
    platform.run_well(&["account", "reactivate", TENANT, "store-1"]);
    let store = signs_in(&platform, &store).await;
    for session in [store, callee] {
        session.terminal.sign_out().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_packet_came_when_the_answer_says_that_it_left() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let call = signed_in::call(platform.settings(&store), platform.settings(&concierge));
    let call = call.await.unwrap();
    let (mut asked, mut said) = (UnixMs(0), String::new());
    let suspend = || {
        asked = UnixMs::now();
        said = platform.run_well(&["account", "suspend", TENANT, "store-1", "--json"]);
        Ok(())
    };
    let run = tokio::task::block_in_place(|| run(&call, suspend, Watch::default())).unwrap();
    let said: Value = serde_json::from_str(&said).unwrap();
    let media = &said["media"];
    assert_eq!((&media["legs"], &media["silent"]), (&2.into(), &Value::Array(vec![])), "{said}");
    let ended = media["ended"].as_u64().unwrap();
    let last = UnixMs(asked.0 + u64::try_from(run.asked.as_millis()).unwrap());
    // A busy machine hears late of either.
    assert!(ended.abs_diff(last.0) < 1_000, "{said} and the last packet at {last:?}");
    let listed = platform.run_well(&["account", "list", TENANT, "--json"]);
    assert!(listed.contains(&format!("\"media_ended\":{ended}")), "{listed}");
    farewells(call).await.unwrap().terminal.sign_out().await.unwrap();

    platform.run_well(&["account", "reactivate", TENANT, "store-1"]);
    let again = platform.run_well(&["account", "suspend", TENANT, "store-1"]);
    assert_eq!(again, "store-1  suspended; it was in no call\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_an_operator_ends_stops_its_media_and_nothing_else() {
    let platform = Platform::start(1);
    let (store, concierge) = platform.add_pair();
    let call = signed_in::call(platform.settings(&store), platform.settings(&concierge));
    let call = call.await.unwrap();
    let (mut from, mut to) = (bound(&call.caller.ready), bound(&call.callee.ready));
    let report = send(&mut from, &mut to);
    assert!(report.sent > 50 && report.lost() == 0, "{report:?}");
    let id = call.caller.ready.call.to_string();
    platform.add_tenant("osaka");
    let foreign = platform.run(&["call", "end", &id, "--tenant", "osaka"]);
    let said = String::from_utf8_lossy(&foreign.stderr).into_owned();
    assert!(!foreign.status.success() && said.contains("no call"), "{said}");
    assert_eq!(platform.run_well(&["call", "end", &id]), format!("{id}  ended\n"));
    pause(LATE);
    for report in [send(&mut from, &mut to), send(&mut to, &mut from)] {
        assert!(report.sent > 50 && report.received == 0, "{report:?}");
    }
    let again = platform.run(&["call", "end", &id]);
    assert!(!again.status.success());
    assert_eq!(
        String::from_utf8_lossy(&again.stderr),
        said.replace("osaka", ""),
        "as a foreign one"
    );
    let listed = platform.run_well(&["call", "list", "--tenant", TENANT]);
    assert!(listed.contains("ended_by_operator"), "{listed}");
    assert_eq!(platform.run_well(&["sessions"]).lines().count(), 3, "both are still signed in");
    let audit = platform.run_well(&["audit", "list"]);
    assert!(audit.contains("call_end") && audit.contains(&id), "{audit}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_is_suspended_by_the_name_that_sessions_are_listed_with() {
    let platform = Platform::start(1);
    let (store, _concierge) = platform.add_pair();
    let lost = platform.settings(&store);
    let mut there = SignedIn::start(lost.clone()).await.unwrap();
    let sessions = platform.run_well(&["sessions", "--json"]);
    let session: Value = serde_json::from_str(sessions.lines().next().unwrap()).unwrap();
    assert_eq!((&session["login"], &session["tenant_name"]), (&"store-1".into(), &TENANT.into()));
    let device = session["device"].as_str().unwrap();
    assert!(platform.run_well(&["sessions"]).contains(device));
    platform.run_well(&["account", "suspend", TENANT, "store-1", "--device", device]);
    while there.events.next().await.is_some() {}
    let listed = platform.run_well(&["account", "list", TENANT]);
    assert!(listed.contains(&format!("active, suspended on {device}")), "{listed}");
    refusal(lost.clone()).await;
    let other = signs_in(&platform, &store).await;
    other.terminal.sign_out().await.unwrap();
    platform.run_well(&["account", "reactivate", TENANT, "store-1", "--device", device]);

    platform.run_well(&["tenant", "suspend", TENANT]);
    let listed = platform.run_well(&["tenant", "list"]);
    assert!(listed.contains(&format!("{TENANT}  suspended\n")), "{listed}");
    refusal(lost.clone()).await;
    platform.run_well(&["tenant", "reactivate", TENANT]);
    SignedIn::start(lost).await.unwrap().terminal.sign_out().await.unwrap();
    let unknown = platform.run(&["account", "suspend", TENANT, "store-7"]);
    assert!(!unknown.status.success());
    assert!(String::from_utf8_lossy(&unknown.stderr).contains("no account store-7"));
}

#[test]
fn the_load_generator_finds_no_late_packet() {
    let platform = Platform::start(1);
    let report = platform.load(&["suspend", "--runs", "6", "--calls", "3", "--quiet"]);
    assert_eq!((&report["runs"], &report["late_packets"]), (&6.into(), &0.into()), "{report:#}");
    // 200 ms of 200 packets a second, both ways, of each run.
    assert!(report["packets_received"].as_u64().unwrap() > 6 * 40, "{report:#}");
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("stop_p50_ms") <= figure("stop_p99_ms"), "{report:#}");
    assert!(figure("stop_p99_ms") <= figure("stop_max_ms"), "{report:#}");
    assert!(figure("stop_max_ms") <= figure("asked_max_ms"), "{report:#}");
}
