//! What the documentation says of commands is true: the table in `docs/compatibility.md`, and every command that any
//! page shows.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use keelctl::cli::REFUSED;

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// README.md and the pages people write; the reference pages are made by programs and have tests of their own.
fn pages() -> Vec<(PathBuf, String)> {
    let root = repository();
    let mut files = vec![root.join("README.md")];
    for folder in ["docs", "docs/how-to"] {
        let entries = std::fs::read_dir(root.join(folder))
            .unwrap()
            .map(|entry| entry.unwrap().path());
        files.extend(entries.filter(|path| path.extension().is_some_and(|e| e == "md")));
    }
    let made = ["cli.md", "configuration.md"];
    files.retain(|path| !made.iter().any(|name| path.ends_with(name)));
    files
        .into_iter()
        .map(|path| (path.clone(), std::fs::read_to_string(path).unwrap()))
        .collect()
}

/// Commands without commands below them.
fn leaves(parent: &clap::Command, path: &str, out: &mut BTreeSet<String>) {
    for command in parent
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
    {
        let path = format!("{path}{}", command.get_name());
        if command.get_subcommands().next().is_none() {
            out.insert(path);
        } else {
            leaves(command, &format!("{path} "), out);
        }
    }
}

#[test]
fn the_table_has_every_command_and_whether_it_is_done() {
    let page = std::fs::read_to_string(repository().join("docs/compatibility.md")).unwrap();
    let row = |line: &str| {
        let mut cells = line.strip_prefix("| `keelctl ")?.split('|').map(str::trim);
        Some((cells.next()?.strip_suffix('`')?.to_owned(), cells.next()?.to_owned()))
    };
    let documented: BTreeMap<String, String> = page.lines().filter_map(row).collect();
    let mut all = BTreeSet::new();
    leaves(&keelctl::cli::command(), "", &mut all);
    let word = |name: &String| {
        if REFUSED.contains(&name.as_str()) {
            "refused"
        } else {
            "done"
        }
    };
    let expected: BTreeMap<String, String> = all.iter().map(|name| (name.clone(), word(name).to_owned())).collect();
    for (name, word) in &expected {
        assert_eq!(
            documented.get(name),
            Some(word),
            "docs/compatibility.md, the row of `keelctl {name}`"
        );
    }
    for name in documented.keys() {
        assert!(
            expected.contains_key(name),
            "docs/compatibility.md: there is no command `keelctl {name}`"
        );
    }
}

/// Commands of code blocks: lines of `sh` blocks, and those with a prompt in `console` blocks.
fn commands(page: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut block, mut open) = ("", false);
    for line in page.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            (block, open) = if block.is_empty() {
                (if language.is_empty() { "text" } else { language }, false)
            } else {
                ("", false)
            };
            continue;
        }
        let line = match block {
            _ if open => Some(line),
            "sh" => Some(line),
            "console" => line.strip_prefix("$ "),
            _ => None,
        };
        let Some(line) = line else { continue };
        let text = line.trim().trim_end_matches('\\');
        match found.last_mut().filter(|_| open) {
            Some(last) => *last = format!("{last} {text}"),
            None => found.push(text.to_owned()),
        }
        open = line.trim_end().ends_with('\\');
    }
    found
}

/// Words of a shell line, with quotes; separate commands at `&&`, `|` and `#`.
fn words(line: &str) -> Vec<Vec<String>> {
    let mut all = vec![Vec::new()];
    let (mut word, mut quote, mut some) = (String::new(), None, false);
    let mut put = |word: &mut String, some: &mut bool, end: bool| {
        let last = all.last_mut().unwrap();
        if *some || !word.is_empty() {
            last.push(std::mem::take(word));
        }
        *some = false;
        if end {
            all.push(Vec::new());
        }
    };
    for c in line.chars() {
        match (quote, c) {
            (Some(q), _) if c == q => quote = None,
            (None, '\'' | '"') => (quote, some) = (Some(c), true),
            (None, '#') if word.is_empty() => break,
            (None, '&' | '|' | ';' | '>') => put(&mut word, &mut some, true),
            (None, _) if c.is_whitespace() => put(&mut word, &mut some, false),
            _ => word.push(c),
        }
    }
    put(&mut word, &mut some, false);
    all
}

#[test]
fn every_command_in_the_documentation_exists() {
    let mut checked = 0;
    for (path, page) in pages() {
        for line in commands(&page) {
            for words in words(&line) {
                let Some(start) = words.iter().position(|w| w == "keelctl" || w.ends_with("/keelctl")) else {
                    continue;
                };
                let arguments: Vec<OsString> = words[start..].iter().map(OsString::from).collect();
                match keelctl::cli::parse(arguments) {
                    Ok(_) => checked += 1,
                    Err(error) if !error.use_stderr() => checked += 1,
                    Err(error) => panic!("{}: {line:?}: {error}", path.display()),
                }
            }
        }
    }
    assert!(
        checked > 40,
        "only {checked} commands were found: are they still in code blocks?"
    );
}

#[test]
fn links_between_pages_lead_somewhere() {
    for (path, page) in pages() {
        for target in page.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            let file = target.split('#').next().unwrap();
            if file.is_empty() || file.contains("://") {
                continue;
            }
            assert!(
                path.parent().unwrap().join(file).exists(),
                "{}: {target} is not there",
                path.display()
            );
        }
    }
}

#[test]
fn shell_lines_are_taken_apart_as_a_shell_does() {
    let page =
        "```sh\nkeelctl get a \\\n  -o 'x y'  # why\n```\n```console\n$ keelctl b && keelctl c\nkeelctl no\n```\n";
    let lines = commands(page);
    assert_eq!(lines.len(), 2);
    assert_eq!(words(&lines[0]), [["keelctl", "get", "a", "-o", "x y"]]);
    assert_eq!(words(&lines[1]).iter().filter(|w| !w.is_empty()).count(), 2);
}
