//! A report as one page for the browser: nothing in it comes from elsewhere, and nothing runs.

use super::svg::{Chart, Line, Scale, escaped};
use super::text::{bit_rate, delay, sentence};
use super::{Percentiles, Report, Row, Step};
use core::fmt::Write;

const STYLE: &str = "
body { font: 15px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem;
  color: #222; background: #fff; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin-top: 2rem; }
.headline { font-size: 1.2rem; padding: 1rem; background: #eef5fa; border-left: 5px solid #0072b2; }
.warning { padding: .6rem 1rem; background: #fdf1e3; border-left: 5px solid #d55e00; }
table { border-collapse: collapse; } .wide { overflow-x: auto; }
th, td { padding: .25rem .7rem; text-align: right; border-bottom: 1px solid #ddd;
  white-space: nowrap; vertical-align: top; }
th:first-child, td:first-child, th.words, td.words { text-align: left; }
td.words { white-space: normal; min-width: 12rem; }
.failed { color: #a33c00; }
svg { width: 100%; max-width: 760px; display: block; margin: 1rem 0; }
svg text { font: 12px system-ui, sans-serif; fill: #333; } svg .title { font-weight: 600; }
svg .grid { stroke: #e4e4e4; }
";

/// The page.
pub fn render(report: &Report) -> String {
    let mut out = String::new();
    let title = format!("Kakehashi load: {}", report.kind);
    let _ = write!(
        out,
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>{title}</title><style>{STYLE}</style></head><body>\n<h1>{title}</h1>\n"
    );
    if let Some(headline) = &report.headline {
        let _ = writeln!(out, "<p class=\"headline\">{}</p>", escaped(&sentence(headline)));
    }
    for warning in &report.warnings {
        let _ = writeln!(out, "<p class=\"warning\"><b>Warning:</b> {}</p>", escaped(warning));
    }
    match &report.steps[..] {
        [step] => over_time(&mut out, step),
        steps => over_load(&mut out, steps),
    }
    setup(&mut out, report);
    out.push_str("</body></html>\n");
    out
}

/// A way to one percentile.
type Percentile = (&'static str, fn(&Percentiles) -> f64);

const PERCENTILES: [Percentile; 4] = [
    ("p50", |delays| delays.p50_us),
    ("p99", |delays| delays.p99_us),
    ("p99.9", |delays| delays.p999_us),
    ("max", |delays| delays.max_us),
];

fn over_time(out: &mut String, step: &Step) {
    let _ =
        writeln!(out, "<h2>{} legs in {} calls, {:.1} s</h2>", step.legs, step.calls, step.seconds);
    figures(out, step);
    let lines = PERCENTILES.map(|(name, of)| Line {
        name,
        points: step.intervals.iter().map(|row| (row.from_s, of(&row.delays))).collect(),
    });
    charts(out, [delay_chart("Delay over time", "seconds", lines.into())]);
    let rate = |of: fn(&Row) -> u64| -> Vec<(f64, f64)> {
        let rows = step.intervals.iter();
        rows.map(|row| (row.from_s, of(row) as f64 / row.seconds.max(1e-9))).collect()
    };
    let lost = |row: &Row| row.expected.saturating_sub(row.received);
    let cpu = step.intervals.iter();
    let cpu = cpu.filter_map(|row| Some((row.from_s, row.relay_cpu_percent?))).collect();
    charts(
        out,
        [
            Chart {
                title: "Packets over time",
                x_label: "seconds",
                y_label: "packets/s",
                scale: Scale::Linear,
                lines: vec![
                    Line { name: "expected", points: rate(|row| row.expected) },
                    Line { name: "received", points: rate(|row| row.received) },
                    Line { name: "lost", points: rate(lost) },
                ],
            },
            Chart {
                title: "The relay's CPU over time",
                x_label: "seconds",
                y_label: "% of a core",
                scale: Scale::Linear,
                lines: vec![Line { name: "relay", points: cpu }],
            },
        ],
    );
}

fn over_load(out: &mut String, steps: &[Step]) {
    out.push_str("<h2>Every load tried</h2>\n");
    let mut sorted: Vec<&Step> = steps.iter().collect();
    sorted.sort_by(|a, b| a.expected_per_s().total_cmp(&b.expected_per_s()));
    let points = |of: &dyn Fn(&Step) -> Option<f64>| -> Vec<(f64, f64)> {
        let steps = sorted.iter();
        steps.filter_map(|step| Some((step.expected_per_s(), of(step)?))).collect()
    };
    let lines =
        PERCENTILES.map(|(name, of)| Line { name, points: points(&|step| Some(of(&step.delays))) });
    let load = "packets/s to be delivered";
    let cpu = points(&|step| Some(step.relay_cpu?.ns_per_packet));
    let percent = points(&|step| Some(step.relay_cpu?.percent));
    let one = |name, points| vec![Line { name, points }];
    charts(
        out,
        [
            delay_chart("Delay over load", load, lines.into()),
            Chart {
                title: "Loss over load",
                x_label: load,
                y_label: "% lost",
                scale: Scale::Linear,
                lines: one("lost", points(&|step| Some(step.totals.loss_percent))),
            },
            Chart {
                title: "The relay's CPU over load",
                x_label: load,
                y_label: "% of a core",
                scale: Scale::Linear,
                lines: one("relay", percent),
            },
            Chart {
                title: "CPU for each delivered packet",
                x_label: load,
                y_label: "ns",
                scale: Scale::Linear,
                lines: one("relay", cpu),
            },
        ],
    );
    out.push_str(
        "<div class=\"wide\"><table><tr><th>calls</th><th>legs</th><th>packets/s</th>\
         <th>bit rate</th><th>loss %</th><th>p50</th><th>p99</th><th>p99.9</th><th>CPU %</th>\
         <th>ns/packet</th><th class=\"words\">result</th></tr>\n",
    );
    for step in steps {
        step_row(out, step);
    }
    out.push_str("</table></div>\n");
}

fn step_row(out: &mut String, step: &Step) {
    let cpu = step.relay_cpu.map_or_else(
        || String::from("<td>-</td><td>-</td>"),
        |cpu| format!("<td>{:.0}</td><td>{:.0}</td>", cpu.percent, cpu.ns_per_packet),
    );
    let words = match (&step.failures[..], &step.limits[..]) {
        ([], []) => String::from("<td class=\"words\">passed</td>"),
        ([], _) => String::from("<td class=\"words\">passed, at our own limit</td>"),
        (failures, limits) => format!(
            "<td class=\"words failed\">{}{}</td>",
            escaped(&failures.join("; ")),
            if limits.is_empty() { "" } else { ", at our own limit" }
        ),
    };
    let _ = writeln!(
        out,
        "<tr><td>{}</td><td>{}</td><td>{:.0}</td><td>{}</td><td>{:.4}</td><td>{}</td><td>{}</td>\
         <td>{}</td>{cpu}{words}</tr>",
        step.calls,
        step.legs,
        step.delivered_per_s(),
        bit_rate(step.delivered_bit_per_s()),
        step.totals.loss_percent,
        delay(step.delays.p50_us),
        delay(step.delays.p99_us),
        delay(step.delays.p999_us),
    );
}

fn delay_chart<'a>(title: &'a str, x_label: &'a str, lines: Vec<Line<'a>>) -> Chart<'a> {
    let y_label = "microseconds from due to received";
    Chart { title, x_label, y_label, scale: Scale::Logarithmic, lines }
}

fn charts<const N: usize>(out: &mut String, charts: [Chart<'_>; N]) {
    for chart in charts {
        out.push_str(&chart.render());
    }
}

/// A table of two columns.
fn pairs(out: &mut String, rows: &[(&str, String)]) {
    out.push_str("<table>\n");
    for (name, value) in rows {
        let _ =
            writeln!(out, "<tr><td>{name}</td><td class=\"words\">{}</td></tr>", escaped(value));
    }
    out.push_str("</table>\n");
}

fn figures(out: &mut String, step: &Step) {
    let totals = &step.totals;
    let percentiles = |delays: &Percentiles| {
        format!(
            "p50 {}, p90 {}, p99 {}, p99.9 {}, p99.99 {}, max {}",
            delay(delays.p50_us),
            delay(delays.p90_us),
            delay(delays.p99_us),
            delay(delays.p999_us),
            delay(delays.p9999_us),
            delay(delays.max_us)
        )
    };
    let cpu = step.relay_cpu.map_or_else(
        || String::from("could not be read"),
        |cpu| format!("{:.0} % of a core, {:.0} ns/packet", cpu.percent, cpu.ns_per_packet),
    );
    let own = &step.own;
    pairs(
        out,
        &[
            ("Sent", format!("{} packets in {} trains", totals.sent, totals.trains)),
            ("Received", format!("{} of {} packets", totals.received, totals.expected)),
            ("Lost", format!("{} ({:.4} %)", totals.lost, totals.loss_percent)),
            (
                "Odd",
                format!(
                    "{} reordered, {} twice, {} not authentic, {} of the run before",
                    totals.reordered, totals.duplicates, totals.refused, totals.stale
                ),
            ),
            (
                "Delivered",
                format!(
                    "{:.0} packets/s, {}",
                    step.delivered_per_s(),
                    bit_rate(step.delivered_bit_per_s())
                ),
            ),
            ("Delay from due", percentiles(&step.delays)),
            ("Delay from send", percentiles(&step.delays_from_send)),
            ("Relay's CPU", cpu),
            (
                "Ourselves",
                format!(
                    "generator {:.0} %, sink {:.0} % of a core; late p99 {}, p99.9 {}, max {}; {} \
                     datagrams dropped here, {} at the relay's socket",
                    own.generator_cpu_percent,
                    own.sink_cpu_percent,
                    delay(own.lateness_p99_us),
                    delay(own.lateness_p999_us),
                    delay(own.lateness_max_us),
                    own.socket_drops,
                    own.relay_socket_drops
                ),
            ),
        ],
    );
    for failure in &step.failures {
        let _ = writeln!(out, "<p class=\"failed\">Failed: {}</p>", escaped(failure));
    }
}

fn setup(out: &mut String, report: &Report) {
    let (setup, mix) = (&report.setup, &report.setup.mix);
    out.push_str("<h2>On what it ran</h2>\n");
    pairs(
        out,
        &[
            ("Program", setup.program.to_owned()),
            ("Calls", format!("{}, {} legs each", setup.calls_from, setup.legs_per_call)),
            (
                "Mix",
                format!(
                    "{} % of the legs speak ({} % silence), {} % have a camera of {} kbit/s, {} % \
                     share a screen{}; seed {}",
                    mix.voice_percent,
                    mix.silence_percent,
                    mix.camera_percent,
                    mix.camera_kbps,
                    mix.screen_percent,
                    if mix.leave_after_s == 0 {
                        String::new()
                    } else {
                        format!(", each leaves after {} s on average", mix.leave_after_s)
                    },
                    setup.seed
                ),
            ),
            (
                "Bound",
                setup.p999_ms.map_or_else(
                    || String::from("none"),
                    |ms| format!("p99.9 of {ms} ms, loss of {} %", super::LOSS_PERCENT_MAX),
                ),
            ),
            ("Machine", format!("Linux {}, {} cores", setup.kernel, setup.cores)),
            ("Relay's CPU from", setup.relay_cpu_from.clone()),
        ],
    );
}

#[cfg(test)]
mod tests {
    use super::super::{RelayLoad, json, text};
    use super::*;
    use crate::report::tests::{report, step};

    #[test]
    fn the_page_holds_the_figures_and_nothing_from_elsewhere() {
        let mut report = report(vec![step(100, 99)]);
        report.warnings.push(String::from("a <b> & c"));
        let page = render(&report);
        for part in ["99 of 100 packets", "1 (1.0000 %)", "a &lt;b&gt; &amp; c", "<svg"] {
            assert!(page.contains(part), "{part}: {page}");
        }
        for foreign in ["http", "<script", "<link", "@import", "src="] {
            assert!(!page.contains(foreign), "{foreign}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
    }

    #[test]
    fn a_search_shows_every_step_and_its_headline() {
        let mut steps = vec![step(100, 100), step(200, 200), step(400, 300)];
        steps[2].failures.push(String::from("100 of 400 packets lost"));
        steps[0].relay_cpu =
            Some(RelayLoad { percent: 12.0, others_percent: 0.0, ns_per_packet: 777.0 });
        let mut report = report(steps);
        report.headline = Some(report.steps[1].headline(true));
        let page = render(&report);
        assert_eq!(page.matches("<tr><td>1</td>").count(), 3);
        assert!(page.contains("Carries at least 2 legs in 1 calls"), "{page}");
        assert!(page.contains("777") && page.contains("100 of 400 packets lost"));
        let text = text::render(&report);
        assert!(text.contains("Carries at least 2 legs") && text.contains("777"), "{text}");
        let json: serde_json::Value =
            serde_json::from_str(&json::render(&report).unwrap()).unwrap();
        assert_eq!(json["steps"][2]["totals"]["lost"], 100);
        assert_eq!(json["headline"]["at_least"], true);
    }
}
