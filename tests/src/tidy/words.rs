//! Words that must not stand in the tree, and those each file must begin with.

use super::Problem;
use super::exceptions::{HARMLESS_NAMES, Harmless};
use super::layers::empty_places;
use super::shape::{Struct, structs};
use super::source::Source;
use super::tree::{Tree, is_below};

/// Places that may hold `unsafe` code, each block with its reason. The file of `srtp/` is there for
/// instructions that no library uses for what the pass lane does (`ARCHITECTURE.md` has figures).
const UNSAFE_PLACES: [&str; 3] = ["relay/src/io", "relay/src/memory", "srtp/src/aead/wide"];

/// Integration tests that may hold it too: they count allocations with an allocator of their own.
const UNSAFE_TEST_FILE: &str = "no_allocation.rs";

/// Marks of work left undone, put together here so that this file does not hold them.
const UNDONE: [&str; 3] = [concat!("FIX", "ME"), concat!("TO", "DO"), concat!("XX", "X")];

/// Where developers' machines keep things.
const PERSONAL_PLACES: [&str; 3] =
    [concat!("/wo", "rk/"), concat!("/ro", "ot/"), concat!("/ho", "me/")];

/// Decoders that trust their input.
const TRUSTING: [&str; 4] =
    ["access_unchecked", "access_unchecked_mut", "access_pos_unchecked", "from_bytes_unchecked"];

/// Files that do not say what they are for.
pub fn headers(tree: &Tree) -> Vec<Problem> {
    let lacking = tree.sources.iter().filter(|source| !source.text.starts_with("//! "));
    let fix = "begin the file with a `//!` sentence that says what it is for";
    lacking.map(|source| Problem::new(&source.path, 1, "no header", fix)).collect()
}

/// Places that may hold `unsafe` code but hold no code at all: a moved folder keeps no licence.
pub fn unsafe_places_exist(tree: &Tree) -> Vec<Problem> {
    let fix = "name the place where that code is in tests/src/tidy/words.rs";
    let mut problems = empty_places(tree, UNSAFE_PLACES.into_iter(), fix);
    if !tree.sources.iter().any(|source| is_counting_test(&source.path)) {
        let what = "a rule names it, but there is no such test";
        problems.push(Problem::new(UNSAFE_TEST_FILE, 1, what, fix));
    }
    problems
}

fn is_counting_test(path: &str) -> bool {
    path.contains("/tests/") && path.rsplit('/').next() == Some(UNSAFE_TEST_FILE)
}

/// `unsafe` where it may not be.
pub fn unsafe_code(tree: &Tree) -> Vec<Problem> {
    let is_allowed = |path: &str| {
        is_counting_test(path) || UNSAFE_PLACES.iter().any(|place| is_below(path, place))
    };
    let fix = "write it safely, or move it behind a function of relay/src/io or relay/src/memory";
    let sources = tree.sources.iter().filter(|source| !is_allowed(&source.path));
    words_of(sources, &["unsafe"], fix)
}

/// Decoders that trust their input.
pub fn unchecked_decoders(tree: &Tree) -> Vec<Problem> {
    words_of(tree.sources.iter(), &TRUSTING, "use the checked form: the bytes come from outside")
}

fn words_of<'a>(
    sources: impl Iterator<Item = &'a Source>,
    words: &[&str],
    fix: &'static str,
) -> Vec<Problem> {
    let mut problems = Vec::new();
    for source in sources {
        for token in &source.tokens {
            if let Some(word) = words.iter().find(|word| token.is_word(word)) {
                let what = format!("`{word}` has no place here");
                problems.push(Problem::new(&source.path, token.line, what, fix));
            }
        }
    }
    problems
}

/// Work left undone: marks in comments and documents, and macros that stand for missing code.
pub fn unfinished_work(tree: &Tree) -> Vec<Problem> {
    let fix = "do it, or say in the documents that it is missing";
    let mut problems = Vec::new();
    for source in &tree.sources {
        for pair in source.tokens.windows(2) {
            let is_macro = ["todo", "unimplemented", "dbg"].iter().any(|it| pair[0].is_word(it));
            if is_macro && pair[1].is_mark("!") {
                let what = format!("`{}!` left in", pair[0].text);
                problems.push(Problem::new(&source.path, pair[0].line, what, fix));
            }
        }
        for comment in &source.comments {
            problems.extend(undone(&source.path, comment.line, &comment.text));
        }
    }
    for file in tree.texts.iter().filter(|file| !file.path.ends_with(".rs")) {
        for (line, number) in file.text.lines().zip(1..) {
            problems.extend(undone(&file.path, number, line));
        }
    }
    problems
}

fn undone(path: &str, line: usize, text: &str) -> Option<Problem> {
    let mut words = text.split(|char: char| !char.is_alphanumeric() && char != '_');
    let mark = words.find(|word| UNDONE.contains(word))?;
    let fix = "do it, or say in the documents that it is missing";
    Some(Problem::new(path, line, format!("`{mark}` left in"), fix))
}

/// Secrets that anyone could print.
pub fn printable_secrets(tree: &Tree) -> Vec<Problem> {
    printable_secrets_except(tree, HARMLESS_NAMES)
}

