//! From a record of the log to a span. Pure, but that a number is drawn for it.
//!
//! The trace of a call has the call's number; of the spans in it, that of the whole call and those
//! of its rounds have the numbers of what they are, which is how others name them as their parents.

use crate::capacity::{ATTRIBUTES_MAX, VALUE_BYTES_MAX};
use core::fmt::{Debug, Write as _};
use core::time::Duration;
use opentelemetry::trace::{
    SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState,
};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};
use std::time::{SystemTime, UNIX_EPOCH};
use tracing::field::{Field, Visit};
use tracing::{Level, Metadata};

/// The record of what the whole trace is: what it took is the time of the call.
const CALL: &str = "call_ended";

/// The record of a round that relays hold: what it took is the time until they did.
const ROUND: &str = "round_entered";

/// Whether a record with this metadata becomes a span.
pub(super) fn is_of_a_call(metadata: &Metadata<'_>) -> bool {
    metadata.is_event() && metadata.fields().field("call").is_some()
}

/// What a record says.
#[derive(Default)]
pub(super) struct Record {
    event: String,
    call: Option<u64>,
    round: Option<u64>,
    took: Duration,
    attributes: Vec<KeyValue>,
    left_out: u32,
}

impl Record {
    /// The span of it, if it is of a call that it names; `drawn` is its number if nothing else is.
    pub(super) fn into_span(
        self,
        level: Level,
        now: SystemTime,
        drawn: SpanId,
        by: &InstrumentationScope,
    ) -> Option<SpanData> {
        let call = self.call.filter(|call| *call != 0)?;
        let whole = SpanId::from(call);
        let (id, parent) = match (self.event.as_str(), self.round) {
            (CALL, _) => (whole, SpanId::INVALID),
            (ROUND, Some(round)) => (SpanId::from(round), whole),
            (_, Some(round)) => (drawn, SpanId::from(round)),
            _ => (drawn, whole),
        };
        let trace = TraceId::from(u128::from(call));
        let is_fault = level == Level::ERROR;
        Some(SpanData {
            span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::NONE),
            parent_span_id: parent,
            parent_span_is_remote: false,
            span_kind: SpanKind::Internal,
            name: self.event.into(),
            start_time: now.checked_sub(self.took).filter(|at| *at >= UNIX_EPOCH).unwrap_or(now),
            end_time: now,
            attributes: self.attributes,
            dropped_attributes_count: self.left_out,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: if is_fault { Status::error("") } else { Status::Unset },
            instrumentation_scope: by.clone(),
        })
    }

    fn attribute(&mut self, field: &Field, value: impl Into<Value>) {
        if self.attributes.len() < ATTRIBUTES_MAX {
            self.attributes.push(KeyValue::new(field.name(), value));
        } else {
            self.left_out = self.left_out.saturating_add(1);
        }
    }

    fn text(&mut self, field: &Field, text: String) {
        let number = || u64::from_str_radix(&text, 16).ok();
        match field.name() {
            "message" => return,
            "event" => return self.event = text,
            "call" => self.call = number(),
            "round" => self.round = number(),
            _ => {}
        }
        self.attribute(field, text);
    }
}

