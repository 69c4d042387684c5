//! A round as metrics. Pure: whoever reads sees a whole round, and relays that are gone leave
//! nothing behind.

use super::fault::Fault;
use super::record::{Relay, Round, Way};
use core::fmt;
use kakehashi_metrics::{ALONE, Page};
use std::collections::BTreeSet;

/// Writes those of a round.
///
/// # Errors
/// Whatever the page answers.
pub fn write(round: &Round, page: &mut Page<'_>) -> fmt::Result {
    times(page, round)?;
    faults(page, round)?;
    relays(page, &round.relays)
}

fn times(page: &mut Page<'_>, round: &Round) -> fmt::Result {
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    let ended_s = (round.began_unix_s + round.took_ms / 1_000) as f64;
    page.gauges(
        ("kakehashi_probe_last_run_timestamp_seconds", "When the last round ended."),
        [(ALONE, ended_s)],
    )?;
    let of = [
        ("kakehashi_probe_setup_seconds", "Set-up of its slowest call.", round.setup_ms),
        ("kakehashi_probe_signin_seconds", "Its slowest sign-in.", round.sign_in_ms()),
    ];
    for (name, help, ms) in of {
        if let Some(ms) = ms {
            page.gauges((name, help), [(ALONE, ms / 1e3)])?;
        }
    }
    Ok(())
}

fn faults(page: &mut Page<'_>, round: &Round) -> fmt::Result {
    let found: BTreeSet<_> = round.faults.iter().map(|finding| finding.fault).collect();
    let is_there =
        |fault: Fault| ([("fault", fault.name())], if found.contains(&fault) { 1.0 } else { 0.0 });
    page.gauges(
        ("kakehashi_probe_fault", "1 if the last round found the fault."),
        Fault::ALL.into_iter().map(is_there),
    )
}

/// There are as many relays as `RELAYS_MAX` at most.
fn relays(page: &mut Page<'_>, relays: &[Relay]) -> fmt::Result {
    let success = relays.iter().map(|relay| {
        let labels = [("site", relay.site.clone()), ("relay", relay.relay.to_string())];
        (labels, if relay.ok { 1.0 } else { 0.0 })
    });
    let help = "1 if the last round found nothing wrong with the relay.";
    page.gauges(("kakehashi_probe_success", help), success)?;
    let ways = || relays.iter().flat_map(|relay| ways(relay).map(move |way| (relay.relay, way)));
    let labels = |relay: u32, direction: &str| {
        [("relay", relay.to_string()), ("direction", direction.to_owned())]
    };
    page.gauges(
        ("kakehashi_probe_loss_ratio", "Share of voice packets that did not come."),
        ways().map(|(relay, (direction, way))| (labels(relay, direction), way.loss_ratio)),
    )?;
    page.gauges(
        ("kakehashi_probe_delay_seconds", "Median time from terminal to terminal."),
        ways().filter_map(|(relay, (direction, way))| {
            Some((labels(relay, direction), way.delay_ms? / 1e3))
        }),
    )
}

fn ways(relay: &Relay) -> impl Iterator<Item = (&'static str, &Way)> {
    let both = [("to_callee", &relay.to_callee), ("to_caller", &relay.to_caller)];
    both.into_iter().filter_map(|(direction, way)| Some((direction, way.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fault::Finding;
    use kakehashi_metrics::{Figures, Format, Shown};

    #[derive(Debug)]
    struct One(Round);

    impl Figures for One {
        fn write(&self, page: &mut Page<'_>) -> fmt::Result {
            write(&self.0, page)
        }
    }

    fn round() -> Round {
        let way = |received| Way {
            sent: 200,
            received,
            loss_ratio: 1.0 - f64::from(received as u32) / 200.0,
            delay_ms: Some(12.5),
        };
        Round {
            began_unix_s: 1_764_536_400,
            took_ms: 8_200,
            setup_ms: Some(12.0),
            relays: vec![Relay {
                relay: 1,
                site: "to\"kyo".into(),
                address: None,
                ok: true,
                seen_unix_s: None,
                round_trip_ms: None,
                to_callee: Some(way(199)),
                to_caller: Some(Way { delay_ms: None, ..way(0) }),
            }],
            faults: vec![Finding::new(Fault::OneWayAudio, "relay 1")],
            ..Round::default()
        }
    }

    #[test]
    fn every_metric_is_there_by_its_name() {
        let text = Format::OpenMetrics.text(&Shown::from(One(round()))).unwrap();
        for line in [
            "kakehashi_probe_last_run_timestamp_seconds 1764536408.0",
            "kakehashi_probe_setup_seconds 0.012",
            "kakehashi_probe_fault{fault=\"one_way_audio\"} 1.0",
            "kakehashi_probe_fault{fault=\"relay_missing\"} 0.0",
            "kakehashi_probe_success{site=\"to\\\"kyo\",relay=\"1\"} 1.0",
            "kakehashi_probe_loss_ratio{relay=\"1\",direction=\"to_caller\"} 1.0",
            "kakehashi_probe_delay_seconds{relay=\"1\",direction=\"to_callee\"} 0.0125",
        ] {
            assert!(text.lines().any(|it| it == line), "no `{line}` in\n{text}");
        }
        assert_eq!(text.matches("kakehashi_probe_fault{").count(), Fault::ALL.len());
        assert!(!text.contains("kakehashi_probe_signin_seconds "), "there was no sign-in");
        assert!(!text.contains("delay_seconds{relay=\"1\",direction=\"to_caller\"}"));
        assert!(text.ends_with("# EOF\n"));
    }
}
