//! Which faults the figures of one call mean. Pure.

use super::call::Carried;
use super::config::Limits;
use super::fault::{Fault, Finding};
use super::voice::Heard;
use core::time::Duration;

/// Frames at the end of a talk without one of which nothing was heard: a second of them. Fewer may
/// have been under way.
const SILENT_FRAMES: u64 = 50;

impl Heard {
    /// The share of the frames that did not come.
    pub(super) fn loss(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people and alerts")]
        let share = |part: u64, of: u64| part as f64 / of as f64;
        if self.sent == 0 { 1.0 } else { 1.0 - share(self.received, self.sent) }
    }

    /// Whether nothing is heard, or nothing any more.
    fn is_silent(&self) -> bool {
        self.received == 0 || self.silent_at_end >= SILENT_FRAMES
    }
}

/// What is wrong with a call's set-up.
pub(super) fn of_setup(setup: Duration, limits: &Limits) -> Option<Finding> {
    let (took, most) = (setup.as_millis(), limits.setup_ms);
    (took > most.into()).then(|| {
        Finding::new(Fault::SetupSlow, format!("a call's set-up took {took} ms, at most {most}"))
    })
}

/// What is wrong with a sign-in of `who`.
pub(super) fn of_sign_in(who: &str, took: Duration, limits: &Limits) -> Option<Finding> {
    let (took, most) = (took.as_millis(), limits.sign_in_ms);
    (took > most.into()).then(|| {
        Finding::new(Fault::SignInSlow, format!("{who}: signed in after {took} ms, at most {most}"))
    })
}

/// What is wrong with what `relay` did. A fault that explains others stands alone.
pub(super) fn of_relay(relay: &str, carried: &Carried, limits: &Limits) -> Vec<Finding> {
    if let Some(broken) = &carried.broken {
        return vec![Finding { what: format!("{relay}: {}", broken.what), ..broken.clone() }];
    }
    let whom = match (carried.answers_caller, carried.answers_callee) {
        (true, true) => None,
        (false, false) => Some("neither side"),
        (false, true) => Some("the called side alone"),
        (true, false) => Some("the caller alone"),
    };
    if let Some(whom) = whom {
        let what = format!("{relay} answers {whom}");
        return vec![Finding::new(Fault::RelayUnreachable, what)];
    }
    let heard = [("to the called side", carried.to_callee), ("to the caller", carried.to_caller)];
    let silent: Vec<_> = heard.iter().filter(|(_, heard)| heard.is_silent()).collect();
    match silent.as_slice() {
        [] => heard.iter().flat_map(|(way, heard)| of_way(relay, way, heard, limits)).collect(),
        [(way, heard)] => vec![Finding::new(Fault::OneWayAudio, silence(relay, way, heard))],
        _ => {
            let both: Vec<_> =
                heard.iter().map(|(way, heard)| silence(relay, way, heard)).collect();
            vec![Finding::new(Fault::NoAudio, both.join("; "))]
        }
    }
}

fn silence(relay: &str, way: &str, heard: &Heard) -> String {
    format!(
        "{relay}, {way}: {} of {} packets came, none of the last {}",
        heard.received, heard.sent, heard.silent_at_end
    )
}

/// What is wrong with a direction in which something is heard.
fn of_way(relay: &str, way: &str, heard: &Heard, limits: &Limits) -> Vec<Finding> {
    let mut findings = Vec::new();
    let percent = heard.loss() * 100.0;
    if percent > limits.loss_percent {
        let (lost, sent) = (heard.sent - heard.received, heard.sent);
        let most = limits.loss_percent;
        let what = format!(
            "{relay}, {way}: {lost} of {sent} packets lost, {percent:.1} %, at most {most} %"
        );
        findings.push(Finding::new(Fault::LossHigh, what));
    }
    if let Some(delay) = heard.delay.filter(|delay| delay.as_millis() > limits.delay_ms.into()) {
        let (delay, most) = (delay.as_millis(), limits.delay_ms);
        let what = format!("{relay}, {way}: {delay} ms under way, at most {most}");
        findings.push(Finding::new(Fault::DelayHigh, what));
    }
    if heard.wrong > 0 {
        let what = format!("{relay}, {way}: {} packets came that nobody sent", heard.wrong);
        findings.push(Finding::new(Fault::ContentWrong, what));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn good() -> Carried {
        let heard = Heard { sent: 150, received: 150, delay: Some(ms(20)), ..Heard::default() };
        Carried {
            answers_caller: true,
            answers_callee: true,
            to_callee: heard,
            to_caller: heard,
            round_trip: Some(ms(30)),
            broken: None,
        }
    }

    fn faults(carried: &Carried) -> Vec<Fault> {
        let findings = of_relay("relay 1", carried, &Limits::default());
        findings.iter().map(|finding| finding.fault).collect()
    }

    #[test]
    fn each_fault_of_a_relay_has_its_figures() {
        assert!(faults(&good()).is_empty());
        let silent = Heard { sent: 150, silent_at_end: 150, ..Heard::default() };
        let deaf = Carried { to_callee: silent, ..good() };
        assert_eq!(faults(&deaf), [Fault::OneWayAudio]);
        let mute = Carried { to_caller: silent, ..deaf.clone() };
        assert_eq!(faults(&mute), [Fault::NoAudio]);
        let gone = Carried { answers_callee: false, answers_caller: false, ..mute };
        assert_eq!(faults(&gone), [Fault::RelayUnreachable]);
        let half = Carried { answers_callee: false, ..deaf };
        assert_eq!(faults(&half), [Fault::RelayUnreachable]);
        let with = |heard| Carried { to_caller: heard, ..good() };
        let heard = good().to_caller;
        assert_eq!(faults(&with(Heard { received: 140, ..heard })), [Fault::LossHigh]);
        assert_eq!(faults(&with(Heard { received: 149, ..heard })), []);
        assert_eq!(faults(&with(Heard { delay: Some(ms(151)), ..heard })), [Fault::DelayHigh]);
        assert_eq!(faults(&with(Heard { wrong: 1, ..heard })), [Fault::ContentWrong]);
        let cut = Heard { received: 90, silent_at_end: 60, ..heard };
        assert_eq!(faults(&with(cut)), [Fault::OneWayAudio], "it fell silent on the way");
        let broken = Some(Finding::new(Fault::CallBroken, "probe-1 was told"));
        assert_eq!(faults(&Carried { broken, ..good() }), [Fault::CallBroken]);
    }

    #[test]
    fn what_is_slow_is_told_with_its_limit() {
        let limits = Limits::default();
        assert!(of_setup(ms(1_000), &limits).is_none());
        let slow = of_setup(ms(1_001), &limits).unwrap();
        assert_eq!(slow.fault, Fault::SetupSlow);
        assert!(slow.what.contains("1001 ms, at most 1000"), "{}", slow.what);
        assert!(of_sign_in("probe-1", ms(3_000), &limits).is_none());
        let slow = of_sign_in("probe-1", ms(3_001), &limits).unwrap();
        assert_eq!(slow.fault, Fault::SignInSlow);
    }

    #[test]
    fn nothing_sent_is_all_lost() {
        assert!((Heard::default().loss() - 1.0).abs() < f64::EPSILON);
    }
}
