//! What terminals say, over real QUIC.

use super::super::common::device_of;
use super::super::common::relay::Relay;
use super::*;
use kakehashi_wire::secret::ResumeToken;
use kakehashi_wire::terminal::{Refusal, SessionEnd, ToTerminal};

/// Reads until somebody calls.
async fn incoming(terminal: &mut Terminal) -> CallId {
    loop {
        match terminal.hear().await {
            Some(ToTerminal::Incoming(it)) => return it.call,
            Some(_) => {}
            None => panic!("the session is over"),
        }
    }
}

/// Reads until the relays carry the call.
async fn ready(terminal: &mut Terminal) {
    while !matches!(terminal.hear().await, Some(ToTerminal::CallReady(_))) {}
}

/// A call of `from` to `login`, which `to` takes.
async fn call(from: &mut Terminal, (login, to): (&str, &mut Terminal)) -> CallId {
    let id = from.invite(login).await.unwrap();
    assert_eq!(incoming(to).await, id);
    let accept = Accept { request: REQUEST, call: id, streams: vec![AUDIO] };
    to.say(accept).await;
    ready(from).await;
    ready(to).await;
    id
}

/// A desk that has the name of its one agent.
async fn add_desk(platform: &Platform, tenant: &str, login: &str) {
    let (accounts, live) = (&platform.node.accounts, platform.node.live());
    let tenant = accounts.find_tenant(tenant).await.unwrap().unwrap().id;
    let agents = Some(vec![login.to_owned()]);
    let change = DeskChange { agents, ..DeskChange::default() };
    accounts.add_desk(tenant, login, change).await.unwrap();
    live.set_desks(tenant, accounts.desks(tenant).await.unwrap()).await.unwrap();
}

/// Whether a request names a login ID or a call. Of others there is nothing to compare: whose they
/// are is the session's to say, not theirs.
fn names_something(act: Act) -> bool {
    let nothing = [
        Act::SignOut,
        Act::ChangePassword,
        Act::WatchPresence,
        Act::SetAway,
        Act::Missed,
        Act::EndWrapUp,
        Act::Ping,
    ];
    !nothing.contains(&act)
}

fn is_not_allowed((kind, body): &(u16, Vec<u8>)) -> bool {
    let message = ToTerminal::decode(*kind, body).unwrap();
    matches!(message, ToTerminal::Refused(it) if it.reason == Refusal::NotAllowed)
}

/// The terminal leaves, and with it its calls.
async fn leave(mut terminal: Terminal) {
    answers(&mut terminal, SignOut { request: REQUEST }.into()).await;
}

#[tokio::test]
async fn every_request_of_every_role_about_own_others_and_nothing() {
    let platform = platform().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut stranger = platform.terminal("bank", "z").await;
    let mut peer = platform.terminal("bank", "a").await;
    let theirs = call(&mut stranger, ("a", &mut peer)).await;
    let _free = platform.terminal("shop", "b").await;
    let mut callee = platform.terminal("shop", "c").await;

    add_desk(&platform, "bank", "z").await;

    let other = Named { tenant: "bank", login: "z", call: theirs };
    let nobody = Named { tenant: "nowhere", login: "nobody", call: NEVER };
    let mut cells = 0;
    for role in Role::ALL {
        for act in Act::ALL.iter().copied() {
            let Asked::Terminal(_) = asked(act, nobody, NEVER) else { continue };
            // On a slow machine all of this takes longer than a silent connection lasts.
            for other in [&mut stranger, &mut peer] {
                other.say(Ping { at_ms: 1 }).await;
            }
            let mut terminal = platform.terminal("shop", login_of(role)).await;
            let id = call(&mut terminal, ("c", &mut callee)).await;
            let own = Named { tenant: "shop", login: "b", call: id };
            let compared: &[Named] = if names_something(act) { &[other, nobody] } else { &[] };
            let mut heard = Vec::new();
            for named in compared {
                let Asked::Terminal(said) = asked(act, *named, id) else { unreachable!() };
                let mut all = Vec::new();
                for message in said {
                    let answer = answers(&mut terminal, message).await;
                    assert_eq!(answer.is_empty(), act == Act::ReportQuality, "{act:?} {role:?}");
                    all.push(answer);
                }
                heard.push(all);
            }
            assert!(heard.windows(2).all(|pair| pair[0] == pair[1]), "{act:?} {role:?}: {heard:?}");
            let Asked::Terminal(said) = asked(act, own, id) else { unreachable!() };
            for message in said {
                let all = answers(&mut terminal, message).await;
                let refused = all.iter().any(is_not_allowed);
                assert_eq!(refused, !is_allowed(act, Rank::Account(role)), "{act:?} {role:?}");
            }
            cells += 1 + compared.len();
            leave(terminal).await;
        }
    }
    assert!(cells >= Role::ALL.len() * (3 * 12 + 5), "{cells} cells");

    // Nobody of the other tenant has noticed anything.
    for terminal in [&mut stranger, &mut peer] {
        let heard = answers(terminal, quality(NEVER).into()).await;
        assert_eq!(heard, [], "{heard:?}");
    }
    let live = platform.node.live().live_calls().await.unwrap();
    assert!(live.iter().any(|row| row.record.call == theirs));
    platform.node.stop().await;
}

