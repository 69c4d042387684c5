//! Another core takes up the calls that were kept.

use super::*;
use crate::calls::{Call, Live};
use crate::capacity::RELAYS_PATIENCE;
use crate::clock::CLOCK_STARTS;
use crate::desks::Desk;
use crate::desks::{Agent, RingOrder};
use crate::sessions::{Session, Whom};
use kakehashi_wire::terminal::{MemberPhase, Members, Resumed};

const ONE: (u64, u64, u64) = (1, 1, 11);
const TWO: (u64, u64, u64) = (1, 2, 12);
const THREE: (u64, u64, u64) = (1, 3, 13);

impl World {
    /// What nobody waited for may be lost with the node that was to write it.
    pub(super) fn note_unsure(&mut self, outputs: &[Output]) {
        let written: BTreeSet<_> = outputs
            .iter()
            .filter_map(|output| match output {
                Output::Write(write) => Some((write.record().tenant, write.record().call)),
                _ => None,
            })
            .collect();
        for output in outputs {
            if let Output::Keep(kept) = output {
                let key = (kept.tenant, kept.call);
                let before = self.lives.get(&key).cloned();
                self.unsure.entry(key).or_insert(before);
            }
        }
        self.unsure.retain(|key, _| !written.contains(key));
    }

    /// The node is gone. What was written last of calls is there, or not if it `forgets`.
    pub(super) fn take_over(&mut self, forgets: bool, ended: &[Revocation]) {
        for (key, before) in std::mem::take(&mut self.unsure) {
            match before.filter(|_| forgets) {
                Some(before) if self.lives.contains_key(&key) => {
                    self.lives.insert(key, before);
                }
                _ => {}
            }
        }
        let lives = self.kept();
        for record in self.disk.values().filter(|record| record.state != RecordState::Ended) {
            let is_it = |live: &Live| {
                let with = live.call.merges_with().map(|with| with.id());
                live.call.id() == record.call || with == Some(record.call)
            };
            assert!(lives.iter().any(is_it), "a call that is on disk was not kept");
        }
        self.starts += 1;
        let generations = Generations::new(self.starts * 1_000_000..(self.starts + 1) * 1_000_000);
        let term = Term(TERM.0 + self.starts);
        let fleet = Fleet::new(term, generations, Duration::from_secs(3600));
        let tenants = std::mem::take(&mut self.core.tenants);
        self.core = Coordinator::new(self.core.settings, Entropy::system(), fleet);
        self.core.tenants = tenants;
        for (tenant, list) in self.desks.clone() {
            self.input(Input::Desks(tenant, list));
        }
        let outputs = self.core.take_over(lives, self.now);
        let mut inputs: Vec<_> = outputs.into_iter().filter_map(|it| self.carry(it)).collect();
        inputs.extend(ended.iter().map(|revocation| Input::Revoked(*revocation)));
        inputs.into_iter().for_each(|input| self.input(input));
        let links: Vec<_> = self.relays.keys().copied().collect();
        for LinkId(relay) in links {
            let played = self.relays.remove(&LinkId(relay)).unwrap();
            let played = PlayedRelay { unanswered: Vec::new(), ..played };
            self.link_up_with(relay as u32, played);
        }
    }

    /// What is kept of live calls, opened.
    pub(super) fn kept(&self) -> Vec<Live> {
        let open = |((tenant, call), sealed): (&(TenantId, CallId), &Vec<u8>)| {
            sealer().open(*tenant, *call, sealed).unwrap().live().unwrap()
        };
        self.lives.iter().map(open).collect()
    }
}

/// Accounts 1 to 3 of tenant 1 in the sessions of their numbers.
fn three() -> World {
    let mut world = World::new(2);
    world.now.since_start = CLOCK_STARTS;
    for (session, (tenant, account, device)) in [(1, ONE), (2, TWO), (3, THREE)] {
        world.sign_in(session, tenant, account, device);
    }
    world.told.clear();
    world
}

fn connected(world: &mut World) -> (CallId, CallReady) {
    let call = world.invite(1, 2).unwrap();
    world.accept(2, call);
    let ready = world.ready(1).unwrap();
    world.told.clear();
    (call, ready)
}

