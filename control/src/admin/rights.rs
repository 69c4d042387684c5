//! Who asks, and whether they may.

use super::Request;
use crate::accounts::names::Login;
use crate::accounts::{AccountError, Subject};
use crate::audit::{Actor, Plain};
use crate::policy::{Act, Rank};
use kakehashi_wire::terminal::Role;
use std::net::SocketAddr;

/// Who asks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Asker {
    /// The operator.
    Operator {
        /// The other end of the connection.
        address: SocketAddr,
    },
    /// An operator with a name of their own.
    Staff {
        /// The name, as it is kept.
        login: String,
        /// Whether they may change anything.
        may_change: bool,
        /// The other end of the connection.
        address: SocketAddr,
    },
    /// An account, within its tenant.
    Account {
        /// The tenant's name, as it is kept.
        tenant: String,
        /// The account's login ID, as it is kept.
        login: String,
        /// The account's role.
        role: Role,
        /// The other end of the connection.
        address: SocketAddr,
    },
}

/// Why a request is not served. Has the words for it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum NotAllowed {
    #[error("not allowed with the role {0}: ask an administrator of the tenant, or the operator")]
    Role(&'static str),
    /// In the words of a tenant that does not exist: of those of others nothing is said.
    #[error(transparent)]
    Tenant(AccountError),
}

impl Asker {
    /// What it acts as.
    pub fn rank(&self) -> Rank {
        match self {
            Self::Operator { .. } | Self::Staff { may_change: true, .. } => Rank::Operator,
            Self::Staff { may_change: false, .. } => Rank::Observer,
            Self::Account { role, .. } => Rank::Account(*role),
        }
    }

    /// The other end of its connection.
    pub(crate) fn address(&self) -> SocketAddr {
        match self {
            Self::Operator { address }
            | Self::Staff { address, .. }
            | Self::Account { address, .. } => *address,
        }
    }

    /// How the audit log names it.
    pub(crate) fn actor(&self) -> Actor {
        match self {
            Self::Operator { address } => Actor::Operator { address: *address },
            Self::Staff { login, address, .. } => {
                Actor::Staff { login: Plain::of(login), address: *address }
            }
            Self::Account { login, address, .. } => {
                Actor::Account { login: Plain::of(login), address: *address }
            }
        }
    }

    /// The request as it is served to this asker: an account's is within its own tenant. Nothing
    /// is looked up for that, so a tenant that exists takes no other time than one that does not.
    ///
    /// # Errors
    /// [`NotAllowed`] if it is not served.
    pub(super) fn may(&self, mut request: Request) -> Result<Request, NotAllowed> {
        let may = self.rank().may(request.act());
        let Self::Account { tenant: own, role, .. } = self else {
            return if may { Ok(request) } else { Err(NotAllowed::Role("observer")) };
        };
        if !may {
            return Err(NotAllowed::Role(role.name()));
        }
        let named = match request.scope() {
            Scope::Tenant(name) => name,
            Scope::AnyTenant(name) => name.get_or_insert_with(|| own.clone()),
            Scope::Platform => return Err(NotAllowed::Role(role.name())),
        };
        if Login::parse(named).is_ok_and(|name| name.as_str() == own) {
            return Ok(request);
        }
        Err(NotAllowed::Tenant(AccountError::NoSuchTenant(named.clone())))
    }
}

