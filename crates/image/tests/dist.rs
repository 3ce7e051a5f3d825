//! What a built distribution must be. Needs `KEELSON_DIST`, which `cargo xtask test` sets after building it.

// A test may panic; clippy's exception for tests does not reach the functions that tests share.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use image::oci::{Layout, REF_NAME};
use image::pull::{Endpoint, Puller, Source};
use image::registry::{Options, Registry, serve};
use tokio_util::sync::CancellationToken;

fn dist() -> Option<PathBuf> {
    let path = std::env::var_os("KEELSON_DIST").map(PathBuf::from);
    if path.is_none() {
        eprintln!("skipped: KEELSON_DIST is not set");
    }
    path
}

/// Every file of the node's root filesystem: mode as `ls` writes it, owner, path.
fn rootfs(dist: &Path) -> Vec<(String, String, String)> {
    let output = Command::new("unsquashfs")
        .arg("-lln")
        .arg(dist.join("rootfs.sqsh"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let lines = text.lines().filter_map(|line| {
        let path = line.split("squashfs-root").nth(1)?.split(" -> ").next()?.to_owned();
        let mut words = line.split_whitespace();
        Some((words.next()?.to_owned(), words.next()?.to_owned(), path))
    });
    lines.collect()
}

#[test]
fn the_node_has_no_shell_no_package_manager_and_nothing_set_user_id() {
    let Some(dist) = dist() else { return };
    let files = rootfs(&dist);
    assert!(files.len() > 100, "{files:?}");
    assert!(
        files
            .iter()
            .any(|(mode, _, path)| path == "/usr/sbin/init" && mode == "-rwxr-xr-x")
    );
    for (mode, owner, path) in &files {
        let name = path.rsplit('/').next().unwrap();
        assert!(!mode.contains(['s', 'S']), "{path} is {mode}");
        assert_eq!(owner, "0/0", "{path}");
        assert!(
            !["b", "c"].iter().any(|kind| mode.starts_with(kind)),
            "{path} is a device"
        );
        let shells = [
            "sh", "bash", "dash", "ash", "zsh", "busybox", "toybox", "csh", "perl", "python3",
        ];
        let managers = ["dpkg", "apt", "apt-get", "rpm", "yum", "apk", "pip", "npm"];
        let logins = ["login", "su", "sudo", "sshd", "getty", "agetty", "passwd", "newgrp"];
        let forbidden = shells.iter().chain(&managers).chain(&logins).any(|bad| *bad == name);
        assert!(!forbidden || path == "/etc/passwd", "{path} must not be in a node");
        let writable = mode.as_bytes()[8] == b'w' && !mode.starts_with('l') && !mode.ends_with('t');
        assert!(!writable, "{path} is writable by everybody");
    }
}

#[test]
fn every_program_of_the_node_finds_its_libraries() {
    let Some(dist) = dist() else { return };
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("root");
    let unpacked = Command::new("unsquashfs")
        .arg("-q")
        .arg("-n")
        .arg("-d")
        .arg(&root)
        .arg(dist.join("rootfs.sqsh"))
        .output()
        .unwrap();
    assert!(
        unpacked.status.success(),
        "{}",
        String::from_utf8_lossy(&unpacked.stderr)
    );
    let mut checked = 0;
    for folder in [
        "usr/bin",
        "usr/sbin",
        "usr/lib/cni",
        "usr/lib/x86_64-linux-gnu",
        "usr/lib/x86_64-linux-gnu/xtables",
    ] {
        for entry in std::fs::read_dir(root.join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if !path.is_file() || path.is_symlink() {
                continue;
            }
            let needs = image::elf::needs(&std::fs::read(&path).unwrap());
            for library in needs.libraries {
                let found = ["usr/lib/x86_64-linux-gnu", "usr/lib"]
                    .iter()
                    .any(|dir| root.join(dir).join(&library).exists());
                assert!(found, "{} needs {library}", path.display());
                checked += 1;
            }
            if let Some(interpreter) = needs.interpreter {
                let relative = interpreter.trim_start_matches('/');
                assert!(
                    root.join(relative).symlink_metadata().is_ok(),
                    "{} needs {interpreter}",
                    path.display()
                );
            }
        }
    }
    assert!(checked > 50, "{checked}");
}

#[tokio::test]
async fn every_image_can_be_pulled_under_its_upstream_name() {
    let Some(dist) = dist() else { return };
    let images = dist.join("images");
    let index = Layout::at(&images).index().unwrap();
    let names: BTreeSet<String> = index
        .manifests
        .iter()
        .map(|d| d.annotations[REF_NAME].clone())
        .collect();
    for wanted in [
        "registry.k8s.io/kube-apiserver:",
        "registry.k8s.io/pause:",
        "ghcr.io/siderolabs/kubelet:",
    ] {
        assert!(
            names.iter().any(|name| name.starts_with(wanted)),
            "{wanted} is missing in {names:?}"
        );
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mirror = Endpoint::new(format!("http://{}", listener.local_addr().unwrap()));
    let cancel = CancellationToken::new();
    let options = Options {
        layout: Some(images),
        ..Options::default()
    };
    tokio::spawn(serve(listener, Registry::new(options).unwrap(), cancel.clone()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let tls = rustls::ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap();
    let tls = tls
        .with_root_certificates(rustls::RootCertStore::empty())
        .with_no_client_auth();
    let mut puller = Puller::new(Arc::new(tls));
    puller.add_registry(
        "*",
        Source {
            endpoints: vec![mirror],
            skip_fallback: true,
            upstream: None,
        },
    );
    let dir = tempfile::tempdir().unwrap();
    for (number, name) in names.iter().enumerate() {
        let pulled = puller
            .pull(name, &dir.path().join(number.to_string()), &|_| {}, &cancel)
            .await
            .unwrap();
        let program = &pulled.config.entrypoint[0];
        let inside = pulled.rootfs().join(program.trim_start_matches('/'));
        assert!(inside.is_file(), "{name} has no {program}");
        assert!(!pulled.rootfs().join("bin/sh").exists(), "{name} has a shell");
        std::fs::remove_dir_all(dir.path().join(number.to_string())).unwrap();
    }
    cancel.cancel();
}

#[test]
fn the_bill_of_materials_names_what_is_inside_with_versions_and_licences() {
    let Some(dist) = dist() else { return };
    let text = std::fs::read(dist.join("sbom.spdx.json")).unwrap();
    let value: serde_json::Value = serde_json::from_slice(&text).unwrap();
    assert_eq!(value["spdxVersion"], "SPDX-2.3");
    let packages = value["packages"].as_array().unwrap();
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    let mut unknown = Vec::new();
    for package in packages {
        assert!(
            package["versionInfo"]
                .as_str()
                .is_some_and(|version| !version.is_empty()),
            "{package}"
        );
        if package["licenseDeclared"] == "NOASSERTION" {
            unknown.push(package["name"].as_str().unwrap());
        }
        let purl = package
            .pointer("/externalRefs/0/referenceLocator")
            .and_then(|p| p.as_str())
            .unwrap_or("pkg:none/");
        *kinds.entry(purl.split('/').next().unwrap()).or_default() += 1;
    }
    assert!(
        kinds["pkg:golang"] > 200 && kinds["pkg:cargo"] > 20 && kinds["pkg:deb"] > 15,
        "{kinds:?}"
    );
    // A licence nobody could tell is rare enough to look at by hand.
    assert!(unknown.len() * 50 < packages.len(), "{unknown:?}");
    for wanted in [
        "k8s.io/kubernetes",
        "go.etcd.io/etcd/server/v3",
        "github.com/containerd/containerd/v2",
        "libc6",
    ] {
        assert!(
            packages.iter().any(|package| package["name"] == wanted),
            "{wanted} is missing"
        );
    }
}
