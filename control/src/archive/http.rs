//! What carries the requests to a bucket: HTTP/1.1 over TLS of the one provider, a connection for
//! each. They are few (one in minutes), so none is kept.

use super::{ArchiveError, S3Settings};
use crate::capacity::{ARCHIVE_ANSWER_BYTES_MAX, ARCHIVE_CONNECT_TIMEOUT};
use crate::gate::identity::to_servers;
use crate::pki::load_roots;
use core::fmt;
use core::pin::Pin;
use http_body_util::{BodyExt, Limited};
use hyper::client::conn::http1::handshake;
use hyper::header::{HOST, HeaderValue};
use hyper::rt::{Read, Write};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpRequestBody,
    HttpResponse, HttpResponseBody, HttpService,
};
use rustls_pki_types::ServerName;
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

/// Makes connections.
#[derive(Clone)]
pub(super) struct Connector {
    tls: Option<TlsConnector>,
}

impl fmt::Debug for Connector {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("Connector")
    }
}

impl Connector {
    /// For the service of `settings`.
    pub(super) fn new(settings: &S3Settings) -> Result<Self, ArchiveError> {
        if settings.endpoint.starts_with("http://") {
            return Ok(Self { tls: None });
        }
        let roots = load_roots(&settings.ca).map_err(|error| ArchiveError::File {
            path: settings.ca.clone(),
            what: format!("{error}; `archive.s3.ca` names the authorities of the service"),
        })?;
        Ok(Self { tls: Some(TlsConnector::from(Arc::new(to_servers(roots)))) })
    }

    async fn exchange(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (host, port) = target(request.uri(), self.tls.is_some())?;
        let reached = async {
            let stream = TcpStream::connect((host.trim_matches(['[', ']']), port)).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(stream)
        };
        let stream = in_time(reached).await?;
        match &self.tls {
            None => send(TokioIo::new(stream), request).await,
            Some(tls) => {
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned());
                let name = name.map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
                send(TokioIo::new(in_time(tls.connect(name, stream)).await?), request).await
            }
        }
    }
}

impl HttpConnector for Connector {
    fn connect(&self, _: &ClientOptions) -> object_store::Result<HttpClient> {
        Ok(HttpClient::new(self.clone()))
    }
}

impl HttpService for Connector {
    fn call<'a, 'b>(
        &'a self,
        request: HttpRequest,
    ) -> Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'b>>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.exchange(request))
    }
}

fn target(uri: &Uri, has_tls: bool) -> Result<(String, u16), HttpError> {
    let none = || HttpError::new(HttpErrorKind::Unknown, io::Error::other("a URL without host"));
    let host = uri.host().ok_or_else(none)?.to_owned();
    Ok((host, uri.port_u16().unwrap_or(if has_tls { 443 } else { 80 })))
}

async fn in_time<T>(work: impl Future<Output = io::Result<T>>) -> Result<T, HttpError> {
    let late = |error| HttpError::new(HttpErrorKind::Connect, error);
    let done = timeout(ARCHIVE_CONNECT_TIMEOUT, work).await.map_err(late)?;
    done.map_err(|error| HttpError::new(HttpErrorKind::Connect, error))
}

/// Sends one request, and ends the connection with the answer.
async fn send(
    stream: impl Read + Write + Unpin + Send + 'static,
    mut request: Request<HttpRequestBody>,
) -> Result<HttpResponse, HttpError> {
    let failed = |kind| move |error: hyper::Error| HttpError::new(kind, error);
    // In the form that servers are asked in; with the whole URL one asks a proxy.
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    if let Some(authority) = request.uri().authority().cloned()
        && !request.headers().contains_key(HOST)
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(HOST, host);
    }
    *request.uri_mut() =
        path.parse::<Uri>().map_err(|error| HttpError::new(HttpErrorKind::Unknown, error))?;
    let (mut sending, connection) =
        handshake(stream).await.map_err(failed(HttpErrorKind::Connect))?;
    tokio::spawn(connection);
    let answer = sending.send_request(request).await;
    let (head, body) = answer.map_err(failed(HttpErrorKind::Interrupted))?.into_parts();
    let body = Limited::new(body, ARCHIVE_ANSWER_BYTES_MAX).collect().await;
    let body = body.map_err(|error| HttpError::new_boxed(HttpErrorKind::Interrupted, error))?;
    Ok(Response::from_parts(head, HttpResponseBody::from(body.to_bytes())))
}
