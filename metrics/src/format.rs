//! Which of two text formats somebody reads, and the text.

use crate::Shown;
use prometheus_client::encoding::{prometheus_text, text};
use std::fmt;

/// A text format.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// The text format of Prometheus, version 0.0.4.
    Prometheus,
}

impl Format {
    /// The format that the `Accept` header `accept` likes best (RFC 9110 12.5.1). OpenMetrics has
    /// to be named: whoever takes anything gets what all can read.
    pub fn of(accept: &str) -> Self {
        let (mut open, mut plain) = (0, 0);
        for range in accept.split(',') {
            let mut parts = range.split(';').map(str::trim);
            let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
            let parameters: Vec<_> = parts.filter_map(|part| part.split_once('=')).collect();
            let value = |name| {
                let found = parameters.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
                found.map(|(_, value)| value.trim_matches('"'))
            };
            let weight = value("q").map_or(1000, thousandths);
            match kind.as_str() {
                "application/openmetrics-text" if value("version").is_none_or(is_ours) => {
                    open = open.max(weight);
                }
                "text/plain" | "text/*" | "*/*" => plain = plain.max(weight),
                _ => {}
            }
        }
        if open > 0 && open >= plain { Self::OpenMetrics } else { Self::Prometheus }
    }

    /// What the `Content-Type` header says of it.
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
        }
    }

    /// All of `shown`, as it stands.
    ///
    /// # Errors
    /// Whoever knows the figures could not write them.
    pub fn text(self, shown: &Shown) -> Result<String, fmt::Error> {
        let mut written = String::new();
        match self {
            Self::OpenMetrics => text::encode(&mut written, &shown.registry)?,
            Self::Prometheus => prometheus_text::encode(&mut written, &shown.registry)?,
        }
        Ok(written)
    }
}

fn is_ours(version: &str) -> bool {
    version == "1.0.0"
}

/// A weight of `Accept`, 0 to 1, in thousandths; 0 if it is none.
fn thousandths(weight: &str) -> u16 {
    let (whole, part) = weight.split_once('.').unwrap_or((weight, ""));
    match whole {
        "1" => 1000,
        "0" => format!("{part:0<3}").get(..3).and_then(|part| part.parse().ok()).unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_openmetrics_gets_it_and_all_others_get_plain_text() {
        let prometheus_2 = "application/openmetrics-text;version=1.0.0,\
            application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,\
            */*;q=0.1";
        let cases = [
            (prometheus_2, Format::OpenMetrics),
            ("application/openmetrics-text", Format::OpenMetrics),
            ("Application/OpenMetrics-Text; Version=\"1.0.0\"; q=0.2", Format::OpenMetrics),
            ("application/openmetrics-text;q=0.3, text/plain;q=0.4", Format::Prometheus),
            ("application/openmetrics-text;version=0.0.1", Format::Prometheus),
            ("application/openmetrics-text;q=0", Format::Prometheus),
            ("text/plain", Format::Prometheus),
            ("*/*", Format::Prometheus),
            ("", Format::Prometheus),
            (";;=,;q", Format::Prometheus),
        ];
        for (accept, wanted) in cases {
            assert_eq!(Format::of(accept), wanted, "{accept}");
        }
    }

    #[test]
    fn weights_are_thousandths() {
        let weights = ["1", "1.000", "0.5", "0.05", "0.0015", "0", "2", "-1", "0.x", ""];
        assert_eq!(weights.map(thousandths), [1000, 1000, 500, 50, 1, 0, 0, 0, 0, 0]);
    }
}
