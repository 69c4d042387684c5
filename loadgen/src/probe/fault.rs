//! What a probe can find, by name. **The names are a promise**: alerts and run books refer to them,
//! and each comes with what to do next.

use crate::capacity::FINDING_BYTES_MAX;
use kakehashi_terminal::TerminalError;
use kakehashi_wire::terminal::{CallEnd, Refusal, SessionEnd};
use serde::{Deserialize, Serialize};

/// A fault. Its name in metrics, reports and status files is that of the variant in snake case.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fault {
    /// The name of a control node cannot be looked up.
    NameNotFound,
    /// A control node does not answer.
    ControlUnreachable,
    /// Its certificate has run out.
    CertificateExpired,
    /// Its certificate is not one of the public CA, or made out to another name.
    CertificateWrong,
    /// It speaks another version of the protocol.
    VersionWrong,
    /// Control knows no such account with that password.
    PasswordWrong,
    /// The password was for one time and must be changed.
    PasswordExpired,
    /// The account was suspended while it was signed in.
    AccountSuspended,
    /// Control refused the sign-in for another reason.
    SignInRefused,
    /// The sign-in took longer than it may.
    SignInSlow,
    /// Control is at its limit, or its store does not answer.
    ControlBusy,
    /// Control has no relay for a call.
    NoRelay,
    /// Control refused the call for another reason.
    CallRefused,
    /// The call did not come about in time.
    CallNotSetUp,
    /// The call came about, and took longer than it may.
    SetupSlow,
    /// The call or a session ended by itself.
    CallBroken,
    /// A relay that should be there is given to no call.
    RelayMissing,
    /// A relay that control gave to a call does not answer.
    RelayUnreachable,
    /// Neither side hears the other.
    NoAudio,
    /// Only one side hears the other.
    OneWayAudio,
    /// More packets were lost than may be.
    LossHigh,
    /// Media is longer under way than it may be.
    DelayHigh,
    /// What came is not what was sent.
    ContentWrong,
    /// The probe itself cannot work as it is set up.
    ProbeBroken,
}

impl Fault {
    /// Every fault.
    pub const ALL: [Self; 24] = [
        Self::NameNotFound,
        Self::ControlUnreachable,
        Self::CertificateExpired,
        Self::CertificateWrong,
        Self::VersionWrong,
        Self::PasswordWrong,
        Self::PasswordExpired,
        Self::AccountSuspended,
        Self::SignInRefused,
        Self::SignInSlow,
        Self::ControlBusy,
        Self::NoRelay,
        Self::CallRefused,
        Self::CallNotSetUp,
        Self::SetupSlow,
        Self::CallBroken,
        Self::RelayMissing,
        Self::RelayUnreachable,
        Self::NoAudio,
        Self::OneWayAudio,
        Self::LossHigh,
        Self::DelayHigh,
        Self::ContentWrong,
        Self::ProbeBroken,
    ];

    /// Its name, which does not change.
    pub fn name(self) -> &'static str {
        match self {
            Self::NameNotFound => "name_not_found",
            Self::ControlUnreachable => "control_unreachable",
            Self::CertificateExpired => "certificate_expired",
            Self::CertificateWrong => "certificate_wrong",
            Self::VersionWrong => "version_wrong",
            Self::PasswordWrong => "password_wrong",
            Self::PasswordExpired => "password_expired",
            Self::AccountSuspended => "account_suspended",
            Self::SignInRefused => "sign_in_refused",
            Self::SignInSlow => "sign_in_slow",
            Self::ControlBusy => "control_busy",
            Self::NoRelay => "no_relay",
            Self::CallRefused => "call_refused",
            Self::CallNotSetUp => "call_not_set_up",
            Self::SetupSlow => "setup_slow",
            Self::CallBroken => "call_broken",
            Self::RelayMissing => "relay_missing",
            Self::RelayUnreachable => "relay_unreachable",
            Self::NoAudio => "no_audio",
            Self::OneWayAudio => "one_way_audio",
            Self::LossHigh => "loss_high",
            Self::DelayHigh => "delay_high",
            Self::ContentWrong => "content_wrong",
            Self::ProbeBroken => "probe_broken",
        }
    }

    /// What to do next.
    pub fn advice(self) -> &'static str {
        ADVICE[self as usize].1
    }
}

