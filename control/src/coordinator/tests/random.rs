//! Random lives of a small node: whatever happens, every request is answered exactly once, nobody
//! is in two calls, tenants stay apart, keys stay where they belong, and nothing is left when all
//! calls are over.

use super::*;
use crate::sessions::Whom;
use kakehashi_wire::id::Epoch;
use proptest::prelude::*;
use std::collections::{HashMap, HashSet};

#[derive(Clone, Debug)]
enum Act {
    SignIn {
        slot: usize,
        device: u64,
    },
    Leave(usize),
    /// An account, or its device 0, or its whole tenant is suspended, and active again at once.
    Suspend(usize, u8),
    Watch(usize),
    Invite {
        from: usize,
        to: u64,
        streams: usize,
    },
    /// Something about the `nth` call that was ever made, by anybody.
    On {
        who: usize,
        nth: usize,
        what: u8,
    },
    Wait(u64),
    Disk(bool),
    RelaysAnswer(bool),
    LinkDown(u32),
    LinkUp(u32),
    Restart(u32),
    Refuse {
        relay: u32,
        refuses: bool,
    },
}

const ACCOUNTS: usize = 5;

fn act() -> impl Strategy<Value = Act> {
    let slot = 0..ACCOUNTS;
    prop_oneof![
        4 => (slot.clone(), 0_u64..2).prop_map(|(slot, device)| Act::SignIn { slot, device }),
        1 => slot.clone().prop_map(Act::Leave),
        1 => (slot.clone(), 0_u8..3).prop_map(|(slot, what)| Act::Suspend(slot, what)),
        1 => slot.clone().prop_map(Act::Watch),
        6 => (slot.clone(), 0_u64..6, 0_usize..3)
            .prop_map(|(from, to, streams)| Act::Invite { from, to, streams }),
        9 => (slot, 0_usize..6, 0_u8..5).prop_map(|(who, nth, what)| Act::On { who, nth, what }),
        2 => (0_u64..60_000).prop_map(Act::Wait),
        1 => any::<bool>().prop_map(Act::Disk),
        1 => any::<bool>().prop_map(Act::RelaysAnswer),
        1 => (1_u32..3).prop_map(Act::LinkDown),
        1 => (1_u32..3).prop_map(Act::LinkUp),
        1 => (1_u32..3).prop_map(Act::Restart),
        1 => (1_u32..3, any::<bool>())
            .prop_map(|(relay, refuses)| Act::Refuse { relay, refuses }),
    ]
}

struct Life {
    world: World,
    sessions: [Option<u64>; ACCOUNTS],
    next_session: u64,
    calls: Vec<CallId>,
    asked: HashMap<RequestId, SessionId>,
    answered: BTreeSet<RequestId>,
    isolation: Isolation,
    /// Lives of legs that members were told of.
    lives: HashSet<Epoch>,
}

/// Accounts 0, 1, 2 are of tenant 1, the others of tenant 2.
fn tenant(account: usize) -> u64 {
    if account < 3 { 1 } else { 2 }
}

impl Life {
    fn new(isolation: Isolation) -> Self {
        Self {
            world: World::with(2, isolation),
            sessions: [None; ACCOUNTS],
            next_session: 1,
            calls: Vec::new(),
            asked: HashMap::new(),
            answered: BTreeSet::new(),
            isolation,
            lives: HashSet::new(),
        }
    }

    fn act(&mut self, act: &Act) {
        match *act {
            Act::SignIn { slot, device } => {
                let session = self.next_session;
                self.next_session += 1;
                self.world.sign_in(session, tenant(slot), slot as u64, device);
                if self.world.verdicts[&SessionId(session)].is_ok() {
                    self.sessions[slot] = Some(session);
                }
            }
            Act::Leave(slot) => {
                if let Some(session) = self.sessions[slot].take() {
                    self.world.input(Input::Gone(SessionId(session)));
                }
            }
            Act::Suspend(slot, what) => self.suspend(slot, what),
            Act::Watch(slot) => {
                let known = (0..ACCOUNTS).filter(|a| tenant(*a) == tenant(slot)).map(|account| {
                    KnownAccount {
                        account: AccountId(account as u64),
                        login: format!("login-{account}"),
                        display: String::new(),
                    }
                });
                let known = known.collect();
                self.ask(slot, |request, _| Request::Watch(request, known));
            }
            Act::Invite { from, to, streams } => {
                // The gate finds accounts of the session's tenant only.
                let same = to < ACCOUNTS as u64 && tenant(to as usize) == tenant(from);
                let callee = same.then_some(AccountId(to));
                let streams = vec![AUDIO; streams];
                self.ask(from, |request, _| Request::Invite(request, callee, streams));
            }
            Act::On { who, nth, what } => {
                let Some(call) = self.calls.iter().rev().nth(nth).copied() else { return };
                self.ask(who, |request, _| match what {
                    0 => Request::Accept(Accept { request, call, streams: vec![AUDIO] }),
                    1 => Request::Reject(Reject { request, call }),
                    2 => Request::Cancel(Cancel { request, call }),
                    3 => Request::HangUp(HangUp { request, call }),
                    _ => Request::Accept(Accept { request, call, streams: Vec::new() }),
                });
            }
            Act::Wait(ms) => self.world.wait(Duration::from_millis(ms)),
            Act::Disk(full) => self.world.disk_full = full,
            Act::RelaysAnswer(answer) => {
                self.world.relays_answer = answer;
                self.world.input(Input::Tick);
            }
            Act::LinkDown(relay) => self.world.link_down(relay),
            Act::LinkUp(relay) => self.world.link_up(relay),
            Act::Restart(relay) => self.world.restart(relay),
            Act::Refuse { relay, refuses } => {
                if let Some(relay) = self.world.relays.get_mut(&LinkId(relay.into())) {
                    relay.refuses = refuses.then_some(Outcome::NoRoom);
                }
            }
        }
    }

