//! `image k8s-bundle` and `image talos-bundle`: the images of a release, one a line, for whoever fills a registry.

use config::images;

use crate::cli::image::Bundle;

/// What the operating system's own images begin with.
const SYSTEM: &str = "ghcr.io/siderolabs";

/// The images of a Kubernetes cluster.
pub fn kubernetes(versions: &Bundle) -> String {
    let other = |image: &str, version: &Option<String>| match version {
        Some(version) => images::at_version(repository(image), version),
        None => image.to_owned(),
    };
    let mut all = vec![
        other(images::FLANNEL, &versions.flannel_version),
        other(images::COREDNS, &versions.coredns_version),
        other(images::ETCD, &versions.etcd_version),
        images::PAUSE.to_owned(),
        other(images::NETWORK_POLICIES, &versions.kube_network_policies_version),
    ];
    let of_kubernetes = [
        images::KUBELET_REPOSITORY,
        images::API_SERVER_REPOSITORY,
        images::CONTROLLER_MANAGER_REPOSITORY,
        images::SCHEDULER_REPOSITORY,
        images::PROXY_REPOSITORY,
    ];
    all.extend(of_kubernetes.map(|repository| images::at_version(repository, &versions.k8s_version)));
    lines(&all)
}

/// The images that machines are installed and upgraded from, and the catalogs of what may be added to them.
pub fn system(version: &str, extensions: bool, overlays: bool) -> String {
    let mut names = vec!["installer", "installer-base", "imager"];
    names.extend(extensions.then_some("extensions"));
    names.extend(overlays.then_some("overlays"));
    let image = |name: &str| images::at_version(&format!("{SYSTEM}/{name}"), version);
    lines(&names.into_iter().map(image).collect::<Vec<_>>())
}

/// An image without its tag.
fn repository(image: &str) -> &str {
    match image.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => repository,
        _ => image,
    }
}

fn lines(images: &[String]) -> String {
    images.iter().map(|image| format!("{image}\n")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_a_bundle_can_be_chosen_one_by_one() {
        let bundle = |etcd: Option<&str>| Bundle {
            k8s_version: "1.36.0".into(),
            coredns_version: None,
            etcd_version: etcd.map(str::to_owned),
            flannel_version: None,
            kube_network_policies_version: None,
        };
        let usual = kubernetes(&bundle(None));
        assert!(
            usual.contains(images::ETCD) && usual.contains("kube-apiserver:v1.36.0\n"),
            "{usual}"
        );
        let other = kubernetes(&bundle(Some("v3.6.1")));
        assert!(other.contains("registry.k8s.io/etcd:v3.6.1\n"), "{other}");
        assert_eq!(usual.lines().count(), other.lines().count());
    }

    #[test]
    fn catalogs_can_be_left_out() {
        assert_eq!(
            system("1.13.0", false, true),
            "ghcr.io/siderolabs/installer:v1.13.0\nghcr.io/siderolabs/installer-base:v1.13.0\n\
             ghcr.io/siderolabs/imager:v1.13.0\nghcr.io/siderolabs/overlays:v1.13.0\n"
        );
        assert!(system("v1.13.0", true, true).contains("/extensions:v1.13.0"));
    }
}
