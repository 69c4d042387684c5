//! Strangers who sign in without end do not keep honest terminals out, nor disturb a running call.

#![allow(clippy::unwrap_used, reason = "tests may fail by panicking")]

use kakehashi_tests::platform::Platform;

#[test]
fn honest_terminals_get_in_while_strangers_rage() {
    let platform = Platform::start(1);
    let report = platform.load(&[
        "storm",
        "--seconds",
        "5",
        "--connections",
        "60",
        "--addresses",
        "20",
        "--honest",
        "2",
        "--p99-ms",
        "20000",
    ]);
    let count = |name: &str| report[name].as_u64().unwrap();
    let (strangers, honest) = (count("stranger_sign_ins"), count("honest_sign_ins"));
    assert!(strangers > 10 * honest && honest >= 4, "{report:#}");
    // Nobody got in: each was refused as wrong, or as one too many before its hash.
    assert_eq!(count("stranger_wrong") + count("stranger_busy"), strangers, "{report:#}");
    assert_eq!(count("honest_failed"), 0, "{report:#}");
    let grown = count("control_most_bytes").saturating_sub(count("control_before_bytes"));
    assert!(grown < 256 << 20, "{report:#}");
    assert!(count("media_received") + 4 >= count("media_sent"), "{report:#}");
    assert!(count("media_sent") > 300, "{report:#}");
}
