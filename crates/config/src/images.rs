//! The container images a cluster is made of, at the versions this release is built and tested with.

/// Version of Kubernetes in new clusters, without a leading `v`.
pub const KUBERNETES_VERSION: &str = "1.37.1";
/// The kubelet, without tag.
pub const KUBELET_REPOSITORY: &str = "ghcr.io/siderolabs/kubelet";
/// The API server, without tag.
pub const API_SERVER_REPOSITORY: &str = "registry.k8s.io/kube-apiserver";
/// The controller manager, without tag.
pub const CONTROLLER_MANAGER_REPOSITORY: &str = "registry.k8s.io/kube-controller-manager";
/// The scheduler, without tag.
pub const SCHEDULER_REPOSITORY: &str = "registry.k8s.io/kube-scheduler";
/// The service proxy, without tag.
pub const PROXY_REPOSITORY: &str = "registry.k8s.io/kube-proxy";

/// The kubelet.
pub const KUBELET: &str = "ghcr.io/siderolabs/kubelet:v1.37.1";
/// The API server.
pub const API_SERVER: &str = "registry.k8s.io/kube-apiserver:v1.37.1";
/// The controller manager.
pub const CONTROLLER_MANAGER: &str = "registry.k8s.io/kube-controller-manager:v1.37.1";
/// The scheduler.
pub const SCHEDULER: &str = "registry.k8s.io/kube-scheduler:v1.37.1";
/// The service proxy.
pub const PROXY: &str = "registry.k8s.io/kube-proxy:v1.37.1";
/// etcd.
pub const ETCD: &str = "registry.k8s.io/etcd:v3.7.3";
/// Cluster DNS.
pub const COREDNS: &str = "registry.k8s.io/coredns/coredns:v1.15.0";
/// The container that holds a pod's namespaces.
pub const PAUSE: &str = "registry.k8s.io/pause:3.10";
/// The pod network.
pub const FLANNEL: &str = "ghcr.io/siderolabs/flannel:v0.28.4";
/// What enforces network policies beside flannel, where that is asked for.
pub const NETWORK_POLICIES: &str = "registry.k8s.io/networking/kube-network-policies:v1.1.0";
/// What installs and upgrades a machine.
pub const INSTALLER: &str = "ghcr.io/siderolabs/installer:v1.13.0";

/// Everything a cluster with default settings pulls.
pub const ALL: [&str; 10] = [
    KUBELET,
    API_SERVER,
    CONTROLLER_MANAGER,
    SCHEDULER,
    PROXY,
    ETCD,
    COREDNS,
    PAUSE,
    FLANNEL,
    INSTALLER,
];

/// An image of Kubernetes at a version, given with or without `v`.
pub fn at_version(repository: &str, version: &str) -> String {
    format!("{repository}:v{}", version.trim_start_matches('v'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_images_of_kubernetes_are_of_its_default_version() {
        assert_eq!(at_version(KUBELET_REPOSITORY, KUBERNETES_VERSION), KUBELET);
        assert_eq!(at_version(API_SERVER_REPOSITORY, "v1.37.1"), API_SERVER);
        assert_eq!(
            at_version(CONTROLLER_MANAGER_REPOSITORY, KUBERNETES_VERSION),
            CONTROLLER_MANAGER
        );
        assert_eq!(at_version(SCHEDULER_REPOSITORY, KUBERNETES_VERSION), SCHEDULER);
        assert_eq!(at_version(PROXY_REPOSITORY, KUBERNETES_VERSION), PROXY);
    }
}
