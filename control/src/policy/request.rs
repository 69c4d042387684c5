//! May this session do that now?
//!
//! The one place where a tenant's policy meets a request. What is asked of other accounts comes as
//! a [`Target`] that was looked up within the tenant: there is no way to say that one of another
//! tenant exists.

use super::role::{Act, Rank};
use super::tenant::TenantPolicy;
use crate::clock::LocalTime;
use kakehashi_wire::terminal::{Refusal, Role};

/// Whom a request is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Target<'a> {
    /// Nobody of this tenant.
    Nobody,
    /// An account of this tenant with that role.
    Account(Role),
    /// The desk of this tenant with that name, if there is one.
    Desk(&'a str),
}

/// What there is of a tenant without what is asked for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Counts {
    /// Terminals that are signed in.
    pub terminals: usize,
    /// Calls that go on.
    pub calls: usize,
}

/// What the verdict depends on.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Facts<'a> {
    /// The role of who asks.
    pub role: Role,
    /// What for.
    pub act: Act,
    /// About whom.
    pub target: Target<'a>,
    /// What the terminal says to run; of an [`Act::SignIn`] only.
    pub software: &'a str,
    /// The tenant's policy.
    pub policy: &'a TenantPolicy,
    /// What clocks show in the zone of the tenant's opening hours; none if it has none.
    pub at: Option<LocalTime>,
    /// What there is of the tenant.
    pub counts: Counts,
}

/// Whether it may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// As far as the policy goes.
    Allow,
    /// The terminal hears the refusal, the log has the reason.
    Refuse(Refusal, Reason),
}

/// Why not, for the log.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// The role does not have the right.
    Role,
    /// The tenant does not let this software in.
    Software,
    /// The tenant has as many terminals as it may have.
    Terminals,
    /// The tenant has as many calls as it may have.
    Calls,
    /// It is outside the tenant's opening hours.
    Hours,
    /// The tenant does not let the one role call the other.
    Callee,
    /// The tenant does not let anybody listen.
    Listening,
    /// The tenant does not let the role call that desk.
    Desk,
}

/// Whether a session may do something now. Total: every combination of facts has a verdict.
pub fn may(facts: &Facts<'_>) -> Verdict {
    if !Rank::Account(facts.role).may(facts.act) {
        return Verdict::Refuse(Refusal::NotAllowed, Reason::Role);
    }
    match facts.act {
        Act::SignIn => may_sign_in(facts),
        Act::Invite | Act::InviteDesk => may_invite(facts),
        Act::AddMember | Act::AddDesk => may_reach(facts),
        Act::Listen if !facts.policy.rules.listening => {
            Verdict::Refuse(Refusal::NotAllowed, Reason::Listening)
        }
        _ => Verdict::Allow,
    }
}

fn may_sign_in(facts: &Facts<'_>) -> Verdict {
    let policy = facts.policy;
    if !policy.rules.lets_in(facts.software) {
        return Verdict::Refuse(Refusal::Outdated, Reason::Software);
    }
    if is_reached(policy.limits.terminals, facts.counts.terminals) {
        return Verdict::Refuse(Refusal::TenantFull, Reason::Terminals);
    }
    Verdict::Allow
}

fn may_invite(facts: &Facts<'_>) -> Verdict {
    let TenantPolicy { limits, rules } = facts.policy;
    let are_open = |at| rules.hours.as_ref().is_none_or(|hours| hours.are_open(at));
    if !facts.at.is_none_or(are_open) {
        return Verdict::Refuse(Refusal::OutsideHours, Reason::Hours);
    }
    let verdict = may_reach(facts);
    if verdict == Verdict::Allow && is_reached(limits.calls, facts.counts.calls) {
        return Verdict::Refuse(Refusal::TenantFull, Reason::Calls);
    }
    verdict
}

/// Whether the role may call the other, or the desk, into a new call or one that goes on.
fn may_reach(facts: &Facts<'_>) -> Verdict {
    match facts.target {
        Target::Account(role) if !facts.policy.rules.may_call.of(facts.role).include(role) => {
            Verdict::Refuse(Refusal::NotAllowed, Reason::Callee)
        }
        Target::Desk(name) if !facts.policy.rules.may_call_desks.of(facts.role).include(name) => {
            Verdict::Refuse(Refusal::NotAllowed, Reason::Desk)
        }
        Target::Account(_) | Target::Desk(_) | Target::Nobody => Verdict::Allow,
    }
}

fn is_reached(limit: u32, count: usize) -> bool {
    usize::try_from(limit).is_ok_and(|limit| count >= limit)
}

#[cfg(test)]
mod tests {
    use super::super::hours::{Hours, Span};
    use super::*;
    use crate::clock::Zone;
    use proptest::prelude::*;
    use proptest::sample::select;

    const FREE: Counts = Counts { terminals: 0, calls: 0 };

    /// Open on Mondays from nine to six; stores call concierges; ours from 1.0.0; one of each.
    fn strict() -> TenantPolicy {
        let mut policy = TenantPolicy::default();
        (policy.limits.terminals, policy.limits.calls) = (1, 1);
        policy.rules.may_call.store = [Role::Concierge][..].into();
        let desks = serde_json::from_str(r#"["sales"]"#).unwrap();
        policy.rules.may_call_desks.store = desks;
        policy.rules.software =
            [("ours".to_owned(), "1.0.0".to_owned().try_into().unwrap())].into();
        let closed = Vec::new;
        policy.rules.hours = Some(Hours {
            zone: Zone::named("UTC").unwrap(),
            monday: vec![Span::try_from("09:00-18:00".to_owned()).unwrap()],
            tuesday: closed(),
            wednesday: closed(),
            thursday: closed(),
            friday: closed(),
            saturday: closed(),
            sunday: closed(),
        });
        policy
    }

    fn good(policy: &TenantPolicy, act: Act) -> Facts<'_> {
        Facts {
            role: Role::Store,
            act,
            target: Target::Account(Role::Concierge),
            software: "ours 1.0.0",
            policy,
            at: Some(LocalTime { weekday: 0, minute: 600 }),
            counts: FREE,
        }
    }

