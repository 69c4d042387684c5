//! What a relay shows to whoever scrapes it, read from what its shards publish and its links count
//! anyway: nothing here comes near a packet.
//!
//! Names and help texts are those of the counters themselves (`counting`). What ended a packet's
//! journey is one family by reason, so that a sum says how many and a group why.

use crate::counting::{Counted, Kind};
use crate::orders::figures::LinkFigures;
use crate::orders::report::Published;
use crate::shard::counted;
use kakehashi_metrics::{ALONE, Figures, Page};
use kakehashi_wire::id::RelayId;
use std::fmt;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

/// Who the relay is: labels of its info.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Who {
    /// Its number.
    pub relay: RelayId,
    /// The data centre it is in; empty if nobody says.
    pub site: String,
    /// How its packets come and go: `uring` or `xdp`.
    pub io: &'static str,
}

/// Everything a relay shows.
#[derive(Debug)]
pub struct RelayFigures {
    who: Who,
    began: SystemTime,
    legs_per_shard_max: u32,
    shards: Vec<Shard>,
    links: Option<Arc<LinkFigures>>,
}

/// A shard, as it is read.
#[derive(Debug)]
struct Shard {
    index: String,
    published: Arc<Published>,
}

impl Shard {
    fn label(&self) -> (&'static str, &str) {
        ("shard", &self.index)
    }
}

impl RelayFigures {
    /// Of these shards, in the order of their indices; without links, if orders come from a file.
    #[expect(clippy::disallowed_methods, reason = "shown as it is; nothing is decided by it")]
    pub fn new(
        who: Who,
        legs_per_shard_max: u32,
        shards: &[Arc<Published>],
        links: Option<Arc<LinkFigures>>,
    ) -> Self {
        let shards = shards.iter().enumerate();
        let shard = |(index, published): (usize, &Arc<Published>)| Shard {
            index: index.to_string(),
            published: Arc::clone(published),
        };
        let began = SystemTime::now();
        Self { who, began, legs_per_shard_max, shards: shards.map(shard).collect(), links }
    }

    fn write_process(&self, page: &mut Page<'_>) -> fmt::Result {
        let relay = self.who.relay.0.to_string();
        let labels = [
            ("version", env!("CARGO_PKG_VERSION")),
            ("relay", relay.as_str()),
            ("site", self.who.site.as_str()),
            ("io", self.who.io),
        ];
        page.info(("kakehashi_relay_build", "What runs here, and how."), &labels)?;
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        page.gauges(
            ("kakehashi_relay_start_time_seconds", "When the process began, as a Unix time."),
            [(ALONE, began.as_secs_f64())],
        )
    }

    fn write_load(&self, page: &mut Page<'_>) -> fmt::Result {
        let loads = || self.shards.iter().map(|shard| ([shard.label()], shard.published.load()));
        page.gauges(
            ("kakehashi_relay_legs", "Legs installed."),
            loads().map(|(shard, load)| (shard, f64::from(load.legs))),
        )?;
        page.gauges(
            ("kakehashi_relay_legs_max", "Legs that may be installed."),
            loads().map(|(shard, _)| (shard, f64::from(self.legs_per_shard_max))),
        )?;
        page.sums(
            (
                "kakehashi_relay_cpu_seconds",
                "Processor time of the shard's thread: a second a second is a core that is full.",
            ),
            loads().map(|(shard, load)| (shard, load.cpu_us as f64 / 1e6)),
        )
    }

    fn write_events(&self, page: &mut Page<'_>) -> fmt::Result {
        for (at, counter) in counted().enumerate().filter(|(_, it)| it.kind == Kind::Event) {
            let name = format!("kakehashi_relay_{}", counter.name);
            let value = |shard: &Shard| shard.published.counters().nth(at).map_or(0, |it| it.1);
            let values = self.shards.iter().map(|shard| ([shard.label()], value(shard)));
            page.counters((&name, &help(counter)), values)?;
        }
        Ok(())
    }

