//! Every record of the log names its event: an identifier that stays while texts change.
//!
//! Alerts and filters are set on these identifiers, so each call that logs has one, no two events
//! share one by accident, and `tuning/EVENTS.md` lists them all.

use super::Problem;
use super::exceptions::{REPEATED_EVENTS, Repeated};
use super::lexer::{Token, TokenKind};
use super::shape::closing;
use super::tree::Tree;
use std::collections::BTreeSet;

/// The list of all events, which operators read.
pub const EVENTS_FILE: &str = "tuning/EVENTS.md";

/// How to write [`EVENTS_FILE`] anew.
pub const HOW_TO_WRITE: &str =
    "KAKEHASHI_WRITE_GOLDEN=1 cargo test -p kakehashi-tests --test tidy every_event";

/// The macros that log.
const LEVELS: [&str; 5] = ["error", "warn", "info", "debug", "trace"];

const HEAD: &str = "# Events in the logs\n\n\
    Every record names its event in the field `event`, and keeps that name from version to\n\
    version; the message beside it is for people and may change. Set filters and alerts on\n\
    `event`. Written by a test from the source; `{...}` stands for a value.\n\n\
    | event | level | crate | message |\n|---|---|---|---|\n";

/// One place that logs.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Call {
    file: String,
    line: usize,
    level: String,
    /// Empty if it names none.
    event: String,
    message: String,
}

/// Calls that name no event, or not as they should, and names that two events share.
pub fn every_call_names_its_event(tree: &Tree) -> Vec<Problem> {
    named_except(tree, REPEATED_EVENTS)
}

fn named_except(tree: &Tree, repeated: &[Repeated]) -> Vec<Problem> {
    let calls = calls(tree);
    let mut problems = Vec::new();
    for (at, call) in calls.iter().enumerate() {
        let problem = |what: String, fix| Problem::new(&call.file, call.line, what, fix);
        if !is_snake_case(&call.event) {
            let fix = "begin with `event = \"noun_verb\"`, lower case and underscores";
            problems.push(problem(format!("`{}!` names no event", call.level), fix));
            continue;
        }
        let Some(first) = calls[..at].iter().find(|first| first.event == call.event) else {
            continue;
        };
        if !repeated.iter().any(|listed| listed.event == call.event) {
            let what = format!("`{}` is an event of {} already", call.event, first.file);
            let fix = "name it otherwise, or list it in tests/src/tidy/exceptions.rs";
            problems.push(problem(what, fix));
        } else if first.level != call.level {
            let what = format!("`{}` has another level in {}", call.event, first.file);
            problems.push(problem(what, "give one event one level"));
        }
    }
    let times = |event| calls.iter().filter(|call| call.event == event).count();
    problems.extend(repeated.iter().filter(|listed| times(listed.event) < 2).map(|listed| {
        let what = format!("`{}` is logged in one place at most", listed.event);
        let fix = "take it off the list in tests/src/tidy/exceptions.rs";
        Problem::new("tests/src/tidy/exceptions.rs", 1, what, fix)
    }));
    problems
}

/// What [`EVENTS_FILE`] has to be.
pub fn table(tree: &Tree) -> String {
    let rows = calls(tree).into_iter().map(|call| {
        let of = call.file.split('/').next().unwrap_or_default();
        let message = call.message.replace('|', "\\|");
        format!("| `{}` | {} | {of} | {message} |\n", call.event, call.level)
    });
    let rows: BTreeSet<_> = rows.collect();
    HEAD.chars().chain(rows.iter().flat_map(|row| row.chars())).collect()
}

/// A list of events that is not what the source says.
pub fn table_is_true(tree: &Tree) -> Vec<Problem> {
    let written = tree.text(EVENTS_FILE).map_or("", |file| &file.text);
    let wanted = table(tree);
    let differs = (written != wanted).then(|| {
        let lines = || written.lines().map(Some).chain(std::iter::repeat(None));
        let same = wanted.lines().zip(lines()).take_while(|(a, b)| Some(*a) == *b).count();
        Problem::new(EVENTS_FILE, same + 1, "is not what the source logs", HOW_TO_WRITE)
    });
    differs.into_iter().collect()
}

fn is_snake_case(name: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && part.chars().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
    };
    name.starts_with(|first: char| first.is_ascii_lowercase())
        && name.contains('_')
        && name.split('_').all(is_part)
}

