//! The asking side, for the operator's commands.

use super::bodies::{SignIn, Token};
use super::problem::{Document, why};
use super::routes::Verb;
use super::spelling::{Spelled, document, sign_in, sign_out, spell};
use super::token::{TOKEN_FILE, URL_FILE};
use crate::admin::{Answer, Request, Why};
use crate::capacity::{ADMIN_ANSWER_BYTES_MAX, API_ANSWER_TIMEOUT};
use crate::clock::UnixMs;
use crate::gate::identity::to_servers;
use crate::pki::{PkiError, load_roots};
use axum::body::Bytes;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, DATE, HOST};
use axum::http::{HeaderValue, Method, StatusCode, Uri};
use http_body_util::{BodyExt, Full, Limited};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use kakehashi_wire::secret::Password;
use rustls::RootCertStore;
use rustls_pki_types::ServerName;
use serde::de::DeserializeOwned;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use zeroize::Zeroizing;

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// No control has run there.
    #[error(
        "no control has run in {}: start it with `kakehashi up`, or name its folder with --data",
        data.display()
    )]
    NoControl {
        /// The data folder.
        data: PathBuf,
    },
    /// The files belong to somebody else.
    #[error("{} is another user's: run this command as the user of control", path.display())]
    NotYours {
        /// The file.
        path: PathBuf,
    },
    /// A file of the data folder cannot be used.
    #[error(transparent)]
    Pki(#[from] PkiError),
    /// Not an address.
    #[error("{0:?} is not where an API can be: give https://HOST:PORT")]
    Url(String),
    /// No token, by what it was given as.
    #[error("what was given as a token is none: give what POST /v1/tokens answered")]
    Token,
    /// Nobody is there.
    #[error(
        "nothing answers at {url}: if control is to run on this machine, start it with \
         `kakehashi up`; else check its address, and what lies between"
    )]
    NotRunning {
        /// Where it was sought.
        url: String,
    },
    /// It is somebody else, or not to be trusted.
    #[error("the API at {url} did not prove to be control: {error}; --ca names its authority")]
    Tls {
        /// Where.
        url: String,
        /// What is wrong.
        error: io::Error,
    },
    /// The connection broke.
    #[error("the control at {url} gave no answer: {error}; its log says more")]
    Broken {
        /// Where.
        url: String,
        /// What is wrong.
        error: hyper::Error,
    },
    /// It said something else.
    #[error(
        "the control at {url} gave an answer that this program does not understand: use the \
         `kakehashi` of the same release"
    )]
    Garbled {
        /// Where.
        url: String,
    },
    /// It does not answer.
    #[error("the control at {url} does not answer: see its log")]
    Silent {
        /// Where.
        url: String,
    },
    /// It answered that it will not.
    #[error("{detail}")]
    Refused {
        /// What kind of reason it is.
        why: Why,
        /// The reason, and what to do.
        detail: String,
    },
}

/// Asks the control whose data folder is `data` one thing, as its operator. A refusal is an error.
///
/// # Errors
/// [`ClientError`].
pub async fn request(data: &Path, request: Request) -> Result<Answer, ClientError> {
    Client::of_folder(data)?.ask(request).await
}

/// Where the control whose data folder is `data` has its API, and whom to trust there.
///
/// # Errors
/// [`ClientError`] if the folder is not a control's, or another user's.
pub fn place_of(data: &Path) -> Result<(String, RootCertStore), ClientError> {
    let url = read(data, URL_FILE)?.to_string();
    Ok((url, load_roots(&data.join("pki").join("ca.pem"))?))
}