fn printable_secrets_except(tree: &Tree, harmless: &[Harmless]) -> Vec<Problem> {
    let mut unused = harmless.to_vec();
    let mut problems = Vec::new();
    for source in &tree.sources {
        for found in structs(&source.tokens).into_iter().filter(is_printable_secret) {
            let before = unused.len();
            unused.retain(|listed| listed.path != source.path || listed.name != found.name);
            if unused.len() == before {
                let what = format!("`{}` derives `Debug`", found.name);
                let fix = "leave `Debug` out: a secret must not reach a log";
                problems.push(Problem::new(&source.path, found.line, what, fix));
            }
        }
    }
    problems.extend(unused.iter().map(|listed| {
        let what = format!("there is no `{}` with `Debug` here", listed.name);
        Problem::new(listed.path, 1, what, "take it off the list in tests/src/tidy/exceptions.rs")
    }));
    problems
}

fn is_printable_secret(found: &Struct) -> bool {
    let is_named_so = ["Key", "Password", "Secret"].iter().any(|word| found.name.contains(word));
    let is_printable = found.derives.iter().any(|derived| derived == "Debug");
    is_named_so && is_printable && !found.name.ends_with("Error")
}

/// Paths that exist on one developer's machine only.
pub fn personal_paths(tree: &Tree) -> Vec<Problem> {
    let fix = "name it relative to the repository, or make it a parameter";
    let mut problems = Vec::new();
    for file in &tree.texts {
        for (line, number) in file.text.lines().zip(1..) {
            if let Some(place) = PERSONAL_PLACES.iter().find(|place| begins_path(line, place)) {
                let what = format!("a path below `{place}`");
                problems.push(Problem::new(&file.path, number, what, fix));
            }
        }
    }
    problems
}

/// Whether an absolute path in `line` begins with `place`.
fn begins_path(line: &str, place: &str) -> bool {
    line.match_indices(place).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        !before.is_some_and(|char| char.is_alphanumeric() || "_-.})*~".contains(char))
    })
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn lines(problems: Vec<Problem>) -> Vec<usize> {
        problems.into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn each_file_says_what_it_is_for() {
        let tree = tree(&[("a.rs", "//! A.\n"), ("b.rs", "// B.\n"), ("c.rs", "")]);
        let files: Vec<_> = headers(&tree).into_iter().map(|problem| problem.file).collect();
        assert_eq!(files, ["b.rs", "c.rs"]);
    }

    #[test]
    fn unsafe_code_stays_in_its_places() {
        let code = "// unsafe\n\"unsafe\"; #[expect(unsafe_code)]\nunsafe {}";
        let is_refused = |path| !unsafe_code(&tree(&[(path, code)])).is_empty();
        let counting_test = "relay/tests/no_allocation.rs";
        let wide = "srtp/src/aead/wide/mod.rs";
        for path in ["relay/src/io/a.rs", "relay/src/memory/a.rs", wide, counting_test] {
            assert!(!is_refused(path), "{path}");
        }
        for path in ["relay/src/iox.rs", "relay/src/no_allocation.rs", "srtp/src/a.rs"] {
            assert!(is_refused(path), "{path}");
        }
        assert_eq!(lines(unsafe_code(&tree(&[("a.rs", code)]))), [3]);
    }

    #[test]
    fn places_for_unsafe_code_must_hold_code() {
        assert_eq!(unsafe_places_exist(&tree(&[])).len(), 4);
        let code = |path| (path, "fn a() {}");
        let counting_test = code("srtp/tests/no_allocation.rs");
        let places = ["relay/src/io/a.rs", "relay/src/memory/mod.rs", "srtp/src/aead/wide/mod.rs"];
        let [io, memory, wide] = places.map(code);
        let all = [io, memory, wide, counting_test];
        assert!(unsafe_places_exist(&tree(&all)).is_empty());
    }

    #[test]
    fn decoders_that_trust_their_input_are_found() {
        let code = "access(a);\nrkyv::access_unchecked::<A>(a);\n\"from_bytes_unchecked\"";
        assert_eq!(lines(unchecked_decoders(&tree(&[("a.rs", code)]))), [2]);
    }

    #[test]
    fn unfinished_work_is_found_wherever_it_hides() {
        let code = format!("// {}: a\n\"{0}\";\ntodo!();\nlet todo = 1;\ndbg!(a);", UNDONE[1]);
        assert_eq!(lines(unfinished_work(&tree(&[("a.rs", &code)]))), [3, 5, 1]);
        let text = format!("a\nmktemp {0}{0}\n({0})\n", UNDONE[2]);
        assert_eq!(lines(unfinished_work(&tree(&[("a.md", &text)]))), [3]);
    }

    #[test]
    fn secrets_have_no_debug() {
        let code = "#[derive(Clone, Debug)]\nstruct MasterKey;\n\
                    #[derive(Clone)]\nstruct Password;\n#[derive(Debug)]\nstruct Packet;";
        let tree = tree(&[("a.rs", code)]);
        assert_eq!(lines(printable_secrets_except(&tree, &[])), [2]);
        let listed = |name| [Harmless { path: "a.rs", name, reason: "a name" }];
        assert!(lines(printable_secrets_except(&tree, &listed("MasterKey"))).is_empty());
        assert_eq!(lines(printable_secrets_except(&tree, &listed("Packet"))), [2, 1]);
    }

    #[test]
    fn personal_paths_are_found_and_relative_ones_are_not() {
        for place in PERSONAL_PLACES {
            let text = format!("a {place}b\na{place}b\n\"${{x}}{place}\"\n'{place}c'");
            assert_eq!(lines(personal_paths(&tree(&[("a.md", &text)]))), [1, 4]);
        }
    }
}
