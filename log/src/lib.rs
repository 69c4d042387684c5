//! What a program tells whoever runs it. The log: one record a line on standard error, whatever the
//! values in it hold. Beside it [traces] of calls, and what the manager of [services](service)
//! hears.
//!
//! Logins, names and errors come from strangers. Characters that would begin another record, move
//! a terminal's cursor or turn the order of what is read around are escaped here, once for all
//! programs: `tracing-subscriber` escapes no field's `Display`, and in JSON no character beyond
//! those that JSON forbids.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "tests may fail by panicking"))]

pub mod capacity;
pub mod service;
pub mod traces;

use crate::traces::{NoTraces, Sender};
use core::time::Duration;
use std::fmt::{self, Debug, Write as _};
use std::io::{self, IsTerminal};
use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Registry};

/// How records look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Format {
    /// A line for people; at a terminal, with colours.
    Text,
    /// A JSON object a line.
    Json,
}

/// Why nothing is logged as was asked for.
#[derive(Debug, thiserror::Error)]
pub enum NotStarted {
    /// The filter that was given is none.
    #[error("is no log filter; try \"info\": {0}")]
    Filter(#[from] tracing_subscriber::filter::ParseError),
    /// Nothing can be sent to the collector that was given.
    #[error(transparent)]
    Traces(#[from] NoTraces),
}

/// A log that runs. The last spans are sent when it is dropped.
#[derive(Debug)]
#[must_use = "spans are sent as long as it is held"]
pub struct Running {
    #[cfg(feature = "otel")]
    _traces: Option<traces::Traces>,
}

/// Logs what passes `filter` (`info`, `debug`, `kakehashi_relay=debug,info`) to standard error from
/// here on, and sends spans of calls as `traces` say, in the name of `sender`; a log that runs
/// already stays.
///
/// # Errors
/// [`NotStarted`], and nothing is changed.
pub fn start(
    (filter, format): (&str, Format),
    traces: &traces::Settings,
    sender: &Sender,
) -> Result<Running, NotStarted> {
    let filter = EnvFilter::try_new(filter)?;
    let mut layers =
        vec![layer(format, io::stderr().is_terminal(), io::stderr).with_filter(filter).boxed()];
    let running = begin(traces, sender, &mut layers)?;
    if tracing_subscriber::registry().with(layers).try_init().is_err() {
        tracing::debug!(event = "log_already_set", "a log runs already");
    }
    Ok(running)
}

#[cfg(feature = "otel")]
fn begin(
    settings: &traces::Settings,
    sender: &Sender,
    layers: &mut Vec<AnyLayer>,
) -> Result<Running, NoTraces> {
    let collector = Some(settings.collector.as_str()).filter(|it| !it.is_empty());
    let traces = collector.map(|it| traces::Traces::start(it, sender)).transpose()?;
    layers.extend(traces.as_ref().map(|traces| traces.layer().boxed()));
    Ok(Running { _traces: traces })
}

#[cfg(not(feature = "otel"))]
fn begin(
    settings: &traces::Settings,
    _: &Sender,
    _: &mut Vec<AnyLayer>,
) -> Result<Running, NoTraces> {
    if settings.collector.is_empty() { Ok(Running {}) } else { Err(NoTraces::NotBuilt) }
}

/// A time as records hold it, in fields whose names end in `_ms`.
pub fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// What hears records.
type AnyLayer = Box<dyn Layer<Registry> + Send + Sync>;

fn layer<W>(format: Format, is_terminal: bool, writer: W) -> AnyLayer
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    // A reader of the log that goes away would take the program with it if errors were printed.
    let log = tracing_subscriber::fmt::layer().log_internal_errors(false);
    match format {
        Format::Text => log
            .with_ansi(is_terminal)
            .fmt_fields(debug_fn(field).delimited(" "))
            .with_writer(writer)
            .boxed(),
        Format::Json => log.json().with_writer(Escaping(writer)).boxed(),
    }
}

/// Whether a log must not hold `char` as it is: it ends a line, commands a terminal, is not seen,
/// or changes the direction or order of what is.
fn is_hostile(char: char) -> bool {
    char.is_control()
        || matches!(
            char,
            '\u{61c}'
                | '\u{200e}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2066}'..='\u{2069}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Writes a field of a line of text. Those of records that came by way of the crate `log` say where
/// they are from, which the line has said.
fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> fmt::Result {
    if field.name().starts_with("log.") {
        return Ok(());
    }
    if field.name() != "message" {
        write!(writer, "{}=", field.name())?;
    }
    write!(InText(writer), "{value:?}")
}

/// Escapes as Rust does: `\n`, `\u{202e}`.
struct InText<'a, 'b>(&'a mut Writer<'b>);

impl fmt::Write for InText<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        text.chars().try_for_each(|char| match is_hostile(char) {
            true => write!(self.0, "{}", char.escape_default()),
            false => self.0.write_char(char),
        })
    }
}

/// Escapes in whole records of JSON what JSON lets stand in a string: `\u202e`.
struct Escaping<W>(W);

impl<'a, W: MakeWriter<'a>> MakeWriter<'a> for Escaping<W> {
    type Writer = InJson<W::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        InJson(self.0.make_writer())
    }
}

