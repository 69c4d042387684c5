//! Pictures made of numbers: the map of sites and relays, and small plots over time. Only where
//! things stand is computed here; the templates draw and escape.

use crate::admin::{CallRow, RelayRow};
use std::collections::BTreeMap;

/// How wide a site is on the map, in units of the picture.
const SITE_WIDTH: f64 = 260.0;
/// How much of the picture a relay takes from top to bottom.
const RELAY_HEIGHT: f64 = 72.0;
/// Where the first relay of a site stands.
const TOP: f64 = 64.0;
/// The radius of a relay with nothing to do, and what is added at most.
const RADIUS: (f64, f64) = (12.0, 18.0);
/// Sites and relays drawn; the table beside the map has all.
const DRAWN_MAX: usize = 64;

/// A relay on the map.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Dot {
    pub(super) id: u32,
    pub(super) x: f64,
    pub(super) y: f64,
    pub(super) radius: f64,
    pub(super) legs: u64,
    /// For the style sheet: `up`, `drained` or `lost`.
    pub(super) kind: &'static str,
}

/// A site on the map.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct SiteBox {
    /// Empty if its relays do not say.
    pub(super) name: String,
    pub(super) x: f64,
    pub(super) middle: f64,
    pub(super) width: f64,
    pub(super) height: f64,
}

/// Calls that are prepared on the same two relays.
#[derive(Clone, PartialEq, Debug)]
pub(super) struct Line {
    /// An SVG path.
    pub(super) path: String,
    pub(super) width: f64,
    pub(super) calls: usize,
}

/// Sites, relays, and calls between them.
#[derive(Clone, PartialEq, Debug, Default)]
pub(super) struct Map {
    pub(super) width: f64,
    pub(super) height: f64,
    pub(super) sites: Vec<SiteBox>,
    pub(super) dots: Vec<Dot>,
    pub(super) lines: Vec<Line>,
}

/// Where everything stands: sites side by side in order of name, relays below each other.
pub(super) fn map(relays: &[RelayRow], calls: &[&CallRow]) -> Map {
    let mut sites: BTreeMap<&str, Vec<&RelayRow>> = BTreeMap::new();
    for relay in relays.iter().take(DRAWN_MAX) {
        sites.entry(&relay.site).or_default().push(relay);
    }
    let most = sites.values().map(Vec::len).max().unwrap_or_default();
    let height = TOP + RELAY_HEIGHT * count(most);
    let busiest = relays.iter().map(|relay| relay.legs).max().unwrap_or_default().max(1);
    let mut map = Map { width: SITE_WIDTH * count(sites.len()), height, ..Map::default() };
    for (column, (name, relays)) in sites.into_iter().enumerate() {
        let x = SITE_WIDTH * count(column);
        let (middle, width) = (x + SITE_WIDTH / 2.0, SITE_WIDTH - 16.0);
        let name = name.to_owned();
        map.sites.push(SiteBox { name, x: x + 8.0, middle, width, height: height - 8.0 });
        map.dots.extend(relays.into_iter().enumerate().map(|(row, relay)| Dot {
            id: relay.id.0,
            x: middle,
            y: TOP + RELAY_HEIGHT * (count(row) + 0.4),
            radius: RADIUS.0 + RADIUS.1 * (share(relay.legs, busiest)).sqrt(),
            legs: relay.legs,
            kind: match (relay.connected, relay.drained) {
                (false, _) => "lost",
                (true, true) => "drained",
                (true, false) => "up",
            },
        }));
    }
    map.lines = lines(&map.dots, calls);
    map
}

