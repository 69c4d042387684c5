//! Sends spans to the collector, from a thread of its own: whoever logs never waits for it.

use super::span::{Record, is_of_a_call};
use super::{NoTraces, Sender};
use crate::capacity::{
    COLLECTOR_ANSWERS_WITHIN, SPANS_PER_REQUEST_MAX, SPANS_SENT_EVERY, SPANS_WAITING_MAX,
};
use core::sync::atomic::{AtomicBool, Ordering};
use http::uri::Scheme;
use http::{Request, Response, Uri};
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_http::hyper::HyperClient;
use opentelemetry_http::{Bytes, HttpClient, HttpError, ResponseExt as _};
use opentelemetry_otlp::{Protocol, SpanExporter, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, IdGenerator as _, RandomIdGenerator, SpanProcessor as _,
};
use std::sync::Arc;
use std::time::SystemTime;
use tokio::runtime::{Builder, Runtime};
use tracing::level_filters::LevelFilter;
use tracing::{Event, Subscriber};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::{Context, Layer};
use tracing_subscriber::registry::LookupSpan;

/// Sends spans until it is dropped, which sends what waits.
#[derive(Debug)]
pub(crate) struct Traces(Arc<BatchSpanProcessor>);

impl Traces {
    /// Sends to `collector`.
    pub(crate) fn start(collector: &str, sender: &Sender) -> Result<Self, NoTraces> {
        let address: Uri = collector.parse().map_err(|_| NoTraces::Address)?;
        if address.scheme() != Some(&Scheme::HTTP) || address.host().is_none_or(str::is_empty) {
            return Err(NoTraces::Address);
        }
        let sending = |error: &dyn core::fmt::Display| NoTraces::Sending(error.to_string());
        let exporter = SpanExporter::builder()
            .with_http()
            .with_http_client(Client::new().map_err(|error| sending(&error))?)
            .with_protocol(Protocol::HttpBinary)
            .with_endpoint(collector)
            .with_timeout(COLLECTOR_ANSWERS_WITHIN)
            .build()
            .map_err(|error| sending(&error))?;
        let batches = BatchConfigBuilder::default()
            .with_max_queue_size(SPANS_WAITING_MAX)
            .with_max_export_batch_size(SPANS_PER_REQUEST_MAX)
            .with_scheduled_delay(SPANS_SENT_EVERY)
            .build();
        let mut batches = BatchSpanProcessor::new(exporter, batches);
        batches.set_resource(&resource(sender));
        Ok(Self(Arc::new(batches)))
    }

    /// What hears the records.
    pub(crate) fn layer<S>(&self) -> impl Layer<S> + Send + Sync + 'static
    where
        S: Subscriber + for<'a> LookupSpan<'a>,
    {
        let filter = filter_fn(is_of_a_call).with_max_level_hint(LevelFilter::DEBUG);
        let by = InstrumentationScope::builder("kakehashi").build();
        Spans { to: Arc::clone(&self.0), by, draw: RandomIdGenerator::default() }
            .with_filter(filter)
    }
}

impl Drop for Traces {
    fn drop(&mut self) {
        if let Err(error) = self.0.shutdown_with_timeout(COLLECTOR_ANSWERS_WITHIN) {
            tracing::debug!(event = "last_traces_not_sent", %error, "the last spans are lost");
        }
    }
}

fn resource(sender: &Sender) -> Resource {
    Resource::builder_empty()
        .with_service_name(format!("kakehashi-{}", sender.program))
        .with_attribute(KeyValue::new("service.instance.id", sender.instance.clone()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .build()
}

/// Makes spans of records.
struct Spans {
    to: Arc<BatchSpanProcessor>,
    by: InstrumentationScope,
    draw: RandomIdGenerator,
}

impl<S: Subscriber> Layer<S> for Spans {
    #[expect(clippy::disallowed_methods, reason = "a record is stamped where it is logged")]
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        let mut record = Record::default();
        event.record(&mut record);
        let (level, now) = (*event.metadata().level(), SystemTime::now());
        if let Some(span) = record.into_span(level, now, self.draw.new_span_id(), &self.by) {
            self.to.on_end(span);
        }
    }
}

/// Asks the collector, and says when it begins and when it ceases to fail.
#[derive(Debug)]
struct Client {
    runtime: Runtime,
    http: HyperClient,
    fails: AtomicBool,
}

impl Client {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            runtime: Builder::new_current_thread().enable_all().build()?,
            http: HyperClient::with_default_connector(COLLECTOR_ANSWERS_WITHIN, None),
            fails: AtomicBool::new(false),
        })
    }
}

#[async_trait::async_trait]
impl HttpClient for Client {
    /// Must be called on a thread that runs nothing else: it blocks.
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let answer = self.runtime.block_on(self.http.send_bytes(request));
        let answer = answer.and_then(Response::error_for_status);
        let failed = self.fails.swap(answer.is_err(), Ordering::Relaxed);
        match &answer {
            Err(error) if !failed => tracing::warn!(event = "traces_not_sent", %error,
                "spans of calls are lost: see that the collector runs and takes OTLP over HTTP"),
            Ok(_) if failed => {
                tracing::info!(event = "traces_sent_again", "the collector takes spans again");
            }
            _ => {}
        }
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;
    use std::net::TcpListener;
    use std::time::Instant;
    use tracing_subscriber::layer::SubscriberExt as _;

    fn start(collector: &str) -> Result<Traces, NoTraces> {
        Traces::start(collector, &Sender { program: "relay", instance: "1".into() })
    }

    #[test]
    fn what_is_no_address_of_a_collector_is_refused() {
        let wrong = [
            "127.0.0.1:4318",
            "https://127.0.0.1:4318/v1/traces",
            "http://",
            "http:///v1/traces",
            "/v1/traces",
            "collector",
            "grpc://127.0.0.1:4317",
        ];
        for wrong in wrong {
            assert!(matches!(start(wrong), Err(NoTraces::Address)), "{wrong}");
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is about what really passes")]
    fn whoever_logs_waits_for_no_collector_and_what_is_too_much_is_lost() {
        // It takes connections and says nothing.
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/v1/traces", silent.local_addr().unwrap());
        let traces = start(&url).unwrap();
        let began = Instant::now();
        tracing::subscriber::with_default(
            tracing_subscriber::registry().with(traces.layer()),
            || {
                for _ in 0..2 * SPANS_WAITING_MAX {
                    tracing::info!(event = "call_began", call = "07", "a call rings");
                }
            },
        );
        let logged = began.elapsed();
        drop(traces);
        let ended = began.elapsed() - logged;
        assert!(logged < COLLECTOR_ANSWERS_WITHIN, "{logged:?}: it waits for the collector");
        assert!(ended < 3 * COLLECTOR_ANSWERS_WITHIN + Duration::from_secs(1), "{ended:?}");
    }
}
