//! What operators can ask of the running node, and the one place that answers.
//!
//! Every door (the HTTPS [API](crate::api), and whatever is added) makes a [`Request`] of what it
//! was told and says who asks; here it is noted in the audit log and done.

mod answer;
mod audited;
mod doing;
mod media_end;
mod refused;
mod rights;

pub use answer::{answer, answer_again};
pub use media_end::MediaEnd;
pub use refused::{Refused, Why};
pub use rights::Asker;

use crate::accounts::{Account, Accounts, DeskList, KnownTenant, Subject, Tenant};
use crate::audit::{Audit, AuditRecord, Head, Verdict};
use crate::calls::{Protected, QualitySample};
use crate::clock::UnixMs;
use crate::desks::{Desk, DeskChange};
use crate::policy::{TenantLimits, TenantPolicy, TenantRules};
use crate::records::{CallRecord, Records};
use crate::sessions::Revocation;
use crate::store::hex_id;
use crate::surroundings::Surroundings;
use core::future::Future;
use core::pin::Pin;
use kakehashi_wire::id::{CallId, DeviceId, RelayId, SessionId, TenantId};
use kakehashi_wire::secret::Password;
use kakehashi_wire::terminal::{PresenceState, Role};
use serde::{Deserialize, Serialize};
use std::net::SocketAddr;
use std::sync::Arc;

/// What can be asked. Has no `Debug`: passwords are in it.
pub enum Request {
    /// Adds a tenant. Answer: [`Answer::Tenants`] with the one.
    TenantAdd {
        /// Its name.
        name: String,
        /// How many accounts it may have, if not the usual.
        accounts: Option<u32>,
    },
    /// Answer: [`Answer::Tenants`].
    TenantList {},
    /// Shows what a tenant may have and how it wants its calls, after giving it others if some are
    /// given. Answer: [`Answer::TenantPolicy`].
    TenantPolicy {
        /// The tenant's name.
        tenant: String,
        /// What it may have from now on.
        limits: Option<TenantLimits>,
        /// How it wants its calls from now on.
        rules: Option<Box<TenantRules>>,
    },
    /// Adds an account. Answer: [`Answer::AccountAdded`].
    AccountAdd {
        /// The tenant's name.
        tenant: String,
        /// Its login ID.
        login: String,
        /// The name shown to others; the login ID if there is none.
        display: Option<String>,
        /// Its password; one is generated if there is none.
        password: Option<Password>,
        /// Whether it need not be changed at the first sign-in.
        permanent: bool,
        /// What it is for.
        role: Role,
    },
    /// Answer: [`Answer::Accounts`].
    AccountList {
        /// The tenant's name.
        tenant: String,
    },
    /// Gives an account a new password. Answer: [`Answer::AccountAdded`].
    AccountPassword {
        /// The tenant's name.
        tenant: String,
        /// The login ID.
        login: String,
        /// The password; one is generated if there is none.
        password: Option<Password>,
        /// Whether it need not be changed at the next sign-in.
        permanent: bool,
    },
    /// Gives an account another role, and ends its sessions. Answer: [`Answer::Done`].
    AccountRole {
        /// The tenant's name.
        tenant: String,
        /// The login ID.
        login: String,
        /// What it is for from now on.
        role: Role,
    },
    /// Has an account enrol its second factor anew at its next sign-in to the console. Answer:
    /// [`Answer::Done`].
    SecondReset {
        /// The tenant's name.
        tenant: String,
        /// The login ID.
        login: String,
    },
    /// Ends sessions, calls and media of an account, of one device of it, or of a whole tenant, and
    /// takes no sign-in until [`Reactivate`](Self::Reactivate). Answer: [`Answer::Suspended`], when
    /// that is on disk and the relays have removed its legs, or have had their time for it.
    Suspend {
        /// Whom.
        subject: Subject,
        /// Why, in one line; kept as long as the suspension lasts, and in the audit log.
        reason: Option<String>,
    },
    /// Takes sign-ins again. Answer: [`Answer::Done`].
    Reactivate {
        /// Of whom.
        subject: Subject,
    },
    /// Adds a desk. Answer: [`Answer::Desks`] with the one.
    DeskAdd {
        /// The tenant's name.
        tenant: String,
        /// The desk's name.
        desk: String,
        /// What is not as usual about it.
        change: DeskChange,
    },
    /// Changes a desk; calls and agents notice at once. Answer: [`Answer::Desks`] with the one.
    DeskSet {
        /// The tenant's name.
        tenant: String,
        /// The desk's name.
        desk: String,
        /// What is to be different.
        change: DeskChange,
    },
    /// Answer: [`Answer::Desks`].
    DeskList {
        /// The tenant's name.
        tenant: String,
    },
    /// Removes a desk; calls that wait there end. Answer: [`Answer::Done`].
    DeskRemove {
        /// The tenant's name.
        tenant: String,
        /// The desk's name.
        desk: String,
    },
    /// Live and ended calls. Answer: [`Answer::Calls`].
    Calls {
        /// Of this tenant only.
        tenant: Option<String>,
        /// How many ended calls of each tenant, newest first.
        ended: usize,
    },
    /// Ends a call and its media. Answer: [`Answer::Done`], when the relays have been told.
    CallEnd {
        /// Only if it is of this tenant.
        tenant: Option<String>,
        /// The call.
        call: CallId,
    },
    /// Who is signed in. Answer: [`Answer::Sessions`].
    Sessions {
        /// Of this tenant only.
        tenant: Option<String>,
    },
    /// Answer: [`Answer::Relays`].
    Relays {},
    /// Takes a relay out of use, or puts it back: calls go elsewhere, and no new ones come. Answer:
    /// [`Answer::Done`], when it is begun.
    RelayDrain {
        /// Which one.
        relay: RelayId,
        /// Out of use.
        on: bool,
    },
    /// How the node is. Answer: [`Answer::Status`].
    Status {},
    /// What was done, newest first. Answer: [`Answer::Audit`].
    AuditList {
        /// Only records before this number.
        before: Option<u64>,
        /// How many.
        limit: usize,
    },
    /// Whether the audit log is as it was written. Answer: [`Answer::AuditVerdict`].
    AuditVerify {
        /// The last record known to be right.
        from: Head,
    },
}

