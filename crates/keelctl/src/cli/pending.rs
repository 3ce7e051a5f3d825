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
}

const fn pending(name: &'static str, aliases: &'static [&'static str], about: &'static str) -> Pending {
    Pending { name, aliases, about }
}

/// All of them. A command that gets built leaves this table in the same change.
pub const PENDING: &[Pending] = &[
    pending(
        "conformance kubernetes",
        &["k8s"],
        "Run the Kubernetes conformance tests",
    ),
    pending("dashboard", &[], "Show a live overview of nodes"),
    pending("debug", &[], "Run a debug container on a node"),
    pending(
        "gen secureboot database",
        &[],
        "Generate the UEFI databases for SecureBoot",
    ),
    pending("gen secureboot pcr", &[], "Generate the key that signs PCR values"),
    pending(
        "gen secureboot uki",
        &[],
        "Generate the certificate that signs kernel images",
    ),
    pending("image build", &[], "Build the distribution (for now: cargo xtask dist)"),
    pending("image cache-create", &[], "Make a cache of images"),
    pending("image cache-serve", &[], "Serve a cache of images"),
    pending("image talos-bundle", &[], "List the images of the operating system"),
    pending("meta delete", &[], "Delete a META value"),
    pending("meta write", &[], "Write a META value"),
    pending("rollback", &[], "Boot the previous installation"),
    pending("rotate-ca", &[], "Replace the certificate authorities of a cluster"),
    pending("support", &[], "Collect a bundle for support"),
    pending("upgrade", &[], "Upgrade the operating system of nodes"),
    pending("upgrade-k8s", &[], "Upgrade Kubernetes"),
    pending("wipe disk", &[], "Wipe disks"),
];

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

/// The full name of the command, if it is one of the table.
pub fn selected(matches: &ArgMatches) -> Option<String> {
    let mut name = String::new();
    let mut at = matches;
    while let Some((word, below)) = at.subcommand() {
        if !name.is_empty() {
            name.push(' ');
        }
        name.push_str(word);
        at = below;
    }
    PENDING.iter().any(|entry| entry.name == name).then_some(name)
}
