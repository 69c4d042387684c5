//! An archive on the crate `object_store`: a folder, or whatever else that crate can be given.

use super::{Archive, ArchiveError, Name, Pending};
use crate::capacity::{
    ARCHIVE_ANSWER_TIMEOUT, ARCHIVE_OBJECT_BYTES_MAX, ARCHIVE_SAID_CHARACTERS_MAX,
};
use core::error::Error as _;
use futures_util::StreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path as Place;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload};
use std::io::{self, ErrorKind};
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;

/// Objects of an [`ObjectStore`].
pub struct Objects {
    store: Arc<dyn ObjectStore>,
    /// What it is called in errors.
    place: String,
    /// Whether it lists names in order, as a bucket does and a folder does not.
    is_ordered: bool,
}

impl Objects {
    /// The archive in a folder, which is made if it is not there, for this user alone.
    ///
    /// # Errors
    /// [`ArchiveError::File`].
    pub fn folder(path: &Path) -> Result<Self, ArchiveError> {
        let file = |what: String| ArchiveError::File { path: path.to_owned(), what };
        let made = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
        made.map_err(|error| file(error.to_string()))?;
        let store = LocalFileSystem::new_with_prefix(path).map_err(|error| file(said(&error)))?;
        let store = Arc::new(store.with_fsync(true));
        Ok(Self { store, place: path.display().to_string(), is_ordered: false })
    }

    /// The archive in a bucket.
    #[cfg(feature = "s3")]
    pub(super) fn bucket(store: impl ObjectStore, place: String) -> Self {
        Self { store: Arc::new(store), place, is_ordered: true }
    }

    fn failed(&self, error: &Error) -> ArchiveError {
        let (place, what) = (self.place.clone(), said(error));
        // Of a list, only the text says what the service answered.
        let says = |words: &[&str]| self.is_ordered && words.iter().any(|it| what.contains(it));
        match error {
            _ if says(&["NoSuchBucket"]) => ArchiveError::NoBucket { place },
            // Of an object that is not there, `get` and `remove` say so.
            Error::NotFound { .. } if self.is_ordered => ArchiveError::NoBucket { place },
            Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => {
                ArchiveError::Refused { place, what }
            }
            _ if says(&["401 Unauthorized", "403 Forbidden"]) => {
                ArchiveError::Refused { place, what }
            }
            _ if is_full(error) => ArchiveError::Full { place },
            _ => ArchiveError::Unavailable { place, what },
        }
    }

    async fn in_time<T>(
        &self,
        work: impl Future<Output = Result<T, ArchiveError>>,
    ) -> Result<T, ArchiveError> {
        let silent = |_elapsed| ArchiveError::Unavailable {
            place: self.place.clone(),
            what: format!("nothing for {} s", ARCHIVE_ANSWER_TIMEOUT.as_secs()),
        };
        timeout(ARCHIVE_ANSWER_TIMEOUT, work).await.map_err(silent)?
    }

    async fn write(&self, name: &Name, bytes: Vec<u8>) -> Result<bool, ArchiveError> {
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let written = self.store.put_opts(&at(name), PutPayload::from(bytes), create).await;
        match written {
            Ok(_) => Ok(true),
            // Or another write of it is under way, which may come to nothing.
            Err(Error::AlreadyExists { .. }) => match self.store.head(&at(name)).await {
                Ok(_) => Ok(false),
                Err(Error::NotFound { .. }) => Err(ArchiveError::Unavailable {
                    place: self.place.clone(),
                    what: format!("{name} is being written by another"),
                }),
                Err(error) => Err(self.failed(&error)),
            },
            Err(error) => Err(self.failed(&error)),
        }
    }

    async fn read(&self, name: &Name) -> Result<Option<Vec<u8>>, ArchiveError> {
        let found = match self.store.get(&at(name)).await {
            Ok(found) => found,
            // An empty bucket and one that is not there are told apart when it is listed.
            Err(Error::NotFound { .. }) => return Ok(None),
            Err(error) => return Err(self.failed(&error)),
        };
        if found.meta.size > ARCHIVE_OBJECT_BYTES_MAX as u64 {
            let what = format!("it has {} bytes", found.meta.size);
            return Err(ArchiveError::Corrupt { name: name.to_string(), what });
        }
        let bytes = found.bytes().await.map_err(|error| self.failed(&error))?;
        Ok(Some(bytes.to_vec()))
    }

    async fn names(
        &self,
        folder: &Name,
        after: Option<&Name>,
        limit: usize,
    ) -> Result<Vec<Name>, ArchiveError> {
        let folder = at(folder);
        let mut found = match after {
            None => self.store.list(Some(&folder)),
            Some(after) => self.store.list_with_offset(Some(&folder), &at(after)),
        };
        let mut names = Vec::new();
        while let Some(object) = found.next().await {
            let object = object.map_err(|error| self.failed(&error))?;
            // What somebody else has put there is none of ours.
            names.extend(Name::parse(object.location.to_string()));
            if self.is_ordered && names.len() >= limit {
                break;
            }
        }
        names.sort();
        names.truncate(limit);
        Ok(names)
    }

    async fn delete(&self, name: &Name) -> Result<(), ArchiveError> {
        match self.store.delete(&at(name)).await {
            Ok(()) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(self.failed(&error)),
        }
    }
}

impl Archive for Objects {
    fn put_new<'a>(&'a self, name: &'a Name, bytes: Vec<u8>) -> Pending<'a, bool> {
        Box::pin(self.in_time(self.write(name, bytes)))
    }

    fn get<'a>(&'a self, name: &'a Name) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(self.in_time(self.read(name)))
    }

    fn list<'a>(
        &'a self,
        folder: &'a Name,
        after: Option<&'a Name>,
        limit: usize,
    ) -> Pending<'a, Vec<Name>> {
        Box::pin(self.in_time(self.names(folder, after, limit)))
    }

    fn remove<'a>(&'a self, name: &'a Name) -> Pending<'a, ()> {
        Box::pin(self.in_time(self.delete(name)))
    }
}

fn at(name: &Name) -> Place {
    Place::from(name.as_str())
}

/// What an error and its causes say, in one line.
fn said(error: &Error) -> String {
    let mut said = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let text = next.to_string();
        if !said.contains(&text) {
            said = format!("{said}: {text}");
        }
        cause = next.source();
    }
    let line = said.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars().take(ARCHIVE_SAID_CHARACTERS_MAX).collect()
}

fn is_full(error: &Error) -> bool {
    let mut cause = error.source();
    while let Some(next) = cause {
        let full = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded];
        if next.downcast_ref::<io::Error>().is_some_and(|error| full.contains(&error.kind())) {
            return true;
        }
        cause = next.source();
    }
    false
}
