//! Finds the paths a file names: `use` trees spelled out, and `a::b` wherever it stands.

use super::lexer::{Token, TokenKind};

/// A path as written, without generics.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NamedPath {
    /// Its segments, joined by `::`.
    pub text: String,
    /// Its line.
    pub line: usize,
}

impl NamedPath {
    /// Whether this is `other` or something inside of it.
    pub fn is_within(&self, other: &str) -> bool {
        let rest = self.text.strip_prefix(other);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    }

    /// Whether this is `other`, or names it in full.
    pub fn ends_in(&self, other: &str) -> bool {
        let rest = self.text.strip_suffix(other);
        rest.is_some_and(|rest| rest.is_empty() || rest.ends_with("::"))
    }
}

/// Every path of two segments or more, and every path a `use` names.
pub fn named_paths(tokens: &[Token]) -> Vec<NamedPath> {
    let mut finder = Finder { tokens, found: Vec::new() };
    let mut at = 0;
    while at < tokens.len() {
        at = if finder.is_use(at) {
            finder.use_tree(at + 1, "")
        } else if tokens[at].kind == TokenKind::Word {
            finder.plain(at)
        } else {
            at + 1
        };
    }
    finder.found
}

struct Finder<'a> {
    tokens: &'a [Token],
    found: Vec<NamedPath>,
}

impl Finder<'_> {
    /// A `use` item, not the `use<..>` of a bound.
    fn is_use(&self, at: usize) -> bool {
        self.tokens[at].is_word("use") && !self.is_mark(at + 1, "<")
    }

    fn is_mark(&self, at: usize, text: &str) -> bool {
        self.tokens.get(at).is_some_and(|token| token.is_mark(text))
    }

    fn push(&mut self, text: String, at: usize) {
        let line = self.tokens[at].line;
        self.found.push(NamedPath { text, line });
    }

    /// Takes `a::b::c` at `at`; returns the index behind it.
    fn plain(&mut self, at: usize) -> usize {
        let mut text = self.tokens[at].text.clone();
        let mut end = at + 1;
        while self.is_mark(end, "::")
            && let Some(next) = self.tokens.get(end + 1)
            && next.kind == TokenKind::Word
        {
            text = format!("{text}::{}", next.text);
            end += 2;
        }
        if end > at + 1 {
            self.push(text, at);
        }
        end
    }

    /// Takes the tree at `at` below `prefix`; returns the index behind it.
    fn use_tree(&mut self, mut at: usize, prefix: &str) -> usize {
        let mut path = prefix.to_owned();
        loop {
            at += usize::from(self.is_mark(at, "::"));
            let Some(token) = self.tokens.get(at) else { return at };
            if token.is_mark("{") {
                return self.use_group(at + 1, &path);
            }
            if token.kind != TokenKind::Word && !token.is_mark("*") {
                return at;
            }
            path = if path.is_empty() { token.text.clone() } else { path + "::" + &token.text };
            if !self.is_mark(at + 1, "::") {
                self.push(path, at);
                let renamed = self.tokens.get(at + 1).is_some_and(|token| token.is_word("as"));
                return at + if renamed { 3 } else { 1 };
            }
            at += 1;
        }
    }

    /// Takes the trees up to the closing brace; returns the index behind it.
    fn use_group(&mut self, mut at: usize, prefix: &str) -> usize {
        while at < self.tokens.len() && !self.is_mark(at, "}") {
            let before = at;
            at = self.use_tree(at, prefix);
            at += usize::from(self.is_mark(at, ",") || at == before);
        }
        at + 1
    }
}

#[cfg(test)]
mod tests {
    use super::super::lexer::lex;
    use super::*;

    fn texts(source: &str) -> Vec<String> {
        named_paths(&lex(source).tokens).into_iter().map(|path| path.text).collect()
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let source = "use std::{fs as f, net::{IpAddr, UdpSocket,}, time::*}; pub use ::tokio; \
                      use self::a::{self, b};";
        assert_eq!(
            texts(source),
            [
                "std::fs",
                "std::net::IpAddr",
                "std::net::UdpSocket",
                "std::time::*",
                "tokio",
                "self::a::self",
                "self::a::b"
            ]
        );
    }

    #[test]
    fn paths_in_code_are_found_and_bounds_are_not_imports() {
        let source = "fn a() -> impl Iterator + use<'a> { std::fs::read::<u8>(b); c.d }";
        assert_eq!(texts(source), ["std::fs::read"]);
        let path = NamedPath { text: "std::fs::read".into(), line: 1 };
        assert!(path.is_within("std::fs") && path.is_within("std"));
        assert!(!path.is_within("std::f"));
        assert!(path.ends_in("fs::read") && path.ends_in("std::fs::read"));
        assert!(!path.ends_in("s::read") && !path.ends_in("fs"));
    }

    #[test]
    fn unfinished_imports_end() {
        for source in ["use", "use a::", "use {", "use a::{b, ]", "use a as"] {
            texts(source);
        }
    }
}
