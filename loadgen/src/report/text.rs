//! A report for the terminal.

use super::{Headline, Report, Step};
use core::fmt::Write;

/// The report as lines of text.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    if let [step] = &report.steps[..] {
        whole(&mut out, step);
    } else {
        table(&mut out, &report.steps);
    }
    if let Some(headline) = &report.headline {
        let _ = writeln!(out, "\n{}", sentence(headline));
    } else if report.kind == "capacity" {
        let _ = writeln!(out, "\nNot even one call passed; see the reasons above.");
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "WARNING: {warning}");
    }
    out
}

/// The headline in a sentence.
pub fn sentence(headline: &Headline) -> String {
    let cpu = headline.cpu_ns_per_packet.map_or_else(
        || String::from("CPU of the relay unknown"),
        |ns| format!("{ns:.0} ns of CPU for each delivered packet"),
    );
    format!(
        "Carries {}{} legs in {} calls: {:.0} packets/s in, {:.0} packets/s and {} out, {cpu}, \
         p99.9 {}",
        if headline.at_least { "at least " } else { "" },
        headline.legs,
        headline.calls,
        headline.received_per_s,
        headline.delivered_per_s,
        bit_rate(headline.delivered_bit_per_s),
        delay(headline.p999_us),
    )
}

fn whole(out: &mut String, step: &Step) {
    let (totals, delays) = (&step.totals, &step.delays);
    let _ = writeln!(out, "{} legs in {} calls, {:.1} s", step.legs, step.calls, step.seconds);
    let _ = writeln!(
        out,
        "sent       {} packets in {} trains, {:.0} packets/s",
        totals.sent,
        totals.trains,
        totals.sent as f64 / step.seconds.max(1e-9)
    );
    let _ = writeln!(
        out,
        "received   {} of {} packets, {:.0} packets/s, {}",
        totals.received,
        totals.expected,
        step.delivered_per_s(),
        bit_rate(step.delivered_bit_per_s())
    );
    let _ = writeln!(
        out,
        "lost       {} ({:.4} %), reordered {}, twice {}, not authentic {}",
        totals.lost, totals.loss_percent, totals.reordered, totals.duplicates, totals.refused
    );
    let from_send = &step.delays_from_send;
    for (name, delays) in [("from due", delays), ("from send", from_send)] {
        let _ = writeln!(
            out,
            "{name:<10} p50 {}, p99 {}, p99.9 {}, max {}",
            delay(delays.p50_us),
            delay(delays.p99_us),
            delay(delays.p999_us),
            delay(delays.max_us)
        );
    }
    if let Some(cpu) = &step.relay_cpu {
        let _ = writeln!(
            out,
            "relay      {:.0} % of a core, {:.0} ns for each delivered packet",
            cpu.percent, cpu.ns_per_packet
        );
    }
    let own = &step.own;
    let _ = writeln!(
        out,
        "ourselves  generator {:.0} %, sink {:.0} % of a core, late p99.9 {}, {} drops; {} at the \
         relay's socket",
        own.generator_cpu_percent,
        own.sink_cpu_percent,
        delay(own.lateness_p999_us),
        own.socket_drops,
        own.relay_socket_drops
    );
    for failure in &step.failures {
        let _ = writeln!(out, "FAILED: {failure}");
    }
}

fn table(out: &mut String, steps: &[Step]) {
    let _ = writeln!(
        out,
        "{:>7} {:>8} {:>11} {:>10} {:>9} {:>9} {:>9} {:>7} {:>9}",
        "calls", "legs", "packets/s", "loss %", "p50", "p99", "p99.9", "CPU %", "ns/packet"
    );
    for step in steps {
        let (percent, ns) = step.relay_cpu.map_or_else(
            || (String::from("-"), String::from("-")),
            |cpu| (format!("{:.0}", cpu.percent), format!("{:.0}", cpu.ns_per_packet)),
        );
        let _ = writeln!(
            out,
            "{:>7} {:>8} {:>11.0} {:>10.4} {:>9} {:>9} {:>9} {percent:>7} {ns:>9}  {}",
            step.calls,
            step.legs,
            step.delivered_per_s(),
            step.totals.loss_percent,
            delay(step.delays.p50_us),
            delay(step.delays.p99_us),
            delay(step.delays.p999_us),
            if step.failures.is_empty() {
                String::from("passed")
            } else {
                step.failures.join("; ")
            }
        );
    }
}

/// A bit rate in the unit that fits.
pub fn bit_rate(bits: f64) -> String {
    if bits >= 1e9 {
        format!("{:.2} Gbit/s", bits / 1e9)
    } else {
        format!("{:.1} Mbit/s", bits / 1e6)
    }
}

/// A delay in the unit that fits.
pub fn delay(us: f64) -> String {
    if us >= 10_000.0 { format!("{:.1} ms", us / 1e3) } else { format!("{us:.0} us") }
}
