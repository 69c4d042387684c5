//! Results as a table for people, as JSON for programs, and as the page that is kept.

use crate::contest::{Comparison, Quantity, Results};
use crate::flooded::{FloodTurn, Flooded};
use crate::measure::{LOSS_MAX, Measured};
use crate::subject::Kind;
use core::fmt::Write;
use serde_json::{Map, Value, json};

/// What a result is worth nothing without.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Circumstances {
    /// Processor, cores and kernel.
    pub machine: String,
    /// The commit that was measured.
    pub commit: String,
    /// The day.
    pub date: String,
    /// How it was started.
    pub command: String,
}

/// The table of one medium, in Markdown, which reads well enough on a terminal.
pub fn table(results: &Results) -> String {
    let mut out = format!(
        "| {} | relay | other | ratio | target | | pkt/s to relay | to other | lost |\n\
         |:--|--:|--:|--:|--:|:--|--:|--:|--:|\n",
        results.medium.name()
    );
    for it in &results.comparisons {
        let ((relay, unit), (other, _)) =
            (it.quantity.shown(&it.relay), it.quantity.shown(&it.other));
        let target = it.target.map_or(String::new(), |target| format!("{target:.2}"));
        let lost = it.relay.loss().max(it.other.loss());
        writeln!(
            out,
            "| {} | {relay:.1} {unit} | {other:.1} {unit} | {:.2} | {target} \
             | {} | {:.0} | {:.0} | {:.3} % |",
            it.name,
            it.ratio(),
            verdict(it),
            it.relay.rate,
            it.other.rate,
            lost * 100.0
        )
        .expect("invariant: a string takes all");
    }
    out
}

/// The highest rates of one medium.
pub fn highest_table(results: &Results) -> String {
    let medium = results.medium.name();
    let mut out = format!("| highest rate, {medium} | subject | pkt/s offered | limit |\n");
    out += "|:--|:--|--:|:--|\n";
    for (workload, highest) in &results.highest {
        let (name, subject) = (workload.name, highest.kind.name());
        let limit = if highest.is_generators { "generator and sink" } else { "subject" };
        writeln!(out, "| {name} | {subject} | {:.0} | {limit} |", highest.rate)
            .expect("invariant: a string takes all");
    }
    out
}

/// What a flood did.
pub fn flood_table(floods: &[Flooded]) -> String {
    let mut out = "| flood at the media port | capacity | wanted | sent | taken off the queue \
                   | calls lost | behind it |\n|:--|--:|--:|--:|--:|--:|--:|\n"
        .to_owned();
    for it in floods {
        writeln!(
            out,
            "| {} | {:.0} pkt/s | {:.0} | {:.0} | {:.2} % | {:.3} % | {:.3} % |",
            it.kind.name(),
            it.capacity.rate,
            it.wanted,
            it.reached(),
            it.taken() * 100.0,
            it.loss() * 100.0,
            it.loss_behind_the_queue() * 100.0
        )
        .expect("invariant: a string takes all");
    }
    out
}

/// A comparison is only one if neither side lost packets.
fn verdict(it: &Comparison) -> &'static str {
    let lost = it.relay.loss().max(it.other.loss());
    match it.is_met() {
        _ if lost > LOSS_MAX => "void: lost too much",
        Some(true) => "met",
        Some(false) => "missed",
        None => "",
    }
}

/// Everything for programs: loopback by name, the other media below theirs.
pub fn json(all: &[Results], circumstances: &Circumstances) -> Value {
    let mut out = Map::new();
    out.insert("machine".into(), json!(circumstances.machine));
    out.insert("commit".into(), json!(circumstances.commit));
    out.insert("date".into(), json!(circumstances.date));
    out.insert("command".into(), json!(circumstances.command));
    for (number, results) in all.iter().enumerate() {
        let named = results.comparisons.iter().map(|it| (it.name.clone(), comparison(it)));
        let rates = results.highest.iter().map(|(workload, highest)| {
            json!({
                "workload": workload.name,
                "subject": highest.kind.name(),
                "packets_per_second": highest.rate,
                "limited_by_generator": highest.is_generators,
            })
        });
        let mut here: Map<_, _> = named.collect();
        here.insert("highest_rates".into(), rates.collect());
        for flooded in &results.flooded {
            // What is promised is promised of the shut gate.
            let name = match flooded.kind {
                Kind::RelayXdpShut => "flood",
                _ => "flood_open",
            };
            here.insert(format!("{name}_legit_loss"), json!(flooded.loss()));
            here.insert(name.to_owned(), flood(flooded));
        }
        if number == 0 {
            out.extend(here.clone());
        }
        out.insert(results.medium.name().into(), Value::Object(here));
    }
    Value::Object(out)
}