/// What a request is about.
enum Scope<'a> {
    /// One tenant.
    Tenant(&'a mut String),
    /// One tenant, or all.
    AnyTenant(&'a mut Option<String>),
    /// No tenant in particular.
    Platform,
}

impl Request {
    /// What it asks for.
    pub fn act(&self) -> Act {
        match self {
            Self::TenantAdd { .. } => Act::TenantAdd,
            Self::TenantList {} => Act::TenantList,
            Self::TenantPolicy { limits: Some(_), .. } => Act::TenantLimits,
            Self::TenantPolicy { limits: None, rules: Some(_), .. } => Act::TenantRules,
            Self::TenantPolicy { limits: None, rules: None, .. } => Act::TenantPolicy,
            Self::AccountAdd { .. } => Act::AccountAdd,
            Self::AccountList { .. } => Act::AccountList,
            Self::AccountPassword { .. } => Act::AccountPassword,
            Self::AccountRole { .. } => Act::AccountRole,
            Self::SecondReset { .. } => Act::SecondReset,
            Self::Suspend { subject: Subject::Tenant { .. }, .. } => Act::TenantSuspend,
            Self::Suspend { subject: Subject::Account { .. }, .. } => Act::AccountSuspend,
            Self::Suspend { subject: Subject::Device { .. }, .. } => Act::DeviceSuspend,
            Self::Reactivate { subject: Subject::Tenant { .. } } => Act::TenantReactivate,
            Self::Reactivate { subject: Subject::Account { .. } } => Act::AccountReactivate,
            Self::Reactivate { subject: Subject::Device { .. } } => Act::DeviceReactivate,
            Self::DeskAdd { .. } => Act::DeskAdd,
            Self::DeskSet { .. } => Act::DeskSet,
            Self::DeskList { .. } => Act::DeskList,
            Self::DeskRemove { .. } => Act::DeskRemove,
            Self::Calls { .. } => Act::Calls,
            Self::CallEnd { .. } => Act::CallEnd,
            Self::Sessions { .. } => Act::Sessions,
            Self::Relays {} => Act::Relays,
            Self::RelayDrain { .. } => Act::RelayDrain,
            Self::Status {} => Act::Status,
            Self::AuditList { .. } => Act::AuditList,
            Self::AuditVerify { .. } => Act::AuditVerify,
        }
    }

    fn scope(&mut self) -> Scope<'_> {
        match self {
            Self::TenantPolicy { tenant, .. }
            | Self::AccountAdd { tenant, .. }
            | Self::AccountList { tenant }
            | Self::AccountPassword { tenant, .. }
            | Self::AccountRole { tenant, .. }
            | Self::SecondReset { tenant, .. }
            | Self::DeskAdd { tenant, .. }
            | Self::DeskSet { tenant, .. }
            | Self::DeskList { tenant }
            | Self::DeskRemove { tenant, .. } => Scope::Tenant(tenant),
            Self::Suspend { subject, .. } | Self::Reactivate { subject } => match subject {
                Subject::Tenant { tenant }
                | Subject::Account { tenant, .. }
                | Subject::Device { tenant, .. } => Scope::Tenant(tenant),
            },
            Self::Calls { tenant, .. }
            | Self::CallEnd { tenant, .. }
            | Self::Sessions { tenant } => Scope::AnyTenant(tenant),
            Self::TenantAdd { .. }
            | Self::TenantList {}
            | Self::Relays {}
            | Self::RelayDrain { .. }
            | Self::Status {}
            | Self::AuditList { .. }
            | Self::AuditVerify { .. } => Scope::Platform,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(role: Role) -> Asker {
        let (tenant, login) = ("shop".to_owned(), "a".to_owned());
        Asker::Account { tenant, login, role, address: ([192, 0, 2, 1], 4433).into() }
    }

    #[test]
    fn an_account_asks_within_its_own_tenant() {
        let list = |tenant: &str| Request::AccountList { tenant: tenant.into() };
        let asker = account(Role::Supervisor);
        assert!(asker.may(list("Shop")).is_ok());
        for other in ["bank", "", "shop\n", "shop2"] {
            let absent = AccountError::NoSuchTenant(other.into());
            let refused = asker.may(list(other)).err();
            assert_eq!(refused, Some(NotAllowed::Tenant(absent)), "{other:?}");
        }
        let Ok(Request::Sessions { tenant }) = asker.may(Request::Sessions { tenant: None }) else {
            panic!("sessions were asked for")
        };
        assert_eq!(tenant.as_deref(), Some("shop"), "all it may see");
        let refused = account(Role::Concierge).may(list("shop")).err();
        assert_eq!(refused, Some(NotAllowed::Role("concierge")));
        assert!(Asker::Operator { address: ([127, 0, 0, 1], 5).into() }.may(list("bank")).is_ok());
    }
}
