//! What every shell script has.

use super::Problem;
use super::tree::Tree;

/// Scripts that must be there, so that this rule never looks at none.
const ENTRIES: [&str; 2] = ["tests/run", ".ci/run"];

/// Whether a file is a shell script, by its name or by its first line.
pub fn is_script(path: &str, text: &str) -> bool {
    let first = text.lines().next().unwrap_or_default();
    path.ends_with(".sh") || first.starts_with("#!") && first.ends_with("sh")
}

/// Ends of the names of scripts that dpkg runs, with the shell that is there however little else.
const MAINTAINER: [&str; 4] = [".preinst", ".postinst", ".prerm", ".postrm"];

/// Scripts that cannot be started, or that would go on after an error.
pub fn shell_scripts(tree: &Tree) -> Vec<Problem> {
    let mut problems: Vec<_> = ENTRIES
        .iter()
        .filter(|path| !tree.texts.iter().any(|it| it.path == **path && is_script(path, &it.text)))
        .map(|path| Problem::new(path, 1, "there is no such script", "name those there are"))
        .collect();
    for file in tree.texts.iter().filter(|file| is_script(&file.path, &file.text)) {
        let mut problem = |what, fix| problems.push(Problem::new(&file.path, 1, what, fix));
        if MAINTAINER.iter().any(|end| file.path.ends_with(end)) {
            let lines: Vec<_> = file.text.lines().collect();
            if lines.first() != Some(&"#!/bin/sh") || !lines.contains(&"set -e") {
                problem("no script for dpkg", "begin it with `#!/bin/sh`, and add `set -e`");
            }
            continue;
        }
        if !file.is_executable {
            problem("a script that cannot be started", "run `chmod +x` on it");
        }
        if file.text.lines().next() != Some("#!/usr/bin/env bash") {
            problem("not a bash script", "begin it with `#!/usr/bin/env bash`");
        }
        if !file.text.lines().any(|line| line == "set -euo pipefail") {
            problem("a script that goes on after an error", "add `set -euo pipefail`");
        }
    }
    problems
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_script_starts_and_stops() {
        let good = "#!/usr/bin/env bash\n# A.\nset -euo pipefail\n";
        let problems = |path: &str, text: &str, is_executable| {
            let file = (path.to_owned(), text.as_bytes().to_vec(), is_executable);
            let entries = ENTRIES.map(|path| (path.to_owned(), good.as_bytes().to_vec(), true));
            let others = entries.into_iter().filter(|entry| entry.0 != path);
            shell_scripts(&Tree::of(others.chain([file]))).len()
        };
        assert_eq!(problems("tests/run", good, true), 0);
        assert_eq!(problems("tests/run", good, false), 1);
        assert_eq!(problems("a.sh", "#!/bin/sh\nset -e\n", true), 2);
        assert_eq!(shell_scripts(&Tree::of([])).len(), ENTRIES.len());
        assert_eq!(problems("a.py", "#!/usr/bin/env python3\n", false), 0);
        assert_eq!(problems("a.postrm", "#!/bin/sh\nset -e\n", false), 0);
        assert_eq!(problems("a.postrm", "#!/bin/sh\n", false), 1);
    }
}
