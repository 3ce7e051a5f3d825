//! Tests that failed, once more: of cargo's targets those alone that hold them.

use std::collections::BTreeSet;

/// Each set of arguments of `cargo test` that runs targets again which failed, by what cargo wrote to standard error; all
/// of them together cover every target that failed. They are chosen in the whole workspace, not by their package: a
/// package by itself would be built with other features, and so would everything it needs.
pub fn selections(told: &str) -> Vec<Vec<String>> {
    let failed: BTreeSet<&str> = told.lines().filter_map(target).collect();
    let (mut built, mut documentation) = (BTreeSet::new(), false);
    for target in &failed {
        let words: Vec<&str> = target.split_whitespace().collect();
        match words[..] {
            ["--doc"] => documentation = true,
            ["--lib"] => drop(built.insert(vec!["--lib"])),
            [kind @ ("--test" | "--bin" | "--example"), name] => drop(built.insert(vec![kind, name])),
            // Not known: everything again.
            _ => return vec![Vec::new()],
        }
    }
    let owned = |words: Vec<&str>| words.into_iter().map(str::to_owned).collect::<Vec<_>>();
    let mut selections = Vec::new();
    if !built.is_empty() {
        selections.push(owned(built.into_iter().flatten().collect()));
    }
    if documentation {
        // Cargo takes it by itself only.
        selections.push(owned(vec!["--doc"]));
    }
    if selections.is_empty() {
        vec![Vec::new()]
    } else {
        selections
    }
}

/// The target in a line of the list with which cargo ends: `-p PACKAGE TARGET` between backticks.
fn target(line: &str) -> Option<&str> {
    let inside = line.trim().strip_prefix("`-p ")?.strip_suffix('`')?;
    Some(inside.split_once(' ')?.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_targets_that_cargo_names_are_run_again_and_no_others() {
        let told = "error: test failed, to rerun pass `-p keelctl --test cli`\n\
                    error: 4 targets failed:\n    `-p keelctl --test cli`\n    `-p image --lib`\n    `-p pki --lib`\n    `-p image --doc`\n";
        assert_eq!(selections(told), [vec!["--lib", "--test", "cli"], vec!["--doc"]]);
    }

    #[test]
    fn all_targets_are_run_again_if_cargo_names_none() {
        assert_eq!(selections("error: something else\n"), [Vec::<String>::new()]);
        assert_eq!(selections("    `-p image --tests`\n"), [Vec::<String>::new()]);
    }
}
