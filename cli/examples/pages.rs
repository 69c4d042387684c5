//! Writes the man pages and shell completions of all programs, out of the same definitions that the
//! programs read their command lines with: `pages FOLDER YYYY-MM-DD`. Each program has a folder of
//! its own there, laid out as `/usr/share` is.
//!
//! `tuning/packages/build` calls it. An example and not a program, so that no program is built
//! with what only packages need.

use anyhow::{Context, Result};
use clap::{Command, CommandFactory};
use clap_complete::Shell;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use std::fs;
use std::path::Path;

/// Shells that are helped, and where below `/usr/share` Debian's look for completions.
const SHELLS: [(Shell, &str); 3] = [
    (Shell::Bash, "bash-completion/completions"),
    (Shell::Zsh, "zsh/vendor-completions"),
    (Shell::Fish, "fish/vendor_completions.d"),
];

/// Section of the manual for what people call.
const COMMANDS: &str = "1";

/// Section for what systemd calls: `kakehashi relay` is a command and has `kakehashi-relay(1)`.
const DAEMONS: &str = "8";

/// The command that is another program in full, whose pages are that program's.
const ELSEWHERE: &str = "kakehashi-terminal";

fn main() -> Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let folder = arguments.next().context("name the folder to write to")?;
    let date = arguments.next().and_then(|date| date.into_string().ok());
    let date = date.context("give the date of the pages, YYYY-MM-DD")?;
    for (command, section) in programs() {
        write_program(command, section, &date, Path::new(&folder))?;
    }
    Ok(())
}

fn programs() -> [(Command, &'static str); 5] {
    [
        (kakehashi::command(), COMMANDS),
        (kakehashi_terminal::program::command(), COMMANDS),
        (kakehashi_loadgen::program::Args::command(), COMMANDS),
        (kakehashi_relay::args::Args::command(), DAEMONS),
        (kakehashi_control::args::Args::command(), DAEMONS),
    ]
}

fn write_program(mut program: Command, section: &str, date: &str, folder: &Path) -> Result<()> {
    let name = program.get_name().to_owned();
    let share = folder.join(&name);
    for (shell, place) in SHELLS {
        let place = share.join(place);
        fs::create_dir_all(&place)?;
        let written = clap_complete::generate_to(shell, &mut program.clone(), &name, &place)?;
        if shell == Shell::Bash {
            // It looks for the command's bare name.
            fs::rename(written, place.join(&name))?;
        }
    }
    let pages = share.join("man").join(format!("man{section}"));
    fs::create_dir_all(&pages)?;
    program = program.disable_help_subcommand(true);
    program.build();
    write_pages(&program, section, date, &pages)
}

/// Writes the page of `command` and those of all commands below it.
fn write_pages(command: &Command, section: &str, date: &str, folder: &Path) -> Result<()> {
    let name = command.get_display_name().unwrap_or_else(|| command.get_name());
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        if below.get_display_name() != Some(ELSEWHERE) {
            write_pages(below, section, date, folder)?;
        }
    }
    let path = folder.join(format!("{name}.{section}"));
    let page = page(command, name, section, date)?;
    fs::write(&path, page).with_context(|| format!("cannot write {}", path.display()))
}

fn page(command: &Command, name: &str, section: &str, date: &str) -> Result<String> {
    let page = Man::new(command.clone())
        .title(name.to_uppercase())
        .section(section)
        .date(date)
        .source(concat!("Kakehashi ", env!("CARGO_PKG_VERSION")))
        .manual("Kakehashi");
    let mut out = Vec::new();
    page.render_title(&mut out)?;
    page.render_name_section(&mut out)?;
    page.render_synopsis_section(&mut out)?;
    page.render_description_section(&mut out)?;
    if command.get_arguments().any(|argument| !argument.is_hide_set()) {
        page.render_options_section(&mut out)?;
    }
    if command.has_subcommands() {
        page.render_subcommands_section(&mut out)?;
    }
    notes(command).to_writer(&mut out)?;
    // Its empty line before possible values, as mandoc wants it.
    Ok(String::from_utf8(out)?.replace("\n.br\n\n.br\n", "\n.sp\n"))
}

/// What stands below the options in the help, line by line as it is there.
fn notes(command: &Command) -> Roff {
    let mut notes = Roff::default();
    let text = command.get_after_long_help().or_else(|| command.get_after_help());
    if let Some(text) = text {
        notes.control("SH", ["NOTES"]);
        notes.control("nf", []);
        for line in text.to_string().lines() {
            notes.text([roman(line)]);
        }
        notes.control("fi", []);
    }
    notes
}
