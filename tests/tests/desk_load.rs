//! The load generator's desk, with few stores: calls are answered, and every packet arrives.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::Platform;

#[test]
fn stores_call_a_desk_and_concierges_answer() {
    let platform = Platform::start(1);
    let report = platform.load(&[
        "desk",
        "--stores",
        "6",
        "--concierges",
        "3",
        "--seconds",
        "3",
        "--rate",
        "3",
        "--talk-ms",
        "400",
        "--p99-ms",
        "60000",
        "--quiet",
    ]);
    let count = |name: &str| report[name].as_u64().unwrap();
    assert_eq!(count("answered") + count("abandoned") + count("not_begun"), 9, "{report:#}");
    assert!(count("answered") >= 5, "{report:#}");
    let reasons = report["abandoned_because"].as_object().unwrap().values();
    let reasons: u64 = reasons.map(|times| times.as_u64().unwrap()).sum();
    assert_eq!(reasons, count("abandoned"), "{report:#}");
    assert!(count("media_packets") > 5 * 10, "{report:#}");
    let figure = |name: &str| report[name].as_f64().unwrap();
    assert!(figure("setup_p50_ms") <= figure("setup_p99_ms"), "{report:#}");
    assert!(figure("media_loss") <= 0.001 && count("presence_messages") > 0, "{report:#}");
}
