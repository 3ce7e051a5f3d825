//! `rotate-ca`: replaces the authorities of a cluster while it runs.
//!
//! A new authority is accepted everywhere before it issues anything, and the old one is accepted until the new one was
//! seen to work. So whatever is in the middle, everybody is let in, and the command can be run again.

mod kubernetes;
mod nodes;
mod plan;
mod rotation;

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context as _, Result, bail, ensure};
use config::Config;
use config::authority::{self, Which};
use pki::clientconfig::ClientConfig;

use self::nodes::{Access, Comments, Goal, soon, wait};
use self::plan::Step;
use self::rotation::{Replacement, Rotation, short};
use crate::Program;
use crate::cli::common::Node;
use crate::cli::rotate::RotateCa;
use crate::commands::files;
use crate::commands::health::view::{Nodes, discover};
use crate::output::{note, print};
use crate::session::{Settings, Target, block};

/// Runs `rotate-ca`.
pub fn run(command: &Node<RotateCa>, program: Program) -> Result<()> {
    let args = &command.args;
    let chosen = [(Which::Machine, args.talos), (Which::Kubernetes, args.kubernetes)];
    let authorities: Vec<Which> = chosen
        .into_iter()
        .filter(|(_, yes)| *yes)
        .map(|(which, _)| which)
        .collect();
    if authorities.is_empty() {
        bail!("there is nothing to replace: --talos and --kubernetes are both false");
    }
    let settings = Settings::read(&command.client, program)?;
    block(async {
        let mut work = Work::prepare(args, &settings, &authorities).await?;
        let steps = plan::steps(&authorities);
        print(&work.describe(&steps))?;
        if args.dry_run {
            note("this was a dry run: nothing was changed (--dry-run=false does it)");
            return Ok(());
        }
        work.rotation.save(&work.file)?;
        for (i, step) in steps.iter().enumerate() {
            note(&format!("{}/{} {}", i + 1, steps.len(), step.title(&args.output)));
            work.step(*step).await.with_context(|| {
                format!(
                    "stopped at step {} of {}: {}. Run the same command again to go on: the new authorities are in {}, \
                     which is a secret{}",
                    i + 1,
                    steps.len(),
                    step.unfinished(),
                    work.file.display(),
                    work.advice(),
                )
            })?;
        }
        Rotation::remove(&work.file)?;
        work.farewell(&authorities);
        Ok(())
    })
}

/// A rotation in progress.
struct Work<'a> {
    args: &'a RotateCa,
    settings: &'a Settings,
    nodes: Nodes,
    access: Access,
    rotation: Rotation,
    /// Where it is kept.
    file: PathBuf,
    /// The new client configuration is in use.
    switched: bool,
}

impl<'a> Work<'a> {
    async fn prepare(args: &'a RotateCa, settings: &'a Settings, authorities: &[Which]) -> Result<Self> {
        let file = Rotation::path(&args.output);
        let mut rotation = Rotation::load(&file)?.unwrap_or_default();
        let mut access = Access::open(&settings.endpoints, &settings.context)?;
        let first = settings.nodes.first().cloned().unwrap_or_default();
        let mut switched = false;
        if let Some(begun) = rotation.of(Which::Machine) {
            note(&format!("going on with the rotation in {}", file.display()));
            access.trust(begun)?;
            if nodes::answers(&access.node(&first)).await.is_err() {
                // The old authority may be forgotten already.
                let successor = access.successor(&begun.new, SystemTime::now())?;
                access.switch(&successor)?;
                switched = true;
            }
        }
        let mut nodes = Nodes {
            control_planes: args.control_plane_nodes.clone(),
            workers: args.worker_nodes.clone(),
        };
        nodes.control_planes.extend(args.init_node.clone());
        if nodes.control_planes.is_empty() {
            ensure!(
                nodes.workers.is_empty(),
                "--worker-nodes needs --control-plane-nodes: all nodes have to change, or none are named"
            );
            let target = Target {
                client: access.node(&first),
                node: first,
            };
            nodes = discover(&target, std::time::Instant::now()).await?;
        }
        let all: Vec<String> = nodes.all().cloned().collect();
        for which in authorities {
            let issuing = nodes::issuing(&access, &all, *which).await?;
            rotation.prepare(*which, &issuing, SystemTime::now())?;
        }
        if let Some(machine) = rotation.of(Which::Machine).filter(|_| !switched) {
            access.trust(machine)?;
        }
        Ok(Self {
            args,
            settings,
            nodes,
            access,
            rotation,
            file,
            switched,
        })
    }

