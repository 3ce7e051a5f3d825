//! Kubernetes: its components, networks, manifests and the machine as a node.

use std::collections::BTreeMap;

use pki::Secret;

use crate::model::v1alpha1::cluster::ResourcesConfig;
use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::{Args, Free, Prefix};

model! {
    /// Service account tokens that are accepted beside one's own.
    pub struct AcceptedServiceAccountConfig: "k8s.AcceptedServiceAccountConfig" {
        /// Public keys of accepted signers.
        public_keys: Vec<String> = "publicKeys";
        /// URLs of accepted issuers.
        issuers: Vec<String> = "issuers".format(Format::Url(&["http", "https"]));
        /// Audiences of tokens.
        audiences: Vec<String> = "audiences";
    }

    /// What issues service account tokens.
    pub struct IssuerServiceAccountConfig: "k8s.IssuerServiceAccountConfig" {
        /// Private key.
        private_key: Option<Secret> = "privateKey".required();
        /// URL of the issuer.
        issuer_url: Option<String> = "issuerURL".required().format(Format::Url(&["http", "https"]));
    }

    /// An authority that issues certificates, PEM.
    pub struct IssuingCA: "k8s.IssuingCA" {
        /// Certificate, PEM.
        cert: Option<String> = "cert";
        /// The same as `cert`.
        crt: Option<String> = "crt";
        /// Private key, PEM.
        key: Option<Secret> = "key";
    }

    /// Authority of Kubernetes.
    pub struct KubeAPIServerCAConfig: "k8s.KubeAPIServerCAConfigV1Alpha1", kind "KubeAPIServerCAConfig" since "v1.14" {
        /// Authority that issues certificates.
        issuing_ca: Option<IssuingCA> = "issuingCA";
        /// Authorities that are trusted beside the issuing one.
        accepted_cas: Vec<String> = "acceptedCAs";
    }

    /// The API server.
    pub struct KubeAPIServerConfig: "k8s.KubeAPIServerConfigV1Alpha1", kind "KubeAPIServerConfig" since "v1.14" {
        /// Container image.
        image: Option<String> = "image".required();
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
        /// Port of the API server.
        api_port: Option<i64> = "apiPort";
        /// More names and addresses for the server's certificate.
        cert_extra_sans: Vec<String> = "certExtraSANs";
        /// Watch the start of the API server with a probe.
        startup_probes: Option<bool> = "startupProbes";
    }

    /// Configuration of an admission plugin.
    pub struct KubeAdmissionControlConfig: "k8s.KubeAdmissionControlConfigV1Alpha1", kind "KubeAdmissionControlConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Its configuration.
        configuration: Option<Free> = "configuration";
    }

    /// Authority of the API aggregation layer.
    pub struct KubeAggregatorCAConfig: "k8s.KubeAggregatorCAConfigV1Alpha1", kind "KubeAggregatorCAConfig" since "v1.14" {
        /// Authority that issues certificates.
        issuing_ca: Option<IssuingCA> = "issuingCA";
        /// Authorities that are trusted beside the issuing one.
        accepted_cas: Vec<String> = "acceptedCAs";
    }

    /// Audit policy of the API server.
    pub struct KubeAuditPolicyConfig: "k8s.KubeAuditPolicyConfigV1Alpha1", kind "KubeAuditPolicyConfig" since "v1.14" {
        /// Its configuration.
        configuration: Option<Free> = "configuration".replaced();
    }

    /// How the API server authenticates.
    pub struct KubeAuthenticationConfig: "k8s.KubeAuthenticationConfigV1Alpha1", kind "KubeAuthenticationConfig" since "v1.14" {
        /// Its configuration.
        configuration: Option<Free> = "configuration";
    }

    /// An authorizer of the API server.
    pub struct KubeAuthorizerConfig: "k8s.KubeAuthorizerConfigV1Alpha1", kind "KubeAuthorizerConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Kind of authorizer.
        kind: Option<String> = "type".one_of(&["Node", "RBAC", "Webhook"]);
        /// Settings of the webhook.
        webhook: Option<Free> = "webhook";
    }

    /// Name and endpoint of the cluster.
    pub struct KubeClusterConfig: "k8s.KubeClusterConfigV1Alpha1", kind "KubeClusterConfig" since "v1.14" {
        /// Name of the cluster.
        cluster_name: Option<String> = "clusterName".required();
        /// URL of the Kubernetes API, `https://host:port`.
        endpoint: Option<String> = "endpoint".required().format(Format::Url(&["https"]));
    }

    /// The controller manager.
    pub struct KubeControllerManagerConfig: "k8s.KubeControllerManagerConfigV1Alpha1", kind "KubeControllerManagerConfig" since "v1.14" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Container image.
        image: Option<String> = "image".required();
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Cluster DNS.
    pub struct KubeCoreDNSConfig: "k8s.KubeCoreDNSConfigV1Alpha1", kind "KubeCoreDNSConfig" since "v1.14" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Container image.
        image: Option<String> = "image";
    }

    /// The kubelet's credential providers.
    pub struct KubeCredentialProviderConfig: "k8s.KubeCredentialProviderConfigV1Alpha1", kind "KubeCredentialProviderConfig" since "v1.14" {
        /// Its configuration.
        configuration: Option<Free> = "configuration";
    }

    /// How the API server encrypts what it stores.
    pub struct KubeEtcdEncryptionConfig: "k8s.KubeEtcdEncryptionConfigV1Alpha1", kind "KubeEtcdEncryptionConfig" since "v1.14" {
        /// Configuration file, laid over the one the system makes.
        config: Option<Free> = "config".sensitive();
    }

    /// A manifest to fetch and apply.
    pub struct KubeExternalManifestConfig: "k8s.KubeExternalManifestConfigV1Alpha1", kind "KubeExternalManifestConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// Headers of the request.
        headers: BTreeMap<String, String> = "headers";
        /// URL.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
    }

    /// Flannel as the pod network.
    pub struct KubeFlannelCNIConfig: "k8s.KubeFlannelCNIConfigV1Alpha1", kind "KubeFlannelCNIConfig" since "v1.14" {
        /// Kind of backend: `vxlan` and others.
        backend_type: Option<String> = "backendType";
        /// Port of the backend.
        backend_port: Option<i64> = "backendPort";
        /// MTU of the backend.
        backend_mtu: Option<i64> = "backendMTU";
        /// Further settings of the backend.
        backend_extra_config: Option<Free> = "backendExtraConfig";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Vec<String> = "extraArgs";
        /// Enforce network policies.
        kube_network_policies_enabled: Option<bool> = "kubeNetworkPoliciesEnabled";
    }

    /// A manifest given in full.
    pub struct KubeInlineManifestConfig: "k8s.KubeInlineManifestConfigV1Alpha1", kind "KubeInlineManifestConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// The manifest, YAML.
        manifest: Option<String> = "manifest".required();
    }

    /// Networks of the cluster.
    pub struct KubeNetworkConfig: "k8s.KubeNetworkConfigV1Alpha1", kind "KubeNetworkConfig" since "v1.14" {
        /// DNS domain of the cluster.
        dns_domain: Option<String> = "dnsDomain";
        /// Networks of pods, one per address family. A patch replaces them.
        pod_subnets: Vec<Prefix> = "podSubnets".required().replaced();
        /// Networks of services, one per address family. A patch replaces them.
        service_subnets: Vec<Prefix> = "serviceSubnets".required().replaced();
        /// Length of the IPv4 prefix each node gets for its pods.
        node_cidr_mask_size_ipv4: Option<i64> = "nodeCIDRMaskSizeIPv4";
        /// Length of the IPv6 prefix each node gets for its pods.
        node_cidr_mask_size_ipv6: Option<i64> = "nodeCIDRMaskSizeIPv6";
    }

    /// The machine as a node of Kubernetes.
    pub struct KubeNodeConfig: "k8s.KubeNodeConfigV1Alpha1", kind "KubeNodeConfig" since "v1.14" {
        /// Run pods of this machine only; do not become a node of the cluster.
        skip_node_registration: Option<bool> = "skipNodeRegistration";
        /// The node's name is the full domain name.
        register_with_fqdn: Option<bool> = "registerWithFQDN";
        /// How the node's address is chosen.
        node_ip: Option<NodeIPConfig> = "nodeIP";
        /// Labels of the node.
        labels: BTreeMap<String, String> = "labels";
        /// Annotations of the node.
        annotations: BTreeMap<String, String> = "annotations";
        /// Taints of the node: `value:Effect` by key.
        taints: BTreeMap<String, String> = "taints";
    }

    /// Balancer of API servers on each machine.
    pub struct KubePrismConfig: "k8s.KubePrismConfigV1Alpha1", kind "KubePrismConfig" since "v1.14" {
        /// Port.
        port: Option<i64> = "port".required();
        /// Name expected in the server's certificate.
        tls_server_name: Option<String> = "tlsServerName";
    }

    /// The service proxy.
    pub struct KubeProxyConfig: "k8s.KubeProxyConfigV1Alpha1", kind "KubeProxyConfig" since "v1.14" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Container image.
        image: Option<String> = "image".required();
        /// Mode of the proxy: `nftables`, `iptables` or `ipvs`.
        mode: Option<String> = "mode";
        /// Configuration file, laid over the one the system makes.
        config: Option<Free> = "config";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// The scheduler.
    pub struct KubeSchedulerConfig: "k8s.KubeSchedulerConfigV1Alpha1", kind "KubeSchedulerConfig" since "v1.14" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Container image.
        image: Option<String> = "image".required();
        /// Configuration file, laid over the one the system makes.
        config: Option<Free> = "config";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Service accounts of Kubernetes.
    pub struct KubeServiceAccountConfig: "k8s.KubeServiceAccountConfigV1Alpha1", kind "KubeServiceAccountConfig" since "v1.14" {
        /// What issues tokens.
        issuer: Option<IssuerServiceAccountConfig> = "issuer".required();
        /// What is accepted beside the issuer.
        accepted: Option<AcceptedServiceAccountConfig> = "accepted";
    }

    /// A static pod of this machine.
    pub struct KubeStaticPodConfig: "k8s.KubeStaticPodConfigV1Alpha1", kind "KubeStaticPodConfig" named since "v1.14" {
        /// Name, which tells documents of this kind apart.
        name: Option<String> = "name".required();
        /// The pod.
        pod: Option<Free> = "pod".required();
    }

    /// Use of the machine API from pods.
    pub struct KubeTalosAPIAccessConfig: "k8s.KubeTalosAPIAccessConfigV1Alpha1", kind "KubeTalosAPIAccessConfig" since "v1.14" {
        /// Roles those pods may have.
        allowed_roles: Vec<String> = "allowedRoles";
        /// Namespaces whose pods may use the machine API.
        allowed_kubernetes_namespaces: Vec<String> = "allowedKubernetesNamespaces";
    }

    /// The kubelet.
    pub struct KubeletConfig: "k8s.KubeletConfigV1Alpha1", kind "KubeletConfig" since "v1.14" {
        /// Container image.
        image: Option<String> = "image".required();
        /// Configuration file, laid over the one the system makes.
        config: Option<Free> = "config";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Addresses of cluster DNS; the tenth address of each service network if none are given.
        cluster_dns: Vec<String> = "clusterDNS";
        /// Run pods with the container runtime's seccomp profile unless they ask for another.
        default_runtime_seccomp_profile_enabled: Option<bool> = "defaultRuntimeSeccompProfileEnabled";
    }

    /// How the node's address is chosen.
    pub struct NodeIPConfig: "k8s.NodeIPConfig" {
        /// Networks the node's addresses are taken from; `!` before one leaves it out.
        valid_subnets: Vec<String> = "validSubnets";
    }
}
