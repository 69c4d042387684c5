//! The longest silences of all runs as a picture: SVG, without scripts and without anything from
//! elsewhere.

use super::Drill;
use super::promise::Measure;
use super::report::DrillReport;
use core::fmt::Write;

const WIDTH: f64 = 860.0;
const LEFT: f64 = 190.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 50.0;
/// Height of a drill's row.
const ROW: f64 = 26.0;
/// Dots of a row that are told apart when they would cover each other.
const LAYERS: usize = 5;

/// A row for each drill and a dot for each run; the bar is what is promised of 99 % of them.
pub(crate) fn plot(reports: &[(&Drill, DrillReport)]) -> String {
    let promised = |drill: &Drill| {
        let gap = drill.promises.iter().find(|promise| promise.measure == Measure::GapP99);
        gap.map(|promise| promise.most)
    };
    let all = reports
        .iter()
        .flat_map(|(drill, report)| report.gaps_ms.iter().copied().chain(promised(drill)));
    let (step, end) = scale(all.fold(100.0, f64::max));
    let x = |ms: f64| LEFT + ms / end * (WIDTH - LEFT - RIGHT);
    let bottom = TOP + ROW * reports.len() as f64;
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {0}\" role=\"img\" \
         font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"{WIDTH}\" height=\"{0}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"20\">Longest silence at any listener, a dot for each run, in ms; \
         bar: promised of 99 %</text>\n",
        bottom + 30.0
    );
    // A String takes everything.
    for tick in (0..=20).map(|nth| f64::from(nth) * step).take_while(|tick| *tick <= end) {
        let _never = writeln!(
            out,
            "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#dddddd\"/>\
             <text text-anchor=\"middle\" x=\"{0:.1}\" y=\"{1}\">{tick}</text>",
            x(tick),
            bottom + 18.0
        );
    }
    for ((drill, report), row) in reports.iter().zip(0_u32..) {
        let y = TOP + ROW * (f64::from(row) + 0.5);
        let name = drill.name;
        let _never = writeln!(out, "<text x=\"8\" y=\"{:.1}\">{name}</text>", y + 4.0);
        for (gap, nth) in report.gaps_ms.iter().zip(0..) {
            let beside = (nth % LAYERS) as f64 * 3.0 - 6.0;
            let (cx, cy) = (x(*gap), y + beside);
            let _never = writeln!(
                out,
                "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"2\" fill=\"#0072b2\" \
                 fill-opacity=\"0.6\"/>"
            );
        }
        if let Some(most) = promised(drill) {
            let _never = writeln!(
                out,
                "<line x1=\"{0:.1}\" x2=\"{0:.1}\" y1=\"{1:.1}\" y2=\"{2:.1}\" \
                 stroke=\"#d55e00\" stroke-width=\"2\"/>",
                x(most),
                y - ROW / 2.0 + 2.0,
                y + ROW / 2.0 - 2.0
            );
        }
    }
    out.push_str("</svg>\n");
    out
}

/// A step of 1, 2 or 5 times a power of ten of which at most twelve reach `most`, and the end of
/// the axis.
fn scale(most: f64) -> (f64, f64) {
    let steps = (0..9).flat_map(|power| [1.0, 2.0, 5.0].map(|one| one * 10_f64.powi(power)));
    let step = steps.into_iter().find(|step| step * 12.0 >= most).unwrap_or(most);
    (step, (most / step).ceil() * step)
}

#[cfg(test)]
mod tests {
    use super::super::DRILLS;
    use super::*;

    #[test]
    fn every_run_has_a_dot_and_every_promise_a_bar() {
        let report =
            |gaps: &[f64]| DrillReport { gaps_ms: gaps.to_vec(), ..DrillReport::default() };
        let reports = [
            (&DRILLS[0], report(&[150.0, 0.0, 310.0])),
            (&DRILLS[1], report(&[])),
            (&DRILLS[2], report(&[90_000.0])),
        ];
        let svg = plot(&reports);
        assert_eq!(svg.matches("<circle").count(), 4);
        assert!(svg.contains(DRILLS[2].name) && svg.ends_with("</svg>\n") && !svg.contains("NaN"));
        assert!(svg.contains("stroke=\"#d55e00\""));
    }

    #[test]
    fn axes_end_at_a_round_number() {
        assert_eq!(scale(310.0), (50.0, 350.0));
        assert_eq!(scale(100.0), (10.0, 100.0));
        assert_eq!(scale(61_234.0), (10_000.0, 70_000.0));
    }
}
