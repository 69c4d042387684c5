//! Sessions that lose their connection and come back, in whatever their accounts are doing.

use super::*;
use kakehashi_wire::terminal::{CallEnded, MemberPhase, Members, Resumed};

const ONE: (u64, u64, u64) = (1, 1, 11);
const TWO: (u64, u64, u64) = (1, 2, 12);

/// Accounts 1 and 2 of tenant 1 in sessions 1 and 2, account 3 watching in session 3; nothing
/// unread.
fn two_and_a_watcher() -> World {
    let mut world = World::new(2);
    for (session, (tenant, account, device)) in [(1, ONE), (2, TWO), (3, (1, 3, 13))] {
        world.sign_in(session, tenant, account, device);
    }
    let request = world.request();
    let known = |account| KnownAccount {
        account: AccountId(account),
        login: format!("login-{account}"),
        display: String::new(),
    };
    world.ask(3, Request::Watch(request, (1..=3).map(known).collect()));
    world.told.clear();
    world
}

fn connected(world: &mut World) -> CallId {
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    assert_eq!(world.core.calls.get(call).unwrap().state(), State::Connected);
    call
}

fn lose(world: &mut World, session: u64) {
    world.input(Input::Lost(SessionId(session)));
}

fn phases(members: &Members) -> Vec<MemberPhase> {
    members.members.iter().map(|member| member.phase).collect()
}

/// The phases a session was told of, and nothing else.
fn seen(world: &mut World, session: u64) -> Vec<Vec<MemberPhase>> {
    let told = world.take(session);
    let members = told.iter().map(|message| match message {
        ToTerminal::Members(members) => phases(members),
        other => panic!("{}", short(other)),
    });
    members.collect()
}

fn resumed(world: &mut World, session: u64) -> (Resumed, Vec<ToTerminal>) {
    let mut told = world.take(session).into_iter();
    match told.next() {
        Some(ToTerminal::Resumed(resumed)) => (resumed, told.collect()),
        other => panic!("{:?}", other.as_ref().map(short)),
    }
}

fn verdict(world: &World, session: u64) -> Result<(), Refusal> {
    world.verdicts[&SessionId(session)].map_err(|rejection| rejection.reason)
}

#[test]
fn a_call_goes_on_while_a_member_reconnects() {
    use MemberPhase::{In, Reconnecting};
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    let ready = world.ready(1).unwrap();
    world.told.clear();
    let held: Vec<_> = (1..=2).map(|relay| world.relay(relay).held.len()).collect();
    lose(&mut world, 1);
    assert_eq!(seen(&mut world, 2), [[Reconnecting, In]]);
    assert_eq!(
        world.core.doing(AccountKey { tenant: TenantId(1), account: AccountId(1) }),
        PresenceState::InCall
    );
    world.wait(GRACE / 2);
    world.resume(10, ONE, 1);
    let (resumed, then) = resumed(&mut world, 10);
    assert_eq!((resumed.session, resumed.grace_ms), (SessionId(10), 20_000));
    assert_eq!(
        (&resumed.calls[..], &resumed.rings[..], &resumed.over[..]),
        (&[call][..], &[][..], &[][..])
    );
    let [ToTerminal::Members(members), ToTerminal::CallReady(again)] = &then[..] else {
        panic!("{:?}", then.iter().map(short).collect::<Vec<_>>())
    };
    assert_eq!(phases(members), [In, In]);
    assert!(again.key == ready.key && again.streams == ready.streams && again.paths == ready.paths);
    assert_eq!(seen(&mut world, 2), [[In, In]]);
    assert!(world.heard(3).is_empty(), "presence kept");
    let now_held: Vec<_> = (1..=2).map(|relay| world.relay(relay).held.len()).collect();
    assert_eq!(now_held, held, "the legs stood all the time");
    // The call is the resumed session's, and nobody's grace ends it any more.
    world.wait(2 * GRACE);
    world.hang_up(10, call);
    assert_eq!(world.heard(10), ["Done", "CallEnded HungUp"]);
    world.assert_clean();
}

/// Where each relay lets in media of a call's members.
fn let_in(world: &World) -> Vec<BTreeSet<Host>> {
    let at = |relay| world.relay(relay).held.values().map(|leg| leg.seen_at).collect();
    (1..=2).map(at).collect()
}

