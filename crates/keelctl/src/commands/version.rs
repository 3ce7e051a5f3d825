//! `version`.

use anyhow::Result;
use api::client::Client;
use api::proto::machine::Version;
use tonic::Status;

use crate::Program;
use crate::cli::common::Node;
use crate::cli::observe::Version as Args;
use crate::defaults::VERSION;
use crate::output::print;
use crate::session::{Session, block};

/// What this program is built from; set by the build.
const COMMIT: Option<&str> = option_env!("KEELSON_COMMIT");
const BUILT: Option<&str> = option_env!("KEELSON_BUILT");

/// Runs `version`.
pub fn run(command: &Node<Args>, program: Program) -> Result<()> {
    let args = &command.args;
    print(&client(args.short))?;
    if args.client {
        return Ok(());
    }
    block(async {
        let session = Session::open_either(&command.client, program, args.insecure)?;
        let (answers, failures) = session
            .each(async |client| Ok(client.machine().version(()).await?.into_inner().messages))
            .await;
        let mut text = String::from("Server:\n");
        for (node, messages) in &answers {
            for message in messages {
                text.push_str(&server(node, message, args.short));
            }
        }
        print(&text)?;
        failures.into_result()
    })
}

fn client(short: bool) -> String {
    if short {
        return format!("Client {VERSION}\n");
    }
    let mut text = String::from("Client:\n");
    block_of(
        &mut text,
        &[
            ("Tag", VERSION),
            ("SHA", COMMIT.unwrap_or("undefined")),
            ("Built", BUILT.unwrap_or_default()),
            // The label is what scripts look for; the compiler is ours.
            ("Go version", concat!("rust", env!("CARGO_PKG_RUST_VERSION"))),
            (
                "OS/Arch",
                &format!("{}/{}", std::env::consts::OS, go_arch(std::env::consts::ARCH)),
            ),
        ],
    );
    text
}

/// The version of a node, as `version` shows it.
///
/// # Errors
/// The node does not answer.
pub async fn of(node: &str, client: &Client) -> Result<String, Status> {
    let messages = client.machine().version(()).await?.into_inner().messages;
    Ok(messages.iter().map(|message| server(node, message, false)).collect())
}

fn server(node: &str, message: &Version, short: bool) -> String {
    let version = message.version.clone().unwrap_or_default();
    let mut text = String::new();
    if short {
        block_of(&mut text, &[("NODE", node), ("Tag", &version.tag)]);
        return text;
    }
    let rbac = message.features.as_ref().is_some_and(|features| features.rbac);
    block_of(
        &mut text,
        &[
            ("NODE", node),
            ("Tag", &version.tag),
            ("SHA", &version.sha),
            ("Built", &version.built),
            ("Go version", &version.go_version),
            ("OS/Arch", &format!("{}/{}", version.os, version.arch)),
            ("Enabled", if rbac { "RBAC" } else { "" }),
        ],
    );
    text
}

fn block_of(text: &mut String, lines: &[(&str, &str)]) {
    for (label, value) in lines {
        text.push_str(&format!("\t{:<12} {value}\n", format!("{label}:")));
    }
}

fn go_arch(arch: &str) -> &str {
    match arch {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::proto::machine::{FeaturesInfo, VersionInfo};

    #[test]
    fn the_server_block_prints_as_captured() {
        let message = Version {
            metadata: None,
            version: Some(VersionInfo {
                tag: "v1.13.9".into(),
                sha: "undefined".into(),
                built: String::new(),
                go_version: "go1.26.8".into(),
                os: "linux".into(),
                arch: "amd64".into(),
            }),
            platform: None,
            features: Some(FeaturesInfo { rbac: true }),
        };
        let captured = include_str!("../../tests/vectors/cli/version.txt");
        let (_, expected) = captured.split_once("Server:\n").unwrap();
        assert_eq!(
            server("127.0.0.1", &message, false),
            expected.strip_suffix("exit 0\n").unwrap()
        );
    }

    #[test]
    fn the_client_block_has_the_same_labels_as_captured() {
        let labels = |text: &str| {
            text.lines()
                .map(|l| l.split(": ").next().unwrap_or(l).to_owned())
                .collect::<Vec<_>>()
        };
        let captured = include_str!("../../tests/vectors/cli/version.txt");
        let (expected, _) = captured.split_once("Server:\n").unwrap();
        assert_eq!(labels(&client(false)), labels(expected));
        assert_eq!(client(true), format!("Client {VERSION}\n"));
    }
}
