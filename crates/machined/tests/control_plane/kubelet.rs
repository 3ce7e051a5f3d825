//! The kubelet takes its flags and configuration.

use std::path::Path;
use std::process::Command;

use machined::kubernetes::kubelet::{self, Kubelet};

use crate::node::{ADDRESS, Node};

/// The kubelet checks flags and configuration before it looks for containerd, which is not there.
pub fn accepts_its_configuration(node: &Node) {
    let spec = kubelet::render(&Kubelet {
        nodename: "cp1".into(),
        node_ips: vec![ADDRESS.parse().unwrap()],
        cluster_dns: vec!["10.96.0.10".into()],
        cluster_domain: "cluster.local".into(),
        default_runtime_seccomp_enabled: true,
        static_pod_list_url: "http://127.0.0.1:1".into(),
        disable_manifests_directory: true,
        enable_fs_quota_monitoring: true,
        control_plane: true,
        host: kubelet::Host {
            container: true,
            cgroup_v1: Path::new("/sys/fs/cgroup/memory").exists(),
            ..Default::default()
        },
        ..Kubelet::default()
    })
    .unwrap();
    for folder in ["/etc/kubernetes/pki", "/var/lib/kubelet/pki", "/var/run"] {
        std::fs::create_dir_all(node.place(folder)).unwrap();
    }
    std::fs::write(node.place(kubelet::CLIENT_CA), &node.kubernetes_ca).unwrap();
    let mut config = node.place(&spec.config.to_string());
    config = config.replace("/run/containerd/", "/run/nothing-here/");
    std::fs::write(node.place(kubelet::CONFIG), config).unwrap();
    std::fs::write(node.place(kubelet::KUBECONFIG), node.admin_kubeconfig.expose()).unwrap();
    let args = spec.args.iter().map(|a| node.place(a));
    let output = Command::new("timeout")
        .arg("60")
        .arg(node.images.program("kubelet"))
        .args(args)
        .arg(node.place("--root-dir=/var/lib/kubelet"))
        .output()
        .unwrap();
    let log = String::from_utf8_lossy(&output.stderr);
    let end: Vec<&str> = log.lines().rev().take(8).collect();
    assert!(
        log.contains("validate CRI v1 runtime API") || log.contains("nothing-here"),
        "kubelet: {end:#?}"
    );
}
