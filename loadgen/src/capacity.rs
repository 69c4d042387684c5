//! Limits of the probe, with the reason for each: it runs for ever, on a small machine.

use core::time::Duration;
use kakehashi_terminal::capacity::CONTROL_NODES_MAX;

/// Nodes of control that are probed: as many as a terminal may be told of.
pub const NODES_MAX: usize = CONTROL_NODES_MAX;

/// Relays that are probed in a round and have metrics of their own: four times the largest cell
/// that has been tried. Further ones are not tested.
pub const RELAYS_MAX: usize = 64;

/// Calls that are kept up, without media, so that control gives the next call to other relays: an
/// account has at most four calls, and one of them carries media.
pub const CALLS_HELD_MAX: usize = 3;

/// Calls of a round: one for each relay, and those that show no new one.
pub const CALLS_PER_ROUND_MAX: usize = RELAYS_MAX + CALLS_HELD_MAX;

/// Calls without a new relay after which no others are looked for, if none is known to be missing.
pub const CALLS_IN_VAIN_MAX: usize = 2;

/// Time for which a relay that no setting names is missed before it counts as taken away.
pub const RELAY_REMEMBERED: Duration = Duration::from_secs(3_600);

/// Longest time for which media flows in one call, in seconds.
pub const TALK_S_MAX: u64 = 60;

/// Packets of voice a second.
const FRAMES_PER_S: u64 = 50;

/// Frames of one direction of one call that are noted: all of the longest call, and of the time in
/// which one side waits for a relay that does not answer. About 100 bytes each: 400 KiB.
pub const FRAMES_MAX: u64 = (TALK_S_MAX + FLOWS_WITHIN.as_secs()) * FRAMES_PER_S;

/// Time in which both sides' media must flow: a terminal gives up after 10 s without a relay, and
/// waits another 3 s for one that it does not hear.
pub const FLOWS_WITHIN: Duration = Duration::from_secs(15);

/// Time for a sign-in, the wait in control's queue included.
pub const SIGN_IN_WITHIN: Duration = Duration::from_secs(15);

/// Time for every step of a call's set-up and end.
pub const STEP_WITHIN: Duration = Duration::from_secs(10);

/// Time for a relay's media to end: terminals take in what is under way for 600 ms.
pub const MEDIA_ENDS_WITHIN: Duration = Duration::from_secs(5);

/// Rounds that the status file holds.
pub const ROUNDS_KEPT: usize = 20;

/// Faults of one round that are kept: each relay may have several.
pub const FINDINGS_MAX: usize = 4 * RELAYS_MAX + 2 * NODES_MAX;

/// Bytes of a fault's description.
pub const FINDING_BYTES_MAX: usize = 400;

/// Bytes of the settings file and of the file with authorities.
pub const SETTINGS_BYTES_MAX: u64 = 256 * 1024;

const _: () = assert!(FRAMES_MAX < 10_000 && FINDINGS_MAX * FINDING_BYTES_MAX <= 128 * 1024);