impl Visit for Record {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let mut text = Cut(String::new());
        // An error is that it was cut.
        let _cut = write!(text, "{value:?}");
        self.text(field, text.0);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let mut text = Cut(String::new());
        let _cut = text.write_str(value);
        self.text(field, text.0);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attribute(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attribute(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if field.name() == "took_ms" {
            self.took = Duration::from_millis(value);
        }
        self.attribute(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attribute(field, value);
    }
}

/// Takes as much as a value may be long.
struct Cut(String);

impl core::fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> core::fmt::Result {
        let room = VALUE_BYTES_MAX - self.0.len();
        let fits = text.floor_char_boundary(room);
        self.0.push_str(&text[..fits]);
        if fits < text.len() { Err(core::fmt::Error) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::{Arc, Mutex};
    use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};

    const NOW: Duration = Duration::from_secs(1_800_000_000);
    const DRAWN: u64 = 0xd;

    /// The spans of what is logged, at one and the same time.
    #[derive(Clone, Default)]
    struct Heard(Arc<Mutex<Vec<SpanData>>>);

    impl<S: tracing::Subscriber> Layer<S> for Heard {
        fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
            let mut record = Record::default();
            event.record(&mut record);
            let is_of_a_call = is_of_a_call(event.metadata());
            let now = UNIX_EPOCH + NOW;
            let drawn = SpanId::from(DRAWN);
            let level = *event.metadata().level();
            let span = record.into_span(level, now, drawn, &InstrumentationScope::default());
            let span = span.filter(|_| is_of_a_call);
            self.0.lock().unwrap().extend(span);
        }
    }

    fn spans(work: impl FnOnce()) -> Vec<SpanData> {
        let heard = Heard::default();
        let subscriber = tracing_subscriber::registry().with(heard.clone());
        tracing::subscriber::with_default(subscriber, work);
        heard.0.lock().unwrap().clone()
    }

    fn attribute<'a>(span: &'a SpanData, key: &str) -> Option<&'a Value> {
        let found = span.attributes.iter().find(|attribute| attribute.key.as_str() == key);
        found.map(|attribute| &attribute.value)
    }

    #[test]
    fn a_calls_records_are_spans_of_its_trace() {
        let call = format_args!("00000000000000c1").to_string();
        let round = "0000000000000071".to_owned();
        let spans = spans(|| {
            tracing::debug!(event = "leg_installed", %call, %round, "installed");
            tracing::debug!(event = "round_entered", %call, %round, number = 0, took_ms = 40_u64,
                "held");
            tracing::error!(event = "call_not_stored", %call, error = "no", "not stored");
            tracing::info!(event = "call_ended", %call, answered = true, took_ms = 2_500_u64,
                "end");
        });
        let ids = |span: &SpanData| {
            let to = |id: SpanId| u64::from_be_bytes(id.to_bytes());
            (span.name.to_string(), to(span.span_context.span_id()), to(span.parent_span_id))
        };
        let wanted = [
            ("leg_installed", DRAWN, 0x71),
            ("round_entered", 0x71, 0xc1),
            ("call_not_stored", DRAWN, 0xc1),
            ("call_ended", 0xc1, 0),
        ];
        let wanted = wanted.map(|(name, id, parent)| (name.to_owned(), id, parent));
        assert_eq!(spans.iter().map(ids).collect::<Vec<_>>(), wanted);
        let end = UNIX_EPOCH + NOW;
        for (span, took_ms) in spans.iter().zip([0, 40, 0, 2_500]) {
            assert_eq!(span.span_context.trace_id().to_string(), format!("{:032x}", 0xc1));
            assert_eq!(span.end_time, end);
            assert_eq!(span.start_time, end - Duration::from_millis(took_ms), "{}", span.name);
            assert_eq!(span.status == Status::error(""), span.name == "call_not_stored");
        }
        assert_eq!(attribute(&spans[3], "answered"), Some(&true.into()));
        assert_eq!(attribute(&spans[0], "round"), Some(&round.into()));
        assert_eq!(attribute(&spans[0], "message"), None);
    }

    #[test]
    fn what_names_no_call_is_none() {
        let nobody: Option<&str> = None;
        let spans = spans(|| {
            tracing::info!(event = "node_ready", "ready");
            tracing::info!(event = "leg_removed", call = nobody, "removed");
            tracing::info!(event = "leg_removed", call = "0000000000000000", "removed");
            tracing::info!(event = "leg_removed", call = "anna\n", "removed");
            let _inside = tracing::info_span!("call", call = "0000000000000007").entered();
        });
        assert!(spans.is_empty(), "{spans:?}");
    }

    #[test]
    fn values_are_cut_and_times_before_all_time_are_none() {
        let long = "あ".repeat(VALUE_BYTES_MAX);
        let spans = spans(|| {
            tracing::info!(event = "call_ended", call = "07", took_ms = u64::MAX, a = long,
                b = ?long, "end");
        });
        let [span] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!(span.start_time, span.end_time);
        for key in ["a", "b"] {
            let Some(Value::String(text)) = attribute(span, key) else { panic!("{span:?}") };
            assert!(text.as_str().len() <= VALUE_BYTES_MAX && text.as_str().len() > 250);
        }
    }
}
