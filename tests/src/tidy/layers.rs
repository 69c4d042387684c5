//! Which part of the tree may name which library or part of the standard library.

use super::Problem;
use super::paths::named_paths;
use super::source::Source;
use super::tree::{Tree, is_below};

/// Folders and files without clock, socket, thread, file, runtime and random numbers: everything
/// they decide on is handed in, so that they can be tested to the last state.
const PURE: [&str; 58] = [
    "wire/src",
    "srtp/src",
    "relay/src/path",
    "relay/src/legs",
    "relay/src/host/routes/agenda",
    "relay/src/host/routes/facts",
    "relay/src/host/routes/links",
    "relay/src/host/routes/table",
    "relay/src/io/xdp/checksum",
    "relay/src/io/xdp/frame",
    "control/src/audit/chain",
    "control/src/audit/checkpoint",
    "control/src/audit/digest",
    "control/src/audit/entry",
    "control/src/audit/share",
    "control/src/accounts/guard",
    "control/src/accounts/rules",
    "control/src/calls",
    "control/src/coordinator",
    "control/src/desks",
    "control/src/missed/list",
    "control/src/nodes/election",
    "control/src/policy",
    "control/src/placement",
    "control/src/sessions",
    "control/src/fleet/generations",
    "control/src/fleet/load",
    "control/src/fleet/plan",
    "control/src/fleet/relay",
    "control/src/fleet/removals",
    "control/src/fleet/roster",
    "control/src/fleet/wanted",
    "terminal/src/congestion",
    "loadgen/src/flows",
    "loadgen/src/mix",
    "loadgen/src/probe/fault",
    "loadgen/src/probe/judge",
    "loadgen/src/probe/metrics",
    "loadgen/src/probe/table",
    "loadgen/src/report",
    "loadgen/src/search",
    "terminal/src/packets",
    "terminal/src/stats",
    "terminal/src/media/binding",
    "terminal/src/media/downlink",
    "terminal/src/media/engine",
    "terminal/src/media/gate",
    "terminal/src/media/governor",
    "terminal/src/media/incoming",
    "terminal/src/media/outgoing",
    "terminal/src/media/rate",
    "terminal/src/media/received",
    "terminal/src/media/repair",
    "terminal/src/media/timeline",
    "terminal/src/session/backoff",
    "terminal/src/session/known",
    "terminal/src/session/machine",
    "terminal/src/session/requests",
];

/// What pure code must not name.
const IMPURE: [&str; 23] = [
    "std::time",
    "std::fs",
    "std::io",
    "std::os",
    "std::thread",
    "std::process",
    "std::env",
    "std::net::UdpSocket",
    "std::net::TcpStream",
    "std::net::TcpListener",
    "std::net::ToSocketAddrs",
    "libc",
    "rustix",
    "socket2",
    "tokio",
    "quinn",
    "redb",
    "glommio",
    "io_uring",
    "rand::rng",
    "rand::random",
    "aws_lc_rs::rand",
    "getrandom",
];

/// What pure code may name all the same.
const HARMLESS: [&str; 1] = ["std::time::Duration"];

/// Words pure code must not use, however they were imported.
const IMPURE_WORDS: [&str; 3] = ["Instant", "SystemTime", "UdpSocket"];

/// Calls that read a clock or draw random numbers, wherever their type was imported from. The
/// values they give may be handed in.
const IMPURE_CALLS: [&str; 5] =
    ["Instant::now", "SystemTime::now", "UnixMs::now", "Clock::start", "Entropy::system"];

/// Libraries that one part of the tree keeps to itself.
const CONFINED: [(&str, &[&str]); 3] = [
    ("glommio", &["relay/src/shard"]),
    ("jiff", &["control/src/clock.rs"]),
    ("io_uring", &["relay/src/io", "relay/src/memory", "relay/src/host/check.rs"]),
];

/// Impure names in pure folders; tests there may use what they need.
pub fn pure_folders(tree: &Tree) -> Vec<Problem> {
    let pure = tree.sources.iter().filter(|source| is_pure(&source.path));
    pure.flat_map(impure_names).collect()
}

fn is_pure(path: &str) -> bool {
    let path = path.strip_suffix(".rs").unwrap_or(path);
    PURE.iter().any(|place| is_below(path, place))
}

fn impure_names(source: &Source) -> Vec<Problem> {
    let fix = "take the value as a parameter, or move the code out of the pure folder";
    let problem = |line, name: &str| {
        let what = format!("`{name}` in a pure folder");
        Problem::new(&source.path, line, what, fix)
    };
    let paths = named_paths(&source.tokens).into_iter().filter(|path| {
        let is_within = |name: &&str| path.is_within(name);
        let is_call = IMPURE_CALLS.iter().any(|call| path.ends_in(call));
        is_call || IMPURE.iter().any(is_within) && !HARMLESS.iter().any(is_within)
    });
    let paths: Vec<_> = paths.map(|path| (path.line, path.text)).collect();
    let words = source.tokens.iter().filter(|token| {
        IMPURE_WORDS.iter().any(|word| token.is_word(word))
            && !paths.iter().any(|(line, text)| *line == token.line && text.contains(&token.text))
    });
    let words = words.map(|token| (token.line, token.text.clone()));
    let found: Vec<_> = words.chain(paths.iter().cloned()).collect();
    let found = found.into_iter().filter(|(line, _)| source.is_production(*line));
    found.map(|(line, name)| problem(line, &name)).collect()
}

