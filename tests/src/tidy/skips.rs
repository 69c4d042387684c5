//! A test either runs or fails: none is left out, and none passes because something is missing.

use super::Problem;
use super::exceptions::{IGNORED_TESTS, Ignored};
use super::lexer::TokenKind;
use super::shape::closing;
use super::source::Source;
use super::tree::Tree;

/// How a test that gives up begins to say so; put together here so that this file does not.
const EXCUSES: [&str; 2] = [concat!("skip", "ped"), concat!("skip", "ping")];

/// Tests that an ordinary run leaves out, and those that say they were skipped.
pub fn skipped_tests(tree: &Tree) -> Vec<Problem> {
    skipped_tests_except(tree, IGNORED_TESTS)
}

fn skipped_tests_except(tree: &Tree, exceptions: &[Ignored]) -> Vec<Problem> {
    let mut unused = exceptions.to_vec();
    let mut problems = Vec::new();
    for source in &tree.sources {
        for (name, line) in ignored(source) {
            let before = unused.len();
            unused.retain(|listed| listed.path != source.path || listed.name != name);
            if unused.len() == before {
                let what = format!("`{name}` is left out of an ordinary run");
                let fix = "run it always, or list it in tests/src/tidy/exceptions.rs";
                problems.push(Problem::new(&source.path, line, what, fix));
            }
        }
        let fix = "fail, and say what is to be installed or done";
        let said = excuses(source);
        problems.extend(said.map(|(text, line)| Problem::new(&source.path, line, text, fix)));
    }
    problems.extend(unused.iter().map(|listed| {
        let what = format!("there is no ignored test `{}` here", listed.name);
        Problem::new(listed.path, 1, what, "take it off the list in tests/src/tidy/exceptions.rs")
    }));
    problems
}

/// The functions under an attribute that mentions `ignore`, with the attribute's line.
fn ignored(source: &Source) -> Vec<(String, usize)> {
    let tokens = &source.tokens;
    let mut found = Vec::new();
    for (at, token) in tokens.iter().enumerate().filter(|(_, token)| token.is_mark("#")) {
        if !tokens.get(at + 1).is_some_and(|next| next.is_mark("[")) {
            continue;
        }
        let end = closing(tokens, at + 1);
        if tokens[at..end].iter().any(|token| token.is_word("ignore")) {
            let name = tokens[end..].windows(2).find(|pair| pair[0].is_word("fn"));
            let name = name.map(|pair| pair[1].text.clone()).unwrap_or_default();
            found.push((name, token.line));
        }
    }
    found
}

/// What test code says when it gives up, with the line.
fn excuses(source: &Source) -> impl Iterator<Item = (String, usize)> {
    let texts = source.tokens.iter().filter(|token| token.kind == TokenKind::Text);
    let said = texts.filter(|token| {
        let text = token.text.to_lowercase();
        EXCUSES.iter().any(|excuse| text.starts_with(excuse)) && !source.is_production(token.line)
    });
    said.map(|token| (format!("a test that says \"{}\"", token.text), token.line))
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn lines(code: &str, exceptions: &[Ignored]) -> Vec<usize> {
        let problems = skipped_tests_except(&tree(&[("a/tests/a.rs", code)]), exceptions);
        problems.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_test_that_is_left_out_is_found() {
        let code = "#[test]\nfn a() {}\n#[test]\n#[ignore = \"slow\"]\nfn b() {}\n\
                    #[cfg_attr(not(x), ignore)]\n#[test]\nasync fn c() {}\nfn ignore() {}";
        assert_eq!(lines(code, &[]), [4, 6]);
        let listed = |name| Ignored { path: "a/tests/a.rs", name, reason: "a child" };
        assert_eq!(lines(code, &[listed("b")]), [6]);
        assert_eq!(lines(code, &[listed("b"), listed("c"), listed("d")]), [1]);
    }

    #[test]
    fn a_test_that_gives_up_is_found() {
        let code = "fn a() {\n// skipped\nprintln!(\"skipped: only root can\");\n\"not skip\";\n}";
        assert_eq!(lines(code, &[]), [3]);
        assert!(skipped_tests_except(&tree(&[("a/src/a.rs", code)]), &[]).is_empty());
    }
}
