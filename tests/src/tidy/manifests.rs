//! Which crate of the workspace may depend on which.

use super::Problem;
use super::tree::{TextFile, Tree};
use toml::{Table, Value};

/// Every crate, and the crates of the workspace it may depend on. Relay and control know each
/// other only through `wire`.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("kakehashi-wire", &[]),
    ("kakehashi-srtp", &["kakehashi-wire"]),
    ("kakehashi-log", &[]),
    ("kakehashi-metrics", &[]),
    (
        "kakehashi-relay",
        &["kakehashi-wire", "kakehashi-srtp", "kakehashi-log", "kakehashi-metrics"],
    ),
    ("kakehashi-control", &["kakehashi-wire", "kakehashi-log", "kakehashi-metrics"]),
    ("kakehashi-terminal", &["kakehashi-wire", "kakehashi-srtp", "kakehashi-log"]),
    (
        "kakehashi-loadgen",
        &["kakehashi-wire", "kakehashi-srtp", "kakehashi-terminal", "kakehashi-metrics"],
    ),
    ("kakehashi", &PRODUCTS),
    ("bench", &PRODUCTS),
    ("kakehashi-tests", &TESTS),
    ("kakehashi-sites", &SITES),
];

/// The test bed of several sites uses what tests use.
const SITES: [&str; 5] = [
    "kakehashi-wire",
    "kakehashi-control",
    "kakehashi-terminal",
    "kakehashi-loadgen",
    "kakehashi-tests",
];

/// Tests make networks as benches do.
const TESTS: [&str; 7] = {
    let [wire, srtp, relay, control, terminal, loadgen] = PRODUCTS;
    [wire, srtp, relay, control, terminal, loadgen, "kakehashi-bench"]
};

const PRODUCTS: [&str; 6] = [
    "kakehashi-wire",
    "kakehashi-srtp",
    "kakehashi-relay",
    "kakehashi-control",
    "kakehashi-terminal",
    "kakehashi-loadgen",
];

const DEPENDENCY_TABLES: [&str; 3] = ["dependencies", "dev-dependencies", "build-dependencies"];

/// Dependencies that point the wrong way, those for tests and for build scripts included.
pub fn dependency_direction(tree: &Tree) -> Vec<Problem> {
    manifests(tree).flat_map(wrong_ways).collect()
}

/// Crates that a rule names but that do not exist.
pub fn crates_exist(tree: &Tree) -> Vec<Problem> {
    let tables = manifests(tree).filter_map(|manifest| manifest.text.parse().ok());
    let names: Vec<_> = tables.map(|table| package_name(&table).to_owned()).collect();
    let gone = MAY_USE.iter().filter(|(known, _)| !names.iter().any(|name| name == known));
    let fix = "take the crate off the table in tests/src/tidy/manifests.rs";
    gone.map(|(name, _)| Problem::new(name, 1, "a rule names this crate, it is gone", fix))
        .collect()
}

fn manifests(tree: &Tree) -> impl Iterator<Item = &TextFile> {
    tree.texts.iter().filter(|file| file.path.ends_with("/Cargo.toml"))
}

fn package_name(manifest: &Table) -> &str {
    let name = manifest.get("package").and_then(|package| package.get("name"));
    name.and_then(Value::as_str).unwrap_or_default()
}

fn wrong_ways(manifest: &TextFile) -> Vec<Problem> {
    let table: Table = match manifest.text.parse() {
        Ok(table) => table,
        Err(error) => {
            let fix = "make it valid TOML";
            return vec![Problem::new(&manifest.path, 1, error.to_string(), fix)];
        }
    };
    let name = package_name(&table);
    let Some((_, allowed)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
        let what = format!("no rule says what `{name}` may depend on");
        let fix = "add the crate to the table in tests/src/tidy/manifests.rs";
        return vec![Problem::new(&manifest.path, 1, what, fix)];
    };
    let wrong = dependencies(&table)
        .into_iter()
        .filter(|used| used.starts_with("kakehashi") && !allowed.contains(&used.as_str()));
    let fix = "move what both need into the lower crate";
    wrong
        .map(|used| {
            let what = format!("`{name}` must not depend on `{used}`");
            Problem::new(&manifest.path, line_of(&manifest.text, &used), what, fix)
        })
        .collect()
}

/// Names of all dependencies of a manifest, of every kind and for every target.
fn dependencies(manifest: &Table) -> Vec<String> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let targets = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let tables = std::iter::once(manifest).chain(targets);
    tables
        .flat_map(|table| DEPENDENCY_TABLES.iter().filter_map(|kind| table.get(*kind)?.as_table()))
        .flatten()
        .map(|(key, value)| {
            // A dependency may be renamed.
            let package = value.get("package").and_then(Value::as_str);
            package.unwrap_or(key).to_owned()
        })
        .collect()
}

fn line_of(text: &str, word: &str) -> usize {
    text.lines().position(|line| line.contains(word)).map_or(1, |at| at + 1)
}

#[cfg(test)]
mod tests {
    use super::super::tree::tree;
    use super::*;

    fn problems(name: &str, rest: &str) -> usize {
        let manifest = format!("[package]\nname = \"{name}\"\n{rest}");
        dependency_direction(&tree(&[("a/Cargo.toml", &manifest)])).len()
    }

    #[test]
    fn dependencies_point_one_way() {
        let uses = |used| format!("[dependencies]\nserde = \"1\"\n{used}.workspace = true\n");
        assert_eq!(problems("kakehashi-relay", &uses("kakehashi-srtp")), 0);
        assert_eq!(problems("kakehashi-tests", &uses("kakehashi-control")), 0);
        assert_eq!(problems("kakehashi-relay", &uses("kakehashi-control")), 1);
        assert_eq!(problems("kakehashi-control", &uses("kakehashi-relay")), 1);
        assert_eq!(problems("kakehashi-wire", &uses("kakehashi-srtp")), 1);
        assert_eq!(problems("kakehashi-unheard-of", ""), 1);
    }

    #[test]
    fn a_crate_that_is_gone_is_a_problem() {
        let manifest = "[package]\nname = \"kakehashi-wire\"\n";
        let problems = crates_exist(&tree(&[("a/Cargo.toml", manifest)]));
        assert_eq!(problems.len(), MAY_USE.len() - 1);
        assert!(problems.iter().all(|problem| problem.file != "kakehashi-wire"));
    }

    #[test]
    fn no_kind_of_dependency_escapes() {
        for kind in ["dev-dependencies", "build-dependencies", "target.'cfg(unix)'.dependencies"] {
            let rest = format!("[{kind}]\nc = {{ package = \"kakehashi-control\", path = \"c\" }}");
            assert_eq!(problems("kakehashi-relay", &rest), 1, "{kind}");
        }
    }
}
