//! The values of labels: closed lists, each value with one name that never changes.

use crate::store::StoreError;
use kakehashi_wire::terminal::Refusal;

/// How somebody signs in.
pub(super) const SIGN_INS: [&str; 2] = ["password", "resume"];

/// What usually becomes of that; any [`Refusal`] may.
pub(super) const SIGNED_IN: [&str; 5] =
    ["session", "one_time_password", "bad_credentials", "busy", "store_unavailable"];

/// Whom a call is to.
pub(super) const CALLED: [&str; 2] = ["account", "desk"];

/// What a call waits for.
pub(super) const PHASES: [&str; 2] = ["ringing", "ready"];

/// Who may read too slowly.
pub(super) const SLOW: [&str; 2] = ["terminal", "relay"];

/// What the store is asked.
pub(super) const OPERATIONS: [&str; 3] = ["get", "range", "transact"];

/// Why the store does not do it. What somebody else changed first is no failure of the store, and
/// is counted here all the same: it says how often writers meet.
pub(super) const STORE_FAILURES: [&str; 9] = [
    "conflict",
    "fenced",
    "unavailable",
    "unsure",
    "full",
    "refused",
    "damaged",
    "too_large",
    "other",
];

/// The name of a store's failure.
pub(super) fn store_failure(error: &StoreError) -> &'static str {
    match error {
        StoreError::Conflict => "conflict",
        StoreError::Fenced => "fenced",
        StoreError::Unavailable { .. } => "unavailable",
        StoreError::Unsure { .. } => "unsure",
        StoreError::Full { .. } | StoreError::OverQuota { .. } => "full",
        StoreError::Refused { .. } => "refused",
        StoreError::Corrupt { .. } => "damaged",
        StoreError::TooLarge { .. } => "too_large",
        _ => "other",
    }
}

/// Every refusal, in the order of the wire.
pub(super) const REFUSALS: [Refusal; 23] = [
    Refusal::BadCredentials,
    Refusal::Busy,
    Refusal::NotSignedIn,
    Refusal::SignedInElsewhere,
    Refusal::NoSuchLogin,
    Refusal::NotAvailable,
    Refusal::InAnotherCall,
    Refusal::NoSuchCall,
    Refusal::TooLate,
    Refusal::NoRelay,
    Refusal::StoreUnavailable,
    Refusal::CallsItself,
    Refusal::BadRequest,
    Refusal::NotAllowed,
    Refusal::TooManyCalls,
    Refusal::OutsideHours,
    Refusal::Outdated,
    Refusal::PasswordMustChange,
    Refusal::BadPassword,
    Refusal::Expired,
    Refusal::QueueFull,
    Refusal::CallFull,
    Refusal::TenantFull,
];

/// The name of a refusal.
pub(super) fn refusal(refusal: Refusal) -> &'static str {
    match refusal {
        Refusal::BadCredentials => "bad_credentials",
        Refusal::Busy => "busy",
        Refusal::NotSignedIn => "not_signed_in",
        Refusal::SignedInElsewhere => "signed_in_elsewhere",
        Refusal::NoSuchLogin => "no_such_login",
        Refusal::NotAvailable => "not_available",
        Refusal::InAnotherCall => "in_another_call",
        Refusal::NoSuchCall => "no_such_call",
        Refusal::TooLate => "too_late",
        Refusal::NoRelay => "no_relay",
        Refusal::StoreUnavailable => "store_unavailable",
        Refusal::CallsItself => "calls_itself",
        Refusal::BadRequest => "bad_request",
        Refusal::NotAllowed => "not_allowed",
        Refusal::TooManyCalls => "too_many_calls",
        Refusal::OutsideHours => "outside_hours",
        Refusal::Outdated => "outdated",
        Refusal::PasswordMustChange => "password_must_change",
        Refusal::BadPassword => "bad_password",
        Refusal::Expired => "expired",
        Refusal::QueueFull => "queue_full",
        Refusal::CallFull => "call_full",
        Refusal::TenantFull => "tenant_full",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_refusal_is_listed_once_in_the_order_of_the_wire_by_its_own_name() {
        assert!(REFUSALS.is_sorted_by_key(|refusal| *refusal as u8));
        assert_eq!(REFUSALS.len(), Refusal::TenantFull as usize);
        let names: BTreeSet<_> = REFUSALS.map(refusal).into();
        assert_eq!(names.len(), REFUSALS.len());
        for refused in REFUSALS {
            let said = format!("{refused:?}").to_lowercase();
            assert_eq!(refusal(refused).replace('_', ""), said);
        }
    }
}
