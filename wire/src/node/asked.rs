//! What a session asks, with the facts from the store that the answer needs.

use super::Revocation;
use crate::id::{AccountId, RequestId};
use crate::limits::STREAMS_PER_LEG_MAX;
use crate::media::{Host, StreamOffer};
use crate::message::{Check, at_most};
use crate::terminal::{
    Accept, AddDesk, AddMember, Cancel, ChooseLayer, EndWrapUp, HangUp, Hold, InviteDesk, Listen,
    Merge, Missed, Mute, Refusal, Reject, ReportQuality, Role, SetAway, Share,
};
use rkyv::{Archive, Deserialize, Serialize};

/// An account as the store knows it.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct KnownAccount {
    /// The account.
    pub account: AccountId,
    /// Its login ID.
    pub login: String,
    /// Its name for others.
    pub display: String,
}

/// An account that somebody calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
pub struct Called {
    /// The account.
    pub account: AccountId,
    /// What it is for.
    pub role: Role,
}

/// What a session asks, with the facts from the store that the answer needs.
#[derive(Clone, PartialEq, Eq, Debug, Archive, Serialize, Deserialize)]
#[repr(u8)]
pub enum Request {
    /// To end the session.
    SignOut = 1,
    /// To be told of presence; all accounts of the session's tenant. Between nodes the list is
    /// empty: the lead reads it.
    Watch(RequestId, Vec<KnownAccount>) = 2,
    /// To call; the account of the session's tenant with that login, if there is one.
    Invite(RequestId, Option<Called>, Vec<StreamOffer>) = 3,
    /// To take a call.
    Accept(Accept) = 4,
    /// To decline a call.
    Reject(Reject) = 5,
    /// To give up a call.
    Cancel(Cancel) = 6,
    /// To end a call.
    HangUp(HangUp) = 7,
    /// Nothing more: it has changed its account's password.
    PasswordChanged(RequestId, Revocation) = 8,
    /// What cannot be done, as was found out on the way here.
    Refuse(RequestId, Refusal) = 9,
    /// Nothing; it reports.
    Report(ReportQuality) = 10,
    /// To put a call on hold, or take it back.
    Hold(Hold) = 11,
    /// To be muted, or not.
    Mute(Mute) = 12,
    /// To share its screen, or not.
    Share(Share) = 13,
    /// To receive one layer of another's cameras.
    ChooseLayer(ChooseLayer) = 14,
    /// To bring somebody into a call; the account of the session's tenant with that login, if there
    /// is one.
    AddMember(AddMember, Option<Called>) = 15,
    /// To join two calls.
    Merge(Merge) = 16,
    /// To listen to a call.
    Listen(Listen) = 17,
    /// To be away, or back.
    Away(SetAway) = 18,
    /// To be told what it has missed.
    Missed(Missed) = 19,
    /// To call a desk.
    InviteDesk(InviteDesk) = 20,
    /// To be offered a desk's next call.
    EndWrapUp(EndWrapUp) = 21,
    /// To bring somebody of a desk into a call.
    AddDesk(AddDesk) = 22,
    /// Nothing; its terminal is seen at another address.
    Moved(Host) = 23,
}

impl Request {
    /// The number its answer has; none if nothing answers it but the end of the session.
    pub fn number(&self) -> Option<RequestId> {
        match self {
            Self::SignOut | Self::Report(_) | Self::Moved(_) => None,
            Self::Watch(request, _)
            | Self::Invite(request, ..)
            | Self::PasswordChanged(request, _)
            | Self::Refuse(request, _) => Some(*request),
            Self::Accept(ask) => Some(ask.request),
            Self::Reject(ask) => Some(ask.request),
            Self::Cancel(ask) => Some(ask.request),
            Self::HangUp(ask) => Some(ask.request),
            Self::Hold(ask) => Some(ask.request),
            Self::Mute(ask) => Some(ask.request),
            Self::Share(ask) => Some(ask.request),
            Self::ChooseLayer(ask) => Some(ask.request),
            Self::AddMember(ask, _) => Some(ask.request),
            Self::Merge(ask) => Some(ask.request),
            Self::Listen(ask) => Some(ask.request),
            Self::Away(ask) => Some(ask.request),
            Self::Missed(ask) => Some(ask.request),
            Self::InviteDesk(ask) => Some(ask.request),
            Self::EndWrapUp(ask) => Some(ask.request),
            Self::AddDesk(ask) => Some(ask.request),
        }
    }

    /// Whether asking twice is as good as asking once.
    pub fn may_be_repeated(&self) -> bool {
        !matches!(
            self,
            Self::Invite(..)
                | Self::InviteDesk(_)
                | Self::AddMember(..)
                | Self::AddDesk(_)
                | Self::Merge(_)
                | Self::Listen(_)
        )
    }
}

impl Check for Request {
    fn check(&self) -> Result<(), &'static str> {
        match self {
            Self::Watch(_, accounts) => at_most("accounts", accounts.len(), 0),
            Self::Invite(_, _, streams) => at_most("streams", streams.len(), STREAMS_PER_LEG_MAX),
            Self::Accept(ask) => ask.check(),
            Self::Report(report) => report.check(),
            Self::AddMember(ask, _) => ask.check(),
            Self::AddDesk(ask) => ask.check(),
            Self::Listen(ask) => ask.check(),
            Self::InviteDesk(ask) => ask.check(),
            _ => Ok(()),
        }
    }
}
