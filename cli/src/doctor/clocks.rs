//! The machine's clock: whether something keeps it right, and how far control's is away.

use super::item::Seen;
use super::machine::Unread;
use super::scene::Scene;

/// Seconds by which a clock may be wrong: records of calls are read beside each other.
const OFF_S: f64 = 0.1;

/// Seconds from which it matters: certificates and tokens have times.
const OFF_S_MOST: f64 = 1.0;

/// Milliseconds that two clocks may be apart: an answer has whole seconds.
const SKEW_MS: u64 = 2_000;

/// From which it is wrong: a certificate made a moment ago is not good yet where it is used.
const SKEW_MS_MOST: u64 = 60_000;

/// Whether the clock is kept right.
pub(super) fn kept(scene: &Scene<'_>) -> Seen {
    let should = format!("kept right, to {OFF_S} s");
    let by_chrony = scene.machine.said("chronyc -n -c tracking");
    if let Ok(line) = &by_chrony
        && let Some(seen) = chrony(line, &should)
    {
        return seen;
    }
    let by_systemd = scene.machine.said("timedatectl show --property=NTPSynchronized --value");
    match by_systemd.as_deref().map(str::trim) {
        Ok("yes") => Seen::ok("kept, as the kernel says", should),
        Ok("no") => Seen::ok("nothing keeps it", should)
            .wrong("apt-get install chrony, or: timedatectl set-ntp true"),
        Ok(other) => Seen::unknown(format!("timedatectl says {other:?}"), should),
        Err(Unread(why)) => {
            let first = by_chrony.err().map_or_else(String::new, |Unread(why)| why + "; ");
            let why = format!("{first}{why}; in a container the host keeps the clock: look there");
            Seen::unknown(why, should)
        }
    }
}

/// What a line of `chronyc -c tracking` says: its fifth field is the offset in seconds, its last
/// one whether the clock is kept.
fn chrony(line: &str, should: &str) -> Option<Seen> {
    let fields: Vec<_> = line.trim().split(',').collect();
    let offset: f64 = fields.get(4)?.parse().ok()?;
    let (offset, state) = (offset.abs(), *fields.get(13)?);
    let seen = Seen::ok(format!("{offset:.6} s off, {state}, by chrony"), should);
    let is_kept = state != "Not synchronised";
    Some(match is_kept {
        true if offset <= OFF_S => seen,
        true if offset <= OFF_S_MOST => seen.advice("chronyc makestep"),
        _ => seen.wrong("chronyc sources -v shows why; then: chronyc makestep"),
    })
}

/// How far control's clock is away.
pub(super) fn skew(scene: &Scene<'_>) -> Seen {
    let should = format!("less than {} s apart", SKEW_MS / 1_000);
    let control = scene.has_control.then_some(scene.control);
    Seen::of(scene.probes.skew_ms(control), &should, |ahead| {
        let apart = ahead.unsigned_abs();
        let which = if ahead >= 0 { "ahead" } else { "behind" };
        let is = format!("control's is {apart} ms {which}");
        let fix = "chronyc makestep, on the machine whose `time-sync` is not ok";
        match apart {
            _ if apart <= SKEW_MS => Seen::ok(is, &should),
            _ if apart <= SKEW_MS_MOST => Seen::ok(is, &should).advice(fix),
            _ => Seen::ok(is, &should).wrong(fix),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::item::State;
    use super::*;

    #[test]
    fn what_chrony_says() {
        let line = |offset: &str, state: &str| {
            format!(
                "C0A80001,192.168.0.1,3,1700000000.1,{offset},0.1,0.1,1,0,0.1,0.1,0.1,64.2,{state}"
            )
        };
        let state = |offset, kept| chrony(&line(offset, kept), "").map(|seen| seen.state);
        assert_eq!(state("-0.000012", "Normal"), Some(State::Ok));
        assert_eq!(state("0.5", "Normal"), Some(State::Advice));
        assert_eq!(state("-2.5", "Normal"), Some(State::Wrong));
        assert_eq!(state("0.0", "Not synchronised"), Some(State::Wrong));
        assert_eq!(chrony("nonsense", ""), None);
    }
}