impl Request {
    /// Whether its answer has as many rows as there are things. All others are short.
    pub(crate) fn lists(&self) -> bool {
        matches!(
            self,
            Self::TenantList {}
                | Self::AccountList { .. }
                | Self::DeskList { .. }
                | Self::Calls { .. }
                | Self::Sessions { .. }
                | Self::Relays {}
                | Self::AuditList { .. }
        )
    }
}

/// What is answered. Has no `Debug`: passwords are in it.
#[derive(Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Answer {
    /// Tenants, in order of name.
    Tenants {
        /// One row each.
        rows: Vec<Tenant>,
    },
    /// What a tenant may have, and how it wants its calls.
    TenantPolicy {
        /// Both.
        policy: Box<TenantPolicy>,
    },
    /// Accounts, in order of login ID.
    Accounts {
        /// One row each.
        rows: Vec<Account>,
    },
    /// An account was added or given a new password.
    AccountAdded {
        /// The account.
        account: Account,
        /// The generated password: it is never seen again.
        #[serde(default, with = "optional_password")]
        password: Option<Password>,
    },
    /// It was done.
    Done {},
    /// Somebody is suspended.
    Suspended {
        /// When its media ended; none if that is not known, since another node leads by now.
        media: Option<MediaEnd>,
    },
    /// Desks, in order of name.
    Desks {
        /// One row each.
        rows: Vec<Desk>,
    },
    /// Calls.
    Calls {
        /// Those that go on.
        live: Vec<CallRow>,
        /// Those that are over, newest first within their tenant.
        ended: Vec<CallRow>,
    },
    /// Sessions.
    Sessions {
        /// One row each.
        rows: Vec<SessionRow>,
    },
    /// Relays.
    Relays {
        /// One row each.
        rows: Vec<RelayRow>,
    },
    /// How the node is.
    Status {
        /// In one row.
        row: StatusRow,
    },
    /// Records of the audit log, newest first.
    Audit {
        /// One row each.
        rows: Vec<AuditRecord>,
    },
    /// What a verification of the audit log found.
    AuditVerdict {
        /// As far as it came.
        verdict: Verdict,
    },
}