    #[test]
    fn each_fact_has_its_reason() {
        let policy = strict();
        let sign_in = good(&policy, Act::SignIn);
        let invite = good(&policy, Act::Invite);
        let full = Counts { terminals: 1, calls: 1 };
        let evening = Some(LocalTime { weekday: 0, minute: 1080 });
        let refused = |refusal, reason| Verdict::Refuse(refusal, reason);
        for (facts, verdict) in [
            (sign_in, Verdict::Allow),
            (invite, Verdict::Allow),
            (Facts { act: Act::AccountAdd, ..invite }, refused(Refusal::NotAllowed, Reason::Role)),
            (
                Facts { software: "ours 0.9.0", ..sign_in },
                refused(Refusal::Outdated, Reason::Software),
            ),
            (Facts { counts: full, ..sign_in }, refused(Refusal::TenantFull, Reason::Terminals)),
            (Facts { counts: full, ..invite }, refused(Refusal::TenantFull, Reason::Calls)),
            (Facts { at: evening, ..invite }, refused(Refusal::OutsideHours, Reason::Hours)),
            (Facts { at: evening, ..sign_in }, Verdict::Allow),
            (
                Facts { target: Target::Account(Role::Store), ..invite },
                refused(Refusal::NotAllowed, Reason::Callee),
            ),
            (
                Facts { act: Act::AddMember, target: Target::Account(Role::Store), ..invite },
                refused(Refusal::NotAllowed, Reason::Callee),
            ),
            (Facts { act: Act::AddMember, at: evening, counts: full, ..invite }, Verdict::Allow),
            (
                Facts { act: Act::InviteDesk, target: Target::Desk("sales"), ..invite },
                Verdict::Allow,
            ),
            (
                Facts { act: Act::InviteDesk, target: Target::Desk("repairs"), ..invite },
                refused(Refusal::NotAllowed, Reason::Desk),
            ),
            (
                Facts { act: Act::AddDesk, target: Target::Desk("repairs"), ..invite },
                refused(Refusal::NotAllowed, Reason::Desk),
            ),
            (Facts { act: Act::AddDesk, at: evening, counts: full, ..invite }, Verdict::Allow),
            (
                Facts { act: Act::InviteDesk, at: evening, ..invite },
                refused(Refusal::OutsideHours, Reason::Hours),
            ),
            (Facts { target: Target::Nobody, ..invite }, Verdict::Allow),
            (Facts { act: Act::Accept, at: evening, counts: full, ..invite }, Verdict::Allow),
        ] {
            assert_eq!(may(&facts), verdict, "{facts:?}");
        }
    }

    prop_compose! {
        fn policies()(
            is_strict: bool, terminals in 0..3_u32, calls in 0..3_u32,
            callees in prop::collection::vec(select(&Role::ALL[..]), 0..4), has_hours: bool,
        ) -> TenantPolicy {
            let mut policy = if is_strict { strict() } else { TenantPolicy::default() };
            (policy.limits.terminals, policy.limits.calls) = (terminals, calls);
            policy.rules.may_call.store = callees[..].into();
            if !has_hours {
                policy.rules.hours = None;
            }
            policy
        }
    }

    fn targets() -> impl Strategy<Value = Target<'static>> {
        prop_oneof![
            Just(Target::Nobody),
            select(vec!["sales", "repairs"]).prop_map(Target::Desk),
            select(&Role::ALL[..]).prop_map(Target::Account),
        ]
    }

    proptest! {
        #[test]
        fn more_room_and_longer_hours_never_refuse_what_was_allowed(
            policy in policies(), role in select(&Role::ALL[..]), act in select(Act::ALL),
            target in targets(), software in select(vec!["", "ours 1.0.0", "ours 0.1.0"]),
            weekday in 0..8_usize, minute in 0..1440_u16, terminals in 0..4_usize,
            calls in 0..4_usize,
        ) {
            let facts = Facts {
                role, act, target, software, policy: &policy,
                at: policy.rules.hours.as_ref().map(|_| LocalTime { weekday, minute }),
                counts: Counts { terminals, calls },
            };
            let verdict = may(&facts);
            prop_assert_eq!(verdict, may(&facts), "the same facts, the same verdict");
            let mut wider = policy.clone();
            wider.limits.terminals += 1;
            wider.limits.calls += 1;
            wider.rules.hours = None;
            if verdict == Verdict::Allow {
                prop_assert_eq!(may(&Facts { policy: &wider, at: None, ..facts }), verdict);
            }
            if !Rank::Account(role).may(act) {
                prop_assert_eq!(verdict, Verdict::Refuse(Refusal::NotAllowed, Reason::Role));
            }
            // Only what begins something new is held to limits, hours, callees and listening.
            let invites = [Act::Invite, Act::InviteDesk, Act::AddMember, Act::AddDesk];
            let is_held_to = [Act::SignIn, Act::Listen].contains(&act) || invites.contains(&act);
            if Rank::Account(role).may(act) && !is_held_to {
                prop_assert_eq!(verdict, Verdict::Allow);
            }
        }
    }
}
