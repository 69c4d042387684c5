//! The session against a small control node of the test's own: real QUIC, real certificates.
#![allow(
    clippy::unwrap_used,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "tests may fail by panicking"
)]

use kakehashi_terminal::{DeviceSecret, Event, Events, Settings, Terminal, TerminalError, Timing};
use kakehashi_wire::frame::{ALPN_TERMINAL, FrameHeader};
use kakehashi_wire::id::{
    AccountId, CallId, DeviceId, Epoch, Generation, Incarnation, LegId, RequestId, SessionId,
    TenantId,
};
use kakehashi_wire::media::{Codec, StreamKind, StreamOffer};
use kakehashi_wire::secret::{Password, ResumeToken};
use kakehashi_wire::terminal::{
    CallEnd, CallEnded, Done, FromTerminal, Incoming, PathRenewed, Presence, PresenceEntry,
    PresenceState, Refusal, Refused, Resume, Resumed, Ringing, Role, SessionEnd, SessionEnded,
    SignedIn, ToTerminal,
};
use quinn::crypto::rustls::QuicServerConfig;
use quinn::{Endpoint, ServerConfig, VarInt};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use std::net::SocketAddr;
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

mod nodes;

/// How the test's control node behaves.
#[derive(Clone, Copy, PartialEq)]
enum Manner {
    /// Signs in, answers, rings.
    Kind,
    /// Answers every sign-in with a refusal.
    Refuses(Refusal, u32),
    /// Signs in, then ends the session at once.
    Ends(SessionEnd),
    /// Signs in and answers nothing more.
    Mute,
    /// Answers as if kind, but late.
    Slow,
    /// Calls whoever signs in, and drops the connection once a call is accepted or rings.
    Forgets,
    /// As if kind, with a token that it takes.
    Resumes,
    /// With a token that it does not take.
    Expires,
}

struct Control {
    endpoint: Endpoint,
    ca_pem: String,
    heard: Arc<Mutex<Vec<String>>>,
}

fn authority() -> (Issuer<'static, KeyPair>, String) {
    let mut params = CertificateParams::new(Vec::new()).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let key = KeyPair::generate().unwrap();
    let pem = params.self_signed(&key).unwrap().pem();
    (Issuer::new(params, key), pem)
}

impl Control {
    fn start(manner: Manner, alpn: &[u8]) -> Self {
        Self::start_of(&authority(), manner, alpn)
    }

    /// A node whose certificate is of this authority.
    fn start_of(
        (issuer, ca_pem): &(Issuer<'static, KeyPair>, String),
        manner: Manner,
        alpn: &[u8],
    ) -> Self {
        let ca_pem = ca_pem.clone();
        let key = KeyPair::generate().unwrap();
        let leaf = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        let certificate = leaf.signed_by(&key, issuer).unwrap();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut tls = rustls::ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&rustls::version::TLS13])
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], key)
            .unwrap();
        tls.alpn_protocols = vec![alpn.to_vec()];
        let config = ServerConfig::with_crypto(Arc::new(QuicServerConfig::try_from(tls).unwrap()));
        let endpoint = Endpoint::server(config, "127.0.0.1:0".parse().unwrap()).unwrap();
        let heard = Arc::new(Mutex::new(Vec::new()));
        let (accepting, log) = (endpoint.clone(), Arc::clone(&heard));
        tokio::spawn(async move {
            while let Some(incoming) = accepting.accept().await {
                let log = Arc::clone(&log);
                tokio::spawn(async move {
                    if let Ok(connection) = incoming.await {
                        converse(connection, manner, &log).await;
                    }
                });
            }
        });
        Self { endpoint, ca_pem, heard }
    }

    fn address(&self) -> SocketAddr {
        self.endpoint.local_addr().unwrap()
    }

    fn settings(&self) -> Settings {
        let port = self.endpoint.local_addr().unwrap().port();
        settings(port, self.ca_pem.clone())
    }

    fn heard(&self) -> Vec<String> {
        self.heard.lock().unwrap().clone()
    }
}