fn back(world: &mut World, session: u64, of: (u64, u64, u64), first: u64) -> Vec<ToTerminal> {
    world.resume(session, of, first);
    world.take(session)
}

fn resumed(told: &[ToTerminal]) -> &Resumed {
    match told.first() {
        Some(ToTerminal::Resumed(resumed)) => resumed,
        other => panic!("{:?}", other.map(short)),
    }
}

fn phases(told: &[ToTerminal]) -> Vec<MemberPhase> {
    let members = |message: &ToTerminal| match message {
        ToTerminal::Members(Members { members, .. }) => {
            Some(members.iter().map(|member| member.phase).collect())
        }
        _ => None,
    };
    told.iter().find_map(members).unwrap_or_default()
}

fn installs(world: &World) -> Vec<InstallLeg> {
    world.relays.values().flat_map(|relay| relay.held.values().cloned()).collect()
}

#[test]
fn a_call_goes_on_with_the_same_keys_over_the_same_legs() {
    for isolation in [Isolation::None, Isolation::PerLeg] {
        let mut world = three();
        world.core.settings.media.isolation = isolation;
        let (call, ready) = connected(&mut world);
        let request = world.request();
        world.ask(2, Request::Hold(Hold { request, call, on: true }));
        let (before, receives) = (installs(&world), world.relay(1).receives.clone());
        world.take_over(false, &[]);
        assert!(installs(&world) == before, "no leg began another life");
        assert_eq!(world.relay(1).receives, receives);
        assert_eq!(world.core.calls.get(call).unwrap().state(), State::Connected);
        let told = back(&mut world, 10, ONE, 1);
        assert_eq!(resumed(&told).calls, [call]);
        assert_eq!(phases(&told), [MemberPhase::In, MemberPhase::HeldReconnecting]);
        let again = told.iter().find_map(|message| match message {
            ToTerminal::CallReady(ready) => Some(ready),
            _ => None,
        });
        assert!(*again.unwrap() == ready, "the whole of the round, and nothing else");
        let told = back(&mut world, 20, TWO, 2);
        assert_eq!(phases(&told), [MemberPhase::In, MemberPhase::Held]);
        world.take(10);
        world.hang_up(10, call);
        assert_eq!(world.heard(20), ["CallEnded HungUp"]);
        world.assert_clean();
    }
}

#[test]
fn ringing_goes_on_for_its_full_time_and_can_be_answered() {
    let mut world = three();
    let call = world.invite(1, 2).unwrap();
    world.wait(Duration::from_secs(40));
    world.take_over(false, &[]);
    let told = back(&mut world, 20, TWO, 2);
    assert_eq!((&resumed(&told).calls[..], &resumed(&told).rings[..]), (&[][..], &[call][..]));
    let told = back(&mut world, 10, ONE, 1);
    assert_eq!(resumed(&told).calls, [call]);
    world.wait(Duration::from_secs(40));
    world.accept(20, call);
    assert_eq!(world.heard(20), ["Incoming login-1", "Done", "CallReady"][1..]);
    world.hang_up(20, call);
    world.assert_clean();
    // And nobody has to answer.
    let call = world.invite(10, 2).unwrap();
    world.take_over(false, &[]);
    back(&mut world, 11, ONE, 1);
    back(&mut world, 21, TWO, 2);
    world.wait(Duration::from_secs(46));
    assert_eq!(world.disk[&call].reason, Some(CallEnd::NoAnswer));
    world.assert_clean();
}

#[test]
fn who_does_not_come_back_within_the_grace_leaves() {
    let mut world = three();
    let (call, _) = connected(&mut world);
    world.take_over(false, &[]);
    back(&mut world, 10, ONE, 1);
    world.wait(GRACE - Duration::from_millis(1));
    assert!(world.core.goes_on(None, call));
    world.wait(Duration::from_millis(1));
    assert_eq!(world.heard(10), ["CallEnded PeerLost"]);
    world.assert_clean();
}