fn lines(dots: &[Dot], calls: &[&CallRow]) -> Vec<Line> {
    let mut pairs: BTreeMap<(u32, u32), usize> = BTreeMap::new();
    for call in calls {
        if let [one, other, ..] = call.relays[..] {
            *pairs.entry((one.0.min(other.0), one.0.max(other.0))).or_default() += 1;
        }
    }
    let of = |id| dots.iter().find(|dot| dot.id == id);
    let most = pairs.values().copied().max().unwrap_or(1);
    let line = |((one, other), calls)| {
        let (one, other): (&Dot, &Dot) = (of(one)?, of(other)?);
        // Bent, so that a line between relays of one site does not hide behind those between.
        let bend = if (one.x - other.x).abs() < 1.0 {
            one.x + 72.0
        } else {
            f64::midpoint(one.x, other.x)
        };
        let middle = f64::midpoint(one.y, other.y) - 18.0;
        let path = format!(
            "M{:.0},{:.0}Q{bend:.0},{middle:.0} {:.0},{:.0}",
            one.x, one.y, other.x, other.y
        );
        let width = 1.5 + 6.5 * share(calls as u64, most as u64);
        Some(Line { path, width, calls })
    };
    pairs.into_iter().filter_map(line).collect()
}

/// Points of a plot of `values` over time, in a picture of 100 by 24 whose top is `most` or the
/// highest of them; as an SVG `points`.
pub(super) fn points(values: &[f64], most: f64) -> String {
    let top = values.iter().copied().fold(most, f64::max).max(f64::MIN_POSITIVE);
    let step = 100.0 / count(values.len().saturating_sub(1).max(1));
    let point = |(place, value): (usize, &f64)| {
        format!("{:.1},{:.1}", step * count(place), 23.0 - 22.0 * (value / top).clamp(0.0, 1.0))
    };
    values.iter().enumerate().map(point).collect::<Vec<_>>().join(" ")
}

#[expect(clippy::cast_precision_loss, reason = "what is drawn is counted in thousands")]
fn count(number: usize) -> f64 {
    number as f64
}

#[expect(clippy::cast_precision_loss, reason = "what is drawn is no finer than a pixel")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::Protected;
    use crate::clock::UnixMs;
    use crate::records::{CallRecord, RecordState};
    use kakehashi_wire::id::{CallId, RelayId, TenantId};

    fn relay(id: u32, site: &str, legs: u64) -> RelayRow {
        RelayRow {
            certificate_until: None,
            id: RelayId(id),
            software: String::new(),
            site: site.into(),
            addresses: Vec::new(),
            connected: id != 3,
            drained: id == 2,
            legs,
            counters: Vec::new(),
        }
    }

    fn call(relays: &[u32]) -> CallRow {
        let record = CallRecord {
            call: CallId(1),
            tenant: TenantId(1),
            members: Vec::new(),
            desk: None,
            state: RecordState::Active,
            started: UnixMs(0),
            answered: None,
            ended: None,
            reason: None,
        };
        CallRow::live(record, relays.iter().map(|id| RelayId(*id)).collect(), Protected::None)
    }

    #[test]
    fn relays_stand_in_their_sites_and_calls_between_them() {
        let relays = [relay(1, "osaka", 8), relay(2, "tokyo", 2), relay(3, "osaka", 0)];
        let calls = [call(&[1, 2]), call(&[2, 1]), call(&[3, 1]), call(&[9, 1])];
        let drawn = map(&relays, &calls.each_ref());
        let names: Vec<_> = drawn.sites.iter().map(|site| site.name.as_str()).collect();
        assert_eq!(names, ["osaka", "tokyo"]);
        let kinds: Vec<_> = drawn.dots.iter().map(|dot| (dot.id, dot.kind)).collect();
        assert_eq!(kinds, [(1, "up"), (3, "lost"), (2, "drained")]);
        assert!(drawn.dots[0].radius > drawn.dots[2].radius);
        let calls: Vec<_> = drawn.lines.iter().map(|line| line.calls).collect();
        assert_eq!(calls, [2, 1], "one of a relay that is not there is not drawn");
        let inside = |dot: &Dot| (0.0..drawn.width).contains(&dot.x) && dot.y < drawn.height;
        assert!(drawn.dots.iter().all(inside));
        assert_eq!(map(&[], &[]).dots, []);
    }

    #[test]
    fn a_plot_begins_left_and_what_is_more_is_higher() {
        assert_eq!(points(&[0.0, 5.0, 10.0], 10.0), "0.0,23.0 50.0,12.0 100.0,1.0");
        assert_eq!(points(&[1.0], 10.0), "0.0,20.8");
        assert_eq!(points(&[], 1.0), "");
    }
}
