//! What can go wrong with the archive, by who can do something about it.

use std::path::PathBuf;

/// Why the archive did not do what it was asked. `place` is the folder, or the bucket's URL.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The operator: no space is left.
    #[error("disk full under {place}: free space; nothing was lost")]
    Full {
        /// Where.
        place: String,
    },
    /// The operator: the folder, or the way to the service.
    #[error(
        "the archive {place} does not answer ({what}): what is to be kept waits in the store; see \
         that it is there, and that this node reaches it"
    )]
    Unavailable {
        /// Where.
        place: String,
        /// What came of it.
        what: String,
    },
    /// The operator: the service does not take this node for what it says it is, or lets it do too
    /// little.
    #[error(
        "the archive {place} refuses this node ({what}): check `archive.s3.credentials_file`, and \
         that this user may list, read, write and remove objects there"
    )]
    Refused {
        /// Where.
        place: String,
        /// What the service says.
        what: String,
    },
    /// The operator: there is no such bucket.
    #[error("the archive {place} is not there: make the bucket, or correct `archive.s3.bucket`")]
    NoBucket {
        /// Where.
        place: String,
    },
    /// The operator: what cannot be relied on.
    #[error(
        "the service of the archive overwrites what is there: use one that knows conditional \
         writes (If-None-Match)"
    )]
    Overwrites,
    /// The operator: it holds what another store put there.
    #[error(
        "the archive is another store's ({found}, not {expected}): name an empty place for this \
         store's; or if it is the right one, and the store came back from an older backup, write \
         {expected} into its object `id`"
    )]
    Another {
        /// What the archive says.
        found: String,
        /// What the store says.
        expected: String,
    },
    /// The operator: the archive that the store began is not there.
    #[error(
        "the archive that belongs to this store is not where `[archive]` says: name the place \
         that all nodes share; to begin anew without what was kept, write {expected} into an \
         object `id` there"
    )]
    Missing {
        /// What the store says.
        expected: String,
    },
    /// The operator: an object is not what was written.
    #[error("`{name}` in the archive is damaged ({what}): bring it back from a copy, or remove it")]
    Corrupt {
        /// The object.
        name: String,
        /// What was found.
        what: String,
    },
    /// The operator: a file that the settings name.
    #[error("cannot use {}: {what}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// The operator: the program cannot do this.
    #[cfg(not(feature = "s3"))]
    #[error("`archive.s3` needs a program built with it: cargo build --release --features s3")]
    NoS3,
}
