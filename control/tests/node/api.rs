//! The operators' door over real TLS: whom it lets in, and what it does with everything else.

use super::common::{PASSWORD, Platform, client_tls, trusting, within};
use kakehashi_control::accounts::Standing;
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client::{Client, ClientError, request};
use kakehashi_control::capacity::{
    API_BODY_BYTES_MAX, API_CONNECTIONS_PER_ADDRESS, API_HEAD_BYTES_MAX, API_HEAD_TIMEOUT,
    API_HEADERS_MAX,
};
use rustls::RootCertStore;
use serde_json::Value;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::Instant;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

type Stream = TlsStream<TcpStream>;

fn token(platform: &Platform) -> String {
    std::fs::read_to_string(platform.folder.path().join("operator.token")).unwrap()
}

async fn secured(
    mut tls: rustls::ClientConfig,
    alpn: &[&[u8]],
    stream: TcpStream,
) -> io::Result<Stream> {
    tls.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    let connector = TlsConnector::from(Arc::new(tls));
    within(connector.connect("localhost".try_into().unwrap(), stream)).await
}

async fn connect(platform: &Platform) -> Stream {
    let tls = client_tls(&platform.pki()).with_no_client_auth();
    let stream = TcpStream::connect(platform.node.api_addr).await.unwrap();
    secured(tls, &[b"http/1.1"], stream).await.unwrap()
}

/// Everything that is answered to `bytes` until the other side closes.
async fn raw(platform: &Platform, bytes: &[u8]) -> String {
    let mut stream = connect(platform).await;
    // The other side may close before it has read all.
    let _ = stream.write_all(bytes).await;
    let mut out = Vec::new();
    let _ = within(stream.read_to_end(&mut out)).await;
    String::from_utf8(out).unwrap()
}

/// One request with the operator's token and more lines of head, on a connection that ends with it.
async fn asked(platform: &Platform, line: &str, head: &str, body: &str) -> String {
    let token = token(platform);
    let text = format!(
        "{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n{head}\r\n{body}"
    );
    raw(platform, text.as_bytes()).await
}

fn status(answer: &str) -> u16 {
    let code = answer.split(' ').nth(1).and_then(|code| code.parse().ok());
    code.unwrap_or_else(|| panic!("no answer: {answer:?}"))
}

fn body(answer: &str) -> Value {
    let (_, body) = answer.split_once("\r\n\r\n").unwrap();
    serde_json::from_str(body).unwrap_or_else(|_| panic!("not JSON: {answer}"))
}

/// The status of a problem document that says what it should.
fn problem(answer: &str) -> u16 {
    let (head, _) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.contains("content-type: application/problem+json"), "{answer}");
    let body = body(answer);
    assert_eq!((&body["type"], &body["status"]), (&"about:blank".into(), &status(answer).into()));
    assert!(body["detail"].as_str().unwrap().len() > 20 && body["code"].is_string(), "{body}");
    status(answer)
}