    /// What will be done.
    fn describe(&self, steps: &[Step]) -> String {
        let mut text = format!("control planes: {}\n", self.nodes.control_planes.join(", "));
        text.push_str(&format!("workers: {}\n", self.nodes.workers.join(", ")));
        for which in [Which::Machine, Which::Kubernetes] {
            if let Some(Replacement { old, .. }) = self.rotation.of(which) {
                text.push_str(&format!("the {which} authority {} is replaced\n", short(old)));
            }
        }
        for (i, step) in steps.iter().enumerate() {
            text.push_str(&format!("{:>3}. {}\n", i + 1, step.title(&self.args.output)));
        }
        text
    }

    fn replacement(&self, which: Which) -> Result<Replacement> {
        let found = self.rotation.of(which).cloned();
        found.with_context(|| format!("there is no new {which} authority"))
    }

    async fn step(&mut self, step: Step) -> Result<()> {
        match step {
            Step::Accept(which) | Step::Issue(which) | Step::Forget(which) => self.every_node(step, which).await,
            Step::Client => self.new_client().await,
            Step::Publish => self.publish().await,
            Step::Kubeconfig => self.try_kubernetes().await,
        }
    }

    /// Changes node after node, and waits until each has come to where the step leads.
    async fn every_node(&self, step: Step, which: Which) -> Result<()> {
        let authorities = self.replacement(which)?;
        let comments = Comments {
            docs: self.args.with_docs,
            examples: self.args.with_examples,
        };
        for node in self.nodes.all() {
            let client = self.access.node(node);
            let change = async || nodes::change(&client, comments, |config| edited(config, step, &authorities)).await;
            let changed = soon(&format!("{node} to take its configuration"), change).await?;
            let config = soon(node, async || nodes::configuration(&client).await).await?;
            let issuing = authority::issuing(&config, which).unwrap_or_default().crt;
            let goal = goal(step, &issuing, &authorities);
            match which {
                Which::Machine => wait(node, async || nodes::machine_api(&client, goal).await).await?,
                Which::Kubernetes => self.settle(node, goal).await?,
            }
            note(&format!(
                "     {node}: {}",
                if changed { "done" } else { "was done already" }
            ));
        }
        Ok(())
    }

    /// Waits until Kubernetes on a node has come to the goal. Certificates are made one after the other, so it has to be
    /// the same in two looks.
    async fn settle(&self, node: &str, goal: Goal<'_>) -> Result<()> {
        let client = self.access.node(node);
        let control_plane = self.nodes.control_planes.iter().any(|n| n == node);
        let asked = if control_plane { node } else { self.first() };
        let mut seen = String::new();
        wait(node, async || {
            let kubernetes = self.kubernetes(asked).await?;
            let mut versions = kubernetes::kubelet(&client, &kubernetes, node, goal).await?;
            if control_plane {
                versions += &kubernetes::control_plane(&client, &kubernetes, node, goal).await?;
            }
            let settled = versions == seen;
            seen = versions;
            ensure!(settled, "its certificates have just changed");
            Ok(())
        })
        .await
    }

    fn first(&self) -> &str {
        self.nodes
            .control_planes
            .first()
            .map(String::as_str)
            .unwrap_or_default()
    }

    async fn kubernetes(&self, control_plane: &str) -> Result<k8s::Client> {
        kubernetes::client(&self.access, control_plane, self.args.k8s_endpoint.as_deref()).await
    }

