//! `upgrade-k8s`: another version of Kubernetes, component by component and node by node.
//!
//! [`plan`] is a function from the nodes and the version to go to, to steps in their order; [`execute`] does the steps and
//! stops at the first node that is not well; [`live`] is the cluster they are done to.

mod api;
mod component;
mod execute;
mod live;
mod manifests;
mod plan;
mod removed;
mod version;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context as _, Result};
use config::change;
use pki::REDACTED;

use self::component::Component;
use self::execute::{Limits, Progress};
use self::live::{Live, Manifests};
use self::plan::{Plan, Step, Wish};
use self::version::Version;
use crate::Program;
use crate::cli::common::Node;
use crate::cli::upgrade_k8s::UpgradeK8s;
use crate::interruption::unless_interrupted;
use crate::output::{complain, note, print, told};
use crate::session::{Interrupted, Session, Silent, block};

/// Runs `upgrade-k8s`.
pub fn run(command: &Node<UpgradeK8s>, program: Program) -> Result<()> {
    let args = &command.args;
    let wish = wish(args)?;
    block(async {
        let session = Session::open(&command.client, program)?;
        let target = session.single("upgrade-k8s")?;
        let manifests = Manifests {
            force: args.manifests_force,
            limit: args.manifests_reconcile_timeout,
        };
        let (cluster, nodes) = live::find(target, args.endpoint.as_deref(), manifests).await?;
        let plan = Plan::new(nodes, &wish)?;
        announce(&plan);
        warn(&cluster, &plan).await;
        if args.dry_run {
            return Ok(print(&dry_run(&cluster, &plan).await?)?);
        }
        upgrade(&cluster, &plan, args.node_timeout, program).await
    })
}

fn wish(args: &UpgradeK8s) -> Result<Wish> {
    let version = |flag: &str, text: &str| -> Result<Version> { text.parse().with_context(|| format!("read {flag}")) };
    let repositories = [
        (Component::ApiServer, &args.apiserver_image),
        (Component::ControllerManager, &args.controller_manager_image),
        (Component::Scheduler, &args.scheduler_image),
        (Component::Proxy, &args.proxy_image),
        (Component::Kubelet, &args.kubelet_image),
    ];
    let named = |(component, image): (Component, &Option<String>)| Some((component, image.clone()?));
    Ok(Wish {
        to: version("--to", &args.to)?,
        from: args.from.as_deref().map(|from| version("--from", from)).transpose()?,
        kubelet: args.upgrade_kubelet,
        pull: args.pre_pull_images,
        repositories: repositories.into_iter().filter_map(named).collect::<BTreeMap<_, _>>(),
    })
}

fn announce(plan: &Plan) {
    let control_planes = plan.nodes.iter().filter(|node| node.control_plane).count();
    let workers = plan.nodes.len() - control_planes;
    note(&format!(
        "Kubernetes {} -> {} on {control_planes} control plane{} and {workers} worker{}",
        plan.from,
        plan.to,
        if control_planes == 1 { "" } else { "s" },
        if workers == 1 { "" } else { "s" },
    ));
}

/// Tells which requests the new version will not answer. That is for the person to judge: a request may have been the
/// last of its kind, and nobody may make one that was not seen.
async fn warn(cluster: &Live<'_>, plan: &Plan) {
    let mut used = BTreeMap::new();
    for client in cluster.api.clients() {
        if let Ok(metrics) = client.raw("/metrics").await {
            used.extend(manifests::removed_apis(
                &String::from_utf8_lossy(&metrics),
                plan.to.minor,
            ));
        }
    }
    for (api, release) in used {
        note(&format!(
            "warning: somebody asked for {api}, which Kubernetes {release} removes: find who uses it (the audit log in \
             /var/log/audit/kube tells) and move it to a newer API version"
        ));
    }
}

async fn dry_run(cluster: &Live<'_>, plan: &Plan) -> Result<String> {
    let mut text = String::new();
    let mut proxy = None;
    for step in &plan.steps {
        let _ = writeln!(text, "{}", plan.describe(step));
        let changes = match step {
            Step::Component(change) => std::slice::from_ref(change),
            Step::Proxy(changes) => {
                proxy = changes.first().map(|change| change.to.as_str());
                changes.as_slice()
            }
            Step::Pull { .. } => continue,
            Step::Manifests => {
                for difference in cluster.manifest_differences(proxy).await? {
                    text.push_str(&difference.text);
                }
                continue;
            }
        };
        for change in changes.iter().filter(|change| change.is_one()) {
            let node = plan.nodes.get(change.node).context("the plan has no such node")?;
            let new = change.component.with_image(&node.config, &change.to)?;
            let difference = change::diff(&node.config.redacted(REDACTED), &new.redacted(REDACTED));
            let header = format!("--- {} machineconfig\n+++ {} machineconfig", node.name, node.name);
            text.push_str(&difference.replacen("--- a\n+++ b", &header, 1));
        }
    }
    text.push_str("nothing was changed (--dry-run)\n");
    Ok(text)
}

async fn upgrade(cluster: &Live<'_>, plan: &Plan, well: Duration, program: Program) -> Result<()> {
    let progress = Progress::default();
    let ended = unless_interrupted(execute::run(cluster, plan, Limits::new(well), &progress)).await;
    let error = match ended {
        Ok(true) => {
            note(&format!("Kubernetes is {} now", plan.to));
            return Ok(());
        }
        Ok(false) => {
            note(&format!("Kubernetes is {} already: nothing was to be done", plan.to));
            return Ok(());
        }
        Err(error) => error,
    };
    complain(&format!("the upgrade stopped: {}", told(&error)));
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    note(&progress.report(plan, &format!("{} {}", program.name(), arguments.join(" "))));
    Err(match error.downcast_ref::<Interrupted>() {
        Some(interrupted) => Interrupted::told(interrupted.code).into(),
        None => Silent.into(),
    })
}