#[tokio::test]
async fn who_has_the_token_is_the_operator_and_nobody_else() {
    let platform = Platform::start().await;
    let folder = platform.folder.path().to_owned();
    let mode = |name: &str| folder.join(name).metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!((mode("operator.token"), mode("api.url")), (0o600, 0o600));
    let good = token(&platform);
    let ask = async |headers: &str| {
        let text = format!("GET /v1/tenants HTTP/1.1\r\nHost: x\r\n{headers}\r\n");
        let closing = text.replacen("\r\n", "\r\nConnection: close\r\n", 1);
        raw(&platform, closing.as_bytes()).await
    };
    let answer = ask(&format!("authorization: bearer {good}\r\n")).await;
    assert_eq!((status(&answer), body(&answer)["rows"][0]["name"].as_str()), (200, Some("bank")));
    assert!(answer.contains("cache-control: no-store") && answer.contains("nosniff"), "{answer}");
    let bad = [
        String::new(),
        "Authorization: Bearer \r\n".into(),
        format!("Authorization: Basic {good}\r\n"),
        format!("Authorization: {good}\r\n"),
        format!("Authorization: Bearer {}\r\n", &good[1..]),
        format!("Authorization: Bearer {good}0\r\n"),
        format!("Authorization: Bearer {}\r\n", "0".repeat(64)),
        format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"),
        "Authorization: Bearer \u{ff}\u{fe}\r\n".into(),
        format!("Cookie: token={good}\r\n"),
    ];
    for headers in bad {
        let answer = ask(&headers).await;
        assert_eq!(problem(&answer), 401, "{headers:?}");
        assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
        assert!(!answer.contains("shop") && !answer.contains("bank"), "{answer}");
    }
    platform.node.stop().await;

    let again = Platform::start_in(platform.folder).await;
    assert_ne!(token(&again), good, "another after each start");
    let old = format!("GET /v1/tenants HTTP/1.1\r\nAuthorization: Bearer {good}\r\n\r\n");
    assert_eq!(problem(&raw(&again, old.as_bytes()).await), 401);
    again.node.stop().await;
}

/// A line, lines of head, a body, and the status that they get.
type Case<'a> = (&'a str, String, String, u16);

fn wrong_requests() -> Vec<Case<'static>> {
    let none = String::new;
    let text = |text: &str| text.to_owned();
    let sent = |body: &str| {
        let head = format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
        (head, body.to_owned())
    };
    let post = |body: &str, status| {
        let (head, body) = sent(body);
        ("POST /v1/tenants", head, body, status)
    };
    let deep = format!("{{\"name\":{}", "[".repeat(10_000));
    vec![
        post("", 400),
        post("{", 400),
        post("[]", 400),
        post("{}", 400),
        post("\u{feff}{\"name\":\"new\"}", 400),
        post("{\"name\":1}", 400),
        post("{\"name\":\"new\",\"x\":1}", 400),
        post("{\"name\":\"new\",\"name\":\"other\"}", 400),
        post("{\"name\":\"new\"}{}", 400),
        post("{\"name\":\"new\\u0000\"}", 400),
        post("{\"name\":\"架け橋\"}", 400),
        post("{\"name\":\"new\",\"accounts\":-1}", 400),
        post("{\"name\":\"shop\"}", 409),
        post(&deep, 400),
        ("POST /v1/tenants", text("Content-Length: 14\r\n"), text("{\"name\":\"new\"}"), 415),
        ("POST /v1/tenants", text("Transfer-Encoding: chunked\r\n"), text("0\r\n\r\n"), 411),
        ("GET /v1/tenants", text("Content-Length: 2\r\n"), text("{}"), 400),
        ("GET /v1/tenants", text("Transfer-Encoding: chunked\r\n"), text("0\r\n\r\n"), 411),
        ("GET /v1/tenants?x=1", none(), none(), 400),
        ("GET /v1/calls?ended=many", none(), none(), 400),
        ("GET /v1/calls?ended=1&ended=2", none(), none(), 400),
        ("GET /v1/audit?limit=-1", none(), none(), 400),
        ("GET /v1/audit/verification?seq=1", none(), none(), 400),
        ("GET /v1/tenants/nowhere/accounts", none(), none(), 404),
        ("GET /v1/tenants/%2e%2e/accounts", none(), none(), 404),
        ("GET /v1/tenants/%ff/accounts", none(), none(), 400),
        ("GET /v1/tenants/shop%0d%0aX:%20y/accounts", none(), none(), 404),
        ("PUT /v1/tenants/shop/accounts/nobody/suspension", none(), none(), 404),
        ("PUT /v1/tenants/shop/accounts/a/devices/xyz/suspension", none(), none(), 400),
        ("GET /v1/tenants/", none(), none(), 404),
        ("GET /v1/../v1/tenants", none(), none(), 404),
        ("GET /", none(), none(), 404),
        ("PATCH /v1/tenants", none(), none(), 405),
        ("TRACE /v1/tenants", none(), none(), 405),
    ]
}

