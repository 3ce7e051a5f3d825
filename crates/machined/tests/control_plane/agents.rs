//! What runs on every node by the bootstrap manifests: kube-proxy and flannel, from their images with their manifests'
//! arguments.

use std::process::{Child, Stdio};
use std::time::Duration;

use k8s::{Auth, Client, Patch, resources};
use serde_json::{Value, json};

use crate::node::{ADDRESS, Node};
use crate::until;

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The API server answers at its service address in both modes.
pub async fn services_are_reached(node: &mut Node, admin: &Client) {
    // As the kubelet does; without an address kube-proxy waits half a minute for one.
    let addressed = json!({"status": {"addresses": [{"type": "InternalIP", "address": ADDRESS}]}});
    admin
        .patch(&resources::NODES, None, "w1", Some("status"), &Patch::Merge(addressed))
        .await
        .unwrap();
    let manifests = node.bootstrap_manifests();
    let proxy = object(&manifests, "10-kube-proxy", "DaemonSet");
    let container = &proxy["spec"]["template"]["spec"]["containers"][0];
    for mode in ["nftables", "iptables"] {
        let args = texts(&container["command"])
            .map(|arg| arg.replace("$(NODE_NAME)", "w1"))
            .map(|arg| {
                if arg.starts_with("--proxy-mode=") {
                    format!("--proxy-mode={mode}")
                } else {
                    arg
                }
            });
        let args: Vec<String> = args.collect();
        let root = node.images.root("kube-proxy");
        std::fs::create_dir_all(root.join("etc/kubernetes")).unwrap();
        std::fs::write(root.join("etc/kubernetes/kubeconfig"), node.admin_kubeconfig.expose()).unwrap();
        let mut command = node.images.confined("kube-proxy", &args[0]);
        let log = std::fs::File::create(node.log(mode)).unwrap();
        let child = command
            .args(&args[1..])
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let running = Running(child);
        let service = Client::with(k8s::Options {
            timeout: Duration::from_secs(2),
            ..k8s::Options::new("https://10.96.0.1", &node.kubernetes_ca, Auth::Anonymous)
        })
        .unwrap();
        until(&format!("kube-proxy, {mode}: the API server's service"), || async {
            service.raw("/readyz").await.is_ok()
        })
        .await;
        drop(running);
        let mut cleanup = node.images.confined("kube-proxy", &args[0]);
        assert!(
            cleanup
                .arg("--cleanup")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .unwrap()
                .success()
        );
    }
}

/// flannel reads its configuration, makes its link and says which subnet the node has.
pub async fn pods_get_a_subnet(node: &mut Node) {
    let manifests = node.bootstrap_manifests();
    let container = &object(&manifests, "05-flannel", "DaemonSet")["spec"]["template"]["spec"]["containers"][0];
    let config = &object(&manifests, "05-flannel", "ConfigMap")["data"]["net-conf.json"];
    let root = node.images.root("flannel");
    for folder in ["etc/kube-flannel", "run/flannel", "etc/kubernetes"] {
        std::fs::create_dir_all(root.join(folder)).unwrap();
    }
    std::fs::write(root.join("etc/kube-flannel/net-conf.json"), config.as_str().unwrap()).unwrap();
    std::fs::write(root.join("etc/kubernetes/kubeconfig"), node.admin_kubeconfig.expose()).unwrap();
    let mut command = node
        .images
        .confined("flannel", container["command"][0].as_str().unwrap());
    // A pod would find its node and the API server by its service account.
    command
        .args(texts(&container["args"]))
        .arg("--kubeconfig-file=/etc/kubernetes/kubeconfig");
    command.envs([
        ("NODE_NAME", "w1"),
        ("EVENT_QUEUE_DEPTH", "5000"),
        ("CONT_WHEN_CACHE_NOT_READY", "false"),
    ]);
    let log = std::fs::File::create(node.log("flannel")).unwrap();
    let _running = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
    let subnet = || std::fs::read_to_string(root.join("run/flannel/subnet.env")).unwrap_or_default();
    until("flannel's subnet", || async {
        subnet().contains("FLANNEL_SUBNET=10.244.")
    })
    .await;
    let link = std::process::Command::new("ip")
        .args(["-d", "link", "show", "flannel.1"])
        .output()
        .unwrap();
    assert!(String::from_utf8_lossy(&link.stdout).contains("dstport 4789"));
}

fn object<'a>(manifests: &'a [machined::kubernetes::manifests::Manifest], id: &str, kind: &str) -> &'a Value {
    manifests
        .iter()
        .find(|m| m.id == id)
        .unwrap()
        .objects
        .iter()
        .find(|o| o["kind"] == kind)
        .unwrap()
}

fn texts(list: &Value) -> impl Iterator<Item = String> {
    list.as_array().unwrap().iter().map(|v| v.as_str().unwrap().to_owned())
}
