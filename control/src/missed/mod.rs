//! Missed calls: kept with the account until somebody has seen them or the two have talked.
//!
//! The core says what was missed ([`Deed`]) and is told what there is to tell ([`News`]); a task of
//! its own (`keeper`) reads and writes the store in between, one deed after the other, so that an
//! older list never overtakes a newer one on its way to a terminal.

mod keeper;
mod list;

pub(crate) use keeper::{carry_out, keep};
pub use list::{Change, MissedList};

use crate::sessions::AccountKey;
use kakehashi_wire::id::{RequestId, SessionId};
use kakehashi_wire::terminal::MissedCalls;

/// What is to be done about the missed calls of an account.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Deed {
    /// Whose.
    pub account: AccountKey,
    /// What happened, if anything.
    pub change: Option<Change>,
    /// Who hears of it in any case.
    pub asker: Asker,
}

/// Who wants to hear of an account's missed calls.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Asker {
    /// Nobody who has asked.
    Nobody,
    /// A session that has just begun, if there is anything.
    Begun(SessionId),
    /// A session that asks.
    Request(SessionId, RequestId),
}

/// What came of a [`Deed`].
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct News {
    /// Of what.
    pub deed: Deed,
    /// What is missed now; none if the store does not say.
    pub missed: Option<MissedCalls>,
    /// All of the account's sessions are to hear it.
    pub is_change: bool,
}

impl Deed {
    /// What comes of it, for `list`; none if nobody is to be told.
    pub fn done(self, list: &mut MissedList) -> Option<News> {
        let is_change = self.change.as_ref().is_some_and(|change| list.apply(change));
        let asks = match self.asker {
            Asker::Nobody => false,
            Asker::Begun(_) => !list.is_empty(),
            Asker::Request(..) => true,
        };
        (is_change || asks).then(|| News { deed: self, missed: Some(list.told()), is_change })
    }

    /// The store does not answer: a request is refused, the rest is lost.
    fn failed(self) -> Option<News> {
        let asks = matches!(self.asker, Asker::Request(..));
        asks.then_some(News { deed: self, missed: None, is_change: false })
    }
}
