//! The files of the repository: what git tracks, and what it would if it were added.

use super::source::Source;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// A file that is text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TextFile {
    /// Path from the root of the repository.
    pub path: String,
    /// Its content.
    pub text: String,
    /// Whether its owner may execute it.
    pub is_executable: bool,
}

/// Everything the rules look at.
#[derive(Clone, Default, Debug)]
pub struct Tree {
    /// Every path, binary files included.
    pub paths: Vec<String>,
    /// Every file that is UTF-8.
    pub texts: Vec<TextFile>,
    /// Every Rust file.
    pub sources: Vec<Source>,
}

impl Tree {
    /// Reads the repository at `root`.
    ///
    /// # Panics
    /// If git does not answer or a file cannot be read: without its files no rule can be checked.
    pub fn read(root: &Path) -> Self {
        let files = git_files(root).into_iter().filter_map(|path| {
            let full = root.join(&path);
            let meta = fs::symlink_metadata(&full).ok().filter(fs::Metadata::is_file)?;
            let bytes = fs::read(&full).unwrap_or_else(|error| panic!("{path}: {error}"));
            Some((path, bytes, meta.permissions().mode() & 0o100 != 0))
        });
        Self::of(files)
    }

    /// A tree of these files: path, content, whether executable.
    pub fn of(files: impl IntoIterator<Item = (String, Vec<u8>, bool)>) -> Self {
        let mut tree = Self::default();
        for (path, bytes, is_executable) in files {
            if let Ok(text) = String::from_utf8(bytes) {
                if path.ends_with(".rs") {
                    tree.sources.push(Source::new(&path, text.clone()));
                }
                tree.texts.push(TextFile { path: path.clone(), text, is_executable });
            }
            tree.paths.push(path);
        }
        let declared: Vec<_> =
            tree.sources.iter().flat_map(|source| source.test_modules.clone()).collect();
        for source in &mut tree.sources {
            source.is_test |= declared.contains(&source.path);
        }
        tree
    }

    /// The text file at `path`.
    pub fn text(&self, path: &str) -> Option<&TextFile> {
        self.texts.iter().find(|file| file.path == path)
    }

    /// Whether a file, or a folder that holds one, is at `path`.
    pub fn has(&self, path: &str) -> bool {
        let path = path.trim_end_matches('/');
        self.paths.iter().any(|known| is_below(known, path))
    }
}

/// Whether `path` is `place`, or lies in the folder `place`.
pub fn is_below(path: &str, place: &str) -> bool {
    path.strip_prefix(place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

fn git_files(root: &Path) -> Vec<String> {
    let output = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root)
        .output()
        .unwrap_or_else(|error| panic!("git does not start: {error}; install it"));
    assert!(
        output.status.success(),
        "git cannot list the files, run this in a clone: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.split_terminator('\0').map(str::to_owned).collect()
}

/// Makes a tree for a rule's own tests.
#[cfg(test)]
pub(crate) fn tree(files: &[(&str, &str)]) -> Tree {
    Tree::of(files.iter().map(|&(path, text)| (path.into(), text.as_bytes().into(), false)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_declared_test_file_is_test_code() {
        let tree = tree(&[
            ("a/src/b.rs", "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;"),
            ("a/src/b_tests.rs", "fn a() {}"),
        ]);
        assert_eq!(tree.sources.iter().map(|s| s.is_test).collect::<Vec<_>>(), [false, true]);
        assert!(tree.has("a/src/") && tree.has("a/src/b.rs") && !tree.has("a/s"));
    }

    #[test]
    fn this_repository_can_be_read() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let tree = Tree::read(root);
        assert!(tree.has("tests/src/tidy/tree.rs") && !tree.has("target"));
    }
}
