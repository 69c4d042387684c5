//! Tests that need what only root has, run again in namespaces of their own where they have it.

use std::path::{Path, PathBuf};
use std::process::Command;

const INSIDE: &str = "KAKEHASHI_TEST_IS_INSIDE";

fn is_root() -> bool {
    let me = std::fs::metadata("/proc/self").unwrap();
    std::os::unix::fs::MetadataExt::uid(&me) == 0
}

/// Whether this process already runs in namespaces that `unshare` made with `options`. If not,
/// runs the test of this program that is named `test` there, and fails if that fails.
fn is_inside(test: &str, options: &[&str]) -> bool {
    if std::env::var_os(INSIDE).is_some() {
        return true;
    }
    let program = std::env::current_exe().unwrap();
    let output = Command::new("unshare")
        .args(options)
        .arg(&program)
        .args([test, "--exact", "--nocapture"])
        .env(INSIDE, "1")
        .output();
    let output =
        output.unwrap_or_else(|error| panic!("`unshare` of util-linux is needed: {error}"));
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && said.contains("1 passed"),
        "{said}{}\nThis ran under `unshare {}`, which needs user namespaces (--map-root-user). \
         Without them, run it as root:\n    sudo {} {test} --exact",
        String::from_utf8_lossy(&output.stderr),
        options.join(" "),
        program.display(),
    );
    false
}

/// The same for a test that mounts something.
pub fn is_where_it_may_mount(test: &str) -> bool {
    let own_user: &[&str] = if is_root() { &[] } else { &["--map-root-user"] };
    is_inside(test, &[own_user, &["--mount"]].concat())
}

/// A file system in memory that is gone when this is dropped.
pub struct SmallDisk(tempfile::TempDir);

impl SmallDisk {
    pub fn mount(size: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&mounted.stderr);
        assert!(mounted.status.success(), "no small file system: {said}");
        Self(folder)
    }

    pub fn root(&self) -> &Path {
        self.0.path()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.root().join(name)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.root()).status();
    }
}
