//! A collector of OpenTelemetry: takes spans over HTTP, as the protocol has it, and keeps them.

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use prost::Message as _;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Runtime;

const PATH: &str = "/v1/traces";

/// A span as it arrived, numbers in hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    /// The program that it is of.
    pub service: String,
    /// Which of those programs.
    pub instance: String,
    /// What happened.
    pub name: String,
    /// Its trace.
    pub trace: String,
    /// Its own number.
    pub id: String,
    /// That of the span it is part of; empty for none.
    pub parent: String,
    /// How long it lasted.
    pub took: Duration,
    attributes: Vec<KeyValue>,
}

impl Span {
    /// A text that it holds.
    pub fn text(&self, key: &str) -> Option<&str> {
        text(&self.attributes, key)
    }
}

/// Takes spans until it is dropped.
pub struct Collector {
    address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
    _runtime: Runtime,
}

impl Collector {
    /// Listens on the loopback address.
    ///
    /// # Errors
    /// If the system does not let it.
    pub fn start() -> io::Result<Self> {
        let runtime = Runtime::new()?;
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)))?;
        let address = listener.local_addr()?;
        let spans = Arc::<Mutex<Vec<Span>>>::default();
        runtime.spawn(serve(listener, Arc::clone(&spans)));
        Ok(Self { address, spans, _runtime: runtime })
    }

    /// Where spans are to be sent.
    pub fn url(&self) -> String {
        format!("http://{}{PATH}", self.address)
    }

    /// What has arrived so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().map(|spans| spans.clone()).unwrap_or_default()
    }
}

async fn serve(listener: TcpListener, spans: Arc<Mutex<Vec<Span>>>) {
    while let Ok((stream, _)) = listener.accept().await {
        let spans = Arc::clone(&spans);
        let service = service_fn(move |request| take(request, Arc::clone(&spans)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
        tokio::spawn(connection);
    }
}

async fn take(
    request: Request<Incoming>,
    spans: Arc<Mutex<Vec<Span>>>,
) -> hyper::Result<Response<Full<Bytes>>> {
    let mut response = Response::new(Full::default());
    let kind = request.headers().get("content-type").and_then(|kind| kind.to_str().ok());
    let is_ours = request.uri().path() == PATH && kind == Some("application/x-protobuf");
    let body = request.into_body().collect().await?.to_bytes();
    match ExportTraceServiceRequest::decode(body) {
        Ok(request) if is_ours => {
            if let Ok(mut spans) = spans.lock() {
                spans.extend(read(request));
            }
        }
        _ => *response.status_mut() = StatusCode::BAD_REQUEST,
    }
    Ok(response)
}

fn read(request: ExportTraceServiceRequest) -> Vec<Span> {
    let mut spans = Vec::new();
    for of_one in request.resource_spans {
        let Resource { attributes, .. } = of_one.resource.unwrap_or_default();
        let of = |key| text(&attributes, key).unwrap_or_default().to_owned();
        let scopes = of_one.scope_spans.into_iter();
        spans.extend(scopes.flat_map(|scope| scope.spans).map(|span| Span {
            service: of("service.name"),
            instance: of("service.instance.id"),
            name: span.name,
            trace: hex::encode(span.trace_id),
            id: hex::encode(span.span_id),
            parent: hex::encode(span.parent_span_id),
            took: Duration::from_nanos(
                span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano),
            ),
            attributes: span.attributes,
        }));
    }
    spans
}

fn text<'a>(attributes: &'a [KeyValue], key: &str) -> Option<&'a str> {
    let found = attributes.iter().find(|attribute| attribute.key == key)?;
    match found.value.as_ref()?.value.as_ref()? {
        any_value::Value::StringValue(text) => Some(text),
        _ => None,
    }
}
