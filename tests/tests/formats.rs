//! Keeps `wire/FORMAT.md` true: every message is in it, and its examples are the golden bytes.

use kakehashi_wire::node::{FromNode, ToNode};
use kakehashi_wire::relay::{FromRelay, ToRelay};
use kakehashi_wire::terminal::{FromTerminal, ToTerminal};
use std::fs;
use std::path::Path;

fn read(name: &str) -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let root = root.expect("invariant: this crate lies in a folder of the repository");
    fs::read_to_string(root.join("wire").join(name))
        .unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[test]
fn every_message_has_its_row() {
    let document = read("FORMAT.md");
    let kinds = [
        FromTerminal::KINDS,
        ToTerminal::KINDS,
        ToRelay::KINDS,
        FromRelay::KINDS,
        FromNode::KINDS,
        ToNode::KINDS,
    ]
    .concat();
    for (kind, name) in &kinds {
        let row = format!("| {kind:#06x} | {name} |");
        assert!(document.contains(&row), "wire/FORMAT.md has no row `{row}`");
    }
    let rows = document.lines().filter(|line| line.starts_with("| 0x"));
    assert_eq!(rows.count(), kinds.len(), "wire/FORMAT.md has rows of messages that do not exist");
}

/// The example under `title`: the bytes of its block, without positions and explanations.
fn example(document: &str, title: &str) -> String {
    const MARGIN: usize = 5;
    let (_, rest) = document.split_once(title).unwrap_or_else(|| panic!("no example `{title}`"));
    let block = rest.split("```").nth(1).expect("an example has a block");
    let lines = block.lines().filter_map(|line| line.get(MARGIN..));
    let is_byte = |word: &&str| word.len() == 2 && word.chars().all(|c| c.is_ascii_hexdigit());
    lines.flat_map(|line| line.split_whitespace().take_while(is_byte)).collect()
}

#[test]
fn the_examples_are_the_golden_bytes() {
    let (document, golden) = (read("FORMAT.md"), read("../wire/tests/golden.txt"));
    for name in ["Refused", "Invite"] {
        let line = golden.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let bytes = line.expect("every message has golden bytes");
        assert_eq!(example(&document, &format!("\n{name}")), bytes, "{name}");
    }
}
