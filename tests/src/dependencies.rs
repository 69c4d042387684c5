//! Reads the policy of `deny.toml` and holds what cargo would build to it.
//!
//! cargo-deny checks the same file more thoroughly where it is installed; this check always runs.

use std::iter::Peekable;
use std::path::Path;
use std::process::Command;
use std::str::SplitWhitespace;
use toml::{Table, Value};

/// The registry every package comes from.
const REGISTRY: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// The target whose dependencies are checked.
const TARGET: &str = "x86_64-unknown-linux-gnu";

/// A package that some build of the workspace uses.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its licence as it states it.
    pub licence: String,
}

/// What `deny.toml` allows.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Policy {
    /// Licences any package may have.
    pub licences: Vec<String>,
    /// Licences one named package may have as well.
    pub exceptions: Vec<(String, String)>,
    /// Packages that must not be built.
    pub denied: Vec<String>,
}

impl Policy {
    /// Reads the text of `deny.toml`.
    ///
    /// # Panics
    /// If it is not TOML, or a list that must be there is not.
    pub fn parse(text: &str) -> Self {
        let table: Table = text.parse().unwrap_or_else(|error| panic!("deny.toml: {error}"));
        let licences = list(&table, "licenses", "allow");
        let exceptions = list(&table, "licenses", "exceptions").into_iter().flat_map(|entry| {
            let name = string(entry, "crate");
            let allowed = entry.get("allow").and_then(Value::as_array).into_iter().flatten();
            allowed.filter_map(Value::as_str).map(move |it| (name.clone(), it.to_owned()))
        });
        let denied = list(&table, "bans", "deny").into_iter();
        Self {
            exceptions: exceptions.collect(),
            denied: denied.map(|entry| string(entry, "crate")).collect(),
            licences: licences.into_iter().filter_map(Value::as_str).map(str::to_owned).collect(),
        }
    }

    /// Why `package` may not be built; `None` if it may.
    pub fn objection(&self, package: &Package) -> Option<String> {
        let Package { name, licence } = package;
        if self.denied.contains(name) {
            return Some(format!(
                "`{name}` is denied: `cargo tree --workspace --target {TARGET} -i {name}` shows \
                 who wants it; turn that feature off"
            ));
        }
        let is_allowed = |id: &str| {
            let id = id.trim_end_matches('+');
            let excepted = |entry: &(String, String)| entry.0 == *name && entry.1 == id;
            self.licences.iter().any(|it| it == id) || self.exceptions.iter().any(excepted)
        };
        (!permits(licence, &is_allowed)).then(|| {
            format!(
                "`{name}` has the licence `{licence}`, which deny.toml does not allow: do without \
                 it, or allow the licence there after reading it"
            )
        })
    }
}

fn list<'a>(table: &'a Table, section: &str, key: &str) -> Vec<&'a Value> {
    let list = table.get(section).and_then(|section| section.get(key)).and_then(Value::as_array);
    list.unwrap_or_else(|| panic!("deny.toml has no list `{key}` in `[{section}]`"))
        .iter()
        .collect()
}

fn string(entry: &Value, key: &str) -> String {
    let text = entry.get(key).and_then(Value::as_str);
    text.unwrap_or_else(|| panic!("deny.toml: `{entry}` lacks `{key}`")).to_owned()
}

/// Whether an SPDX expression can be met with allowed licences alone. AND binds more strongly than
/// OR; the old form with a slash means OR. What is not an expression permits nothing.
fn permits(expression: &str, is_allowed: &impl Fn(&str) -> bool) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, is_allowed) == Some(true) && words.next().is_none()
}

type Words<'a> = Peekable<SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut permitted = both(words, is_allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        permitted |= both(words, is_allowed)?;
    }
    Some(permitted)
}

fn both(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let mut permitted = one(words, is_allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        permitted &= one(words, is_allowed)?;
    }
    Some(permitted)
}

fn one(words: &mut Words<'_>, is_allowed: &impl Fn(&str) -> bool) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let permitted = either(words, is_allowed)?;
        return words.next_if_eq(&")").map(|_| permitted);
    }
    if words.next_if_eq(&"WITH").is_some() {
        return Some(is_allowed(&format!("{word} WITH {}", words.next()?)));
    }
    Some(is_allowed(word))
}