/// A call.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CallRow {
    /// The tenant's name; the admin fills it in.
    pub tenant_name: String,
    /// What is known of the call.
    pub record: CallRecord,
    /// The relays it is placed on, primary first; empty once it is over.
    #[serde(with = "relay_numbers")]
    pub relays: Vec<RelayId>,
    /// How it would outlive one of them; not at all once it is over.
    pub protection: Protected,
    /// How its media arrived lately at each member that has said so, since this lead began; empty
    /// once it is over. Fewer samples where many calls are listed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub quality: Vec<MemberQuality>,
}

/// How the media of a call arrived at one member lately.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct MemberQuality {
    /// Its login ID.
    pub login: String,
    /// The oldest first.
    pub samples: Vec<QualitySample>,
}

impl CallRow {
    /// The row of a call that goes on. Its tenant is not named yet.
    pub fn live(record: CallRecord, relays: Vec<RelayId>, protection: Protected) -> Self {
        let (tenant_name, quality) = (String::new(), Vec::new());
        Self { tenant_name, record, relays, protection, quality }
    }

    /// The same of one that is over.
    pub fn ended(record: CallRecord) -> Self {
        Self::live(record, Vec::new(), Protected::None)
    }
}

/// A session.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct SessionRow {
    /// The session.
    #[serde(with = "hex_id")]
    pub session: SessionId,
    /// Its tenant.
    #[serde(with = "hex_id")]
    pub tenant: TenantId,
    /// The tenant's name; the admin fills it in.
    pub tenant_name: String,
    /// Who is signed in.
    pub login: String,
    /// On which device.
    #[serde(with = "hex_id")]
    pub device: DeviceId,
    /// Since when.
    pub since: UnixMs,
    /// What the account is doing, on whichever device.
    #[serde(with = "doing")]
    pub state: PresenceState,
    /// The desks that it is an agent of.
    pub desks: Vec<String>,
}

/// A relay.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct RelayRow {
    /// The number its certificate names.
    #[serde(with = "relay_number")]
    pub id: RelayId,
    /// Name and version of its software.
    pub software: String,
    /// The data centre it is in; empty if it does not say.
    pub site: String,
    /// Where terminals reach its shards.
    pub addresses: Vec<SocketAddr>,
    /// Whether control hears from it.
    pub connected: bool,
    /// It is taken out of use: its calls go elsewhere.
    pub drained: bool,
    /// Legs it holds.
    pub legs: u64,
    /// Until when its certificate is good, as it showed it to this node; the admin fills it in.
    pub certificate_until: Option<UnixMs>,
    /// What it counted, by name.
    pub counters: Vec<(String, u64)>,
}

/// How the node is.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct StatusRow {
    /// The version of this program.
    pub version: String,
    /// Tenants.
    pub tenants: usize,
    /// Sessions.
    pub sessions: usize,
    /// Calls that go on.
    pub calls: usize,
    /// Relays that control hears from.
    pub relays_connected: usize,
    /// Relays that control knows.
    pub relays: usize,
    /// The certificates of this node.
    pub certificates: Vec<CertificateRow>,
    /// The nodes of the cell, this one first.
    pub nodes: Vec<NodeRow>,
}

/// A certificate of a node.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CertificateRow {
    /// Who is shown it: `browsers`, `operators`, `terminals`, `relays`, `nodes`.
    pub shown_to: String,
    /// Until when it is good.
    pub until: UnixMs,
}