#[test]
fn who_was_suspended_meanwhile_does_not_go_on_and_no_relay_holds_a_leg_of_it() {
    let mut world = three();
    connected(&mut world);
    let key = AccountKey { tenant: TenantId(1), account: AccountId(1) };
    let (whom, why) = (Whom::Account(key), SessionEnd::Suspended);
    world.take_over(false, &[Revocation { whom, epoch: 2, why }]);
    assert!(installs(&world).is_empty());
    let told = back(&mut world, 20, TWO, 2);
    assert!(resumed(&told).calls.is_empty());
    world.assert_clean();
}

#[test]
fn a_conference_that_was_growing_grows() {
    let mut world = three();
    let (call, _) = connected(&mut world);
    world.relays_are.answer = false;
    let request = world.request();
    let ask = AddMember { request, call, login: "login-3".into(), then_leave: false };
    world.ask(1, Request::AddMember(ask, Some(called(3))));
    world.accept(3, call);
    world.relays_are.answer = true;
    world.take_over(false, &[]);
    world.wait(Duration::from_millis(1));
    for (session, of, first) in [(10, ONE, 1), (20, TWO, 2), (30, THREE, 3)] {
        back(&mut world, session, of, first);
    }
    let call = world.core.calls.get(call).unwrap();
    assert_eq!(call.rounds().current().unwrap().drawn().len(), 3);
    assert_eq!(call.rounds().current().unwrap().seats().count(), 2, "with its standby");
    let id = call.id();
    world.input(Input::EndCall(id));
    world.assert_clean();
}

#[test]
fn a_place_in_a_queue_is_kept() {
    let mut world = three();
    world.sign_in(4, 1, 4, 14);
    let agents = vec![Agent { account: AccountId(4), login: "login-4".into() }];
    let desk = Desk { agents, order: RingOrder::LongestIdle, ..Desk::new("desk".into()) };
    world.set_desks(1, 1, vec![desk]);
    let calls: Vec<_> = (1..=3).map(|caller| call_desk(&mut world, caller)).collect();
    world.take_over(false, &[]);
    let callers = [(10, ONE, 1), (20, TWO, 2), (30, THREE, 3)];
    for (session, of, first) in callers.into_iter().rev() {
        assert_eq!(resumed(&back(&mut world, session, of, first)).calls.len(), 1);
    }
    let told = back(&mut world, 40, (1, 4, 14), 4);
    assert_eq!(resumed(&told).rings, [calls[0]], "it rings on where it rang");
    for (nth, call) in calls.iter().enumerate() {
        world.accept(40, *call);
        assert_eq!(world.core.calls.get(*call).unwrap().state(), State::Connected, "{nth}");
        world.hang_up(40, *call);
        let request = world.request();
        world.ask(40, Request::EndWrapUp(EndWrapUp { request }));
    }
    world.assert_clean();
}

#[test]
fn agents_take_turns_and_are_left_alone_as_before() {
    for order in [RingOrder::LongestIdle, RingOrder::RoundRobin] {
        let mut world = desks::office(order);
        world.now.since_start = CLOCK_STARTS;
        // 12 has had a call and is left alone, 11 has had one before, 13 none.
        for agent in [11, 12] {
            let call = world.call_desk(1, "reception").unwrap();
            world.accept(agent, call);
            world.hang_up(1, call);
            world.wait(if agent == 11 { 10 } else { 2 } * desks::SECOND);
        }
        world.take_over(false, &[]);
        world.wait(desks::SECOND);
        // Whoever comes last was idle for longest.
        for (nth, account) in [12, 11, 1, 13].into_iter().enumerate() {
            world.hand_over(100 + nth as u64, (1, account, account), account);
        }
        let state = |world: &World, account| {
            let account = AccountKey { tenant: TenantId(1), account: AccountId(account) };
            world.core.presences.state(account)
        };
        assert_eq!(state(&world, 12), PresenceState::WrapUp);
        world.told.clear();
        let incoming = |world: &mut World, session| {
            world.heard(session).iter().any(|said| said.starts_with("Incoming"))
        };
        for session in [103, 101] {
            let call = world.call_desk(102, "reception").unwrap();
            assert!(incoming(&mut world, session), "{order:?} {session}");
            world.accept(session, call);
            world.hang_up(102, call);
        }
        world.wait(6 * desks::SECOND);
        assert_eq!(state(&world, 12), PresenceState::WrapUp, "ten seconds in all");
        let call = world.call_desk(102, "reception").unwrap();
        world.told.remove(&SessionId(100));
        world.wait(desks::SECOND);
        assert!(incoming(&mut world, 100), "it is left alone for what was left");
        world.hang_up(102, call);
        world.assert_clean();
    }
}

