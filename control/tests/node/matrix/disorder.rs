//! Requests out of order, twice, too late, from the wrong party, with another tenant's ids, and
//! with names that are none: a typed refusal, no state changed, and one line in the log that cannot
//! be broken into two.

use super::super::common::device_of;
use super::super::common::relay::Relay;
use super::*;
use kakehashi_wire::frame::FrameHeader;
use kakehashi_wire::limits::NAME_BYTES_MAX;
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{Refusal, ToTerminal};
use rkyv::api::high::HighSerializer;
use rkyv::rancor::Failure;
use rkyv::ser::allocator::ArenaHandle;
use rkyv::util::AlignedVec;
use std::collections::BTreeSet;
use std::io;
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;

/// What is said of a call, as far as it matters who says it and when.
const ABOUT_A_CALL: [Act; 12] = [
    Act::Accept,
    Act::Reject,
    Act::Cancel,
    Act::HangUp,
    Act::Hold,
    Act::Mute,
    Act::Share,
    Act::ChooseLayer,
    Act::AddMember,
    Act::AddDesk,
    Act::Merge,
    Act::Listen,
];

/// What the caller has no business to say while it rings.
const TOO_EARLY_FOR_THE_CALLER: [Act; 7] =
    [Act::Accept, Act::Reject, Act::Hold, Act::AddMember, Act::AddDesk, Act::Merge, Act::Listen];

/// What whoever is called has no business to say while it rings.
const TOO_EARLY_FOR_THE_CALLEE: [Act; 8] = [
    Act::Hold,
    Act::Mute,
    Act::Share,
    Act::ChooseLayer,
    Act::AddMember,
    Act::AddDesk,
    Act::Merge,
    Act::Listen,
];

/// What nobody in a call has to say of it any more.
const SAID_BEFORE: [Act; 4] = [Act::Accept, Act::Reject, Act::Merge, Act::Listen];

/// Names that nothing has.
const NO_NAMES: [&str; 7] = [
    "",
    "a\nb",
    "a\r\n2026-01-01T00:00:00.000000Z  INFO kakehashi_control: all is well",
    "\u{1b}[2J\u{1b}[31m",
    "\0",
    "a\u{2028}b\u{85}\u{7f}",
    "\u{202e}nimda",
];

/// The log of the node.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Takes in all that is logged on this thread: as the program writes it, and more of it.
    fn listen() -> (Self, DefaultGuard) {
        let log = Self::default();
        let writer = log.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter("kakehashi_control=debug")
            .with_ansi(false)
            .with_writer(move || writer.clone())
            .finish();
        (log, tracing::subscriber::set_default(subscriber))
    }

    /// Whatever ends a line for somebody who reads it.
    fn lines(&self) -> Vec<String> {
        let text = String::from_utf8(self.0.lock().unwrap().clone()).unwrap();
        let ends = |it: char| it != ' ' && (it.is_control() || it.is_whitespace());
        text.split_terminator('\n').flat_map(|line| line.split(ends)).map(str::to_owned).collect()
    }
}

/// A node of which everything is seen.
struct Seen {
    platform: Platform,
    log: Log,
    _logging: DefaultGuard,
    refused: usize,
    reasons: BTreeSet<String>,
}

impl Seen {
    /// All that requests can change: calls with their members, and sessions.
    async fn state(&self) -> String {
        let live = self.platform.node.live();
        let calls = live.live_calls().await.unwrap();
        let calls: Vec<_> = calls.iter().map(|row| format!("{:?}", row.record)).collect();
        format!("{calls:#?} {:#?}", live.sessions().await.unwrap())
    }

    /// Says what nobody may say there, and sees that it is refused.
    async fn refuses(&mut self, who: &mut Terminal, message: FromTerminal, what: &str) {
        let bytes = message.encode().unwrap();
        self.refuses_bytes(who, bytes, what).await;
    }

