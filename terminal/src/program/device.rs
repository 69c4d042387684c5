//! Remembers which device this is: a number and a key in small files, made at the first start.

use crate::session::{DeviceSecret, SEED_BYTES};
use anyhow::{Context as _, Result, anyhow, ensure};
use core::fmt::Write as _;
use kakehashi_wire::id::DeviceId;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Hexadecimal digits of a device number.
const DIGITS: usize = 16;

/// Hexadecimal digits of the seed of a device's key.
const SEED_DIGITS: usize = 2 * SEED_BYTES;

/// Bytes read of a file: the longer of the two, and room for the blanks around it.
const FILE_BYTES_MAX: u64 = 128;

/// The device named by `text`.
pub(super) fn parse(text: &str) -> Result<DeviceId> {
    let text = text.trim();
    let number = u64::from_str_radix(text, 16).ok().filter(|_| text.len() <= DIGITS);
    number.map(DeviceId).ok_or_else(|| anyhow!("`{text}` is not up to 16 hexadecimal digits"))
}

/// The device remembered in `folder`; `random` becomes it if there is none yet.
pub(super) fn remember(folder: &Path, random: u64) -> Result<DeviceId> {
    kept(&folder.join("device"), &DeviceId(random).to_string(), parse)
}

/// The device and the key remembered in `folder`, made at the first time.
///
/// # Errors
/// If the folder's files cannot be used.
pub fn remembered_device(folder: &Path) -> Result<(DeviceId, DeviceSecret)> {
    Ok((remember(folder, rand::random())?, remember_secret(folder, rand::random())?))
}

/// The key remembered in `folder`; `random` becomes its seed if there is none yet.
pub(super) fn remember_secret(folder: &Path, random: [u8; SEED_BYTES]) -> Result<DeviceSecret> {
    let mut spelled = Zeroizing::new(String::with_capacity(SEED_DIGITS));
    for byte in random {
        write!(spelled, "{byte:02x}")?;
    }
    kept(&folder.join("device.key"), &spelled, parse_secret)
}

fn parse_secret(text: &str) -> Result<DeviceSecret> {
    let digits = text.trim();
    ensure!(digits.len() == SEED_DIGITS && digits.is_ascii(), "not {SEED_DIGITS} digits");
    let mut seed = [0; SEED_BYTES];
    for (at, byte) in seed.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&digits[2 * at..2 * at + 2], 16)?;
    }
    Ok(DeviceSecret::from_seed(seed))
}

/// What the file at `path` says; `fresh` is written there if there is no file.
fn kept<T>(path: &Path, fresh: &str, parse: impl Fn(&str) -> Result<T>) -> Result<T> {
    let what = || format!("cannot use {}; choose another folder with --state", path.display());
    std::fs::create_dir_all(path.parent().unwrap_or(path)).with_context(what)?;
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(mut file) => {
            writeln!(file, "{fresh}").and_then(|()| file.sync_all()).with_context(what)?;
            parse(fresh)
        }
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            let mut text = Zeroizing::new(String::new());
            File::open(path)
                .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
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
        let secret = remember_secret(&state, [0xab; 32]).unwrap();
        assert_eq!(secret.seed(), &[0xab; 32]);
        assert_eq!(remember_secret(&state, [0xcd; 32]).unwrap().seed(), &[0xab; 32]);
        let mode = std::fs::metadata(state.join("device.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        for nonsense in ["", "abc", &"é".repeat(32), &"x".repeat(64), &"a".repeat(66)] {
            std::fs::write(state.join("device.key"), nonsense).unwrap();
            assert!(remember_secret(&state, [1; 32]).is_err(), "{nonsense}");
        }
        std::fs::write(state.join("device"), "nonsense").unwrap();
        assert!(format!("{:#}", remember(&state, 1).unwrap_err()).contains("damaged"));
        assert!(parse("12345678901234567").is_err() && parse("").is_err());
    }
}
