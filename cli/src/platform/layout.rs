//! The data folder: what lies where, and the configuration files of the parts.

use anyhow::{Context, Result};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Names of the parts: file stems of their configuration and log, and their label in messages.
pub(crate) const CONTROL: &str = "control";

/// The authority's certificate, in the data folder: what terminals need.
pub(crate) const CA_FILE: &str = "ca.pem";

/// How long a log may grow; two of this are kept for each part.
const LOG_BYTES_MAX: u64 = 16 << 20;

/// The data folder, which exists and which only its owner may read.
#[derive(Clone)]
pub(crate) struct Layout {
    root: PathBuf,
}

impl Layout {
    /// Makes the folder if there is none.
    pub(crate) fn open(root: &Path) -> Result<Self> {
        make_private(root)?;
        let root = root.canonicalize().with_context(|| format!("cannot use {}", root.display()))?;
        let layout = Self { root };
        make_private(&layout.logs())?;
        Ok(layout)
    }

    /// The folder itself.
    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// Control's own folder: store and certificate authority.
    pub(crate) fn control(&self) -> PathBuf {
        self.root.join(CONTROL)
    }

    /// The certificate authority's folder.
    pub(crate) fn pki(&self) -> PathBuf {
        self.control().join("pki")
    }

    /// What terminals need to trust control.
    pub(crate) fn ca(&self) -> PathBuf {
        self.root.join(CA_FILE)
    }

    /// Where the logs of the parts go.
    pub(crate) fn logs(&self) -> PathBuf {
        self.root.join("logs")
    }

    /// A part's configuration.
    pub(crate) fn config(&self, part: &str) -> PathBuf {
        self.root.join(format!("{part}.toml"))
    }

    /// A part's log.
    pub(crate) fn log(&self, part: &str) -> PathBuf {
        self.logs().join(format!("{part}.log"))
    }

    /// Writes a part's configuration. It is made again at every start, from the command line.
    pub(crate) fn write_config(&self, part: &str, text: &str) -> Result<PathBuf> {
        let path = self.config(part);
        let mut file = private_file(&path)?;
        file.write_all(text.as_bytes())
            .with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// Puts away the content of every log that has grown too long, as `NAME.log.old`, in place of
    /// what was put away before. Parts append, so they go on at the beginning.
    pub(crate) fn shorten_logs(&self) -> Result<()> {
        let folder = self.logs();
        let logs = fs::read_dir(&folder)
            .with_context(|| format!("cannot list the logs in {}", folder.display()))?;
        for log in logs.flatten() {
            let path = log.path();
            let grown = log.metadata().is_ok_and(|found| found.len() > LOG_BYTES_MAX);
            if !grown || path.extension().is_none_or(|ending| ending != "log") {
                continue;
            }
            // On a full disk there may be no room for the copy; the log is shortened all the same.
            let _ = fs::copy(&path, path.with_extension("log.old"));
            OpenOptions::new()
                .write(true)
                .truncate(true)
                .open(&path)
                .with_context(|| format!("cannot shorten the log {}", path.display()))?;
        }
        Ok(())
    }

    /// Opens a part's log to append to.
    pub(crate) fn open_log(&self, part: &str) -> Result<File> {
        let path = self.log(part);
        OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(&path)
            .with_context(|| format!("cannot open the log {}", path.display()))
    }
}

/// Control's own folder in `data`: the one `kakehashi up` makes in it, or the one given.
pub(crate) fn control_folder(data: &Path) -> PathBuf {
    let inner = data.join(CONTROL);
    if inner.is_dir() { inner } else { data.to_owned() }
}

/// Makes a folder that only its owner may enter, unless there is one.
pub(crate) fn make_private(path: &Path) -> Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(path).with_context(|| {
        format!("cannot make the folder {}: choose another --data", path.display())
    })
}

/// Makes, or empties, a file that only its owner may read.
pub(crate) fn private_file(path: &Path) -> Result<File> {
    let _ = fs::remove_file(path);
    OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .with_context(|| format!("cannot write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_log_is_put_away_and_a_writer_goes_on_at_the_beginning() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let layout = Layout::open(folder.path()).expect("a data folder");
        let mut log = layout.open_log("relay-1").expect("a log");
        layout.open_log("control").expect("a log").write_all(b"short").expect("room");
        log.set_len(LOG_BYTES_MAX + 1).expect("room");
        layout.shorten_logs().expect("logs can be shortened");
        log.write_all(b"and on").expect("room");
        assert_eq!(fs::read(layout.log("relay-1")).expect("a log"), b"and on");
        assert_eq!(fs::read(layout.log("control")).expect("a log"), b"short");
        let old = layout.log("relay-1").with_extension("log.old");
        assert_eq!(fs::metadata(old).expect("the old log").len(), LOG_BYTES_MAX + 1);
    }
}
