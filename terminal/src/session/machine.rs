//! The session's states and what each signal does to them. Pure.
//!
//! ```text
//!   Resting --Wake--> Dialling --Connected--> SigningIn --Admitted--> Active --Leave--> Leaving
//!      ^                  |                       |                     |                  |
//!      +------Failed------+--------Failed---------+-------Failed--------+     Denied, Left -> Over
//! ```

use super::error::TerminalError;
use kakehashi_wire::terminal::{Refusal, SessionEnd};

/// Where the session stands.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum State {
    /// Waits before it dials (again).
    Resting,
    /// A connection is being made.
    Dialling,
    /// Connected; the sign-in waits for its answer.
    SigningIn,
    /// Signed in.
    Active,
    /// The sign-out waits for its answer.
    Leaving,
    /// Finished for good.
    Over,
}

/// What happened.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Signal {
    /// The wait is over.
    Wake,
    /// The connection stands.
    Connected,
    /// Control took the sign-in.
    Admitted,
    /// It failed in a way that may pass.
    Failed,
    /// It failed in a way that will not pass by itself.
    Denied,
    /// The application wants to end the session.
    Leave,
    /// Control confirmed the end.
    Left,
}

/// What to do next.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Deed {
    /// Nothing: the signal has no meaning in this state.
    Nothing,
    /// Wait for the back-off's next delay.
    Rest,
    /// Make a connection.
    Dial,
    /// Send the sign-in.
    SignIn,
    /// Tell the application, watch presence again if it did, serve.
    Serve,
    /// Send the sign-out.
    SignOut,
    /// Close and tell the application why.
    Finish,
}

impl State {
    /// Every state.
    pub const ALL: [Self; 6] =
        [Self::Resting, Self::Dialling, Self::SigningIn, Self::Active, Self::Leaving, Self::Over];

    /// The state after `signal`, and what to do.
    pub fn on(self, signal: Signal) -> (Self, Deed) {
        match (self, signal) {
            (Self::Resting, Signal::Wake) => (Self::Dialling, Deed::Dial),
            (Self::Dialling, Signal::Connected) => (Self::SigningIn, Deed::SignIn),
            (Self::SigningIn, Signal::Admitted) => (Self::Active, Deed::Serve),
            (Self::Dialling | Self::SigningIn | Self::Active, Signal::Failed) => {
                (Self::Resting, Deed::Rest)
            }
            (Self::Dialling | Self::SigningIn | Self::Active, Signal::Denied)
            | (Self::Resting | Self::Dialling | Self::SigningIn, Signal::Leave)
            | (Self::Leaving, Signal::Failed | Signal::Denied | Signal::Left) => {
                (Self::Over, Deed::Finish)
            }
            (Self::Active, Signal::Leave) => (Self::Leaving, Deed::SignOut),
            _ => (self, Deed::Nothing),
        }
    }
}

impl Signal {
    /// Every signal.
    pub const ALL: [Self; 7] = [
        Self::Wake,
        Self::Connected,
        Self::Admitted,
        Self::Failed,
        Self::Denied,
        Self::Leave,
        Self::Left,
    ];

