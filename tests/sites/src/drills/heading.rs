//! What figures are worth nothing without: the command, the tree and the machine they are from.

use std::process::Command;

/// A few lines for the head of a report.
pub(crate) fn heading() -> String {
    let command: Vec<String> = std::env::args().skip(1).collect();
    let build = if cfg!(debug_assertions) { "debug" } else { "release" };
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!(
        "command: tests/sites/{}\ntree:    {}, {build} build\nmachine: {cores} cores for \
         everything, {}, Linux {}\n\n",
        command.join(" "),
        tree(),
        processor(&read("/proc/cpuinfo")),
        read("/proc/sys/kernel/osrelease").trim(),
    )
}

/// The commit, if this is a checkout with git.
fn tree() -> String {
    let described = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let described = described.ok().filter(|output| output.status.success());
    let text = described.and_then(|output| String::from_utf8(output.stdout).ok());
    text.map_or_else(|| "unknown".to_owned(), |text| text.trim().to_owned())
}

fn read(file: &str) -> String {
    // Whoever has no /proc has a report without it.
    std::fs::read_to_string(file).unwrap_or_default()
}

fn processor(cpuinfo: &str) -> &str {
    let named = cpuinfo.lines().find_map(|line| line.strip_prefix("model name"));
    named.map_or("processor unknown", |name| name.trim_start_matches([' ', '\t', ':']))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heading_says_what_was_run_and_where() {
        let heading = heading();
        assert!(heading.starts_with("command: tests/sites/"), "{heading}");
        assert!(heading.contains("\ntree:    ") && heading.contains("cores for everything"));
        assert_eq!(processor("model\t: 1\nmodel name\t: Some CPU\n"), "Some CPU");
        assert_eq!(processor(""), "processor unknown");
    }
}
