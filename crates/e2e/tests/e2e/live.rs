//! Changes of configuration that take effect on a running node: nothing reboots, and what was changed back is back.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::{Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};
use crate::effects::with_patch;

/// How long a static pod or the kubelet may take to start again with something new, on a slow machine.
const RESTART: Duration = Duration::from_secs(180);
const SOON: Duration = Duration::from_secs(60);

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_kubelet_gets_new_settings_and_its_node_annotations,
        taints_change_on_a_control_plane_and_a_worker_says_why_they_cannot,
        a_registry_is_asked_with_the_credentials_of_the_configuration,
        time_servers_are_those_of_the_configuration,
        requests_are_audited_and_admitted_by_new_rules,
    ]
}

/// When a node booted: its status is as old as its init process.
fn boot(c: &Cluster, node: &str) -> Result<String> {
    let created = c.ask(node, &["get", "machinestatus", "-o", "jsonpath={.metadata.created}"])?;
    ensure!(created.contains("20"), "no time: {created:?}");
    Ok(created)
}

fn a_kubelet_gets_new_settings_and_its_node_annotations(c: &Cluster) -> Result<()> {
    let before = boot(c, worker())?;
    let node = || c.kube_json(&["get", "node", "e2e-worker-1"]);
    let usual = node()?["status"]["capacity"]["pods"].clone();
    // The label is one that Kubernetes does not let a kubelet set: the annotation comes nevertheless.
    let patch = "machine:\n  kubelet:\n    extraArgs: {max-pods: \"77\"}\n  nodeAnnotations: {e2e.keelson.dev/a: b}\n  \
                 nodeLabels: {node-role.kubernetes.io/e2e: \"\"}\n";
    with_patch(c, worker(), patch, || {
        eventually("the settings", RESTART, || {
            let node = node()?;
            let (capacity, metadata) = (&node["status"]["capacity"], &node["metadata"]);
            ensure!(capacity["pods"] == "77", "{capacity}");
            ensure!(metadata["annotations"]["e2e.keelson.dev/a"] == "b", "{metadata}");
            Ok(())
        })
    })?;
    eventually("what was before", RESTART, || {
        let node = node()?;
        let (capacity, metadata) = (&node["status"]["capacity"], &node["metadata"]);
        ensure!(capacity["pods"] == usual, "{capacity}");
        ensure!(metadata["annotations"]["e2e.keelson.dev/a"].is_null(), "{metadata}");
        Ok(())
    })?;
    ensure!(boot(c, worker())? == before, "the node rebooted");
    Ok(())
}

fn taints_change_on_a_control_plane_and_a_worker_says_why_they_cannot(c: &Cluster) -> Result<()> {
    let patch = "machine:\n  nodeTaints: {e2e.keelson.dev/t: \"v:PreferNoSchedule\"}\n";
    let taints = || {
        let node = c.kube_json(&["get", "node", "e2e-controlplane-1"])?;
        Ok::<_, anyhow::Error>(node["spec"]["taints"].to_string())
    };
    let before = taints()?;
    with_patch(c, control_plane(), patch, || {
        eventually("the taint", SOON, || {
            let now = taints()?;
            ensure!(
                now.contains("e2e.keelson.dev/t") && now.contains("PreferNoSchedule"),
                "{now}"
            );
            Ok(())
        })
    })?;
    eventually("the taints there were", SOON, || {
        ensure!(taints()? == before, "{}", taints()?);
        Ok(())
    })?;
    let tried = c
        .keelctl
        .run(&["-n", worker(), "patch", "machineconfig", "-p", patch, "--dry-run"])?;
    let told = format!("{}{}", tried.stdout, tried.stderr);
    ensure!(tried.ok() && told.contains("kubectl taint node"), "{told}");
    Ok(())
}

/// A registry that has nothing, and says so to those who bring credentials. It keeps what they brought.
fn registry() -> Result<(String, Arc<Mutex<Vec<String>>>)> {
    let listener = TcpListener::bind((network().host(1), 0))?;
    let host = listener.local_addr()?.to_string();
    let brought = Arc::new(Mutex::new(Vec::new()));
    let kept = brought.clone();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
            let mut head = Vec::new();
            let mut byte = [0u8; 1];
            while !head.ends_with(b"\r\n\r\n") && head.len() < 8192 && stream.read(&mut byte).is_ok_and(|n| n == 1) {
                head.push(byte[0]);
            }
            let head = String::from_utf8_lossy(&head).into_owned();
            let credentials = head
                .lines()
                .find(|line| line.to_lowercase().starts_with("authorization: "));
            let status = match credentials {
                Some(line) => {
                    if let Ok(mut kept) = kept.lock() {
                        kept.push(line.to_owned());
                    }
                    "404 Not Found"
                }
                None => "401 Unauthorized\r\nwww-authenticate: Basic realm=\"e2e\"",
            };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    Ok((host, brought))
}

