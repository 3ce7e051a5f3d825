//! k8s

use std::collections::BTreeMap;

use pki::Secret;

use crate::model::v1alpha1::cluster::ResourcesConfig;
use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::{Args, Free, Prefix};

model! {
    /// Accepted service account config.
    pub struct AcceptedServiceAccountConfig: "k8s.AcceptedServiceAccountConfig" {
        /// Public keys.
        public_keys: Vec<String> = "publicKeys";
        /// Issuers.
        issuers: Vec<String> = "issuers".format(Format::Url(&["http", "https"]));
        /// Audiences.
        audiences: Vec<String> = "audiences";
    }

    /// Issuer service account config.
    pub struct IssuerServiceAccountConfig: "k8s.IssuerServiceAccountConfig" {
        /// Private key.
        private_key: Option<Secret> = "privateKey".required();
        /// Issuer url.
        issuer_url: Option<String> = "issuerURL".required().format(Format::Url(&["http", "https"]));
    }

    /// Issuing ca.
    pub struct IssuingCA: "k8s.IssuingCA" {
        /// Cert.
        cert: Option<String> = "cert";
        /// Crt.
        crt: Option<String> = "crt";
        /// Key.
        key: Option<Secret> = "key";
    }

    /// Kube apiserver caconfig.
    pub struct KubeAPIServerCAConfig: "k8s.KubeAPIServerCAConfigV1Alpha1", kind "KubeAPIServerCAConfig" since "v1.14" {
        /// Issuing ca.
        issuing_ca: Option<IssuingCA> = "issuingCA";
        /// Accepted cas.
        accepted_cas: Vec<String> = "acceptedCAs";
    }

    /// Kube apiserver config.
    pub struct KubeAPIServerConfig: "k8s.KubeAPIServerConfigV1Alpha1", kind "KubeAPIServerConfig" since "v1.14" {
        /// Image.
        image: Option<String> = "image".required();
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
        /// Api port.
        api_port: Option<i64> = "apiPort";
        /// Cert extra sans.
        cert_extra_sans: Vec<String> = "certExtraSANs";
        /// Startup probes.
        startup_probes: Option<bool> = "startupProbes";
    }

    /// Kube admission control config.
    pub struct KubeAdmissionControlConfig: "k8s.KubeAdmissionControlConfigV1Alpha1", kind "KubeAdmissionControlConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Configuration.
        configuration: Option<Free> = "configuration";
    }

    /// Kube aggregator caconfig.
    pub struct KubeAggregatorCAConfig: "k8s.KubeAggregatorCAConfigV1Alpha1", kind "KubeAggregatorCAConfig" since "v1.14" {
        /// Issuing ca.
        issuing_ca: Option<IssuingCA> = "issuingCA";
        /// Accepted cas.
        accepted_cas: Vec<String> = "acceptedCAs";
    }

    /// Kube audit policy config.
    pub struct KubeAuditPolicyConfig: "k8s.KubeAuditPolicyConfigV1Alpha1", kind "KubeAuditPolicyConfig" since "v1.14" {
        /// Configuration.
        configuration: Option<Free> = "configuration".replaced();
    }

    /// Kube authentication config.
    pub struct KubeAuthenticationConfig: "k8s.KubeAuthenticationConfigV1Alpha1", kind "KubeAuthenticationConfig" since "v1.14" {
        /// Configuration.
        configuration: Option<Free> = "configuration";
    }

    /// Kube authorizer config.
    pub struct KubeAuthorizerConfig: "k8s.KubeAuthorizerConfigV1Alpha1", kind "KubeAuthorizerConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Type.
        kind: Option<String> = "type".one_of(&["Node", "RBAC", "Webhook"]);
        /// Webhook.
        webhook: Option<Free> = "webhook";
    }

    /// Kube cluster config.
    pub struct KubeClusterConfig: "k8s.KubeClusterConfigV1Alpha1", kind "KubeClusterConfig" since "v1.14" {
        /// Cluster name.
        cluster_name: Option<String> = "clusterName".required();
        /// Endpoint.
        endpoint: Option<String> = "endpoint".required().format(Format::Url(&["https"]));
    }

    /// Kube controller manager config.
    pub struct KubeControllerManagerConfig: "k8s.KubeControllerManagerConfigV1Alpha1", kind "KubeControllerManagerConfig" since "v1.14" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Image.
        image: Option<String> = "image".required();
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Kube core dnsconfig.
    pub struct KubeCoreDNSConfig: "k8s.KubeCoreDNSConfigV1Alpha1", kind "KubeCoreDNSConfig" since "v1.14" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Image.
        image: Option<String> = "image";
    }

    /// Kube credential provider config.
    pub struct KubeCredentialProviderConfig: "k8s.KubeCredentialProviderConfigV1Alpha1", kind "KubeCredentialProviderConfig" since "v1.14" {
        /// Configuration.
        configuration: Option<Free> = "configuration";
    }

    /// Kube etcd encryption config.
    pub struct KubeEtcdEncryptionConfig: "k8s.KubeEtcdEncryptionConfigV1Alpha1", kind "KubeEtcdEncryptionConfig" since "v1.14" {
        /// Config.
        config: Option<Free> = "config".sensitive();
    }

    /// Kube external manifest config.
    pub struct KubeExternalManifestConfig: "k8s.KubeExternalManifestConfigV1Alpha1", kind "KubeExternalManifestConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Headers.
        headers: BTreeMap<String, String> = "headers";
        /// Url.
        url: Option<String> = "url".required().format(Format::Url(&["http", "https"]));
    }

    /// Kube flannel cniconfig.
    pub struct KubeFlannelCNIConfig: "k8s.KubeFlannelCNIConfigV1Alpha1", kind "KubeFlannelCNIConfig" since "v1.14" {
        /// Backend type.
        backend_type: Option<String> = "backendType";
        /// Backend port.
        backend_port: Option<i64> = "backendPort";
        /// Backend mtu.
        backend_mtu: Option<i64> = "backendMTU";
        /// Backend extra config.
        backend_extra_config: Option<Free> = "backendExtraConfig";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
        /// Extra args.
        extra_args: Vec<String> = "extraArgs";
        /// Kube network policies enabled.
        kube_network_policies_enabled: Option<bool> = "kubeNetworkPoliciesEnabled";
    }

    /// Kube inline manifest config.
    pub struct KubeInlineManifestConfig: "k8s.KubeInlineManifestConfigV1Alpha1", kind "KubeInlineManifestConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Manifest.
        manifest: Option<String> = "manifest".required();
    }

    /// Kube network config.
    pub struct KubeNetworkConfig: "k8s.KubeNetworkConfigV1Alpha1", kind "KubeNetworkConfig" since "v1.14" {
        /// Dns domain.
        dns_domain: Option<String> = "dnsDomain";
        /// Pod subnets.
        pod_subnets: Vec<Prefix> = "podSubnets".required().replaced();
        /// Service subnets.
        service_subnets: Vec<Prefix> = "serviceSubnets".required().replaced();
        /// Node cidrmask size ipv4.
        node_cidr_mask_size_ipv4: Option<i64> = "nodeCIDRMaskSizeIPv4";
        /// Node cidrmask size ipv6.
        node_cidr_mask_size_ipv6: Option<i64> = "nodeCIDRMaskSizeIPv6";
    }

    /// Kube node config.
    pub struct KubeNodeConfig: "k8s.KubeNodeConfigV1Alpha1", kind "KubeNodeConfig" since "v1.14" {
        /// Skip node registration.
        skip_node_registration: Option<bool> = "skipNodeRegistration";
        /// Register with fqdn.
        register_with_fqdn: Option<bool> = "registerWithFQDN";
        /// Node ip.
        node_ip: Option<NodeIPConfig> = "nodeIP";
        /// Labels.
        labels: BTreeMap<String, String> = "labels";
        /// Annotations.
        annotations: BTreeMap<String, String> = "annotations";
        /// Taints.
        taints: BTreeMap<String, String> = "taints";
    }

    /// Kube prism config.
    pub struct KubePrismConfig: "k8s.KubePrismConfigV1Alpha1", kind "KubePrismConfig" since "v1.14" {
        /// Port.
        port: Option<i64> = "port".required();
        /// Tls server name.
        tls_server_name: Option<String> = "tlsServerName";
    }

    /// Kube proxy config.
    pub struct KubeProxyConfig: "k8s.KubeProxyConfigV1Alpha1", kind "KubeProxyConfig" since "v1.14" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Image.
        image: Option<String> = "image".required();
        /// Mode.
        mode: Option<String> = "mode";
        /// Config.
        config: Option<Free> = "config";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Kube scheduler config.
    pub struct KubeSchedulerConfig: "k8s.KubeSchedulerConfigV1Alpha1", kind "KubeSchedulerConfig" since "v1.14" {
        /// Enabled.
        enabled: Option<bool> = "enabled";
        /// Image.
        image: Option<String> = "image".required();
        /// Config.
        config: Option<Free> = "config";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Env.
        env: BTreeMap<String, String> = "env";
        /// Resources.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Kube service account config.
    pub struct KubeServiceAccountConfig: "k8s.KubeServiceAccountConfigV1Alpha1", kind "KubeServiceAccountConfig" since "v1.14" {
        /// Issuer.
        issuer: Option<IssuerServiceAccountConfig> = "issuer".required();
        /// Accepted.
        accepted: Option<AcceptedServiceAccountConfig> = "accepted";
    }

    /// Kube static pod config.
    pub struct KubeStaticPodConfig: "k8s.KubeStaticPodConfigV1Alpha1", kind "KubeStaticPodConfig" named since "v1.14" {
        /// Name.
        name: Option<String> = "name".required();
        /// Pod.
        pod: Option<Free> = "pod".required();
    }

    /// Kube talos apiaccess config.
    pub struct KubeTalosAPIAccessConfig: "k8s.KubeTalosAPIAccessConfigV1Alpha1", kind "KubeTalosAPIAccessConfig" since "v1.14" {
        /// Allowed roles.
        allowed_roles: Vec<String> = "allowedRoles";
        /// Allowed kubernetes namespaces.
        allowed_kubernetes_namespaces: Vec<String> = "allowedKubernetesNamespaces";
    }

    /// Kubelet config.
    pub struct KubeletConfig: "k8s.KubeletConfigV1Alpha1", kind "KubeletConfig" since "v1.14" {
        /// Image.
        image: Option<String> = "image".required();
        /// Config.
        config: Option<Free> = "config";
        /// Extra args.
        extra_args: Args = "extraArgs";
        /// Cluster dns.
        cluster_dns: Vec<String> = "clusterDNS";
        /// Default runtime seccomp profile enabled.
        default_runtime_seccomp_profile_enabled: Option<bool> = "defaultRuntimeSeccompProfileEnabled";
    }

    /// Node ipconfig.
    pub struct NodeIPConfig: "k8s.NodeIPConfig" {
        /// Valid subnets.
        valid_subnets: Vec<String> = "validSubnets";
    }
}
