//! Desks over real QUIC: made by an operator while terminals are there, and there after a restart.

use super::common::relay::Relay;
use super::common::terminal::{AUDIO, Terminal};
use super::common::{Platform, within};
use kakehashi_control::admin::{Answer, Request};
use kakehashi_control::api::client;
use kakehashi_control::desks::DeskChange;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::{
    CallEnd, EndWrapUp, HangUp, Incoming, InviteDesk, QueueNews, Queued, Refusal, ToTerminal,
};

async fn ask(platform: &Platform, request: Request) -> Answer {
    within(client::request(platform.folder.path(), request)).await.unwrap()
}

fn change(agents: &[&str]) -> DeskChange {
    let agents = agents.iter().map(|login| (*login).to_owned()).collect();
    DeskChange { agents: Some(agents), announce: Some(true), ..DeskChange::default() }
}

pub(super) async fn add_desk(platform: &Platform, agents: &[&str]) {
    let (tenant, desk) = ("shop".to_owned(), "reception".to_owned());
    let answer = ask(platform, Request::DeskAdd { tenant, desk, change: change(agents) }).await;
    assert!(matches!(answer, Answer::Desks { .. }));
}

async fn call_desk(terminal: &mut Terminal, desk: &str) -> Result<Queued, Refusal> {
    let request = terminal.request();
    terminal.say(InviteDesk { request, desk: desk.into(), streams: vec![AUDIO] }).await;
    match terminal.hear().await {
        Some(ToTerminal::Queued(it)) if it.request == request => Ok(it),
        Some(ToTerminal::Refused(it)) if it.request == request => Err(it.reason),
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

async fn news(terminal: &mut Terminal, call: CallId) -> QueueNews {
    match terminal.hear().await {
        Some(ToTerminal::QueueNews(it)) if it.call == call => it,
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

async fn incoming(terminal: &mut Terminal) -> Incoming {
    match terminal.hear().await {
        Some(ToTerminal::Incoming(it)) => it,
        other => panic!("{:?}", other.map(|it| it.name())),
    }
}

#[tokio::test]
async fn a_desk_is_called_waited_at_and_answered() {
    let platform = Platform::start().await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    let mut b = platform.terminal("shop", "b").await;
    let mut c = platform.terminal("shop", "c").await;
    let mut foreign = platform.terminal("bank", "a").await;
    let nowhere = call_desk(&mut a, "reception").await;
    assert_eq!(nowhere, Err(Refusal::NoSuchLogin));
    add_desk(&platform, &["c"]).await;
    assert_eq!(call_desk(&mut foreign, "reception").await, nowhere, "another tenant's is none");

    let first = call_desk(&mut a, "reception").await.unwrap();
    assert_eq!((first.position, first.announce), (1, true));
    assert_eq!(news(&mut a, first.call).await.position, 0);
    let rings = incoming(&mut c).await;
    let told = (rings.login.as_str(), rings.desk.as_str());
    assert_eq!((rings.call, told), (first.call, ("a", "reception")));
    let second = call_desk(&mut b, "reception").await.unwrap();
    assert_eq!(second.position, 2);
    c.accept(first.call).await;
    assert_eq!((a.ready().await.call, c.ready().await.call), (first.call, first.call));
    assert_eq!(news(&mut b, second.call).await.position, 1);

    let request = a.request();
    a.say(HangUp { request, call: first.call }).await;
    a.done(request).await;
    assert_eq!(c.call_ended().await, CallEnd::HungUp);
    let request = c.request();
    c.say(EndWrapUp { request }).await;
    c.done(request).await;
    assert_eq!(incoming(&mut c).await.call, second.call);
    let (tenant, desk) = ("shop".to_owned(), "reception".to_owned());
    ask(&platform, Request::DeskRemove { tenant, desk }).await;
    assert_eq!(c.call_ended().await, CallEnd::NoAnswer);
    let request = c.request();
    c.say(EndWrapUp { request }).await;
    assert_eq!(c.answer(request).await, Err(Refusal::TooLate));

    let calls = ask(&platform, Request::Calls { tenant: None, ended: 9 }).await;
    let Answer::Calls { ended, .. } = calls else { panic!("calls were asked for") };
    let record = ended.iter().find(|row| row.record.call == first.call).unwrap().record.clone();
    let desk = record.desk.clone().unwrap();
    assert_eq!((desk.called.as_str(), desk.last.as_str()), ("reception", "reception"));
    assert_eq!(record.members[1].login, "c");
    platform.node.stop().await;
}

#[tokio::test]
async fn a_desk_is_there_after_a_restart() {
    let platform = Platform::start().await;
    add_desk(&platform, &["b", "c"]).await;
    let folder = platform.folder;
    platform.node.stop().await;
    let platform = Platform::start_in(folder).await;
    let _relay = Relay::start(&platform, 1).await;
    let mut a = platform.terminal("shop", "a").await;
    assert_eq!(call_desk(&mut a, "reception").await, Err(Refusal::NotAvailable));
    let mut c = platform.terminal("shop", "c").await;
    let queued = call_desk(&mut a, "reception").await.unwrap();
    assert_eq!(incoming(&mut c).await.call, queued.call);
    platform.node.stop().await;
}
