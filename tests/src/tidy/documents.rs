//! Keeps documents true: what they name exists, and the first of them stays short.

use super::Problem;
use super::shape::functions;
use super::tree::{TextFile, Tree};

/// Documents whose paths must exist.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "LIMITS.md",
    "CHANGELOG.md",
    "wire/FORMAT.md",
    "wire/DEVIATIONS.md",
    "tuning/README.md",
];

/// Lines of the README: what a newcomer reads to the end.
pub const README_LINES_MAX: usize = 120;

/// Ends of a name that make it a file even where its folder is not spelled out.
const FILE_ENDS: [&str; 3] = [".rs", ".md", ".sh"];

/// A README that is too long.
pub fn readme_length(tree: &Tree) -> Vec<Problem> {
    let Some(readme) = tree.text("README.md") else { return Vec::new() };
    let lines = readme.text.lines().count();
    let what = format!("{lines} lines, at most {README_LINES_MAX} are allowed");
    let problem = Problem::new("README.md", lines, what, "move details behind a link");
    (lines > README_LINES_MAX).then_some(problem).into_iter().collect()
}

/// Paths, and tests given as `path::name`, that documents name but that do not exist.
pub fn named_paths_exist(tree: &Tree) -> Vec<Problem> {
    let files = DOCUMENTS.iter().filter_map(|path| tree.text(path));
    files.flat_map(|file| missing_paths(tree, file)).collect()
}

fn missing_paths(tree: &Tree, file: &TextFile) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut in_block = false;
    for (line, number) in file.text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
            continue;
        }
        // Outside of blocks, every second part between backticks is code.
        for code in line.split('`').skip(1).step_by(2).filter(|_| !in_block) {
            if let Some(what) = missing(tree, &file.path, code) {
                let fix = "name what is there, or take the sentence out";
                problems.push(Problem::new(&file.path, number, what, fix));
            }
        }
    }
    problems
}

/// What is missing, if `code` names something of this repository.
fn missing(tree: &Tree, document: &str, code: &str) -> Option<String> {
    let (path, name) = match code.split_once("::") {
        Some((path, name)) => (path, Some(name)),
        None => (code.split([':', '#']).next().unwrap_or(code), None),
    };
    if !looks_like_path(tree, path) {
        return None;
    }
    let folder = document.rsplit_once('/').map_or("", |(folder, _)| folder);
    let known = tree.paths.iter().find(|known| {
        let ends = |end: &str| known.strip_suffix(end).is_some_and(|rest| rest.ends_with('/'));
        **known == path || **known == format!("{folder}/{path}") || ends(path)
    });
    match (known, name) {
        (None, _) if tree.has(path) || tree.has(&format!("{folder}/{path}")) => None,
        (None, _) => Some(format!("there is no `{path}`")),
        (Some(known), Some(name)) if !has_function(tree, known, name) => {
            Some(format!("there is no function `{name}` in `{known}`"))
        }
        _ => None,
    }
}

fn looks_like_path(tree: &Tree, text: &str) -> bool {
    let is_plain = |char: char| char.is_ascii_alphanumeric() || "/._-".contains(char);
    if text.is_empty() || text.starts_with(['/', '-']) || !text.chars().all(is_plain) {
        return false;
    }
    match text.split_once('/') {
        Some((first, _)) => tree
            .paths
            .iter()
            .any(|path| path.split_once('/').is_some_and(|(folder, _)| folder == first)),
        None => FILE_ENDS.iter().any(|end| text.ends_with(end) && text != *end),
    }
}

fn has_function(tree: &Tree, path: &str, name: &str) -> bool {
    let name = name.rsplit("::").next().unwrap_or(name);
    let source = tree.sources.iter().find(|source| source.path == path);
    source.is_some_and(|source| functions(&source.tokens).iter().any(|it| it.name == name))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn lines(text: &str) -> Vec<usize> {
        let tree = tree(&[
            ("README.md", text),
            ("wire/src/a.rs", "fn b() {}"),
            ("tests/run", ""),
            ("wire/FORMAT.md", "`src/a.rs`"),
        ]);
        named_paths_exist(&tree).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn what_exists_may_be_named() {
        let text = "`wire/src/a.rs` `wire/src/` `a.rs` `tests/run` `src/a.rs` `wire/src/a.rs::b`\n\
                    `kakehashi/1` `/etc/a.rs` `cargo run --release` `relay.toml` `a::b` `.md`\n\
                    ```\n`wire/src/gone.rs`\n```\n";
        assert!(lines(text).is_empty());
    }

    #[test]
    fn what_is_gone_may_not() {
        let text = "`wire/src/gone.rs`\n`wire/gone`\n`gone.rs`\n`wire/src/a.rs::gone`\n`gone.md`\n";
        assert_eq!(lines(text), [1, 2, 3, 4, 5]);
    }

    #[test]
    fn a_readme_of_120_lines_is_the_longest() {
        assert_eq!(readme_length(&tree(&[("README.md", &"a\n".repeat(120))])), []);
        assert_eq!(readme_length(&tree(&[("README.md", &"a\n".repeat(121))])).len(), 1);
    }
}
