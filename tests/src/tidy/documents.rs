//! Keeps documents true: what they name exists, and the first of them stays short.

use super::Problem;
use super::shape::functions;
use super::tree::{TextFile, Tree};

/// Documents that must be there. What every document names must exist, these or others.
const DOCUMENTS: [&str; 7] = [
    "README.md",
    "ARCHITECTURE.md",
    "LIMITS.md",
    "CHANGELOG.md",
    "SECURITY.md",
    "wire/FORMAT.md",
    "tuning/README.md",
];

/// Lines of the README: what a newcomer reads to the end.
pub const README_LINES_MAX: usize = 120;

/// Ends of a name that make it a file even where its folder is not spelled out.
const FILE_ENDS: [&str; 3] = [".rs", ".md", ".sh"];

/// A README that is too long.
pub fn readme_length(tree: &Tree) -> Vec<Problem> {
    let Some(readme) = tree.text("README.md") else {
        return vec![Problem::new("README.md", 1, "there is no README", "write it")];
    };
    let lines = readme.text.lines().count();
    let what = format!("{lines} lines, at most {README_LINES_MAX} are allowed");
    let problem = Problem::new("README.md", lines, what, "move details behind a link");
    (lines > README_LINES_MAX).then_some(problem).into_iter().collect()
}

/// Documents that are not there, and what documents name or link to that does not exist: paths,
/// and tests given as `path::name`.
pub fn named_paths_exist(tree: &Tree) -> Vec<Problem> {
    let documents = tree.texts.iter().filter(|file| file.path.ends_with(".md"));
    let named = documents.flat_map(|file| missing_paths(tree, file));
    named.chain(missing_documents(tree)).collect()
}

fn missing_documents(tree: &Tree) -> Vec<Problem> {
    let gone = DOCUMENTS.iter().filter(|path| tree.text(path).is_none());
    let fix = "write it, or take it off the list in tests/src/tidy/documents.rs";
    gone.map(|path| Problem::new(path, 1, "there is no such document", fix)).collect()
}

fn missing_paths(tree: &Tree, file: &TextFile) -> Vec<Problem> {
    let fix = "name what is there, or take the sentence out";
    let mut problems = Vec::new();
    let mut in_block = false;
    for (line, number) in file.text.lines().zip(1..) {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        }
        if in_block {
            continue;
        }
        // Outside of blocks, every second part between backticks is code.
        let code = line.split('`').skip(1).step_by(2);
        let code = code.filter_map(|code| missing(tree, &file.path, code));
        let text = line.split('`').step_by(2);
        let links = text.flat_map(links).filter_map(|link| missing_link(tree, &file.path, link));
        let missing = code.chain(links).map(|what| Problem::new(&file.path, number, what, fix));
        problems.extend(missing);
    }
    problems
}

/// The targets of the links and pictures in `text`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    text.split("](").skip(1).map(|rest| rest.split([')', ' ']).next().unwrap_or(rest))
}

/// What is missing, if `link` leads to this repository.
fn missing_link(tree: &Tree, document: &str, link: &str) -> Option<String> {
    let path = link.split('#').next().unwrap_or(link);
    let is_elsewhere = path.contains(':') || path.is_empty();
    let found = |path: String| !path.is_empty() && tree.has(&path);
    let is_missing = !is_elsewhere && !resolved(document, path).is_some_and(found);
    is_missing.then(|| format!("the link leads to `{path}`, which does not exist"))
}

/// `path`, written in `document`, from the root of the repository; `None` if it lies outside.
fn resolved(document: &str, path: &str) -> Option<String> {
    let mut parts: Vec<_> = document.split('/').collect();
    parts.pop();
    for part in path.split('/') {
        match part {
            "." | "" => {}
            ".." => drop(parts.pop()?),
            _ => parts.push(part),
        }
    }
    Some(parts.join("/"))
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

    fn lines_of(document: &str, text: &str) -> Vec<usize> {
        let mut files = DOCUMENTS.map(|path| (path, "`wire/src/a.rs`")).to_vec();
        files.retain(|(path, _)| *path != document);
        files.extend([(document, text), ("wire/src/a.rs", "fn b() {}"), ("tests/run", "")]);
        let problems = named_paths_exist(&tree(&files));
        problems.into_iter().map(|problem| problem.line).collect()
    }

    fn lines(text: &str) -> Vec<usize> {
        lines_of("README.md", text)
    }

    #[test]
    fn links_lead_somewhere() {
        let good = "[a](LIMITS.md) ![b](wire/src/a.rs) [`c`](./tests/run#d) [e](#f)\n\
                    [g](https://example.org/h.md) `[i](j.md)` [k](wire/) [l](mailto:m@n.example)\n\
                    ```\n[o](p.md)\n```\n";
        assert!(lines(good).is_empty());
        assert_eq!(
            lines("[a](b.md)\n![c](wire/d.svg)\n[`e`](LIMITS)\n[f](../g.md)\n"),
            [1, 2, 3, 4]
        );
        let from_below = "[a](FORMAT.md) [b](../LIMITS.md)\n[c](LIMITS.md)\n[d](../../e.md)\n";
        assert_eq!(lines_of("wire/FORMAT.md", from_below), [2, 3]);
        assert_eq!(lines_of("wire/unlisted.md", "a\n[b](c.md)"), [2]);
    }

    #[test]
    fn a_document_that_is_gone_is_a_problem() {
        assert_eq!(named_paths_exist(&tree(&[])).len(), DOCUMENTS.len());
        assert_eq!(readme_length(&tree(&[])).len(), 1);
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
