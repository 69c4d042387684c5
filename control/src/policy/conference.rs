//! May somebody be brought into a call, and may two calls become one?

use super::call::{can_be_called, somebody_else};
use super::{Callee, Engaged};
use crate::capacity::CALLS_PER_ACCOUNT_MAX;
use crate::sessions::AccountKey;
use kakehashi_wire::terminal::Refusal;

/// What it depends on whether somebody may be brought in.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddFacts {
    /// Who brings, from its session.
    pub by: AccountKey,
    /// Whom; `None` if the login names nobody.
    pub callee: Option<Callee>,
    /// It is a member of the call already.
    pub is_member: bool,
    /// The call may have another member.
    pub has_room: bool,
    /// A relay could carry the call with it.
    pub relay_ready: bool,
}

/// Whether somebody may be brought into a call. An account of another tenant and one that does not
/// exist are refused alike.
///
/// # Errors
/// The reason.
pub fn may_add(facts: &AddFacts) -> Result<AccountKey, Refusal> {
    let callee = somebody_else(facts.callee, facts.by)?;
    if facts.is_member {
        return Err(Refusal::InAnotherCall);
    }
    if !facts.has_room {
        return Err(Refusal::CallFull);
    }
    can_be_called(callee, facts.relay_ready)?;
    Ok(callee.account)
}

/// What it depends on whether two calls of an account may become one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MergeFacts {
    /// They are two.
    pub differ: bool,
    /// Neither is about to have other members, and none of the guests has its call on hold.
    pub settled: bool,
    /// How many come who are not in the other.
    pub guests: usize,
    /// The call may have them all.
    pub has_room: bool,
    /// A relay could carry the call with them.
    pub relay_ready: bool,
}

/// Whether two calls of an account may become one.
///
/// # Errors
/// The reason.
pub fn may_merge(facts: &MergeFacts) -> Result<(), Refusal> {
    if !facts.differ {
        return Err(Refusal::BadRequest);
    }
    if !facts.settled {
        return Err(Refusal::TooLate);
    }
    if facts.guests == 0 {
        return Err(Refusal::BadRequest);
    }
    if !facts.has_room {
        return Err(Refusal::CallFull);
    }
    if facts.relay_ready { Ok(()) } else { Err(Refusal::NoRelay) }
}

/// What it depends on whether a session may listen to a call of its tenant, beside its role and the
/// tenant's policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ListenFacts {
    /// People speak in it.
    pub goes_on: bool,
    /// The account is a member of it already.
    pub is_member: bool,
    /// The account's calls.
    pub engaged: Engaged,
    /// The call may have another member.
    pub has_room: bool,
    /// A relay could carry the call with it.
    pub relay_ready: bool,
}

/// Whether a session may listen to a call.
///
/// # Errors
/// The reason.
pub fn may_listen(facts: &ListenFacts) -> Result<(), Refusal> {
    if !facts.goes_on {
        return Err(Refusal::TooLate);
    }
    if facts.is_member || facts.engaged.is_active {
        return Err(Refusal::InAnotherCall);
    }
    if facts.engaged.calls >= CALLS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyCalls);
    }
    if !facts.has_room {
        return Err(Refusal::CallFull);
    }
    if facts.relay_ready { Ok(()) } else { Err(Refusal::NoRelay) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};
    use proptest::prelude::*;

    fn key(tenant: u64, account: u64) -> AccountKey {
        AccountKey { tenant: TenantId(tenant), account: AccountId(account) }
    }

    const FREE: Engaged = Engaged { calls: 0, is_active: false };

    fn good() -> AddFacts {
        let callee = Callee { account: key(1, 2), is_there: true, engaged: FREE };
        let by = key(1, 1);
        let (is_member, has_room, relay_ready) = (false, true, true);
        AddFacts { by, callee: Some(callee), is_member, has_room, relay_ready }
    }

    #[test]
    fn each_fact_about_who_comes_has_its_reason() {
        assert_eq!(may_add(&good()), Ok(key(1, 2)));
        let callee = good().callee.unwrap();
        let with = |callee| AddFacts { callee: Some(callee), ..good() };
        let engaged = |calls, is_active| Callee { engaged: Engaged { calls, is_active }, ..callee };
        let cases = [
            (AddFacts { callee: None, ..good() }, Refusal::NoSuchLogin),
            (with(Callee { account: key(1, 1), ..callee }), Refusal::CallsItself),
            (AddFacts { is_member: true, ..good() }, Refusal::InAnotherCall),
            (AddFacts { has_room: false, ..good() }, Refusal::CallFull),
            (with(Callee { is_there: false, ..callee }), Refusal::NotAvailable),
            (with(engaged(1, true)), Refusal::InAnotherCall),
            (with(engaged(CALLS_PER_ACCOUNT_MAX, false)), Refusal::InAnotherCall),
            (AddFacts { relay_ready: false, ..good() }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_add(&facts), Err(reason), "{facts:?}");
        }
    }

    #[test]
    fn each_fact_about_two_calls_has_its_reason() {
        let good = MergeFacts {
            differ: true,
            settled: true,
            guests: 1,
            has_room: true,
            relay_ready: true,
        };
        assert_eq!(may_merge(&good), Ok(()));
        let cases = [
            (MergeFacts { differ: false, ..good }, Refusal::BadRequest),
            (MergeFacts { settled: false, ..good }, Refusal::TooLate),
            (MergeFacts { guests: 0, ..good }, Refusal::BadRequest),
            (MergeFacts { has_room: false, ..good }, Refusal::CallFull),
            (MergeFacts { relay_ready: false, ..good }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_merge(&facts), Err(reason), "{facts:?}");
        }
    }

    #[test]
    fn each_fact_about_who_listens_has_its_reason() {
        let good = ListenFacts {
            goes_on: true,
            is_member: false,
            engaged: FREE,
            has_room: true,
            relay_ready: true,
        };
        assert_eq!(may_listen(&good), Ok(()));
        let engaged = |calls, is_active| Engaged { calls, is_active };
        let cases = [
            (ListenFacts { goes_on: false, ..good }, Refusal::TooLate),
            (ListenFacts { is_member: true, ..good }, Refusal::InAnotherCall),
            (ListenFacts { engaged: engaged(1, true), ..good }, Refusal::InAnotherCall),
            (
                ListenFacts { engaged: engaged(CALLS_PER_ACCOUNT_MAX, false), ..good },
                Refusal::TooManyCalls,
            ),
            (ListenFacts { has_room: false, ..good }, Refusal::CallFull),
            (ListenFacts { relay_ready: false, ..good }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_listen(&facts), Err(reason), "{facts:?}");
        }
    }

    proptest! {
        #[test]
        fn another_tenant_looks_like_nobody(
            tenant in 2_u64.., account: u64, is_there: bool, is_active: bool, calls in 0_usize..9,
            is_member: bool, has_room: bool, relay_ready: bool,
        ) {
            let engaged = Engaged { calls, is_active };
            let callee = Some(Callee { account: key(tenant, account), is_there, engaged });
            let facts = AddFacts { callee, is_member, has_room, relay_ready, ..good() };
            prop_assert_eq!(may_add(&facts), may_add(&AddFacts { callee: None, ..facts }));
            prop_assert_eq!(may_add(&facts), Err(Refusal::NoSuchLogin));
        }
    }
}
