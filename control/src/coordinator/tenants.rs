//! The policies of tenants, as the store last said, and what they allow.

use super::{Coordinator, Output};
use crate::clock::Now;
use crate::policy::{Act, Counts, Facts, Target, TenantPolicy, Verdict, may};
use crate::sessions::{AccountKey, Session};
use crate::store::Revision;
use kakehashi_wire::id::TenantId;
use kakehashi_wire::terminal::Refusal;
use std::collections::HashMap;

/// The policies that were heard of; of other tenants, the usual one counts.
#[derive(Default)]
pub(super) struct Tenants {
    known: HashMap<TenantId, (Revision, TenantPolicy)>,
    usual: TenantPolicy,
}

impl Tenants {
    /// Keeps a policy unless a later one is known.
    pub(super) fn know(&mut self, tenant: TenantId, policy: TenantPolicy, revision: Revision) {
        if self.known.get(&tenant).is_none_or(|(known, _)| *known < revision) {
            self.known.insert(tenant, (revision, policy));
        }
    }

    /// A tenant's policy.
    pub(super) fn policy(&self, tenant: TenantId) -> &TenantPolicy {
        self.known.get(&tenant).map_or(&self.usual, |(_, policy)| policy)
    }
}

impl Coordinator {
    /// Whether `session` may let a sign-in with that software in now.
    pub(super) fn may_sign_in(
        &mut self,
        session: &Session,
        software: &str,
        now: Now,
    ) -> Result<(), Refusal> {
        self.may((session, Act::SignIn), Target::Nobody, software, now)
    }

    /// Whether `session` may do `act` to `target` now, as far as its role and its tenant's policy
    /// go. The reason why not goes to the log alone.
    pub(super) fn may_do(
        &mut self,
        session: &Session,
        act: Act,
        target: Target<'_>,
        now: Now,
    ) -> Result<(), Refusal> {
        self.may((session, act), target, "", now)
    }

    fn may(
        &mut self,
        (session, act): (&Session, Act),
        target: Target<'_>,
        software: &str,
        now: Now,
    ) -> Result<(), Refusal> {
        let AccountKey { tenant, .. } = session.account;
        let policy = self.tenants.policy(tenant);
        let verdict = may(&Facts {
            role: session.role,
            act,
            target,
            software,
            policy,
            at: policy.rules.hours.as_ref().map(|hours| hours.zone.local(now.wall)),
            counts: Counts {
                terminals: self.sessions.count_beside(session.account, session.device),
                calls: self.calls.count_of(tenant),
            },
        });
        match verdict {
            Verdict::Allow => Ok(()),
            Verdict::Refuse(refusal, reason) => {
                self.out.push(Output::Refused(session.id, act, reason));
                Err(refusal)
            }
        }
    }
}