    /// Writes the client configuration of the new authority, and uses it from now on.
    async fn new_client(&mut self) -> Result<()> {
        let machine = self.replacement(Which::Machine)?;
        let successor = self.access.successor(&machine.new, SystemTime::now())?;
        let output = Path::new(&self.args.output);
        // Other contexts stay if the configuration in use is written anew; else there is this one.
        let mut config = match same_file(output, &self.settings.path) {
            true => ClientConfig::load(output)?,
            false => ClientConfig {
                context: self.settings.name.clone(),
                ..ClientConfig::default()
            },
        };
        config.contexts.insert(self.settings.name.clone(), successor.clone());
        files::write_client_config(output, &config)?;
        for (endpoint, client) in self.access.each_endpoint(&successor)? {
            for node in self.nodes.all() {
                let client = client.with_nodes(&[node]);
                wait(
                    &format!("{node} to answer the new client, through {endpoint}"),
                    async || nodes::answers(&client).await,
                )
                .await?;
            }
        }
        self.access.switch(&successor)?;
        self.switched = true;
        Ok(())
    }

    /// Pods learn of the new authority of Kubernetes before anything shows a certificate of it.
    async fn publish(&self) -> Result<()> {
        let authorities = self.replacement(Which::Kubernetes)?;
        let crt = &authorities.new.crt;
        wait("the authority to be published", async || {
            kubernetes::published(&self.kubernetes(self.first()).await?, crt).await
        })
        .await?;
        let kubernetes = self.kubernetes(self.first()).await?;
        kubernetes::restart_system(&self.access, &kubernetes, crt).await
    }

    /// Every control plane hands out a kubeconfig that works.
    async fn try_kubernetes(&self) -> Result<()> {
        for node in &self.nodes.control_planes {
            wait(&format!("a kubeconfig of {node} to work"), async || {
                self.kubernetes(node).await?.raw("/readyz").await?;
                Ok(())
            })
            .await?;
        }
        Ok(())
    }

    /// What else to know when it stopped.
    fn advice(&self) -> String {
        match self.switched {
            true => format!(
                "; use the new client configuration, {} (--talosconfig)",
                self.args.output
            ),
            false => String::new(),
        }
    }

    /// What is left to do for the person.
    fn farewell(&self, authorities: &[Which]) {
        note("the old authorities are accepted no more");
        if authorities.contains(&Which::Machine) && !same_file(Path::new(&self.args.output), &self.settings.path) {
            note(&format!(
                "{} is the new client configuration: `config merge {0}` adds it to yours",
                self.args.output
            ));
        }
        if authorities.contains(&Which::Kubernetes) {
            note(
                "fetch the kubeconfig again (`kubeconfig`), and restart pods of yours that talk to the API of Kubernetes",
            );
        }
        note(
            "keep the new authorities: `gen secrets --from-controlplane-config` takes them from a control plane's configuration",
        );
    }
}

/// A node's configuration after a step.
fn edited(config: &Config, step: Step, authorities: &Replacement) -> Result<Config> {
    Ok(match step {
        Step::Accept(which) => authority::accept(config, which, &authorities.new.crt)?,
        Step::Issue(which) => authority::issue(config, which, &authorities.new)?,
        Step::Forget(which) => authority::forget(config, which, &authorities.old)?,
        Step::Publish | Step::Client | Step::Kubeconfig => config.clone(),
    })
}

/// Where a step leads on a node that issues with this authority.
fn goal<'a>(step: Step, issuing: &'a [u8], authorities: &'a Replacement) -> Goal<'a> {
    Goal {
        issuing,
        also: matches!(step, Step::Accept(_)).then_some(&authorities.new.crt[..]),
        not: matches!(step, Step::Forget(_)).then_some(&authorities.old[..]),
    }
}

fn same_file(one: &Path, other: &Path) -> bool {
    let real = |path: &Path| std::fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    real(one) == real(other)
}
