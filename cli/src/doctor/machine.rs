//! A machine as it is read: files below a root, and what its own programs say.
//!
//! **Reading changes nothing.** Another machine can be played from a folder: its files at their
//! places, and below `commands/` one file for each program that is asked, named by its command line
//! with `/` as `_`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Seconds a program gets to answer: one that asks a bus which is not there waits for long.
const ANSWER_S: &str = "5";

/// Why something is not known.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Unread(pub(crate) String);

/// What was read, or why not.
pub(crate) type Read<T> = Result<T, Unread>;

/// A machine.
pub(crate) struct Machine {
    root: PathBuf,
    is_played: bool,
}

impl Machine {
    /// The one this runs on.
    pub(crate) fn real() -> Self {
        Self { root: "/".into(), is_played: false }
    }

    /// One whose files lie below `root`.
    pub(crate) fn played(root: &Path) -> Self {
        Self { root: root.to_owned(), is_played: true }
    }

    /// Whether it is another than this one.
    pub(crate) fn is_played(&self) -> bool {
        self.is_played
    }

    /// Where `path` of the machine is. What is relative is so to the folder it is asked in.
    pub(crate) fn at(&self, path: &str) -> PathBuf {
        if !self.is_played {
            return path.into();
        }
        self.root.join(path.trim_start_matches('/'))
    }

    /// What the file holds, without space around it.
    pub(crate) fn text(&self, path: &str) -> Read<String> {
        let text = fs::read(self.at(path)).map_err(|error| Unread(format!("{path}: {error}")))?;
        Ok(String::from_utf8_lossy(&text).trim().to_owned())
    }

    /// The same as a number.
    pub(crate) fn number(&self, path: &str) -> Read<u64> {
        let text = self.text(path)?;
        text.parse().map_err(|_| Unread(format!("{path} has no number: {text:?}")))
    }

    /// Whether there is such a file, folder or link.
    pub(crate) fn has(&self, path: &str) -> bool {
        fs::symlink_metadata(self.at(path)).is_ok()
    }

    /// The names in a folder, in order; none if it cannot be listed.
    pub(crate) fn names(&self, path: &str) -> Vec<String> {
        let entries = fs::read_dir(self.at(path)).into_iter().flatten().flatten();
        let mut names: Vec<_> =
            entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    /// What a link points at.
    pub(crate) fn target(&self, path: &str) -> Option<String> {
        let target = fs::read_link(self.at(path)).ok()?;
        Some(target.to_string_lossy().into_owned())
    }

    /// What a program says if it succeeds.
    pub(crate) fn said(&self, command: &str) -> Read<String> {
        if self.is_played {
            let file = format!("commands/{}", command.replace('/', "_"));
            let none = |_| Unread(format!("`{command}` is not there"));
            return fs::read_to_string(self.root.join(file)).map_err(none);
        }
        let mut words = command.split(' ');
        let program = words.next().unwrap_or_default();
        let output = Command::new("timeout").arg(ANSWER_S).arg(program).args(words).output();
        let output = output.map_err(|error| Unread(format!("`{command}`: {error}")))?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        match output.status.code() {
            Some(0) => Ok(text(&output.stdout)),
            Some(124) => Err(Unread(format!("`{command}` does not answer"))),
            Some(127) => Err(Unread(format!("`{program}` is not installed"))),
            _ => {
                let said = text(&output.stderr);
                let first = said.lines().next().unwrap_or("it failed").to_owned();
                Err(Unread(format!("`{command}`: {first}")))
            }
        }
    }

    /// The process that has `target` open, as its descriptors are shown: its name and ID; none if
    /// nobody has, or whoever asks may not see it.
    pub(crate) fn holder(&self, target: &str) -> Option<(String, String)> {
        let pids = self.names("/proc").into_iter();
        let mut pids = pids.filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        let pid = pids.find(|pid| {
            let folder = format!("/proc/{pid}/fd");
            let is_it =
                |fd: &String| self.target(&format!("{folder}/{fd}")).is_some_and(|it| it == target);
            self.names(&folder).iter().any(is_it)
        })?;
        let name = self.text(&format!("/proc/{pid}/comm")).unwrap_or_default();
        Some((name, pid))
    }

    /// Process IDs by the name of their program, of which the kernel keeps 15 bytes.
    pub(crate) fn processes(&self, name: &str) -> Vec<String> {
        let name = name.get(..15).unwrap_or(name);
        let is_so = |pid: &String| {
            pid.bytes().all(|byte| byte.is_ascii_digit())
                && self.text(&format!("/proc/{pid}/comm")).is_ok_and(|found| found == name)
        };
        self.names("/proc").into_iter().filter(is_so).collect()
    }
}

/// The numbers of a list as the kernel writes them, such as `0-2,5`.
pub(crate) fn expand(list: &str) -> Vec<usize> {
    let ends = |part: &str| -> Option<(usize, usize)> {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
    };
    let parts = list.split(',').filter_map(ends);
    parts.flat_map(|(first, last)| first..=last.min(first.saturating_add(1 << 16))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_the_kernel() {
        assert_eq!(expand("0-2,5"), [0, 1, 2, 5]);
        assert_eq!(expand(""), [0_usize; 0]);
        assert_eq!(expand("40000-40001"), [40_000, 40_001]);
    }

    #[test]
    fn a_program_that_is_not_there_is_not_silent() {
        let none = Machine::real().said("kakehashi-has-no-such-program --now").unwrap_err();
        assert!(none.0.contains("not installed"), "{none:?}");
        assert_eq!(Machine::real().said("echo a b").unwrap(), "a b");
    }
}