struct InJson<W>(W);

impl<W: io::Write> io::Write for InJson<W> {
    /// Takes a record, which the subscriber writes in one piece.
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(record);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        if !line.contains(is_hostile) {
            self.0.write_all(record)?;
            return Ok(record.len());
        }
        let mut escaped = String::with_capacity(2 * text.len());
        for char in line.chars() {
            if is_hostile(char) {
                for unit in char.encode_utf16(&mut [0; 2]) {
                    write!(escaped, "\\u{unit:04x}").map_err(io::Error::other)?;
                }
            } else {
                escaped.push(char);
            }
        }
        escaped.push_str(&text[line.len()..]);
        self.0.write_all(escaped.as_bytes())?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a program logs that does `work`.
    fn logged(format: Format, is_terminal: bool, work: impl FnOnce()) -> String {
        let lines = Lines::default();
        let writer = lines.clone();
        let log = layer(format, is_terminal, move || writer.clone());
        let log = tracing_subscriber::registry().with(log.with_filter(EnvFilter::new("debug")));
        tracing::subscriber::with_default(log, work);
        let bytes = lines.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    const HOSTILE: [&str; 12] = [
        "anna\n2026-01-01T00:00:00Z  INFO it was the operator",
        "anna\r\nfoo",
        "anna\rroot",
        "\u{1b}[2J\u{1b}]0;title\u{7}",
        "\u{9b}31m",
        "anna\u{85}next",
        "anna\u{202e}toor",
        "\u{2066}anna\u{2069}\u{200f}\u{61c}",
        "anna\u{2028}line\u{2029}paragraph",
        "a\0b\u{7f}c\u{8}",
        "\u{e0041}\u{feff}",
        "\",\"event\":\"forged\"}\n{\"event\":\"forged\"",
    ];

    /// Each in all the ways in which values reach a log, and as a name in a span.
    fn log_all() {
        for name in HOSTILE {
            let span = tracing::info_span!("call", %name, debugged = ?name, plain = name);
            let _inside = span.enter();
            tracing::info!(event = "name_heard", %name, debugged = ?name, plain = name,
                error = &io::Error::other(name) as &(dyn std::error::Error + 'static),
                "heard {name}");
        }
    }

    fn assert_clean(log: &str) {
        assert_eq!(log.lines().count(), HOSTILE.len(), "{log:?}");
        for line in log.lines() {
            assert!(!line.contains(is_hostile), "{line:?}");
        }
        assert_eq!(log.chars().filter(|char| is_hostile(*char)).count(), HOSTILE.len());
    }

    #[test]
    fn a_hostile_name_makes_one_line_of_text() {
        let log = logged(Format::Text, false, log_all);
        assert_clean(&log);
        assert!(log.contains("name=anna\\u{202e}toor"), "{log}");
        assert!(log.contains(r"heard anna\r\nfoo event="), "{log}");
    }

    #[test]
    fn a_hostile_name_makes_one_object_of_json() {
        let log = logged(Format::Json, false, log_all);
        assert_clean(&log);
        for (line, name) in log.lines().zip(HOSTILE) {
            let record: serde_json::Value = serde_json::from_str(line).unwrap();
            let fields = &record["fields"];
            assert_eq!(fields["event"], "name_heard");
            for value in ["name", "plain", "error"] {
                assert_eq!(fields[value], name, "{line}");
            }
            assert_eq!(fields["message"], format!("heard {name}"));
            assert_eq!(record["span"]["name"], "call");
        }
    }

    #[test]
    fn colours_are_the_programs_own() {
        let log = logged(Format::Text, true, || {
            tracing::warn!(event = "name_heard", name = %"\u{1b}[8mhidden", "heard");
        });
        assert!(log.contains("\u{1b}["), "{log:?}");
        assert!(log.contains("name=\\u{1b}[8mhidden"), "{log:?}");
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        let sender = Sender { program: "relay", instance: String::new() };
        let log = ("kakehashi=loud=very", Format::Text);
        let error = start(log, &traces::Settings::default(), &sender).unwrap_err();
        assert!(error.to_string().contains("try \"info\""), "{error}");
    }
}