/// What to do about each fault, in their order.
const ADVICE: [(Fault, &str); Fault::ALL.len()] = [
    (Fault::NameNotFound, "check the name in `control`, and the DNS where the probe runs"),
    (
        Fault::ControlUnreachable,
        "look whether the node runs (`systemctl status kakehashi-control`) and whether its \
         firewall lets UDP through to its port for terminals; try from another network",
    ),
    (
        Fault::CertificateExpired,
        "renew the node's certificate and restart it; if it is good, set the probe's clock",
    ),
    (
        Fault::CertificateWrong,
        "compare the node's certificate with `ca` and `server_name` of the probe: if it was \
         renewed by another authority, terminals in the field cannot sign in either",
    ),
    (
        Fault::VersionWrong,
        "upgrade the older of node and probe, and check that `control` names the port for \
         terminals",
    ),
    (
        Fault::PasswordWrong,
        "give the account a password for good (`kakehashi account password TENANT LOGIN \
         --permanent`) and write it into the probe's file; a suspended account or tenant is \
         answered the same way: look at `kakehashi account list TENANT`",
    ),
    (
        Fault::PasswordExpired,
        "give the account a password for good: `kakehashi account password TENANT LOGIN \
         --permanent`, and write it into the probe's file",
    ),
    (
        Fault::AccountSuspended,
        "find out who suspended the probe's account (audit log), then `kakehashi account \
         reactivate TENANT LOGIN`",
    ),
    (Fault::SignInRefused, "do what the refusal says; let nothing else use the probe's accounts"),
    (
        Fault::SignInSlow,
        "look at control's processors and at sign-ins a second: passwords are hashed on few \
         threads, and a storm fills their queue",
    ),
    (Fault::ControlBusy, "look whether the store has its quorum, and at control's load and log"),
    (
        Fault::NoRelay,
        "look at `kakehashi relays`: none is connected to control, or all are full or drained",
    ),
    (
        Fault::CallRefused,
        "do what the refusal says: both accounts must be of one tenant, with no other calls, \
         and allowed to call each other",
    ),
    (
        Fault::CallNotSetUp,
        "look at control's log for this call, at the links between its nodes, and at `kakehashi \
         relays`",
    ),
    (
        Fault::SetupSlow,
        "look at the store's latency (disk, links between sites) and at control's load",
    ),
    (Fault::CallBroken, "look at control's log and the call's record for why it ended"),
    (
        Fault::RelayMissing,
        "look at `kakehashi relays`: start the relay if its process or machine is down, undrain \
         it, or mend its link to control",
    ),
    (
        Fault::RelayUnreachable,
        "control holds the relay for alive: check that its firewall lets UDP through to its \
         media ports, its `advertise_ip`, and the route from here",
    ),
    (
        Fault::NoAudio,
        "the relay answers and forwards nothing: look at its drop counters (`kakehashi relays \
         --json`) and for a filter of large UDP packets on the way",
    ),
    (
        Fault::OneWayAudio,
        "look at the relay's drop counters (`kakehashi relays --json`) and for a firewall that \
         lets media through in one direction only",
    ),
    (
        Fault::LossHigh,
        "compare the relays: if all lose, look at the probe's own line; if one does, at its \
         NIC's and sockets' drops and its load",
    ),
    (
        Fault::DelayHigh,
        "compare the relays: if all are slow, look at the probe's own line; if one is, at the \
         route to its site and at its load",
    ),
    (
        Fault::ContentWrong,
        "take the relay out of use (`kakehashi relay drain`) and keep its log: it forwards what \
         nobody sent",
    ),
    (
        Fault::ProbeBroken,
        "correct what is named, on the probe's machine or in its settings; `kakehashi-loadgen \
         probe --print-config` explains every one",
    ),
];

const _: () = {
    let mut at = 0;
    while at < ADVICE.len() {
        assert!(ADVICE[at].0 as usize == at && Fault::ALL[at] as usize == at);
        at += 1;
    }
};

/// A fault that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Finding {
    /// Which.
    pub fault: Fault,
    /// What was seen: who, where, how much against how much.
    pub what: String,
    /// What to do next.
    pub next: String,
}

impl Finding {
    /// `fault`, because of `what`.
    pub fn new(fault: Fault, what: impl Into<String>) -> Self {
        let mut what = what.into();
        what.truncate(what.floor_char_boundary(FINDING_BYTES_MAX));
        Self { fault, what, next: fault.advice().to_owned() }
    }

