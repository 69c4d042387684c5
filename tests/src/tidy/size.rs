//! How long lines, functions, files and structs may be.

use super::exceptions::{LONG_FILES, LONG_FUNCTIONS, LongFile, LongFunction};
use super::shape::{functions, structs};
use super::source::Source;
use super::tree::Tree;
use super::{Problem, scripts};

/// Columns of a line of code, configuration or script.
pub const LINE_COLUMNS_MAX: usize = 100;

/// Lines of a file that end up in a product; 300 are the aim.
pub const FILE_LINES_MAX: usize = 600;

/// Lines of a function's body: what fits a screen; 40 are the aim.
pub const FUNCTION_LINES_MAX: usize = 70;

/// Fields of a struct; 15 are the aim.
pub const STRUCT_FIELDS_MAX: usize = 24;

/// Lines that are too wide, in Rust, TOML and shell files.
pub fn line_width(tree: &Tree) -> Vec<Problem> {
    let is_checked = |path: &str, text: &str| {
        path.ends_with(".rs") || path.ends_with(".toml") || scripts::is_script(path, text)
    };
    let files = tree.texts.iter().filter(|file| is_checked(&file.path, &file.text));
    files
        .flat_map(|file| {
            let lines = file.text.lines().zip(1..);
            lines.filter_map(|(line, number)| {
                let columns = line.chars().count();
                (columns > LINE_COLUMNS_MAX).then(|| {
                    let what = format!("{columns} columns, at most {LINE_COLUMNS_MAX} are allowed");
                    Problem::new(&file.path, number, what, "break the line")
                })
            })
        })
        .collect()
}

/// Files with too many production lines.
pub fn file_length(tree: &Tree) -> Vec<Problem> {
    file_length_except(tree, LONG_FILES)
}

fn file_length_except(tree: &Tree, exceptions: &[LongFile]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &tree.sources {
        let lines = source.production_lines();
        let is_listed = exceptions.iter().any(|exception| exception.path == source.path);
        if lines > FILE_LINES_MAX && !is_listed {
            let what = format!("{lines} production lines, at most {FILE_LINES_MAX} are allowed");
            let fix = "move what has a name of its own into a file of its own";
            problems.push(Problem::new(&source.path, 1, what, fix));
        }
        if lines <= FILE_LINES_MAX && is_listed {
            problems.push(Problem::new(&source.path, 1, "no longer too long", UNLIST));
        }
    }
    let gone = exceptions.iter().filter(|exception| !tree.has(exception.path));
    problems.extend(gone.map(|gone| Problem::new(gone.path, 1, "there is no such file", UNLIST)));
    problems
}

const UNLIST: &str = "take it off the list in tests/src/tidy/exceptions.rs";

/// Functions that are too long, tests included.
pub fn function_length(tree: &Tree) -> Vec<Problem> {
    function_length_except(tree, LONG_FUNCTIONS)
}

fn function_length_except(tree: &Tree, exceptions: &[LongFunction]) -> Vec<Problem> {
    let mut problems: Vec<_> =
        tree.sources.iter().flat_map(|source| long_functions(source, exceptions)).collect();
    for listed in exceptions {
        let found = tree.sources.iter().filter(|source| source.path == listed.path);
        let mut found = found.flat_map(|source| functions(&source.tokens));
        let is_needed = found.any(|function| {
            function.name == listed.name && function.body_lines > FUNCTION_LINES_MAX
        });
        if !is_needed {
            let what = format!("`{}` is not too long (any more)", listed.name);
            problems.push(Problem::new(listed.path, 1, what, UNLIST));
        }
    }
    problems
}

fn long_functions(source: &Source, exceptions: &[LongFunction]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for function in functions(&source.tokens) {
        let listed = exceptions
            .iter()
            .find(|listed| listed.path == source.path && listed.name == function.name);
        let allowed = listed.map_or(FUNCTION_LINES_MAX, |listed| listed.lines);
        if function.body_lines > allowed {
            let what = format!(
                "the body of `{}` has {} lines, at most {allowed} are allowed",
                function.name, function.body_lines
            );
            let fix = "give each stage of it a name and a function";
            problems.push(Problem::new(&source.path, function.line, what, fix));
        }
    }
    problems
}

/// Structs with too many fields.
pub fn struct_fields(tree: &Tree) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in &tree.sources {
        for found in structs(&source.tokens) {
            if found.fields > STRUCT_FIELDS_MAX {
                let what = format!(
                    "`{}` has {} fields, at most {STRUCT_FIELDS_MAX} are allowed",
                    found.name, found.fields
                );
                let fix = "group the fields that change together into structs of their own";
                problems.push(Problem::new(&source.path, found.line, what, fix));
            }
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn function(body_lines: usize) -> String {
        format!("fn long() {{\n{}}}\n", "x();\n".repeat(body_lines - 2))
    }

    #[test]
    fn a_line_of_100_columns_is_the_last_that_fits() {
        let wide = format!("{}\n{}\n", "語".repeat(100), "語".repeat(101));
        for path in ["a.rs", "a.toml", "a.sh"] {
            let problems = line_width(&tree(&[(path, &wide)]));
            assert_eq!(problems.iter().map(|problem| problem.line).collect::<Vec<_>>(), [2]);
        }
        assert_eq!(line_width(&tree(&[("a.md", &wide)])), []);
    }

    #[test]
    fn test_code_does_not_count_towards_a_file() {
        let production = "fn a() {}\n".repeat(600);
        let with_tests = format!("{production}#[cfg(test)]\nmod tests {{\n}}\n");
        assert_eq!(file_length(&tree(&[("a/src/a.rs", &with_tests)])), []);
        let longer = format!("{production}fn b() {{}}\n");
        assert_eq!(file_length(&tree(&[("a/src/a.rs", &longer)])).len(), 1);
        assert_eq!(file_length(&tree(&[("a/tests/a.rs", &longer)])), []);
    }

    #[test]
    fn a_listed_file_must_be_there_and_be_long() {
        let listed = [LongFile { path: "a/src/a.rs", reason: "a table" }];
        let long = "fn a() {}\n".repeat(601);
        assert_eq!(file_length_except(&tree(&[("a/src/a.rs", &long)]), &listed), []);
        assert_eq!(file_length_except(&tree(&[("a/src/a.rs", "fn a() {}")]), &listed).len(), 1);
        assert_eq!(file_length_except(&tree(&[]), &listed).len(), 1);
    }

    #[test]
    fn a_listed_function_may_shrink_but_not_grow() {
        let found = |lines: usize, exceptions: &[LongFunction]| {
            function_length_except(&tree(&[("a.rs", &function(lines))]), exceptions).len()
        };
        assert_eq!([70, 71].map(|lines| found(lines, &[])), [0, 1]);
        let listed = [LongFunction { path: "a.rs", name: "long", lines: 75, reason: "a table" }];
        assert_eq!([70, 71, 75, 76].map(|lines| found(lines, &listed)), [1, 0, 0, 1]);
    }

    #[test]
    fn a_struct_of_24_fields_is_the_largest() {
        let with = |fields: usize| format!("struct A {{ {} }}", "a: u8, ".repeat(fields));
        assert_eq!(struct_fields(&tree(&[("a.rs", &with(24))])), []);
        assert_eq!(struct_fields(&tree(&[("a.rs", &with(25))])).len(), 1);
    }
}
