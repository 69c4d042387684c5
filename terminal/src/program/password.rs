//! Where the password comes from: a file, the environment, or the keyboard without an echo.

use crate::capacity::PASSWORD_FILE_BYTES_MAX;
use crate::config::read_bounded;
use anyhow::{Context as _, Result, bail};
use kakehashi_wire::secret::Password;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::io::{BufRead as _, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// The environment variable that may hold the password.
pub(super) const VARIABLE: &str = "KAKEHASHI_PASSWORD";

/// Finds the password of `login`.
pub(super) fn find(file: Option<&Path>, login: &str) -> Result<Password> {
    if let Some(path) = file {
        return read_password_file(path);
    }
    if let Ok(text) = std::env::var(VARIABLE) {
        return Ok(Password::new(text));
    }
    if isatty(std::io::stdin()) {
        return ask("Password", login);
    }
    bail!(
        "no password: give --password-file FILE, set {VARIABLE}, or start in a terminal to be asked"
    )
}

/// The environment variable that may hold the new password.
pub(super) const NEW_VARIABLE: &str = "KAKEHASHI_NEW_PASSWORD";

/// Finds the password that `login` is to have from now on.
pub(super) fn find_new(file: Option<&Path>, login: &str) -> Result<Password> {
    if let Some(path) = file {
        return read_password_file(path);
    }
    if let Ok(text) = std::env::var(NEW_VARIABLE) {
        return Ok(Password::new(text));
    }
    if !isatty(std::io::stdin()) {
        bail!(
            "the password of {login} must be changed: set {NEW_VARIABLE}, use the command \
             `password --new-password-file FILE`, or start in a terminal to be asked"
        )
    }
    eprintln!("Choose a new password: 15 characters or more, such as four or five words.");
    let (new, again) = (ask("New password", login)?, ask("Once more, new password", login)?);
    if new.expose() != again.expose() {
        bail!("the two new passwords are not the same: nothing was changed");
    }
    Ok(new)
}

/// The password in the first line of a file. The file is bounded, and what was read is wiped.
///
/// # Errors
/// If the file cannot be read, is longer than any password, not UTF-8, or has an empty first line.
pub fn read_password_file(path: &Path) -> Result<Password> {
    let bytes = Zeroizing::new(read_bounded(path, PASSWORD_FILE_BYTES_MAX)?);
    let text = core::str::from_utf8(&bytes)
        .with_context(|| format!("the password in {} is not UTF-8", path.display()))?;
    let line = text.lines().next().unwrap_or_default();
    if line.is_empty() {
        bail!("{} holds no password in its first line", path.display());
    }
    Ok(Password::new(line.to_owned()))
}

fn ask(what: &str, login: &str) -> Result<Password> {
    let stdin = std::io::stdin();
    let before = tcgetattr(&stdin).context("cannot read the terminal's settings")?;
    let mut silent = before.clone();
    silent.local_modes.remove(LocalModes::ECHO);
    eprint!("{what} of {login}: ");
    std::io::stderr().flush()?;
    tcsetattr(&stdin, OptionalActions::Flush, &silent).context("cannot switch the echo off")?;
    let mut line = Zeroizing::new(String::new());
    let read = stdin.lock().read_line(&mut line);
    let restored = tcsetattr(&stdin, OptionalActions::Flush, &before);
    eprintln!();
    read.context("cannot read the password")?;
    restored.context("cannot switch the echo on again; type `stty echo`")?;
    Ok(Password::new(line.trim_end_matches(['\r', '\n']).to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_of_the_file_counts() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "correct horse\r\nrest").unwrap();
        assert_eq!(find(Some(file.path()), "x").unwrap().expose(), "correct horse");
        assert_eq!(find_new(Some(file.path()), "x").unwrap().expose(), "correct horse");
        std::fs::write(file.path(), "\n").unwrap();
        assert!(find(Some(file.path()), "x").is_err());
        std::fs::write(file.path(), vec![b'a'; 1000]).unwrap();
        assert!(find(Some(file.path()), "x").is_err());
    }
}
