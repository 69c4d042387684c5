//! A browser as small as it can be: it keeps cookies, says where a form comes from, and signs in
//! with a password and an authenticator.

use super::super::common::{PASSWORD, Platform, client_tls, within};
use std::collections::BTreeMap;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use totp_rs::{Builder, Secret};

pub struct Answered {
    pub status: u16,
    pub head: String,
    pub body: String,
}

impl Answered {
    /// Where it leads.
    pub fn location(&self) -> &str {
        let mut lines = self.head.lines();
        lines.find_map(|line| line.strip_prefix("location: ")).unwrap_or_default()
    }
}

pub struct Browser<'a> {
    platform: &'a Platform,
    cookies: BTreeMap<String, String>,
    /// What forms carry.
    pub csrf: String,
    /// Codes that count once in place of the authenticator's.
    pub recovery: Vec<String>,
}

impl<'a> Browser<'a> {
    pub fn new(platform: &'a Platform) -> Self {
        Self { platform, cookies: BTreeMap::new(), csrf: String::new(), recovery: Vec::new() }
    }

    /// One that has signed in for the first time; no tenant is that of operators.
    pub async fn signed_in(platform: &'a Platform, tenant: &str, login: &str) -> Self {
        let mut browser = Self::new(platform);
        let fields = [("tenant", tenant), ("login", login), ("password", PASSWORD), ("to", "/now")];
        let answered = browser.post("/sign-in", &fields).await;
        assert!(answered.location().starts_with("/sign-in/enrol"), "{}", answered.body);
        let page = browser.get("/sign-in/enrol").await.body;
        let key = between(&page, "id=\"key\" class=\"key\">", "<");
        let secret = Secret::try_from_base32(key).unwrap();
        let totp = Builder::new().with_secret(secret).with_account_name("a").build().unwrap();
        let code = totp.generate_current().to_string();
        let answered = browser.post("/sign-in/enrol", &[("code", &code), ("to", "/now")]).await;
        assert!(answered.body.contains("class=\"codes\""), "{}", answered.body);
        let codes = answered.body.split("<li><code>").skip(1);
        browser.recovery = codes.map(|code| code.split('<').next().unwrap().to_owned()).collect();
        browser.learn_csrf().await;
        browser
    }

    /// Another of the same person, who signs in with a recovery code.
    pub async fn signed_in_again(&mut self, tenant: &str, login: &str) -> Self {
        let mut browser = Self::new(self.platform);
        let fields = [("tenant", tenant), ("login", login), ("password", PASSWORD), ("to", "/now")];
        let answered = browser.post("/sign-in", &fields).await;
        assert!(answered.location().starts_with("/sign-in/code"), "{}", answered.body);
        let code = self.recovery.pop().unwrap();
        let answered = browser.post("/sign-in/code", &[("code", &code), ("to", "/now")]).await;
        assert!(answered.location().starts_with('/'), "{}", answered.body);
        browser.learn_csrf().await;
        browser
    }

    async fn learn_csrf(&mut self) {
        let page = self.get("/me").await;
        assert_eq!(page.status, 200);
        self.csrf = between(&page.body, "name=\"csrf\" value=\"", "\"").to_owned();
    }

    pub async fn get(&mut self, path: &str) -> Answered {
        self.ask("GET", path, "", "").await
    }

    /// Sends a form as a page of the console would.
    pub async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Answered {
        let csrf = self.csrf.clone();
        self.post_from(&self.origin(), path, &[&[("csrf", &*csrf)][..], fields].concat()).await
    }

    /// Sends a form from anywhere.
    pub async fn post_from(
        &mut self,
        origin: &str,
        path: &str,
        fields: &[(&str, &str)],
    ) -> Answered {
        let mut body = form_urlencoded::Serializer::new(String::new());
        body.extend_pairs(fields);
        let head = if origin.is_empty() { String::new() } else { format!("Origin: {origin}\r\n") };
        self.ask("POST", path, &head, &body.finish()).await
    }

    fn host(&self) -> String {
        format!("localhost:{}", self.platform.node.console_addr.port())
    }

    pub fn origin(&self) -> String {
        format!("https://{}", self.host())
    }

    async fn ask(&mut self, method: &str, path: &str, head: &str, body: &str) -> Answered {
        let cookies: Vec<_> = self.cookies.iter().map(|(k, v)| format!("{k}={v}")).collect();
        let text = format!(
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nCookie: {}\r\n{head}\
             Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {}\r\n\r\n{body}",
            self.host(),
            cookies.join("; "),
            body.len(),
        );
        let mut tls = client_tls(&self.platform.pki()).with_no_client_auth();
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        let stream = TcpStream::connect(self.platform.node.console_addr).await.unwrap();
        let connecting = TlsConnector::from(Arc::new(tls));
        let name = "localhost".try_into().unwrap();
        let mut stream = within(connecting.connect(name, stream)).await.unwrap();
        stream.write_all(text.as_bytes()).await.unwrap();
        let mut out = Vec::new();
        // The other side may close without a word of TLS.
        let _ = within(stream.read_to_end(&mut out)).await;
        self.answered(&String::from_utf8(out).unwrap())
    }

    fn answered(&mut self, text: &str) -> Answered {
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        for line in head.lines() {
            let Some(cookie) = line.strip_prefix("set-cookie: ") else { continue };
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), value.to_owned());
        }
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Answered { status, head: head.to_owned(), body: body.to_owned() }
    }
}

/// What stands between two texts.
pub fn between<'t>(text: &'t str, before: &str, after: &str) -> &'t str {
    let (_, rest) = text.split_once(before).unwrap_or_else(|| panic!("no {before} in {text}"));
    rest.split_once(after).unwrap().0
}
