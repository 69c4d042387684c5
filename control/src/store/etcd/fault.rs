//! What an error of a member means: whether another member should be asked, and whether the change
//! can have been done all the same.

use crate::store::StoreError;
use core::error::Error as _;
use etcd_client::Error;
use tonic::{Code, ConnectError, Status};

/// Why a member did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Failure {
    /// It was not done, and another member, or this one a little later, may do it.
    NotDone(String),
    /// It may be done or not.
    Unknown(String),
    /// The answer is larger than this side reads.
    TooLong,
    /// The revision that was asked for is no longer kept.
    Compacted,
    /// Every member would say the same.
    Final(StoreError),
}

impl Failure {
    /// What `error` means.
    pub(super) fn of(error: &Error) -> Self {
        match error {
            Error::GRpcStatus(status) => of_status(status),
            Error::TransportError(error) => Self::NotDone(chain(error)),
            Error::InvalidArgs(_) | Error::InvalidUri(_) => {
                Self::Final(StoreError::Refused { what: error.to_string() })
            }
            other => Self::Unknown(other.to_string()),
        }
    }

    /// No answer came in time.
    pub(super) fn silence() -> Self {
        Self::Unknown("no answer in time".to_owned())
    }

    /// What it says of a member that was not even reached.
    pub(super) fn unsent(self) -> Self {
        match self {
            Self::Unknown(what) => Self::NotDone(what),
            other => other,
        }
    }
}

/// etcd's own words tell what its codes do not; they are part of its interface (`rpctypes`).
fn of_status(status: &Status) -> Failure {
    let said = status.message();
    let what = || if status.source().is_some() { chain(status) } else { said.to_owned() };
    let has = |words: &[&str]| words.iter().any(|word| said.contains(word));
    if never_sent(status) {
        return Failure::NotDone(what());
    }
    match status.code() {
        Code::Unauthenticated | Code::PermissionDenied => refused(status),
        Code::InvalidArgument | Code::FailedPrecondition if has(&["revision of auth store"]) => {
            Failure::NotDone(what())
        }
        Code::InvalidArgument | Code::FailedPrecondition if has(&["auth", "user name", "role"]) => {
            refused(status)
        }
        Code::ResourceExhausted if has(&["space exceeded"]) => {
            Failure::Final(StoreError::OverQuota { what: said.to_owned() })
        }
        Code::ResourceExhausted if has(&["too many requests"]) => Failure::NotDone(what()),
        Code::OutOfRange if has(&["decoded message length"]) => Failure::TooLong,
        Code::OutOfRange if has(&["compacted", "future revision"]) => Failure::Compacted,
        Code::Unavailable if has(&["no leader", "not capable", "learner", "corrupt"]) => {
            Failure::NotDone(what())
        }
        _ => Failure::Unknown(what()),
    }
}

fn refused(status: &Status) -> Failure {
    Failure::Final(StoreError::Refused { what: status.message().to_owned() })
}

/// Whether there was no connection that could have carried the request.
fn never_sent(status: &Status) -> bool {
    let mut source = status.source();
    while let Some(error) = source {
        if error.is::<ConnectError>() {
            return true;
        }
        source = error.source();
    }
    false
}

/// An error with its causes, each once.
fn chain(error: &dyn core::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_cannot_be_done_counts_as_not_done() {
        let of = |code, said: &str| Failure::of(&Error::GRpcStatus(Status::new(code, said)));
        let not_done = [
            (Code::Unavailable, "etcdserver: no leader"),
            (Code::ResourceExhausted, "etcdserver: too many requests"),
            (Code::InvalidArgument, "etcdserver: revision of auth store is old"),
        ];
        for (code, said) in not_done {
            assert_eq!(of(code, said), Failure::NotDone(said.to_owned()));
        }
        let unknown = [
            (Code::Unavailable, "etcdserver: request timed out"),
            (Code::Unavailable, "etcdserver: request timed out, possibly due to connection lost"),
            (Code::Unavailable, "etcdserver: leader changed"),
            (Code::Unavailable, "etcdserver: server stopped"),
            (Code::Unavailable, "error reading a body from connection"),
            (Code::Cancelled, "Timeout expired"),
            (Code::Unknown, "transport error"),
        ];
        for (code, said) in unknown {
            assert_eq!(of(code, said), Failure::Unknown(said.to_owned()), "{said}");
        }
        let refused = [
            (Code::Unauthenticated, "etcdserver: invalid auth token"),
            (Code::PermissionDenied, "etcdserver: permission denied"),
            (Code::InvalidArgument, "etcdserver: user name is empty"),
            (
                Code::InvalidArgument,
                "etcdserver: authentication failed, invalid user ID or password",
            ),
        ];
        for (code, said) in refused {
            let what = said.to_owned();
            assert_eq!(of(code, said), Failure::Final(StoreError::Refused { what }), "{said}");
        }
        let full = of(Code::ResourceExhausted, "etcdserver: mvcc: database space exceeded");
        assert!(matches!(full, Failure::Final(StoreError::OverQuota { .. })));
        let gone = of(Code::OutOfRange, "etcdserver: mvcc: required revision has been compacted");
        assert_eq!(gone, Failure::Compacted);
    }
}