fn settings(port: u16, ca_pem: String) -> Settings {
    Settings {
        control: vec![format!("127.0.0.1:{port}")],
        server_name: Some("localhost".into()),
        ca_pem: ca_pem.into_bytes(),
        tenant: "ginza".into(),
        login: "store-1".into(),
        password: Password::new("secret".into()),
        device: DeviceId(0xd),
        device_secret: DeviceSecret::from_seed([0xd; 32]),
        software: "test".into(),
        source: None,
        timing: Timing {
            dial: Duration::from_millis(700),
            reply: Duration::from_millis(700),
            retry_least: Duration::from_millis(20),
            retry_most: Duration::from_millis(100),
            ..Timing::default()
        },
    }
}

async fn converse(connection: quinn::Connection, manner: Manner, log: &Mutex<Vec<String>>) {
    let Ok((mut send, mut receive)) = connection.accept_bi().await else { return };
    loop {
        let mut head = [0; FrameHeader::BYTES];
        if receive.read_exact(&mut head).await.is_err() {
            return;
        }
        let header = FrameHeader::parse(&head).unwrap();
        let mut body = vec![0; header.body_bytes()];
        receive.read_exact(&mut body).await.unwrap();
        let message = FromTerminal::decode(header.kind(), &body).unwrap();
        log.lock().unwrap().push(describe(&message));
        if manner == Manner::Slow && matches!(message, FromTerminal::Invite(_)) {
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
        for answer in answers(&message, manner) {
            send.write_all(&answer.encode().unwrap()).await.unwrap();
        }
        let begun = matches!(message, FromTerminal::Invite(_) | FromTerminal::Accept(_));
        if manner == Manner::Forgets && begun {
            // The answer must arrive before the end does.
            tokio::time::sleep(Duration::from_millis(200)).await;
            connection.close(VarInt::from_u32(7), b"cut by the test");
            return;
        }
        // Losing its invitee makes the node drop the connection: the test's way to cut it.
        if matches!(&message, FromTerminal::Invite(invite) if invite.login == "cut") {
            connection.close(VarInt::from_u32(7), b"cut by the test");
            return;
        }
    }
}

fn describe(message: &FromTerminal) -> String {
    match message {
        FromTerminal::SignIn(sign_in) => {
            assert_eq!(sign_in.password.expose(), "secret");
            format!("SignIn {}/{} {}", sign_in.tenant, sign_in.login, sign_in.device)
        }
        FromTerminal::Cancel(cancel) => format!("Cancel {}", cancel.call),
        other => other.name().to_owned(),
    }
}

fn signed_in(request: RequestId, manner: Manner) -> SignedIn {
    SignedIn {
        request,
        session: SessionId(1),
        tenant: TenantId(2),
        account: AccountId(3),
        display: "Store 1".into(),
        must_change_password: false,
        role: Role::Store,
        token: match manner {
            Manner::Resumes | Manner::Expires => ResumeToken::new(vec![7; 9]),
            _ => ResumeToken::none(),
        },
        grace_ms: 20_000,
    }
}

fn resumed(resume: &Resume) -> Resumed {
    assert_eq!(resume.token.as_bytes(), [7; 9]);
    let ended = CallEnded { call: CallId(5), reason: CallEnd::HungUp };
    Resumed {
        request: resume.request,
        session: SessionId(2),
        token: ResumeToken::new(vec![7; 9]),
        grace_ms: 20_000,
        calls: vec![CallId(8)],
        rings: Vec::new(),
        merged: Vec::new(),
        over: vec![ended],
    }
}

fn answers(message: &FromTerminal, manner: Manner) -> Vec<ToTerminal> {
    match message {
        FromTerminal::SignIn(sign_in) => {
            let request = sign_in.request;
            let signed_in = ToTerminal::from(signed_in(request, manner));
            match manner {
                Manner::Refuses(reason, retry_after_ms) => {
                    vec![Refused { request, reason, retry_after_ms }.into()]
                }
                Manner::Ends(reason) => vec![signed_in, SessionEnded { reason }.into()],
                _ => vec![signed_in],
            }
        }
        FromTerminal::Resume(resume) if manner == Manner::Expires => {
            let (request, reason) = (resume.request, Refusal::Expired);
            vec![Refused { request, reason, retry_after_ms: 0 }.into()]
        }
        FromTerminal::Resume(resume) => {
            vec![resumed(resume).into()]
        }
        FromTerminal::SignOut(_) => {
            vec![SessionEnded { reason: SessionEnd::SignedOut }.into()]
        }
        _ if manner == Manner::Mute => Vec::new(),
        FromTerminal::WatchPresence(watch) => {
            let entry = PresenceEntry {
                login: "concierge-1".into(),
                display: "Concierge".into(),
                state: PresenceState::Waiting,
            };
            let presence = Presence { complete: true, entries: vec![entry] };
            let mut answers = vec![Done { request: watch.request }.into(), presence.into()];
            if manner == Manner::Forgets {
                let (login, display) = ("concierge-1".into(), "Concierge".into());
                let streams = vec![AUDIO];
                answers.push(
                    Incoming { call: CallId(6), login, display, desk: String::new(), streams }
                        .into(),
                );
            }
            answers
        }
        FromTerminal::Accept(accept) => vec![Done { request: accept.request }.into()],
        FromTerminal::Invite(invite) if invite.login == "nobody" => vec![
            Refused { request: invite.request, reason: Refusal::NoSuchLogin, retry_after_ms: 0 }
                .into(),
        ],
        FromTerminal::Invite(invite) if invite.login == "cut" => Vec::new(),
        FromTerminal::Invite(invite) => {
            vec![Ringing { request: invite.request, call: CallId(5) }.into()]
        }
        FromTerminal::HangUp(hang_up) => {
            let renewed = PathRenewed { call: hang_up.call, leg: LegId(8), epoch: EPOCH };
            vec![renewed.into(), Done { request: hang_up.request }.into()]
        }
        _ => Vec::new(),
    }
}

async fn next(events: &mut Events) -> Event {
    let event = tokio::time::timeout(Duration::from_secs(5), events.next()).await;
    event.expect("an event within five seconds").expect("the session goes on")
}

/// Waits for the end; gives why.
async fn end(events: &mut Events) -> Option<TerminalError> {
    for _ in 0..10 {
        match next(events).await {
            Event::SessionEnded { why } => return why,
            Event::Reconnecting { why, .. } => eprintln!("reconnecting: {why:?}"),
            _ => {}
        }
    }
    panic!("the session goes on");
}

const EPOCH: Epoch = Epoch { incarnation: Incarnation(6), generation: Generation(7) };
const AUDIO: StreamOffer = StreamOffer { kind: StreamKind::Audio, codec: Codec::Opus };

#[tokio::test]
async fn a_session_asks_is_told_and_signs_out() {
    let control = Control::start(Manner::Kind, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    let early = terminal.watch_presence().await;
    assert_eq!(early, Err(TerminalError::NotConnected));
    assert!(matches!(next(&mut events).await, Event::SignedIn(s) if s.display == "Store 1"));
    terminal.watch_presence().await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Presence(p) if p.entries.len() == 1));
    let refused = terminal.invite("nobody", vec![AUDIO]).await.unwrap_err();
    assert!(refused.to_string().contains("no such login ID"), "{refused}");
    assert_eq!(terminal.invite("concierge-1", vec![AUDIO]).await, Ok(CallId(5)));
    assert!(matches!(next(&mut events).await, Event::Ringing { call: CallId(5) }));
    let too_many = terminal.invite("concierge-1", vec![AUDIO; 9]).await;
    assert!(matches!(too_many, Err(TerminalError::Settings { .. })), "{too_many:?}");
    terminal.hang_up(CallId(5)).await.unwrap();
    let renewed = PathRenewed { call: CallId(5), leg: LegId(8), epoch: EPOCH };
    assert!(matches!(next(&mut events).await, Event::PathRenewed(told) if told == renewed));
    terminal.sign_out().await.unwrap();
    assert_eq!(end(&mut events).await, None);
    assert!(events.next().await.is_none());
    assert_eq!(terminal.hang_up(CallId(5)).await, Err(TerminalError::Over));
    let heard = control.heard();
    assert_eq!(heard[0], "SignIn ginza/store-1 000000000000000d");
    assert_eq!(heard.last().unwrap(), "SignOut");
}

