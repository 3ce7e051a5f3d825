//! Pages of `docs/` that are written by the code they are about: the tests of the crates that render them compare, and
//! write them anew when asked to.

use std::path::Path;

/// Set to write the pages instead of only comparing them.
const UPDATE: &str = "UPDATE_DOCS";

/// How the tests of a crate write their page, for people.
fn command(package: &str) -> String {
    format!("{UPDATE}=1 cargo test -p {package} --test reference")
}

/// Compares a page (its name in `docs/`) with what `package` rendered, after writing it if that is asked for.
///
/// # Panics
/// They differ, or the page cannot be written.
pub fn assert_up_to_date(page: &str, package: &str, rendered: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs").join(page);
    if std::env::var_os(UPDATE).is_some() {
        let written = std::fs::write(&path, rendered);
        assert!(written.is_ok(), "write {}: {written:?}", path.display());
    }
    let there = std::fs::read_to_string(&path).unwrap_or_default();
    if let Some(line) = first_difference(&there, rendered) {
        panic!("docs/{page} differs in line {line}: run {}", command(package));
    }
}

/// The first line that differs, counted from 1.
fn first_difference(there: &str, rendered: &str) -> Option<usize> {
    if there == rendered {
        return None;
    }
    let same = |(a, b): &(&str, &str)| a == b;
    Some(there.split('\n').zip(rendered.split('\n')).take_while(same).count() + 1)
}

/// Checks that every link to a heading of the page itself has that heading.
///
/// # Panics
/// One has not.
pub fn assert_links_lead_somewhere(rendered: &str) {
    let headings: Vec<String> = rendered
        .lines()
        .filter_map(|line| line.strip_prefix("### "))
        .map(anchor)
        .collect();
    for link in rendered.split("](#").skip(1).filter_map(|rest| rest.split(')').next()) {
        assert!(headings.iter().any(|heading| heading == link), "no heading for #{link}");
    }
}

/// How a heading is linked to.
pub fn anchor(heading: &str) -> String {
    heading.to_lowercase().replace('.', "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_that_differs_is_told() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        assert_eq!(first_difference("a\nb\n", "a\nc\n"), Some(2));
        assert_eq!(first_difference("a\n", "a\nb\n"), Some(2));
        assert_eq!(first_difference("", "a"), Some(1));
    }

    #[test]
    fn a_link_needs_its_heading() {
        assert_links_lead_somewhere("### A.b\n[A](#ab)\n");
        let broken = std::panic::catch_unwind(|| assert_links_lead_somewhere("### A\n[B](#b)\n"));
        assert!(broken.is_err());
    }
}
