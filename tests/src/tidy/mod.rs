//! The house rules of this source tree, as code.
//!
//! Each rule takes the [`tree::Tree`] and returns the [`Problem`]s it found; `tests/tests/tidy.rs`
//! runs one test a rule. Rust files are read as tokens ([`lexer`]), so that nothing inside a
//! string or a comment is taken for code. Deliberate exceptions have a reason and stand in
//! [`exceptions`].

use std::fmt;

pub mod documents;
pub mod events;
pub mod exceptions;
pub mod layers;
pub mod lexer;
pub mod manifests;
pub mod paths;
pub mod scripts;
pub mod shape;
pub mod size;
pub mod skips;
pub mod source;
pub mod tree;
pub mod words;

/// One place that breaks a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Problem {
    /// Path from the root of the repository.
    pub file: String,
    /// Line, from 1.
    pub line: usize,
    /// What is wrong.
    pub what: String,
    /// What to do about it.
    pub fix: &'static str,
}

impl Problem {
    /// A problem at a line of a file.
    pub fn new(file: &str, line: usize, what: impl Into<String>, fix: &'static str) -> Self {
        Self { file: file.to_owned(), line, what: what.into(), fix }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}: {}; fix: {}", self.file, self.line, self.what, self.fix)
    }
}

/// One line for each problem, sorted by place; empty if there is none.
pub fn report(mut problems: Vec<Problem>) -> String {
    problems.sort();
    problems.dedup();
    problems.iter().map(|problem| format!("{problem}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_is_sorted_and_says_everything_once() {
        let problem = |line| Problem::new("a.rs", line, "wrong", "right it");
        let text = report(vec![problem(2), problem(1), problem(2)]);
        assert_eq!(text, "a.rs:1: wrong; fix: right it\na.rs:2: wrong; fix: right it\n");
    }
}