#[tokio::test]
async fn signing_in_to_another_tenant_and_to_none() {
    let platform = platform().await;
    for role in Role::ALL {
        let login = login_of(role);
        let mut heard = Vec::new();
        for tenant in ["bank", "nowhere"] {
            let mut terminal = Terminal::open(platform.connect().await).await;
            let device = device_of(login);
            let refused = terminal.sign_in(tenant, login, PASSWORD, device).await.err().unwrap();
            heard.push(refused);
        }
        assert_eq!(heard[0], heard[1]);
        assert_eq!((heard[0].reason, heard[0].retry_after_ms), (Refusal::BadCredentials, 0));
        let mut terminal = Terminal::open(platform.connect().await).await;
        let own = terminal.sign_in("shop", login, PASSWORD, device_of(login)).await.unwrap();
        assert_eq!(own.role, role);
        leave(terminal).await;
    }
    platform.node.stop().await;
}

#[tokio::test]
async fn resuming_with_another_tenants_token_and_with_none() {
    let platform = platform().await;
    let (mut stranger, theirs) = platform.terminal_with_token("bank", "z").await;
    let of_others = [theirs, ResumeToken::none()];
    for role in Role::ALL {
        let login = login_of(role);
        let device = device_of(login);
        let (_first, own) = platform.terminal_with_token("shop", login).await;
        let mut heard = Vec::new();
        for token in &of_others {
            let mut terminal = Terminal::open(platform.connect().await).await;
            heard.push(terminal.resume(token, device).await.err().unwrap());
        }
        assert_eq!(heard[0], heard[1]);
        assert_eq!((heard[0].reason, heard[0].retry_after_ms), (Refusal::Expired, 0));
        let mut terminal = Terminal::open(platform.connect().await).await;
        let resumed = terminal.resume(&own, device).await;
        assert_eq!(resumed.is_ok(), is_allowed(Act::Resume, Rank::Account(role)), "{role:?}");
        // Within a session it is out of place, whoever's the token is.
        for token in of_others.iter().chain([&own]) {
            let refused = terminal.resume(token, device).await.err().unwrap();
            assert_eq!((refused.reason, refused.retry_after_ms), (Refusal::BadRequest, 0));
        }
        leave(terminal).await;
    }
    let heard = answers(&mut stranger, quality(NEVER).into()).await;
    assert_eq!(heard, [], "the other tenant's session goes on");
    platform.node.stop().await;
}

#[tokio::test]
async fn before_a_sign_in_nothing_else_is_served() {
    let platform = platform().await;
    let nobody = Named { tenant: "nowhere", login: "nobody", call: NEVER };
    for act in Act::ALL.iter().copied() {
        let Asked::Terminal(said) = asked(act, nobody, NEVER) else { continue };
        for message in said {
            let mut terminal = Terminal::open(platform.connect().await).await;
            terminal.say(message).await;
            let refused = match terminal.hear().await {
                Some(ToTerminal::Refused(it)) => it.reason,
                Some(ToTerminal::SessionEnded(it)) => {
                    assert_eq!(it.reason, SessionEnd::Protocol);
                    Refusal::NotSignedIn
                }
                other => panic!("{act:?}: {:?}", other.map(|it| it.name())),
            };
            assert_eq!(refused, Refusal::NotSignedIn, "{act:?}");
        }
    }
    platform.node.stop().await;
}