    /// What a sign-in that failed with `error` says.
    pub(super) fn of_sign_in(who: &str, error: &TerminalError) -> Self {
        let fault = match error {
            TerminalError::NoSuchHost { .. } => Fault::NameNotFound,
            TerminalError::NoAnswer { .. }
            | TerminalError::Lost { .. }
            | TerminalError::NotConnected => Fault::ControlUnreachable,
            TerminalError::CertificateExpired { .. } => Fault::CertificateExpired,
            TerminalError::NotTrusted { .. } => Fault::CertificateWrong,
            TerminalError::Version { .. } => Fault::VersionWrong,
            TerminalError::NoReply => Fault::ControlBusy,
            TerminalError::Refused { reason, .. } => match reason {
                Refusal::BadCredentials => Fault::PasswordWrong,
                Refusal::PasswordMustChange => Fault::PasswordExpired,
                Refusal::Busy | Refusal::StoreUnavailable => Fault::ControlBusy,
                _ => Fault::SignInRefused,
            },
            TerminalError::SessionEnded { reason: SessionEnd::Suspended } => {
                Fault::AccountSuspended
            }
            TerminalError::Settings { .. } => Fault::ProbeBroken,
            _ => Fault::SignInRefused,
        };
        Self::new(fault, format!("{who}: {error}"))
    }

    /// What a request of a call that failed with `error` says.
    pub(super) fn of_request(who: &str, error: &TerminalError) -> Self {
        let fault = match error {
            TerminalError::Refused { reason, .. } => match reason {
                Refusal::NoRelay => Fault::NoRelay,
                Refusal::Busy | Refusal::StoreUnavailable => Fault::ControlBusy,
                _ => Fault::CallRefused,
            },
            TerminalError::NoReply => Fault::CallNotSetUp,
            TerminalError::SessionEnded { reason: SessionEnd::Suspended } => {
                Fault::AccountSuspended
            }
            _ => Fault::CallBroken,
        };
        Self::new(fault, format!("{who}: {error}"))
    }

    /// What the unasked end of a call says.
    pub(super) fn of_end(who: &str, reason: CallEnd) -> Self {
        let fault = match reason {
            CallEnd::NoRelay => Fault::NoRelay,
            CallEnd::Suspended => Fault::AccountSuspended,
            _ => Fault::CallBroken,
        };
        Self::new(fault, format!("{who} was told that the call has ended: {reason:?}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_fault_has_one_name_everywhere_and_says_what_to_do() {
        let names: BTreeSet<_> = Fault::ALL.iter().map(|fault| fault.name()).collect();
        assert_eq!(names.len(), Fault::ALL.len());
        for fault in Fault::ALL {
            assert_eq!(serde_json::to_value(fault).unwrap(), fault.name());
            assert!(fault.advice().len() > 20, "{fault:?}");
        }
    }

    #[test]
    fn refusals_are_laid_at_the_right_door() {
        let refused = |reason| TerminalError::Refused { reason, retry_after_ms: 0 };
        let fault = |error| Finding::of_sign_in("probe-1", &error).fault;
        assert_eq!(fault(refused(Refusal::BadCredentials)), Fault::PasswordWrong);
        assert_eq!(fault(refused(Refusal::PasswordMustChange)), Fault::PasswordExpired);
        assert_eq!(fault(refused(Refusal::SignedInElsewhere)), Fault::SignInRefused);
        assert_eq!(fault(refused(Refusal::Busy)), Fault::ControlBusy);
        let no_answer = TerminalError::NoAnswer { control: "a.example:4433".into() };
        assert_eq!(fault(no_answer), Fault::ControlUnreachable);
        let expired = TerminalError::CertificateExpired { why: "certificate expired".into() };
        assert_eq!(fault(expired), Fault::CertificateExpired);
        let reason = SessionEnd::Suspended;
        assert_eq!(fault(TerminalError::SessionEnded { reason }), Fault::AccountSuspended);
        let of_call = |reason| Finding::of_request("probe-1", &refused(reason)).fault;
        assert_eq!(of_call(Refusal::NoRelay), Fault::NoRelay);
        assert_eq!(of_call(Refusal::InAnotherCall), Fault::CallRefused);
        assert_eq!(Finding::of_end("probe-1", CallEnd::PeerLost).fault, Fault::CallBroken);
    }

    #[test]
    fn a_description_is_cut_and_stays_text() {
        let finding = Finding::new(Fault::ProbeBroken, "店".repeat(FINDING_BYTES_MAX));
        assert!(finding.what.len() <= FINDING_BYTES_MAX);
        assert!(finding.what.ends_with('店'));
    }
}
