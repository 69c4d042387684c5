//! May this account call that desk, or ask it for somebody?

use super::Engaged;
use crate::capacity::CALLS_PER_ACCOUNT_MAX;
use crate::desks::Staff;
use kakehashi_wire::terminal::Refusal;

/// What the verdict depends on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DeskFacts {
    /// The caller's calls.
    pub caller_engaged: Engaged,
    /// How the desk is; `None` if the caller's tenant has none of that name.
    pub desk: Option<Staff>,
    /// A relay could carry the call.
    pub relay_ready: bool,
}

/// Whether the call may wait at the desk.
///
/// A desk of another tenant and one that does not exist are refused alike.
///
/// # Errors
/// The reason.
pub fn may_call_desk(facts: &DeskFacts) -> Result<(), Refusal> {
    let desk = facts.desk.ok_or(Refusal::NoSuchLogin)?;
    if facts.caller_engaged.is_active {
        return Err(Refusal::InAnotherCall);
    }
    if facts.caller_engaged.calls >= CALLS_PER_ACCOUNT_MAX {
        return Err(Refusal::TooManyCalls);
    }
    if !desk.is_there {
        return Err(Refusal::NotAvailable);
    }
    if !desk.has_room {
        return Err(Refusal::QueueFull);
    }
    if !facts.relay_ready {
        return Err(Refusal::NoRelay);
    }
    Ok(())
}

/// What it depends on whether a desk may be asked for somebody who comes into a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AddDeskFacts {
    /// How the desk is, apart from who is in the call; `None` if the tenant has none of that name.
    pub desk: Option<Staff>,
    /// The call asks a desk already.
    pub asks: bool,
    /// The call may have another member.
    pub has_room: bool,
    /// A relay could carry the call with it.
    pub relay_ready: bool,
}

/// Whether a call that goes on may ask the desk for somebody. A desk of another tenant and one that
/// does not exist are refused alike.
///
/// # Errors
/// The reason.
pub fn may_add_desk(facts: &AddDeskFacts) -> Result<(), Refusal> {
    let desk = facts.desk.ok_or(Refusal::NoSuchLogin)?;
    if facts.asks {
        return Err(Refusal::TooLate);
    }
    if !facts.has_room {
        return Err(Refusal::CallFull);
    }
    if !desk.is_there {
        return Err(Refusal::NotAvailable);
    }
    if !desk.has_room {
        return Err(Refusal::QueueFull);
    }
    if facts.relay_ready { Ok(()) } else { Err(Refusal::NoRelay) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fact_has_its_reason() {
        let caller_engaged = Engaged { calls: 0, is_active: false };
        let staff = Staff { has_room: true, is_there: true };
        let good = DeskFacts { caller_engaged, desk: Some(staff), relay_ready: true };
        assert_eq!(may_call_desk(&good), Ok(()));
        let busy = Engaged { calls: 1, is_active: true };
        let full = Engaged { calls: CALLS_PER_ACCOUNT_MAX, is_active: false };
        let with = |staff| DeskFacts { desk: Some(staff), ..good };
        let cases = [
            (DeskFacts { desk: None, caller_engaged: busy, ..good }, Refusal::NoSuchLogin),
            (DeskFacts { caller_engaged: busy, ..good }, Refusal::InAnotherCall),
            (DeskFacts { caller_engaged: full, ..good }, Refusal::TooManyCalls),
            (with(Staff { is_there: false, ..staff }), Refusal::NotAvailable),
            (with(Staff { has_room: false, ..staff }), Refusal::QueueFull),
            (DeskFacts { relay_ready: false, ..good }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_call_desk(&facts), Err(reason), "{facts:?}");
        }
    }

    #[test]
    fn each_fact_about_a_desk_that_is_asked_has_its_reason() {
        let staff = Staff { has_room: true, is_there: true };
        let good =
            AddDeskFacts { desk: Some(staff), asks: false, has_room: true, relay_ready: true };
        assert_eq!(may_add_desk(&good), Ok(()));
        let with = |staff| AddDeskFacts { desk: Some(staff), ..good };
        let cases = [
            (AddDeskFacts { desk: None, asks: true, ..good }, Refusal::NoSuchLogin),
            (AddDeskFacts { asks: true, has_room: false, ..good }, Refusal::TooLate),
            (AddDeskFacts { has_room: false, ..good }, Refusal::CallFull),
            (with(Staff { is_there: false, ..staff }), Refusal::NotAvailable),
            (with(Staff { has_room: false, ..staff }), Refusal::QueueFull),
            (AddDeskFacts { relay_ready: false, ..good }, Refusal::NoRelay),
        ];
        for (facts, reason) in cases {
            assert_eq!(may_add_desk(&facts), Err(reason), "{facts:?}");
        }
    }
}
