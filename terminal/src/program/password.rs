//! Where the password comes from: a file, the environment, or the keyboard without an echo.

use crate::capacity::PASSWORD_FILE_BYTES_MAX;
use crate::config::read_bounded;
use anyhow::{Context as _, Result, bail};
use kakehashi_wire::secret::Password;
use rustix::termios::{LocalModes, OptionalActions, isatty, tcgetattr, tcsetattr};
use std::io::{BufRead, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// The environment variable that may hold the password.
pub(super) const VARIABLE: &str = "KAKEHASHI_PASSWORD";

/// Finds the password of `login`.
pub(super) fn find(file: Option<&Path>, login: &str) -> Result<Password> {
    if let Some(path) = file {
        return read_password_file(path);
    }
    find_password(login, "--password-file FILE")
}

/// The password of `login` out of `KAKEHASHI_PASSWORD`, or asked for at the keyboard; `option` is
/// what else can be given.
///
/// # Errors
/// If there is nobody to ask.
pub fn find_password(login: &str, option: &str) -> Result<Password> {
    if let Ok(text) = std::env::var(VARIABLE) {
        return Ok(Password::new(text));
    }
    if isatty(std::io::stdin()) {
        return ask("Password", login);
    }
    bail!("no password: give {option}, set {VARIABLE}, or start in a terminal to be asked")
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
    in_first_line(&bytes).with_context(|| format!("cannot use {}", path.display()))
}

/// The password in the first line of what is read. Lines after it are left to others.
///
/// # Errors
/// If it cannot be read, is longer than any password, not UTF-8, or empty.
pub fn first_line(from: impl BufRead) -> Result<Password> {
    let mut line = Zeroizing::new(Vec::with_capacity(LINE_BYTES_USUAL));
    let mut bounded = from.take(PASSWORD_FILE_BYTES_MAX + 1);
    bounded.read_until(b'\n', &mut line).context("cannot read the password")?;
    if bounded.limit() == 0 {
        bail!("the first line is longer than any password");
    }
    in_first_line(&line)
}

/// A line up to here is read without moving.
const LINE_BYTES_USUAL: usize = 1024;

fn in_first_line(bytes: &[u8]) -> Result<Password> {
    let text = core::str::from_utf8(bytes).context("the password is not UTF-8")?;
    match text.lines().next() {
        None | Some("") => bail!("there is no password in the first line"),
        Some(line) => Ok(Password::new(line.to_owned())),
    }
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

    #[test]
    fn the_first_line_of_a_stream_counts_and_the_rest_stays() {
        let mut stream = std::io::Cursor::new(&b"correct horse\r\nrest"[..]);
        assert_eq!(first_line(&mut stream).unwrap().expose(), "correct horse");
        let mut rest = String::new();
        std::io::Read::read_to_string(&mut stream, &mut rest).unwrap();
        assert_eq!(rest, "rest");
        assert_eq!(first_line(&b"no end"[..]).unwrap().expose(), "no end");
        let long = vec![b'a'; 1000];
        for bad in [&b""[..], b"\n", b"\xff\n", &long] {
            assert!(first_line(bad).is_err());
        }
    }
}
