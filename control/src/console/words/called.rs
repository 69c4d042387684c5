//! What ranks, roles, states and reasons are called.

use super::Words;
use crate::accounts::OPERATORS;
use crate::policy::Rank;
use crate::records::{PartyRole, RecordState};
use kakehashi_wire::terminal::{CallEnd, PresenceState, Role};

impl Words {
    /// What a rank is called.
    pub(in crate::console) const fn rank(&self, rank: Rank) -> &'static str {
        match rank {
            Rank::Account(role) => self.role_of(&role),
            Rank::Operator => self.operator,
            Rank::Observer => self.observer,
        }
    }

    /// What somebody of the operators' house is called.
    const fn staff(&self, role: &Role) -> &'static str {
        match role {
            Role::TenantAdmin => self.operator,
            _ => self.observer,
        }
    }

    /// What a role is called in `tenant`, or in the operators' house.
    pub(in crate::console) fn role_in(&self, tenant: &str, role: &Role) -> &'static str {
        if tenant == OPERATORS { self.staff(role) } else { self.role_of(role) }
    }

    /// What a role is called.
    pub(in crate::console) const fn role_of(&self, role: &Role) -> &'static str {
        match role {
            Role::Store => self.store,
            Role::Concierge => self.concierge,
            Role::Supervisor => self.supervisor,
            Role::TenantAdmin => self.tenant_admin,
        }
    }

    /// What a member of a call was.
    pub(in crate::console) const fn party(&self, role: &PartyRole) -> &'static str {
        match role {
            PartyRole::Caller => self.r_caller,
            PartyRole::Callee => self.r_callee,
            PartyRole::Added => self.r_added,
            PartyRole::Listener => self.r_listener,
        }
    }

    /// How far a call has come, and its class in the style sheet.
    pub(in crate::console) const fn call_state(
        &self,
        state: RecordState,
    ) -> (&'static str, &'static str) {
        match state {
            RecordState::Queued => (self.queued, "queued"),
            RecordState::Ringing => (self.ringing, "ringing"),
            RecordState::Active => (self.active, "active"),
            RecordState::Ended => (self.ended, "ended"),
        }
    }

    /// What an account is doing, and its class in the style sheet.
    pub(in crate::console) const fn doing(
        &self,
        state: PresenceState,
    ) -> (&'static str, &'static str) {
        match state {
            PresenceState::Offline => (self.offline, "bad"),
            PresenceState::Waiting => (self.available, "good"),
            PresenceState::Ringing => (self.ringing, "ringing"),
            PresenceState::InCall => (self.active, "active"),
            PresenceState::Away => (self.away, "queued"),
            PresenceState::WrapUp => (self.wrap_up, "queued"),
        }
    }

    /// Whom a certificate of the node is shown to.
    pub(in crate::console) fn shown_to(&self, to: &str) -> &'static str {
        match to {
            "browsers" => self.to_browsers,
            "operators" => self.to_operators,
            "terminals" => self.to_terminals,
            "relays" => self.to_relays,
            "nodes" => self.to_nodes,
            _ => self.unknown,
        }
    }

    /// Why a call is over.
    pub(in crate::console) const fn call_end(&self, reason: &CallEnd) -> &'static str {
        match reason {
            CallEnd::HungUp => self.end_hung_up,
            CallEnd::Rejected => self.end_rejected,
            CallEnd::Cancelled => self.end_cancelled,
            CallEnd::NoAnswer => self.end_no_answer,
            CallEnd::PeerLost => self.end_peer_lost,
            CallEnd::NoRelay => self.end_no_relay,
            CallEnd::ControlRestarted => self.end_restarted,
            CallEnd::Suspended => self.end_suspended,
            CallEnd::Transferred => self.end_transferred,
            CallEnd::NobodyAtDesk => self.end_nobody,
            CallEnd::EndedByOperator => self.end_by_operator,
            CallEnd::RightsChanged => self.end_rights,
        }
    }
}
