//! When may calls begin?

use crate::capacity::SPANS_PER_DAY_MAX;
use crate::clock::{LocalTime, Zone};
use serde::{Deserialize, Serialize};

/// Minutes of a day.
const DAY: u16 = 24 * 60;

/// Opening hours of a week, as clocks of a time zone show them. A day without any is closed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hours {
    /// Whose clocks.
    pub zone: Zone,
    /// Monday's.
    #[serde(default)]
    pub monday: Vec<Span>,
    /// Tuesday's.
    #[serde(default)]
    pub tuesday: Vec<Span>,
    /// Wednesday's.
    #[serde(default)]
    pub wednesday: Vec<Span>,
    /// Thursday's.
    #[serde(default)]
    pub thursday: Vec<Span>,
    /// Friday's.
    #[serde(default)]
    pub friday: Vec<Span>,
    /// Saturday's.
    #[serde(default)]
    pub saturday: Vec<Span>,
    /// Sunday's.
    #[serde(default)]
    pub sunday: Vec<Span>,
}

impl Hours {
    fn week(&self) -> [&[Span]; 7] {
        [
            &self.monday,
            &self.tuesday,
            &self.wednesday,
            &self.thursday,
            &self.friday,
            &self.saturday,
            &self.sunday,
        ]
    }

    /// Whether it is open when clocks show `at`.
    pub fn are_open(&self, at: LocalTime) -> bool {
        let today = self.week().get(at.weekday).copied().unwrap_or_default();
        today.iter().any(|span| (span.from..span.until).contains(&at.minute))
    }

    /// Whether each day has few spans, in order.
    pub fn are_in_order(&self) -> bool {
        self.week().iter().all(|day| {
            let in_order = day.windows(2).all(|pair| pair[0].until <= pair[1].from);
            day.len() <= SPANS_PER_DAY_MAX && in_order
        })
    }
}

/// From one minute of a day until before another: `09:00-18:00`; `24:00` is the day's end.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Span {
    from: u16,
    until: u16,
}

impl TryFrom<String> for Span {
    type Error = String;

    fn try_from(text: String) -> Result<Self, Self::Error> {
        let bad = || format!("{text:?} is no opening time: give one such as \"09:00-18:00\"");
        let (from, until) = text.split_once('-').ok_or_else(bad)?;
        let (from, until) = (minute(from).ok_or_else(bad)?, minute(until).ok_or_else(bad)?);
        if from < until && until <= DAY { Ok(Self { from, until }) } else { Err(bad()) }
    }
}

impl From<Span> for String {
    fn from(Span { from, until }: Span) -> Self {
        let [from, until] = [from, until].map(|at| format!("{:02}:{:02}", at / 60, at % 60));
        format!("{from}-{until}")
    }
}

fn minute(text: &str) -> Option<u16> {
    let number = |text: &str| {
        let is_plain = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
        is_plain.then(|| text.parse::<u16>().ok()).flatten()
    };
    let (hour, minute) = text.split_once(':')?;
    let (hour, minute) = (number(hour)?, number(minute)?);
    (minute < 60).then_some(hour * 60 + minute)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spans(texts: &[&str]) -> Vec<Span> {
        texts.iter().map(|text| Span::try_from((*text).to_owned()).unwrap()).collect()
    }

    fn hours(monday: &[&str]) -> Hours {
        Hours {
            zone: Zone::named("Asia/Tokyo").unwrap(),
            monday: spans(monday),
            tuesday: Vec::new(),
            wednesday: Vec::new(),
            thursday: Vec::new(),
            friday: Vec::new(),
            saturday: Vec::new(),
            sunday: spans(&["00:00-24:00"]),
        }
    }

    #[test]
    fn they_are_open_from_the_first_minute_until_before_the_last() {
        let hours = hours(&["09:00-12:30", "13:30-18:00"]);
        for (weekday, hour, minute, open) in [
            (0, 8, 59, false),
            (0, 9, 0, true),
            (0, 12, 29, true),
            (0, 12, 30, false),
            (0, 13, 30, true),
            (0, 18, 0, false),
            (1, 10, 0, false),
            (6, 0, 0, true),
            (6, 23, 59, true),
            (7, 10, 0, false),
        ] {
            let at = LocalTime { weekday, minute: hour * 60 + minute };
            assert_eq!(hours.are_open(at), open, "{at:?}");
        }
    }

    #[test]
    fn spans_out_of_order_and_too_many_are_noticed() {
        assert!(hours(&["09:00-12:00", "12:00-18:00"]).are_in_order());
        assert!(!hours(&["09:00-12:00", "11:59-18:00"]).are_in_order());
        assert!(!hours(&["13:00-18:00", "09:00-12:00"]).are_in_order());
        let many = ["00:00-00:01", "01:00-01:01", "02:00-02:01", "03:00-03:01", "04:00-04:01"];
        assert!(hours(&many[..SPANS_PER_DAY_MAX]).are_in_order());
        assert!(!hours(&many[..=SPANS_PER_DAY_MAX]).are_in_order());
    }

    #[test]
    fn what_is_no_span_is_refused() {
        for bad in [
            "",
            "09:00",
            "9:00-18:00",
            "09:00-09:00",
            "18:00-09:00",
            "09:00-24:01",
            "09:60-10:00",
            "+9:00-10:00",
            "09:00-18:00 ",
            "25:00-26:00",
            "09:00-18:00-19:00",
        ] {
            assert!(Span::try_from(bad.to_owned()).is_err(), "{bad:?}");
        }
    }

    proptest! {
        #[test]
        fn a_span_is_read_back(from in 0..DAY, length in 1..=DAY) {
            let span = Span { from, until: (from + length).min(DAY) };
            prop_assert_eq!(Span::try_from(String::from(span)), Ok(span));
        }
    }
}
