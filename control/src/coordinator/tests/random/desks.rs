//! What random lives do at desks.

use super::*;
use crate::desks::{Agent, Desk, Overflow, RingOrder};

#[derive(Clone, Debug)]
pub(super) enum AtDesk {
    /// A desk is called: one of the tenant's, or the other tenant's.
    Invite(usize, usize),
    EndWrapUp(usize),
    /// A member of the `nth` call asks one of the desks for somebody, or takes that back.
    Ask {
        who: usize,
        nth: usize,
        desk: usize,
        then_leave: bool,
    },
    /// The desks of a tenant ring in this order from now on, or there is none.
    Set(u64, Option<RingOrder>),
}

pub(super) fn at_desk(slots: std::ops::Range<usize>) -> impl Strategy<Value = AtDesk> {
    prop_oneof![
        8 => (slots.clone(), prop_oneof![4 => Just(0_usize), 1 => 0_usize..3])
            .prop_map(|(from, desk)| AtDesk::Invite(from, desk)),
        6 => (slots.clone(), 0_usize..4, some_desk(), any::<bool>())
            .prop_map(|(who, nth, desk, then_leave)| AtDesk::Ask { who, nth, desk, then_leave }),
        2 => slots.prop_map(AtDesk::EndWrapUp),
        1 => (1_u64..3, prop::option::weighted(0.9, order()))
            .prop_map(|(tenant, order)| AtDesk::Set(tenant, order)),
    ]
}

fn some_desk() -> impl Strategy<Value = usize> {
    prop_oneof![4 => Just(0_usize), 1 => 0_usize..4]
}

fn order() -> impl Strategy<Value = RingOrder> {
    prop_oneof![Just(RingOrder::LongestIdle), Just(RingOrder::RoundRobin), Just(RingOrder::RingAll)]
}

/// Two desks of tenant 1, the first of which overflows to the second, and one of tenant 2.
fn desks(tenant: u64, order: RingOrder) -> Vec<Desk> {
    let desk = |name: &str, agents: &[u64]| {
        let agent = |account: &u64| Agent { account: AccountId(*account), login: String::new() };
        let agents = agents.iter().map(agent).collect();
        Desk { agents, order, queue_max: 2, wait_max_s: 60, ..Desk::new(name.into()) }
    };
    if tenant == 2 {
        return vec![desk("desk-2", &[7])];
    }
    let overflow = Some(Overflow { desk: "desk-1".into(), after_s: 15 });
    vec![Desk { overflow, ..desk("desk-0", &[0, 1, 2]) }, desk("desk-1", &[2, 3])]
}

impl Life {
    pub(super) fn act_at_desk(&mut self, act: &AtDesk) {
        match *act {
            AtDesk::Invite(from, desk) => {
                let (desk, streams) = (format!("desk-{desk}"), vec![AUDIO]);
                self.ask(from, |request, ()| {
                    Request::InviteDesk(InviteDesk { request, desk, streams })
                });
            }
            AtDesk::EndWrapUp(slot) => {
                self.ask(slot, |request, ()| Request::EndWrapUp(EndWrapUp { request }));
            }
            AtDesk::Ask { who, nth, desk, then_leave } => {
                let Some(call) = self.call(nth) else { return };
                let who = self.party(who, call, false);
                // The last of them is none.
                let desk = if desk < 3 { format!("desk-{desk}") } else { String::new() };
                self.ask(who, |request, ()| {
                    Request::AddDesk(AddDesk { request, call, desk, then_leave })
                });
            }
            AtDesk::Set(tenant, order) => {
                self.revision += 1;
                let desks = order.map(|order| desks(tenant, order)).unwrap_or_default();
                self.world.set_desks(tenant, self.revision, desks);
            }
        }
    }

    /// Who waits at a desk waits alone; who rings for one is in no other call.
    pub(super) fn check_desks(&self) -> Result<(), TestCaseError> {
        let core = &self.world.core;
        for call in core.calls.iter() {
            let rings_at_desk = call.desk().is_some() && call.state() == State::Ringing;
            match call.asks() {
                Some(asks) => {
                    prop_assert_eq!(call.state(), State::Connected);
                    prop_assert!(asks.due.is_some(), "it would wait for ever");
                }
                None => prop_assert_eq!(call.agents().is_empty(), !rings_at_desk),
            }
            prop_assert!(call.state() != State::Queued || call.members().len() == 1);
            for agent in call.agents() {
                prop_assert_eq!(agent.account.tenant, call.tenant());
                prop_assert_eq!(core.calls.all_of(agent.account).count(), 1);
                prop_assert!(!agent.sessions().is_empty(), "rings at nobody");
            }
        }
        Ok(())
    }
}