#[test]
fn relays_know_where_terminals_are_seen() {
    let mut world = two_and_a_watcher();
    connected(&mut world);
    let both = |one, two| vec![BTreeSet::from([host(one), host(two)]); 2];
    assert_eq!(let_in(&world), both(1, 2));
    // It goes on over another network: with its connection, and with a new one.
    world.ask(1, Request::Moved(host(77)));
    assert_eq!(let_in(&world), both(77, 2));
    lose(&mut world, 2);
    assert_eq!(let_in(&world), both(77, 2), "its media may go on");
    world.resume(10, TWO, 2);
    assert_eq!(let_in(&world), both(77, 10));
    // It moves while a relay does not answer, and moves again.
    world.relays_are.answer = false;
    world.ask(1, Request::Moved(host(78)));
    world.ask(1, Request::Moved(host(79)));
    world.relays_are.answer = true;
    world.input(Input::Tick);
    assert_eq!(let_in(&world), both(79, 10));
}

#[test]
fn who_does_not_come_back_in_time_leaves_and_begins_anew() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    world.told.clear();
    lose(&mut world, 2);
    world.wait(GRACE - Duration::from_millis(1));
    assert_eq!(world.heard(1), ["Members"]);
    world.wait(Duration::from_millis(1));
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    assert_eq!(world.heard(3), ["Presence login-1=Waiting", "Presence login-2=Offline"]);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::PeerLost));
    world.resume(10, TWO, 2);
    let (resumed, then) = resumed(&mut world, 10);
    assert!(resumed.calls.is_empty() && resumed.over.is_empty() && then.is_empty());
    assert_eq!(world.heard(3), ["Presence login-2=Waiting"]);
    world.assert_clean();
}

#[test]
fn what_ended_meanwhile_is_told_with_its_reason() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    lose(&mut world, 1);
    world.hang_up(2, call);
    world.told.clear();
    world.resume(10, ONE, 1);
    let (resumed, then) = resumed(&mut world, 10);
    assert_eq!(resumed.over, [CallEnded { call, reason: CallEnd::HungUp }]);
    assert!(resumed.calls.is_empty() && then.is_empty());
    world.assert_clean();
}

#[test]
fn a_call_rings_on_while_the_called_or_the_caller_is_away() {
    let mut world = two_and_a_watcher();
    lose(&mut world, 2);
    let call = world.invite(1, 2).unwrap();
    assert!(world.heard(2).is_empty());
    world.resume(10, TWO, 2);
    let (resumed, then) = resumed(&mut world, 10);
    assert_eq!((&resumed.calls[..], &resumed.rings[..]), (&[][..], &[call][..]));
    assert!(matches!(&then[..], [ToTerminal::Incoming(it)] if it.call == call));
    // Once more while it rings, and the caller too.
    lose(&mut world, 10);
    world.resume(11, TWO, 2);
    assert_eq!(world.heard(11), ["Resumed", "Incoming login-1"]);
    lose(&mut world, 1);
    world.accept(11, call);
    assert_eq!(world.heard(11), ["Done", "CallReady"]);
    world.resume(12, ONE, 1);
    assert_eq!(world.heard(12), ["Resumed", "Members", "CallReady"]);
    assert_eq!(world.heard(11), ["Members"]);
    world.hang_up(12, call);
    world.assert_clean();
}

#[test]
fn an_account_nobody_comes_back_to_stops_ringing() {
    let mut world = two_and_a_watcher();
    lose(&mut world, 2);
    world.invite(1, 2).unwrap();
    world.wait(GRACE);
    assert_eq!(world.heard(1), ["CallEnded PeerLost"]);
    world.invite(1, 2).unwrap_err();
    lose(&mut world, 1);
    world.sign_in(20, 1, 2, 12);
    world.wait(GRACE);
    world.assert_clean();
}

#[test]
fn a_caller_lost_before_it_rings_has_not_called() {
    let mut world = two_and_a_watcher();
    let request = world.request();
    let invite = Request::Invite(request, Some(called(2)), vec![AUDIO]);
    world.core.handle(Input::Asked(SessionId(1), invite), world.now);
    lose(&mut world, 1);
    assert!(world.heard(2).is_empty());
    world.assert_clean();
    assert!(world.disk.is_empty());
}