/// A node, as the one that is asked sees it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct NodeRow {
    /// Its name.
    pub name: String,
    /// Where this one reaches it; empty for this one.
    pub address: String,
    /// It is the one that was asked.
    pub is_this: bool,
    /// It hears this one.
    pub is_linked: bool,
    /// It decides about calls.
    pub leads: bool,
    /// Name and version of its software; empty if it has never connected here.
    pub software: String,
    /// Until when the certificate is good that it shows to other nodes.
    pub certificate_until: Option<UnixMs>,
}

/// No node of the cell decides about calls at the moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("no node leads at the moment: try again in some seconds")]
pub struct NoLead;

/// An answer that is on its way.
pub type LiveFuture<'a, T> = Pin<Box<dyn Future<Output = Result<T, NoLead>> + Send + 'a>>;

/// What the running node tells the admin about itself, and does for it.
pub trait Live: Send + Sync + 'static {
    /// The calls that go on.
    fn live_calls(&self) -> LiveFuture<'_, Vec<CallRow>>;
    /// Who is signed in.
    fn sessions(&self) -> LiveFuture<'_, Vec<SessionRow>>;
    /// The relays.
    fn relays(&self) -> LiveFuture<'_, Vec<RelayRow>>;
    /// Takes a relay out of use, or puts it back; says whether there is one of that number.
    fn drain(&self, relay: RelayId, on: bool) -> LiveFuture<'_, bool>;
    /// What a tenant may have and how it wants its calls, from now on.
    fn know(&self, tenant: KnownTenant) -> LiveFuture<'_, ()>;
    /// Ends a call if it goes on, of `tenant` if one is given; ready when the relays were told.
    /// Says whether it did.
    fn end_call(&self, tenant: Option<TenantId>, call: CallId) -> LiveFuture<'_, bool>;
    /// The desks of a tenant are these from now on; whatever the node is told later, it knows then.
    fn set_desks(&self, tenant: TenantId, list: DeskList) -> LiveFuture<'_, ()>;
    /// Ends somebody's sessions and calls; ready when the relays have been told and have answered,
    /// or had their time for it. None if it is done and nobody knows any more how media ended.
    fn revoke(&self, revocation: Revocation) -> LiveFuture<'_, Option<MediaEnd>>;
}

/// What the answers are taken from.
#[derive(Clone)]
pub struct Service {
    /// Tenants and accounts.
    pub accounts: Arc<Accounts>,
    /// Call records.
    pub records: Arc<Records>,
    /// What everything done through here is noted in.
    pub audit: Arc<Audit>,
    /// The running node.
    pub live: Arc<dyn Live>,
    /// What it sees of the programs around it.
    pub surroundings: Arc<Surroundings>,
    /// What time it is, for records.
    pub now: fn() -> UnixMs,
}

/// Passwords in JSON.
pub(crate) mod optional_password {
    use kakehashi_wire::secret::Password;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[expect(clippy::ref_option, reason = "serde calls it with a reference")]
    pub(crate) fn serialize<S: Serializer>(
        password: &Option<Password>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        password.as_ref().map(Password::expose).serialize(to)
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<Password>, D::Error> {
        Ok(Option::<String>::deserialize(from)?.map(Password::new))
    }
}

/// A relay's number in JSON.
mod relay_number {
    use kakehashi_wire::id::RelayId;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<S: Serializer>(relay: &RelayId, to: S) -> Result<S::Ok, S::Error> {
        relay.0.serialize(to)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<RelayId, D::Error> {
        u32::deserialize(from).map(RelayId)
    }
}

/// Relays' numbers in JSON.
pub(crate) mod relay_numbers {
    use kakehashi_wire::id::RelayId;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(crate) fn serialize<S: Serializer>(relays: &[RelayId], to: S) -> Result<S::Ok, S::Error> {
        to.collect_seq(relays.iter().map(|relay| relay.0))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Vec<RelayId>, D::Error> {
        Ok(Vec::<u32>::deserialize(from)?.into_iter().map(RelayId).collect())
    }
}
