//! A round as metrics, in the text format of OpenMetrics. Pure: the text is made once a round, so
//! that no scrape sees half of one, and relays that are gone leave nothing behind.

use super::fault::Fault;
use super::record::{Relay, Round, Way};
use core::sync::atomic::AtomicU64;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;
use std::collections::BTreeSet;

/// The media type of the text.
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A number that goes up and down.
type Value = Gauge<f64, AtomicU64>;

/// Which relay. There are as many as `RELAYS_MAX` at most.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfRelay {
    site: String,
    relay: u32,
}

/// Which way over which relay.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfWay {
    relay: u32,
    direction: &'static str,
}

/// Which fault.
#[derive(Clone, PartialEq, Eq, Hash, Debug, EncodeLabelSet)]
struct OfFault {
    fault: &'static str,
}

/// The metrics of a round.
pub fn text(round: &Round) -> String {
    let mut registry = Registry::with_prefix("kakehashi_probe");
    times(&mut registry, round);
    faults(&mut registry, round);
    relays(&mut registry, &round.relays);
    let mut text = String::new();
    // A string takes everything.
    let _ = encode(&mut text, &registry);
    text
}

fn times(registry: &mut Registry, round: &Round) {
    let last = Value::default();
    #[expect(clippy::cast_precision_loss, reason = "seconds since 1970 fit")]
    last.set((round.began_unix_s + round.took_ms / 1_000) as f64);
    registry.register("last_run_timestamp_seconds", "When the last round ended", last);
    let of = [
        ("setup_seconds", "Set-up of the last round's slowest call", round.setup_ms),
        ("signin_seconds", "The last round's slowest sign-in", round.sign_in_ms()),
    ];
    for (name, help, ms) in of {
        if let Some(ms) = ms {
            let value = Value::default();
            value.set(ms / 1e3);
            registry.register(name, help, value);
        }
    }
}

fn faults(registry: &mut Registry, round: &Round) {
    let found: BTreeSet<_> = round.faults.iter().map(|finding| finding.fault).collect();
    let family = Family::<OfFault, Gauge>::default();
    for fault in Fault::ALL {
        let is_there = i64::from(found.contains(&fault));
        family.get_or_create(&OfFault { fault: fault.name() }).set(is_there);
    }
    registry.register("fault", "1 if the last round found the fault", family);
}

fn relays(registry: &mut Registry, relays: &[Relay]) {
    let success = Family::<OfRelay, Gauge>::default();
    let (loss, delay) = (Family::<OfWay, Value>::default(), Family::<OfWay, Value>::default());
    for relay in relays {
        let of = OfRelay { site: relay.site.clone(), relay: relay.relay };
        success.get_or_create(&of).set(relay.ok.into());
        for (direction, way) in ways(relay) {
            let of = OfWay { relay: relay.relay, direction };
            loss.get_or_create(&of).set(way.loss_ratio);
            if let Some(ms) = way.delay_ms {
                delay.get_or_create(&of).set(ms / 1e3);
            }
        }
    }
    registry.register("success", "1 if the last round found nothing wrong with the relay", success);
    registry.register("loss_ratio", "Share of voice packets that did not come", loss);
    registry.register("delay_seconds", "Median time from terminal to terminal", delay);
}

fn ways(relay: &Relay) -> impl Iterator<Item = (&'static str, &Way)> {
    let both = [("to_callee", &relay.to_callee), ("to_caller", &relay.to_caller)];
    both.into_iter().filter_map(|(direction, way)| Some((direction, way.as_ref()?)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probe::fault::Finding;

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
        let text = text(&round());
        for line in [
            "kakehashi_probe_last_run_timestamp_seconds 1764536408.0",
            "kakehashi_probe_setup_seconds 0.012",
            "kakehashi_probe_fault{fault=\"one_way_audio\"} 1",
            "kakehashi_probe_fault{fault=\"relay_missing\"} 0",
            "kakehashi_probe_success{site=\"to\\\"kyo\",relay=\"1\"} 1",
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
