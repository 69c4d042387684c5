//! The states of a call and every step between them, as a table.
//!
//! ```text
//!  Inviting --Stored--> Ringing --Accept--> Preparing --LegsReady--> Connected
//!    | |                  |  ^ |                |                        |
//!    | |            Passed|  | |                |                        |
//!    | |                  v  |Offer             |                        |
//!    | +----Queue-----> Queued |                |                        |
//!    |                    |    |                |                        |
//!    +--------------------+----+----------------+------------------------+----> Ended
//! ```

use kakehashi_wire::terminal::{CallEnd, Refusal};

/// Where a call is.
#[derive(
    rkyv::Archive, rkyv::Serialize, rkyv::Deserialize, Clone, Copy, PartialEq, Eq, Hash, Debug,
)]
pub enum State {
    /// Allowed; its record is on the way to the store. The called side knows nothing yet.
    Inviting,
    /// It waits at a desk until an agent is free.
    Queued,
    /// The called side rings.
    Ringing,
    /// Taken; the relays are getting its legs.
    Preparing,
    /// The terminals have keys and paths.
    Connected,
    /// Over.
    Ended,
}

/// What can happen to a call.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Event {
    /// The store has its record.
    Stored,
    /// The store did not take its record.
    StoreFailed,
    /// The called side takes it.
    Accept,
    /// The called side declines, and no other device of it rings.
    Reject,
    /// One of several ringing devices of the called side declines.
    RejectOne,
    /// The caller gives up.
    Cancel,
    /// A member hangs up.
    HangUp,
    /// It rang long enough, or waited long enough.
    NoAnswer,
    /// The relays hold its legs.
    LegsReady,
    /// The relays will not hold its legs.
    LegsRefused,
    /// A member's session is gone.
    MemberLost,
    /// A member was suspended.
    Suspended,
    /// A member has another role or password, and no session until it signs in again.
    RightsChanged,
    /// A member wants to bring somebody in, or to join two calls.
    Add,
    /// Somebody whom a member brought in takes the call.
    Join,
    /// A member is gone, and two or more still speak with each other.
    MemberLeft,
    /// An operator or administrator ends it.
    Operator,
    /// The store has the record of a call to a desk.
    Queue,
    /// An agent of the desk is free.
    Offer,
    /// The agents it rang at have declined, did not answer, or are gone.
    Passed,
}

/// What an event does.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Step {
    /// The call is in another state.
    To(State),
    /// The call is over, and its members are told why.
    End(CallEnd),
    /// The call is over before anybody but its caller heard of it; the invitation is refused.
    Withdraw(Refusal),
    /// A request that cannot be done in this state.
    Refuse(Refusal),
    /// Nothing: the event came too late to matter.
    Stay,
}

impl State {
    /// All of them, in the order of the table's rows.
    pub const ALL: [Self; 6] = [
        Self::Inviting,
        Self::Queued,
        Self::Ringing,
        Self::Preparing,
        Self::Connected,
        Self::Ended,
    ];
}

impl Event {
    /// All of them, in the order of the table's columns.
    pub const ALL: [Self; 20] = [
        Self::Stored,
        Self::StoreFailed,
        Self::Accept,
        Self::Reject,
        Self::RejectOne,
        Self::Cancel,
        Self::HangUp,
        Self::NoAnswer,
        Self::LegsReady,
        Self::LegsRefused,
        Self::MemberLost,
        Self::Suspended,
        Self::RightsChanged,
        Self::Add,
        Self::Join,
        Self::MemberLeft,
        Self::Operator,
        Self::Queue,
        Self::Offer,
        Self::Passed,
    ];
}

/// The table: a row for each state, a column for each event.
const TABLE: [[Step; Event::ALL.len()]; State::ALL.len()] = {
    use CallEnd as End;
    use Step::{Refuse, Stay, To, Withdraw};
    const fn end(end: End) -> Step {
        Step::End(end)
    }
    const UNKNOWN: Step = Refuse(Refusal::NoSuchCall);
    const LATE: Step = Refuse(Refusal::TooLate);
    const LOST: Step = end(End::PeerLost);
    const HUNG_UP: Step = end(End::HungUp);
    const NO_RELAY: Step = end(End::NoRelay);
    const BARRED: Step = end(End::Suspended);
    const CHANGED: Step = end(End::RightsChanged);
    const ENDED: Step = end(End::EndedByOperator);
    [
        // Inviting: neither side has been told the call's number yet.
        [
            To(State::Ringing),
            Withdraw(Refusal::StoreUnavailable),
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            Stay,
            Stay,
            Stay,
            Withdraw(Refusal::NotAvailable),
            Withdraw(Refusal::NotAvailable),
            Withdraw(Refusal::NotAvailable),
            UNKNOWN,
            UNKNOWN,
            Stay,
            Withdraw(Refusal::NotAvailable),
            To(State::Queued),
            Stay,
            Stay,
        ],
        // Queued: nobody but the caller has heard of it.
        [
            Stay,
            Stay,
            UNKNOWN,
            UNKNOWN,
            UNKNOWN,
            end(End::Cancelled),
            HUNG_UP,
            end(End::NobodyAtDesk),
            Stay,
            Stay,
            LOST,
            BARRED,
            CHANGED,
            LATE,
            LATE,
            Stay,
            ENDED,
            Stay,
            To(State::Ringing),
            Stay,
        ],
        // Ringing
        [
            Stay,
            Stay,
            To(State::Preparing),
            end(End::Rejected),
            Stay,
            end(End::Cancelled),
            HUNG_UP,
            end(End::NoAnswer),
            Stay,
            Stay,
            LOST,
            BARRED,
            CHANGED,
            LATE,
            LATE,
            Stay,
            ENDED,
            Stay,
            Stay,
            To(State::Queued),
        ],
        // Preparing: a cancel that crossed the accept ends the call all the same.
        [
            Stay,
            Stay,
            LATE,
            LATE,
            LATE,
            HUNG_UP,
            HUNG_UP,
            Stay,
            To(State::Connected),
            NO_RELAY,
            LOST,
            BARRED,
            CHANGED,
            LATE,
            LATE,
            Stay,
            ENDED,
            Stay,
            Stay,
            Stay,
        ],
        // Connected: losing a relay is the terminals' business, they have a standby. Legs are of a
        // round that takes over or does not; an end is that of a call in which nobody is left to
        // speak with.
        [
            Stay, Stay, LATE, LATE, LATE, HUNG_UP, HUNG_UP, Stay, Stay, Stay, LOST, BARRED,
            CHANGED, Stay, Stay, Stay, ENDED, Stay, Stay, Stay,
        ],
        // Ended
        [
            Stay, Stay, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, UNKNOWN, Stay, Stay, Stay, Stay, Stay,
            Stay, UNKNOWN, UNKNOWN, Stay, Stay, Stay, Stay, Stay,
        ],
    ]
};

