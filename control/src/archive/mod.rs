//! The archive: what is to be kept and decides nothing any more, out of the store.
//!
//! Objects with a name, written once and whole, listed by name, read and removed: a folder of this
//! machine ([`Objects::folder`]) or a bucket of an S3-compatible service. **An object that was
//! acknowledged is on disk, and never becomes another one**: nothing is overwritten, so whoever
//! does something twice finds that it is done. An archive belongs to one store, and says so
//! ([`Claimed`]).

mod claim;
mod error;
#[cfg(feature = "s3")]
mod http;
mod name;
mod objects;
#[cfg(feature = "s3")]
mod s3;
mod settings;

pub use claim::{Claimed, KeptError, of_node};
pub use error::ArchiveError;
pub use name::{Name, NameError};
pub use objects::Objects;
pub use settings::{ArchiveSettings, S3Settings};

use core::pin::Pin;
use std::path::Path;
use std::sync::Arc;

/// An answer that is on its way.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, ArchiveError>> + Send + 'a>>;

/// What every archive offers.
pub trait Archive: Send + Sync + 'static {
    /// Writes a new object; `false` if there is one of this name, which stays as it is. After an
    /// error it may be there all the same.
    fn put_new<'a>(&'a self, name: &'a Name, bytes: Vec<u8>) -> Pending<'a, bool>;

    /// The object of this name.
    fn get<'a>(&'a self, name: &'a Name) -> Pending<'a, Option<Vec<u8>>>;

    /// The first `limit` names in `folder` behind `after`, in order; fewer if there are no more.
    fn list<'a>(
        &'a self,
        folder: &'a Name,
        after: Option<&'a Name>,
        limit: usize,
    ) -> Pending<'a, Vec<Name>>;

    /// Removes the object of this name, if it is there.
    fn remove<'a>(&'a self, name: &'a Name) -> Pending<'a, ()>;
}

/// An archive that is shared by the parts of one process.
pub type SharedArchive = Arc<dyn Archive>;

/// Opens the archive that `settings` choose; `folder` is where it is if they choose none.
///
/// # Errors
/// [`ArchiveError`], for the operator.
pub fn open(settings: &ArchiveSettings, folder: &Path) -> Result<SharedArchive, ArchiveError> {
    if settings.s3.is_used() {
        #[cfg(feature = "s3")]
        return Ok(Arc::new(s3::open(&settings.s3)?));
        #[cfg(not(feature = "s3"))]
        return Err(ArchiveError::NoS3);
    }
    let folder = if settings.folder.as_os_str().is_empty() { folder } else { &settings.folder };
    Ok(Arc::new(Objects::folder(folder)?))
}
