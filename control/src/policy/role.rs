//! Which role may do what.

use kakehashi_wire::terminal::{FromTerminal, Role};

/// What somebody acts as.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rank {
    /// An account of a tenant, in whatever concerns its own tenant.
    Account(Role),
    /// The operator of the platform.
    Operator,
    /// Looks after the platform, and changes nothing.
    Observer,
}

impl Rank {
    /// Every rank, in the order of the table's columns.
    pub const ALL: [Self; 6] = [
        Self::Account(Role::Store),
        Self::Account(Role::Concierge),
        Self::Account(Role::Supervisor),
        Self::Account(Role::TenantAdmin),
        Self::Operator,
        Self::Observer,
    ];

    /// Whether it may do `act`.
    pub fn may(self, act: Act) -> bool {
        let column = Self::ALL.iter().position(|rank| *rank == self);
        column.is_some_and(|column| act.row()[column])
    }
}

/// A cell of the table.
macro_rules! cell {
    (y) => {
        true
    };
    (-) => {
        false
    };
}

/// The table: every act with its name and who may do it.
macro_rules! acts {
    ($($(#[$doc:meta])* $act:ident $name:literal [$($cell:tt)*];)*) => {
        /// Whatever can be asked for: each request of a terminal, and each of an operator or
        /// administrator.
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub enum Act {
            $($(#[$doc])* $act,)*
        }

        impl Act {
            /// Every act, in the order of the table.
            pub const ALL: &[Self] = &[$(Self::$act),*];

            /// Its name in records; never changes.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$act => $name,)*
                }
            }

            const fn row(self) -> [bool; Rank::ALL.len()] {
                match self {
                    $(Self::$act => [$(cell!($cell)),*],)*
                }
            }
        }
    };
}

acts! {
    // The columns: store, concierge, supervisor, tenant administrator, operator, observer.

    /// Begins a session.
    SignIn "sign_in" [y y y y - -];
    /// Goes on with a session.
    Resume "resume" [y y y y - -];
    /// Ends a session.
    SignOut "sign_out" [y y y y - -];
    /// Changes the own password.
    ChangePassword "change_password" [y y y y - -];
    /// Sees who of the tenant is there.
    WatchPresence "watch_presence" [y y y y - -];
    /// Is away, or back.
    SetAway "set_away" [y y y y - -];
    /// Sees what it has missed.
    Missed "missed" [y y y y - -];
    /// Calls somebody.
    Invite "invite" [y y y y - -];
    /// Calls a desk.
    InviteDesk "invite_desk" [y y y y - -];
    /// Takes a call.
    Accept "accept" [y y y y - -];
    /// Declines a call.
    Reject "reject" [y y y y - -];
    /// Gives up a call.
    Cancel "cancel" [y y y y - -];
    /// Ends a call.
    HangUp "hang_up" [y y y y - -];
    /// Says how a call's media arrived.
    ReportQuality "report_quality" [y y y y - -];
    /// Puts a call on hold.
    Hold "hold" [y y y y - -];
    /// Mutes itself.
    Mute "mute" [y y y y - -];
    /// Shares its screen.
    Share "share" [y y y y - -];
    /// Chooses a camera's layer.
    ChooseLayer "choose_layer" [y y y y - -];
    /// Brings somebody into a call.
    AddMember "add_member" [y y y y - -];
    /// Brings somebody of a desk into a call.
    AddDesk "add_desk" [y y y y - -];
    /// Joins two calls.
    Merge "merge" [y y y y - -];
    /// Listens to a call.
    Listen "listen" [- - y - - -];
    /// Is ready for a desk's next call.
    EndWrapUp "end_wrap_up" [y y y y - -];
    /// Wants a sign of life.
    Ping "ping" [y y y y - -];

    /// Adds a tenant.
    TenantAdd "tenant_add" [- - - - y -];
    /// Lists tenants.
    TenantList "tenant_list" [- - - - y y];
    /// Sees what a tenant may have and how it wants its calls.
    TenantPolicy "tenant_policy" [- - y y y y];
    /// Says how a tenant wants its calls.
    TenantRules "tenant_rules" [- - - y y -];
    /// Says what a tenant may have.
    TenantLimits "tenant_limits" [- - - - y -];
    /// Suspends a tenant.
    TenantSuspend "tenant_suspend" [- - - - y -];
    /// Takes sign-ins of a tenant again.
    TenantReactivate "tenant_reactivate" [- - - - y -];
    /// Adds an account.
    AccountAdd "account_add" [- - - y y -];
    /// Lists accounts.
    AccountList "account_list" [- - y y y y];
    /// Gives an account a password.
    AccountPassword "account_password" [- - - y y -];
    /// Gives an account a role.
    AccountRole "account_role" [- - - y y -];
    /// Has an account enrol its second factor anew.
    SecondReset "second_reset" [- - - y y -];
    /// Suspends an account.
    AccountSuspend "account_suspend" [- - - y y -];
    /// Takes sign-ins of an account again.
    AccountReactivate "account_reactivate" [- - - y y -];
    /// Suspends an account on a device.
    DeviceSuspend "device_suspend" [- - - y y -];
    /// Takes sign-ins of an account on a device again.
    DeviceReactivate "device_reactivate" [- - - y y -];
    /// Adds a desk.
    DeskAdd "desk_add" [- - - y y -];
    /// Changes a desk.
    DeskSet "desk_set" [- - - y y -];
    /// Lists desks.
    DeskList "desk_list" [- - y y y y];
    /// Removes a desk.
    DeskRemove "desk_remove" [- - - y y -];
    /// Lists calls.
    Calls "calls" [- - y y y y];
    /// Ends a call of others.
    CallEnd "call_end" [- - - y y -];
    /// Lists sessions.
    Sessions "sessions" [- - y y y y];
    /// Lists relays.
    Relays "relays" [- - - - y y];
    /// Takes a relay out of use, or puts it back.
    RelayDrain "relay_drain" [- - - - y -];
    /// Sees how the node is.
    Status "status" [- - - - y y];
    /// Lists what was done in all tenants.
    AuditList "audit_list" [- - - - y y];
    /// Verifies the audit log.
    AuditVerify "audit_verify" [- - - - y y];
}

impl From<&FromTerminal> for Act {
    fn from(message: &FromTerminal) -> Self {
        match message {
            FromTerminal::SignIn(_) => Self::SignIn,
            FromTerminal::Resume(_) => Self::Resume,
            FromTerminal::SignOut(_) => Self::SignOut,
            FromTerminal::WatchPresence(_) => Self::WatchPresence,
            FromTerminal::Invite(_) => Self::Invite,
            FromTerminal::InviteDesk(_) => Self::InviteDesk,
            FromTerminal::Accept(_) => Self::Accept,
            FromTerminal::Reject(_) => Self::Reject,
            FromTerminal::Cancel(_) => Self::Cancel,
            FromTerminal::HangUp(_) => Self::HangUp,
            FromTerminal::ReportQuality(_) => Self::ReportQuality,
            FromTerminal::ChangePassword(_) => Self::ChangePassword,
            FromTerminal::Hold(_) => Self::Hold,
            FromTerminal::Mute(_) => Self::Mute,
            FromTerminal::Share(_) => Self::Share,
            FromTerminal::ChooseLayer(_) => Self::ChooseLayer,
            FromTerminal::AddMember(_) => Self::AddMember,
            FromTerminal::AddDesk(_) => Self::AddDesk,
            FromTerminal::Merge(_) => Self::Merge,
            FromTerminal::Listen(_) => Self::Listen,
            FromTerminal::EndWrapUp(_) => Self::EndWrapUp,
            FromTerminal::Ping(_) => Self::Ping,
            FromTerminal::SetAway(_) => Self::SetAway,
            FromTerminal::Missed(_) => Self::Missed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;
    use std::fmt::Write;

    const TABLE: &str = "\
act                store concierge supervisor tenant-admin operator observer
sign_in              yes       yes        yes          yes        -        -
resume               yes       yes        yes          yes        -        -
sign_out             yes       yes        yes          yes        -        -
change_password      yes       yes        yes          yes        -        -
watch_presence       yes       yes        yes          yes        -        -
set_away             yes       yes        yes          yes        -        -
missed               yes       yes        yes          yes        -        -
invite               yes       yes        yes          yes        -        -
invite_desk          yes       yes        yes          yes        -        -
accept               yes       yes        yes          yes        -        -
reject               yes       yes        yes          yes        -        -
cancel               yes       yes        yes          yes        -        -
hang_up              yes       yes        yes          yes        -        -
report_quality       yes       yes        yes          yes        -        -
hold                 yes       yes        yes          yes        -        -
mute                 yes       yes        yes          yes        -        -
share                yes       yes        yes          yes        -        -
choose_layer         yes       yes        yes          yes        -        -
add_member           yes       yes        yes          yes        -        -
add_desk             yes       yes        yes          yes        -        -
merge                yes       yes        yes          yes        -        -
listen                 -         -        yes            -        -        -
end_wrap_up          yes       yes        yes          yes        -        -
ping                 yes       yes        yes          yes        -        -
tenant_add             -         -          -            -      yes        -
tenant_list            -         -          -            -      yes      yes
tenant_policy          -         -        yes          yes      yes      yes
tenant_rules           -         -          -          yes      yes        -
tenant_limits          -         -          -            -      yes        -
tenant_suspend         -         -          -            -      yes        -
tenant_reactivate      -         -          -            -      yes        -
account_add            -         -          -          yes      yes        -
account_list           -         -        yes          yes      yes      yes
account_password       -         -          -          yes      yes        -
account_role           -         -          -          yes      yes        -
second_reset           -         -          -          yes      yes        -
account_suspend        -         -          -          yes      yes        -
account_reactivate     -         -          -          yes      yes        -
device_suspend         -         -          -          yes      yes        -
device_reactivate      -         -          -          yes      yes        -
desk_add               -         -          -          yes      yes        -
desk_set               -         -          -          yes      yes        -
desk_list              -         -        yes          yes      yes      yes
desk_remove            -         -          -          yes      yes        -
calls                  -         -        yes          yes      yes      yes
call_end               -         -          -          yes      yes        -
sessions               -         -        yes          yes      yes      yes
relays                 -         -          -            -      yes      yes
relay_drain            -         -          -            -      yes        -
status                 -         -          -            -      yes      yes
audit_list             -         -          -            -      yes      yes
audit_verify           -         -          -            -      yes      yes
";

    fn heading(rank: Rank) -> &'static str {
        match rank {
            Rank::Account(role) => role.name(),
            Rank::Operator => "operator",
            Rank::Observer => "observer",
        }
    }

    #[test]
    fn the_table_of_who_may_do_what() {
        let mut printed = format!("{:<18}", "act");
        for rank in Rank::ALL {
            write!(printed, " {}", heading(rank)).unwrap();
        }
        printed.push('\n');
        for act in Act::ALL {
            write!(printed, "{:<18}", act.name()).unwrap();
            for rank in Rank::ALL {
                let cell = if rank.may(*act) { "yes" } else { "-" };
                write!(printed, " {cell:>width$}", width = heading(rank).len()).unwrap();
            }
            printed.push('\n');
        }
        assert_eq!(printed, TABLE, "\n{printed}");
    }

    #[test]
    fn names_are_distinct_and_nothing_is_for_nobody() {
        let names: BTreeSet<_> = Act::ALL.iter().map(|act| act.name()).collect();
        assert_eq!(names.len(), Act::ALL.len());
        for act in Act::ALL {
            assert!(Rank::ALL.iter().any(|rank| rank.may(*act)), "{act:?}");
        }
        for role in Role::ALL {
            assert!(Rank::ALL.contains(&Rank::Account(role)), "{role:?}");
        }
    }
}
