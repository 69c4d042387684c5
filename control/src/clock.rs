//! The one place of this crate that reads a clock, and that knows what clocks on walls show.

#![expect(clippy::disallowed_methods, reason = "this is the file that reads the clock")]

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970, for records that people read. Nothing is ordered by it.
#[derive(
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Debug,
    Default,
    Serialize,
    Deserialize,
    rkyv::Archive,
    rkyv::Serialize,
    rkyv::Deserialize,
)]
#[serde(transparent)]
pub struct UnixMs(pub u64);

/// A point in time as the pure parts see it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Now {
    /// Time of this process alone; never goes back. All deadlines are in it.
    pub since_start: Duration,
    /// What people's clocks say.
    pub wall: UnixMs,
}

/// What a node's clock shows when it starts: not 0, so that what began at another node before that
/// has a time here too. No call lasts for longer.
pub const CLOCK_STARTS: Duration = Duration::from_secs(366 * 24 * 3600);

/// Hands out [`Now`].
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts here, at [`CLOCK_STARTS`].
    pub fn start() -> Self {
        Self { start: Instant::now() }
    }

    /// The time.
    pub fn now(&self) -> Now {
        Now { since_start: CLOCK_STARTS + self.start.elapsed(), wall: UnixMs::now() }
    }
}

impl UnixMs {
    /// What the machine's clock says; 0 if it stands before 1970.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
    }

    /// The beginning of a day in UTC, written as `2026-11-30`.
    pub fn day(text: &str) -> Option<Self> {
        let date: Date = text.parse().ok()?;
        let begins = TimeZone::UTC.to_timestamp(date.at(0, 0, 0, 0)).ok()?;
        u64::try_from(begins.as_millisecond()).ok().map(Self)
    }

    /// The second in UTC, for people: `2026-11-30 21:05:09`.
    pub fn utc(self) -> String {
        let time = i64::try_from(self.0).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
        time.map_or_else(|| "?".to_owned(), |time| time.strftime("%Y-%m-%d %H:%M:%S").to_string())
    }

    /// The time that a `Date` of HTTP says (RFC 9110 5.6.7), which has whole seconds.
    pub fn of_http_date(text: &str) -> Option<Self> {
        let parsed = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
        u64::try_from(parsed.as_millisecond()).ok().map(Self)
    }
}

/// A time zone of the IANA database, which is part of this program.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(TimeZone);

/// What a clock on a wall shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LocalTime {
    /// Days since Monday, 0 to 6.
    pub weekday: usize,
    /// Minutes since midnight, 0 to 1439.
    pub minute: u16,
}

impl Zone {
    /// The zone of that name, such as `Asia/Tokyo`.
    pub fn named(name: &str) -> Option<Self> {
        let zone = TimeZone::get(name).ok()?;
        zone.iana_name().is_some().then_some(Self(zone))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0.iana_name().unwrap_or("UTC")
    }

    /// What clocks there show at that time: every time has one, and in the hour that summer time
    /// repeats, two times have the same.
    pub fn local(&self, at: UnixMs) -> LocalTime {
        let at = i64::try_from(at.0).ok().and_then(|at| Timestamp::from_millisecond(at).ok());
        let shown = self.0.to_datetime(at.unwrap_or(Timestamp::MAX));
        let part = |number: i8| u16::try_from(number).unwrap_or_default();
        LocalTime {
            weekday: part(shown.weekday().to_monday_zero_offset()).into(),
            minute: part(shown.hour()) * 60 + part(shown.minute()),
        }
    }
}

impl TryFrom<String> for Zone {
    type Error = String;

    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::named(&name).ok_or_else(|| {
            format!("{name:?} is no time zone: give a name such as \"Asia/Tokyo\" or \"UTC\"")
        })
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.name().to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks_show_what_their_zone_says() {
        // 2023-11-14 22:13:20 UTC, a Tuesday.
        let at = UnixMs(1_700_000_000_000);
        let shown = |zone: &str| {
            let LocalTime { weekday, minute } = Zone::named(zone).unwrap().local(at);
            (weekday, minute / 60, minute % 60)
        };
        assert_eq!(shown("UTC"), (1, 22, 13));
        assert_eq!(shown("Asia/Tokyo"), (2, 7, 13));
        assert_eq!(shown("America/New_York"), (1, 17, 13));
        assert_eq!(shown("Asia/Kathmandu"), (2, 3, 58));
    }

    #[test]
    fn an_hour_that_is_skipped_is_never_shown_and_one_that_is_repeated_is_shown_twice() {
        let zone = Zone::named("Europe/Berlin").unwrap();
        let minutes = |from: u64| (0..240).map(move |minute| UnixMs(from + minute * 60_000));
        let at_two = |at: &UnixMs| (120..180).contains(&zone.local(*at).minute);
        // From 2024-03-31 00:00 UTC and from 2024-10-27 00:00 UTC.
        assert_eq!(minutes(1_711_843_200_000).filter(at_two).count(), 0);
        assert_eq!(minutes(1_729_987_200_000).filter(at_two).count(), 120);
    }

    #[test]
    fn names_are_read_back_and_others_refused() {
        let zone = Zone::named("asia/tokyo").unwrap();
        assert_eq!(zone.name(), "Asia/Tokyo");
        assert_eq!(Zone::try_from(String::from(zone.clone())), Ok(zone.clone()));
        for bad in ["", "Nowhere/Else", "Etc/Unknown", "../etc/passwd", "JST-9"] {
            assert_eq!(Zone::named(bad), None, "{bad:?}");
        }
        assert_eq!(
            zone.local(UnixMs(u64::MAX)),
            Zone::named("Asia/Tokyo").unwrap().local(UnixMs(253_402_207_200_999))
        );
    }
}
