//! May this account call that one?

use crate::sessions::AccountKey;
use kakehashi_wire::terminal::Refusal;

/// What is known about the called account.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Callee {
    /// Which account.
    pub account: AccountKey,
    /// A terminal of it is signed in.
    pub is_there: bool,
    /// It is in a call, or ringing.
    pub is_busy: bool,
}

/// What the verdict depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CallFacts {
    /// Who calls, from its session.
    pub caller: AccountKey,
    /// The caller is in a call already.
    pub caller_is_busy: bool,
    /// Whom; `None` if the login names nobody.
    pub callee: Option<Callee>,
    /// A relay could carry the call.
    pub relay_ready: bool,
}

/// Whether the call may be made.
///
/// An account of another tenant and one that does not exist are refused alike.
///
/// # Errors
/// The reason.
pub fn may_call(facts: &CallFacts) -> Result<AccountKey, Refusal> {
    let callee = facts
        .callee
        .filter(|callee| callee.account.tenant == facts.caller.tenant)
        .ok_or(Refusal::NoSuchLogin)?;
    if callee.account == facts.caller {
        return Err(Refusal::CallsItself);
    }
    if facts.caller_is_busy {
        return Err(Refusal::InAnotherCall);
    }
    if !callee.is_there {
        return Err(Refusal::NotAvailable);
    }
    if callee.is_busy {
        return Err(Refusal::InAnotherCall);
    }
    if !facts.relay_ready {
        return Err(Refusal::NoRelay);
    }
    Ok(callee.account)
}

#[cfg(test)]
mod tests {
    use super::*;
    use kakehashi_wire::id::{AccountId, TenantId};
    use proptest::prelude::*;

    fn key(tenant: u64, account: u64) -> AccountKey {
        AccountKey { tenant: TenantId(tenant), account: AccountId(account) }
    }

    fn good() -> CallFacts {
        CallFacts {
            caller: key(1, 1),
            caller_is_busy: false,
            callee: Some(Callee { account: key(1, 2), is_there: true, is_busy: false }),
            relay_ready: true,
        }
    }

    #[test]
    fn each_fact_has_its_reason() {
        assert_eq!(may_call(&good()), Ok(key(1, 2)));
        let callee = good().callee.unwrap();
        let with = |callee| CallFacts { callee: Some(callee), ..good() };
        let cases = [
            (CallFacts { callee: None, ..good() }, Refusal::NoSuchLogin),
            (with(Callee { account: key(1, 1), ..callee }), Refusal::CallsItself),
            (CallFacts { caller_is_busy: true, ..good() }, Refusal::InAnotherCall),
            (with(Callee { is_there: false, ..callee }), Refusal::NotAvailable),
            (with(Callee { is_busy: true, ..callee }), Refusal::InAnotherCall),
            (CallFacts { relay_ready: false, ..good() }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_call(&facts), Err(reason), "{facts:?}");
        }
    }

    proptest! {
        #[test]
        fn another_tenant_looks_like_nobody(
            tenant in 2_u64.., account: u64, is_there: bool, is_busy: bool,
            caller_is_busy: bool, relay_ready: bool,
        ) {
            let callee = Callee { account: key(tenant, account), is_there, is_busy };
            let facts = CallFacts { callee: Some(callee), caller_is_busy, relay_ready, ..good() };
            let absent = CallFacts { callee: None, ..facts };
            prop_assert_eq!(may_call(&facts), may_call(&absent));
            prop_assert_eq!(may_call(&facts), Err(Refusal::NoSuchLogin));
        }
    }
}
