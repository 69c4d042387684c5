//! Every deliberate exception from a house rule, with its reason.
//!
//! An entry that is no longer needed fails the tidy test as well, so the lists only shrink.

/// A file that may have more production lines than others.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongFile {
    /// Path from the root of the repository.
    pub path: &'static str,
    /// Why it is one file all the same.
    pub reason: &'static str,
}

/// A function that may be longer than others. A ratchet: it may shrink, but not grow.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LongFunction {
    /// Path from the root of the repository.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Body lines it has.
    pub lines: usize,
    /// Why it is one function all the same.
    pub reason: &'static str,
}

/// Files over the limit.
pub const LONG_FILES: &[LongFile] = &[];

/// Functions over the limit.
pub const LONG_FUNCTIONS: &[LongFunction] = &[];

/// A struct with a secret's name that holds none.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Harmless {
    /// Path from the root of the repository.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// What it holds.
    pub reason: &'static str,
}

/// Structs called `Key` and the like that anyone may print.
pub const HARMLESS_NAMES: &[Harmless] = &[
    Harmless {
        path: "wire/src/node/whom.rs",
        name: "AccountKey",
        reason: "tenant and account, by which sessions are looked up",
    },
    Harmless {
        path: "control/src/store/key.rs",
        name: "Key",
        reason: "the name of a record in the store",
    },
    Harmless {
        path: "wire/src/device.rs",
        name: "DeviceKey",
        reason: "the public half of a device's key pair",
    },
];

/// A test that an ordinary run leaves out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Ignored {
    /// Path from the root of the repository.
    pub path: &'static str,
    /// Its name.
    pub name: &'static str,
    /// Who runs it, and when.
    pub reason: &'static str,
}

/// What stands among the tests but is none.
pub const IGNORED_TESTS: &[Ignored] = &[
    Ignored {
        path: "control/tests/parts/audit.rs",
        name: "actor",
        reason: "the child process of a test, which runs it",
    },
    Ignored {
        path: "control/tests/parts/crash.rs",
        name: "writer",
        reason: "the child process of a test, which runs it",
    },
    Ignored {
        path: "relay/src/host/routes/tests.rs",
        name: "a_vlan_on_the_interface_is_part_of_it",
        reason: "for machines whose kernel has VLANs; `message` tests what such a kernel says",
    },
    Ignored {
        path: "relay/src/io/xdp/frame_tests.rs",
        name: "measure_headers",
        reason: "prints a measurement",
    },
    Ignored {
        path: "relay/src/shard/tests.rs",
        name: "measure_steady_load",
        reason: "a measurement for strace or perf, which asserts nothing",
    },
];

/// An event that is logged in several places.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Repeated {
    /// Its name.
    pub event: &'static str,
    /// Why it is one event all the same.
    pub reason: &'static str,
}

/// Events that whoever filters by them wants from all of the places.
pub const REPEATED_EVENTS: &[Repeated] = &[
    Repeated {
        event: "audit_write_failed",
        reason: "an entry or what was left at the end: the audit log is not whole",
    },
    Repeated {
        event: "old_records_not_removed",
        reason: "at a call's end, at a changed policy, in the hourly round: one promise",
    },
    Repeated {
        event: "request_failed",
        reason: "a terminal's request, here or at the node that leads",
    },
    Repeated {
        event: "session_ended",
        reason: "with a one-time password or without: each began one time and ends one time",
    },
    Repeated {
        event: "session_too_slow",
        reason: "a terminal's outbox is full, at the node that leads or at another",
    },
];