#[tokio::test]
async fn a_lost_connection_comes_back_with_the_same_device_and_presence() {
    let control = Control::start(Manner::Kind, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    terminal.watch_presence().await.unwrap();
    assert!(matches!(next(&mut events).await, Event::Presence(_)));
    let cut = terminal.invite("cut", vec![AUDIO]).await;
    assert!(matches!(cut, Err(TerminalError::Lost { .. })), "{cut:?}");
    let Event::Reconnecting { why, next_try } = next(&mut events).await else { panic!() };
    assert!(why.to_string().contains("cut by the test"), "{why}");
    assert!(next_try <= Duration::from_millis(20));
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    assert!(matches!(next(&mut events).await, Event::Presence(_)), "watched without being asked");
    let heard = control.heard();
    let sign_ins: Vec<_> = heard.iter().filter(|entry| entry.starts_with("SignIn")).collect();
    assert!(sign_ins.len() == 2 && sign_ins[0] == sign_ins[1]);
    assert_eq!(heard.iter().filter(|entry| *entry == "WatchPresence").count(), 2);
}

#[tokio::test]
async fn a_lost_connection_is_resumed_and_calls_are_set_right() {
    let control = Control::start(Manner::Resumes, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    assert_eq!(terminal.invite("concierge-1", vec![AUDIO]).await, Ok(CallId(5)));
    assert!(matches!(next(&mut events).await, Event::Ringing { call: CallId(5) }));
    let cut = terminal.invite("cut", vec![AUDIO]).await;
    assert!(matches!(cut, Err(TerminalError::Lost { .. })), "{cut:?}");
    assert!(matches!(next(&mut events).await, Event::Reconnecting { .. }));
    assert!(matches!(next(&mut events).await, Event::Resumed));
    let ended = next(&mut events).await;
    assert!(matches!(ended, Event::Ended { call: CallId(5), reason: CallEnd::HungUp }));
    // A call that nobody here knows is left.
    terminal.watch_presence().await.unwrap();
    let heard = control.heard();
    assert_eq!(heard.iter().filter(|entry| entry.starts_with("SignIn")).count(), 1);
    let after: Vec<_> = heard.iter().skip_while(|entry| *entry != "Resume").collect();
    assert_eq!(after, ["Resume", "HangUp", "WatchPresence"]);
}

#[tokio::test]
async fn a_token_that_counts_no_longer_is_followed_by_the_password() {
    let control = Control::start(Manner::Expires, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    assert_eq!(terminal.invite("concierge-1", vec![AUDIO]).await, Ok(CallId(5)));
    assert!(matches!(next(&mut events).await, Event::Ringing { .. }));
    let _cut = terminal.invite("cut", vec![AUDIO]).await;
    assert!(matches!(next(&mut events).await, Event::Reconnecting { .. }));
    assert!(matches!(next(&mut events).await, Event::Lost { call: CallId(5) }));
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    let sign_in = "SignIn ginza/store-1 000000000000000d";
    let heard = control.heard();
    assert_eq!(heard, [sign_in, "Invite", "Invite", "Resume", sign_in]);
}

#[tokio::test]
async fn what_will_not_pass_ends_the_session() {
    let manners = [
        Manner::Refuses(Refusal::BadCredentials, 0),
        Manner::Refuses(Refusal::SignedInElsewhere, 0),
        Manner::Ends(SessionEnd::Replaced),
    ];
    for manner in manners {
        let control = Control::start(manner, ALPN_TERMINAL);
        let (_terminal, mut events) = Terminal::start(control.settings()).unwrap();
        let why = end(&mut events).await.unwrap();
        let sign_ins = control.heard().len();
        assert_eq!(sign_ins, 1, "{why}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    for manner in [Manner::Refuses(Refusal::Busy, 30), Manner::Ends(SessionEnd::NodeStopping)] {
        let control = Control::start(manner, ALPN_TERMINAL);
        let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
        let mut tries = 0;
        while tries < 3 {
            if let Event::Reconnecting { next_try, .. } = next(&mut events).await {
                assert!(
                    manner == Manner::Ends(SessionEnd::NodeStopping)
                        || next_try >= Duration::from_millis(30)
                );
                tries += 1;
            }
        }
        terminal.sign_out().await.unwrap();
        assert_eq!(end(&mut events).await, None);
    }
}

#[tokio::test]
async fn a_wrong_authority_and_a_wrong_name_are_told_from_a_silent_network() {
    let control = Control::start(Manner::Kind, ALPN_TERMINAL);
    let (_, other_ca) = authority();
    let wrong_ca = Settings { ca_pem: other_ca.into_bytes(), ..control.settings() };
    let wrong_name =
        Settings { server_name: Some("elsewhere.example".into()), ..control.settings() };
    for settings in [wrong_ca, wrong_name] {
        let (_terminal, mut events) = Terminal::start(settings).unwrap();
        let why = end(&mut events).await.unwrap();
        assert!(matches!(why, TerminalError::NotTrusted { .. }), "{why:?}");
    }
    assert!(control.heard().is_empty(), "nothing was said to a node that is not trusted");

    // A port where nobody answers.
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let settings = settings(silent.local_addr().unwrap().port(), control.ca_pem.clone());
    let (_terminal, mut events) = Terminal::start(settings).unwrap();
    let Event::Reconnecting { why, .. } = next(&mut events).await else { panic!() };
    assert!(why.to_string().contains("did not answer: check the address"), "{why}");
}

#[tokio::test]
async fn another_protocol_is_a_version_mismatch() {
    let control = Control::start(Manner::Kind, b"kakehashi/9");
    let (_terminal, mut events) = Terminal::start(control.settings()).unwrap();
    let why = end(&mut events).await.unwrap();
    assert!(matches!(why, TerminalError::Version { .. }), "{why:?}");
}

#[tokio::test]
async fn a_request_without_an_answer_has_a_deadline() {
    let control = Control::start(Manner::Mute, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    assert_eq!(terminal.hang_up(CallId(1)).await, Err(TerminalError::NoReply));
}

#[tokio::test]
async fn a_call_nobody_waits_for_any_more_is_cancelled() {
    let control = Control::start(Manner::Slow, ALPN_TERMINAL);
    let (terminal, mut events) = Terminal::start(control.settings()).unwrap();
    assert!(matches!(next(&mut events).await, Event::SignedIn(_)));
    let hears = async |what: &str| {
        let heard = async {
            while !control.heard().iter().any(|entry| entry == what) {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(3), heard).await.expect(what);
    };
    let asking = terminal.clone();
    let asker = tokio::spawn(async move { asking.invite("concierge-1", vec![AUDIO]).await });
    hears("Invite").await;
    asker.abort();
    hears("Cancel 0000000000000005").await;
}

#[tokio::test]
async fn settings_that_cannot_work_are_refused_before_dialling() {
    let (_, ca) = authority();
    let no_pem = Settings { ca_pem: b"hello".to_vec(), ..settings(1, ca.clone()) };
    let bad_name = Settings { server_name: Some("not a name".into()), ..settings(1, ca) };
    for settings in [no_pem, bad_name] {
        let refused = Terminal::start(settings).err().unwrap();
        assert!(matches!(refused, TerminalError::Settings { .. }), "{refused}");
    }
}

/// Runs `kakehashi-terminal` against `control` until it ends.
async fn program(control: &Control, arguments: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let ca = folder.path().join("ca.pem");
    std::fs::write(&ca, &control.ca_pem).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_kakehashi-terminal"));
    command.env("KAKEHASHI_PASSWORD", "secret").arg("--ca").arg(ca).args(arguments);
    command.args(["--control", &control.settings().control[0], "--server-name", "localhost"]);
    command.args(["--tenant", "ginza", "--login", "store-1", "--device", "d"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let ended = async {
        while child.try_wait().unwrap().is_none() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await;
    // One that hangs must not keep the test from failing.
    let _ = child.kill();
    let output = child.wait_with_output().unwrap();
    assert!(ended.is_ok(), "the program goes on: {}", String::from_utf8_lossy(&output.stdout));
    output
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_lost_with_its_session_does_not_keep_the_next_one_out() {
    let control = Control::start(Manner::Forgets, ALPN_TERMINAL);
    let output = program(&control, &["wait", "--calls", "2"]).await;
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    let lost = "The call with concierge-1 did not come about: the connection to control was lost";
    assert_eq!(said.matches(lost).count(), 2, "{said}");
    let heard = control.heard();
    assert_eq!(heard.iter().filter(|entry| *entry == "Accept").count(), 2, "{heard:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_caller_whose_session_is_lost_while_it_rings_is_told() {
    let control = Control::start(Manner::Forgets, ALPN_TERMINAL);
    let output = program(&control, &["call", "concierge-1"]).await;
    let why = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && why.contains("call again"), "{why}");
}