/// Every place in a product that logs, in the order of the files.
fn calls(tree: &Tree) -> Vec<Call> {
    let mut found = Vec::new();
    for source in &tree.sources {
        let tokens = &source.tokens;
        for (at, token) in tokens.iter().enumerate() {
            let is_level = LEVELS.iter().any(|level| token.is_word(level));
            let next = |ahead: usize, mark| tokens.get(at + ahead).is_some_and(|t| t.is_mark(mark));
            if is_level && next(1, "!") && next(2, "(") && source.is_production(token.line) {
                let arguments = &tokens[at + 3..closing(tokens, at + 2)];
                found.push(Call {
                    file: source.path.clone(),
                    line: token.line,
                    level: token.text.clone(),
                    event: event(arguments).unwrap_or_default(),
                    message: message(arguments),
                });
            }
        }
    }
    found
}

/// What the first field says, if it is `event`.
fn event(arguments: &[Token]) -> Option<String> {
    let [name, equals, value, ..] = arguments else { return None };
    let is_event = name.is_word("event") && equals.is_mark("=") && value.kind == TokenKind::Text;
    is_event.then(|| value.text.clone())
}

/// The text for people: the first that no field is set to.
fn message(arguments: &[Token]) -> String {
    let mut depth = 0_usize;
    let mut is_value = false;
    for token in arguments {
        match token.text.as_str() {
            _ if token.kind == TokenKind::Text && depth == 0 && !is_value => {
                return one_line(&token.text);
            }
            "(" | "[" | "{" if token.kind == TokenKind::Mark => depth += 1,
            ")" | "]" | "}" if token.kind == TokenKind::Mark => depth = depth.saturating_sub(1),
            "=" => is_value = true,
            "," => is_value = false,
            _ => {}
        }
    }
    String::new()
}

/// A text as it is once compiled: where a line of the source ends within it, it goes on.
fn one_line(text: &str) -> String {
    let mut lines = text.lines();
    let mut whole = lines.next().unwrap_or_default().trim_end_matches('\\').to_owned();
    for line in lines {
        whole.push_str(line.trim_start().trim_end_matches('\\'));
    }
    whole.replace("\\\"", "\"")
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn lines(code: &str, repeated: &[Repeated]) -> Vec<usize> {
        let problems = named_except(&tree(&[("a/src/a.rs", code)]), repeated);
        problems.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn a_call_without_an_event_is_found() {
        let code = "tracing::info!(event = \"a_began\", \"a\");\ninfo!(\"b\");\n\
                    tracing::warn!(%c, event = \"c_began\", \"c\");\nerror!(event = \"D\");\n\
                    debug!(event = \"e__f\");\ntrace!(event = name);\n// info!(\"g\")\n\
                    #[cfg(test)]\nmod tests {\n fn h() { info!(\"h\") }\n}\n";
        assert_eq!(lines(code, &[]), [2, 3, 4, 5, 6]);
        assert_eq!(named_except(&tree(&[("a/tests/a.rs", "info!(\"a\")")]), &[]), []);
    }

    #[test]
    fn two_events_share_a_name_only_if_listed_and_of_one_level() {
        let code = "info!(event = \"a_b\", \"c\");\ninfo!(event = \"a_b\", \"d\");";
        let listed = [Repeated { event: "a_b", reason: "one event" }];
        assert_eq!(lines(code, &[]), [2]);
        assert!(lines(code, &listed).is_empty());
        assert_eq!(lines(&code.replacen("info", "warn", 1), &listed), [2]);
        assert_eq!(lines("info!(event = \"a_b\", \"c\");", &listed), [1]);
    }

    #[test]
    fn the_table_has_a_line_for_each_event() {
        let code = "error!(event = \"b_c\", why = \"d\", f(\"e\"), \"f {g} \\\n   h | i\", j);\n\
                    info!(event = \"a_b\", \"c\");\ninfo!(event = \"a_b\", \"c\");";
        let files = [("k/src/a.rs", code)];
        let table = table(&tree(&files));
        let rows: Vec<_> = table.lines().skip_while(|line| *line != "|---|---|---|---|").collect();
        assert_eq!(
            rows[1..],
            ["| `a_b` | info | k | c |", "| `b_c` | error | k | f {g} h \\| i |"]
        );
        assert_eq!(table_is_true(&tree(&files)).len(), 1);
        assert_eq!(table_is_true(&tree(&[files[0], (EVENTS_FILE, &table)])), []);
    }
}