#[test]
fn a_call_may_connect_and_be_held_while_a_member_is_away() {
    use MemberPhase::{Held, In, Reconnecting};
    let mut world = two_and_a_watcher();
    let call = world.invite(1, 2).unwrap();
    world.relays_are.answer = false;
    world.accept(2, call);
    lose(&mut world, 1);
    world.relays_are.answer = true;
    world.input(Input::Tick);
    assert!(world.ready(2).is_some());
    let request = world.request();
    world.ask(2, Request::Hold(Hold { request, call, on: true }));
    assert!(matches!(&world.take(2)[..], [ToTerminal::Done(_), ToTerminal::Members(it)]
        if phases(it) == [Reconnecting, Held]));
    world.resume(10, ONE, 1);
    let (_, then) = resumed(&mut world, 10);
    assert!(matches!(&then[..], [ToTerminal::Members(it), ToTerminal::CallReady(_)]
        if phases(it) == [In, Held]));
    world.hang_up(10, call);
    world.assert_clean();
}

#[test]
fn a_terminal_that_knows_first_takes_its_session_over() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    world.told.clear();
    world.resume(10, ONE, 1);
    assert_eq!(world.ended, BTreeMap::from([(SessionId(1), SessionEnd::Replaced)]));
    assert_eq!(world.heard(10), ["Resumed", "Members", "CallReady"]);
    assert!(world.heard(2).is_empty(), "nobody was seen to be away");
    // Whatever the old connection says or does is of no matter.
    for input in [Input::Lost(SessionId(1)), Input::Gone(SessionId(1))] {
        world.input(input);
    }
    world.hang_up(1, call);
    world.wait(2 * GRACE);
    assert!(world.heard(2).is_empty() && world.heard(1).is_empty());
    // The token of before is as good: its answer may have been lost.
    world.resume(11, ONE, 1);
    assert_eq!(world.heard(11), ["Resumed", "Members", "CallReady"]);
    world.hang_up(11, call);
    world.assert_clean();
}

#[test]
fn a_node_that_was_cut_off_does_not_take_sessions_back() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    // The terminal has gone to another node, and its old one does not know.
    lose(&mut world, 1);
    world.resume(10, ONE, 1);
    world.told.clear();
    world.hand_over(11, ONE, 1);
    assert_eq!(verdict(&world, 11), Err(Refusal::Expired));
    assert!(world.ended.is_empty() && world.heard(10).is_empty() && world.heard(2).is_empty());
    // A session that nobody has is taken.
    lose(&mut world, 10);
    world.hand_over(12, ONE, 1);
    assert_eq!(verdict(&world, 12), Ok(()));
    assert!(world.ended.is_empty());
    world.hang_up(12, call);
    world.assert_clean();
}

#[test]
fn only_the_session_of_the_last_sign_in_is_resumed() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    world.sign_in(10, 1, 1, 11);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::PeerLost), "a sign-in begins anew");
    world.told.clear();
    world.resume(11, ONE, 1);
    assert_eq!(verdict(&world, 11), Err(Refusal::Expired));
    assert!(world.heard(10).is_empty());
    world.resume(12, ONE, 10);
    assert_eq!(verdict(&world, 12), Ok(()));
    world.assert_clean();
}

#[test]
fn whoever_is_suspended_while_away_does_not_come_back() {
    let mut world = two_and_a_watcher();
    let call = connected(&mut world);
    lose(&mut world, 1);
    world.told.clear();
    let key = AccountKey { tenant: TenantId(1), account: AccountId(1) };
    let revocation = Revocation {
        whom: crate::sessions::Whom::Account(key),
        epoch: 2,
        why: SessionEnd::Suspended,
    };
    world.input(Input::Revoked(revocation));
    assert_eq!(world.heard(2), ["CallEnded PeerLost"]);
    assert_eq!(world.disk[&call].reason, Some(CallEnd::Suspended));
    // Checked before, arriving after.
    world.resume(10, ONE, 1);
    assert_eq!(verdict(&world, 10), Err(Refusal::Expired));
    world.wait(2 * GRACE);
    world.assert_clean();
}

#[test]
fn who_signs_out_is_not_waited_for() {
    let mut world = two_and_a_watcher();
    connected(&mut world);
    world.told.clear();
    world.ask(1, Request::SignOut);
    assert_eq!(world.heard(2), ["CallEnded PeerLost"]);
    assert_eq!(world.core.next_deadline().filter(|at| *at <= GRACE), None);
    world.assert_clean();
}

#[test]
fn without_a_grace_a_lost_connection_ends_the_session() {
    let mut world = two_and_a_watcher();
    world.core.settings.grace = Duration::ZERO;
    connected(&mut world);
    world.told.clear();
    lose(&mut world, 1);
    assert_eq!(world.heard(2), ["CallEnded PeerLost"]);
    world.assert_clean();
}