    async fn refuses_bytes(&mut self, who: &mut Terminal, bytes: Vec<u8>, what: &str) {
        let (state, lines) = (self.state().await, self.log.lines().len());
        let heard = answers_to(who, bytes).await;
        let [(kind, body)] = &heard[..] else { panic!("{what}: heard {heard:?}") };
        let ToTerminal::Refused(refused) = ToTerminal::decode(*kind, body).unwrap() else {
            panic!("{what}: {kind:#06x} is no refusal")
        };
        assert_eq!(refused.request, REQUEST, "{what}");
        assert_eq!(self.state().await, state, "{what}");
        let mut said = self.log.lines().split_off(lines);
        said.retain(|line| line.contains(" kakehashi_control::driver::refusals: "));
        let about = |request: RequestId| {
            let told = format!("request={} ", request.0);
            said.iter().filter(|line| line.contains(" refused ") && line.contains(&told)).count()
        };
        assert_eq!((about(REQUEST), about(FENCE)), (1, 1), "{what}: {said:#?}");
        // From time to time there is a count, for whoever does not look at the level of these.
        let counts = said.iter().filter(|line| line.contains("requests were refused")).count();
        assert_eq!(said.len(), 2 + counts, "{what}: {said:#?}");
        self.refused += 1;
        self.reasons.insert(format!("{:?}", refused.reason));
    }

    /// Says these about a call.
    async fn refuses_all(&mut self, who: &mut Terminal, acts: &[Act], call: CallId, what: &str) {
        for act in acts {
            let named = Named { tenant: "shop", login: "c", call };
            let Asked::Terminal(said) = asked(*act, named, NEVER) else { unreachable!() };
            for message in said {
                self.refuses(who, message, &format!("{what}: {act:?}")).await;
            }
        }
    }
}

/// A message whose names are too long to be encoded in good order.
fn overlong<T>(name: &str, message: &T) -> Vec<u8>
where
    T: for<'a> rkyv::Serialize<HighSerializer<AlignedVec, ArenaHandle<'a>, Failure>>,
{
    let (kind, _) = FromTerminal::KINDS.iter().find(|(_, it)| *it == name).unwrap();
    let body = rkyv::to_bytes::<Failure>(message).unwrap();
    let mut bytes = FrameHeader::new(*kind, body.len()).unwrap().to_bytes().to_vec();
    bytes.extend_from_slice(&body);
    bytes
}

/// Nobody said anything to it.
async fn has_heard_nothing(who: &mut Terminal, what: &str) {
    let heard = answers(who, quality(NEVER).into()).await;
    assert_eq!(heard, [], "{what}");
}

async fn said_with_names(seen: &mut Seen, who: &mut Terminal, call: CallId) {
    let (request, streams, then_leave) = (REQUEST, || vec![AUDIO], false);
    let too_long = "x".repeat(NAME_BYTES_MAX + 1);
    for name in NO_NAMES.into_iter().chain([too_long.as_str()]) {
        let (login, desk) = (|| name.to_owned(), || name.to_owned());
        let said = [
            overlong("Invite", &Invite { request, login: login(), streams: streams() }),
            overlong("InviteDesk", &InviteDesk { request, desk: desk(), streams: streams() }),
            overlong("AddMember", &AddMember { request, call, login: login(), then_leave }),
            overlong("AddDesk", &AddDesk { request, call, desk: desk(), then_leave }),
        ];
        for bytes in said {
            // To ask no desk any more is no mistake.
            if name.is_empty()
                && bytes
                    == overlong(
                        "AddDesk",
                        &AddDesk { request, call, desk: String::new(), then_leave },
                    )
            {
                continue;
            }
            seen.refuses_bytes(who, bytes, &format!("{name:?}")).await;
        }
    }
}