#[tokio::test]
async fn wrong_requests_are_refused_by_name_and_change_nothing() {
    let platform = Platform::start().await;
    for (line, head, content, expected) in wrong_requests() {
        let answer = asked(&platform, line, &head, &content).await;
        assert_eq!(problem(&answer), expected, "{line} {head} {content:.60}: {answer}");
    }
    let Answer::Tenants { rows } =
        request(platform.folder.path(), Request::TenantList {}).await.unwrap()
    else {
        panic!("tenants were asked for")
    };
    let names: Vec<_> = rows.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["bank", "shop"]);
    assert!(rows.iter().all(|row| row.standing.is_active()));
    platform.node.stop().await;
}

/// Where a request ends is never open to two readings, so nothing can be hidden behind one.
#[tokio::test]
async fn no_request_can_be_smuggled_in_another() {
    let platform = Platform::start().await;
    let token = token(&platform);
    let hidden = format!(
        "PUT /v1/tenants/shop/suspension HTTP/1.1\r\nAuthorization: Bearer {token}\r\n\r\n"
    );
    let length = hidden.len();
    let ends = [
        format!("Content-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: chunked\r\nContent-Length: {length}\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n{hidden}"),
        format!("Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n{hidden}"),
        format!("Content-Length: 0\r\nContent-Length: {length}\r\n\r\n{hidden}"),
        format!("Content-Length: +{length}\r\n\r\n{hidden}"),
        format!("Content-Length: {length}, 0\r\n\r\n{hidden}"),
        format!("Content-Length: {length}\r\n\r\n{hidden}"),
        format!("X: a\r\n b\r\n\r\n{hidden}"),
        format!("X: a\nContent-Length : {length}\r\n\r\n{hidden}"),
    ];
    for (nth, end) in ends.iter().enumerate() {
        let first = format!("GET /v1/openapi.json HTTP/1.1\r\nHost: x\r\n{end}");
        let refused = format!("GET /v1/nowhere HTTP/1.1\r\nHost: x\r\n{end}");
        let open = raw_until_quiet(&platform, first.as_bytes()).await;
        raw_until_quiet(&platform, refused.as_bytes()).await;
        let answers = open.matches("HTTP/1.1 ").count();
        // The eighth is plain: a body that the path does not take. Of the rest none has two.
        assert!(answers <= 1, "{nth}: {open}");
    }
    let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    assert_eq!(tenant.standing, Standing::Active);
    platform.node.stop().await;
}

/// What is answered to `bytes` before the other side closes or has nothing more to say.
async fn raw_until_quiet(platform: &Platform, bytes: &[u8]) -> String {
    let mut stream = connect(platform).await;
    let _ = stream.write_all(bytes).await;
    let (mut out, mut part) = (Vec::new(), [0; 16 * 1024]);
    let quiet = std::time::Duration::from_millis(300);
    while let Ok(Ok(read @ 1..)) = tokio::time::timeout(quiet, stream.read(&mut part)).await {
        out.extend_from_slice(&part[..read]);
    }
    String::from_utf8(out).unwrap()
}

