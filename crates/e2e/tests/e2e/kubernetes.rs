//! Kubernetes as its users know it, through the real kubectl.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use e2e::run::Test;
use e2e::tests;
use e2e::wait::eventually;

use crate::cluster::{Cluster, control_plane, worker};

pub const IMAGE: &str = "ghcr.io/keelson/test:v1";

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        core_dns_runs,
        a_deployment_runs_on_both_nodes,
        a_service_is_reached_by_name_from_the_other_node,
        services_are_reached_after_kube_proxy_restarted,
        exec_and_logs_work,
        port_forward_works,
        a_node_port_answers_on_every_node,
        a_rolling_update_completes,
        a_job_completes,
    ]
}

fn core_dns_runs(c: &Cluster) -> Result<()> {
    c.kubectl.output(&[
        "-n",
        "kube-system",
        "rollout",
        "status",
        "deployment/coredns",
        "--timeout=120s",
    ])?;
    Ok(())
}

/// Six replicas of the test program, spread over both nodes, and services for them.
fn a_deployment_runs_on_both_nodes(c: &Cluster) -> Result<()> {
    let manifest = format!(
        r#"
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 4
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      tolerations: [{{key: node-role.kubernetes.io/control-plane, effect: NoSchedule}}]
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: DoNotSchedule
          labelSelector: {{matchLabels: {{app: web}}}}
      terminationGracePeriodSeconds: 1
      containers:
        - name: web
          image: {IMAGE}
          args: [serve]
          ports: [{{containerPort: 8080}}]
          readinessProbe: {{httpGet: {{path: /, port: 8080}}, periodSeconds: 1}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec:
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080}}]
---
apiVersion: v1
kind: Service
metadata: {{name: web-node-port}}
spec:
  type: NodePort
  selector: {{app: web}}
  ports: [{{port: 80, targetPort: 8080, nodePort: 30080}}]
"#
    );
    c.kubectl.run_with_input(&["apply", "-f", "-"], &manifest)?.output()?;
    c.kubectl
        .output(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    let pods = c.kube_json(&["get", "pods", "-l", "app=web"])?;
    let mut nodes: Vec<&str> = pods["items"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| p["spec"]["nodeName"].as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    ensure!(nodes.len() == 2, "all replicas run on {nodes:?}");
    Ok(())
}

/// The name of a pod of the deployment on each node.
fn web_pods(c: &Cluster) -> Result<Vec<String>> {
    let pods = c.kube_json(&["get", "pods", "-l", "app=web", "--field-selector=status.phase=Running"])?;
    let mut by_node = std::collections::BTreeMap::new();
    for pod in pods["items"].as_array().into_iter().flatten() {
        if let (Some(node), Some(name)) = (pod["spec"]["nodeName"].as_str(), pod["metadata"]["name"].as_str()) {
            by_node.insert(node.to_owned(), name.to_owned());
        }
    }
    Ok(by_node.into_values().collect())
}

fn a_service_is_reached_by_name_from_the_other_node(c: &Cluster) -> Result<()> {
    let pods = web_pods(c)?;
    ensure!(pods.len() == 2, "{pods:?}");
    // From both nodes, until each node has seen an answer of the other's pods.
    for from in &pods {
        eventually("an answer from every node", Duration::from_secs(60), || {
            let mut seen = std::collections::BTreeSet::new();
            for _ in 0..12 {
                let url = "http://web.default.svc.cluster.local/";
                let answer = c.kubectl.output(&["exec", from, "--", "/test", "dial", url])?;
                seen.extend(answer.split_whitespace().map(str::to_owned));
            }
            ensure!(pods.iter().all(|p| seen.contains(p)), "{from} saw only {seen:?}");
            Ok(())
        })?;
    }
    Ok(())
}

fn services_are_reached_after_kube_proxy_restarted(c: &Cluster) -> Result<()> {
    let proxies = ["-n", "kube-system", "rollout"];
    c.kubectl
        .output(&[&proxies[..], &["restart", "daemonset/kube-proxy"]].concat())?;
    let done = ["status", "daemonset/kube-proxy", "--timeout=180s"];
    c.kubectl.output(&[&proxies[..], &done].concat())?;
    // One that is new is reached when the new kube-proxy has done its first work; then the old one is looked at.
    let service = "{apiVersion: v1, kind: Service, metadata: {name: later}, spec: {selector: {app: web}, ports: \
                   [{port: 80, targetPort: 8080}]}}";
    c.kubectl.run_with_input(&["apply", "-f", "-"], service)?.output()?;
    for from in web_pods(c)? {
        eventually("the new service to be reached", Duration::from_secs(120), || {
            let url = "http://later.default.svc.cluster.local/";
            c.kubectl.output(&["exec", &from, "--", "/test", "dial", url])
        })?;
    }
    c.kubectl.output(&["delete", "service", "later"])?;
    a_service_is_reached_by_name_from_the_other_node(c)
}

fn exec_and_logs_work(c: &Cluster) -> Result<()> {
    let pod = web_pods(c)?.pop().context("no pod")?;
    let ran = c.kubectl.run(&["exec", &pod, "--", "/test", "exit", "3"])?;
    ensure!(ran.code == Some(3), "{ran:?}");
    let logs = c.kubectl.output(&["logs", &pod])?;
    ensure!(!logs.is_empty(), "the pod has no logs");
    Ok(())
}

fn get(address: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address.parse()?, Duration::from_secs(3))?;
    stream.set_read_timeout(Some(Duration::from_secs(3)))?;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: web\r\nConnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    ensure!(answer.starts_with("HTTP/1.1 200"), "{address} answered {answer}");
    Ok(answer)
}

fn port_forward_works(c: &Cluster) -> Result<()> {
    let mut forward = c
        .kubectl
        .command(&["port-forward", "service/web", "18080:80", "--address", "127.0.0.1"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()?;
    let answered = eventually("an answer through the forwarded port", Duration::from_secs(20), || {
        get("127.0.0.1:18080")
    });
    forward.kill()?;
    forward.wait()?;
    answered.map(drop)
}

fn a_node_port_answers_on_every_node(_: &Cluster) -> Result<()> {
    for node in [control_plane(), worker()] {
        eventually("the node port", Duration::from_secs(30), || {
            get(&format!("{node}:30080"))
        })?;
    }
    Ok(())
}

fn a_rolling_update_completes(c: &Cluster) -> Result<()> {
    let before = web_pods(c)?;
    c.kubectl.output(&["set", "env", "deployment/web", "ROUND=2"])?;
    c.kubectl
        .output(&["rollout", "status", "deployment/web", "--timeout=120s"])?;
    eventually("the old pods to be gone", Duration::from_secs(60), || {
        let after = web_pods(c)?;
        if after.iter().any(|p| before.contains(p)) {
            bail!("{before:?} are still among {after:?}");
        }
        Ok(())
    })
}

fn a_job_completes(c: &Cluster) -> Result<()> {
    let manifest = format!(
        r#"
apiVersion: batch/v1
kind: Job
metadata: {{name: once}}
spec:
  template:
    spec:
      restartPolicy: Never
      containers: [{{name: once, image: "{IMAGE}", args: [exit, "0"]}}]
"#
    );
    c.kubectl.run_with_input(&["apply", "-f", "-"], &manifest)?.output()?;
    c.kubectl
        .output(&["wait", "--for=condition=complete", "job/once", "--timeout=60s"])?;
    Ok(())
}