#[test]
fn who_is_away_is_offered_nothing_by_the_next_lead_either() {
    let mut world = desks::office(RingOrder::LongestIdle);
    world.now.since_start = CLOCK_STARTS;
    world.noted.away.insert(SessionId(11));
    world.take_over(false, &[]);
    world.hand_over(101, (1, 1, 1), 1);
    world.hand_over(112, (1, 12, 12), 12);
    let call = world.call_desk(101, "reception").unwrap();
    world.reject(112, call);
    world.told.clear();
    // The call waits for whoever comes.
    let incoming = |world: &mut World, session| {
        world.heard(session).iter().any(|said| said.starts_with("Incoming"))
    };
    world.hand_over(111, (1, 11, 11), 11);
    assert!(!incoming(&mut world, 111), "nobody sits there");
    world.hand_over(113, (1, 13, 13), 13);
    assert!(incoming(&mut world, 113));
    world.hang_up(101, call);
    world.assert_clean();
}

#[test]
fn a_desk_rings_at_nobody_who_is_in_another_call_by_now() {
    let mut world = desks::office(RingOrder::LongestIdle);
    world.now.since_start = CLOCK_STARTS;
    let waits = world.call_desk(1, "reception").unwrap();
    let agent = world.core.calls.get(waits).unwrap().agents()[0].account;
    let account = agent.account.0;
    world.take_over(false, &[]);
    for it in [1, 11, 12, 13] {
        world.hand_over(100 + it, (1, it, it), it);
    }
    world.reject(100 + account, waits);
    let other = if account == 11 { 112 } else { 111 };
    let other = if world.core.rings_at_desk(&session(&world, other), waits) { 113 } else { other };
    let call = world.invite(other, account).unwrap();
    // That it was let pass is forgotten, that another call began is not.
    world.take_over(true, &[]);
    let calls: Vec<_> = world.core.calls.all_of(agent).map(Call::id).collect();
    assert_eq!(calls, [call]);
    assert_eq!(world.core.calls.get(waits).unwrap().state(), State::Queued);
}

fn session(world: &World, id: u64) -> Session {
    world.core.sessions.get(SessionId(id)).unwrap().clone()
}

#[test]
fn who_is_free_since_the_take_over_is_behind_whoever_comes_later() {
    let mut world = desks::office(RingOrder::LongestIdle);
    world.now.since_start = CLOCK_STARTS;
    world.take_over(false, &[]);
    world.hand_over(101, (1, 1, 1), 1);
    // Its node died with the lead: it comes back by its token.
    world.resume(111, (1, 11, 11), 11);
    world.hand_over(113, (1, 13, 13), 13);
    world.hand_over(112, (1, 12, 12), 12);
    let mut order = Vec::new();
    for _ in 0..3 {
        let call = world.call_desk(101, "reception").unwrap();
        let rings = world.core.calls.get(call).unwrap().agents()[0].account.account.0;
        world.accept(100 + rings, call);
        world.hang_up(101, call);
        order.push(rings);
    }
    assert_eq!(order, [12, 13, 11]);
    world.assert_clean();
}

fn call_desk(world: &mut World, session: u64) -> CallId {
    let request = world.request();
    let ask = InviteDesk { request, desk: "desk".into(), streams: vec![AUDIO] };
    world.ask(session, Request::InviteDesk(ask));
    let queued = world.take(session).into_iter().find_map(|message| match message {
        ToTerminal::Queued(it) => Some(it.call),
        _ => None,
    });
    queued.unwrap()
}

