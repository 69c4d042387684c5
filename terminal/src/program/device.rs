//! Remembers which device this is: a number in a small file, made at the first start.

use anyhow::{Context as _, Result, anyhow};
use kakehashi_wire::id::DeviceId;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

/// Hexadecimal digits of a device number.
const DIGITS: usize = 16;

/// The device named by `text`.
pub(super) fn parse(text: &str) -> Result<DeviceId> {
    let text = text.trim();
    let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() <= DIGITS);
    number.map(DeviceId).ok_or_else(|| anyhow!("`{text}` is not up to 16 hexadecimal digits"))
}

/// The device remembered in `folder`; `random` becomes it if there is none yet.
pub(super) fn remember(folder: &Path, random: u64) -> Result<DeviceId> {
    let path = folder.join("device");
    let what = || format!("cannot use {}; choose another folder with --state", path.display());
    std::fs::create_dir_all(folder).with_context(what)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path) {
        Ok(mut file) => {
            let device = DeviceId(random);
            writeln!(file, "{device}").and_then(|()| file.sync_all()).with_context(what)?;
            Ok(device)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = String::new();
            File::open(&path)
                .and_then(|file| file.take(64).read_to_string(&mut text))
                .with_context(what)?;
            parse(&text).with_context(|| {
                format!("{} is damaged; remove it to become a new device", path.display())
            })
        }
        Err(error) => Err(error).with_context(what),
    }
}

/// Where state lies by default: `$XDG_STATE_HOME` or `~/.local/state`, then `kakehashi`.
pub(super) fn default_folder() -> Result<PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").filter(|path| !path.is_empty());
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".local/state"));
    let base = state.map(PathBuf::from).or_else(home);
    Ok(base.context("neither HOME nor XDG_STATE_HOME is set; give --state DIR")?.join("kakehashi"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn the_first_start_decides_and_only_the_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let state = folder.path().join("deep/state");
        assert_eq!(remember(&state, 0xabc).unwrap(), DeviceId(0xabc));
        assert_eq!(remember(&state, 0xdef).unwrap(), DeviceId(0xabc));
        let mode = std::fs::metadata(state.join("device")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        std::fs::write(state.join("device"), "nonsense").unwrap();
        assert!(format!("{:#}", remember(&state, 1).unwrap_err()).contains("damaged"));
        assert!(parse("12345678901234567").is_err() && parse("").is_err());
    }
}
