//! May this account call that one?

use crate::capacity::CALLS_PER_ACCOUNT_MAX;
use crate::sessions::AccountKey;
use kakehashi_wire::id::CallId;
use kakehashi_wire::terminal::Refusal;

/// The calls of an account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Engaged {
    /// How many it is part of.
    pub calls: usize,
    /// One of them is not on hold: it speaks there, or rings.
    pub is_active: bool,
}

/// What is known about the called account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callee {
    /// Which account.
    pub account: AccountKey,
    /// A terminal of it is signed in.
    pub is_there: bool,
    /// Its calls.
    pub engaged: Engaged,
}

/// What the verdict depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallFacts {
    /// Who calls, from its session.
    pub caller: AccountKey,
    /// The caller's calls.
    pub caller_engaged: Engaged,
    /// Whom; `None` if the login names nobody.
    pub callee: Option<Callee>,
    /// The callee's own call to the caller, if it rings there.
    pub crossing: Option<CallId>,
    /// A relay could carry the call.
    pub relay_ready: bool,
}

/// What comes of an invitation that may be.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum MayCall {
    /// The callee is to ring.
    Rings(AccountKey),
    /// Both have called each other: the caller takes this call of the callee's.
    Takes(CallId),
}

/// Whether the call may be made.
///
/// An account of another tenant and one that does not exist are refused alike.
///
/// # Errors
/// The reason.
pub fn may_call(facts: &CallFacts) -> Result<MayCall, Refusal> {
    let callee = somebody_else(facts.callee, facts.caller)?;
    if let Some(crossing) = facts.crossing {
        return Ok(MayCall::Takes(crossing));
    }
    if facts.caller_engaged.is_active {
        return Err(Refusal::InAnotherCall);
    }
    if facts.caller_engaged.calls >= CALLS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyCalls);
    }
    can_be_called(callee, facts.relay_ready)?;
    Ok(MayCall::Rings(callee.account))
}

/// Who is called, if it is somebody of the caller's tenant, and not the caller.
pub(super) fn somebody_else(callee: Option<Callee>, caller: AccountKey) -> Result<Callee, Refusal> {
    let callee = callee
        .filter(|callee| callee.account.tenant == caller.tenant)
        .ok_or(Refusal::NoSuchLogin)?;
    if callee.account == caller {
        return Err(Refusal::CallsItself);
    }
    Ok(callee)
}

/// Whether a call can ring at `callee` now.
pub(super) fn can_be_called(callee: Callee, relay_ready: bool) -> Result<(), Refusal> {
    if !callee.is_there {
        return Err(Refusal::NotAvailable);
    }
    if callee.engaged.is_active || callee.engaged.calls >= CALLS_PER_ACCOUNT_MAX {
        return Err(Refusal::InAnotherCall);
    }
    if !relay_ready {
        return Err(Refusal::NoRelay);
    }
    Ok(())
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
    const BUSY: Engaged = Engaged { calls: 1, is_active: true };
    const FULL: Engaged = Engaged { calls: CALLS_PER_ACCOUNT_MAX, is_active: false };

    fn good() -> CallFacts {
        CallFacts {
            caller: key(1, 1),
            caller_engaged: FREE,
            callee: Some(Callee { account: key(1, 2), is_there: true, engaged: FREE }),
            crossing: None,
            relay_ready: true,
        }
    }

    #[test]
    fn each_fact_has_its_reason() {
        assert_eq!(may_call(&good()), Ok(MayCall::Rings(key(1, 2))));
        let callee = good().callee.unwrap();
        let with = |callee| CallFacts { callee: Some(callee), ..good() };
        let cases = [
            (CallFacts { callee: None, ..good() }, Refusal::NoSuchLogin),
            (with(Callee { account: key(1, 1), ..callee }), Refusal::CallsItself),
            (CallFacts { caller_engaged: BUSY, ..good() }, Refusal::InAnotherCall),
            (CallFacts { caller_engaged: FULL, ..good() }, Refusal::TooManyCalls),
            (with(Callee { is_there: false, ..callee }), Refusal::NotAvailable),
            (with(Callee { engaged: BUSY, ..callee }), Refusal::InAnotherCall),
            (with(Callee { engaged: FULL, ..callee }), Refusal::InAnotherCall),
            (CallFacts { relay_ready: false, ..good() }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_call(&facts), Err(reason), "{facts:?}");
        }
    }

    #[test]
    fn calls_on_hold_leave_room_for_more() {
        let held = Engaged { calls: CALLS_PER_ACCOUNT_MAX - 1, is_active: false };
        let callee = Callee { engaged: held, ..good().callee.unwrap() };
        let facts = CallFacts { caller_engaged: held, callee: Some(callee), ..good() };
        assert_eq!(may_call(&facts), Ok(MayCall::Rings(key(1, 2))));
    }

    prop_compose! {
        fn engaged()(calls in 0..=CALLS_PER_ACCOUNT_MAX, is_active: bool) -> Engaged {
            Engaged { calls, is_active }
        }
    }

    proptest! {
        #[test]
        fn another_tenant_looks_like_nobody(
            tenant in 2_u64.., account: u64, is_there: bool, engaged in engaged(),
            caller_engaged in engaged(), relay_ready: bool,
        ) {
            let callee = Callee { account: key(tenant, account), is_there, engaged };
            let facts = CallFacts { callee: Some(callee), caller_engaged, relay_ready, ..good() };
            let absent = CallFacts { callee: None, ..facts };
            prop_assert_eq!(may_call(&facts), may_call(&absent));
            prop_assert_eq!(may_call(&facts), Err(Refusal::NoSuchLogin));
        }

        #[test]
        fn whoever_is_called_by_the_callee_takes_that_call_however_busy_both_are(
            call: u64, is_there: bool, engaged in engaged(), caller_engaged in engaged(),
            relay_ready: bool,
        ) {
            let callee = Callee { account: key(1, 2), is_there, engaged };
            let crossing = Some(CallId(call));
            let facts =
                CallFacts { callee: Some(callee), caller_engaged, crossing, relay_ready, ..good() };
            prop_assert_eq!(may_call(&facts), Ok(MayCall::Takes(CallId(call))));
        }
    }
}