#[test]
fn a_relay_that_began_anew_meanwhile_gets_its_legs_anew() {
    let mut world = three();
    let (call, _) = connected(&mut world);
    let before = world.relay(1).held.clone();
    world.relays.insert(LinkId(1), PlayedRelay::default());
    world.life += 1;
    world.take_over(false, &[]);
    let after = &world.relay(1).held;
    assert!(after.keys().eq(before.keys()));
    assert!(after.iter().all(|(leg, it)| it.generation > before[leg].generation));
    assert!(after.iter().all(|(leg, it)| it.key == before[leg].key));
    world.input(Input::EndCall(call));
    world.assert_clean();
}

#[test]
fn what_is_not_news_is_not_kept_again_and_what_failed_is() {
    let mut world = three();
    let (call, _) = connected(&mut world);
    let kept = |outputs: &[Output]| {
        outputs.iter().filter(|output| matches!(output, Output::Keep(_))).count()
    };
    let report = ReportQuality {
        call,
        packets_sent: 1,
        packets_received: 1,
        packets_lost: 0,
        jitter_us: 0,
        round_trip_us: 0,
        packets_concealed: 0,
        ways: Vec::new(),
    };
    let asked = |world: &mut World, request| {
        kept(&world.core.handle(Input::Asked(SessionId(1), request), world.now))
    };
    assert_eq!(asked(&mut world, Request::Report(report)), 0);
    let mute = |on| Request::Mute(Mute { request: RequestId(900), call, on });
    assert_eq!(asked(&mut world, mute(true)), 1);
    assert_eq!(asked(&mut world, mute(true)), 0, "it was muted");
    assert_eq!(kept(&world.core.handle(Input::KeepFailed(call), world.now)), 0);
    world.now.since_start += crate::capacity::SAVE_RETRY;
    assert_eq!(kept(&world.core.handle(Input::Tick, world.now)), 1, "owed");
    world.hang_up(1, call);
    world.assert_clean();
}

#[test]
fn nothing_new_begins_while_the_store_hangs() {
    let mut world = three();
    let (call, _) = connected(&mut world);
    world.input(Input::StoreHangs(true));
    assert_eq!(world.invite(3, 1), Err(Refusal::InAnotherCall));
    world.hang_up(1, call);
    world.told.clear();
    assert_eq!(world.invite(3, 1), Err(Refusal::StoreUnavailable));
    world.input(Input::StoreHangs(false));
    let call = world.invite(3, 1).unwrap();
    world.hang_up(3, call);
    world.assert_clean();
}

#[test]
fn a_call_that_is_taken_before_relays_are_back_waits_for_one() {
    // Another core may take it up meanwhile, and a relay may never come.
    for (again, comes) in [(false, true), (true, true), (false, false)] {
        let mut world = three();
        let call = world.invite(1, 2).unwrap();
        let relays = std::mem::take(&mut world.relays);
        world.take_over(false, &[]);
        back(&mut world, 4, ONE, 1);
        back(&mut world, 5, TWO, 2);
        world.accept(5, call);
        assert_eq!(world.heard(5), ["Done"]);
        let (mut caller, mut callee) = (4, 5);
        if again {
            world.take_over(false, &[]);
            (caller, callee) = (6, 7);
            back(&mut world, caller, ONE, 1);
            back(&mut world, callee, TWO, 2);
        }
        world.wait(RELAYS_PATIENCE - Duration::from_secs(1));
        assert_eq!(world.core.calls.get(call).unwrap().state(), State::Preparing);
        if comes {
            assert_eq!(relays.len(), 2);
            world.link_up(1);
            assert!(world.ready(caller).is_some() && world.ready(callee).is_some());
            world.link_up(2);
            world.wait(Duration::from_secs(1));
            assert_eq!(world.core.call_rows()[0].relays.len(), 2, "and another joins");
        } else {
            world.wait(Duration::from_secs(2));
            assert_eq!(world.heard(callee).last().unwrap(), "CallEnded NoRelay");
            world.assert_clean();
        }
    }
}