    fn suspend(&mut self, slot: usize, what: u8) {
        let key = |slot| {
            let (tenant, account) = (TenantId(tenant(slot)), AccountId(slot as u64));
            AccountKey { tenant, account }
        };
        let whom = match what {
            0 => Whom::Account(key(slot)),
            1 => Whom::Device(key(slot), DeviceId(0)),
            _ => Whom::Tenant(key(slot).tenant),
        };
        self.world.suspend(whom);
        let lives = |id: &u64| self.world.core.sessions.get(SessionId(*id)).is_some();
        for session in &mut self.sessions {
            *session = session.filter(lives);
        }
    }

    fn ask(&mut self, slot: usize, request: impl FnOnce(RequestId, ()) -> Request) {
        let Some(session) = self.sessions[slot] else { return };
        let id = self.world.request();
        self.asked.insert(id, SessionId(session));
        self.world.ask(session, request(id, ()));
    }

    fn check_keys(&mut self, ready: &CallReady) -> Result<(), TestCaseError> {
        let sealed = self.isolation == Isolation::PerLeg;
        prop_assert!(ready.senders.iter().all(|sender| sender.key.is_none() == sealed));
        prop_assert!(ready.paths.iter().all(|path| path.downlink.is_some() == sealed));
        let epochs = ready.paths.iter().filter_map(|path| Some(path.downlink.as_ref()?.epoch));
        for epoch in epochs.filter(|epoch| *epoch != Epoch::NONE) {
            prop_assert!(self.lives.insert(epoch), "a life was told of twice");
        }
        Ok(())
    }

    /// Looks at everything that was said.
    fn check(&mut self) -> Result<(), TestCaseError> {
        let of_tenant = |entries: &[PresenceEntry], tenant_id: u64| {
            entries.iter().all(|entry| {
                let account: usize = entry.login["login-".len()..].parse().unwrap();
                tenant(account) == tenant_id
            })
        };
        for (session, messages) in std::mem::take(&mut self.world.told) {
            for message in messages {
                let answers = match &message {
                    ToTerminal::Done(it) => Some(it.request),
                    ToTerminal::Refused(it) => Some(it.request),
                    ToTerminal::Ringing(it) => {
                        self.calls.push(it.call);
                        Some(it.request)
                    }
                    ToTerminal::CallReady(it) => {
                        self.check_keys(it)?;
                        None
                    }
                    ToTerminal::PathRenewed(it) => {
                        prop_assert!(self.lives.insert(it.epoch), "a life was told of twice");
                        None
                    }
                    ToTerminal::Presence(it) => {
                        let one = of_tenant(&it.entries, 1) || of_tenant(&it.entries, 2);
                        prop_assert!(one, "tenants are mixed");
                        None
                    }
                    _ => None,
                };
                if let Some(request) = answers {
                    prop_assert_eq!(self.asked.get(&request), Some(&session));
                    prop_assert!(self.answered.insert(request), "answered twice");
                }
            }
        }
        let mut members = BTreeSet::new();
        for call in self.world.core.calls.iter() {
            prop_assert_eq!(call.caller().account.tenant, call.callee().account.tenant);
            for member in call.members() {
                prop_assert!(members.insert(member.account), "in two calls");
                prop_assert!(self.world.core.sessions.get(member.session).is_some());
            }
        }
        Ok(())
    }
}

proptest! {
    #[test]
    fn every_life_keeps_its_promises(
        sealed: bool,
        acts in prop::collection::vec(act(), 0..150),
    ) {
        let isolation = if sealed { Isolation::PerLeg } else { Isolation::None };
        let mut life = Life::new(isolation);
        for act in &acts {
            life.act(act);
            life.check()?;
        }
        // Requests of sessions that lived on are all answered.
        for (request, session) in &life.asked {
            let lives = life.world.core.sessions.get(*session).is_some();
            prop_assert!(!lives || life.answered.contains(request), "never answered");
        }
        // Everybody leaves, the disk and the relays come back: nothing is left.
        life.world.disk_full = false;
        life.world.relays_answer = true;
        for slot in 0..ACCOUNTS {
            life.act(&Act::Leave(slot));
        }
        life.world.link_up(1);
        life.world.link_up(2);
        life.world.wait(Duration::from_secs(10));
        life.world.assert_clean();
    }
}