/// By how many milliseconds the clock of the control at `url`, whose certificate is of one of
/// `roots`, is ahead of this machine's: to half a second, and half of what the answer took.
///
/// # Errors
/// [`ClientError`].
pub async fn skew_ms(url: &str, roots: RootCertStore) -> Result<i64, ClientError> {
    let client = Client::unknown(url, roots)?;
    let silent = ClientError::Silent { url: url.to_owned() };
    let asked = timeout(API_ANSWER_TIMEOUT, async {
        let mut sending = client.connect().await?;
        let (before, request) = (UnixMs::now(), client.request(document()));
        let response = sending.send_request(request).await.map_err(|error| client.broken(error))?;
        let middle = before.0.midpoint(UnixMs::now().0);
        let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
        let said = date.and_then(UnixMs::of_http_date);
        // What it says is cut off to whole seconds.
        let theirs = said.map(|said| said.0.saturating_add(500));
        let garbled = || ClientError::Garbled { url: url.to_owned() };
        theirs.and_then(|theirs| theirs.checked_signed_diff(middle)).ok_or_else(garbled)
    });
    asked.await.map_err(|_elapsed| silent)?
}

fn read(data: &Path, name: &str) -> Result<Zeroizing<String>, ClientError> {
    let path = data.join(name);
    std::fs::read_to_string(&path).map(Zeroizing::new).map_err(|error| match error.kind() {
        io::ErrorKind::PermissionDenied => ClientError::NotYours { path },
        _ => ClientError::NoControl { data: data.to_owned() },
    })
}

/// Speaks to one control. Keeps its connection for the next request.
pub struct Client {
    url: String,
    host: String,
    port: u16,
    tls: TlsConnector,
    /// `Authorization`, whole, of whoever is known.
    authorization: Option<HeaderValue>,
    sending: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    /// A client of the control whose data folder is `data`, as its operator.
    ///
    /// # Errors
    /// [`ClientError`] if the folder is not a control's, or another user's.
    pub fn of_folder(data: &Path) -> Result<Self, ClientError> {
        let (url, roots) = place_of(data)?;
        Self::new(&url, roots, &read(data, TOKEN_FILE)?)
    }

    /// A client of the API at `url`, whose certificate is of one of `roots`, with a token.
    ///
    /// # Errors
    /// [`ClientError::Url`], [`ClientError::Token`].
    pub fn new(url: &str, roots: RootCertStore, token: &str) -> Result<Self, ClientError> {
        let mut client = Self::unknown(url, roots)?;
        client.authorization = Some(bearer(token.trim_end())?);
        Ok(client)
    }

    /// The same for a person of a tenant, who signs in with the password and should
    /// [sign out](Self::sign_out) in the end.
    ///
    /// # Errors
    /// [`ClientError`]; a refusal is the same whichever of the three is wrong.
    pub async fn sign_in(
        url: &str,
        roots: RootCertStore,
        (tenant, login): (&str, &str),
        password: Password,
    ) -> Result<Self, ClientError> {
        let mut client = Self::unknown(url, roots)?;
        let (tenant, login) = (tenant.to_owned(), login.to_owned());
        let said = sign_in(&SignIn { tenant, login, password });
        let Token { token, .. } = client.answered(said).await?;
        client.authorization = Some(bearer(&token)?);
        Ok(client)
    }

    /// Ends the token that [`Self::sign_in`] got.
    ///
    /// # Errors
    /// [`ClientError`]; then it ends by itself when it has not been used for a while.
    pub async fn sign_out(&mut self) -> Result<(), ClientError> {
        self.answered(sign_out()).await.map(|_: Answer| self.authorization = None)
    }

    fn unknown(url: &str, roots: RootCertStore) -> Result<Self, ClientError> {
        let wrong = || ClientError::Url(url.to_owned());
        let uri: Uri = url.parse().map_err(|_| wrong())?;
        let (scheme, host) = (uri.scheme_str(), uri.host());
        let (Some("https"), Some(host), "/") = (scheme, host, uri.path()) else {
            return Err(wrong());
        };
        Ok(Self {
            url: url.trim_end_matches('/').to_owned(),
            host: host.trim_matches(['[', ']']).to_owned(),
            port: uri.port_u16().unwrap_or(443),
            tls: TlsConnector::from(Arc::new(to_servers(roots))),
            authorization: None,
            sending: None,
        })
    }

    /// Asks. A refusal is an error.
    ///
    /// # Errors
    /// [`ClientError`].
    pub async fn ask(&mut self, request: Request) -> Result<Answer, ClientError> {
        self.answered(spell(request)).await
    }