/// Names of confined libraries outside their places.
pub fn confined_libraries(tree: &Tree) -> Vec<Problem> {
    let fix = "go through what the library's place in relay/src exports";
    let mut problems = Vec::new();
    for source in &tree.sources {
        for path in named_paths(&source.tokens) {
            for (library, places) in CONFINED {
                let is_at_home = places.iter().any(|place| is_below(&source.path, place));
                if path.is_within(library) && !is_at_home {
                    let what = format!("`{}` outside of {}", path.text, places.join(", "));
                    problems.push(Problem::new(&source.path, path.line, what, fix));
                }
            }
        }
    }
    problems
}

/// Places these rules name that hold no code of a product: a renamed folder would silently lose
/// its rule.
pub fn places_exist(tree: &Tree) -> Vec<Problem> {
    let places = PURE.iter().chain(CONFINED.iter().flat_map(|(_, places)| places.iter()));
    empty_places(tree, places.copied(), "name the place where that code is in layers.rs")
}

/// Those of `places`, files or folders, in which there is no code of a product.
pub(super) fn empty_places<'a>(
    tree: &Tree,
    places: impl Iterator<Item = &'a str>,
    fix: &'static str,
) -> Vec<Problem> {
    let is_there = |place: &str| {
        let mut sources = tree.sources.iter().filter(|source| source.production_lines() > 0);
        sources.any(|source| {
            let path = source.path.as_str();
            is_below(path, place) || path.strip_suffix(".rs").is_some_and(|path| path == place)
        })
    };
    let what = "a rule names it, but there is no code";
    places.filter(|place| !is_there(place)).map(|it| Problem::new(it, 1, what, fix)).collect()
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn impure(path: &str, code: &str) -> Vec<usize> {
        pure_folders(&tree(&[(path, code)])).into_iter().map(|problem| problem.line).collect()
    }

    #[test]
    fn pure_code_names_nothing_impure() {
        let code = "use std::time::Duration;\nuse core::time::Duration as D;\n\
                    use std::net::{IpAddr, SocketAddr};\nuse std::{fs, thread::sleep};\n\
                    fn a(now: Instant) {}\nlet b = rand::rng();\n#[tokio::test]\n\
                    use std::time::{Duration, Instant};\n// std::fs::read\n";
        let mut lines = impure("wire/src/a.rs", code);
        lines.sort_unstable();
        assert_eq!(lines, [4, 4, 5, 6, 7, 8]);
        assert_eq!(impure("control/src/fleet/plan.rs", "use std::fs;"), [1]);
        assert!(impure("control/src/fleet/planner.rs", "use std::fs;").is_empty());
        assert!(impure("relay/src/shard/a.rs", code).is_empty());
    }

    #[test]
    fn every_impure_name_is_found() {
        for name in IMPURE.iter().chain(&IMPURE_CALLS) {
            let code = format!("fn a() {{\n    {name}::b();\n}}");
            let code = if IMPURE_CALLS.contains(name) { code.replace("::b", "") } else { code };
            assert_eq!(impure("wire/src/a.rs", &code), [2], "{name}");
        }
        let code = "use crate::clock::{Clock, UnixMs};\ncrate::clock::UnixMs::now();\n\
                    fn a(wall: UnixMs, clock: &Clock) {\nMyClock::start();\nClock::started();\n}";
        assert_eq!(impure("control/src/calls/a.rs", code), [2]);
    }

    #[test]
    fn tests_of_pure_code_may_use_what_they_need() {
        assert!(impure("wire/src/a.rs", "#[cfg(test)]\nmod tests {\nuse std::fs;\n}").is_empty());
        assert!(impure("wire/tests/a.rs", "use std::fs;").is_empty());
    }

    #[test]
    fn confined_libraries_stay_at_home() {
        let code = "use glommio::Local;\nio_uring::IoUring::new(8);\n\"io_uring::\";";
        let lines = |path| -> Vec<_> {
            confined_libraries(&tree(&[(path, code)])).into_iter().map(|it| it.line).collect()
        };
        assert_eq!(lines("relay/src/shard/a.rs"), [2]);
        assert_eq!(lines("relay/src/io/a.rs"), [1]);
        assert_eq!(lines("relay/tests/a.rs"), [1, 2]);
    }

    #[test]
    fn a_rule_for_a_folder_that_is_gone_is_a_problem() {
        let all = places_exist(&tree(&[]));
        let code = "fn a() {}";
        let less = |files: &[(&str, &str)]| all.len() - places_exist(&tree(files)).len();
        assert_eq!(less(&[("wire/src/a.rs", code), ("terminal/src/stats.rs", code)]), 2);
        // Neither a file without code nor one that is no Rust fulfils a place.
        assert_eq!(less(&[("wire/src/a.rs", ""), ("srtp/src/a.md", code)]), 0);
    }
}