/// Every package that some build of the workspace at `root` uses on Linux: programs, tests,
/// benches and build scripts. Features are those cargo really turns on.
///
/// # Panics
/// If cargo does not answer.
pub fn packages(root: &Path) -> Vec<Package> {
    let arguments = ["tree", "--workspace", "--locked", "--target", TARGET];
    let form = ["--edges", "normal,build,dev", "--prefix", "none", "--format", "{p}|{l}"];
    let cargo = option_env!("CARGO").unwrap_or("cargo");
    let output = Command::new(cargo).args(arguments).args(form).current_dir(root).output();
    let output = output.unwrap_or_else(|error| panic!("cargo does not start: {error}"));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "cargo tree failed: {errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    let mut packages: Vec<_> = text.lines().filter_map(package).collect();
    packages.sort();
    packages.dedup();
    packages
}

/// Reads a line of `cargo tree`; an asterisk at its end marks a repetition.
fn package(line: &str) -> Option<Package> {
    let (name, licence) = line.split_once('|')?;
    let name = name.split_whitespace().next()?.to_owned();
    let licence = licence.trim_end_matches("(*)").trim().to_owned();
    Some(Package { name, licence })
}

/// Packages of `Cargo.lock` that come from anywhere but the registry; `lockfile` is its text.
///
/// # Panics
/// If it is not a lockfile.
pub fn foreign_sources(lockfile: &str) -> Vec<String> {
    let table: Table = lockfile.parse().unwrap_or_else(|error| panic!("Cargo.lock: {error}"));
    let packages = table.get("package").and_then(Value::as_array);
    let packages = packages.expect("Cargo.lock lists packages");
    let foreign = packages.iter().filter_map(|package| {
        let source = package.get("source")?.as_str()?;
        (source != REGISTRY).then(|| format!("`{}` comes from {source}", string(package, "name")))
    });
    foreign.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn permitted(expression: &str) -> bool {
        permits(expression, &|id| ["MIT", "ISC", "Apache-2.0 WITH LLVM-exception"].contains(&id))
    }

    #[test]
    fn licence_expressions_are_read_as_spdx_says() {
        for good in [
            "MIT",
            "GPL-3.0 OR MIT",
            "GPL-3.0/MIT",
            "MIT AND (GPL-3.0 OR ISC)",
            "GPL-3.0 AND X OR MIT",
            "Apache-2.0 WITH LLVM-exception",
        ] {
            assert!(permitted(good), "{good}");
        }
        for bad in [
            "",
            "GPL-3.0",
            "MIT AND GPL-3.0",
            "MIT AND (GPL-3.0 OR X)",
            "Apache-2.0",
            "MIT OR",
            "(MIT",
            "MIT ISC",
            "MIT WITH",
        ] {
            assert!(!permitted(bad), "{bad}");
        }
    }

    #[test]
    fn a_policy_refuses_what_it_does_not_allow() {
        let policy = Policy::parse(
            "[licenses]\nallow = [\"MIT\"]\nexceptions = [{ crate = \"b\", allow = [\"X-1\"] }]\n\
             [bans]\ndeny = [{ crate = \"ring\", reason = \"r\" }]",
        );
        let refused = |name: &str, licence: &str| {
            let package = Package { name: name.into(), licence: licence.into() };
            policy.objection(&package).is_some()
        };
        assert!(!refused("a", "MIT") && !refused("b", "X-1+"));
        assert!(refused("a", "X-1") && refused("ring", "MIT") && refused("a", ""));
    }

    #[test]
    fn lines_of_cargo_tree_are_read() {
        let expected = Package { name: "a-b".into(), licence: "MIT OR ISC".into() };
        assert_eq!(package("a-b v1.2.3 (proc-macro)|MIT OR ISC (*)"), Some(expected));
        assert_eq!(package(""), None);
    }

    #[test]
    fn packages_from_elsewhere_are_found() {
        let lockfile = format!(
            "[[package]]\nname = \"a\"\n[[package]]\nname = \"b\"\nsource = \"{REGISTRY}\"\n\
             [[package]]\nname = \"c\"\nsource = \"git+https://c.invalid\""
        );
        assert_eq!(foreign_sources(&lockfile), ["`c` comes from git+https://c.invalid"]);
    }
}