#[tokio::test]
async fn too_much_is_refused_and_too_slow_is_closed() {
    let platform = Platform::start().await;
    let json = "Content-Type: application/json\r\n";
    let large = format!("{json}Content-Length: {}\r\n", API_BODY_BYTES_MAX + 1);
    assert_eq!(problem(&asked(&platform, "POST /v1/tenants", &large, "").await), 413);
    let endless = format!("{json}Content-Length: 99999999999999999999\r\n");
    assert!(matches!(status(&asked(&platform, "POST /v1/tenants", &endless, "").await), 400 | 413));
    let wide = format!("X: {}\r\n", "x".repeat(2 * API_HEAD_BYTES_MAX));
    assert_eq!(status(&asked(&platform, "GET /v1/tenants", &wide, "").await), 431);
    let many = "X: y\r\n".repeat(API_HEADERS_MAX);
    assert_eq!(status(&asked(&platform, "GET /v1/tenants", &many, "").await), 431);
    let fits = format!("X: {}\r\n", "x".repeat(API_HEAD_BYTES_MAX / 2));
    assert_eq!(status(&asked(&platform, "GET /v1/tenants", &fits, "").await), 200);

    let mut client = Client::of_folder(platform.folder.path()).unwrap();
    assert!(client.ask(Request::Status {}).await.is_ok());
    let begun = Instant::now();
    let head = async {
        let mut stream = connect(&platform).await;
        let line = "GET /v1/tenants HTTP/1.1\r\nX: ".bytes().chain(std::iter::repeat(b'x'));
        for byte in line {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
            if stream.write_all(&[byte]).await.is_err() || stream.flush().await.is_err() {
                break;
            }
        }
    };
    let slow = format!("{json}Content-Length: 20\r\n");
    let (answer, ()) = tokio::join!(asked(&platform, "POST /v1/tenants", &slow, "{"), within(head));
    assert_eq!(problem(&answer), 408);
    assert!(begun.elapsed() >= API_HEAD_TIMEOUT, "not sooner than it says");
    // By now its connection was closed as well: it takes another.
    assert!(client.ask(Request::Status {}).await.is_ok());
    platform.node.stop().await;
}

