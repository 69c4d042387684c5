//! Holds the source tree to its house rules; the rules are in `tests/src/tidy`.

use kakehashi_tests::tidy::tree::Tree;
use kakehashi_tests::tidy::{
    Problem, documents, events, layers, manifests, report, scripts, size, skips, words,
};
use std::path::Path;
use std::sync::LazyLock;

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    Tree::read(root.expect("invariant: this crate lies in a folder of the repository"))
});

fn assert_none(rule: impl Fn(&Tree) -> Vec<Problem>) {
    let problems = rule(&TREE);
    let count = problems.len();
    assert!(problems.is_empty(), "{count} places break this rule:\n{}", report(problems));
}

#[test]
fn lines_are_at_most_100_columns_wide() {
    assert_none(size::line_width);
}

#[test]
fn files_are_at_most_600_lines_long() {
    assert_none(size::file_length);
}

#[test]
fn functions_fit_a_screen() {
    assert_none(size::function_length);
}

#[test]
fn structs_have_at_most_24_fields() {
    assert_none(size::struct_fields);
}

#[test]
fn every_file_says_what_it_is_for() {
    assert_none(words::headers);
}

#[test]
fn unsafe_code_stays_in_its_places() {
    assert_none(words::unsafe_code);
}

#[test]
fn no_decoder_trusts_its_input() {
    assert_none(words::unchecked_decoders);
}

#[test]
fn no_work_is_left_undone() {
    assert_none(words::unfinished_work);
}

#[test]
fn no_secret_can_be_printed() {
    assert_none(words::printable_secrets);
}

#[test]
fn no_path_of_a_developers_machine_is_named() {
    assert_none(words::personal_paths);
}

#[test]
fn no_test_is_skipped() {
    assert_none(skips::skipped_tests);
}

#[test]
fn pure_folders_touch_neither_system_nor_clock() {
    assert_none(layers::pure_folders);
}

#[test]
fn runtime_and_ring_stay_in_their_places() {
    assert_none(layers::confined_libraries);
}

#[test]
fn the_places_the_rules_name_exist() {
    assert_none(layers::places_exist);
    assert_none(words::unsafe_places_exist);
    assert_none(manifests::crates_exist);
}

#[test]
fn crates_depend_on_each_other_one_way() {
    assert_none(manifests::dependency_direction);
}

#[test]
fn scripts_start_and_stop_at_errors() {
    assert_none(scripts::shell_scripts);
}

#[test]
fn the_readme_is_short() {
    assert_none(documents::readme_length);
}

#[test]
fn documents_name_only_what_exists() {
    assert_none(documents::named_paths_exist);
}

#[test]
fn every_call_that_logs_names_its_event() {
    assert_none(events::every_call_names_its_event);
}

#[test]
fn every_event_is_in_the_list() {
    if std::env::var_os("KAKEHASHI_WRITE_GOLDEN").is_some() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        std::fs::write(root.join(events::EVENTS_FILE), events::table(&TREE)).unwrap();
        return;
    }
    assert_none(events::table_is_true);
}
