//! A `cluster create` that does not come to its end: what it leaves running, how to go on, and how to remove it.

use std::cell::Cell;
use std::path::{Path, PathBuf};

use provision::Cluster as Found;

use crate::Program;
use crate::output::{complain, note, told};
use crate::session::{Interrupted, Silent};

/// How far a creation came.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stage {
    /// Its network and nodes are being made.
    #[default]
    Nodes,
    /// The nodes run; etcd is being bootstrapped.
    Bootstrap,
    /// Waiting until it is healthy.
    Health,
    /// The kubeconfig is being fetched.
    Kubeconfig,
}

impl Stage {
    /// The commands that do what is left.
    fn left(self) -> &'static [&'static str] {
        match self {
            Self::Nodes => &[],
            Self::Bootstrap => &["bootstrap", "health", "kubeconfig"],
            Self::Health => &["health", "kubeconfig"],
            Self::Kubeconfig => &["kubeconfig"],
        }
    }
}

/// A creation that goes on.
pub struct Creation<'a> {
    name: &'a str,
    state: &'a Path,
    /// Under which name it was called.
    pub program: Program,
    /// There was a cluster of that name before: nothing that is there is ours.
    existed: bool,
    stage: Cell<Stage>,
    client_file: Cell<Option<PathBuf>>,
}

impl<'a> Creation<'a> {
    /// One that begins now.
    pub fn begin(name: &'a str, state: &'a Path, program: Program) -> Self {
        Self {
            name,
            state,
            program,
            existed: provision::show(state, name).is_ok(),
            stage: Cell::default(),
            client_file: Cell::default(),
        }
    }

    /// Whether something of it is there that was not before.
    pub fn made_something(&self) -> bool {
        !self.existed && provision::show(self.state, self.name).is_ok()
    }

    /// It got this far.
    pub fn reached(&self, stage: Stage) {
        self.stage.set(stage);
    }

    /// The client configuration that knows the cluster is not the usual one.
    pub fn client_file(&self, path: &Path) {
        self.client_file.set(Some(path.to_owned()));
    }

    /// Tells why it ended and what is left of it.
    pub fn failed(&self, error: anyhow::Error) -> anyhow::Error {
        let known = provision::show(self.state, self.name).ok();
        let Some(cluster) = known.filter(|_| !self.existed) else {
            return error;
        };
        // A reader that went away is told nothing.
        if crate::is_closed_pipe(&error) {
            return error;
        }
        complain(&told(&error));
        note(&self.report(&cluster));
        match error.downcast_ref::<Interrupted>() {
            Some(interrupted) => Interrupted::told(interrupted.code).into(),
            None => Silent.into(),
        }
    }

    fn report(&self, cluster: &Found) -> String {
        let program = self.program.name();
        let flags = self.cluster_flags();
        let running = cluster
            .nodes
            .iter()
            .filter(|node| node.status.supervisor.is_some())
            .count();
        let stage = self.stage.get();
        let state = if cluster.complete {
            "goes on running"
        } else {
            "is not complete"
        };
        let mut lines = vec![format!(
            "the cluster \"{}\" {state}: {running} of {} nodes run",
            self.name,
            cluster.nodes.len()
        )];
        if cluster.complete && !stage.left().is_empty() {
            let file = self.client_file.take();
            let config = file.map(|path| format!(" --talosconfig {}", path.display()));
            let config = config.unwrap_or_default();
            let commands = stage
                .left()
                .iter()
                .map(|command| format!("{program} {command}{config}"));
            lines.push(format!(
                "  to go on:      {}",
                commands.collect::<Vec<_>>().join(" && ")
            ));
        }
        lines.push(format!(
            "  to look at it: {program} cluster show{flags} (logs: {}/*.log)",
            cluster.folder.display()
        ));
        lines.push(format!("  to remove it:  {program} cluster destroy{flags}"));
        lines.join("\n")
    }

    /// The flags by which other commands find the cluster.
    fn cluster_flags(&self) -> String {
        let home = std::env::var_os("HOME").unwrap_or_default();
        let usual = std::env::var_os("KEELSON_STATE").is_some_and(|path| Path::new(&path) == self.state)
            || Path::new(&home).join(self.program.clusters_folder()) == self.state;
        if usual {
            format!(" --name {}", self.name)
        } else {
            format!(" --name {} --state {}", self.name, self.state.display())
        }
    }
}
