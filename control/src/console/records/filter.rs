//! Which calls of a tenant are looked for.

use super::super::fields::Fields;
use crate::clock::UnixMs;
use crate::records::{CallRecord, RecordState};

/// Milliseconds of a day.
const DAY_MS: u64 = 24 * 3600 * 1000;

/// What was typed into the form: whatever is empty does not matter.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(super) struct Filter {
    /// Part of the login ID of a member.
    pub(super) login: String,
    /// Part of the name of the desk that was called or had the call last.
    pub(super) desk: String,
    /// The name of the reason.
    pub(super) reason: String,
    /// `answered`, `unanswered` or `live`.
    pub(super) outcome: String,
    /// The first day, UTC.
    pub(super) from: String,
    /// The last day, UTC.
    pub(super) to: String,
}

impl Filter {
    /// What a query asks for.
    pub(super) fn of(query: &Fields) -> Self {
        let text = |name: &str| query.text(name).to_lowercase();
        Self {
            login: text("login"),
            desk: text("desk"),
            reason: text("reason"),
            outcome: text("outcome"),
            from: text("from"),
            to: text("to"),
        }
    }

    /// The same as a query, of a tenant.
    pub(super) fn query(&self, tenant: &str, page: &str) -> String {
        let pairs = [
            ("tenant", tenant),
            ("login", &self.login),
            ("desk", &self.desk),
            ("reason", &self.reason),
            ("outcome", &self.outcome),
            ("from", &self.from),
            ("to", &self.to),
            ("page", page),
        ];
        Fields::query(&pairs).to_string()
    }

    /// Whether both days are days.
    pub(super) fn is_good(&self) -> bool {
        [&self.from, &self.to].into_iter().all(|day| day.is_empty() || UnixMs::day(day).is_some())
    }

    /// Whether `record` is looked for.
    pub(super) fn takes(&self, record: &CallRecord) -> bool {
        let has_login = record.members.iter().any(|member| member.login.contains(&self.login));
        let at_desk = record
            .desk
            .as_ref()
            .is_some_and(|desk| desk.called.contains(&self.desk) || desk.last.contains(&self.desk));
        let is_over = record.state == RecordState::Ended;
        let outcome = match self.outcome.as_str() {
            "answered" => record.answered.is_some(),
            "unanswered" => is_over && record.answered.is_none(),
            "live" => !is_over,
            _ => true,
        };
        let from = UnixMs::day(&self.from).map_or(0, |day| day.0);
        let until = UnixMs::day(&self.to).map_or(u64::MAX, |day| day.0.saturating_add(DAY_MS));
        has_login
            && (self.desk.is_empty() || at_desk)
            && (self.reason.is_empty()
                || record.reason.is_some_and(|reason| reason.name() == self.reason))
            && outcome
            && (from..until).contains(&record.started.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::records::DeskPart;
    use kakehashi_wire::terminal::CallEnd;

    fn record(started: &str) -> CallRecord {
        let started = UnixMs(UnixMs::day(started).unwrap().0 + DAY_MS - 1);
        let record = CallRecord {
            desk: Some(DeskPart { called: "sales".into(), last: "second".into(), waited_ms: 5 }),
            started,
            answered: Some(started),
            ..CallRecord::sample("store-1", "anna")
        };
        record.ended(UnixMs(started.0 + 5), CallEnd::HungUp)
    }

    fn takes(query: &str, record: &CallRecord) -> bool {
        Filter::of(&Fields::parse(query.as_bytes())).takes(record)
    }

    #[test]
    fn each_field_counts_and_an_empty_one_does_not() {
        let call = record("2026-11-30");
        for (query, is_taken) in [
            ("", true),
            ("login=Anna", true),
            ("login=store", true),
            ("login=ben", false),
            ("desk=sales", true),
            ("desk=second", true),
            ("desk=repairs", false),
            ("reason=hung_up", true),
            ("reason=rejected", false),
            ("outcome=answered", true),
            ("outcome=unanswered", false),
            ("outcome=live", false),
            ("from=2026-11-30&to=2026-11-30", true),
            ("from=2026-12-01", false),
            ("to=2026-11-29", false),
            ("login=anna&reason=rejected", false),
        ] {
            assert_eq!(takes(query, &call), is_taken, "{query}");
        }
        let unanswered = CallRecord { answered: None, desk: None, ..call };
        assert!(takes("outcome=unanswered", &unanswered) && !takes("desk=s", &unanswered));
    }

    #[test]
    fn what_is_no_day_is_noticed_and_a_query_is_read_back() {
        let filter = Filter::of(&Fields::parse(b"from=2026-02-30"));
        assert!(!filter.is_good());
        let filter = Filter::of(&Fields::parse(b"login=a%26b&to=2026-02-28&outcome=live"));
        assert!(filter.is_good());
        let again = Filter::of(&Fields::parse(filter.query("shop", "2").as_bytes()));
        assert_eq!(again, filter);
    }
}
