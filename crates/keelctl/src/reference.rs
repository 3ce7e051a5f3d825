//! The reference of all commands (`docs/cli.md`), rendered from the definitions that parse them.

use std::fmt::Write as _;

use clap::{Arg, Command};

/// The reference as Markdown.
pub fn render() -> String {
    let mut root = crate::cli::command();
    root.build();
    let mut out = String::from(
        "# Command line reference\n\n\
         Made by `keelctl docs` from the program itself; do not edit.\n\n\
         `keelctl` may be linked as `talosctl`: then it looks for its files below `~/.talos` only. \
         A flag that takes a list may be repeated or given values separated by commas. \
         Exit codes: 0 success, 1 failure (also if one of several nodes failed).\n",
    );
    let connection: Vec<&Arg> = root
        .find_subcommand("get")
        .map(|get| {
            get.get_arguments()
                .filter(|arg| arg.get_help_heading() == Some("Connection"))
                .collect()
        })
        .unwrap_or_default();
    out.push_str("\n## Connection flags\n\nEvery command that talks to nodes has these, before or after its name.\n\n");
    flags(&mut out, connection.into_iter());
    commands(&mut out, &root, "keelctl");
    out
}

fn commands(out: &mut String, parent: &Command, path: &str) {
    let mut all: Vec<&Command> = parent
        .get_subcommands()
        .filter(|c| !c.is_hide_set() && c.get_name() != "help")
        .collect();
    all.sort_by_key(|command| command.get_name());
    for command in all {
        let path = format!("{path} {}", command.get_name());
        let _ = write!(out, "\n## {path}\n\n");
        if let Some(about) = command.get_long_about().or(command.get_about()) {
            let _ = writeln!(out, "{about}\n");
        }
        let aliases: Vec<String> = command
            .get_visible_aliases()
            .map(|alias| format!("`{alias}`"))
            .collect();
        if !aliases.is_empty() {
            let _ = writeln!(out, "Also: {}\n", aliases.join(", "));
        }
        let usage = command.clone().render_usage().to_string();
        let _ = writeln!(out, "```text\n{}\n```\n", usage.trim_start_matches("Usage: "));
        let positional = command.get_positionals().filter(|arg| !arg.is_hide_set());
        for arg in positional {
            let _ = writeln!(out, "- `{}`: {}{}", arg.get_id(), help(arg), values(arg));
        }
        let own = command.get_arguments().filter(|arg| {
            !arg.is_positional() && arg.get_help_heading() != Some("Connection") && arg.get_id() != "help"
        });
        flags(out, own);
        commands(out, command, &path);
    }
}

fn flags<'a>(out: &mut String, args: impl Iterator<Item = &'a Arg>) {
    for arg in args.filter(|arg| !arg.is_hide_set()) {
        let mut names: Vec<String> = Vec::new();
        names.extend(arg.get_short().map(|short| format!("-{short}")));
        names.extend(arg.get_long().map(|long| format!("--{long}")));
        names.extend(
            arg.get_visible_aliases()
                .unwrap_or_default()
                .iter()
                .map(|alias| format!("--{alias}")),
        );
        let takes = arg.get_action().takes_values();
        let value = arg.get_value_names().and_then(|names| names.first()).filter(|_| takes);
        let value = value.map(|name| format!(" {name}")).unwrap_or_default();
        let _ = writeln!(out, "- `{}{value}`: {}{}", names.join(", "), help(arg), values(arg));
    }
}

fn help(arg: &Arg) -> String {
    arg.get_help()
        .map(|help| help.to_string().replace('\n', " "))
        .unwrap_or_default()
}

fn values(arg: &Arg) -> String {
    let mut out = String::new();
    let possible: Vec<String> = arg
        .get_possible_values()
        .iter()
        .filter(|v| !v.is_hide_set())
        .map(|v| v.get_name().to_owned())
        .collect();
    if !possible.is_empty() && arg.get_action().takes_values() {
        let _ = write!(out, " [{}]", possible.join(", "));
    }
    let defaults: Vec<String> = arg
        .get_default_values()
        .iter()
        .map(|v| v.to_string_lossy().into_owned())
        .collect();
    if !defaults.is_empty() && arg.get_action().takes_values() {
        let _ = write!(out, " (default `{}`)", defaults.join(","));
    }
    out
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_reference_names_every_command_and_its_defaults() {
        let text = super::render();
        for part in [
            "\n## keelctl gen config\n",
            "\n## keelctl etcd members\n",
            "`-m, --mode MODE`: How to apply [auto, no-reboot, reboot, staged, try] (default `auto`)",
            "Also: `g`\n",
        ] {
            assert!(text.contains(part), "{part}");
        }
        assert!(!text.contains("## keelctl docs"));
    }
}