    /// Whether `error` may pass by itself. A certificate that was good before may become good
    /// again: an attacker who answers in control's place must not be able to end a terminal.
    pub fn of(error: &TerminalError, signed_in_before: bool) -> Self {
        let passes = match error {
            TerminalError::NotTrusted { .. } | TerminalError::CertificateExpired { .. } => {
                signed_in_before
            }
            TerminalError::Version { .. } | TerminalError::Settings { .. } => false,
            TerminalError::Refused { reason, retry_after_ms } => {
                *retry_after_ms > 0 || matches!(reason, Refusal::Busy | Refusal::StoreUnavailable)
            }
            TerminalError::SessionEnded { reason } => {
                // With the new password, if it was changed from here.
                matches!(
                    reason,
                    SessionEnd::NodeStopping
                        | SessionEnd::TooSlow
                        | SessionEnd::PasswordChanged
                        | SessionEnd::RoleChanged
                )
            }
            _ => true,
        };
        if passes { Self::Failed } else { Self::Denied }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TABLE: &str = "\
Resting   Wake      -> Dialling  Dial
Resting   Leave     -> Over      Finish
Dialling  Connected -> SigningIn SignIn
Dialling  Failed    -> Resting   Rest
Dialling  Denied    -> Over      Finish
Dialling  Leave     -> Over      Finish
SigningIn Admitted  -> Active    Serve
SigningIn Failed    -> Resting   Rest
SigningIn Denied    -> Over      Finish
SigningIn Leave     -> Over      Finish
Active    Failed    -> Resting   Rest
Active    Denied    -> Over      Finish
Active    Leave     -> Leaving   SignOut
Leaving   Failed    -> Over      Finish
Leaving   Denied    -> Over      Finish
Leaving   Left      -> Over      Finish
";

    #[test]
    fn the_table_is_this() {
        let mut table = String::new();
        for state in State::ALL {
            for signal in Signal::ALL {
                let (next, deed) = state.on(signal);
                let [from, by, to] =
                    [format!("{state:?}"), format!("{signal:?}"), format!("{next:?}")];
                if deed == Deed::Nothing {
                    assert_eq!(state, next, "a signal without meaning moves nothing");
                } else {
                    table.push_str(&format!("{from:<9} {by:<9} -> {to:<9} {deed:?}\n"));
                }
            }
        }
        assert_eq!(table, TABLE);
    }

    #[test]
    fn faults_that_pass_are_told_from_those_that_do_not() {
        let refused = |reason, retry_after_ms| TerminalError::Refused { reason, retry_after_ms };
        let ended = |reason| TerminalError::SessionEnded { reason };
        let lost = TerminalError::Lost { why: "idle".into() };
        assert_eq!(Signal::of(&lost, false), Signal::Failed);
        assert_eq!(Signal::of(&refused(Refusal::Busy, 0), false), Signal::Failed);
        assert_eq!(Signal::of(&refused(Refusal::BadCredentials, 900), true), Signal::Failed);
        assert_eq!(Signal::of(&refused(Refusal::BadCredentials, 0), true), Signal::Denied);
        assert_eq!(Signal::of(&refused(Refusal::SignedInElsewhere, 0), true), Signal::Denied);
        assert_eq!(Signal::of(&ended(SessionEnd::Replaced), true), Signal::Denied);
        assert_eq!(Signal::of(&ended(SessionEnd::Suspended), true), Signal::Denied);
        assert_eq!(Signal::of(&ended(SessionEnd::NodeStopping), true), Signal::Failed);
        assert_eq!(Signal::of(&ended(SessionEnd::PasswordChanged), true), Signal::Failed);
        assert_eq!(Signal::of(&ended(SessionEnd::RoleChanged), true), Signal::Failed);
        assert_eq!(Signal::of(&TerminalError::Version { why: "2".into() }, true), Signal::Denied);
        let untrusted = TerminalError::NotTrusted { why: "unknown issuer".into() };
        assert_eq!(Signal::of(&untrusted, false), Signal::Denied);
        assert_eq!(Signal::of(&untrusted, true), Signal::Failed);
        let expired = TerminalError::CertificateExpired { why: "certificate expired".into() };
        assert_eq!(Signal::of(&expired, false), Signal::Denied);
        assert_eq!(Signal::of(&expired, true), Signal::Failed);
    }

    proptest! {
        #[test]
        fn over_is_final_and_every_deed_has_its_state(
            signals in prop::collection::vec(prop::sample::select(Signal::ALL.to_vec()), 0..60),
        ) {
            let mut state = State::Resting;
            for signal in signals {
                let (next, deed) = state.on(signal);
                prop_assert!(state != State::Over || (next, deed) == (State::Over, Deed::Nothing));
                let fits = match deed {
                    Deed::Nothing => next == state,
                    Deed::Rest => next == State::Resting,
                    Deed::Dial => next == State::Dialling,
                    Deed::SignIn => next == State::SigningIn,
                    Deed::Serve => next == State::Active,
                    Deed::SignOut => next == State::Leaving,
                    Deed::Finish => next == State::Over,
                };
                prop_assert!(fits);
                state = next;
            }
        }
    }
}
