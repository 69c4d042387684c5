//! One Rust file of the tree.

use super::lexer::{Comment, Token, lex};
use super::shape::{TestItem, test_items};
use std::ops::RangeInclusive;
use std::path::Path;

/// A Rust file, taken apart once for all rules.
#[derive(Clone, Debug)]
pub struct Source {
    /// Path from the root of the repository.
    pub path: String,
    /// The file as it is.
    pub text: String,
    /// Its code.
    pub tokens: Vec<Token>,
    /// Its comments.
    pub comments: Vec<Comment>,
    /// Whether the whole file is test code.
    pub is_test: bool,
    /// Files that are test code because this one declares them so.
    pub test_modules: Vec<String>,
    test_lines: Vec<RangeInclusive<usize>>,
}

impl Source {
    /// Takes the file at `path` apart.
    pub fn new(path: &str, text: String) -> Self {
        let lexed = lex(&text);
        let items = test_items(&lexed.tokens);
        Self {
            path: path.to_owned(),
            text,
            tokens: lexed.tokens,
            comments: lexed.comments,
            is_test: path.split('/').any(|part| part == "tests" || part == "benches"),
            test_modules: items.iter().flat_map(|item| module_files(path, item)).collect(),
            test_lines: items.iter().map(|item| item.first_line..=item.last_line).collect(),
        }
    }

    /// Whether `line` ends up in a product.
    pub fn is_production(&self, line: usize) -> bool {
        !self.is_test && !self.test_lines.iter().any(|lines| lines.contains(&line))
    }

    /// How many lines end up in a product.
    pub fn production_lines(&self) -> usize {
        (1..=self.text.lines().count()).filter(|&line| self.is_production(line)).count()
    }
}

/// The files a test module declared in the file `path` may lie in.
fn module_files(path: &str, item: &TestItem) -> Vec<String> {
    let Some((name, given)) = &item.module else { return Vec::new() };
    let path = Path::new(path);
    let folder = path.parent().unwrap_or_else(|| Path::new(""));
    let text = |path: &Path| path.to_string_lossy().into_owned();
    if let Some(given) = given {
        return vec![text(&folder.join(given))];
    }
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let owns_folder = matches!(&*stem, "mod" | "lib" | "main");
    let below = if owns_folder { folder.to_owned() } else { folder.join(&*stem) };
    vec![text(&below.join(format!("{name}.rs"))), text(&below.join(name).join("mod.rs"))]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn production_is_what_is_not_test() {
        let text = "//! a\nfn a() {}\n#[cfg(test)]\nmod tests {\n}\n".to_owned();
        assert_eq!(Source::new("wire/src/a.rs", text.clone()).production_lines(), 2);
        assert_eq!(Source::new("wire/tests/a.rs", text.clone()).production_lines(), 0);
        assert_eq!(Source::new("bench/benches/a.rs", text).production_lines(), 0);
    }

    #[test]
    fn a_test_module_beside_its_file_is_found() {
        let files = |path, text: &str| Source::new(path, text.to_owned()).test_modules;
        let plain = "#[cfg(test)] mod tests;";
        assert_eq!(files("a/src/b.rs", plain), ["a/src/b/tests.rs", "a/src/b/tests/mod.rs"]);
        assert_eq!(files("a/src/lib.rs", plain), ["a/src/tests.rs", "a/src/tests/mod.rs"]);
        let given = "#[cfg(test)]\n#[path = \"b_tests.rs\"]\nmod tests;";
        assert_eq!(files("a/src/b.rs", given), ["a/src/b_tests.rs"]);
    }
}
