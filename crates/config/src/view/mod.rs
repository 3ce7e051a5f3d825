//! The effective configuration: each thing in one place, whether it stands in the main document's long-standing fields
//! or in the document that replaces them, with the defaults of what is not given.
//!
//! The node reads the configuration through these functions. That a thing is not given in both places is checked by
//! [`Config::validate`](crate::Config::validate); if it is, the document wins.

mod cluster;
mod components;
mod firewall;
mod host;
mod mesh;
mod registries;
mod security;
mod system;

pub use cluster::{
    DEFAULT_DISCOVERY_SERVICE, Discovery, Kubelet, KubernetesNetwork, Manifest, Manifests, NodeSettings,
    accepted_kubernetes_cas, aggregator_ca, cluster_name, discovery, endpoint, etcd, kube_prism, kubelet,
    kubernetes_ca, kubernetes_network, manifests, node_settings, static_pods,
};
pub use components::{
    ApiServer, Authorizer, Cni, Component, CoreDns, Etcd, KubePrism, Proxy, Scheduler, api_server, cni,
    controller_manager, core_dns, proxy, scheduler, service_account_key,
};
pub use firewall::{Firewall, FirewallRule, firewall};
pub use host::{
    DEFAULT_TIME_SERVER, ExtraHost, HostDns, Hostname, Resolvers, TimeSync, VirtualAddress, extra_hosts, host_dns,
    hostname, resolvers, time_sync, virtual_addresses,
};
pub use mesh::{KubeSpan, kubespan};
pub use registries::{Registries, RegistryAuth, RegistryEndpoint, RegistryMirror, RegistryTls, registries};
pub use security::{TRUST_ROOT, image_rules, trust_root_document};
pub use system::{
    FileOperation, KernelModule, MachineFile, address_sort_algorithm, container_runtime, debug, environment,
    kernel_modules, machine_files, sysctls, sysfs, trusted_roots, udev_rules,
};
