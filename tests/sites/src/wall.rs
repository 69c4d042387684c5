//! A wall clock that jumps, for one part: libfaketime stands between it and the time of day; time
//! that only grows stays the kernel's.

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// Where Debian keeps libfaketime, in the folder of the machine's kind.
const LIBRARIES: &str = "/usr/lib";
const LIBRARY: &str = "faketime/libfaketimeMT.so.1";

/// The clock of one part.
pub(crate) struct WallClock {
    library: PathBuf,
    /// Says by how much the time is wrong; read again every second.
    file: PathBuf,
}

impl WallClock {
    /// A clock that is right so far, kept in `file`.
    ///
    /// # Errors
    /// If libfaketime is not there, or the file cannot be written.
    pub(crate) fn right(file: PathBuf) -> Result<Self> {
        let folders = fs::read_dir(LIBRARIES).context("there are no libraries")?.flatten();
        let library = folders.map(|folder| folder.path().join(LIBRARY)).find(|it| it.exists());
        let library = library.context("libfaketime is needed: apt-get install faketime")?;
        let clock = Self { library, file };
        clock.set(0)?;
        Ok(clock)
    }

    /// Lets it be so many seconds fast; slow if they are negative.
    ///
    /// # Errors
    /// If the file cannot be written.
    pub(crate) fn set(&self, seconds: i32) -> Result<()> {
        let next = self.file.with_extension("next");
        let written = fs::write(&next, format!("{seconds:+}\n"));
        written
            .and_then(|()| fs::rename(&next, &self.file))
            .with_context(|| format!("cannot set the clock {}", self.file.display()))
    }

    /// What a program is started with.
    pub(crate) fn environment(&self) -> [(&'static str, OsString); 4] {
        let path = |path: &Path| path.as_os_str().to_owned();
        [
            ("LD_PRELOAD", path(&self.library)),
            ("FAKETIME_TIMESTAMP_FILE", path(&self.file)),
            ("FAKETIME_CACHE_DURATION", "1".into()),
            ("FAKETIME_DONT_FAKE_MONOTONIC", "1".into()),
        ]
    }
}