    async fn answered<T: DeserializeOwned>(&mut self, said: Spelled) -> Result<T, ClientError> {
        let (status, text) = self.exchange(said).await?;
        let garbled = || ClientError::Garbled { url: self.url.clone() };
        if status == StatusCode::OK {
            return serde_json::from_slice(&text).map_err(|_| garbled());
        }
        let Document { detail, .. } = serde_json::from_slice(&text).map_err(|_| garbled())?;
        Err(ClientError::Refused { why: why(status), detail })
    }

    async fn exchange(
        &mut self,
        spelled: Spelled,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), ClientError> {
        let silent = ClientError::Silent { url: self.url.clone() };
        timeout(API_ANSWER_TIMEOUT, self.converse(spelled)).await.map_err(|_elapsed| silent)?
    }

    async fn converse(
        &mut self,
        spelled: Spelled,
    ) -> Result<(StatusCode, Zeroizing<Vec<u8>>), ClientError> {
        let mut request = self.request(spelled);
        let response = loop {
            let kept = self.sending.take().filter(|sending| !sending.is_closed());
            let is_kept = kept.is_some();
            let mut sending = match kept {
                Some(kept) => kept,
                None => self.connect().await?,
            };
            match sending.try_send_request(request).await {
                Ok(response) => {
                    self.sending = Some(sending);
                    break response;
                }
                // Control closes what nobody uses. What it never saw may be said again.
                Err(mut error) => match error.take_message() {
                    Some(unsent) if is_kept => request = unsent,
                    _ => return Err(self.broken(error.into_error())),
                },
            }
        };
        let status = response.status();
        let body = Limited::new(response.into_body(), ADMIN_ANSWER_BYTES_MAX).collect().await;
        let garbled = |_| ClientError::Garbled { url: self.url.clone() };
        Ok((status, Zeroizing::new(body.map_err(garbled)?.to_bytes().to_vec())))
    }

    fn request(&self, Spelled { verb, path, body }: Spelled) -> hyper::Request<Full<Bytes>> {
        let body = body.map_or_else(Bytes::new, Bytes::from_owner);
        let mut request = hyper::Request::new(Full::new(body));
        *request.method_mut() = match verb {
            Verb::Get => Method::GET,
            Verb::Post => Method::POST,
            Verb::Put => Method::PUT,
            Verb::Delete => Method::DELETE,
        };
        *request.uri_mut() = path.parse().expect("invariant: segments are percent-encoded");
        let authority = self.url.trim_start_matches("https://");
        let headers = request.headers_mut();
        if let Some(known) = &self.authorization {
            headers.insert(AUTHORIZATION, known.clone());
        }
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        let host = HeaderValue::from_str(authority).expect("invariant: it was parsed as a URL");
        headers.insert(HOST, host);
        request
    }

    async fn connect(&self) -> Result<SendRequest<Full<Bytes>>, ClientError> {
        let url = || self.url.clone();
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = stream.map_err(|_refused| ClientError::NotRunning { url: url() })?;
        let _small_requests_at_once = stream.set_nodelay(true);
        let name = ServerName::try_from(self.host.clone()).map_err(|_| ClientError::Url(url()))?;
        let stream = self.tls.connect(name, stream).await;
        let stream = stream.map_err(|error| ClientError::Tls { url: url(), error })?;
        let (sending, connection) =
            handshake(TokioIo::new(stream)).await.map_err(|error| self.broken(error))?;
        // Ends with `sending`.
        tokio::spawn(connection);
        Ok(sending)
    }

    fn broken(&self, error: hyper::Error) -> ClientError {
        ClientError::Broken { url: self.url.clone(), error }
    }
}

/// `Authorization: Bearer` (RFC 6750 2.1).
fn bearer(token: &str) -> Result<HeaderValue, ClientError> {
    let text = Zeroizing::new(format!("Bearer {token}"));
    let mut value = HeaderValue::from_str(&text).map_err(|_| ClientError::Token)?;
    value.set_sensitive(true);
    Ok(value)
}
