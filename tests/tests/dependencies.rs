//! Holds every dependency to the policy of `deny.toml`: licence, origin, bans.

use kakehashi_tests::dependencies::{Policy, foreign_sources, packages};
use std::fs;
use std::path::Path;

fn root() -> &'static Path {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    root.expect("invariant: this crate lies in a folder of the repository")
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_package_is_allowed() {
    let policy = Policy::parse(&read("deny.toml"));
    let packages = packages(root());
    assert!(packages.len() > 100, "cargo named only {} packages", packages.len());
    let objections: Vec<_> =
        packages.iter().filter_map(|package| policy.objection(package)).collect();
    assert!(objections.is_empty(), "{}", objections.join("\n"));
}

#[test]
fn duplicate_cryptography_is_denied() {
    let policy = Policy::parse(&read("deny.toml"));
    for name in ["ring", "openssl", "openssl-sys", "native-tls"] {
        assert!(policy.denied.iter().any(|denied| denied == name), "deny.toml lets `{name}` in");
    }
}

#[test]
fn every_package_comes_from_the_registry() {
    let foreign = foreign_sources(&read("Cargo.lock"));
    assert!(foreign.is_empty(), "{}", foreign.join("\n"));
}
