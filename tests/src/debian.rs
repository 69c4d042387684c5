//! A clean Debian for a test: made from the machine's own mirror, and entered with `chroot`.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use tempfile::TempDir;

/// Gives what is entered its own view of processes and devices, which ends with it. The shell stays
/// its first process: the kernel ends that one together with `unshare`, and all others with it. A
/// program that has become another user's is spared that.
const ENTER: &str = r#"
set -e
mount -t proc proc "$0/proc"
mount --rbind /sys "$0/sys"
chroot "$0" "$@" || exit
"#;

/// Programs and folders of a Debian without settings of this machine.
const ENVIRONMENT: [(&str, &str); 4] = [
    ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
    ("LANG", "C.UTF-8"),
    ("HOME", "/"),
    ("DEBIAN_FRONTEND", "noninteractive"),
];

/// What Debian's installer writes.
const HOSTS: &str = "127.0.0.1\tlocalhost\n::1\t\tlocalhost ip6-localhost ip6-loopback\n";

/// A Debian in a folder, gone with the value.
pub struct Root(TempDir);

impl Root {
    /// Makes one with apt and nothing that is not needed for it, of the release that this machine
    /// has, in a new folder below `folder`.
    ///
    /// # Panics
    /// If it cannot be made: without root's rights, Debian's mmdebstrap, or its mirror.
    pub fn new(folder: &Path) -> Self {
        let sources = sources();
        let suite = sources[0].split_whitespace().nth(2).expect("invariant: made below");
        let root = Self(TempDir::new_in(folder).expect("a temporary folder can be made"));
        let mut command = Command::new("mmdebstrap");
        command.args(["--quiet", "--mode=root", "--variant=apt", "--dpkgopt=force-unsafe-io"]);
        let output = command.arg(suite).arg(root.0.path()).args(&sources).output();
        let output = output.expect("this needs `mmdebstrap` (mmdebstrap)");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "no Debian can be made here, as root: {errors}");
        std::fs::write(root.path("/etc/hosts"), HOSTS).expect("the root can be written to");
        root
    }

    /// Where `path` of it is on this machine.
    pub fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path.trim_start_matches('/'))
    }

    /// The command that runs `words` in it, in its folder `/packages`, as `user`, with no right
    /// that this user does not have.
    pub fn command_of(&self, user: &str, words: &[&str]) -> Command {
        let mut rights = vec![format!("--reuid={user}"), format!("--regid={user}")];
        rights.extend(["--init-groups", "--no-new-privs", "--inh-caps=-all"].map(str::to_owned));
        rights.push("--bounding-set=-all".to_owned());
        let rights: Vec<_> = rights.iter().map(String::as_str).collect();
        self.command(&[&["setpriv"], &rights[..], &["--"], words].concat())
    }

    /// The same as root.
    pub fn command(&self, words: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER]);
        command.arg(self.0.path()).args(words);
        command.env_clear().envs(ENVIRONMENT).stdin(Stdio::null());
        command
    }

    /// Runs `line` in its shell as root; gives how it ended and what it printed.
    ///
    /// # Panics
    /// If nothing can be run in it: without root's rights, or where namespaces are forbidden.
    pub fn run(&self, line: &str) -> Output {
        let output = self.command(&["sh", "-c", line]).output();
        output.expect("this needs `unshare` (util-linux), as root")
    }

    /// Runs `line`, which must succeed; gives what it printed.
    ///
    /// # Panics
    /// If it fails.
    pub fn run_well(&self, line: &str) -> String {
        let output = self.run(line);
        let errors = String::from_utf8_lossy(&output.stderr);
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "`{line}` in a clean Debian: {printed}\n{errors}");
        printed.into_owned()
    }
}

/// The lines of `sources.list` for what this machine has of Debian itself.
fn sources() -> Vec<String> {
    let output = Command::new("apt-get")
        .args(["indextargets", "--format", "deb $(REPO_URI) $(RELEASE) $(COMPONENT)"])
        .args(["Created-By: Packages", "Origin: Debian"])
        .output()
        .expect("this needs a Debian with `apt-get`");
    let text = String::from_utf8_lossy(&output.stdout);
    let lines: Vec<_> = text.lines().map(str::to_owned).collect();
    assert!(!lines.is_empty(), "apt has no list of Debian: run `apt-get update`");
    lines
}