async fn strangers_without_names(platform: &Platform) {
    for name in NO_NAMES {
        let mut stranger = Terminal::open(platform.connect().await).await;
        for (tenant, login) in [(name, "a"), ("shop", name)] {
            let refused = stranger.sign_in(tenant, login, "wrong", 1).await.err().unwrap();
            assert_eq!(refused.reason, Refusal::BadCredentials, "{name:?}");
        }
    }
}

#[tokio::test]
async fn what_is_out_of_order_is_refused_changes_nothing_and_is_one_line_of_the_log() {
    let (log, logging) = Log::listen();
    let folder = tempfile::tempdir().unwrap();
    let platform = Platform::start_with(folder, |config| config.calls.no_answer_s = 120).await;
    let relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("shop", "c").await;
    let mut z = platform.terminal("bank", "z").await;
    let reasons = BTreeSet::new();
    let mut seen = Seen { platform, log, _logging: logging, refused: 0, reasons };

    let call = a.invite("b").await.unwrap();
    assert_eq!(b.incoming().await, call);
    seen.refuses_all(&mut c, &ABOUT_A_CALL, call, "it rings, another account").await;
    seen.refuses_all(&mut z, &ABOUT_A_CALL, call, "it rings, another tenant").await;
    seen.refuses_all(&mut a, &TOO_EARLY_FOR_THE_CALLER, call, "it rings, the caller").await;
    seen.refuses_all(&mut b, &TOO_EARLY_FOR_THE_CALLEE, call, "it rings, the callee").await;
    for login in ["b", "a", "z"] {
        let again = Invite { request: REQUEST, login: login.into(), streams: vec![AUDIO] };
        seen.refuses(&mut a, again.into(), &format!("calls {login} while it calls")).await;
    }

    b.accept(call).await;
    for terminal in [&mut a, &mut b] {
        while !matches!(terminal.hear().await, Some(ToTerminal::CallReady(_))) {}
        answers(terminal, quality(NEVER).into()).await;
    }
    seen.refuses_all(&mut c, &ABOUT_A_CALL, call, "it goes on, another account").await;
    seen.refuses_all(&mut z, &ABOUT_A_CALL, call, "it goes on, another tenant").await;
    for who in [&mut a, &mut b] {
        seen.refuses_all(who, &SAID_BEFORE, call, "it goes on, a member").await;
        said_with_names(&mut seen, who, call).await;
        let member = MemberId(99);
        let layer = ChooseLayer { request: REQUEST, call, member, layer: Layer::Low };
        seen.refuses(who, layer.into(), "a layer of nobody").await;
    }

    let request = a.request();
    a.say(HangUp { request, call }).await;
    for terminal in [&mut a, &mut b] {
        while !matches!(terminal.hear().await, Some(ToTerminal::CallEnded(_))) {}
        answers(terminal, quality(NEVER).into()).await;
    }
    let everybody = [&mut a, &mut b, &mut c, &mut z];
    for (who, name) in everybody.into_iter().zip(["a", "b", "c", "z"]) {
        let what = format!("it is over, {name}");
        seen.refuses_all(who, &ABOUT_A_CALL, call, &what).await;
        let again = who.sign_in("shop", "a", PASSWORD, device_of("a")).await.err().unwrap();
        assert_eq!(again.reason, Refusal::BadRequest, "{what}");
        let again = who.resume(&ResumeToken::none(), device_of("a")).await.err().unwrap();
        assert_eq!(again.reason, Refusal::BadRequest, "{what}");
        has_heard_nothing(who, &what).await;
    }

    strangers_without_names(&seen.platform).await;
    assert!(seen.refused > 150, "{}", seen.refused);
    println!("{} refused: {:?}", seen.refused, seen.reasons);
    for line in seen.log.lines() {
        let head = line.split_whitespace().nth(2).unwrap_or_default();
        assert!(line.starts_with("20") && head.starts_with("kakehashi_control"), "{line:?}");
    }
    drop(relay);
    seen.platform.node.stop().await;
}
