//! Commands that exist in the interface and are not built yet. They are in the help, complete in the shell, accept
//! anything and fail with a sentence, so that nothing is missing silently.

use clap::{Arg, ArgAction, ArgMatches, Command};

/// A command that is not built yet.
#[derive(Clone, Copy, Debug)]
pub struct Pending {
    /// Full name, words separated by spaces.
    pub name: &'static str,
    /// Other names of the last word.
    pub aliases: &'static [&'static str],
    /// What it will do.
    pub about: &'static str,
    /// Its flags in the interface, which it takes and does not look at.
    pub flags: &'static str,
    /// What to do instead until then: the end of a sentence.
    pub instead: &'static str,
}

const fn pending(name: &'static str, about: &'static str, flags: &'static str, instead: &'static str) -> Pending {
    Pending {
        name,
        aliases: &[],
        about,
        flags,
        instead,
    }
}

const SECURE_BOOT: &str = "a node in a container does not boot by itself, and there are no kernel images to sign yet";

/// All of them. A command that gets built leaves this table in the same change.
pub const PENDING: &[Pending] = &[
    pending(
        "gen secureboot database",
        "Generate the UEFI databases for SecureBoot",
        "--enrolled-certificate, --include-well-known-uefi-certs, --signing-certificate, --signing-key, -o, --output",
        SECURE_BOOT,
    ),
    pending(
        "gen secureboot pcr",
        "Generate the key that signs PCR values",
        "-o, --output",
        SECURE_BOOT,
    ),
    pending(
        "gen secureboot uki",
        "Generate the certificate that signs kernel images",
        "--common-name, -o, --output",
        SECURE_BOOT,
    ),
];

/// Commands that ask nodes for what a node in a container refuses, and says why. They are built, and wait for nodes on
/// machines of their own.
pub const REFUSED: &[&str] = &["meta delete", "meta write", "rollback", "upgrade", "wipe disk"];

const REST: &str = "pending-arguments";

/// Adds the commands of the table to the tree.
pub fn add_to(root: Command) -> Command {
    PENDING.iter().fold(root, |root, entry| {
        let words: Vec<&'static str> = entry.name.split(' ').collect();
        insert(root, &words, entry)
    })
}

fn insert(parent: Command, words: &[&'static str], entry: &Pending) -> Command {
    match words {
        [] => parent,
        [name] => parent.subcommand(
            Command::new(*name)
                .about(format!("{} (not implemented yet)", entry.about))
                .after_help(after_help(entry))
                .visible_aliases(entry.aliases.iter().copied())
                .arg(
                    Arg::new(REST)
                        .action(ArgAction::Append)
                        .num_args(0..)
                        .trailing_var_arg(true)
                        .allow_hyphen_values(true)
                        .hide(true),
                ),
        ),
        [group, below @ ..] => {
            let parent = if parent.find_subcommand(group).is_some() {
                parent
            } else {
                let about = format!("Commands of {group}");
                parent.subcommand(
                    Command::new(*group)
                        .about(about)
                        .subcommand_required(true)
                        .arg_required_else_help(true),
                )
            };
            parent.mut_subcommand(*group, |command| insert(command, below, entry))
        }
    }
}

fn after_help(entry: &Pending) -> String {
    let instead = format!("Until then: {}.", entry.instead);
    if entry.flags.is_empty() {
        instead
    } else {
        format!("{instead}\n\nFlags it will have: {}", entry.flags)
    }
}

/// The command, if it is one of the table.
pub fn selected(matches: &ArgMatches) -> Option<&'static Pending> {
    let mut name = String::new();
    let mut at = matches;
    while let Some((word, below)) = at.subcommand() {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
        at = below;
    }
    PENDING.iter().find(|entry| entry.name == name)
}
