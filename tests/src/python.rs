//! Python with the packages of `tests/requirements.txt`.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Runs the script `name` of `tests/interop`: with the interpreter in `tests/.venv`, or the one
/// that `KAKEHASHI_PYTHON` names.
///
/// # Panics
/// If there is none, with the commands that make one.
pub fn script(name: &str) -> Command {
    script_in("interop", name)
}

/// The same for a script of `tests/console`.
///
/// # Panics
/// As for the others.
pub fn console_script(name: &str) -> Command {
    script_in("console", name)
}

fn script_in(folder: &str, name: &str) -> Command {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("KAKEHASHI_PYTHON")
        .map_or_else(|| here.join(".venv/bin/python"), PathBuf::from);
    assert!(
        python.exists(),
        "{} is not there: type `python3 -m venv tests/.venv && tests/.venv/bin/pip install -r \
         tests/requirements.txt`",
        python.display()
    );
    let mut command = Command::new(python);
    command.arg(here.join(folder).join(name));
    command
}