#[tokio::test]
async fn an_address_has_its_share_of_connections_and_others_have_theirs() {
    let platform = Platform::start().await;
    let mut held = Vec::new();
    for _ in 0..API_CONNECTIONS_PER_ADDRESS {
        held.push(connect(&platform).await);
    }
    let from = async |ip: [u8; 4]| {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind((ip, 0).into()).unwrap();
        let stream = socket.connect(platform.node.api_addr).await.unwrap();
        let tls = client_tls(&platform.pki()).with_no_client_auth();
        secured(tls, &[], stream).await.map(drop)
    };
    assert!(from([127, 0, 0, 1]).await.is_err(), "one too many");
    assert!(from([127, 0, 0, 2]).await.is_ok(), "another's is its own");
    held.pop();
    let again = async {
        while from([127, 0, 0, 1]).await.is_err() {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    within(again).await;
    platform.node.stop().await;
}

#[tokio::test]
async fn only_the_right_certificate_and_only_http_1_1() {
    let platform = Platform::start().await;
    let address = platform.node.api_addr;
    let tcp = || TcpStream::connect(address);
    let ours = || client_tls(&platform.pki()).with_no_client_auth();
    assert!(secured(ours(), &[b"h2"], tcp().await.unwrap()).await.is_err(), "HTTP/2 by ALPN");
    assert!(secured(ours(), &[b"h2", b"http/1.1"], tcp().await.unwrap()).await.is_ok());
    let preface = raw(&platform, b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
    assert!(!preface.contains("HTTP/2") && !preface.contains("200"), "{preface}");
    let mut plain = tcp().await.unwrap();
    plain.write_all(b"GET /v1/tenants HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut said = Vec::new();
    let _ = within(plain.read_to_end(&mut said)).await;
    assert!(!String::from_utf8_lossy(&said).contains("HTTP"), "without TLS nothing is said");

    let other = Platform::start().await;
    let stranger = trusting(other.pki().roots().unwrap()).with_no_client_auth();
    assert!(secured(stranger, &[], tcp().await.unwrap()).await.is_err());
    let url = format!("https://localhost:{}", address.port());
    let ask = async |url: &str, roots: RootCertStore| {
        let mut client = Client::new(url, roots, &token(&platform)).unwrap();
        within(client.ask(Request::Status {})).await.err()
    };
    assert!(ask(&url, platform.pki().roots().unwrap()).await.is_none());
    let foreign = ask(&url, other.pki().roots().unwrap()).await.unwrap();
    assert!(matches!(foreign, ClientError::Tls { .. }), "{foreign}");
    let by_name = format!("https://127.0.0.2:{}", address.port());
    let named = ask(&by_name, platform.pki().roots().unwrap()).await.unwrap();
    assert!(
        !named.to_string().is_empty() && !matches!(named, ClientError::Refused { .. }),
        "{named}"
    );
    for (node, _folder) in [platform, other].map(|it| (it.node, it.folder)) {
        node.stop().await;
    }
    let gone = ask_gone(&url).await;
    assert!(gone.to_string().contains("start it with `kakehashi up`"), "{gone}");
}

async fn ask_gone(url: &str) -> ClientError {
    let mut client = Client::new(url, RootCertStore::empty(), "x").unwrap();
    within(client.ask(Request::Status {})).await.err().unwrap()
}

#[tokio::test]
async fn a_folder_that_is_no_controls_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let error = request(folder.path(), Request::Status {}).await.err().unwrap();
    assert!(matches!(error, ClientError::NoControl { .. }), "{error}");
    for url in ["http://localhost:1", "localhost:1", "https://", "https://a/b", "", "\n"] {
        let made = Client::new(url, RootCertStore::empty(), "x");
        assert!(matches!(made, Err(ClientError::Url(_))), "{url:?}");
    }
}

/// What was begun is done even if nobody waits for the answer.
#[tokio::test]
async fn who_hangs_up_has_asked_all_the_same() {
    let platform = Platform::start().await;
    let token = token(&platform);
    let body = "{\"login\":\"new\"}";
    let text = format!(
        "POST /v1/tenants/shop/accounts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut stream = connect(&platform).await;
    stream.write_all(text.as_bytes()).await.unwrap();
    let audit = &platform.node.audit;
    let soon = || tokio::time::sleep(std::time::Duration::from_millis(1));
    // From here on a password is hashed, which takes longer than to hang up.
    within(async {
        while audit.newest(None, 1).await.unwrap().is_empty() {
            soon().await;
        }
    })
    .await;
    drop(stream);
    let tenant = platform.node.accounts.find_tenant("shop").await.unwrap().unwrap();
    within(async {
        while platform.node.accounts.find_login(tenant.id, "new").await.unwrap().is_none() {
            soon().await;
        }
        while audit.newest(None, 10).await.unwrap().len() < 2 {
            soon().await;
        }
    })
    .await;
    platform.node.stop().await;
}

/// What is answered to a sign-in.
async fn sign_in(platform: &Platform, tenant: &str, login: &str, password: &str) -> String {
    let body = serde_json::json!({ "tenant": tenant, "login": login, "password": password });
    let body = body.to_string();
    let text = format!(
        "POST /v1/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    raw(platform, text.as_bytes()).await
}

/// The token of an account that is an administrator from here on.
pub async fn administrator(platform: &Platform, tenant: &str, login: &str) -> String {
    let (tenant, login) = (tenant.to_owned(), login.to_owned());
    let role = kakehashi_wire::terminal::Role::TenantAdmin;
    let (of, who) = (tenant.clone(), login.clone());
    let set = Request::AccountRole { tenant: of, login: who, role };
    request(platform.folder.path(), set).await.unwrap();
    let answer = sign_in(platform, &tenant, &login, PASSWORD).await;
    assert_eq!(status(&answer), 200, "{answer}");
    body(&answer)["token"].as_str().unwrap().to_owned()
}

pub fn url(platform: &Platform) -> String {
    format!("https://localhost:{}", platform.node.api_addr.port())
}

pub fn client(platform: &Platform, token: &str) -> Client {
    Client::new(&url(platform), platform.pki().roots().unwrap(), token).unwrap()
}

#[tokio::test]
async fn an_administrator_manages_its_own_tenant_and_sees_no_other() {
    let platform = Platform::start().await;
    let token = administrator(&platform, "shop", "a").await;
    let mut admin = client(&platform, &token);
    let accounts = |tenant: &str| Request::AccountList { tenant: tenant.into() };
    let Answer::Accounts { rows } = admin.ask(accounts("shop")).await.unwrap() else { panic!() };
    assert_eq!(rows.len(), 3);
    let mut refusals = Vec::new();
    for other in ["bank", "nowhere"] {
        let refused = admin.ask(accounts(other)).await.err().unwrap().to_string();
        refusals.push(refused.replace(other, "X"));
    }
    assert_eq!(refusals[0], refusals[1], "another tenant is as absent as none");
    let refused = admin.ask(Request::TenantList {}).await.err().unwrap().to_string();
    assert!(refused.contains("not allowed"), "{refused}");
    let (tenant, login) = ("shop".to_owned(), "b".to_owned());
    let subject = kakehashi_control::accounts::Subject::Account { tenant, login };
    let suspended = admin.ask(Request::Suspend { subject, reason: None }).await;
    assert!(matches!(suspended, Ok(Answer::Suspended { media: Some(_) })));

    let plain = sign_in(&platform, "shop", "c", PASSWORD).await;
    let plain = body(&plain)["token"].as_str().unwrap().to_owned();
    let refused = client(&platform, &plain).ask(accounts("shop")).await.err().unwrap();
    assert!(refused.to_string().contains("not allowed"), "a store's account: {refused}");
    let rows = platform.node.audit.newest(None, 100).await.unwrap();
    let noted = |act: &str, place: &str| {
        let from = |text: &str| text.starts_with(place);
        rows.iter().any(|row| row.act.as_str() == act && from(row.from.as_str()))
    };
    assert!(noted("api_sign_in", "127.0.0.1:") && noted("account_suspend", "a 127.0.0.1:"));
    platform.node.stop().await;
}

#[tokio::test]
async fn wrong_sign_ins_are_alike_and_tokens_end_with_what_they_were_granted_for() {
    let platform = Platform::start().await;
    let mut answers = Vec::new();
    for (tenant, login, password) in
        [("shop", "a", "wrong"), ("shop", "x", PASSWORD), ("x", "a", PASSWORD), ("", "", "")]
    {
        let answer = sign_in(&platform, tenant, login, password).await;
        assert_eq!(problem(&answer), 403);
        answers.push(body(&answer));
    }
    assert!(answers.windows(2).all(|pair| pair[0] == pair[1]), "{answers:?}");

    let status_of = async |token: &str| {
        let text = format!(
            "GET /v1/tenants/shop/accounts HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
             Authorization: Bearer {token}\r\n\r\n"
        );
        status(&raw(&platform, text.as_bytes()).await)
    };
    let (tenant, login) = ("shop".to_owned(), "a".to_owned());
    let subject = kakehashi_control::accounts::Subject::Account { tenant, login };
    let folder = platform.folder.path();
    let token = administrator(&platform, "shop", "a").await;
    assert_eq!(status_of(&token).await, 200);
    request(folder, Request::Suspend { subject: subject.clone(), reason: None }).await.unwrap();
    assert_eq!(status_of(&token).await, 401, "suspended");
    assert_eq!(problem(&sign_in(&platform, "shop", "a", PASSWORD).await), 403);
    request(folder, Request::Reactivate { subject }).await.unwrap();
    assert_eq!(status_of(&token).await, 401, "a token that ended does not come back");

    let token = administrator(&platform, "shop", "a").await;
    let out = format!(
        "DELETE /v1/tokens HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    assert_eq!(status(&raw(&platform, out.as_bytes()).await), 200);
    assert_eq!(status_of(&token).await, 401, "signed out");

    let token = administrator(&platform, "shop", "a").await;
    let change = Request::AccountPassword {
        tenant: "shop".into(),
        login: "a".into(),
        password: Some(kakehashi_wire::secret::Password::new("another horse battery".into())),
        permanent: false,
    };
    request(folder, change).await.unwrap();
    assert_eq!(status_of(&token).await, 401, "another password");
    let once = sign_in(&platform, "shop", "a", "another horse battery").await;
    assert_eq!((problem(&once), &body(&once)["code"]), (403, &"must_change".into()));
    platform.node.stop().await;
}
