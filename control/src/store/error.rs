//! What can go wrong with the store, by who can do something about it.

use std::path::PathBuf;

/// Why the store did not do what it was asked.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum StoreError {
    /// The operator: no space is left.
    #[error("disk full under {}: free space; nothing was lost", path.display())]
    Full {
        /// The store's file.
        path: PathBuf,
    },
    /// The operator: the file does not hold what was written.
    #[error("the store {} is damaged ({what}): restore it from a backup", path.display())]
    Corrupt {
        /// The store's file.
        path: PathBuf,
        /// What was found.
        what: String,
    },
    /// The operator: two processes at one store.
    #[error(
        "another kakehashi-control uses {}: stop it, or use the running one",
        path.display()
    )]
    Locked {
        /// The store's file.
        path: PathBuf,
    },
    /// The operator: the store was written by a later version.
    #[error(
        "{} was written by a later version (format {found}, this version reads up to {known}): \
         run that version, or restore a backup made by this one",
        path.display()
    )]
    Newer {
        /// The store's file, or the key of the record.
        path: PathBuf,
        /// The format found.
        found: u64,
        /// The newest format this version knows.
        known: u64,
    },
    /// The operator: the disk or the file system.
    #[error("cannot use the store {}: {what}", path.display())]
    Io {
        /// The store's file.
        path: PathBuf,
        /// What the operating system says.
        what: String,
    },
    /// The caller: somebody else changed it first. Read again, decide again.
    #[error("changed by somebody else in the meantime: read it again and decide again")]
    Conflict,
    /// The caller: more than the store takes.
    #[error("{what}: {found} is more than the store takes ({most})")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        found: usize,
        /// How large it may be.
        most: usize,
    },
    /// The operator: no member answers, or more than half of them are gone.
    #[error(
        "the store does not answer ({what}): see that more than half of its members run, reach \
         each other, and that this node trusts them and they take its certificate; nothing was \
         changed"
    )]
    Unavailable {
        /// What was last tried, and what came of it.
        what: String,
    },
    /// The caller: no answer came, so the change may be done. Read before trying again.
    #[error(
        "the store did not answer in time ({what}): whether the change is done is not known; read \
         again before trying again"
    )]
    Unsure {
        /// What was tried, and what came of it.
        what: String,
    },
    /// The operator: the store does not take this node for what it says it is.
    #[error(
        "the store refuses this node ({what}): check the user, the password and the certificates \
         under `[store]`, and what that user may do"
    )]
    Refused {
        /// What the store says.
        what: String,
    },
    /// The operator: a cluster holds as much as it was told it may. The change that was the first
    /// too many may be done: etcd looks at its quota again after it has done one.
    #[error(
        "etcd is over its quota ({what}): compact and defragment it or raise \
         --quota-backend-bytes, then run `etcdctl alarm disarm`; nothing was lost, and whether \
         this change is done is not known"
    )]
    OverQuota {
        /// What the store says.
        what: String,
    },
    /// The caller: another node leads. Whatever this one decided, it may not write it any more.
    #[error("another node leads now: this one's change was refused")]
    Fenced,
    /// The operator: the program cannot do this.
    #[cfg(not(feature = "etcd"))]
    #[error(
        "`store.engine = \"etcd\"` needs a program built with it: \
         cargo build --release --features etcd"
    )]
    NoEtcd,
    /// The node is shutting down.
    #[error("the store is closing: this node is shutting down")]
    Closed,
}
