//! Line charts as SVG, without scripts and without anything from elsewhere.

use core::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 300.0;
const LEFT: f64 = 76.0;
const RIGHT: f64 = 20.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 46.0;

/// Colours that people who see colours differently tell apart (Okabe and Ito).
const COLOURS: [&str; 5] = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00"];

/// How an axis is divided.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Scale {
    /// From zero, evenly.
    Linear,
    /// By powers of ten.
    Logarithmic,
}

/// A chart of some lines over one axis.
pub(super) struct Chart<'a> {
    pub(super) title: &'a str,
    pub(super) x_label: &'a str,
    pub(super) y_label: &'a str,
    pub(super) scale: Scale,
    pub(super) lines: Vec<Line<'a>>,
}

/// One line.
pub(super) struct Line<'a> {
    pub(super) name: &'a str,
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart<'_> {
    /// The chart, or nothing if it has no points.
    pub(super) fn render(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        if points().next().is_none() {
            return String::new();
        }
        let x = Axis::linear(points().map(|point| point.0), (LEFT, WIDTH - RIGHT), false);
        let span = (HEIGHT - BOTTOM, TOP);
        let y = match self.scale {
            Scale::Linear => Axis::linear(points().map(|point| point.1), span, true),
            Scale::Logarithmic => Axis::logarithmic(points().map(|point| point.1), span),
        };
        let mut out = String::new();
        let _ = write!(
            out,
            "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{0}\">\n\
             <text class=\"title\" x=\"{LEFT}\" y=\"16\">{0}</text>\n",
            escaped(self.title)
        );
        self.grid(&mut out, &x, &y);
        for (at, line) in self.lines.iter().enumerate() {
            let colour = COLOURS[at % COLOURS.len()];
            let path: Vec<String> = (line.points.iter())
                .map(|&(px, py)| format!("{:.1},{:.1}", x.place(px), y.place(py)))
                .collect();
            let _ = writeln!(
                out,
                "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>",
                path.join(" ")
            );
            for (&(px, py), place) in line.points.iter().zip(&path) {
                let (cx, cy) = place.split_once(',').unwrap_or(("0", "0"));
                let _ = writeln!(
                    out,
                    "<circle cx=\"{cx}\" cy=\"{cy}\" r=\"2.5\" fill=\"{colour}\"><title>{}: {} at \
                     {}</title></circle>",
                    escaped(line.name),
                    number(py),
                    number(px)
                );
            }
            let legend = LEFT + 130.0 * at as f64;
            let _ = writeln!(
                out,
                "<rect x=\"{legend}\" y=\"24\" width=\"12\" height=\"4\" fill=\"{colour}\"/>\
                 <text x=\"{}\" y=\"30\">{}</text>",
                legend + 16.0,
                escaped(line.name)
            );
        }
        out.push_str("</svg>\n");
        out
    }

    fn grid(&self, out: &mut String, x: &Axis, y: &Axis) {
        for &tick in &y.ticks {
            let at = y.place(tick);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\"/>\
                 <text text-anchor=\"end\" x=\"{}\" y=\"{:.1}\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                at + 4.0,
                number(tick)
            );
        }
        for &tick in &x.ticks {
            let at = x.place(tick);
            let _ = writeln!(
                out,
                "<line class=\"grid\" x1=\"{at:.1}\" x2=\"{at:.1}\" y1=\"{TOP}\" y2=\"{0}\"/>\
                 <text text-anchor=\"middle\" x=\"{at:.1}\" y=\"{1}\">{2}</text>",
                HEIGHT - BOTTOM,
                HEIGHT - BOTTOM + 16.0,
                number(tick)
            );
        }
        let _ = writeln!(
            out,
            "<text text-anchor=\"middle\" x=\"{}\" y=\"{}\">{}</text>\
             <text text-anchor=\"middle\" transform=\"translate(14 {}) rotate(-90)\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 8.0,
            escaped(self.x_label),
            (TOP + HEIGHT - BOTTOM) / 2.0,
            escaped(self.y_label)
        );
    }
}

/// Where values lie on paper.
struct Axis {
    from: f64,
    to: f64,
    ticks: Vec<f64>,
    logarithmic: bool,
    span: (f64, f64),
}

