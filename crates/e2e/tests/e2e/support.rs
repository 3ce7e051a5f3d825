//! The bundle for support: everything an engineer needs, and no secret.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;

use anyhow::{Context, Result, ensure};
use e2e::run::Test;
use e2e::site::network;
use e2e::tests;

use crate::cluster::{Cluster, control_plane, worker};

pub fn tests() -> Vec<Test<Cluster>> {
    tests![
        a_bundle_has_what_an_engineer_needs_and_no_secret,
        a_bundle_replaces_nothing_unless_told,
    ]
}

type Files = BTreeMap<String, Vec<u8>>;

/// The files of a zip.
fn open(path: &Path) -> Result<Files> {
    let mut archive = zip::ZipArchive::new(std::fs::File::open(path)?).context("open the zip")?;
    let mut files = Files::new();
    for index in 0..archive.len() {
        let mut file = archive.by_index(index)?;
        let mut content = Vec::new();
        file.read_to_end(&mut content)?;
        files.insert(file.name()?.into_owned(), content);
    }
    Ok(files)
}

/// Every secret of the cluster, as the secrets bundle has it, and keys also as they are in files.
fn secrets(c: &Cluster) -> Result<Vec<String>> {
    let config = c.folder().join("support-config.yaml");
    let bundle = c.folder().join("support-secrets.yaml");
    let text = c.ask(
        control_plane(),
        &["get", "machineconfig", "v1alpha1", "-o", "jsonpath={.spec}"],
    )?;
    std::fs::write(&config, text)?;
    let (config, output) = (config.to_string_lossy(), bundle.to_string_lossy());
    c.keelctl
        .output(&["gen", "secrets", "--from-controlplane-config", &config, "-o", &output])?;
    let text = std::fs::read_to_string(&bundle)?;
    // The cluster's id and certificates are shown to everybody.
    let hidden = text.lines().filter_map(|line| line.trim().split_once(": "));
    let hidden = hidden.filter(|(key, value)| !["id", "crt"].contains(key) && value.len() >= 16);
    let values: Vec<String> = hidden
        .map(|(_, value)| value.trim_matches(['"', '\'']).to_owned())
        .collect();
    ensure!(
        values.len() >= 9,
        "only {} secrets were found in the bundle",
        values.len()
    );
    Ok(values)
}

fn a_bundle_has_what_an_engineer_needs_and_no_secret(c: &Cluster) -> Result<()> {
    let path = c.folder().join("support.zip");
    let output = path.to_string_lossy();
    let nobody = network().host(77).to_string();
    let nodes = format!("{},{},{nobody}", control_plane(), worker());
    // One node does not exist: that is told, and the others are complete.
    let ran = c
        .keelctl
        .run(&["-n", &nodes, "support", "-O", &output, "-w", "3", "-v"])?;
    ensure!(ran.code == Some(1) && ran.stderr.contains(&nobody), "{}", ran.stderr);
    let files = open(&path)?;
    let names: Vec<&str> = files.keys().map(String::as_str).collect();
    let has = |name: &str| -> Result<&Vec<u8>> { files.get(name).with_context(|| format!("no {name} in {names:#?}")) };
    has(&format!("{nobody}/unreachable.error.txt"))?;
    for node in [control_plane(), worker()] {
        for name in [
            "version.txt",
            "services.txt",
            "processes.txt",
            "mounts.txt",
            "memory.txt",
            "cgroups.txt",
            "netstat.txt",
            "containers.txt",
            "dependencies.dot",
            "machineconfig.yaml",
            "logs/machined.log",
            "logs/kubelet.log",
            "logs/containerd.log",
            "resources/Services.v1alpha1.talos.dev.yaml",
            "resources/AddressStatuses.net.talos.dev.yaml",
        ] {
            let content = has(&format!("{node}/{name}"))?;
            ensure!(!content.is_empty(), "{node}/{name} is empty");
        }
        // Controllers that never fail have nothing to say.
        has(&format!("{node}/logs/controller-runtime.log"))?;
        let config = String::from_utf8_lossy(has(&format!("{node}/machineconfig.yaml"))?);
        ensure!(
            config.contains("REDACTED") && config.contains("clusterName: e2e"),
            "{config}"
        );
        let pods = format!("{node}/pods/kube-system_");
        ensure!(
            names.iter().any(|name| name.starts_with(&pods)),
            "no {pods}* in {names:#?}"
        );
    }
    for name in ["cluster/nodes.yaml", "cluster/pods.yaml", "cluster/events.yaml"] {
        has(name)?;
    }
    let manifests = String::from_utf8_lossy(has("cluster/manifests.txt")?);
    ensure!(
        manifests.contains("coredns") && manifests.contains("present"),
        "{manifests}"
    );
    ensure!(
        names.iter().any(|name| name.starts_with("cluster/pods/kube-apiserver")),
        "{names:#?}"
    );
    none_of(&secrets(c)?, &files)
}

/// No file has a secret, a private key, or one in base64.
fn none_of(secrets: &[String], files: &Files) -> Result<()> {
    for (name, content) in files {
        let text = String::from_utf8_lossy(content);
        for secret in secrets {
            ensure!(!text.contains(secret.as_str()), "{name} has a secret of the cluster");
            // The second half of a bootstrap token is the secret one.
            let half = secret.split_once('.').map(|(_, half)| half);
            ensure!(
                half.is_none_or(|half| !text.contains(half)),
                "{name} has a bootstrap token"
            );
        }
        for word in [
            "PRIVATE KEY-----",
            "LS0tLS1CRUdJTiBFQyBQUklWQVRF",
            "LS0tLS1CRUdJTiBQUklWQVRF",
        ] {
            ensure!(!text.contains(word), "{name} has a private key");
        }
    }
    Ok(())
}

fn a_bundle_replaces_nothing_unless_told(c: &Cluster) -> Result<()> {
    let path = c.folder().join("taken.zip");
    std::fs::write(&path, "mine")?;
    let output = path.to_string_lossy();
    let refusal = c.keelctl.run(&["-n", worker(), "support", "-O", &output])?.refusal()?;
    ensure!(refusal.contains("--force"), "{refusal}");
    ensure!(std::fs::read_to_string(&path)? == "mine", "it was replaced");
    Ok(())
}
