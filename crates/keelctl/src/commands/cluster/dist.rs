//! The built distribution that nodes run, and the images it brings.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use config::images;

/// The folder that was named, else the one this program is in, else `dist` here.
pub fn folder(flag: Option<&str>) -> Result<PathBuf> {
    if let Some(path) = flag {
        return Ok(path.into());
    }
    let beside = std::env::current_exe()
        .ok()
        .and_then(|exe| exe.parent().map(Path::to_owned));
    let places: Vec<PathBuf> = beside.into_iter().chain([PathBuf::from("dist")]).collect();
    match places.iter().find(|place| place.join("rootfs.sqsh").exists()) {
        Some(place) => Ok(place.clone()),
        None => bail!(
            "there is no built distribution (rootfs.sqsh) in {}: build it (cargo xtask dist) or name its folder with --dist",
            places
                .iter()
                .map(|place| place.display().to_string())
                .collect::<Vec<_>>()
                .join(" or ")
        ),
    }
}

/// Fails if the images of the distribution (an OCI layout) are not those of this version of Kubernetes: nodes would
/// start and then wait for images that nobody has.
pub fn check_kubernetes(layout: &Path, version: &str) -> Result<()> {
    let index = layout.join("index.json");
    let text = std::fs::read(&index).with_context(|| format!("read {}", index.display()))?;
    let index: serde_json::Value =
        serde_json::from_slice(&text).with_context(|| format!("read {}", index.display()))?;
    let names: BTreeSet<&str> = index["manifests"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|manifest| manifest["annotations"]["org.opencontainers.image.ref.name"].as_str())
        .collect();
    let missing: Vec<String> = REPOSITORIES
        .iter()
        .map(|repository| images::at_version(repository, version))
        .filter(|image| !names.contains(image.as_str()))
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    let api_server = format!("{}:v", images::API_SERVER_REPOSITORY);
    let there: Vec<&str> = names.iter().filter_map(|name| name.strip_prefix(&api_server)).collect();
    bail!(
        "--kubernetes-version {version}: the distribution has images of Kubernetes {}, and not {}. Leave the flag out, or name \
         registries that have them with --registry-mirror (the public one is registry.k8s.io=https://registry.k8s.io)",
        if there.is_empty() {
            "of no version".to_owned()
        } else {
            there.join(", ")
        },
        missing.join(", ")
    )
}

/// What a cluster runs of each version of Kubernetes.
const REPOSITORIES: [&str; 5] = [
    images::KUBELET_REPOSITORY,
    images::API_SERVER_REPOSITORY,
    images::CONTROLLER_MANAGER_REPOSITORY,
    images::SCHEDULER_REPOSITORY,
    images::PROXY_REPOSITORY,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_whose_images_are_not_there_is_refused_with_those_that_are() {
        let layout = tempfile::tempdir().unwrap();
        let manifest = |repository: &&str| {
            let name = images::at_version(repository, "1.37.1");
            serde_json::json!({"annotations": {"org.opencontainers.image.ref.name": name}})
        };
        let manifests: Vec<_> = REPOSITORIES.iter().map(manifest).collect();
        let index = serde_json::json!({ "manifests": manifests });
        std::fs::write(layout.path().join("index.json"), index.to_string()).unwrap();
        check_kubernetes(layout.path(), "1.37.1").unwrap();
        check_kubernetes(layout.path(), "v1.37.1").unwrap();
        let refusal = check_kubernetes(layout.path(), "1.30.0").unwrap_err().to_string();
        assert!(refusal.contains("has images of Kubernetes 1.37.1"), "{refusal}");
        assert!(refusal.contains("kube-apiserver:v1.30.0"), "{refusal}");
    }
}