impl Axis {
    fn linear(values: impl Iterator<Item = f64>, span: (f64, f64), from_zero: bool) -> Self {
        let (low, high) = bounds(values);
        let low = if from_zero { low.min(0.0) } else { low };
        let high = if high > low { high } else { low + 1.0 };
        let step = round_step((high - low) / 6.0);
        let (from, to) = ((low / step).floor() * step, (high / step).ceil() * step);
        let ticks = (0..40).map(|at| from + step * f64::from(at));
        let ticks = ticks.take_while(|&tick| tick <= to + step / 2.0).collect();
        Self { from, to, ticks, logarithmic: false, span }
    }

    fn logarithmic(values: impl Iterator<Item = f64>, span: (f64, f64)) -> Self {
        // A value of zero has no place here: it lies at the bottom.
        let (low, high) = bounds(values.filter(|&value| value > 0.0));
        let (low, high) = (low.max(1e-6).log10().floor(), high.max(1e-6).log10().ceil());
        let high = if high > low { high } else { low + 1.0 };
        let decades = (0..24).map(|at| low + f64::from(at)).take_while(|&at| at <= high);
        let ticks = decades.map(|decade| 10_f64.powf(decade)).collect();
        Self { from: low, to: high, ticks, logarithmic: true, span }
    }

    fn place(&self, value: f64) -> f64 {
        let value = if self.logarithmic { value.max(1e-6).log10() } else { value };
        let part = ((value - self.from) / (self.to - self.from)).clamp(0.0, 1.0);
        self.span.0 + part * (self.span.1 - self.span.0)
    }
}

/// Lowest and highest of some values; 0 to 1 of none.
fn bounds(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let range = values.filter(|value| value.is_finite()).fold(None, |range, value| match range {
        None => Some((value, value)),
        Some((low, high)) => Some((f64::min(low, value), f64::max(high, value))),
    });
    range.unwrap_or((0.0, 1.0))
}

/// A step of 1, 2 or 5 times a power of ten, not below `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.max(1e-9).log10().floor());
    [1.0, 2.0, 5.0, 10.0].into_iter().map(|one| one * power).find(|&s| s >= rough).unwrap_or(power)
}

/// A number short enough for an axis.
fn number(value: f64) -> String {
    let short = |value: f64, unit: &str| {
        let text = format!("{value:.2}");
        format!("{}{unit}", text.trim_end_matches('0').trim_end_matches('.'))
    };
    match value.abs() {
        size if size >= 1e6 => short(value / 1e6, " M"),
        size if size >= 1e4 => short(value / 1e3, " k"),
        size if size >= 0.01 || size == 0.0 => short(value, ""),
        _ => format!("{value:.0e}"),
    }
}

/// Text that may stand in HTML and SVG.
pub(super) fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart(points: Vec<(f64, f64)>, scale: Scale) -> String {
        let lines = vec![Line { name: "a<b", points }];
        Chart { title: "t & u", x_label: "s", y_label: "us", scale, lines }.render()
    }

    #[test]
    fn a_chart_is_whole_whatever_its_values() {
        for scale in [Scale::Linear, Scale::Logarithmic] {
            for points in [
                vec![(0.0, 0.0)],
                vec![(1.0, 5.0), (2.0, 5.0)],
                vec![(0.0, 1e-9), (1.0, 1e12)],
                vec![(3.0, 10.0), (4.0, 90.0), (5.0, f64::INFINITY)],
            ] {
                let count = points.len();
                let svg = chart(points, scale);
                assert_eq!(svg.matches("<circle").count(), count);
                assert!(svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
                assert!(svg.contains("t &amp; u") && svg.contains("a&lt;b"));
            }
        }
        assert_eq!(chart(Vec::new(), Scale::Linear), "");
    }

    #[test]
    fn axes_have_round_ticks() {
        let axis = Axis::linear([3.0, 97.0].into_iter(), (0.0, 100.0), true);
        assert_eq!(axis.ticks, [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!((axis.place(0.0), axis.place(50.0), axis.place(100.0)), (0.0, 50.0, 100.0));
        let axis = Axis::logarithmic([30.0, 2_000.0].into_iter(), (0.0, 100.0));
        assert_eq!(axis.ticks, [10.0, 100.0, 1_000.0, 10_000.0]);
        let texts = [0.0, 0.001, 0.25, 1_500.0, 25_000.0, 2_500_000.0].map(number);
        assert_eq!(texts, ["0", "1e-3", "0.25", "1500", "25 k", "2.5 M"]);
    }
}