fn a_registry_is_asked_with_the_credentials_of_the_configuration(c: &Cluster) -> Result<()> {
    let (host, brought) = registry()?;
    let patch = format!(
        "machine:\n  registries:\n    mirrors:\n      e2e.example: {{endpoints: [\"http://{host}\"], skipFallback: \
         true}}\n    config:\n      \"{host}\":\n        auth: {{username: keel, password: son}}\n"
    );
    asks_with_credentials(c, &patch, &brought)?;
    // containerd gets them in another way where images are verified.
    let rules =
        "---\napiVersion: v1alpha1\nkind: ImageVerificationConfig\nrules: [{image: e2e.example/*, skip: true}]\n";
    asks_with_credentials(c, &(patch + rules), &brought)
}

fn asks_with_credentials(c: &Cluster, patch: &str, brought: &Mutex<Vec<String>>) -> Result<()> {
    with_patch(c, worker(), patch, || {
        // The node's own puller and containerd's, as the kubelet uses it.
        for namespace in ["system", "cri"] {
            if let Ok(mut brought) = brought.lock() {
                brought.clear();
            }
            eventually(&format!("credentials from {namespace}"), SOON, || {
                let image = [
                    "-n",
                    worker(),
                    "image",
                    "pull",
                    "--namespace",
                    namespace,
                    "e2e.example/nothing:1",
                ];
                let refusal = c.keelctl.run(&image)?.refusal()?;
                ensure!(!refusal.contains("c29u"), "a password is shown: {refusal}");
                let brought = brought.lock().map(|lines| lines.join("\n")).unwrap_or_default();
                // keel:son
                ensure!(brought.contains("Basic a2VlbDpzb24="), "{refusal}\n{brought}");
                Ok(())
            })?;
        }
        Ok(())
    })
}

fn time_servers_are_those_of_the_configuration(c: &Cluster) -> Result<()> {
    let patch = "machine:\n  time:\n    servers: [clock.e2e.example]\n";
    let shown = || c.ask(worker(), &["get", "timeservers"]);
    with_patch(c, worker(), patch, || {
        eventually("the time server", SOON, || {
            ensure!(shown()?.contains("clock.e2e.example"), "{}", shown()?);
            Ok(())
        })
    })?;
    eventually("the old ones", SOON, || {
        ensure!(!shown()?.contains("clock.e2e.example"), "{}", shown()?);
        Ok(())
    })
}

const PRIVILEGED: &str = "apiVersion: v1\nkind: Pod\nmetadata: {name: e2e-not-restricted, namespace: default}\nspec:\n  \
                          containers: [{name: a, image: e2e.example/nothing:1}]\n";

fn requests_are_audited_and_admitted_by_new_rules(c: &Cluster) -> Result<()> {
    let before = boot(c, control_plane())?;
    let patch = "cluster:\n  apiServer:\n    auditPolicy:\n      apiVersion: audit.k8s.io/v1\n      kind: Policy\n      \
                 rules: [{level: Request, resources: [{resources: [configmaps]}]}, {level: None}]\n    \
                 admissionControl:\n      - name: PodSecurity\n        configuration:\n          defaults: {enforce: \
                 restricted}\n";
    let create = || {
        c.kubectl
            .run_with_input(&["create", "--dry-run=server", "-f", "-"], PRIVILEGED)
    };
    let log = || c.ask(control_plane(), &["read", "/var/log/audit/kube/kube-apiserver.log"]);
    ensure!(create()?.ok(), "refused before");
    with_patch(c, control_plane(), patch, || {
        eventually("the new rules of admission", RESTART, || {
            let refused = create()?.refusal()?;
            ensure!(refused.contains("restricted"), "{refused}");
            Ok(())
        })?;
        c.kubectl.output(&[
            "-n",
            "default",
            "create",
            "configmap",
            "e2e-audited",
            "--from-literal=heard=this",
        ])?;
        c.kubectl
            .output(&["-n", "default", "delete", "configmap", "e2e-audited"])?;
        eventually("the request in the log", SOON, || {
            let log = log()?;
            let line = log
                .lines()
                .rev()
                .find(|line| line.contains("e2e-audited") && line.contains("\"create\""));
            let line = line.unwrap_or_default();
            ensure!(
                line.contains("\"level\":\"Request\"") && line.contains("heard"),
                "{line}"
            );
            Ok(())
        })
    })?;
    eventually("the old rules of admission", RESTART, || {
        let created = create()?;
        ensure!(created.ok(), "{created:?}");
        Ok(())
    })?;
    ensure!(boot(c, control_plane())? == before, "the node rebooted");
    Ok(())
}