/// What `event` does to a call in `state`.
pub const fn step(state: State, event: Event) -> Step {
    TABLE[state as usize][event as usize]
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fmt::Write;

    /// `>` another state, `!` the end, `~` the invitation is refused, `?` the request is refused.
    /// `Operator` is short for `EndedByOperator`, `Rights` for `RightsChanged`.
    const EXPECTED: &str = "
            | Inviting          | Queued        | Ringing    | Preparing  | Connected  | Ended
Stored      | >Ringing          | -             | -          | -          | -          | -
StoreFailed | ~StoreUnavailable | -             | -          | -          | -          | -
Accept      | ?NoSuchCall       | ?NoSuchCall   | >Preparing | ?TooLate   | ?TooLate   | ?NoSuchCall
Reject      | ?NoSuchCall       | ?NoSuchCall   | !Rejected  | ?TooLate   | ?TooLate   | ?NoSuchCall
RejectOne   | ?NoSuchCall       | ?NoSuchCall   | -          | ?TooLate   | ?TooLate   | ?NoSuchCall
Cancel      | ?NoSuchCall       | !Cancelled    | !Cancelled | !HungUp    | !HungUp    | ?NoSuchCall
HangUp      | ?NoSuchCall       | !HungUp       | !HungUp    | !HungUp    | !HungUp    | ?NoSuchCall
NoAnswer    | -                 | !NobodyAtDesk | !NoAnswer  | -          | -          | -
LegsReady   | -                 | -             | -          | >Connected | -          | -
LegsRefused | -                 | -             | -          | !NoRelay   | -          | -
MemberLost  | ~NotAvailable     | !PeerLost     | !PeerLost  | !PeerLost  | !PeerLost  | -
Suspended   | ~NotAvailable     | !Suspended    | !Suspended | !Suspended | !Suspended | -
Rights      | ~NotAvailable     | !Rights       | !Rights    | !Rights    | !Rights    | -
Add         | ?NoSuchCall       | ?TooLate      | ?TooLate   | ?TooLate   | -          | ?NoSuchCall
Join        | ?NoSuchCall       | ?TooLate      | ?TooLate   | ?TooLate   | -          | ?NoSuchCall
MemberLeft  | -                 | -             | -          | -          | -          | -
Operator    | ~NotAvailable     | !Operator     | !Operator  | !Operator  | !Operator  | -
Queue       | >Queued           | -             | -          | -          | -          | -
Offer       | -                 | >Ringing      | -          | -          | -          | -
Passed      | -                 | -             | >Queued    | -          | -          | -
";

    fn short(end: &str) -> String {
        end.replace("EndedBy", "").replace("Changed", "")
    }

    fn cell(step: Step) -> String {
        match step {
            Step::To(state) => format!(">{state:?}"),
            Step::End(end) => short(&format!("!{end:?}")),
            Step::Withdraw(refusal) => format!("~{refusal:?}"),
            Step::Refuse(refusal) => format!("?{refusal:?}"),
            Step::Stay => "-".into(),
        }
    }

    #[test]
    fn the_table_is_as_printed() {
        const WIDTHS: [usize; 6] = [17, 13, 10, 10, 10, 0];
        let mut table = format!("\n{:11}", "");
        for (state, width) in State::ALL.iter().zip(WIDTHS) {
            write!(table, " | {:width$}", format!("{state:?}")).unwrap();
        }
        for event in Event::ALL {
            write!(table, "\n{:11}", short(&format!("{event:?}"))).unwrap();
            for (state, width) in State::ALL.iter().zip(WIDTHS) {
                write!(table, " | {:width$}", cell(step(*state, event))).unwrap();
            }
        }
        table.push('\n');
        assert_eq!(table, EXPECTED, "the table changed; printed it is:{table}");
    }

    #[test]
    fn nothing_leaves_the_end() {
        for event in Event::ALL {
            assert!(matches!(step(State::Ended, event), Step::Stay | Step::Refuse(_)));
        }
    }

    #[test]
    fn rows_and_columns_are_where_the_enums_say() {
        for (row, state) in State::ALL.into_iter().enumerate() {
            assert_eq!(state as usize, row);
        }
        for (column, event) in Event::ALL.into_iter().enumerate() {
            assert_eq!(event as usize, column);
        }
    }
}
