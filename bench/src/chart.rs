//! The picture of the results: a bar for each side of each comparison of costs.

use crate::contest::{Quantity, Results};
use crate::subject::Kind;
use core::fmt::Write;

/// Measures of the picture, in pixels.
const WIDTH: f64 = 860.0;
const NAMES_WIDTH: f64 = 250.0;
const BARS_WIDTH: f64 = 430.0;
const BAR_HEIGHT: f64 = 15.0;
const GROUP_GAP: f64 = 14.0;
const HEADING_HEIGHT: f64 = 44.0;

/// The relay's colour, and everyone else's.
const RELAY_COLOUR: &str = "#0b6e4f";
const OTHER_COLOUR: &str = "#9aa5b1";

/// The costs of all media as SVG.
pub fn svg(all: &[Results]) -> String {
    let mut body = String::new();
    let mut y = 12.0;
    for results in all {
        y = medium(results, y, &mut body);
    }
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{WIDTH}\" height=\"{y}\" \
         viewBox=\"0 0 {WIDTH} {y}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#ffffff\"/>\n{body}</svg>\n"
    )
}

/// Draws one medium from `top` on; gives where the next begins.
fn medium(results: &Results, top: f64, out: &mut String) -> f64 {
    let costs: Vec<_> =
        results.comparisons.iter().filter(|it| it.quantity == Quantity::Cost).collect();
    let sides = || costs.iter().flat_map(|it| [&it.relay, &it.other]);
    let longest = sides().map(|side| side.nanos_per_packet()).fold(1.0, f64::max);
    let title = format!("CPU time of a delivered packet over {} (ns)", results.medium.name());
    text(out, 12.0, top + 20.0, "start\" font-weight=\"bold\" font-size=\"15", &title);
    let mut y = top + HEADING_HEIGHT;
    for it in costs {
        text(out, NAMES_WIDTH - 8.0, y + BAR_HEIGHT * 1.3, "end", &it.name);
        for side in [&it.relay, &it.other] {
            let is_relay = side.kind == Kind::Relay;
            let colour = if is_relay { RELAY_COLOUR } else { OTHER_COLOUR };
            let nanos = side.nanos_per_packet();
            let width = (nanos / longest * BARS_WIDTH).max(1.0);
            writeln!(
                out,
                "<rect x=\"{NAMES_WIDTH}\" y=\"{y:.0}\" width=\"{width:.1}\" \
                 height=\"{BAR_HEIGHT}\" fill=\"{colour}\"/>"
            )
            .expect("invariant: a string takes all");
            let ratio = if is_relay { format!("  ({:.2}x)", it.ratio()) } else { String::new() };
            let label = format!("{} {nanos:.0}{ratio}", side.kind.name());
            text(out, NAMES_WIDTH + width + 6.0, y + BAR_HEIGHT - 3.0, "start", &label);
            y += BAR_HEIGHT + 1.0;
        }
        y += GROUP_GAP;
    }
    y + 8.0
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, text: &str) {
    let text = text.replace('&', "&amp;").replace('<', "&lt;");
    writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>")
        .expect("invariant: a string takes all");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::medium::Medium;

    #[test]
    fn a_picture_without_results_is_still_one() {
        let results = Results::new(Medium::Veth);
        let svg = svg(&[results]);
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n"));
        assert!(svg.contains("over veth (ns)"));
    }

    #[test]
    fn text_is_escaped() {
        let mut out = String::new();
        text(&mut out, 1.0, 2.0, "end", "a<b & c");
        assert_eq!(out, "<text x=\"1.0\" y=\"2.0\" text-anchor=\"end\">a&lt;b &amp; c</text>\n");
    }
}
