//! `apply-config` and `plan`.

use anyhow::{Context as _, Result};
use api::proto::keelson::machine::{PlanRequest, PlanResponse, history_response::Change, plan_request::Input};
use api::proto::machine::apply_configuration_request::Mode as WireMode;
use api::proto::machine::{ApplyConfiguration, ApplyConfigurationRequest};

use crate::Program;
use crate::cli::common::{Mode, Node};
use crate::cli::config::{ApplyConfig, Plan};
use crate::commands::gen_config::patched;
use crate::output::{note, print};
use crate::session::{Session, block};

/// Runs `apply-config`.
pub fn run(command: &Node<ApplyConfig>, program: Program) -> Result<()> {
    let args = &command.args;
    let file = args
        .file
        .as_deref()
        .context("name the configuration with --file (`-` for standard input)")?;
    let data = patched(file, &args.config_patch)?;
    let timeout = prost_types::Duration::try_from(args.timeout).context("read --timeout: too long")?;
    let request = ApplyConfigurationRequest {
        data,
        mode: wire_mode(args.mode).into(),
        dry_run: args.dry_run,
        try_mode_timeout: (args.mode == Mode::Try).then_some(timeout),
    };
    block(async {
        let session = match args.insecure {
            true => Session::open_insecure(&command.client, &args.cert_fingerprint)?,
            false => Session::open(&command.client, program)?,
        };
        let (answers, failures) = session
            .each(async |client| {
                Ok(client
                    .machine()
                    .apply_configuration(insisting(request.clone(), args.force))
                    .await?
                    .into_inner()
                    .messages)
            })
            .await;
        let several = session.targets().len() > 1;
        for (node, messages) in &answers {
            report(node, messages, several);
        }
        failures
            .into_result()
            .map_err(|error| error.context("error applying new configuration"))
    })
}

/// The request, with the word that insists on what would lock somebody out.
pub fn insisting(request: ApplyConfigurationRequest, force: bool) -> tonic::Request<ApplyConfigurationRequest> {
    let mut request = tonic::Request::new(request);
    if force {
        let yes = tonic::metadata::MetadataValue::from_static("true");
        request.metadata_mut().insert("keelson-force", yes);
    }
    request
}

/// Tells what a node says about a configuration that was applied.
pub fn report(node: &str, messages: &[ApplyConfiguration], several: bool) {
    let prefix = if several { format!("{node}: ") } else { String::new() };
    for message in messages {
        for warning in &message.warnings {
            note(&format!("{prefix}warning: {warning}"));
        }
        if !message.mode_details.is_empty() {
            note(&format!("{prefix}{}", message.mode_details));
        }
    }
}

/// The mode as it is on the wire.
pub fn wire_mode(mode: Mode) -> WireMode {
    match mode {
        Mode::Auto => WireMode::Auto,
        Mode::NoReboot => WireMode::NoReboot,
        Mode::Reboot => WireMode::Reboot,
        Mode::Staged => WireMode::Staged,
        Mode::Try => WireMode::Try,
    }
}

/// Runs `plan`.
pub fn plan(command: &Node<Plan>, program: Program) -> Result<()> {
    let config = patched(&command.args.file, &command.args.config_patch)?;
    block(async {
        let session = Session::open(&command.client, program)?;
        let (answers, failures) = session
            .each(async |client| {
                let request = PlanRequest {
                    input: Some(Input::Config(config.clone())),
                };
                Ok(client.insight().plan(request).await?.into_inner())
            })
            .await;
        for (node, plan) in &answers {
            print(&describe(node, plan))?;
        }
        failures.into_result()
    })
}

fn describe(node: &str, plan: &PlanResponse) -> String {
    let mut text = format!("NODE: {node}\nMODE: {}\n", plan.mode);
    for reason in &plan.reasons {
        text.push_str(&format!("  because {reason}\n"));
    }
    for warning in &plan.warnings {
        text.push_str(&format!("warning: {warning}\n"));
    }
    if plan.config_diff.is_empty() {
        text.push_str("the configuration does not change\n");
    } else {
        text.push('\n');
        text.push_str(&plan.config_diff);
    }
    if !plan.resources.is_empty() {
        text.push_str(&format!("\n{} resources would change:\n", plan.resources.len()));
    }
    for change in &plan.resources {
        let mark = match Change::try_from(change.change) {
            Ok(Change::Created) => "+",
            Ok(Change::Destroyed) => "-",
            _ => "~",
        };
        text.push_str(&format!(
            "{mark} {}({}/{})\n",
            change.r#type, change.namespace, change.id
        ));
        for line in changed_lines(&change.old, &change.new) {
            text.push_str(&format!("    {line}\n"));
        }
    }
    text
}

/// Lines of the one that are not in the other, in order; enough for small YAML documents.
fn changed_lines(old: &str, new: &str) -> Vec<String> {
    let gone = old
        .lines()
        .filter(|line| !new.lines().any(|other| other == *line))
        .map(|line| format!("- {line}"));
    let come = new
        .lines()
        .filter(|line| !old.lines().any(|other| other == *line))
        .map(|line| format!("+ {line}"));
    gone.chain(come).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::proto::keelson::machine::plan_response::ResourceChange;

    #[test]
    fn a_plan_tells_mode_difference_and_resources() {
        let plan = PlanResponse {
            config_diff: "--- a\n+++ b\n".into(),
            mode: "reboot".into(),
            reasons: vec!["machine.env changed".into()],
            warnings: vec![],
            resources: vec![ResourceChange {
                change: Change::Updated.into(),
                namespace: "network".into(),
                r#type: "HostnameSpecs.net.talos.dev".into(),
                id: "hostname".into(),
                old: "hostname: a\nlayer: default\n".into(),
                new: "hostname: b\nlayer: default\n".into(),
            }],
        };
        assert_eq!(
            describe("10.5.0.2", &plan),
            "NODE: 10.5.0.2\nMODE: reboot\n  because machine.env changed\n\n--- a\n+++ b\n\n1 resources would change:\n\
             ~ HostnameSpecs.net.talos.dev(network/hostname)\n    - hostname: a\n    + hostname: b\n"
        );
    }
}