fn comparison(it: &Comparison) -> Value {
    json!({
        "ratio": it.ratio(),
        "target": it.target,
        "met": it.is_met(),
        "relay": side(&it.relay, it.quantity),
        "other": side(&it.other, it.quantity),
    })
}

fn side(side: &Measured, quantity: Quantity) -> Value {
    let rounds: Vec<_> = side
        .turns
        .iter()
        .map(|turn| {
            json!({
                "sent": turn.outcome.sent,
                "delivered": turn.outcome.delivered,
                "expected": turn.expected,
                "cpu_seconds": turn.cpu.process.as_secs_f64(),
                "receiving_cpu_seconds": turn.cpu.receiving.as_secs_f64(),
                "core_cpu_seconds": turn.cpu.core.as_secs_f64(),
                "seconds": turn.outcome.sending.as_secs_f64(),
            })
        })
        .collect();
    let (value, unit) = quantity.shown(side);
    json!({
        "subject": side.kind.name(),
        "rate": side.rate,
        "sent": side.sum(|turn| turn.outcome.sent),
        "delivered": side.sum(|turn| turn.outcome.delivered),
        "loss": side.loss(),
        "cpu_seconds": side.seconds(|turn| turn.cpu.process),
        "receiving_cpu_seconds": side.seconds(|turn| turn.cpu.receiving),
        "core_cpu_seconds": side.seconds(|turn| turn.cpu.core),
        "ns_per_delivered_packet": side.nanos_per_packet(),
        "delay_us": {
            "p50": side.delay_micros(0.5),
            "p99": side.delay_micros(0.99),
            "p999": side.delay_micros(0.999),
        },
        "compared": value,
        "unit": unit,
        "rounds": rounds,
    })
}

fn flood(it: &Flooded) -> Value {
    let turn = |turn: &FloodTurn| {
        json!({
            "sent": turn.sent,
            "delivered": turn.delivered,
            "garbage_per_second": turn.rate,
            "taken_off_the_queue": turn.taken,
        })
    };
    json!({
        "relay": it.kind.name(),
        "capacity_packets_per_second": it.capacity.rate,
        "garbage_wanted_per_second": it.wanted,
        "garbage_per_second": it.reached(),
        "taken_off_the_queue": it.taken(),
        "legit_loss_behind_the_queue": it.loss_behind_the_queue(),
        "rounds": it.turns.iter().map(turn).collect::<Vec<_>>(),
    })
}

/// The page that is kept in the repository.
pub fn page(all: &[Results], circumstances: &Circumstances) -> String {
    let Circumstances { machine, commit, date, command } = circumstances;
    let mut out = format!(
        "# Side by side\n\n\
         What the relay costs beside the kernel's own path and beside others, at equal work.\n\n\
         Machine: {machine}. Commit: {commit}. Date: {date}. Command: `{command}`.\n\n\
         ![CPU time of a delivered packet](results.svg)\n"
    );
    for results in all {
        let name = results.medium.name();
        write!(out, "\n## {name}\n\n{}\n{}", table(results), highest_table(results))
            .expect("invariant: a string takes all");
    }
    out += READING;
    out
}

const READING: &str = "
## How to read it

- A ratio below 1 means that the relay is cheaper or faster. It is the median of the rounds'
  ratios; the columns before it are medians of their own. Only rows within one table compare: they
  were measured in turns, on one core, minutes apart at most. Absolute figures are this machine's.
- Costs are CPU time of the subject's process per packet that arrived, was authentic and was new.
  What the kernel does for a packet runs in the sender's thread and is part of it.
- A packet is cheaper on a busy core, because more are handled at each waking, so the rate matters.
  Peers are compared as they would be run, each at 70 % of its own highest rate: what a core
  carries. Rows that end in `_at_common_rate` repeat it with all at one rate, which the slowest
  peer copes with and at which the relay's core is mostly asleep. `_vs_floor` and `_vs_gso_send` are
  at 70 % of the lower of both highest rates, delays at 50 % of it.
