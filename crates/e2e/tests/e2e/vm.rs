//! What many machines do not have, or must not be done to, in a virtual machine: control groups of version 2, and a clock
//! that is set. It is emulated, so everything takes minutes of processor time; this is not part of a run without a
//! filter: `cargo test --workspace --test e2e -- vm`.

mod clock;
mod groups;

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use e2e::machine::Machine;
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;
use serde_json::Value;

/// The only node.
const NODE: &str = "10.5.0.2";
/// How long what takes seconds elsewhere may take here, on a host that has other things to do.
const PATIENCE: Duration = Duration::from_secs(1200);

pub fn tests() -> Vec<Test<Vm>> {
    let last = tests![groups::a_cluster_that_is_destroyed_leaves_nothing_in_a_vm];
    [groups::tests(), clock::tests(), last].into_iter().flatten().collect()
}

/// A virtual machine with a cluster of one control plane in it.
pub struct Vm {
    machine: Machine,
}

impl Vm {
    pub fn create() -> Result<Self> {
        let vm = Self {
            machine: Machine::boot()?,
        };
        let patch = r#"{"cluster":{"allowSchedulingOnControlPlanes":true}}"#;
        let create =
            format!("keelctl cluster create --name vm --workers 0 --wait-timeout 30m --config-patch '{patch}'");
        let created = vm.machine.run(&create)?;
        if !created.ok() {
            println!("{}\n{}", vm.logs(), vm.machine.said());
        }
        created.output()?;
        println!(
            "machine: its cluster was healthy {} s after it was switched on",
            vm.uptime()?
        );
        Ok(vm)
    }

    /// Output of lines of shell.
    fn sh(&self, script: &str) -> Result<String> {
        self.machine.output(script)
    }

    /// Output of keelctl, which asks the node.
    fn keelctl(&self, args: &str) -> Result<String> {
        self.sh(&format!("keelctl -n {NODE} {args}"))
    }

    /// Output of kubectl.
    fn kubectl(&self, args: &str) -> Result<String> {
        self.sh(&format!("kubectl --request-timeout=60s {args}"))
    }

    /// A list of things of Kubernetes.
    fn list(&self, args: &str) -> Result<Vec<Value>> {
        let list: Value = serde_json::from_str(&self.kubectl(&format!("get {args} -o json"))?)?;
        Ok(list["items"].as_array().cloned().unwrap_or_default())
    }

    /// Runs a pod, and waits until it is ready. One that is there already stays.
    fn pod(&self, name: &str, resources: &str) -> Result<()> {
        let manifest = format!(
            "{{apiVersion: v1, kind: Pod, metadata: {{name: {name}}}, spec: {{terminationGracePeriodSeconds: 1, \
             containers: [{{name: main, image: \"{}\", args: [serve], resources: {{{resources}}}}}]}}}}",
            crate::kubernetes::IMAGE
        );
        eventually(&format!("the pod {name} to be taken"), PATIENCE, || {
            self.sh(&format!("echo '{manifest}' | kubectl apply -f -"))
        })?;
        eventually(&format!("the pod {name} to be ready"), PATIENCE, || {
            let ready = self.kubectl(&format!("wait --for=condition=Ready pod/{name} --timeout=10s"));
            ready.map(drop).with_context(|| {
                let events = self.kubectl(&format!("events --for=pod/{name}")).unwrap_or_default();
                format!("what happened to it:\n{events}")
            })
        })
    }

    /// The seconds since it was switched on.
    fn uptime(&self) -> Result<f64> {
        let text = self.sh("cat /proc/uptime")?;
        let seconds = text.split_whitespace().next().context("no time since the start")?;
        Ok(seconds.parse()?)
    }

    /// The file of a control group, by a path that ends so.
    fn group_file(&self, path: &str) -> Result<String> {
        let found = self.sh(&format!("cat $(find /sys/fs/cgroup -path '*/{path}')"))?;
        let found = found.trim();
        ensure!(!found.is_empty() && found.lines().count() == 1, "{path}: {found:?}");
        Ok(found.to_owned())
    }

    /// The ends of the logs of the cluster.
    fn logs(&self) -> String {
        self.sh("tail -n 40 ~/.keelson/clusters/vm/*.log").unwrap_or_default()
    }
}