    fn write_kind(
        &self,
        page: &mut Page<'_>,
        (name, says): (&str, &str),
        (kind, label): (Kind, &str),
    ) -> fmt::Result {
        let values = self.shards.iter().flat_map(|shard| {
            let counters = shard.published.counters().zip(counted());
            let counters = counters.filter(move |(_, counted)| counted.kind == kind);
            counters.map(move |((name, value), _)| ([shard.label(), (label, name)], value))
        });
        page.counters((name, says), values)
    }
}

/// What a counter says, on one line and without the marks of code.
fn help(counter: Counted) -> String {
    counter.says.trim().replace('`', "")
}

impl Figures for RelayFigures {
    fn write(&self, page: &mut Page<'_>) -> fmt::Result {
        self.write_process(page)?;
        self.write_load(page)?;
        self.write_events(page)?;
        let dropped = (
            "kakehashi_relay_packets_dropped",
            "Received packets that went no further, by reason (tuning/RUNBOOK.md explains each).",
        );
        self.write_kind(page, dropped, (Kind::Dropped, "reason"))?;
        let handled = (
            "kakehashi_relay_packets_handled",
            "Received packets that came to their end as they should, by what they were.",
        );
        self.write_kind(page, handled, (Kind::Handled, "outcome"))?;
        let unsent = (
            "kakehashi_relay_packets_unsent",
            "Packets that could not be sent, by reason (tuning/RUNBOOK.md explains each).",
        );
        self.write_kind(page, unsent, (Kind::Unsent, "reason"))?;
        self.links.as_ref().map_or(Ok(()), |links| links.write(page))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shard::board;
    use kakehashi_metrics::{Format, Shown};
    use kakehashi_wire::relay::ShardLoad;
    use std::collections::BTreeSet;

    /// The text of two shards, of which the second has counted 0, 1, 2 and so on.
    fn text() -> String {
        let boards = [Arc::new(board()), Arc::new(board())];
        let load = ShardLoad {
            legs: 3,
            packets_received: 0,
            packets_sent: 0,
            bytes_sent: 0,
            cpu_us: 1_500_000,
        };
        boards[1].store(load, 0..);
        let links = Some(Arc::new(LinkFigures::new(&["a:1".into()])));
        let who = Who { relay: RelayId(7), site: "tokyo".into(), io: "uring" };
        let shown = Shown::from(RelayFigures::new(who, 20, &boards, links));
        Format::Prometheus.text(&shown).unwrap()
    }

    #[test]
    fn every_counter_is_shown_once_with_its_value() {
        let text = text();
        for (at, counter) in counted().enumerate() {
            let name = counter.name;
            let line = match counter.kind {
                Kind::Event => format!("kakehashi_relay_{name}_total{{shard=\"1\"}} {at}\n"),
                Kind::Dropped | Kind::Unsent => format!("shard=\"1\",reason=\"{name}\"}} {at}\n"),
                Kind::Handled => format!("shard=\"1\",outcome=\"{name}\"}} {at}\n"),
            };
            assert_eq!(text.matches(&line).count(), 1, "{line}: {text}");
        }
        assert!(text.contains("kakehashi_relay_legs{shard=\"1\"} 3.0\n"), "{text}");
        assert!(text.contains("kakehashi_relay_cpu_seconds_total{shard=\"1\"} 1.5\n"), "{text}");
        assert!(text.contains("relay=\"7\",site=\"tokyo\",io=\"uring\""), "{text}");
        assert!(text.contains("kakehashi_relay_link_up{node=\"a:1\"} 0.0\n"), "{text}");
    }

    #[test]
    fn every_family_has_a_name_of_its_own_and_a_help_of_one_line() {
        let text = text();
        let helps = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
        let families: Vec<_> = helps.map(|help| help.split_once(' ').unwrap()).collect();
        let names: BTreeSet<_> = families.iter().map(|(name, _)| name).collect();
        assert_eq!(names.len(), families.len());
        for (name, says) in families {
            assert!(says.len() > 10 && !says.contains(['`', '\\', '[']), "{name}: {says}");
        }
    }
}