- The floor forwards datagrams with the same system calls and does nothing else: no keys, no tables
  beyond one. rtpengine opens and seals every packet with different keys; coturn looks into nothing.
  The pass lane authenticates every packet and forwards its bytes; the seal lane seals anew.
- Where the limit of a highest rate is \"generator and sink\", the subject may take more.
- How it is done, and how to repeat it: `bench/README.md`.
";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cpu::CpuTime;
    use crate::measure::{Highest, Turn};
    use crate::medium::Medium;
    use crate::subject::Kind;
    use crate::traffic::Outcome;
    use crate::workload::VOICE;
    use core::time::Duration;
    use hdrhistogram::Histogram;

    fn measured(kind: Kind, millis: &[u64], delivered: u64) -> Measured {
        let turn = |millis: &u64| {
            let mut delay = Histogram::new_with_bounds(1, 1_000_000_000, 3).unwrap();
            delay.record(millis * 1_000).unwrap();
            let sending = Duration::from_secs(1);
            let outcome = Outcome {
                started: Duration::ZERO,
                sent: 1_000,
                delivered,
                forged: 0,
                repeated: 0,
                late: 0,
                sending,
                delay,
            };
            let process = Duration::from_millis(*millis);
            Turn {
                outcome,
                expected: 1_000,
                cpu: CpuTime { process, receiving: Duration::ZERO, core: process },
            }
        };
        Measured { kind, rate: 1_000.0, turns: millis.iter().map(turn).collect() }
    }

    fn results(delivered: u64) -> Results {
        let compared = |name: &str, quantity| Comparison {
            name: name.into(),
            target: Some(0.5),
            quantity,
            relay: measured(Kind::Relay, &[4, 8, 6], delivered),
            other: measured(Kind::Coturn, &[10, 10, 20], 1_000),
        };
        Results {
            medium: Medium::Loopback,
            comparisons: vec![
                compared("voice_pass_vs_coturn", Quantity::Cost),
                compared("voice_pass_delay_p50_vs_coturn", Quantity::Delay(0.5)),
            ],
            highest: vec![(VOICE, Highest { kind: Kind::Relay, rate: 7.0, is_generators: true })],
            flooded: Vec::new(),
        }
    }

    fn circumstances() -> Circumstances {
        let text = |text: &str| text.to_owned();
        Circumstances {
            machine: text("a machine"),
            commit: text("c0ffee"),
            date: text("2026-11-24"),
            command: text("bench/peers/run"),
        }
    }

    #[test]
    fn a_ratio_is_the_median_of_the_rounds() {
        let results = results(1_000);
        assert_eq!(results.comparisons[0].ratio(), 0.4);
        let table = table(&results);
        let row = "| voice_pass_vs_coturn | 6000.0 ns | 10000.0 ns | 0.40 | 0.50 | met \
                   | 1000 | 1000 | 0.000 % |";
        assert!(table.contains(row), "{table}");
    }

    #[test]
    fn a_comparison_with_losses_is_void() {
        assert!(table(&results(900)).contains("| void: lost too much | 1000 | 1000 | 10.000 % |"));
    }

    #[test]
    fn json_names_every_comparison_with_both_sides() {
        let json = json(&[results(1_000)], &circumstances());
        let it = &json["voice_pass_vs_coturn"];
        assert_eq!(it["ratio"], 0.4);
        assert_eq!(it["met"], true);
        assert_eq!(it["relay"]["delivered"], 3_000);
        assert_eq!(it["relay"]["loss"], 0.0);
        assert_eq!(it["other"]["cpu_seconds"], 0.04);
        assert_eq!(it["other"]["rounds"][2]["delivered"], 1_000);
        assert_eq!(json["loopback"]["highest_rates"][0]["packets_per_second"], 7.0);
        assert_eq!(json["commit"], "c0ffee");
    }

    #[test]
    fn the_page_says_where_it_comes_from() {
        let page = page(&[results(1_000)], &circumstances());
        for part in ["a machine", "c0ffee", "2026-11-24", "`bench/peers/run`", "## loopback"] {
            assert!(page.contains(part), "{part}");
        }
    }
}
