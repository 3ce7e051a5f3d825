//! The cluster section of the main document.

use std::collections::BTreeMap;
use std::time::Duration;

use pki::{CertAndKey, Secret};

use crate::schema::Format;
use crate::schema::macros::model;
use crate::schema::types::{Args, Bytes, Free, SecretBytes};

model! {
    /// The API server.
    pub struct APIServerConfig: "v1alpha1.APIServerConfig" {
        /// Container image.
        image: Option<String> = "image";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Folders of the machine that the pod sees.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// More names and addresses for the server's certificate.
        cert_sans: Vec<String> = "certSANs";
        /// Keep pod security policies off.
        disable_pod_security_policy: Option<bool> = "disablePodSecurityPolicy".deprecated("remove it: Kubernetes no longer has it");
        /// Configurations of admission plugins.
        admission_control: Vec<AdmissionPluginConfig> = "admissionControl".by_key(&["name"]);
        /// Audit policy of the API server. A patch replaces it whole.
        audit_policy: Option<Free> = "auditPolicy".replaced();
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
        /// Authorizers of the API server beside Node and RBAC.
        authorization_config: Vec<AuthorizationConfigAuthorizerConfig> = "authorizationConfig";
    }

    /// An authority that is trusted.
    pub struct AcceptedCA: "v1alpha1.AcceptedCA" {
        /// Certificate: base64 of PEM.
        crt: Option<Bytes> = "crt";
    }

    /// The kubeconfig file of administrators.
    pub struct AdminKubeconfigConfig: "v1alpha1.AdminKubeconfigConfig" {
        /// How long its certificate lives.
        cert_lifetime: Option<Duration> = "certLifetime";
    }

    /// Configuration of an admission plugin.
    pub struct AdmissionPluginConfig: "v1alpha1.AdmissionPluginConfig" {
        /// Name.
        name: Option<String> = "name";
        /// Its configuration.
        configuration: Option<Free> = "configuration";
    }

    /// An authorizer of the API server.
    pub struct AuthorizationConfigAuthorizerConfig: "v1alpha1.AuthorizationConfigAuthorizerConfig" {
        /// Kind of authorizer: `Node`, `RBAC` or `Webhook`.
        kind: Option<String> = "type";
        /// Name.
        name: Option<String> = "name";
        /// Settings of the webhook.
        webhook: Option<Free> = "webhook";
    }

    /// The pod network.
    pub struct CNIConfig: "v1alpha1.CNIConfig" {
        /// Which pod network: `flannel`, `custom` (from URLs) or `none`.
        name: Option<String> = "name".one_of(&["flannel", "custom", "none"]);
        /// URLs of manifests.
        urls: Vec<String> = "urls";
        /// Settings of flannel.
        flannel: Option<FlannelCNIConfig> = "flannel";
    }

    /// The cluster the machine belongs to.
    pub struct ClusterConfig: "v1alpha1.ClusterConfig" {
        /// Public id of the cluster at the discovery service: 32 random bytes in URL-safe base64.
        id: Option<String> = "id";
        /// Key that encrypts what members tell each other: 32 random bytes in base64.
        secret: Option<Secret> = "secret";
        /// The control plane.
        control_plane: Option<ControlPlaneConfig> = "controlPlane".required();
        /// Name of the cluster.
        cluster_name: Option<String> = "clusterName";
        /// Networks of the cluster.
        network: Option<ClusterNetworkConfig> = "network";
        /// Token kubelets join with.
        token: Option<Secret> = "token";
        /// Key that encrypts secrets in etcd, for older clusters.
        aescbc_encryption_secret: Option<Secret> = "aescbcEncryptionSecret";
        /// Key that encrypts secrets in etcd: 32 random bytes in base64.
        secretbox_encryption_secret: Option<Secret> = "secretboxEncryptionSecret";
        /// Authority of Kubernetes; its key is on control planes only.
        ca: Option<CertAndKey> = "ca";
        /// Authorities that are trusted beside the issuing one.
        accepted_cas: Vec<AcceptedCA> = "acceptedCAs";
        /// Authority of the API aggregation layer.
        aggregator_ca: Option<CertAndKey> = "aggregatorCA";
        /// Service accounts of Kubernetes.
        service_account: Option<ServiceAccount> = "serviceAccount";
        /// The API server.
        api_server: Option<APIServerConfig> = "apiServer";
        /// The controller manager.
        controller_manager: Option<ControllerManagerConfig> = "controllerManager";
        /// The service proxy.
        proxy: Option<ProxyConfig> = "proxy";
        /// The scheduler.
        scheduler: Option<SchedulerConfig> = "scheduler";
        /// How members find each other.
        discovery: Option<ClusterDiscoveryConfig> = "discovery";
        /// etcd.
        etcd: Option<EtcdConfig> = "etcd";
        /// Cluster DNS.
        core_dns: Option<CoreDNS> = "coreDNS";
        /// A cloud provider that runs in the cluster.
        external_cloud_provider: Option<ExternalCloudProviderConfig> = "externalCloudProvider";
        /// URLs of manifests applied after the system's own.
        extra_manifests: Vec<String> = "extraManifests";
        /// Headers of the requests for extra manifests.
        extra_manifest_headers: BTreeMap<String, String> = "extraManifestHeaders";
        /// Manifests given in full, applied after the system's own.
        inline_manifests: Vec<ClusterInlineManifest> = "inlineManifests";
        /// The kubeconfig file of administrators.
        admin_kubeconfig: Option<AdminKubeconfigConfig> = "adminKubeconfig";
        /// Let ordinary pods run on control planes.
        allow_scheduling_on_control_planes: Option<bool> = "allowSchedulingOnControlPlanes";
    }

    /// How members find each other.
    pub struct ClusterDiscoveryConfig: "v1alpha1.ClusterDiscoveryConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// Registries.
        registries: Option<DiscoveryRegistriesConfig> = "registries";
    }

    /// A manifest given in full.
    pub struct ClusterInlineManifest: "v1alpha1.ClusterInlineManifest" {
        /// Name.
        name: Option<String> = "name".required();
        /// Content.
        contents: Option<String> = "contents";
    }

    /// Networks of the cluster.
    pub struct ClusterNetworkConfig: "v1alpha1.ClusterNetworkConfig" {
        /// The pod network.
        cni: Option<CNIConfig> = "cni";
        /// DNS domain of the cluster.
        dns_domain: Option<String> = "dnsDomain";
        /// Networks of pods, one per address family. A patch replaces them.
        pod_subnets: Vec<String> = "podSubnets".replaced().check(Format::Prefix);
        /// Networks of services, one per address family. A patch replaces them.
        service_subnets: Vec<String> = "serviceSubnets".replaced().check(Format::Prefix);
    }

    /// Where the control plane is.
    pub struct ControlPlaneConfig: "v1alpha1.ControlPlaneConfig" {
        /// URL of the Kubernetes API, `https://host:port`: a load balancer, a shared address or a DNS name of all
        /// control planes.
        endpoint: Option<String> = "endpoint".format(Format::Url(&["https"])).required();
        /// Port of the API server on control planes.
        local_api_server_port: Option<i64> = "localAPIServerPort";
    }

    /// The controller manager.
    pub struct ControllerManagerConfig: "v1alpha1.ControllerManagerConfig" {
        /// Container image.
        image: Option<String> = "image";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Folders of the machine that the pod sees.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
    }

    /// Cluster DNS.
    pub struct CoreDNS: "v1alpha1.CoreDNS" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
        /// Container image.
        image: Option<String> = "image";
    }

    /// Where members publish themselves.
    pub struct DiscoveryRegistriesConfig: "v1alpha1.DiscoveryRegistriesConfig" {
        /// Registry in annotations of Kubernetes nodes.
        kubernetes: Option<RegistryKubernetesConfig> = "kubernetes";
        /// The discovery service.
        service: Option<RegistryServiceConfig> = "service";
    }

    /// etcd.
    pub struct EtcdConfig: "v1alpha1.EtcdConfig" {
        /// Container image.
        image: Option<String> = "image";
        /// Authority of etcd.
        ca: Option<CertAndKey> = "ca";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Networks whose addresses are told to other members; the first address of the machine otherwise.
        advertised_subnets: Vec<String> = "advertisedSubnets";
        /// Networks whose addresses are listened on; all if none are given.
        listen_subnets: Vec<String> = "listenSubnets";
    }

    /// A cloud provider that runs in the cluster.
    pub struct ExternalCloudProviderConfig: "v1alpha1.ExternalCloudProviderConfig" {
        /// Switch it on.
        enabled: Option<bool> = "enabled";
        /// URLs of manifests.
        manifests: Vec<String> = "manifests";
    }

    /// Settings of flannel.
    pub struct FlannelCNIConfig: "v1alpha1.FlannelCNIConfig" {
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Vec<String> = "extraArgs";
        /// Enforce network policies.
        kube_network_policies_enabled: Option<bool> = "kubeNetworkPoliciesEnabled";
    }

    /// The service proxy.
    pub struct ProxyConfig: "v1alpha1.ProxyConfig" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
        /// Container image.
        image: Option<String> = "image";
        /// Mode of the proxy: `nftables`, `iptables` or `ipvs`.
        mode: Option<String> = "mode";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
    }

    /// Discovery through annotations of Kubernetes nodes.
    pub struct RegistryKubernetesConfig: "v1alpha1.RegistryKubernetesConfig" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
    }

    /// Discovery through the service.
    pub struct RegistryServiceConfig: "v1alpha1.RegistryServiceConfig" {
        /// Switch it off.
        disabled: Option<bool> = "disabled";
        /// URL of the discovery service.
        endpoint: Option<String> = "endpoint".check(Format::Url(&["https", "http", "grpc"]));
    }

    /// What a component may use.
    pub struct ResourcesConfig: "v1alpha1.ResourcesConfig" {
        /// What it is promised.
        requests: Option<Free> = "requests";
        /// The most it may use.
        limits: Option<Free> = "limits";
    }

    /// The scheduler.
    pub struct SchedulerConfig: "v1alpha1.SchedulerConfig" {
        /// Container image.
        image: Option<String> = "image";
        /// Arguments laid over the system's own; a value is a string or a list.
        extra_args: Args = "extraArgs";
        /// Folders of the machine that the pod sees.
        extra_volumes: Vec<VolumeMountConfig> = "extraVolumes";
        /// Environment variables.
        env: BTreeMap<String, String> = "env";
        /// What it may use of processor and memory.
        resources: Option<ResourcesConfig> = "resources";
        /// Configuration file, laid over the one the system makes.
        config: Option<Free> = "config";
    }

    /// Service accounts of Kubernetes.
    pub struct ServiceAccount: "v1alpha1.ServiceAccount" {
        /// Key that signs tokens: base64 of PEM.
        key: Option<SecretBytes> = "key";
    }

    /// A folder of the machine that a pod sees.
    pub struct VolumeMountConfig: "v1alpha1.VolumeMountConfig" {
        /// Folder of the machine.
        host_path: Option<String> = "hostPath";
        /// Where it appears.
        mount_path: Option<String> = "mountPath";
        /// Mount it read-only.
        readonly: Option<bool> = "readonly";
    }
}
